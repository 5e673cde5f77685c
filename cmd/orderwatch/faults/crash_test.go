package faults_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// A crash is a point at which a worker is killed, stopped for a while, or told to end. What must
// come of it is the same each time: nobody is forgotten, nothing is doubled. The first requests, a
// and b, are for one order; c comes for it when the fault has struck.
type crash struct {
	point string // NAME or NAME:n
	// over: the order has ended before it is first asked. The watch then ends with its second poll;
	// the first look is not trusted.
	over bool
	// watches are how many the three requests lead to. Two: c came too late for the first one. 0:
	// that is left to chance.
	watches  int
	repolled map[string]span // by action: how many polls no record knows of
	bad      bool            // also something that is no request is published
	hangs    bool            // the first poll is not answered
	only     string          // the one action; empty: all three
}

// A span is the least and the most; the zero value is none.
type span [2]int

func (s span) has(n int) bool { return s[0] <= n && n <= s[1] }

// crashes are the rows of the design's table of crashes, step by step.
//
// A poller that was killed between the answer and the record polls once more: that is the one poll
// that is repeated. A sleeper that was stopped in intake has the first wake-up on its way, too: both
// come again at the same time, the request publishes the wake-up once more, and two polls may be
// made for it.
var crashes = []crash{
	// The request was stored.
	{point: "intake.taken", watches: 1},
	{point: "intake.taken:2", watches: 1},

	// The record was started or joined, the wake-up not published or the request not acknowledged.
	{point: "watching.stored", watches: 1},
	{point: "wakeup.stored", watches: 1, repolled: map[string]span{"stop": {0, 1}}},
	{point: "intake.settling", watches: 1, repolled: map[string]span{"stop": {0, 1}}},
	{point: "intake.settled", watches: 1, repolled: map[string]span{"stop": {0, 1}}},
	{point: "watching.stored:2", watches: 1, repolled: map[string]span{"stop": {0, 1}}},
	{point: "intake.settling:2", watches: 1, repolled: map[string]span{"stop": {0, 1}}},
	{point: "intake.settled:2", watches: 1, repolled: map[string]span{"stop": {0, 1}}},

	// The wake-up was delivered, or the poll made.
	{point: "poller.taken", watches: 1},
	{point: "poll.asking", watches: 1, repolled: map[string]span{"stop": {1, 1}}},
	{point: "poll.asking", watches: 1, repolled: map[string]span{"term": {1, 1}}, hangs: true, only: "term"},
	{point: "poll.answered", watches: 1, repolled: map[string]span{"kill": {1, 1}, "stop": {1, 1}}},
	{point: "poll.answered:2", over: true, repolled: map[string]span{"kill": {1, 1}, "stop": {1, 1}}},

	// The record was written, the next wake-up not published.
	{point: "watching.stored:3", watches: 1},
	{point: "progress.stored", watches: 1},

	// The next wake-up was published, this one not acknowledged.
	{point: "wakeup.stored:2", watches: 1},
	{point: "poller.settling", watches: 1},
	{point: "poller.settled", watches: 1},

	// The record is ending, the completion not published or not acknowledged.
	{point: "ending.stored", over: true, watches: 2},
	{point: "completion.stored", over: true, watches: 2},
	{point: "ended.stored", over: true, watches: 2},
	{point: "poller.settling:2", over: true, watches: 2},
	{point: "poller.settled:2", over: true, watches: 2},

	// Slack accepted the post, before that was noted. The first event is of progress.
	{point: "slack.taken:2", over: true, watches: 2},
	{point: "slack.told", over: true, watches: 2},
	{point: "slack.settling:2", over: true, watches: 2},
	{point: "slack.settled:2", over: true, watches: 2},

	// It was learned how long the order took, or not; and that was acknowledged or not.
	{point: "history.taken", over: true, watches: 2},
	{point: "history.settling", over: true, watches: 2},
	{point: "history.settled", over: true, watches: 2},

	// Not in the table: what is no request was rejected, and not terminated.
	{point: "rejection.stored", watches: 1, bad: true},
}

// tries are how many scenes of a crash are played at most where polls were made again: on a busy machine a delivery
// may come again in the middle of a poll, and not between two.
const tries = 3

// crashesAtOnce bounds the processes; a crash mostly waits.
const crashesAtOnce = 10

// TestCrash kills, stops and terminates a worker at every point that it passes.
func TestCrash(t *testing.T) {
	t.Parallel()
	n := rig.StartNATS(t, "")
	program := rig.Build(t, rig.Worker, "faults")
	var rows sync.WaitGroup
	slots := make(chan struct{}, crashesAtOnce)
	for i, c := range crashes {
		for action, play := range map[string]func(*scene, *testing.T, crash){"kill": (*scene).kill, "stop": (*scene).sleep, "term": (*scene).terminate} {
			if c.only != "" && c.only != action {
				continue
			}
			rows.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				name := action + " " + c.point
				if c.hangs {
					name += ", unanswered"
				}
				t.Run(name, func(t *testing.T) {
					for try := range tries {
						s := newScene(t, n, program, fmt.Sprintf("%s-%d-%d", action, i, try), c)
						play(s, t, c)
						if s.again == "" || t.Failed() {
							return
						}
						t.Log(s.again)
					}
					t.Errorf("in each of %d scenes polls were made again", tries)
				})
			})
		}
	}
	rows.Wait()
}

// afterAckWait is how long it takes at the most until work is taken up after an AckWait of 3 s, on a busy machine. After that of
// production, or by the patrol, it takes 30 s and more.
const afterAckWait = 25 * time.Second

// kill kills the only worker. The next one takes up its work after AckWait.
func (s *scene) kill(t *testing.T, c crash) {
	s.timing = `{"AckWait": "3s"}`
	victim, at := s.strike(t, c, "kill")
	<-victim.Done
	s.publish(t, "c")
	s.start(t)
	s.awaitTakenUp(t, c, at, afterAckWait)
	s.awaitFinished(t)
	s.check(t, c, "kill")
}

// pullExpiry is how long a pull of a worker lives that is to be stopped.
const pullExpiry = time.Second

// sleep stops a worker for 1.5 times AckWait at the least, until another has finished its work. It
// cannot write any more then.
func (s *scene) sleep(t *testing.T, c crash) {
	const ackWait = 3 * time.Second
	s.timing = `{"AckWait": "3s", "PullExpiry": "` + pullExpiry.String() + `", "PullHeartbeat": "250ms"}` // what is on its way to the sleeper comes again soon
	victim, at := s.strike(t, c, "stop")
	awaitStopped(t, victim)
	s.start(t)
	awaitPullsLapsed(t)
	s.publish(t, "c")
	s.awaitTakenUp(t, c, at, afterAckWait)
	s.awaitFinished(t)
	time.Sleep(time.Until(at.Add(ackWait * 3 / 2)))

	before := s.stands(t)
	if err := victim.Command.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	rig.AwaitReady(t, healthAddr(t, victim))
	if code, _ := victim.Terminate(t); code != 0 { // it ends its steps before it exits
		t.Errorf("the sleeper's exit code is %d; want 0", code)
	}
	s.awaitFinished(t)
	if after := s.stands(t); !c.bad && after != before {
		t.Errorf("the sleeper wrote: the record and the events stand at %v; before it woke, at %v", after, before)
	}
	s.check(t, c, "stop")
}

// terminate lets a worker end itself. Nothing waits for AckWait: what is idle is handed over at
// once, a poll in flight within 7 s.
func (s *scene) terminate(t *testing.T, c crash) {
	s.env = []string{"ORDERWATCH_POLL_INITIAL=500ms"}
	if c.hangs {
		s.env = append(s.env, "ORDERWATCH_MODELARTS_TIMEOUT=25s")
	}
	victim, at := s.strike(t, c, "term")
	s.publish(t, "c")
	s.start(t)
	s.awaitTakenUp(t, c, at, 7*time.Second)
	select {
	case <-victim.Done:
		if code := victim.Command.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d; want 0", code)
		}
	case <-time.After(time.Until(at.Add(10 * time.Second))):
		t.Error("still running 10 s after SIGTERM")
	}
	s.awaitFinished(t)
	if took := time.Since(at); took > 30*time.Second {
		t.Errorf("finished %s after SIGTERM: AckWait was waited for", took)
	}
	s.check(t, c, "term")
}

// TestFaultPoints holds that the crashes strike at every point that there is, that a misspelt fault
// ends the program, and that a program that is shipped has no fault points.
func TestFaultPoints(t *testing.T) {
	t.Parallel()
	faulty := rig.Build(t, rig.Worker, "faults")
	for _, c := range []struct{ env, want string }{
		{"FAULT_POINT=poll.answred FAULT_ACTION=kill", `no fault point "poll.answred"`},
		{"FAULT_POINT=poll.answered:0 FAULT_ACTION=kill", "the passing must be a number from 1"},
		{"FAULT_POINT=poll.answered FAULT_ACTION=sleep", `no fault action "sleep"`},
		{"FAULT_POINT=poll.answered", `no fault action ""`},
		{"FAULT_ACTION=kill", `no fault point ""`},
		{"FAULT_PIONT=poll.answered", "FAULT_PIONT: no such variable"},
		{`FAULT_TIMING={"AckWate":"3s"}`, `no duration "AckWate"`},
		{`FAULT_TIMING={"AckWait":3}`, "FAULT_TIMING: "},
		{`FAULT_TIMING={"AckWait":"3s"}{}`, "FAULT_TIMING: "},
	} {
		p := rig.Start(t, faulty, append(rig.ServeEnv("nats://127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1:0"), strings.Fields(c.env)...), "serve")
		select {
		case <-p.Done:
		case <-time.After(rig.Patience):
			t.Fatalf("%s: still running", c.env)
		}
		if code := p.Command.ProcessState.ExitCode(); code != 2 || !strings.Contains(p.Text(), c.want) {
			t.Errorf("%s: exit code %d, %s; want 2, %q", c.env, code, p.Text(), c.want)
		}
		if _, list, ok := strings.Cut(p.Text(), "there are: intake."); ok {
			for _, point := range strings.Fields("intake." + list) {
				if !struckAt(point) {
					t.Errorf("no crash strikes at %s", point)
				}
			}
		}
	}

	plain := rig.Build(t, rig.Worker)
	program, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{"FAULT_", "fault point", "store.Passed", "store.ArmFault", "poll.answered"} {
		if bytes.Contains(program, []byte(trace)) {
			t.Errorf("the program that is shipped contains %q", trace)
		}
	}
	if symbols, err := exec.Command("go", "tool", "nm", plain).Output(); err != nil || !bytes.Contains(symbols, []byte("events.New")) || bytes.Contains(symbols, []byte("store.Passed")) {
		t.Errorf("the program that is shipped has the symbol store.Passed, or its symbols cannot be read: %v", err)
	}
}

func struckAt(point string) bool {
	for _, c := range crashes {
		if name, _, _ := strings.Cut(c.point, ":"); name == point && c.only == "" {
			return true
		}
	}
	return false
}
