package rig_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// TestStartedEndsWithTests holds that a program ends where the tests that started it end without their cleanup.
func TestStartedEndsWithTests(t *testing.T) {
	const inner = "RIG_ENDS_AT_ONCE"
	if os.Getenv(inner) != "" {
		fmt.Printf("started %d\n", rig.Start(t, "/bin/sleep", nil, "600").Command.Process.Pid)
		os.Exit(2) // as go test does at its time limit
	}
	command := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	command.Env = append(os.Environ(), inner+"=1")
	out, _ := command.CombinedOutput() // it fails, on purpose
	_, rest, _ := strings.Cut(string(out), "started ")
	line, _, _ := strings.Cut(rest, "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatalf("%s", out)
	}
	rig.Eventually(t, rig.Patience, func() error {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(status), ") Z ") { // a zombie waits for whom it was left to
			return nil
		}
		return fmt.Errorf("%d still runs: %s %v", pid, status, err)
	})
}
