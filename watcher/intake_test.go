package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

func take(m *world, ask watcher.Ask) watcher.Verdict {
	m.calls = nil
	return m.intake().Take(context.Background(), ask)
}

func TestTake(t *testing.T) {
	other := request("build-2")
	other.Region = "elsewhere"
	ended := func(state watcher.State) func(*world) {
		return func(m *world) {
			encoded, err := watcher.EncodeWatch(cancelled(m.t, m.policy, m.record(), state), m.policy.MaxPayload)
			if err != nil {
				m.t.Fatal(err)
			}
			m.put(pool, encoded)
		}
	}
	tests := []struct {
		name   string
		before func(*world)
		ask    watcher.Ask
		action watcher.Action
		after  time.Duration
		calls  string
	}{
		{"starts", func(m *world) { clear(m.records) }, request("build-2"), watcher.Ack, 0, "readLatest highest write schedule"},
		{"starts after a deletion", func(m *world) { m.put(pool, nil) }, request("build-2"), watcher.Ack, 0, "readLatest highest write schedule"},
		{"starts after the end", ended(watcher.Ended), request("build-2"), watcher.Ack, 0, "readLatest write schedule"},
		{"joins", nil, request("build-2"), watcher.Ack, 0, "readLatest newest write schedule"},
		{"again", nil, request("build-1"), watcher.Ack, 0, "readLatest newest schedule"},
		{"again while it ends", ended(watcher.Ending), request("build-1"), watcher.Ack, 0, "readLatest"},
		{"again after the end", ended(watcher.Ended), request("build-1"), watcher.Ack, 0, "readLatest"},
		{"while another ends", ended(watcher.Ending), request("build-2"), watcher.PutBack, time.Second, "readLatest"},
		{"another region", nil, other, watcher.Refuse, 0, "readLatest newest"},
		{"a later version's record", func(m *world) { m.put(pool, []byte(`{"schema":3}`)) }, request("build-2"), watcher.PutBack, 5 * time.Second, "readLatest"},
		{"a broken record", func(m *world) { m.put(pool, []byte(`{`)) }, request("build-2"), watcher.PutBack, 0, "readLatest"},
		{"no answer to the read", func(m *world) { m.fault = at("readLatest", 1, notMade) }, request("build-2"), watcher.PutBack, 0, "readLatest"},
		{"no answer to the write", func(m *world) { m.fault = at("write", 1, answerLost) }, request("build-2"), watcher.PutBack, 0, "readLatest newest write"},
		{"no answer to the wake-up", func(m *world) { m.fault = at("schedule", 1, answerLost) }, request("build-1"), watcher.PutBack, 0, "readLatest newest schedule"},
		{"a server that is behind", func(m *world) { m.fault = at("readLatest", 1, behind) }, request("build-2"), watcher.Ack, 0, "readLatest write readLatest newest write schedule"},
		{"a conflict that never ends", func(m *world) { m.fault = always("write", untrue) }, request("build-2"), watcher.PutBack, 0, strings.TrimSpace(strings.Repeat("readLatest newest write ", 5))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := watched(t)
			if tt.before != nil {
				tt.before(m)
			}
			v := take(m, tt.ask)
			if v.Action != tt.action || v.After != tt.after {
				t.Errorf("verdict %+v", v)
			}
			if got := strings.Join(m.calls, " "); got != tt.calls {
				t.Errorf("calls %s, want %s", got, tt.calls)
			}
			if _, ok := errors.AsType[*watcher.FieldError](v.Err); ok != (v.Action == watcher.Refuse) {
				t.Errorf("error %v", v.Err)
			}
		})
	}
}

func always(name string, f fault) func(string) fault {
	return func(call string) fault {
		if call == name {
			return f
		}
		return fine
	}
}

func TestTheFirstWakeupIsDueAtOnce(t *testing.T) {
	m := newWorld(t)
	m.now = begin.Add(time.Minute) // the request waited
	take(m, request("build-1"))
	if k := m.newest(); k != m.timer() || k.Number != 1 || k.At.After(m.now) {
		t.Errorf("waiting %+v", k)
	}
}

// A request that is delivered again publishes the wake-up that the record expects, no other.
func TestARepeatMovesNoWakeup(t *testing.T) {
	m := watched(t)
	m.now = m.now.Add(-time.Second)
	take(m, request("build-1"))
	if k := m.waiting[pool.Key()]; k != m.timer() || k.Number != 2 || !k.At.After(m.now) {
		t.Errorf("waiting %+v, expected %+v", k, m.expected())
	}
}

// Two requests come at once: one starts the watch, the other joins it.
func TestTwoRequestsAtOnce(t *testing.T) {
	for _, call := range []string{"highest", "write", "schedule"} {
		m := newWorld(t)
		m.order = finishes(time.Minute)
		m.publish("build-1", 0)
		m.fault = during(call, 1, func() {
			d := m.publish("build-2", 0)
			calls := m.calls
			m.deliver(d)
			m.calls = calls
		})
		m.run()
		m.check("build-1", "build-2")
		if len(m.completions) != 1 {
			t.Errorf("before %s: %d watches", call, len(m.completions))
		}
	}
}

// The one request that came too late for a full watch has a watch of its own.
func TestTheRequestAfterTheLast(t *testing.T) {
	watchertest.Unraced(t)
	m := newWorld(t)
	m.order = finishes(5 * time.Minute)
	var ids []string
	for i := range 1001 {
		ids = append(ids, fmt.Sprint("build-", i))
		m.publish(ids[i], 0)
	}
	m.run()
	m.check(ids...)
	if len(m.completions) != 2 || len(m.completions[0].Requests) != 1000 {
		t.Errorf("%d watches, the first for %d requests", len(m.completions), len(m.completions[0].Requests))
	}
}

// TestWhatWaitsIsAllowedFirst holds that a request for a full watch is let wait where its team may ask so, and that this
// is looked at when it comes, not each time that it comes again.
func TestWhatWaitsIsAllowedFirst(t *testing.T) {
	watchertest.Unraced(t)
	m := newWorld(t)
	full := admit(t, m.policy, request("build-0"))
	for i := 1; i < 1000; i++ {
		full = joined(t, m.policy, full, request(fmt.Sprint("build-", i)))
	}
	encoded, err := watcher.EncodeWatch(full, m.policy.MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	m.put(pool, encoded)
	asked := 0
	in := m.intake()
	in.Allow = func(context.Context, watcher.Ask) error {
		asked++
		if asked > 1 {
			return &watcher.FieldError{Reason: "too many"}
		}
		return nil
	}
	late := of("x", "late", 0, time.Hour)
	late.Request.ReceivedAt = m.now.Add(-20 * time.Second)
	for i, c := range []struct {
		ask    watcher.Ask
		action watcher.Action
		asked  int
	}{{of("x", "first", 0, time.Hour), watcher.PutBack, 1}, {late, watcher.PutBack, 1}, {of("x", "second", 0, time.Hour), watcher.Refuse, 2}} {
		if v := in.Take(t.Context(), c.ask); v.Action != c.action || asked != c.asked {
			t.Errorf("%d: %+v, asked %d times", i, v, asked)
		}
	}
}

func TestTheDeadlineCountsFromWhenTheRequestWasStored(t *testing.T) {
	m := newWorld(t)
	d := m.publish("build-1", 0)
	d.at = begin.Add(90 * time.Minute) // no worker was there
	m.run()
	if c := m.completions[0]; c.Outcome != watcher.TimedOut || c.CompletedAt.Sub(begin) != 2*time.Hour {
		t.Errorf("%s after %s", c.Outcome, c.CompletedAt.Sub(begin))
	}
}
