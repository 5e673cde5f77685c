//go:build faults

package store

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// points are all the points at which a process can be stopped.
var points = [...]string{
	"intake.taken", "intake.settling", "intake.settled",
	"poller.taken", "poller.settling", "poller.settled",
	"slack.taken", "slack.told", "slack.settling", "slack.settled",
	"history.taken", "history.settling", "history.settled",
	"poll.asking", "poll.answered",
	"watching.stored", "ending.stored", "ended.stored",
	"wakeup.stored", "progress.stored", "completion.stored", "rejection.stored",
}

// actions are what can happen at a point.
var actions = map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP, "term": syscall.SIGTERM}

// A fault is a signal that the process sends itself, once, at a point.
type fault struct {
	point  string
	left   atomic.Int64 // passings until it strikes
	action string
}

// armed is the process's fault, nil for none. It is set once, before the worker runs.
var armed atomic.Pointer[fault]

// ArmFault lets the process be killed, stopped or terminated (action: kill, stop, term) at a point,
// given as its name, or name:n for its nth passing.
func ArmFault(at, action string) error {
	name, count, counted := strings.Cut(at, ":")
	nth := 1
	if counted {
		var err error
		if nth, err = strconv.Atoi(count); err != nil || nth < 1 {
			return fmt.Errorf("%q: the passing must be a number from 1", at)
		}
	}
	if !slices.Contains(points[:], name) {
		return fmt.Errorf("no fault point %q; there are: %s", name, strings.Join(points[:], " "))
	}
	if _, ok := actions[action]; !ok {
		return fmt.Errorf("no fault action %q; there are: kill stop term", action)
	}
	f := &fault{point: name, action: action}
	f.left.Store(int64(nth))
	if !armed.CompareAndSwap(nil, f) {
		return errors.New("a fault is armed already")
	}
	return nil
}

// Passed lets the fault strike that is armed for this passing of the point.
func Passed(noun, step string, err error) {
	if err != nil {
		return
	}
	point := noun + "." + step
	if !slices.Contains(points[:], point) {
		fmt.Fprintf(os.Stderr, "fault point %s is not in the list of points\n", point)
		os.Exit(1)
	}
	if f := armed.Load(); f != nil && f.point == point && f.left.Add(-1) == 0 {
		f.strike()
	}
}

// strike sends the signal and waits until it has arrived: nothing is done after the point before
// the process is dead, before it was stopped and woken, or before it knows that it is to end.
func (f *fault) strike() {
	fmt.Fprintf(os.Stderr, "fault point %s: %s\n", f.point, f.action)
	felt := make(chan os.Signal, 1)
	signal.Notify(felt, syscall.SIGCONT, syscall.SIGTERM)
	defer signal.Stop(felt)
	if err := syscall.Kill(os.Getpid(), actions[f.action]); err != nil {
		fmt.Fprintln(os.Stderr, "fault point:", err)
		os.Exit(1)
	}
	<-felt
}
