//go:build deploy

package install_test

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

const (
	deployDir = "../../../deploy/"
	chartDir  = deployDir + "helm"
	least     = chartDir + "/ci/least-values.yaml"
	full      = chartDir + "/ci/full-values.yaml"
)

// helm runs helm in an environment of its own, and returns what it printed. The error has what it said.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	command := exec.Command(tool(t, "HELM"), args...)
	home := t.TempDir()
	command.Env = append(rig.Bare(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), errors.New(strings.TrimSpace(stderr.String() + "\n" + stdout.String()))
	}
	if stderr.Len() > 0 {
		return stdout.String(), errors.New("helm warns: " + stderr.String())
	}
	return stdout.String(), nil
}

// render returns what the chart makes of the files of values and of further arguments, such as --set.
func render(t *testing.T, chart string, args ...string) (string, error) {
	t.Helper()
	return helm(t, append([]string{"template", "orderwatch", chart, "--namespace", namespace}, args...)...)
}
