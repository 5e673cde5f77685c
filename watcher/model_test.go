package watcher_test

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

var (
	seeds = flag.Int("seeds", watchertest.Rounds(2000), "how many seeds TestModel runs")
	one   = flag.Int("seed", -1, "the one seed to run, with its trace")
)

// TestModel lets several workers take the deliveries of one order, one call of one of them at a
// time, in an order that the seed draws, while everything around them goes wrong.
func TestModel(t *testing.T) {
	t.Parallel()
	n := *seeds
	if testing.Short() {
		n = min(n, 300)
	}
	var runs, watches, requests, troubles int
	eachSeed(n, func(seed uint64) bool {
		m := newModel(t, seed, guard{})
		if m.live(); len(m.wrong) > 0 || *one >= 0 {
			report(t, seed)
		}
		for _, wrong := range m.wrong {
			t.Errorf("seed %d: %s", seed, wrong)
		}
		runs, watches, requests, troubles = runs+1, watches+len(m.completions), requests+len(m.sent), troubles+m.troubles
		return len(m.wrong) == 0
	})
	t.Logf("%d seeds: %d watches of %d requests, %d troubles", runs, watches, requests, troubles)
}

// TestASeedReplays holds that a seed leads to the same, call by call, each time.
func TestASeedReplays(t *testing.T) {
	for seed := range uint64(20) {
		first, second := newModel(t, seed, guard{}), newModel(t, seed, guard{})
		first.traces, second.traces = true, true
		first.live()
		second.live()
		if len(first.trace) < 20 || !slices.Equal(first.trace, second.trace) {
			t.Errorf("seed %d: %d lines, then %d", seed, len(first.trace), len(second.trace))
		}
	}
}

// eachSeed runs f with the seeds under n, or with the one that was asked for, until it is false.
func eachSeed(n int, f func(seed uint64) bool) {
	if *one >= 0 {
		f(uint64(*one))
		return
	}
	for seed := range uint64(n) {
		if !f(seed) {
			return
		}
	}
}

// report runs the seed again and tells all of it.
func report(t *testing.T, seed uint64) {
	t.Helper()
	m := newModel(t, seed, guard{})
	m.traces = true
	m.live()
	for _, line := range m.trace {
		t.Log(line)
	}
	t.Logf("replay: go test ./watcher -v -run '%s' -seed=%d", t.Name(), seed)
}

// A model is a world in which several deliveries are in the hands of workers at once. Each is
// stopped before each call that it makes; what goes on next, and what goes wrong, is drawn.
type model struct {
	*world
	random      *rand.Rand
	parts       parts
	unpatrolled bool // the patrol is taken out
	wild        bool // answers shrink, grow, repeat, contradict and vanish

	hands     []*hand // deliveries that workers hold
	at        *hand   // the one whose worker runs
	coming    []event // what others do, and when
	open      []choice
	calm      time.Time
	faults    float64                  // how many calls of a hundred go wrong until then
	firing    bool                     // a timer has fired, and its subject is not purged yet
	timeouts  map[string]time.Duration // of the requests, by their identities
	expects   map[string]int           // expected_items of the requests, by their identities
	lates     map[string]time.Duration // late_after of the requests, by their ids
	hearing   hearing
	deaf      bool // most attentions go wrong until the calm
	slips     int  // attentions and records that went wrong until now, and workers that slept
	heldTill  time.Time
	ends      time.Time       // when the order ends, where the cloud is not wild
	followers map[string]bool // whose requests follow what changes, by their identities
	doubts    *rand.Rand      // what the sweep draws
	whose     *rand.Rand      // which worker is given a delivery

	history
	traces bool
	trace  []string
}

// A hand is a worker's that holds a delivery. It is stopped before a call.
type hand struct {
	name   string
	worker int
	given  given          // the cloud's latest answer to it
	wakeup watcher.Wakeup // that it is for, if it is for one
	goOn   time.Time
	next   func() (string, bool)
	stop   func()
	yield  func(call string) bool
}

// An event is what somebody else does.
type event struct {
	name string
	at   time.Time
	do   func()
}

// A choice is what may happen next: a hand goes on, a delivery is handed out, the timer fires, the patrol comes,
// or else the event with that index happens.
type choice struct {
	at       time.Time
	name     string
	hand     *hand
	delivery *delivery
	coming   int
}

// parts are what workers are made of. A guard is taken out by putting another in place of one.
type parts struct {
	orders         watcher.Orders
	intake, poller watcher.Records
	wakeups        watcher.Wakeups
	events         watcher.Events
	take           func(watcher.Ask) watcher.Verdict
	wake           func(watcher.Wakeup, int) watcher.Verdict
}

func newModel(t testing.TB, seed uint64, out guard) *model {
	m := &model{world: newWorld(t), random: rand.New(rand.NewPCG(seed, 1)), timeouts: make(map[string]time.Duration)}
	m.world.fault = m.turn
	m.whose = rand.New(rand.NewPCG(seed, 5))
	m.worker = func() int { return m.at.worker }
	m.parts = parts{orders: m, intake: m, poller: m, wakeups: m, events: m}
	m.parts.take = func(ask watcher.Ask) watcher.Verdict { return m.intaking().Take(context.Background(), ask) }
	m.parts.wake = func(k watcher.Wakeup, attempt int) watcher.Verdict {
		return m.polling(m.policy).Wake(context.Background(), k, attempt)
	}
	if out.takeOut != nil {
		out.takeOut(m)
	}
	m.plan()
	m.planConditions(seed)
	m.planTerms(seed)
	m.planHints(seed)
	return m
}

// polling returns the poller as a worker has it.
func (m *model) polling(p watcher.Policy) *watcher.Poller {
	return &watcher.Poller{Log: slog.New(slog.DiscardHandler), Policy: p, Orders: m.parts.orders, Records: m.parts.poller, Wakeups: m.parts.wakeups, Events: m.parts.events, AckWait: ackWait, Now: m.estimate}
}

// pick returns one of the values.
func pick[T any](m *model, values ...T) T { return values[m.random.IntN(len(values))] }

// within returns a duration up to d.
func (m *model) within(d time.Duration) time.Duration {
	return time.Duration(m.random.Int64N(int64(d)))
}

// plan draws what will happen in the world: how the order goes, who asks for it, what goes wrong.
func (m *model) plan() {
	m.behind = pick(m, 0, 0, 200*time.Millisecond, 3*time.Second)
	m.lag = pick(m, 0, time.Second, 20*time.Second)
	m.faults = pick(m, 0., 1, 4, 12, 25)
	m.calm = begin.Add(time.Minute + m.within(5*time.Minute))
	m.policy.Settle = pick(m, 0, 10*time.Second)
	m.policy.Timeout = pick(m, 2*time.Hour, time.Minute)
	m.heldTill = begin.Add(pick(m, 0, 0, 40*time.Second))
	ends := m.within(3 * time.Minute)
	m.ends = begin.Add(ends)
	order := finishes(ends)
	if m.wild = m.random.IntN(2) == 0; m.wild {
		m.policy.Timeout = pick(m, 9*time.Minute, time.Minute)
		m.policy.Backoff = pick(m, m.policy.Backoff, watcher.Backoff{Initial: 2 * time.Minute, Multiplier: 1, Max: 2 * time.Minute})
		order = m.wilderness()
	}
	m.order = func(since time.Duration) (watcher.Answer, error) {
		a, err := order(since)
		m.given = append(m.given, given{m.now, a, err})
		return a, err
	}
	for n := range 2 + m.random.IntN(6) {
		at := begin.Add(pick(m, 0, m.within(time.Minute), ends+m.within(40*time.Second), m.within(5*time.Minute)))
		if n == 0 {
			at = begin
		}
		id := fmt.Sprint("build-", m.random.IntN(5))
		m.timeouts[id] = pick(m, 0, 0, time.Minute)
		m.coming = append(m.coming, event{"request " + id, at, func() { m.send("", id) }})
	}
	for range m.random.IntN(3) {
		at := begin.Add(pick(m, m.within(30*time.Second), ends, m.within(5*time.Minute)))
		m.coming = append(m.coming, event{"cancel", at, func() { m.start("cancel", watcher.Wakeup{}, func() { m.cancel("") }) }})
	}
	for range m.random.IntN(3) {
		at := begin.Add(pick(m, m.within(30*time.Second), ends, m.within(5*time.Minute)))
		m.coming = append(m.coming, event{"poll now", at, func() { m.start("poll now", watcher.Wakeup{}, m.pollNow) }})
	}
}

// send stores a team's request in the queue.
func (m *model) send(team, id string) {
	ask := request(id)
	ask.Request.Team = team
	who := ask.Request.Identity()
	ask.Request.ReceivedAt, ask.Timeout, ask.ExpectedItems, ask.Request.Progress = m.now, m.timeouts[who], m.expects[who], m.followers[who]
	if after := m.lates[id]; after > 0 {
		ask.Request.LateAt = m.now.Add(after)
	}
	if slices.Contains(m.sent, who) {
		m.troubles++ // whoever finds it done publishes the wake-up again
	}
	m.sent = append(m.sent, who)
	d := &delivery{request: who, at: m.now}
	d.take = func(attempt int) watcher.Verdict {
		m.sequence++
		ask.WatchID = fmt.Sprint("w_", m.sequence)
		return m.parts.take(ask)
	}
	m.queue = append(m.queue, d)
}

// fall stores a due wake-up in the queue.
func (m *model) fall(k watcher.Wakeup) {
	m.queue = append(m.queue, &delivery{wakeup: k, at: m.now, take: func(attempt int) watcher.Verdict { return m.parts.wake(k, attempt) }})
}

// cancel is what the service does for somebody of a team, or of none, who wants the watch to end.
func (m *model) cancel(team string) {
	m.troubles++ // a wake-up that is due already comes twice
	w, err := m.intaking().Cancel(context.Background(), pool, watcher.Wish{Team: team, By: "ada of " + team})
	if err == nil { // it may come too late, or not be answered
		m.promised[w.ID] = append(m.promised[w.ID], watcher.Wish{Team: team})
	}
}

// pollNow is what the service does for somebody who does not want to wait for the next poll.
func (m *model) pollNow() {
	m.troubles++
	_, _ = m.intaking().PollNow(context.Background(), pool) // a poll that is lost is due later
}

// intaking returns the intake as a worker has it.
func (m *model) intaking() *watcher.Intake {
	return &watcher.Intake{Log: slog.New(slog.DiscardHandler), Policy: m.policy, Records: m.parts.intake, Wakeups: m.parts.wakeups, Now: m.estimate}
}

// estimate is what workers take for the server's time.
func (m *model) estimate() time.Time { return m.now.Add(-m.behind) }

// Schedule stores a wake-up in place of the scheduled one, or, where it is due, in the queue.
func (m *model) Schedule(_ context.Context, k watcher.Wakeup) error {
	return m.call("schedule", func(bool) error {
		if slices.ContainsFunc(m.scheduled, func(other watcher.Wakeup) bool { return other.Number == k.Number && other.Polls >= k.Polls }) {
			m.troubles++ // a request joined, and the wake-up may come twice
		}
		if soon := !k.At.After(m.estimate()); soon {
			if m.at.name == "poll now" || k.Hint != nil || m.at.wakeup.Number == 0 {
				m.polledNow = append(m.polledNow, k.Number)
			}
			m.stored(k)
			m.fall(k)
		} else if waits := m.waiting[poolKey]; !m.wait(k) {
			return watcher.ErrOvertaken
		} else if waits.LaterThan(k) && k.At.After(waits.At) {
			m.blame("wake-up %+v was put off by %+v", waits, k)
		}
		return nil
	})
}

// Highest goes wrong as ReadLatest does, which the same server answers just before.
func (m *model) Highest(_ context.Context, o watcher.Order) (uint64, error) { return m.highest(o), nil }

// start puts work into a worker's hands.
func (m *model) start(name string, k watcher.Wakeup, work func()) {
	h := &hand{name: name, wakeup: k, goOn: m.now, worker: m.whose.IntN(workers)}
	h.next, h.stop = iter.Pull(func(yield func(string) bool) {
		h.yield = yield
		defer func() {
			if r := recover(); r != nil && r != (crashed{}) {
				panic(r)
			}
		}()
		work()
	})
	m.hands = append(m.hands, h)
}

// hand hands a delivery to a worker.
func (m *model) hand(d *delivery) {
	d.attempt++
	d.at = m.now.Add(ackWait)
	attempt, name := d.attempt, "wake"
	if d.request != "" {
		name = "take"
	}
	if m.traces {
		name = fmt.Sprint(d.name(), " #", attempt)
	}
	m.start(name, d.wakeup, func() {
		verdict := d.take(attempt)
		_ = m.call("settle", func(bool) error { m.settle(d, verdict); return nil })
	})
}

func (d *delivery) name() string {
	if d.request != "" {
		return "take " + d.request
	}
	return fmt.Sprint("wake ", d.wakeup.WatchID, "/", d.wakeup.Number, " of ", d.wakeup.Revision, " after ", d.wakeup.Polls)
}

func (m *model) settle(d *delivery, v watcher.Verdict) {
	if m.traces {
		m.tell("%s: %+v", d.name(), v)
	}
	i := slices.Index(m.queue, d)
	if i < 0 {
		return
	}
	if v.Action == watcher.PutBack {
		backoff := watcher.Backoff{Initial: 100 * time.Millisecond, Multiplier: 2, Max: 10 * time.Second}
		d.at = m.now.Add(max(v.After, backoff.Interval("", d.attempt-1)))
		return
	}
	m.queue = slices.Delete(m.queue, i, i+1)
	m.acknowledged(d, v)
}

// turn stops a worker before a call until it is its turn, and draws what goes wrong with the call.
func (m *model) turn(call string) fault {
	if !m.at.yield(call) {
		return crashBefore
	}
	m.hold = max(0, m.heldTill.Sub(m.now))
	f := m.mishap(call)
	if f != fine {
		m.troubles++
	}
	if f != fine && (call == "attend" || call == "write") {
		m.slips++
	}
	if m.traces {
		m.tell("%s: %s%s", m.at.name, call, [...]string{"", ", dies before", ", dies after", ", answer lost", ", not made", ", untrue", ", behind"}[f])
	}
	return f
}

func (m *model) mishap(call string) fault {
	if call == "attend" && m.deaf && m.now.Before(m.calm) {
		return pick(m, fine, fine, crashBefore, crashAfter, answerLost, notMade, notMade)
	}
	if !m.goesWrong() {
		return fine
	}
	f := pick(m, crashBefore, crashAfter, answerLost, notMade, untrue, behind)
	switch call {
	case "write", "complete":
		if f == behind {
			return untrue
		}
	case "readLatest", "lastCompletion":
		if f == untrue {
			return behind
		}
	default:
		if f == untrue || f == behind {
			return answerLost
		}
	}
	return f
}

// goesWrong draws whether something does.
func (m *model) goesWrong() bool {
	return m.now.Before(m.calm) && m.random.Float64()*100 < m.faults
}

// goOn lets a worker make the call that it was stopped before, and stops it before the next.
func (m *model) goOn(h *hand) {
	m.at = h
	call, ok := h.next()
	if !ok {
		m.hands = slices.DeleteFunc(m.hands, func(other *hand) bool { return other == h })
		return
	}
	h.goOn = m.now.Add(pick(m, 0, 0, m.within(20*time.Millisecond), m.within(2*time.Second)))
	if m.goesWrong() {
		m.troubles++
		m.slips++
		h.goOn = m.now.Add(ackWait * 3 / 2)
		m.tell("%s: sleeps before %s", h.name, call)
	}
}

// poolKey is the key of the one order of a model.
var poolKey = pool.Key()

// hands is how many deliveries are in the hands of workers at most, and workers how many of these there are.
const (
	hands   = 4
	workers = 3
)

// choices are all that may happen next, until the next call.
func (m *model) choices() []choice {
	choices := m.open[:0]
	for i := range m.coming {
		choices = append(choices, choice{at: m.coming[i].at, name: m.coming[i].name, coming: i})
	}
	for _, h := range m.hands {
		choices = append(choices, choice{at: h.goOn, hand: h})
	}
	if len(m.hands) < hands {
		for _, d := range m.queue {
			choices = append(choices, choice{at: d.at, delivery: d})
		}
	}
	if k, ok := m.waiting[poolKey]; ok && !m.firing {
		choices = append(choices, choice{at: k.At, name: "timer"})
	}
	if len(m.story) > 0 && !m.unpatrolled {
		if last := &m.story[len(m.story)-1]; last.watch.State != watcher.Ended {
			at := last.at.Add(max(0, last.watch.NextPollAt.Sub(last.at)) + time.Minute)
			if at.Before(m.patrolled.Add(time.Minute)) {
				at = m.patrolled.Add(time.Minute)
			}
			choices = append(choices, choice{at: at, name: "patrol"})
		}
	}
	m.open = choices
	return choices
}

func (m *model) happen(c choice) {
	switch {
	case c.hand != nil:
		m.goOn(c.hand)
	case c.delivery != nil:
		m.hand(c.delivery)
	case c.name == "timer":
		m.fire()
	case c.name == "patrol":
		m.patrol()
	default:
		e := m.coming[c.coming]
		m.coming = slices.Delete(m.coming, c.coming, c.coming+1)
		e.do()
	}
}

// fire is what the server does when a timer is due: it stores the due message, and then purges
// the waiting subject, whatever is there meanwhile. The due message may come twice. Where it
// cannot be stored the timer is dead.
func (m *model) fire() {
	k := m.waiting[poolKey]
	copies := 1
	if m.goesWrong() {
		m.troubles++
		copies = pick(m, 0, 2)
		m.tell("the timer of %d brings %d", k.Number, copies)
	}
	for range copies {
		m.fall(k)
	}
	m.firing = true
	m.coming = append(m.coming, event{"purge", m.now.Add(pick(m, 0, m.within(20*time.Millisecond), m.within(2*time.Second))), func() {
		if m.waiting[poolKey] != k {
			m.troubles++
		}
		delete(m.waiting, poolKey)
		m.firing = false
	}})
}

// latest returns the record as it is, and since when.
func (m *model) latest() (w watcher.Watch, since time.Time, ok bool) {
	versions := m.records[poolKey]
	if len(versions) == 0 {
		return w, since, false
	}
	last := versions[len(versions)-1]
	return last.watch, last.at, true
}

// patrol publishes the wake-up of a watch that is long overdue.
func (m *model) patrol() {
	m.patrolled = m.now
	w, _, _ := m.latest()
	if slices.ContainsFunc(m.queue, func(d *delivery) bool { return d.request == "" }) {
		return
	}
	m.troubles++
	m.waiting[poolKey] = w.Expected()
	m.stored(w.Expected())
}

// live lets the world go on until nothing is left to do. What is wrong stands in m.wrong.
func (m *model) live() {
	defer func() {
		if r := recover(); r != nil {
			m.blame("panic: %v\n%s", r, debug.Stack())
		}
		for _, h := range m.hands {
			m.at = h
			h.stop()
		}
	}()
	for steps := 0; len(m.wrong) == 0; steps++ {
		choices := m.choices()
		if len(choices) == 0 {
			m.atTheEnd()
			return
		}
		first := choices[0].at
		for i := range choices {
			if choices[i].at.Before(first) {
				first = choices[i].at
			}
		}
		if first.After(m.now) {
			m.now = first
		}
		choices = slices.DeleteFunc(choices, func(c choice) bool { return c.at.After(m.now) })
		c := choices[m.random.IntN(len(choices))]
		if m.traces && c.name != "" {
			m.tell("%s", c.name)
		}
		m.happen(c)
		m.look()
		if m.now.After(m.calm.Add(longest)) || steps > 20000 {
			m.blame("no end: %d deliveries and %d hands left %s after the last fault, %d steps", len(m.queue), len(m.hands), m.now.Sub(m.calm), steps)
		}
	}
}

func (m *model) tell(format string, args ...any) {
	if m.traces {
		m.trace = append(m.trace, fmt.Sprintf("%9.3fs  ", m.now.Sub(begin).Seconds())+fmt.Sprintf(format, args...))
	}
}
