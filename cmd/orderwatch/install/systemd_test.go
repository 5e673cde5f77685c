//go:build deploy && linux

package install_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// exposure is how exposed a unit may be at most, by systemd-analyze security, in tenths of 0 to 10. The units have 1.2.
const exposure = 15

// TestUnits holds that systemd understands each line of the units and their drop-ins, that the program which they start is
// there, and how exposed they are.
func TestUnits(t *testing.T) {
	t.Parallel()
	root := unitRoot(t)
	for _, unit := range []string{"orderwatch.service", "orderwatch-page.service"} {
		if said := analyze(root, unit); said != "" {
			t.Errorf("%s: %s", unit, said)
		}
	}
}

// TestUnitMistakes holds that each mistake in a unit is found.
func TestUnitMistakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, file, from, to, says string }{
		{"misspelt directive", "orderwatch.service", "ProtectSystem=strict", "ProtectSytem=strict", "'ProtectSytem'"},
		{"directive in the wrong section", "orderwatch.service", "Type=exec", "After=nats-server.service", "'After'"},
		{"unknown value", "orderwatch.service", "ProtectSystem=strict", "ProtectSystem=stict", "Failed to parse protect system value"},
		{"no time", "orderwatch.service", "TimeoutStopSec=30s", "TimeoutStopSec=30sek", "30sek"},
		{"unknown group of system calls", "orderwatch.service", "SystemCallFilter=@system-service", "SystemCallFilter=@system-servce", "Unknown system call group"},
		{"no such program", "orderwatch-page.service", "/usr/local/bin/orderwatch page", "/usr/local/bin/orderwatchd page", "is not executable"},
		{"a secret from nowhere", "orderwatch.service.d/secrets.conf", "LoadCredential=nats-password:", "LoadCredentials=nats-password:", "'LoadCredentials'"},
		{"a specifier that is none", "orderwatch-page.service.d/secrets.conf", "=%d/page-users", "=%Z/page-users", "Failed to resolve specifiers"},
		{"with all capabilities", "orderwatch.service", "CapabilityBoundingSet=\n", "", "exposure"},
		{"as root", "orderwatch.service", "DynamicUser=true", "User=root", "exposure"},
		{"all system calls", "orderwatch-page.service", "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\n", "", "exposure"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := unitRoot(t)
			path := filepath.Join(root, "etc/systemd/system", test.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(text), test.from) != 1 {
				t.Fatalf("%s has not one %q", test.file, test.from)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(string(text), test.from, test.to, 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			unit, _, _ := strings.Cut(test.file, ".")
			if said := analyze(root, unit+".service"); !strings.Contains(said, test.says) {
				t.Errorf("found: %q", said)
			}
		})
	}
}

// unitRoot returns a folder that has the units and the program where they want them.
func unitRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "etc/systemd/system"), os.DirFS("../../../deploy/systemd")); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, "usr/local/bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(rig.Build(t, rig.Worker), filepath.Join(bin, "orderwatch")); err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"sysinit", "basic", "shutdown", "network-online", "multi-user"} { // without which none is found
		if err := os.WriteFile(filepath.Join(root, "etc/systemd/system", unit+".target"), []byte("[Unit]\nDefaultDependencies=no\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// analyze returns what systemd-analyze finds wrong with a unit; empty where that is nothing.
func analyze(root, unit string) string {
	out, err := exec.Command("systemd-analyze", "verify", "--root="+root, "--man=no", "--generators=no", unit).CombinedOutput()
	if err != nil || len(out) > 0 { // what it does not know it only warns of
		return fmt.Sprintf("%s %v", out, err)
	}
	out, err = exec.Command("systemd-analyze", "security", "--root="+root, "--offline=true", "--no-pager", fmt.Sprintf("--threshold=%d", exposure), unit).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("exposure: %s %v", out, err)
	}
	return ""
}
