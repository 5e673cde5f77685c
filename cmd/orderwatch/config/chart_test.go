package config

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"slices"
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
	b.WriteString(`    "secretOfOthers": {"pattern": ` + quoted(secretsOfOthers()) + "},\n")
	for i, owner := range owners {
		name := map[string]string{"": "worker", "page.": "page", "provision.": "provision"}[owner]
		b.WriteString(chartDefinition(t, name+"Config", owner+"config") + ",\n")
		b.WriteString(chartDefinition(t, name+"Files", owner+"files"))
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

// chartDefinition returns the schema of all variables that can stand at a place: of those that cannot, it says where they belong.
func chartDefinition(t *testing.T, name, place string) string {
	var lines []string
	kind := place[strings.LastIndex(place, ".")+1:]
	for _, v := range variables(new(Config)) {
		file := strings.TrimSuffix(v.name, "_FILE") + "_FILE"
		here := slices.Contains(v.places(), place)
		line := func(name, schema string) { lines = append(lines, "        \""+Prefix+name+"\": "+schema) }
		switch {
		case here && kind == "config":
			line(v.name, v.chartSchema(t))
		case here && publicFiles[file]:
			line(file, `{"$ref":"#/$defs/publicFile"}`)
		case here:
			line(file, `{"$ref":"#/$defs/secretFile"}`)
		default:
			line(v.name, elsewhere(v, place))
		}
		switch {
		case !v.secret():
		case !here:
			line(file, elsewhere(v, place))
		default:
			line(v.name, elsewhere(v, place))
		}
	}
	return "    \"" + name + "\": {\n      \"type\": \"object\",\n" +
		"      \"additionalProperties\": {\"const\": \"no value here: there is no such variable; deploy/helm/README.md lists all\"}," +
		"\n      \"properties\": {\n" + strings.Join(lines, ",\n") + "\n      }\n    }"
}

// elsewhere returns a schema that takes nothing, and says where the variable belongs.
func elsewhere(v variable, place string) string {
	places, owner := v.places(), place[:strings.LastIndex(place, ".")+1]
	if len(places) == 0 {
		return `{"const":` + quoted("no value here: "+v.refusedByChart()) + `}`
	}
	at := places[0]
	for _, one := range places {
		if one == owner+"config" || one == owner+"files" {
			at = one
		}
	}
	if at == "config" {
		at = "config, that of the workers"
	}
	if strings.Contains(at, "config") {
		return `{"const":` + quoted("no value here: it belongs into "+at) + `}`
	}
	return `{"const":` + quoted("no value here: put it into a file and name that in "+at+"."+Prefix+strings.TrimSuffix(v.name, "_FILE")+"_FILE") + `}`
}

// secretsOfOthers returns a pattern of the HW_ variables that are secrets.
func secretsOfOthers() string {
	var names []string
	for _, v := range variables(new(Config)) {
		if name := v.tag.Get("unset"); v.secret() && strings.HasPrefix(name, "HW_") {
			names = append(names, name)
		}
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// TestChartVariables holds the table of deploy/helm/README.md against the code: -update writes it anew.
func TestChartVariables(t *testing.T) {
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
	cmdtest.GoldenPart(t, chart+"README.md", "variables", b.String())
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

// TestChartTimes holds that the times that the chart's templates compare have the program's defaults there.
func TestChartTimes(t *testing.T) {
	text, err := os.ReadFile(chart + "templates/_check.tpl")
	if err != nil {
		t.Fatal(err)
	}
	_, times, _ := strings.Cut(string(text), `define "orderwatch.checkTimes"`)
	defaults := make(map[string]string)
	for _, v := range variables(new(Config)) {
		defaults[v.name] = v.tag.Get("default")
	}
	found := 0
	for _, form := range []string{`\(list "([A-Z_]+)" "([^"]*)"`, `"([A-Z_]+)" "([^"]*)"\)`, `"ORDERWATCH_([A-Z_]+)" \| toString \| default "([^"]*)"`} {
		for _, pair := range regexp.MustCompile(form).FindAllStringSubmatch(times, -1) {
			found++
			if pair[2] != defaults[pair[1]] {
				t.Errorf("the templates have %q for the default of %s; want %q", pair[2], pair[1], defaults[pair[1]])
			}
		}
	}
	if found < 11 {
		t.Errorf("found %d defaults", found)
	}
}
