package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// at lets the nth call of a name go wrong, counted from 1.
func at(name string, nth int, f fault) func(string) fault {
	return func(call string) fault {
		if call == name {
			if nth--; nth == 0 {
				return f
			}
		}
		return fine
	}
}

func TestOneLife(t *testing.T) {
	m := newWorld(t)
	m.order = finishes(30 * time.Second)
	m.publish("build-1", 0)
	m.publish("build-2", 7*time.Second)
	m.run()
	m.check("build-1", "build-2")
	c := m.completions[0]
	if len(m.completions) != 1 || c.Outcome != watcher.PartiallyFailed || c.Polls != m.shown || c.Polls != 6 {
		t.Errorf("%s after %d polls, %d asked", c.Outcome, c.Polls, m.shown)
	}
	if len(m.progress) != 3 || m.progress[2].Number != 3 || len(m.progress[2].Changes) != 1 {
		t.Errorf("progress %+v", m.progress)
	}
	m.publish("build-3", 10*time.Minute)
	m.publish("build-1", 10*time.Minute)
	m.run()
	m.check("build-1", "build-2", "build-3")
	if len(m.completions) != 2 {
		t.Errorf("%d completions", len(m.completions))
	}
}

// The crash table of the design: what happens next, in the calls of the next delivery.
func TestAfterACrash(t *testing.T) {
	const start, step = "highest write schedule", "read newest show write progress schedule"
	const again, wake = "readLatest newest schedule", "read readLatest newest schedule"
	tests := []struct {
		name    string
		crash   func(string) fault
		request int // the request that is delivered again; 0: a wake-up
		next    string
		polls   int // that are repeated
	}{
		{"the request was stored", at("highest", 1, crashBefore), 1, start, 0},
		{"the order's wake-ups were read", at("highest", 1, crashAfter), 1, start, 0},
		{"the record was started", at("write", 1, crashAfter), 1, "highest write readLatest schedule", 0},
		{"the first wake-up was not published", at("schedule", 1, crashBefore), 1, "highest write readLatest schedule", 0},
		{"the request was not acknowledged", at("schedule", 1, crashAfter), 1, again, 0},
		{"the request has not joined", at("write", 3, crashBefore), 2, "readLatest newest write schedule", 0},
		{"the request has joined", at("write", 3, crashAfter), 2, again, 0},
		{"the wake-up was delivered", at("read", 1, crashBefore), 0, step, 0},
		{"the poll was not made", at("show", 1, crashBefore), 0, step, 0},
		{"the poll was made", at("show", 1, crashAfter), 0, step, 1},
		{"the record was written", at("write", 2, crashAfter), 0, wake, 0},
		{"the next wake-up was not published", at("schedule", 2, crashBefore), 0, wake, 0},
		{"the next wake-up was published", at("schedule", 2, crashAfter), 0, "read readLatest newest", 0},
		{"progress was published", at("progress", 1, crashAfter), 0, wake, 0},
		{"the record is not ending", at("write", 5, crashBefore), 0, "read newest show write complete write", 1},
		{"the completion was not published", at("complete", 1, crashBefore), 0, "read readLatest complete write", 0},
		{"the completion was published", at("complete", 1, crashAfter), 0, "read readLatest complete lastCompletion write", 0},
		{"the record has ended", nil, 0, "read readLatest", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newWorld(t)
			m.order = finishes(5 * time.Minute)
			m.reads = tt.name == "the wake-up was delivered" // otherwise nothing is called between this and the poll
			if m.fault = tt.crash; m.fault == nil {
				published := false
				m.fault = func(call string) fault {
					if published && call == "write" {
						published = false
						return crashAfter
					}
					published = published || call == "complete"
					return fine
				}
			}
			requests, ids := []*delivery{m.publish("build-1", 0)}, []string{"build-1"}
			if tt.request == 2 {
				requests, ids = append(requests, m.publish("build-2", time.Second)), append(ids, "build-2")
			}
			var hit *delivery
			for m.runOne() {
				for _, d := range m.queue {
					if hit == nil && d.attempt == 1 && d.at.Equal(m.now.Add(ackWait)) {
						hit = d
					}
				}
			}
			m.check(ids...)
			if hit == nil || len(hit.calls) < 2 {
				t.Fatal("nothing was delivered again")
			}
			if tt.request > 0 && hit != requests[tt.request-1] || tt.request == 0 && slices.Contains(requests, hit) {
				t.Error("another delivery died")
			}
			if got := strings.Join(hit.calls[1], " "); got != tt.next {
				t.Errorf("after the crash: %s\nwant: %s", got, tt.next)
			}
			if len(m.completions) != 1 || m.shown-m.completions[0].Polls != tt.polls {
				t.Errorf("%d completions; %d polls of %d count", len(m.completions), m.completions[0].Polls, m.shown)
			}
		})
	}
}

// busy is two watches of one order: a request, one that joins, and one after the end.
func busy(t testing.TB) *world {
	m := newWorld(t)
	m.order = finishes(30 * time.Second)
	m.publish("build-1", 0)
	m.publish("build-2", 7*time.Second)
	m.publish("build-1", 8*time.Second) // sent twice
	m.publish("build-3", 10*time.Minute)
	m.publish("build-2", 11*time.Minute)
	return m
}

// Each fault at each call.
func TestEachFaultAtEachCall(t *testing.T) {
	calls := 0
	m := busy(t)
	m.fault = func(string) fault { calls++; return fine }
	m.run()
	for f := crashBefore; f <= behind; f++ {
		for nth := range calls {
			t.Run(fmt.Sprint(f, "-", nth), func(t *testing.T) {
				m, n := busy(t), 0
				m.fault = func(string) fault {
					if n++; n == nth+1 {
						return f
					}
					return fine
				}
				m.run()
				m.check("build-1", "build-2", "build-3")
			})
		}
	}
}

// Any faults at any calls; a server that is behind is believed no sooner than after a minute.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			m, left := busy(t), 60
			m.fault = func(string) fault {
				if left == 0 || random.IntN(4) != 0 {
					return fine
				}
				left--
				return 1 + fault(random.IntN(int(behind)))
			}
			m.run()
			m.check("build-1", "build-2", "build-3")
		})
	}
}

// Two pollers take one wake-up: the second runs as a whole before a call of the first.
func TestTwoPollersOnOneWakeup(t *testing.T) {
	for name, since := range map[string]time.Duration{"goes on": 0, "ends": time.Minute} {
		for nth := 1; nth <= 6; nth++ {
			t.Run(fmt.Sprint(name, "/", nth), func(t *testing.T) {
				m := newWorld(t)
				m.order = func(d time.Duration) (watcher.Answer, error) { return finishes(40 * time.Second)(d + since) }
				m.policy.Settle = 0
				m.publish("build-1", 0)
				m.runOne()
				k, n := m.expected(), 0
				m.fault = func(string) fault {
					if n++; n == nth {
						first := m.calls
						m.due(k, m.now)
						m.deliver(m.queue[len(m.queue)-1])
						m.calls = first
					}
					return fine
				}
				m.run()
				m.check("build-1")
				if len(m.completions) != 1 {
					t.Errorf("%d completions", len(m.completions))
				}
				for i, g := range m.progress {
					if slices.ContainsFunc(m.progress[:i], func(other watcher.Progress) bool { return other.Number == g.Number }) {
						t.Errorf("progress %d is published twice", g.Number)
					}
				}
			})
		}
	}
}

// watched is a world with one watch that was polled once.
func watched(t testing.TB) *world {
	t.Helper()
	m := newWorld(t)
	m.publish("build-1", 0)
	m.runOne()
	m.runOne()
	if w := m.record(); w.Polls != 1 || m.waiting[pool.Key()] != m.timer() {
		t.Fatalf("%d polls, waiting %+v", w.Polls, m.waiting)
	}
	clear(m.waiting)
	m.now = m.record().NextPollAt
	m.calls, m.shown = nil, 0
	return m
}

func wakeUp(m *world, k watcher.Wakeup, attempt int) watcher.Verdict {
	m.calls = nil
	return m.poller().Wake(context.Background(), k, attempt)
}

// during runs f before the nth call of the name, once.
func during(name string, nth int, f func()) func(string) fault {
	hit := at(name, nth, crashBefore)
	return func(call string) fault {
		if hit(call) == crashBefore {
			f()
		}
		return fine
	}
}

func TestAJoinDuringAPoll(t *testing.T) {
	for _, call := range []string{"show", "write"} {
		m := watched(t)
		m.fault = during(call, 1, func() { m.intake().Take(context.Background(), request("build-2")) })
		if v := wakeUp(m, m.expected(), 1); v.Action != watcher.Ack || m.shown != 1 {
			t.Errorf("before %s: %+v, asked %d times", call, v, m.shown)
		}
		if w := m.record(); len(w.Requests) != 2 || w.Polls != 2 || m.waiting[pool.Key()] != m.timer() {
			t.Errorf("before %s: %d requests, %d polls", call, len(w.Requests), w.Polls)
		}
	}
}

// A request that comes as the watch ends either joins it or waits for the next.
func TestAJoinDuringTheEnd(t *testing.T) {
	for call, watches := range map[string]int{"show": 1, "lastCompletion": 1, "write": 1, "complete": 2} {
		m := watched(t)
		if call == "lastCompletion" {
			follows(m)
		}
		m.order = finishes(0)
		m.policy.Settle = 0
		m.fault = during(call, 1, func() {
			d := m.publish("build-2", m.now.Sub(begin))
			calls := m.calls
			m.deliver(d)
			m.calls = calls
		})
		m.due(m.expected(), m.now)
		m.run()
		m.check("build-1", "build-2")
		if len(m.completions) != watches {
			t.Errorf("before %s: %d watches", call, len(m.completions))
		}
	}
}

func TestACancelDuringAPoll(t *testing.T) {
	m := watched(t)
	m.fault = during("show", 1, func() {
		w := m.record()
		w.Wish = &watcher.Wish{By: "ada", At: m.now}
		encoded, err := watcher.EncodeWatch(w, m.policy.MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		m.put(pool, encoded)
	})
	m.due(m.expected(), m.now)
	cancelledAt := m.now
	m.run()
	if c := m.completions[0]; c.Outcome != watcher.Cancelled || c.CompletedAt.Sub(cancelledAt) > time.Second || m.shown != 1 {
		t.Errorf("%s %s after the cancel, asked %d times", c.Outcome, c.CompletedAt.Sub(cancelledAt), m.shown)
	}
}

func TestAHoldAsksNobody(t *testing.T) {
	m := watched(t)
	m.hold = time.Minute
	if v := wakeUp(m, m.expected(), 1); v.Action != watcher.Ack || m.shown != 0 {
		t.Errorf("%+v, asked %d times", v, m.shown)
	}
	if k := m.waiting[pool.Key()]; k != m.timer() || k.At.Sub(m.now) != time.Minute {
		t.Errorf("next wake-up %+v; want %+v", k, m.timer())
	}
	m.hold = 24 * time.Hour
	m.run()
	c := m.completions[0]
	if c.Outcome != watcher.TimedOut || c.CompletedAt.Sub(begin) != m.policy.Timeout || !strings.Contains(c.Reason, "held until noon") {
		t.Errorf("%s after %s: %s", c.Outcome, c.CompletedAt.Sub(begin), c.Reason)
	}
}

func TestAWorkerThatEndsTellsNothing(t *testing.T) {
	m := watched(t)
	before := len(m.records[pool.Key()])
	ctx, cancel := context.WithCancelCause(context.Background())
	stopping := errors.New("worker stops")
	m.fault = during("show", 1, func() { cancel(stopping) })
	v := m.poller().Wake(ctx, m.expected(), 1)
	if v.Action != watcher.PutBack || !errors.Is(v.Err, stopping) || len(m.records[pool.Key()]) != before {
		t.Errorf("%+v, %d records written", v, len(m.records[pool.Key()])-before)
	}
}

func TestProgressIsBestEffort(t *testing.T) {
	m := watched(t)
	m.order = finishes(time.Hour)
	m.fault = at("progress", 1, notMade)
	if v := wakeUp(m, m.expected(), 1); v.Action != watcher.Ack {
		t.Errorf("%+v", v)
	}
}

func TestAnOldWakeup(t *testing.T) {
	m := watched(t)
	for name, edit := range map[string]func(*watcher.Wakeup){
		"of an earlier step":  func(k *watcher.Wakeup) { k.Number-- },
		"of an earlier watch": func(k *watcher.Wakeup) { k.WatchID, k.Number = "w_9", k.Number-1 },
	} {
		clear(m.waiting)
		m.queue = nil
		k := m.expected()
		edit(&k)
		if v := wakeUp(m, k, 1); v.Action != watcher.Ack || m.shown != 0 || m.newest() != m.timer() {
			t.Errorf("%s: %+v, waiting %+v", name, v, m.waiting)
		}
	}
}

// A wake-up that is newer than the record comes from a record that the server does not show yet.
func TestAWakeupNewerThanTheRecord(t *testing.T) {
	for _, state := range []watcher.State{watcher.Watching, watcher.Ending, watcher.Ended} {
		m := watched(t)
		w := m.record()
		if state != watcher.Watching {
			w = cancelled(t, m.policy, w, state)
			encoded, err := watcher.EncodeWatch(w, m.policy.MaxPayload)
			if err != nil {
				t.Fatal(err)
			}
			m.put(pool, encoded)
		}
		k := m.expected()
		k.WatchID, k.Number = "w_0", w.Wakeup+1 // ids of watches need not sort
		if v := wakeUp(m, k, 1); v.Action != watcher.PutBack || v.After == 0 || v.Err != nil || len(m.completions) != 0 {
			t.Errorf("%s: %+v, %v", state, v, m.calls)
		}
		if v := wakeUp(m, k, 60); v.Action != watcher.Ack {
			t.Errorf("%s, a minute later: %+v", state, v)
		}
		if state == watcher.Watching && m.newest() != m.timer() {
			t.Errorf("a minute later: waiting %+v", m.waiting)
		}
	}
}

func TestAWakeupWithoutARecord(t *testing.T) {
	m := watched(t)
	k := m.expected()
	m.put(pool, nil)
	for _, attempt := range []int{1, 2, 59} {
		if v := wakeUp(m, k, attempt); v.Action != watcher.PutBack || v.After == 0 {
			t.Errorf("attempt %d: %+v", attempt, v)
		}
	}
	if v := wakeUp(m, k, 60); v.Action != watcher.Ack {
		t.Errorf("attempt 60: %+v", v)
	}
}

func TestAStaleReadCostsOnePoll(t *testing.T) {
	m := watched(t)
	k := m.expected()
	if v := wakeUp(m, k, 1); v.Action != watcher.Ack {
		t.Fatalf("%+v", v)
	}
	next := m.expected()
	clear(m.waiting)
	m.fault = always("read", behind)
	v := wakeUp(m, k, 2)
	if v.Action != watcher.Ack || m.expected() != next || m.waiting[pool.Key()] != m.timer() || m.record().Polls != 2 || m.shown != 2 {
		t.Errorf("%+v, record expects %+v, asked %d times", v, m.expected(), m.shown)
	}
}

// A server that stays behind shows a watch that has ended as ending: a second copy of its last wake-up
// must not publish and write again and again for that.
func TestAStaleEndingIsNoEnding(t *testing.T) {
	m := watched(t)
	m.order = finishes(0)
	m.policy.Settle = 0
	k := m.expected()
	if v := wakeUp(m, k, 1); v.Action != watcher.Ack || m.record().State != watcher.Ended {
		t.Fatalf("%+v, %s", v, m.record().State)
	}
	m.fault = always("read", behind)
	if v := wakeUp(m, k, 2); v.Action != watcher.Ack || len(m.completions) != 1 {
		t.Errorf("%+v, %d completions", v, len(m.completions))
	}
}

func TestARecordOfALaterVersion(t *testing.T) {
	m := watched(t)
	k := m.expected()
	m.put(pool, []byte(`{"schema":3}`))
	if v := wakeUp(m, k, 1); v.Action != watcher.PutBack || v.After < time.Second || !errors.Is(v.Err, watcher.ErrNewerSchema) {
		t.Errorf("%+v", v)
	}
}

// earlier is the completion of an earlier watch of the pool.
var earlier = completion{7, watcher.Completion{Report: watcher.Report{WatchID: "w_0", ProjectID: pool.ProjectID, OrderName: pool.Name}}}

// follows makes the pool's watch one that follows an earlier one.
func follows(m *world) {
	w := m.record()
	w.Earlier = []string{"build-0"}
	encoded, err := watcher.EncodeWatch(w, m.policy.MaxPayload)
	if err != nil {
		m.t.Fatal(err)
	}
	m.put(pool, encoded)
}

// The order's record may have been deleted, and its last completion be kept: its next watch is taken for the first.
func TestACompletionWithoutItsRecord(t *testing.T) {
	m := watched(t)
	m.order = finishes(0)
	m.policy.Settle = 0
	m.completions = append(m.completions, earlier)
	if v := wakeUp(m, m.expected(), 1); v.Action != watcher.PutBack || m.record().State != watcher.Ending || m.record().After != 7 {
		t.Fatalf("%+v, after %d", v, m.record().After)
	}
	if v := wakeUp(m, m.expected(), 2); v.Action != watcher.Ack || m.record().State != watcher.Ended || len(m.completions) != 2 {
		t.Errorf("%+v, %s, %d completions", v, m.record().State, len(m.completions))
	}
}

// The sequence of the order's last completion may have been read from a server that was behind.
func TestAStaleSequenceIsCorrected(t *testing.T) {
	m := watched(t)
	follows(m)
	m.order = finishes(0)
	m.policy.Settle = 0
	m.completions = append(m.completions, earlier)
	m.fault = at("lastCompletion", 1, behind)
	if v := wakeUp(m, m.expected(), 1); v.Action != watcher.PutBack || m.record().State != watcher.Ending || m.record().After != 7 {
		t.Fatalf("%+v, after %d", v, m.record().After)
	}
	if v := wakeUp(m, m.expected(), 2); v.Action != watcher.Ack || m.record().State != watcher.Ended || len(m.completions) != 2 {
		t.Errorf("%+v, %s, %d completions", v, m.record().State, len(m.completions))
	}
}

// The last completion may expire, or its stream be made anew, before an ending watch is published.
func TestASequenceThatWentDownIsCorrectedLate(t *testing.T) {
	m := watched(t)
	follows(m)
	m.order = finishes(0)
	m.policy.Settle = 0
	m.completions = append(m.completions, earlier)
	m.fault = at("complete", 1, notMade)
	k := m.expected()
	if v := wakeUp(m, k, 1); v.Action != watcher.PutBack || m.record().After != 7 {
		t.Fatalf("%+v, after %d", v, m.record().After)
	}
	m.completions = nil
	if v := wakeUp(m, k, 59); v.Action != watcher.PutBack || m.record().After != 7 {
		t.Errorf("attempt 59: %+v, after %d", v, m.record().After)
	}
	if v := wakeUp(m, k, 60); v.Action != watcher.PutBack || m.record().After != 0 {
		t.Errorf("attempt 60: %+v, after %d", v, m.record().After)
	}
	if v := wakeUp(m, k, 61); v.Action != watcher.Ack || m.record().State != watcher.Ended || len(m.completions) != 1 {
		t.Errorf("attempt 61: %+v, %s", v, m.record().State)
	}
}

// TestBehindTheTime lets workers think that it is earlier than it is: a wake-up that comes before
// its time, as they see it, is not answered with another at once.
func TestBehindTheTime(t *testing.T) {
	for _, behind := range []time.Duration{0, 200 * time.Millisecond, 3 * time.Second} {
		m := newWorld(t)
		m.behind = behind
		m.order = func(time.Duration) (watcher.Answer, error) { return answer(1, succeed), nil }
		m.publish("build-1", 0)
		for m.runOne() {
		}
		m.check("build-1")
		if polls := m.completions[0].Polls; polls != 2 {
			t.Errorf("%v behind: %d polls; want 2", behind, polls)
		}
	}
}

// TestUnchangedPollsAreLeftUnwritten holds how often the record is written while nothing changes, and that what is shown goes on.
func TestUnchangedPollsAreLeftUnwritten(t *testing.T) {
	for every, most := range map[time.Duration]int{10 * time.Second: 16, time.Minute: 10, 4 * time.Minute: 2, 11 * time.Minute: 1} {
		m := newWorld(t)
		m.policy.Backoff = watcher.Backoff{Initial: every, Multiplier: 1, Max: every}
		m.policy.Timeout, m.policy.Patience.Stalled = 1000*time.Hour, 1000*time.Hour
		m.publish("build-1", 0)
		for m.shown < 200 {
			m.runOne()
		}
		written := len(m.records[pool.Key()]) - 2 // it began, and its first poll
		if want := 199 / most; written < want-1 || written > want+1 {
			t.Errorf("every %s: written %d times at 199 polls; want %d", every, written, want)
		}
		shown := m.record().Merged(m.newest())
		if shown.Polls != 200 || m.now.Sub(shown.LastPollAt) > time.Second || !shown.NextPollAt.After(m.now) {
			t.Errorf("every %s: %d polls, the last %s ago, the next in %s", every, shown.Polls, m.now.Sub(shown.LastPollAt), shown.NextPollAt.Sub(m.now))
		}
	}
}
