//go:build deploy

package install_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompose holds that Compose takes deploy/compose.yaml (COMPOSE_CHECK names the program of .ci/compose), that the files which it
// mounts are there, and that Prometheus takes its configuration (PROMTOOL). No engine is here to start it. Mistakes are found.
func TestCompose(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, file, from, to, says string }{
		{"as it is", "compose.yaml", "", "", ""},
		{"misspelt key", "compose.yaml", "read_only: true", "read_onyl: true", "read_onyl"},
		{"no such service", "compose.yaml", "      emulator:\n        condition", "      emulater:\n        condition", "emulater"},
		{"no such config", "compose.yaml", "- source: rules", "- source: rule", "rule"},
		{"a number for a list", "compose.yaml", "cap_drop: [ALL]", "cap_drop: 1", "cap_drop"},
		{"no such file", "compose.yaml", "file: helm/monitoring/rules.yaml", "file: helm/rules.yaml", "helm/rules.yaml"},
		{"Prometheus's own", "prometheus.yml", "scrape_configs:", "scrape_config:", "scrape_config"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			deploy := t.TempDir()
			if err := os.CopyFS(deploy, os.DirFS("../../../deploy")); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(deploy, test.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), test.from) {
				t.Fatalf("%s has no %q", test.file, test.from)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(string(text), test.from, test.to, 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			if said := checkCompose(t, deploy); (said == "") != (test.says == "") || !strings.Contains(said, test.says) {
				t.Errorf("found: %q", said)
			}
		})
	}
}

// checkCompose returns what is wrong with compose.yaml of the folder; empty where that is nothing.
func checkCompose(t *testing.T, deploy string) string {
	t.Helper()
	out, err := exec.Command(tool(t, "COMPOSE_CHECK"), filepath.Join(deploy, "compose.yaml")).CombinedOutput()
	if err != nil {
		return string(out) + err.Error()
	}
	text, err := os.ReadFile(filepath.Join(deploy, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, configs, _ := strings.Cut(string(text), "\nconfigs:\n")
	etc := t.TempDir() // as /etc/prometheus in the container
	for line := range strings.Lines(configs) {
		file, ok := strings.CutPrefix(strings.TrimSpace(line), "file: ")
		if !ok {
			continue
		}
		content, err := os.ReadFile(filepath.Join(deploy, file))
		if err != nil {
			return err.Error()
		}
		if err := os.WriteFile(filepath.Join(etc, filepath.Base(file)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(tool(t, "PROMTOOL"), "check", "config", filepath.Join(etc, "prometheus.yml")).CombinedOutput(); err != nil {
		return string(out) + err.Error()
	}
	return ""
}
