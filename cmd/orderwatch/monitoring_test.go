package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
)

// What the tests here compare with each other: rules, their tests, the dashboard, the runbook, and metrics.txt, the metrics of a
// real run.
const (
	monitoring = "../../deploy/helm/monitoring/"
	runbook    = "../../deploy/RUNBOOK.md"
	docsURL    = "https://github.com/orderwatch/orderwatch/blob/main/deploy/"
)

// A rule is one of rules.yaml.
type rule struct {
	Record        string
	Alert         string
	Expr          string
	For           string
	KeepFiringFor string `yaml:"keep_firing_for"`
	Labels        struct{ Severity string }
	Annotations   struct {
		Summary, Description string
		RunbookURL           string `yaml:"runbook_url"`
	}
}

// read decodes a YAML file that has no other fields than the value.
func read(t *testing.T, path string, value any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	read(t, monitoring+"rules.yaml", &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// targets are the labels that Prometheus adds to all that it reads.
var targets = []string{"namespace", "job", "instance"}

// aggregated is the beginning of an expression that keeps labels.
var aggregated = regexp.MustCompile(`^[a-z]+ by \(([a-z, ]+)\)`)

// metricLabels returns the labels of each metric that there is, with those that Prometheus adds: by metrics.txt, and of what rules
// record by what these keep. Those of a histogram have le, too.
func metricLabels(t *testing.T, all []rule) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(monitoring + "metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{"ALERTS": {"alertname", "alertstate", "severity", "namespace", "instance", "region", "project", "kind", "channel", "code", "loop"}}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		kind, names, _ := strings.Cut(rest, " ")
		has := slices.Clone(targets)
		if names != "" {
			has = append(has, strings.Split(names, ",")...)
		}
		if labels[name] = has; kind == "histogram" {
			delete(labels, name)
			labels[name+"_bucket"], labels[name+"_count"], labels[name+"_sum"] = append(slices.Clone(has), "le"), has, has
		}
	}
	for _, r := range all {
		if r.Record != "" {
			q, err := parseQuery(r.Expr)
			if err != nil {
				t.Fatal(err)
			}
			if kept := aggregated.FindStringSubmatch(r.Expr); kept != nil {
				labels[r.Record] = strings.Split(kept[1], ", ")
			} else if len(q.selectors) > 0 { // it was recorded before
				labels[r.Record] = labels[q.selectors[0].metric]
			} else {
				labels[r.Record] = []string{"namespace"} // which the chart gives it
			}
		}
	}
	return labels
}

// fits says what of a query does not fit the metrics that there are.
func fits(q query, labels map[string][]string, values func(string) bool) (wrong []string) {
	var of []string
	for _, s := range q.selectors {
		has, ok := labels[s.metric]
		if !ok {
			wrong = append(wrong, "there is no metric "+s.metric)
		}
		of = append(of, has...)
		for label, text := range s.labels {
			if !slices.Contains(has, label) {
				wrong = append(wrong, s.metric+" has no label "+label)
			}
			for value := range strings.SplitSeq(text, "|") {
				if s.metric != "ALERTS" && label != "le" && label != "namespace" && !values(value) {
					wrong = append(wrong, s.metric+" has no "+label+" "+value)
				}
			}
		}
	}
	for _, label := range q.labels {
		if !slices.Contains(of, label) {
			wrong = append(wrong, "no metric of it has a label "+label)
		}
	}
	return wrong
}

// codeHas returns a function that says whether a text is empty, or a whole string somewhere in the program.
func codeHas(t *testing.T) func(string) bool {
	t.Helper()
	source := new(strings.Builder)
	for _, dir := range []string{"../../events", "../../watcher"} {
		if err := addSources(dir, source); err != nil {
			t.Fatal(err)
		}
	}
	return func(text string) bool { return text == "" || strings.Contains(source.String(), `"`+text+`"`) }
}

func addSources(dir string, to *strings.Builder) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		switch name := dir + "/" + e.Name(); {
		case e.IsDir():
			err = addSources(name, to)
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			var text []byte
			text, err = os.ReadFile(name)
			to.Write(text)
		}
		if err != nil {
			return err
		}
	}
	return err
}

var labelInText = regexp.MustCompile(`\$labels\.([a-z_]+)`)

// TestRules holds that rules take metrics, labels and values that there are, that no rule's name comes twice with a severity, and that
// an alert says all that it must.
func TestRules(t *testing.T) {
	all, values := rules(t), codeHas(t)
	labels := metricLabels(t, all)
	seen := make(map[string]bool)
	for _, r := range all {
		name := r.Record + r.Alert + " " + r.Labels.Severity
		if seen[name] {
			t.Errorf("%s stands there twice", name)
		}
		seen[name] = true
		q, err := parseQuery(r.Expr)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, wrong := range fits(q, labels, values) {
			t.Errorf("%s: %s", name, wrong)
		}
		if r.Alert == "" {
			continue
		}
		if !regexp.MustCompile(`^Orderwatch[A-Z][A-Za-z0-9]+$`).MatchString(r.Alert) || r.Labels.Severity != "page" && r.Labels.Severity != "ticket" {
			t.Errorf("%s: its name or severity is none", name)
		}
		if a := r.Annotations; a.Summary == "" || a.Description == "" || a.RunbookURL != docsURL+"RUNBOOK.md#"+strings.ToLower(r.Alert) {
			t.Errorf("%s: %+v", name, a)
		}
		for _, match := range labelInText.FindAllStringSubmatch(r.Annotations.Summary+r.Annotations.Description, -1) {
			if label := match[1]; !slices.Contains(q.labels, label) && !slices.Contains(labels[q.selectors[0].metric], label) {
				t.Errorf("%s: its text has the label %s, and it has none", name, label)
			}
		}
	}
}

// TestWorkersWanted holds what the chart replaces by its number of replicas.
func TestWorkersWanted(t *testing.T) {
	text, err := os.ReadFile(monitoring + "rules.yaml")
	if n := strings.Count(string(text), "        expr: vector(2)\n"); err != nil || n != 1 || strings.Count(string(text), "vector(2)") != 1 {
		t.Errorf("vector(2) stands there %d times: %v", n, err)
	}
}

// TestObjective holds that the histogram has the bounds of the objective.
func TestObjective(t *testing.T) {
	source, err := os.ReadFile("../../events/metrics.go")
	bounds := regexp.MustCompile(`lagBuckets = \[\]float64\{(.+)\}`).FindSubmatch(source)
	if err != nil || bounds == nil {
		t.Fatalf("events/metrics.go: %v", err)
	}
	for _, le := range []string{"15", "120"} {
		if !slices.Contains(strings.Split(string(bounds[1]), ", "), le) {
			t.Errorf("orderwatch_detection_lag_seconds has no bound %s", le)
		}
	}
}

// TestRulesTested holds that each alert fires in a test of promtool, and neither before nor after that; and that the series of these
// tests have the names and labels of a real run.
func TestRulesTested(t *testing.T) {
	all := rules(t)
	labels, fires := metricLabels(t, all), make(map[string]bool)
	for _, name := range []string{"rules_test.yaml", "rules_days_test.yaml"} {
		var file struct {
			RuleFiles          []string `yaml:"rule_files"`
			EvaluationInterval string   `yaml:"evaluation_interval"`
			Tests              []struct {
				Name, Interval string
				InputSeries    []struct{ Series, Values string } `yaml:"input_series"`
				PromqlExprTest []struct {
					EvalTime   string `yaml:"eval_time"`
					Expr       string
					ExpSamples []struct {
						Labels string
						Value  float64
					} `yaml:"exp_samples"`
				} `yaml:"promql_expr_test"`
			}
		}
		read(t, monitoring+name, &file)
		for _, test := range file.Tests {
			for _, s := range test.InputSeries {
				realSeries(t, s.Series, labels)
			}
			var steps []map[string]bool
			for _, step := range test.PromqlExprTest {
				firing := make(map[string]bool)
				for _, sample := range step.ExpSamples {
					q, err := parseQuery("ALERTS" + sample.Labels)
					if err != nil {
						t.Fatal(err)
					}
					of := q.selectors[0].labels
					firing[of["alertname"]+" "+of["severity"]] = true
				}
				steps = append(steps, firing)
			}
			for i, firing := range steps {
				for alert := range firing {
					silent := func(firing map[string]bool) bool { return !firing[alert] }
					if slices.ContainsFunc(steps[i+1:], silent) && (i == 0 && name == "rules_days_test.yaml" || slices.ContainsFunc(steps[:i], silent)) {
						fires[alert] = true
					}
				}
			}
		}
	}
	for _, r := range all {
		if alert := r.Alert + " " + r.Labels.Severity; r.Alert != "" && !fires[alert] {
			t.Errorf("no test shows that %s fires, and that it was silent before and after that", alert)
		}
		delete(fires, r.Alert+" "+r.Labels.Severity)
	}
	for alert := range fires {
		t.Errorf("the alert %s of a test stands in no rule", alert)
	}
}

// realSeries holds that a series has just the labels that it has when Prometheus read it from a worker or a page: without
// Kubernetes no namespace.
func realSeries(t *testing.T, series string, labels map[string][]string) {
	t.Helper()
	q, err := parseQuery(series)
	if err != nil || len(q.selectors) != 1 {
		t.Fatalf("%s: %v", series, err)
	}
	s := q.selectors[0]
	want := slices.Sorted(slices.Values(labels[s.metric]))
	got := slices.Sorted(maps.Keys(s.labels))
	if !slices.Contains(got, "namespace") {
		want = slices.DeleteFunc(want, func(label string) bool { return label == "namespace" })
	}
	if want == nil || !slices.Equal(got, want) {
		t.Errorf("%s: the labels of a real run are %q", series, want)
	}
}

// TestDashboard holds that the queries of the dashboard take metrics and labels that there are, that all of the program's metrics are
// shown, that a legend names labels that its query keeps, and that links lead to an entry of the runbook.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(monitoring + "dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		ID     any
		Links  []pageLink
		Panels []struct {
			Type, Title, Description string
			Datasource               struct{ UID string }
			Links                    []pageLink
			FieldConfig              struct{ Defaults struct{ Unit string } }
			Targets                  []struct {
				Expr, LegendFormat string
				Datasource         struct{ UID string }
			}
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil || dashboard.ID != nil || len(dashboard.Panels) < 20 {
		t.Fatalf("%d panels, id %v: %v", len(dashboard.Panels), dashboard.ID, err)
	}
	labels, values, shown := metricLabels(t, nil), codeHas(t), make(map[string]bool)
	links := dashboard.Links
	for _, p := range dashboard.Panels {
		if p.Type == "row" {
			continue
		}
		links = append(links, p.Links...)
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: a description, a unit, a query or the data source is missing", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("%s: the data source %q", p.Title, target.Datasource.UID)
			}
			q, err := parseQuery(regexp.MustCompile(`\[\$__[a-z_]+\]`).ReplaceAllString(target.Expr, "[1h]"))
			if err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
			for _, wrong := range fits(q, labels, values) {
				t.Errorf("%s: %s", p.Title, wrong)
			}
			for _, s := range q.selectors {
				shown[regexp.MustCompile(`_(bucket|count)$`).ReplaceAllString(s.metric, "")] = true
			}
			for _, match := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(append(q.labels, targets...), match[1]) {
					t.Errorf("%s: the query of the legend %q does not keep %s", p.Title, target.LegendFormat, match[1])
				}
			}
		}
	}
	for name := range labels {
		if base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, ""); strings.HasPrefix(base, "orderwatch_") && !shown[base] {
			t.Errorf("no panel shows %s", base)
		}
	}
	linksLead(t, links)
}

// A pageLink is one of the dashboard or of a panel.
type pageLink struct{ Title, URL string }

// linksLead holds that links lead to pages that are there, and to headings in them.
func linksLead(t *testing.T, links []pageLink) {
	t.Helper()
	for _, link := range links {
		page, anchor, _ := strings.Cut(strings.TrimPrefix(link.URL, docsURL), "#")
		text, err := os.ReadFile("../../deploy/" + page)
		if err != nil || anchor != "" && !slices.Contains(anchorsOf(string(text)), anchor) {
			t.Errorf("%s leads to %s, which is not there: %v", link.Title, link.URL, err)
		}
	}
}

// anchorsOf returns the page's headings as links name them.
func anchorsOf(page string) (all []string) {
	for _, match := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		plain := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(match[1]), "")
		all = append(all, strings.ReplaceAll(plain, " ", "-"))
	}
	return all
}

// TestRunbook holds that the runbook has an entry for each alert and for nothing else, that an entry says all that it must, and that
// commands, variables and metrics that it names are there.
func TestRunbook(t *testing.T) {
	page, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	severities := make(map[string][]string)
	all := rules(t)
	for _, r := range all {
		if r.Alert != "" {
			severities[r.Alert] = append(severities[r.Alert], r.Labels.Severity)
		}
	}
	entry := regexp.MustCompile(`(?ms)^### (\w+)\n\n([a-z, ]+)\n\n- \*\*Means\*\*: [^\n].*?\n- \*\*Hurt\*\*: [^\n].*?\n- \*\*Look\*\*: [^\n].*?\n- \*\*Do\*\*: [^\n].*?\n- \*\*Ends\*\*: [^\n]`)
	parts := regexp.MustCompile(`(?m)^### `).Split(string(page), -1)[1:]
	for _, part := range parts {
		match := entry.FindStringSubmatch("### " + part)
		if match == nil {
			t.Errorf("this entry does not say all that it must:\n%s", part)
			continue
		}
		if want := strings.Join(severities[match[1]], ", "); match[2] != want {
			t.Errorf("%s is %q; its rules say %q", match[1], match[2], want)
		}
		delete(severities, match[1])
	}
	for alert := range severities {
		t.Errorf("the runbook has no entry for %s", alert)
	}
	namesExist(t, string(page), metricLabels(t, all))
}

// namesExist holds that the commands with their flags, the variables and the metrics that a page names are there.
func namesExist(t *testing.T, page string, labels map[string][]string) {
	t.Helper()
	variables := config.Table()
	for _, match := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(page, -1) {
		span := match[1]
		if args, ok := strings.CutPrefix(span, "orderwatch "); ok {
			if c, rest, err := newRoot().Find(strings.Fields(args)); err != nil || c.Name() == "orderwatch" || c.ParseFlags(rest) != nil {
				t.Errorf("there is no command %s", span)
			}
		}
		if name, ok := strings.CutPrefix(span, config.Prefix); ok && !strings.Contains(name, "…") && !regexp.MustCompile(`(?m)^`+name+`(\[_FILE\])?\s`).MatchString(variables) {
			t.Errorf("there is no variable %s", span)
		}
		if strings.HasPrefix(span, "orderwatch_") && labels[span] == nil && labels[span+"_count"] == nil {
			t.Errorf("there is no metric %s", span)
		}
	}
}
