package rig

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
)

// A Waited is a command that ended.
type Waited struct {
	Code     int
	Out, Err string
}

// CarryOut runs a command of a person or a pipeline to its end.
func CarryOut(t testing.TB, env []string, args ...string) Waited {
	t.Helper()
	var out, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), Build(t, Worker), args...)
	command.Env = append(append(Bare(), "XDG_CONFIG_HOME="+filepath.Join(t.TempDir(), "none")), env...)
	command.Stdout, command.Stderr = &out, &stderr
	command.Run() // the code tells
	return Waited{command.ProcessState.ExitCode(), out.String(), stderr.String()}
}
