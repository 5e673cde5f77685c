package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A world is all that surrounds the domain, in memory: the cloud, the stores, the queue, the
// clock, and workers that take what is delivered. Everything in it goes wrong on demand.
type world struct {
	t      testing.TB
	now    time.Time
	behind time.Duration // how far the workers' estimate of the time is behind it
	lag    time.Duration // how far the servers that do not write are behind
	policy watcher.Policy

	order func(since time.Duration) (watcher.Answer, error) // what the cloud shows, by the time since begin
	hold  time.Duration                                     // the account may not be asked for this long
	turns []watcher.Turn                                    // of those who wanted to ask
	shown int

	late                []time.Duration // late_after of the requests that are published, in that order
	heldFrom, heldUntil time.Time       // the account is held

	kept   [workers]map[watcher.Order]version // what each worker keeps of records
	reads  bool                               // workers read records although they keep them
	worker func() int                         // which of them is at hand

	fault func(call string) fault // what goes wrong with the call that is about to be made
	calls []string                // of the delivery at hand

	sequence    uint64
	records     map[string][]version
	hasty       bool      // a wake-up takes the place of any
	story       []version // of the pool's record, also with the polls that left it unwritten
	waiting     map[string]watcher.Wakeup
	scheduled   []watcher.Wakeup // all that were ever waiting
	completions []completion
	progress    []watcher.Progress
	attended    []watcher.OrderAttention
	toldAt      []time.Time // when each of them was published
	queue       []*delivery
	refused     []error
	conflicts   int // of records
}

// A fault is what goes wrong with one call.
type fault int

const (
	fine        fault = iota
	crashBefore       // the worker dies before the call is made
	crashAfter        // the call is made, and the worker dies
	answerLost        // the call is made, and its answer is an error
	notMade           // an error, and nothing happened
	untrue            // a conflict where there is none, by a server that is behind
	behind            // a server that shows what was before the latest write
)

var errUnknown = errors.New("no answer")

// crashed is what a worker that dies panics with.
type crashed struct{}

// A version is what a record was, from a time on.
type version struct {
	revision watcher.Revision
	at       time.Time
	watch    watcher.Watch
	err      error // of reading it
	encoded  []byte
	read     time.Time // by the worker that keeps it
}

type completion struct {
	sequence uint64
	watcher.Completion
}

// A delivery is a message that some worker is to take.
type delivery struct {
	take    func(attempt int) watcher.Verdict
	request string         // its id, where it is one
	wakeup  watcher.Wakeup // otherwise
	at      time.Time
	attempt int
	calls   [][]string // by attempt
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, now: begin, policy: policy(),
		order:   func(time.Duration) (watcher.Answer, error) { return answer(1, processing), nil },
		fault:   func(string) fault { return fine },
		worker:  func() int { return 0 },
		records: make(map[string][]version),
		waiting: make(map[string]watcher.Wakeup),
	}
}

func (m *world) intake() *watcher.Intake {
	return &watcher.Intake{Log: slog.New(slog.DiscardHandler), Policy: m.policy, Records: m, Wakeups: m, Now: func() time.Time { return m.now.Add(-m.behind) }}
}

func (m *world) poller() *watcher.Poller {
	return &watcher.Poller{Log: slog.New(slog.DiscardHandler), Policy: m.policy, Orders: m, Records: m, Wakeups: m, Events: m, AckWait: ackWait, Now: func() time.Time { return m.now.Add(-m.behind) }}
}

// call makes a call of the given name, or lets it go wrong.
func (m *world) call(name string, do func(stale bool) error) error {
	m.calls = append(m.calls, name)
	f := m.fault(name)
	switch f {
	case crashBefore:
		panic(crashed{})
	case notMade:
		return errUnknown
	case untrue:
		return watcher.ErrConflict
	}
	err := do(f == behind)
	switch f {
	case crashAfter:
		panic(crashed{})
	case answerLost:
		return errUnknown
	}
	return err
}

func (m *world) Wait(_ context.Context, _ string, _ watcher.Order, _ time.Time, turn watcher.Turn) watcher.Leave {
	m.turns = append(m.turns, turn)
	if !m.now.Before(m.heldFrom) && m.now.Before(m.heldUntil) {
		return watcher.Leave{After: min(2*time.Minute, m.heldUntil.Sub(m.now)), Why: "throttled", Held: watcher.HeldThrottled}
	}
	return watcher.Leave{After: m.hold, Full: true, Why: "held until noon"}
}

func (*world) Book(_ string, _ watcher.Order, _ time.Time, turn watcher.Turn) time.Time {
	return turn.At
}

func (m *world) Show(context.Context, string, watcher.Order) (a watcher.Answer, err error) {
	err = m.call("show", func(bool) error {
		m.shown++
		var err error
		a, err = m.order(m.now.Sub(begin))
		return err
	})
	return a, err
}

// Recall returns what the worker at hand keeps, which nobody has changed.
func (m *world) Recall(o watcher.Order) (watcher.Watch, watcher.Revision, bool) {
	v, ok := m.kept[m.worker()][o]
	if encoded, err := watcher.EncodeWatch(v.watch, m.policy.MaxPayload); ok && (err != nil || string(encoded) != string(v.encoded)) {
		panic(fmt.Sprintf("record %d is kept as %s; it is %s", v.revision, encoded, v.encoded))
	}
	return v.watch, v.revision, ok && !m.reads && m.now.Sub(v.read) <= 5*time.Minute
}

// keep lets the worker at hand keep the version, and forget what it kept where the other is not known, or not watched.
func (m *world) keep(o watcher.Order, v version, err error) {
	mine := &m.kept[m.worker()]
	switch {
	case err != nil || v.watch.State != watcher.Watching:
		delete(*mine, o)
	case (*mine)[o].revision <= v.revision:
		if v.read = m.now; *mine == nil {
			*mine = make(map[watcher.Order]version)
		}
		(*mine)[o] = v
	}
}

func (m *world) Read(_ context.Context, o watcher.Order) (watcher.Watch, watcher.Revision, error) {
	return m.read("read", o)
}

func (m *world) ReadLatest(_ context.Context, o watcher.Order) (watcher.Watch, watcher.Revision, error) {
	return m.read("readLatest", o)
}

func (m *world) read(call string, o watcher.Order) (w watcher.Watch, revision watcher.Revision, err error) {
	err = m.call(call, func(stale bool) error {
		versions := m.records[o.Key()]
		if stale && len(versions) > 0 {
			versions = versions[:len(versions)-1]
		}
		for call == "read" && len(versions) > 0 && m.now.Sub(versions[len(versions)-1].at) < m.lag {
			versions = versions[:len(versions)-1]
		}
		if len(versions) == 0 {
			return watcher.ErrNoRecord
		}
		latest := versions[len(versions)-1]
		w, revision = latest.watch, latest.revision
		if latest.err == nil {
			m.keep(o, latest, nil)
		}
		return latest.err
	})
	return w, revision, err
}

func (m *world) Write(_ context.Context, w watcher.Watch, expected watcher.Revision) (revision watcher.Revision, err error) {
	var stored version
	err = m.call("write", func(bool) error {
		versions := m.records[w.Key()]
		if len(versions) > 0 && versions[len(versions)-1].revision != expected || len(versions) == 0 && expected != 0 {
			m.conflicts++
			return watcher.ErrConflict
		}
		var encoded []byte
		var err error
		if encoded, stored.watch, err = w.Encode(m.policy.MaxPayload); err != nil {
			return err
		}
		revision = m.put(w.Order, encoded)
		stored.revision, stored.encoded = revision, encoded
		return nil
	})
	m.keep(w.Order, stored, err)
	return revision, err
}

// put stores a record whatever is there; nil deletes it.
func (m *world) put(o watcher.Order, record []byte) watcher.Revision {
	m.sequence++
	v := version{revision: watcher.Revision(m.sequence), at: m.now, err: watcher.ErrNoRecord, encoded: record}
	if record != nil {
		v.watch, v.err = watcher.DecodeWatch(record)
	}
	m.records[o.Key()] = append(m.records[o.Key()], v)
	if o == pool {
		m.story = append(m.story, v)
	}
	return v.revision
}

func (m *world) Schedule(_ context.Context, k watcher.Wakeup) error {
	return m.call("schedule", func(bool) error {
		if !k.At.After(m.now) {
			m.stored(k)
			m.due(k, k.At)
		} else if !m.wait(k) {
			return watcher.ErrOvertaken
		}
		return nil
	})
}

// wait stores a wake-up in place of the one that waits, but where that is later, and reports whether it did.
func (m *world) wait(k watcher.Wakeup) bool {
	if m.waiting[k.Key()].LaterThan(k) && !m.hasty {
		return false
	}
	m.waiting[k.Key()] = k
	m.stored(k)
	return true
}

// stored notes a wake-up, and the poll that left the record unwritten, of which it tells.
func (m *world) stored(k watcher.Wakeup) {
	m.scheduled = append(m.scheduled, k)
	if len(m.story) == 0 || k.Order != pool {
		return
	}
	last := m.story[len(m.story)-1]
	if polled := last.watch.Merged(k); k.Revision == last.revision && (polled.Polls > last.watch.Polls || k.Polls == last.watch.Polls && k.PolledAt.After(last.watch.LastPollAt)) {
		if k.Polls == last.watch.Polls { // another poll in place of that one
			polled.LastPollAt, polled.NextPollAt, polled.Step = k.PolledAt, k.At, k.Step
		}
		last.watch, last.at = polled, m.now
		m.story = append(m.story, last)
	}
}

func (m *world) Newest(context.Context, watcher.Order) (newest watcher.Wakeup, err error) {
	err = m.call("newest", func(bool) error {
		newest = m.newest()
		return nil
	})
	return newest, err
}

// newest returns the latest of the pool's wake-ups that wait or are due.
func (m *world) newest() watcher.Wakeup {
	newest := m.waiting[pool.Key()]
	for _, d := range m.queue {
		if d.wakeup.Order == pool && d.wakeup.LaterThan(newest) {
			newest = d.wakeup
		}
	}
	return newest
}

func (m *world) Highest(_ context.Context, o watcher.Order) (number uint64, err error) {
	err = m.call("highest", func(bool) error {
		number = m.highest(o)
		return nil
	})
	return number, err
}

func (m *world) highest(o watcher.Order) uint64 {
	number := m.waiting[o.Key()].Number
	for _, d := range m.queue {
		if d.wakeup.Order == o {
			number = max(number, d.wakeup.Number)
		}
	}
	return number
}

// last returns the order's last completion.
func (m *world) last(o watcher.Order, stale bool) completion {
	found := completion{}
	for _, c := range m.completions {
		if c.Order() == o && !(stale && c.sequence == m.completions[len(m.completions)-1].sequence) {
			found = c
		}
	}
	return found
}

func (m *world) LastCompletion(_ context.Context, o watcher.Order) (id string, sequence uint64, err error) {
	err = m.call("lastCompletion", func(stale bool) error {
		c := m.last(o, stale)
		id, sequence = c.WatchID, c.sequence
		return nil
	})
	return id, sequence, err
}

func (m *world) Complete(_ context.Context, c watcher.Completion, after uint64) error {
	return m.call("complete", func(bool) error {
		if m.last(c.Order(), false).sequence != after {
			return watcher.ErrConflict
		}
		m.sequence++
		m.completions = append(m.completions, completion{m.sequence, c})
		return nil
	})
}

func (m *world) Progress(_ context.Context, g watcher.Progress) error {
	return m.call("progress", func(bool) error {
		m.progress = append(m.progress, g)
		return nil
	})
}

func (m *world) Attend(_ context.Context, a watcher.OrderAttention) error {
	return m.call("attend", func(bool) error {
		known := func(b watcher.OrderAttention) bool {
			return b.WatchID == a.WatchID && b.Kind == a.Kind && b.Since.Equal(a.Since) && b.Until.IsZero()
		}
		if !a.Until.IsZero() && !slices.ContainsFunc(m.attended, known) {
			return nil // people were not told that it is so
		}
		m.attended, m.toldAt = append(m.attended, a), append(m.toldAt, m.now)
		return nil
	})
}

// publish stores a request in the queue.
func (m *world) publish(id string, at time.Duration) *delivery {
	ask := request(id)
	ask.Request.ReceivedAt = begin.Add(at)
	if len(m.late) > 0 && m.late[0] > 0 {
		ask.Request.LateAt = begin.Add(at + m.late[0])
	}
	m.late = m.late[min(1, len(m.late)):]
	d := &delivery{request: id, at: begin.Add(at)}
	d.take = func(attempt int) watcher.Verdict {
		ask.WatchID = fmt.Sprintf("w_%s_%d", m.now.Format("150405.000"), attempt) // each try has an id of its own
		return m.intake().Take(context.Background(), ask)
	}
	m.queue = append(m.queue, d)
	return d
}

// due stores a wake-up in the queue.
func (m *world) due(k watcher.Wakeup, at time.Time) *delivery {
	d := &delivery{wakeup: k, at: at, take: func(attempt int) watcher.Verdict { return m.poller().Wake(context.Background(), k, attempt) }}
	m.queue = append(m.queue, d)
	return d
}

// ackWait is how long the queue waits for a worker that died.
const ackWait = time.Minute

// run delivers until nothing is left. It has no patrol: a wake-up that is lost is lost.
func (m *world) run() {
	m.t.Helper()
	for range 5000 {
		if !m.runOne() {
			return
		}
	}
	m.t.Fatalf("no end: %d deliveries left after %s", len(m.queue), m.now.Sub(begin))
}

// runOne delivers what is due next, if there is anything.
func (m *world) runOne() bool {
	for _, k := range m.waiting {
		if !slices.ContainsFunc(m.queue, func(d *delivery) bool { return d.at.Before(k.At) }) {
			delete(m.waiting, k.Key())
			m.due(k, k.At)
			break
		}
	}
	if len(m.queue) == 0 {
		return false
	}
	d := slices.MinFunc(m.queue, func(a, b *delivery) int { return a.at.Compare(b.at) })
	if d.at.After(m.now) {
		m.now = d.at
	}
	m.deliver(d)
	return true
}

func (m *world) deliver(d *delivery) {
	d.attempt++
	verdict, died := m.take(d)
	d.calls = append(d.calls, m.calls)
	switch {
	case died:
		m.kept = [workers]map[watcher.Order]version{}
		d.at = m.now.Add(ackWait)
	case verdict.Action == watcher.PutBack:
		d.at = m.now.Add(max(verdict.After, time.Second))
	default:
		m.queue = slices.DeleteFunc(m.queue, func(other *delivery) bool { return other == d })
		if verdict.Action == watcher.Refuse {
			m.refused = append(m.refused, verdict.Err)
		}
	}
}

func (m *world) take(d *delivery) (verdict watcher.Verdict, died bool) {
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case crashed:
			died = true
		default:
			panic(r)
		}
	}()
	m.calls = nil
	return d.take(d.attempt), false
}

// record returns the order's record as it is.
func (m *world) record() watcher.Watch {
	m.t.Helper()
	versions := m.records[pool.Key()]
	if len(versions) == 0 {
		m.t.Fatal("no record")
	}
	latest := versions[len(versions)-1]
	if latest.err != nil {
		m.t.Fatal(latest.err)
	}
	return latest.watch
}

// expected returns the wake-up that the record expects.
func (m *world) expected() watcher.Wakeup {
	m.t.Helper()
	w := m.record()
	return w.Expected()
}

// timer returns the same as a worker publishes it.
func (m *world) timer() watcher.Wakeup {
	k, versions := m.expected(), m.records[pool.Key()]
	k.Revision = versions[len(versions)-1].revision
	return k
}

// check holds what must be true once nothing is left to deliver: every request is named in one
// completion, every watch has one, each tells what the cloud showed, and all have ended.
func (m *world) check(requests ...string) {
	m.t.Helper()
	named, watches := make(map[string]int), make(map[string]int)
	for _, c := range m.completions {
		watches[c.WatchID]++
		for _, r := range c.Requests {
			named[r.ID]++
		}
		if shown, err := m.order(c.CompletedAt.Sub(begin)); err != nil || !slices.Equal(c.Items, shown.Items) {
			m.t.Errorf("%s shows %+v, the cloud %+v, %v", c.WatchID, c.Items, shown.Items, err)
		}
	}
	for _, id := range requests {
		if named[id] != 1 {
			m.t.Errorf("request %s is named in %d completions", id, named[id])
		}
	}
	for id, n := range watches {
		if n != 1 {
			m.t.Errorf("watch %s has %d completions", id, n)
		}
	}
	if w := m.record(); w.State != watcher.Ended || w.Completion.WatchID != m.completions[len(m.completions)-1].WatchID {
		m.t.Errorf("the record is %s", w.State)
	}
	if len(m.refused) != 0 || len(named) != len(requests) {
		m.t.Errorf("%d requests named, %d refused", len(named), len(m.refused))
	}
}

// finishes is a cloud whose order shows a second item after a while, and ends after the given time.
func finishes(after time.Duration) func(time.Duration) (watcher.Answer, error) {
	return func(since time.Duration) (watcher.Answer, error) {
		switch {
		case since < after/3:
			return answer(2, processing), nil
		case since < after:
			return answer(2, succeed, processing), nil
		}
		return answer(2, succeed, failed), nil
	}
}
