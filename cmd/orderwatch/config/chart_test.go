package config

import (
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
)

const chart = "../../../deploy/helm/"

// refusedByChart are the variables that the chart sets itself or has no use for, by beginnings of their names without [Prefix].
var refusedByChart = map[string]string{
	"EMBEDDED_":         "several workers share one server",
	"HTTP_ADDR":         "the chart sets it",
	"PAGE_ADDR":         "the chart sets it",
	"PAGE_METRICS_ADDR": "the chart sets it",
}

// refusedByChart says why the chart does not take the variable; empty where it does.
func (v variable) refusedByChart() string {
	for beginning, why := range refusedByChart {
		if strings.HasPrefix(v.name, beginning) {
			return why
		}
	}
	return ""
}

// publicFiles hold nothing secret: a ConfigMap may have them.
var publicFiles = map[string]bool{"NATS_CA_FILE": true, "NATS_CERT_FILE": true, "MODELARTS_CA_FILE": true, "TEAMS_FILE": true, "SLACK_ROUTES_FILE": true}

// isFile reports whether the variable names a file by itself.
func (v variable) isFile() bool { return strings.HasSuffix(v.name, "_FILE") }

// chartKind returns which definition of the chart's schema a value of the variable follows.
func (v variable) chartKind() string {
	switch v.value.Interface().(type) {
	case bool:
		return "trueOrFalse"
	case int:
		return "wholeNumber"
	case float64:
		return "number"
	case time.Duration:
		return "duration"
	case slog.Level:
		return "logLevel"
	case []string:
		return "list"
	}
	return "text"
}

// places returns where in the chart's values the variable can stand: config, files, and those of page and provision.
func (v variable) places() (all []string) {
	kind := "config"
	if v.secret() || v.isFile() {
		kind = "files"
	}
	ofAll := v.group == "NATS" || v.group == "Log"
	forPage := v.name == "NATS_JS_API_PREFIX" // workers refuse it
	if v.refusedByChart() != "" {
		return nil
	}
	if v.group != "Page" && !forPage {
		all = append(all, kind)
	}
	if v.group == "Page" || ofAll {
		all = append(all, "page."+kind)
	}
	if ofAll && !forPage {
		all = append(all, "provision."+kind)
	}
	return all
}

// TestChartSchema holds what the chart's schema says of variables against the code: -update writes it anew.
func TestChartSchema(t *testing.T) {
	const path, from = chart + "values.schema.json", "\"generated\": "
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), from)
	comment, _, _ := strings.Cut(rest, "\n")
	if !found {
		t.Fatalf("%s has no %s", path, from)
	}
	var b strings.Builder
	b.WriteString(before + from + comment + "\n")
	owners := []string{"", "page.", "provision."}
	for i, owner := range owners {
		name := map[string]string{"": "worker", "page.": "page", "provision.": "provision"}[owner]
		b.WriteString(chartDefinition(name+"Config", owner+"config", i == 0) + ",\n")
		b.WriteString(chartDefinition(name+"Files", owner+"files", false))
		if i < len(owners)-1 {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
	b.WriteString("  }\n}\n")
	if !json.Valid([]byte(b.String())) {
		t.Error("the schema is no JSON")
	}
	cmdtest.Golden(t, path, b.String())
}

// chartDefinition returns the schema of all variables that can stand at a place.
func chartDefinition(name, place string, required bool) string {
	var lines []string
	line := func(name string, schema map[string]any) {
		text, _ := json.Marshal(schema)
		lines = append(lines, "        \""+Prefix+name+"\": "+string(text))
	}
	kind := place[strings.LastIndex(place, ".")+1:]
	for _, v := range variables(new(Config)) {
		for _, at := range v.places() {
			switch file := v.name; {
			case at == place && kind == "config":
				line(v.name, map[string]any{"$ref": "#/$defs/" + v.chartKind()})
			case at == place:
				if v.secret() {
					file += "_FILE"
				}
				of := "secretFile"
				if publicFiles[file] {
					of = "publicFile"
				}
				line(file, map[string]any{"$ref": "#/$defs/" + of})
			case kind == "config" && at == strings.TrimSuffix(place, "config")+"files":
				line(v.name, map[string]any{"const": "no value here: put it into a file and name that in " + at + "." + Prefix + strings.TrimSuffix(v.name, "_FILE") + "_FILE"})
			}
		}
	}
	needs := ""
	if required {
		needs = "\n      \"required\": [\"ORDERWATCH_NATS_URL\", \"ORDERWATCH_MODELARTS_REGIONS\"],"
	}
	return "    \"" + name + "\": {\n      \"type\": \"object\",\n      \"additionalProperties\": false," + needs +
		"\n      \"properties\": {\n" + strings.Join(lines, ",\n") + "\n      }\n    }"
}

// TestChartVariables holds the table of deploy/helm/README.md against the code: -update writes it anew.
func TestChartVariables(t *testing.T) {
	const path, from, to = chart + "README.md", "<!-- variables -->\n", "<!-- /variables -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), from)
	_, after, foundEnd := strings.Cut(rest, to)
	if !found || !foundEnd {
		t.Fatalf("no %q before %q", from, to)
	}
	var b strings.Builder
	b.WriteString("| variable | below | default | meaning |\n|---|---|---|---|\n")
	for _, v := range variables(new(Config)) {
		row, where, name := v.row(), strings.Join(v.places(), ", "), v.name
		if where == "" {
			where = "–: " + v.refusedByChart()
		}
		if v.secret() {
			name += "_FILE"
		}
		b.WriteString("| " + Prefix + name + " | " + where + " | " + row[1] + " | " + row[2] + " |\n")
	}
	cmdtest.Golden(t, path, before+from+b.String()+to+after)
}

// TestChartPublicFiles holds that the chart's templates and its schema agree on which files are no secrets.
func TestChartPublicFiles(t *testing.T) {
	text, err := os.ReadFile(chart + "templates/_files.tpl")
	if err != nil {
		t.Fatal(err)
	}
	for name := range publicFiles {
		if !strings.Contains(string(text), `"`+Prefix+name+`"`) {
			t.Errorf("the templates take %s for a secret", name)
		}
	}
}
