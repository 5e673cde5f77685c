//go:build deploy

package install_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// free are the objects of the schema that may have any field: Kubernetes itself judges these, or they are names of people's own.
var free = []string{"global", "env valueFrom", "affinity", "objects", "texts", "quantities"}

// TestSchema holds that the schema lets no misspelt name pass, and that values.yaml sets and explains everything that it knows.
func TestSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, chartDir+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	var seen []string
	var walk func(name string, one map[string]any)
	walk = func(name string, one map[string]any) {
		others, _ := one["additionalProperties"].(map[string]any) // says why others are refused
		if one["type"] == "object" && one["additionalProperties"] != false && others["const"] == nil {
			seen = append(seen, name)
			if !slices.Contains(free, name) {
				t.Errorf("%s may have any field", name)
			}
		}
		fields, _ := one["properties"].(map[string]any)
		for field, value := range fields {
			walk(strings.TrimSpace(name+" "+field), value.(map[string]any))
		}
		if items, ok := one["items"].(map[string]any); ok {
			walk(name, items)
		}
	}
	walk("", schema)
	for name, definition := range schema["$defs"].(map[string]any) {
		walk(name, definition.(map[string]any))
	}
	for _, name := range free {
		if !slices.Contains(seen, name) {
			t.Errorf("%s need not be free", name)
		}
	}

	values, text := documents(t, read(t, chartDir+"/values.yaml"))[0], read(t, chartDir+"/values.yaml")
	var compare func(at string, known map[string]any, set any)
	compare = func(at string, known map[string]any, set any) {
		if ref, ok := known["$ref"].(string); ok {
			known = schema["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		}
		fields, _ := known["properties"].(map[string]any)
		have, _ := set.(map[string]any)
		for name, of := range fields {
			if at == "" && (name == "global" || name == "enabled") || strings.HasPrefix(name, "ORDERWATCH_") || strings.HasPrefix(name, "app.kubernetes.io/") || slices.Contains([]string{"resources", "imagePullSecrets", "extraEnv"}, name) {
				continue
			}
			if _, ok := have[name]; !ok {
				t.Errorf("values.yaml does not set %s%s", at, name)
			}
			compare(at+name+".", of.(map[string]any), have[name])
		}
	}
	compare("", schema, map[string]any(values))
	for i, line := range strings.Split(text, "\n") {
		if len(line) > 140 {
			t.Errorf("line %d of values.yaml is long", i+1)
		}
	}
}

// TestPart holds that the chart can be a part of another, which switches it on and off by a condition.
func TestPart(t *testing.T) {
	whole := t.TempDir()
	if err := os.CopyFS(filepath.Join(whole, "charts", "orderwatch"), os.DirFS(chartDir)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(whole, "Chart.yaml"), "{apiVersion: v2, name: whole, version: 0.1.0, dependencies: [{name: orderwatch, version: 0.2.0, condition: orderwatch.enabled}]}")
	write(t, filepath.Join(whole, "values.yaml"), "global: {region: x}\norderwatch:\n"+regexp.MustCompile(`(?m)^`).ReplaceAllString(read(t, least), "  "))
	for enabled, want := range map[string]int{"true": 1, "false": 0} {
		text, err := render(t, whole, "--set", "orderwatch.enabled="+enabled)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(text, "kind: Deployment"); got != want {
			t.Errorf("enabled=%s makes %d Deployments; want %d", enabled, got, want)
		}
	}
}

// TestEmptied takes away each value that values.yaml sets, as somebody does who makes comments of all lines below a name: the chart
// does without it, or says plainly what is missing.
func TestEmptied(t *testing.T) {
	whole := documents(t, read(t, full))[0]
	var emptied func(path []string, set any)
	emptied = func(path []string, set any) {
		if len(path) > 0 {
			overlay := any(nil)
			for _, name := range slices.Backward(path) {
				overlay = map[string]any{name: overlay}
			}
			text, err := json.Marshal(overlay)
			if err != nil {
				t.Fatal(err)
			}
			values := filepath.Join(t.TempDir(), "values.yaml")
			write(t, values, string(text))
			_, err = render(t, chartDir, "--values", full, "--values", values)
			if err != nil && !plain.MatchString(err.Error()) {
				t.Errorf("%s: %v", strings.Join(path, "."), err)
			}
		}
		fields, _ := set.(map[string]any)
		for name, value := range fields {
			emptied(append(slices.Clip(path), name), value)
		}
	}
	emptied(nil, map[string]any(documents(t, read(t, chartDir+"/values.yaml"))[0]))
	emptied(nil, map[string]any(whole))
}

// plain is what helm says where the schema or orderwatch.check refuses something: no trace of a template.
var plain = regexp.MustCompile(`^Error: (values don't meet the specifications of the schema\(s\) in the following chart\(s\):\norderwatch:\n- at |execution error at \(orderwatch/templates/[a-zA-Z.]+:1:4\): \n- )`)
