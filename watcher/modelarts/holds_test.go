package modelarts_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A fleet is workers on one bucket, with one clock and one log.
type fleet struct {
	t       *testing.T
	clock   *clock
	cloud   *emulator.Emulator
	bucket  *bucket
	clients []*modelarts.Client
	log     bytes.Buffer
}

// newFleet starts workers whose login has been accepted.
func newFleet(t *testing.T, workers int) *fleet {
	t.Helper()
	f := &fleet{t: t, clock: newClock(), cloud: one(), bucket: newBucket(workers)}
	c := config(t, serve(t, f.cloud))
	c.Rate, c.Now, c.Accounts = 20, f.clock.Now, f.bucket
	for range workers {
		client, err := modelarts.New(slog.New(slog.NewTextHandler(&f.log, nil)), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		f.clients = append(f.clients, client)
		if f.show(client) != nil {
			t.Fatal("the first call failed")
		}
	}
	return f
}

func (f *fleet) show(c *modelarts.Client) error {
	_, err := c.Show(f.t.Context(), region, order("order.x"))
	return err
}

func (f *fleet) wait(c *modelarts.Client) watcher.Leave {
	return c.Wait(f.t.Context(), region, order("order.x"), f.clock.now, watcher.Turn{})
}

// calls lets every worker ask whenever it may for a time, looking every so often, and returns how
// many calls were made.
func (f *fleet) calls(span, tick time.Duration) int {
	n := 0
	for end := f.clock.now.Add(span); f.clock.now.Before(end); f.clock.now = f.clock.now.Add(tick) {
		for _, c := range f.clients {
			for leave := f.wait(c); leave.After == 0; leave = f.wait(c) {
				n++
				f.show(c)
				if leave.Soon > 0 { // the tokens are used up
					break
				}
			}
		}
	}
	return n
}

var kinds = []struct {
	name     string
	fault    emulator.Fault
	calls    int // until it holds
	kind     watcher.HoldKind
	min, max time.Duration // of the hold
}{
	{"Retry-After", emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "42"}}, 1, watcher.HeldThrottled, 42 * time.Second, 42 * time.Second},
	{"absurd Retry-After", emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "86400"}}, 1, watcher.HeldThrottled, 15 * time.Minute, 15 * time.Minute},
	{"limit in the text", emulator.Fault{Status: 429, Code: "APIG.0308", Message: "policy user over ratelimit,limit:200,time:1 minute"}, 1, watcher.HeldThrottled, time.Minute, time.Minute},
	{"neither", emulator.Fault{Status: 429}, 1, watcher.HeldThrottled, 13 * time.Second, 17 * time.Second},
	{"wrong key", emulator.Fault{Status: 401, Code: "APIG.0301", Message: "verify aksk signature fail"}, 1, watcher.HeldLogin, 5 * time.Minute, 5 * time.Minute},
	{"locked key", emulator.Fault{Status: 401, Code: "APIGW.0301", Message: "AK access failed to reach the limit,forbidden"}, 1, watcher.HeldLogin, 5 * time.Minute, 5 * time.Minute},
	{"dead token", emulator.Fault{Status: 401, Code: "APIG.0307"}, 1, watcher.HeldLogin, 50 * time.Second, 70 * time.Second},
	{"arrears", emulator.Fault{Status: 403, Code: "ModelArts.4116"}, 1, watcher.HeldArrears, 50 * time.Second, 70 * time.Second},
	{"503 HTML", emulator.Fault{Status: 503, Shape: emulator.HTML}, 5, watcher.HeldUnreachable, 4 * time.Second, 6 * time.Second},
	{"reset", emulator.Fault{Cut: true}, 5, watcher.HeldUnreachable, 4 * time.Second, 6 * time.Second},
}

// A call that shows that the account may not be asked holds it on every worker.
func TestHolds(t *testing.T) {
	for _, tt := range kinds {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t, 2)
			f.cloud.SetFaults(tt.fault)
			for n := range tt.calls {
				if leave := f.wait(f.clients[0]); leave.After != 0 {
					t.Fatalf("before call %d: %+v", n+1, leave)
				}
				f.clock.now = f.clock.now.Add(time.Second)
				err := f.show(f.clients[0])
				if e, ok := errors.AsType[*watcher.PollError](err); !ok || (e.Held == tt.kind) != (n == tt.calls-1) {
					t.Errorf("call %d: held as %q: %v", n+1, e.Held, err)
				}
			}
			for i, c := range f.clients {
				first := f.wait(c)
				if first.Held != tt.kind || first.Code != tt.fault.Code {
					t.Errorf("worker %d: held as %q, code %q", i, first.Held, first.Code)
				}
				if first.After < tt.min || first.After > tt.max+2*time.Second+time.Millisecond || first.Held == "" || !strings.Contains(first.Why, "no call before 2026-01-01T12:") {
					t.Errorf("worker %d: %+v", i, first)
				}
				apart := 100 * time.Millisecond // the others come back one by one
				if tt.kind == watcher.HeldArrears {
					apart = 0 // they are one project's
				}
				if next := f.wait(c); next.After != first.After+apart {
					t.Errorf("worker %d: %v after %v", i, next.After, first.After)
				}
			}
			for key, hold := range f.bucket.holds {
				if hold.Kind != tt.kind || hold.Region != region || (hold.ProjectID == project) != (tt.kind == watcher.HeldArrears) || !strings.HasSuffix(key, hold.ProjectID) {
					t.Errorf("%s: %+v", key, hold)
				}
			}
			if strings.Count(f.log.String(), "WARN") != 1 || strings.Contains(f.log.String(), secret) {
				t.Errorf("log:\n%s", &f.log)
			}
		})
	}
}

// While the account is held one call at a time, over all workers, finds out whether it still is;
// once one was answered all goes on, at the rate.
func TestHoldsEnd(t *testing.T) {
	for _, tt := range kinds {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t, 3)
			f.cloud.SetFaults(tt.fault)
			for range tt.calls {
				f.clock.now = f.clock.now.Add(time.Second)
				f.show(f.clients[0])
			}
			const span = 10 * time.Minute
			if n := f.calls(span, 2*time.Second); n > int(span/tt.min)+1 {
				t.Errorf("%d calls in %s", n, span)
			}
			f.cloud.SetFaults()
			f.calls(16*time.Minute, 2*time.Second)   // the longest hold, at least
			f.clock.now = f.clock.now.Add(time.Hour) // the slots that nobody uses are past
			if n := f.calls(5*time.Second, 250*time.Millisecond); n < 80 || n > 108 {
				t.Errorf("%d calls in 5 s at 20 calls a second", n)
			}
			for key, hold := range f.bucket.holds {
				if hold.Stands() || hold.Over.IsZero() {
					t.Errorf("%s: %+v", key, hold)
				}
			}
			if warns, infos := strings.Count(f.log.String(), "WARN"), strings.Count(f.log.String(), "INFO"); warns != 1 || infos != 1 {
				t.Errorf("log:\n%s", &f.log)
			}
		})
	}
}

// In 30 s of 429 there is at most one probe, and no burst over the rate afterwards.
func TestThirtySecondsOf429(t *testing.T) {
	f := newFleet(t, 3)
	f.cloud.SetFaults(emulator.Fault{Status: 429})
	f.clock.now = f.clock.now.Add(time.Second)
	f.show(f.clients[0])
	if n := f.calls(30*time.Second, 250*time.Millisecond); n > 1 {
		t.Errorf("%d probes in 30 s", n)
	}
	f.cloud.SetFaults()
	for range 60 {
		if n := f.calls(time.Second, 250*time.Millisecond); n > 30 {
			t.Errorf("%d calls in a second at 20 calls a second", n)
		}
	}
}

// Twenty calls in flight that are all refused are one refusal, not twenty.
func TestCallsInFlightMakeOneHold(t *testing.T) {
	f := newFleet(t, 1)
	f.cloud.SetFaults(emulator.Fault{Status: 429})
	start, done := make(chan struct{}), make(chan struct{})
	for range 20 {
		go func() {
			<-start
			f.show(f.clients[0])
			done <- struct{}{}
		}()
	}
	close(start)
	for range 20 {
		<-done
	}
	if leave := f.wait(f.clients[0]); leave.After > 17*time.Second {
		t.Errorf("held for %v", leave.After)
	}
	if strings.Count(f.log.String(), "WARN") != 1 {
		t.Errorf("log:\n%s", &f.log)
	}
}

// One call that fails among others that are answered holds nobody; nor do the answers of calls that
// were under way when the hold began end it.
func TestFailuresAmongAnswers(t *testing.T) {
	f := newFleet(t, 1)
	for range 20 {
		f.cloud.SetFaults(emulator.Fault{Status: 500, ToPoll: 4})
		for range 5 {
			f.show(f.clients[0])
		}
		f.clock.now = f.clock.now.Add(time.Second)
	}
	if leave := f.wait(f.clients[0]); leave.Held != "" {
		t.Errorf("%+v", leave)
	}
}

// A lack of a permission is told with when others were answered; only an account that is not
// answered about others is held.
func TestPermission(t *testing.T) {
	f := newFleet(t, 1)
	refusal := emulator.Fault{Status: 403, Code: "ModelArts.0210", Message: "project differs"}
	f.cloud.Add(project, "order.theirs", emulator.Order{Faults: []emulator.Fault{refusal}})
	ask := func() *watcher.PollError {
		_, err := f.clients[0].Show(t.Context(), region, order("order.theirs"))
		refused, ok := errors.AsType[*watcher.PollError](err)
		if !ok || refused.Class != watcher.Forbidden {
			t.Fatalf("%v", err)
		}
		return refused
	}
	answered := f.clock.now
	f.clock.now = answered.Add(30 * time.Second)
	if refused := ask(); !refused.OthersAnswered.Equal(answered) {
		t.Errorf("others were answered at %s; told %s", answered, refused.OthersAnswered)
	}
	if leave := f.wait(f.clients[0]); leave.Held != "" {
		t.Errorf("one order's refusal holds the account: %+v", leave)
	}
	f.clock.now = answered.Add(2 * time.Minute)
	ask()
	if leave := f.wait(f.clients[0]); leave.Held == "" || !strings.Contains(leave.Why, "permission") {
		t.Errorf("nobody was answered for two minutes: %+v", leave)
	}
}

// One project in arrears keeps no other waiting.
func TestArrearsOfOneProject(t *testing.T) {
	f := newFleet(t, 1)
	f.clock.now = f.clock.now.Add(time.Second)
	f.cloud.Add("other", "order.y", emulator.Order{Faults: []emulator.Fault{{Status: 403, Code: "ModelArts.4116"}}})
	theirs := watcher.Order{ProjectID: "other", Name: "order.y"}
	f.clients[0].Show(t.Context(), region, theirs)
	for range 20 {
		if leave := f.clients[0].Wait(t.Context(), region, theirs, f.clock.now, watcher.Turn{}); leave.Held == "" {
			t.Fatalf("%+v", leave)
		}
	}
	for range 8 { // what may come at once
		if leave := f.wait(f.clients[0]); leave.After != 0 {
			t.Errorf("the others wait, too: %+v", leave)
		}
	}

	// Nor does it keep the worker that finds out whether the account is held from doing so.
	f.bucket.SetHold(t.Context(), accountOf(f), watcher.Hold{Kind: watcher.HeldThrottled, Since: f.clock.now.Add(-time.Minute), Until: f.clock.now}, 0)
	f.clock.now = f.clock.now.Add(time.Second)
	if leave := f.clients[0].Wait(t.Context(), region, theirs, f.clock.now, watcher.Turn{}); leave.Held == "" {
		t.Errorf("%+v", leave)
	}
	if leave := f.wait(f.clients[0]); leave.After != 0 {
		t.Errorf("nobody may find out: %+v", leave)
	}
}

// accountOf returns the key of the account's own hold.
func accountOf(f *fleet) string {
	for key := range f.bucket.holds {
		if account, ok := strings.CutSuffix(key, ".other"); ok {
			return account
		}
	}
	f.t.Fatal("no project is held")
	return ""
}

// A worker that has no network of its own leaves the account to the others.
func TestOneWorkerWithoutNetwork(t *testing.T) {
	f := newFleet(t, 2)
	gone := httptest.NewServer(one())
	c := config(t, gone)
	c.Rate, c.Now, c.Accounts = 20, f.clock.Now, f.bucket
	broken := newClient(t, c)
	f.show(broken)
	gone.Close()
	answered, rested := 0, false
	for end := f.clock.now.Add(10 * time.Minute); f.clock.now.Before(end); f.clock.now = f.clock.now.Add(time.Second) {
		switch leave := f.wait(broken); {
		case leave.After == 0:
			f.show(broken)
		case strings.Contains(leave.Why, "only for this worker"):
			if rested = true; leave.Held != watcher.HeldUnreachable {
				t.Fatalf("it rests: %+v", leave)
			}
		}
		if f.wait(f.clients[0]).After == 0 && f.show(f.clients[0]) == nil {
			answered++
		}
	}
	if answered < 500 || !rested {
		t.Errorf("the other worker was answered %d times in 10 minutes; this one rested: %t", answered, rested)
	}
}

// A bucket that takes nothing more keeps no hold for ever.
func TestHoldsThatCannotBeStored(t *testing.T) {
	f := newFleet(t, 1)
	f.clock.now = f.clock.now.Add(time.Second)
	f.cloud.SetFaults(emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "5"}})
	f.show(f.clients[0])
	f.cloud.SetFaults()
	f.bucket.broken = true
	if n := f.calls(5*time.Minute, time.Second); n < 1000 {
		t.Errorf("%d calls in 5 minutes", n)
	}
}
