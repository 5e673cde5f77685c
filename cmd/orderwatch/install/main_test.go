//go:build deploy

package install_test

import (
	"os"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

func TestMain(m *testing.M) { rig.Main(m, 2) }

// tool returns the path of a program, or of a folder, that .ci/run deploy brings: the variable names it.
func tool(t testing.TB, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set: .ci/run deploy sets it", variable)
	}
	return path
}
