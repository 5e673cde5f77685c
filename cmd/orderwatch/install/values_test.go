//go:build deploy

package install_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// free are the objects of the schema that may have any field: Kubernetes itself judges these, or they are names of people's own.
var free = []string{"global", "env valueFrom", "affinity", "objects", "texts", "resources requests", "resources limits"}

// TestSchema holds that the schema lets no misspelt name pass, and that values.yaml sets and explains everything that it knows.
func TestSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, chartDir+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	var seen []string
	var walk func(name string, one map[string]any)
	walk = func(name string, one map[string]any) {
		if one["type"] == "object" && one["additionalProperties"] != false {
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
		fields, _ := known["properties"].(map[string]any)
		have, _ := set.(map[string]any)
		for name, of := range fields {
			if at == "" && name == "global" || strings.HasPrefix(name, "ORDERWATCH_") || slices.Contains([]string{"resources", "imagePullSecrets", "extraEnv"}, name) {
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
