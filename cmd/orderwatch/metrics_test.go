package main_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`"(orderwatch_[a-z_]+)",\s*(?:Help:|")`)

// TestMetricsNamed holds that a real run showed all metrics of the program, and that deploy/MONITORING.md names them with their
// labels, and no others.
func TestMetricsNamed(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var want, named []string
	for line := range strings.Lines(read("../../deploy/helm/monitoring/metrics.txt")) {
		fields := strings.Fields(line)
		if !strings.HasPrefix(fields[0], "orderwatch_") {
			continue
		}
		var labels []string
		if len(fields) > 2 {
			labels = strings.Split(fields[2], ",")
		}
		want = append(want, fields[0]+" "+strings.Join(labels, " "))
	}
	for _, source := range sources(t, false) {
		for _, metric := range metricName.FindAllSubmatch(source, -1) {
			if !slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(w, string(metric[1])+" ") }) {
				t.Errorf("metrics.txt has no %s: let TestMetrics of package demo bring it about", metric[1])
			}
		}
	}
	_, rest, _ := strings.Cut(read("../../deploy/MONITORING.md"), "## What `/metrics` says\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	name := regexp.MustCompile("`([a-z_]+)`")
	for _, row := range regexp.MustCompile("(?m)^\\| (`orderwatch_[^|]*) \\|").FindAllStringSubmatch(section, -1) {
		metrics, by, _ := strings.Cut(row[1], " by ")
		var labels []string
		for _, label := range name.FindAllStringSubmatch(by, -1) {
			labels = append(labels, label[1])
		}
		slices.Sort(labels)
		for _, metric := range name.FindAllStringSubmatch(metrics, -1) {
			named = append(named, metric[1]+" "+strings.Join(labels, " "))
		}
	}
	slices.Sort(named)
	if !slices.Equal(named, want) {
		t.Errorf("deploy/MONITORING.md names\n%s\na real run has\n%s", strings.Join(named, "\n"), strings.Join(want, "\n"))
	}
}
