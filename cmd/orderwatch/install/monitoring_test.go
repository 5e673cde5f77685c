//go:build deploy

package install_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// monitoringDir is where rules and dashboard are.
const monitoringDir = "../../../deploy/helm/monitoring/"

// TestMonitoring lets promtool look at the rules, run their tests, and look at the queries of the dashboard; and holds that the
// dashboard is what its program prints, and as Grafana's schema wants it.
func TestMonitoring(t *testing.T) {
	t.Run("rules", func(t *testing.T) {
		promtool(t, "check", "rules", "--lint-fatal", monitoringDir+"rules.yaml")
	})
	t.Run("tests", func(t *testing.T) {
		promtool(t, "test", "rules", monitoringDir+"rules_test.yaml", monitoringDir+"rules_days_test.yaml")
	})
	t.Run("queries", func(t *testing.T) { promtool(t, "check", "rules", "--lint-fatal", queriesAsRules(t)) })
	t.Run("dashboard", func(t *testing.T) {
		for _, args := range [][]string{{"vet", "./..."}, {"mod", "tidy", "-diff"}, {"test", "-count", "1", "./..."}} {
			command := exec.Command("go", args...)
			command.Dir = "../../../.ci/dashboard"
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	})
}

// promtool runs it. It must be among the programs that a shell finds.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not there; .ci/run deploy brings it: ", err)
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// queriesAsRules writes a file with each query of the dashboard as a rule, and returns its path: promtool looks at rules alone.
func queriesAsRules(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(monitoringDir + "dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	rules, queries := "groups:\n  - name: dashboard\n    rules:\n", 0
	variable := regexp.MustCompile(`\$__[a-z_]+`)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			quoted, err := json.Marshal(variable.ReplaceAllString(target.Expr, "1h"))
			if err != nil {
				t.Fatal(err)
			}
			queries++
			rules += fmt.Sprintf("      - record: dashboard:query%d\n        expr: %s\n", queries, quoted)
		}
	}
	path := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
