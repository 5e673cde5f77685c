package rig

import (
	"os/exec"
	"syscall"
)

// endWithUs has the program killed when the thread that starts it ends, however that comes.
func endWithUs(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
