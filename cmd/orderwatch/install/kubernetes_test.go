//go:build deploy

package install_test

import (
	"maps"
	"testing"
)

// TestKubernetes holds what is installed against a real API server.
func TestKubernetes(t *testing.T) {
	c := startCluster(t)
	for name, values := range map[string]string{"least": least, "full": full} {
		t.Run("accepted/"+name, func(t *testing.T) {
			text, err := render(t, chartDir, "--values", values)
			if err != nil {
				t.Fatal(err)
			}
			c.accepts(t, text)
		})
	}
	t.Run("accepted/manifest", func(t *testing.T) { c.accepts(t, read(t, deployDir+"kubernetes.yaml")) })
}

// accepts fails the test unless the API server takes all objects of the text, and pods of their templates, without a warning.
func (c *cluster) accepts(t *testing.T, text string) {
	t.Helper()
	all := documents(t, text)
	if len(all) < 3 {
		t.Errorf("there are %d objects", len(all))
	}
	for _, o := range all {
		if o.kind() == "Namespace" {
			continue
		}
		if err := c.create(o, true); err != nil {
			t.Error(err)
		}
		if pod := podOf(o); pod != nil {
			if err := c.create(pod, true); err != nil {
				t.Errorf("%s %s: %v", o.kind(), o.name(), err)
			}
		}
	}
}

// podOf returns the pod that the object's controller would make; nil where it makes none.
func podOf(o object) object {
	template, ok := o.at("spec", "template").(map[string]any)
	if !ok {
		return nil
	}
	pod := object{"apiVersion": "v1", "kind": "Pod"}
	maps.Copy(pod, template)
	metadata := map[string]any{"name": o.name()}
	meta, _ := template["metadata"].(map[string]any)
	maps.Copy(metadata, meta)
	pod["metadata"] = metadata
	return pod
}
