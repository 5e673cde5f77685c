package sweep_test

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/turns"
	"github.com/orderwatch/orderwatch/watcher/sweep"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

const (
	every     = 5 * time.Second
	perSecond = 20.0
	mean      = 11 * time.Minute // that an order takes
	sigma     = 0.35
	project   = "p"
	region    = "r"
)

var begin = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// A simulation lets orders of one project begin, run and end, with workers that watch them: the real poller, turns and
// sweep, on a clock of its own. The wake-ups arrive at any worker, up to a quarter of a second late.
type simulation struct {
	orders    int // that run at a time
	workers   int
	sweeps    bool
	elsewhere float64       // the part of the orders that no list shows
	warmUp    time.Duration // before the measure
	measure   time.Duration
	twice     bool          // each hint comes once more, a little later
	kill      time.Duration // when the worker dies that sweeps; 0: never
	spoil     func(*api)    // makes the list wrong from the beginning of the measure on; nil: it is right
	api       api

	now     time.Time
	random  *rand.Rand
	happens happenings
	entries map[string]*entry
	records map[string]watcher.Watch
	wakeups map[string]watcher.Wakeup
	team    []*member
	swept   [3]map[string]bool // who was listed in the last three sweeps
	sweptAt time.Time

	state    *sweep.State
	sweeper  *member
	flying   int
	every    time.Duration
	reserved float64
	open     map[string]bool
	takeover time.Duration // from the death to the first whole sweep of another

	calls, lists []time.Duration // when they were made, since the beginning
	lags         map[string]time.Duration
	disagreed    int
	offs         []string
	offUntil     time.Time
	putOff       int
	waits        time.Duration   // how long the call that is being decided waits in its worker
	first        []time.Duration // from a request to the first look
}

// A member is one worker.
type member struct {
	s      *simulation
	turns  *turns.Turns
	poller *watcher.Poller
	dead   bool
}

type happening struct {
	at time.Time
	do func()
}

type happenings []happening

func (h happenings) Len() int           { return len(h) }
func (h happenings) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h happenings) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)        { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

func (s *simulation) at(t time.Time, do func()) { heap.Push(&s.happens, happening{at: t, do: do}) }

func (s *simulation) after(d time.Duration, do func()) { s.at(s.now.Add(d), do) }

// between returns a duration drawn from a span.
func (s *simulation) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.random.Int64N(int64(most-least)))
}

func (s *simulation) policy() watcher.Policy {
	return watcher.Policy{
		Backoff:       watcher.Backoff{Initial: 5 * time.Second, Multiplier: 1.5, Max: time.Minute, Jitter: 0.2},
		NotFoundGrace: 2 * time.Minute, LastPollGrace: time.Minute, ForbiddenGrace: 10 * time.Minute,
		Timeout: 6 * time.Hour, DefaultRegion: region, MaxPayload: 1 << 20,
		SweptMax: 5 * time.Minute,
		Swept: func(_ string, o watcher.Order) bool {
			return s.now.Sub(s.sweptAt) < 4*s.every && (s.swept[0][o.Name] || s.swept[1][o.Name] || s.swept[2][o.Name])
		},
	}
}

func (s *simulation) run() {
	s.random = rand.New(rand.NewPCG(1, uint64(s.orders)))
	s.now, s.every = begin, every
	s.api.random = s.random
	s.entries, s.records, s.wakeups = make(map[string]*entry), make(map[string]watcher.Watch), make(map[string]watcher.Wakeup)
	s.open, s.lags = make(map[string]bool), make(map[string]time.Duration)
	for range s.workers {
		m := &member{s: s, turns: turns.New(perSecond, s.workers, 10*time.Second)}
		m.poller = &watcher.Poller{
			Log: slog.New(slog.DiscardHandler), Policy: s.policy(), Orders: m, Records: s, Wakeups: s, Events: s,
			Now: func() time.Time { return s.now.Add(s.waits) }, Disagreed: func(string) { s.disagreed++ },
		}
		s.team = append(s.team, m)
	}
	s.arrive()
	if s.sweeps {
		s.sweeper = s.team[0]
		s.take(s.sweeper)
	}
	if s.kill > 0 {
		s.after(s.kill, s.die)
	}
	if s.spoil != nil {
		s.after(s.warmUp, func() { s.spoil(&s.api) })
	}
	for end := begin.Add(s.warmUp + s.measure + 3*time.Minute); s.happens.Len() > 0; {
		next := heap.Pop(&s.happens).(happening)
		if s.now = next.at; s.now.After(end) {
			return
		}
		next.do()
	}
}

// arrive lets an order be created and asked for, and the next one come, until the measure is over.
func (s *simulation) arrive() {
	if s.now.Sub(begin) > s.warmUp+s.measure {
		return
	}
	takes := time.Duration(math.Exp(math.Log(float64(mean)) - sigma*sigma/2 + sigma*s.random.NormFloat64())).Truncate(time.Millisecond)
	e := &entry{name: fmt.Sprintf("order.%d", len(s.entries)), created: s.now.Truncate(time.Millisecond), ended: s.now.Add(takes).Truncate(time.Millisecond)}
	e.elsewhere = s.random.Float64() < s.elsewhere
	s.entries[e.name] = e
	s.api.entries = append(s.api.entries, e)
	s.after(s.between(0, 5*time.Second), func() { s.request(e) })
	s.after(time.Duration(s.random.ExpFloat64()*float64(mean)/float64(s.orders)), s.arrive)
}

func (s *simulation) request(e *entry) {
	policy := s.policy()
	_, w, _ := policy.Admit(nil, watcher.Ask{
		Order: watcher.Order{ProjectID: project, Name: e.name}, WatchID: "w_" + e.name,
		Request: watcher.Request{ID: "r_" + e.name, ReceivedAt: s.now},
	}, s.now)
	s.records[e.name], s.open[e.name] = w, true
	_ = s.Schedule(context.Background(), w.Expected())
}

// Schedule lets the wake-up arrive at some worker when it is due.
func (s *simulation) Schedule(_ context.Context, k watcher.Wakeup) error {
	s.wakeups[k.Name] = k
	at := k.At
	if s.now.After(at) {
		at = s.now
	}
	s.at(at.Add(s.between(0, 250*time.Millisecond)), func() {
		if s.wakeups[k.Name] != k {
			return
		}
		m := s.team[s.random.IntN(len(s.team))]
		for m.dead {
			m = s.team[s.random.IntN(len(s.team))]
		}
		s.waits = 0
		if v := m.poller.Wake(context.Background(), k, 1); v.Action != watcher.Ack {
			panic(fmt.Sprint("put back: ", v.Err))
		}
	})
	return nil
}

func (s *simulation) Newest(_ context.Context, o watcher.Order) (watcher.Wakeup, error) {
	return s.wakeups[o.Name], nil
}

func (s *simulation) Highest(context.Context, watcher.Order) (uint64, error) { return 0, nil }

func (s *simulation) Recall(o watcher.Order) (watcher.Watch, watcher.Revision, bool) {
	return s.records[o.Name], 1, true
}

func (s *simulation) Read(_ context.Context, o watcher.Order) (watcher.Watch, watcher.Revision, error) {
	return s.records[o.Name], 1, nil
}

func (s *simulation) ReadLatest(ctx context.Context, o watcher.Order) (watcher.Watch, watcher.Revision, error) {
	return s.Read(ctx, o)
}

func (s *simulation) Write(_ context.Context, w watcher.Watch, _ watcher.Revision) (watcher.Revision, error) {
	s.records[w.Name] = w
	return 1, nil
}

func (s *simulation) LastCompletion(context.Context, watcher.Order) (string, uint64, error) {
	return "", 0, nil
}

// Complete measures how late the end of an order was seen.
func (s *simulation) Complete(_ context.Context, c watcher.Completion, _ uint64) error {
	delete(s.open, c.OrderName)
	s.lags[c.OrderName] = s.now.Add(s.waits).Sub(s.entries[c.OrderName].ended)
	return nil
}

func (s *simulation) Progress(context.Context, watcher.Progress) error     { return nil }
func (s *simulation) Attend(context.Context, watcher.OrderAttention) error { return nil }

// share tells the worker what it shares with the others.
func (m *member) share() {
	m.turns.Share(m.s.now, m.s.workers, m.s.reserved)
}

func (m *member) Wait(_ context.Context, _ string, o watcher.Order, now time.Time, turn watcher.Turn) watcher.Leave {
	m.share()
	after, takes := m.turns.Ask(now, turn)
	if !takes {
		m.s.putOff++
		return watcher.Leave{After: after, Full: true, Why: "the rate"}
	}
	m.s.waits = after
	return watcher.Leave{}
}

func (m *member) Book(_ string, _ watcher.Order, now time.Time, turn watcher.Turn) time.Time {
	m.share()
	return m.turns.Book(now, turn.At, turn.Urgency)
}

func (m *member) Show(_ context.Context, _ string, o watcher.Order) (watcher.Answer, error) {
	s, e := m.s, m.s.entries[o.Name]
	now := s.now.Add(s.waits)
	s.calls = append(s.calls, now.Sub(begin))
	if w := s.records[o.Name]; w.Polls == 0 {
		s.first = append(s.first, now.Sub(w.AcceptedAt))
	}
	item := watcher.Item{ResourceName: "pool", Action: "createPool", Status: watcher.Processing, BeganAt: e.created, UpdatedAt: e.created}
	ended := !now.Before(e.ended)
	if ended {
		item.Status, item.UpdatedAt = watcher.Succeed, e.ended
	}
	if m == s.sweeper && s.state != nil {
		s.state.Polled(o.Name, !ended, item.UpdatedAt, now)
	}
	return watcher.Answer{Count: 1, Items: []watcher.Item{item}}, nil
}

// take lets a worker sweep from now on.
func (s *simulation) take(m *member) {
	s.sweeper, s.state, s.flying = m, sweep.New(sweep.Config{Every: every, Rate: perSecond}), 0
	var listed, others []string
	for name := range s.open {
		if s.swept[0][name] || s.swept[1][name] || s.swept[2][name] {
			listed = append(listed, name)
		} else {
			others = append(others, name)
		}
	}
	slices.Sort(listed)
	slices.Sort(others)
	s.state.TakeOver(listed, others)
	s.step(m, s.state)
}

// step does what is due of the sweep, again and again.
func (s *simulation) step(m *member, state *sweep.State) {
	if m.dead || state != s.state {
		return
	}
	s.after(50*time.Millisecond, func() { s.step(m, state) })
	until, why := state.Off(s.now)
	if why != "" && !until.Equal(s.offUntil) {
		s.offs, s.offUntil = append(s.offs, why), until
	}
	if state.Wake(s.now).After(s.now) {
		return
	}
	for _, hint := range state.Hints(s.now) {
		s.hint(hint)
		if s.twice {
			s.after(s.between(0, 2*time.Second), func() { s.hint(hint) })
		}
	}
	for s.flying < 4 {
		q, ok := state.Next(s.now)
		if !ok {
			return
		}
		m.share()
		if after := m.turns.List(s.now); after > 0 {
			state.Dropped(q)
			return
		}
		s.lists = append(s.lists, s.now.Sub(begin))
		s.flying++
		s.ask(m, state, q)
	}
}

// ask makes a call of the list, which takes a while.
func (s *simulation) ask(m *member, state *sweep.State, q sweep.Query) {
	takes := s.between(150*time.Millisecond, 400*time.Millisecond)
	var page sweep.Page
	var failure *sweep.Failure
	s.after(takes/2, func() { page, failure = s.api.answer(q, s.now) })
	s.after(takes, func() {
		if m.dead || state != s.state {
			return
		}
		s.flying--
		if failure != nil {
			state.Failed(q, *failure, s.now)
		} else {
			state.Heard(q, page, s.now)
		}
		s.settle(state)
	})
}

// settle tells all workers what the sweep found.
func (s *simulation) settle(state *sweep.State) {
	s.every = sweep.Stretch(every, state.Calls(), perSecond)
	s.reserved = float64(state.Calls()) / s.every.Seconds()
	state.Pace(s.every)
	done, ok := state.Done()
	if !ok || !done.Complete {
		return
	}
	if s.kill > 0 && s.takeover == 0 && s.now.Sub(begin) > s.kill {
		s.takeover = s.now.Sub(begin) - s.kill
	}
	listed := make(map[string]bool, len(done.Listed))
	for _, name := range done.Listed {
		listed[name] = true
	}
	s.swept = [3]map[string]bool{listed, s.swept[0], s.swept[1]}
	s.sweptAt = s.now
}

// hint publishes the wake-up that an open watch expects as due.
func (s *simulation) hint(h sweep.Hint) {
	w, ok := s.records[h.Name]
	if !ok || w.State != watcher.Watching {
		return
	}
	k := w.Expected()
	k.At = s.now
	if !h.Plain {
		k.Hint = &watcher.Hint{Ended: h.Ended}
	}
	_ = s.Schedule(context.Background(), k)
}

// die kills the worker that sweeps. The others notice after some seconds, and one of them sweeps.
func (s *simulation) die() {
	s.sweeper.dead = true
	s.after(8*time.Second, func() {
		s.workers--
		s.take(s.team[1])
	})
}

// A measure sums up a simulation.
type measure struct {
	ends                     int
	mean, p95, p99, worst    time.Duration // lag
	elsewhereMean, elsewhere time.Duration // mean and p95 of those that no list shows
	polls, lists             float64       // a second
	busiest                  float64       // calls within 5 s, in parts of the rate
	firstP95                 time.Duration
	rescheduled              float64       // a second
	missed                   int           // ended long ago, and not seen
	lateP95                  time.Duration // lag in the last two thirds
	offs                     []string
}

func (s *simulation) measured() (m measure) {
	from, to := s.warmUp, s.warmUp+s.measure
	var lags, hidden, late []time.Duration
	for _, e := range s.entries {
		at := e.ended.Sub(begin)
		if at < from || at >= to {
			continue
		}
		lag, seen := s.lags[e.name]
		if !seen {
			m.missed++
			lag = s.now.Sub(e.ended)
		}
		if e.elsewhere {
			hidden = append(hidden, lag)
		} else {
			lags = append(lags, lag)
		}
		if at > from+s.measure/3 {
			late = append(late, lag)
		}
	}
	m.ends = len(lags) + len(hidden)
	m.mean, m.p95, m.p99, m.worst = average(lags), quantile(lags, 0.95), quantile(lags, 0.99), quantile(lags, 1)
	m.elsewhereMean, m.elsewhere = average(hidden), quantile(hidden, 0.95)
	within := func(calls []time.Duration) (n float64) {
		for _, at := range calls {
			if at >= from && at < to {
				n++
			}
		}
		return n / s.measure.Seconds()
	}
	m.polls, m.lists = within(s.calls), within(s.lists)
	all := slices.Concat(s.calls, s.lists)
	slices.Sort(all)
	m.busiest = float64(busiest(all, 5*time.Second)) / 5 / perSecond
	m.lateP95, m.offs = quantile(late, 0.95), s.offs
	m.firstP95 = quantile(s.first, 0.95)
	m.rescheduled = float64(s.putOff) / s.now.Sub(begin).Seconds()
	return m
}

func average(d []time.Duration) (sum time.Duration) {
	for _, x := range d {
		sum += x
	}
	return sum / time.Duration(max(1, len(d)))
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

// busiest returns the most calls in any such span; calls are sorted.
func busiest(calls []time.Duration, span time.Duration) (most int) {
	first := 0
	for last, at := range calls {
		for at-calls[first] >= span {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func (m measure) String() string {
	s := func(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }
	return fmt.Sprintf("ends %5d lag mean %s p95 %s p99 %s worst %s | elsewhere %s %s | polls %.2f lists %.2f a second, busiest %.0f%% | first p95 %s, put off %.1f/s, missed %d",
		m.ends, s(m.mean), s(m.p95), s(m.p99), s(m.worst), s(m.elsewhereMean), s(m.elsewhere), m.polls, m.lists, 100*m.busiest, s(m.firstP95), m.rescheduled, m.missed)
}

// TestSoonHoweverMany holds what people are promised: how soon the end of an order is known, and what it costs. With -v it
// prints the table, with the backoff alone beside it.
func TestSoonHoweverMany(t *testing.T) {
	watchertest.Unraced(t)
	for _, c := range []struct {
		orders  int
		warmUp  time.Duration
		measure time.Duration
		p95     time.Duration
	}{
		{10000, 17 * time.Minute, 3 * time.Minute, 12 * time.Second},
		{5000, 17 * time.Minute, 3 * time.Minute, 8 * time.Second},
		{1000, 20 * time.Minute, 8 * time.Minute, 8 * time.Second},
		{200, 20 * time.Minute, 30 * time.Minute, 8 * time.Second},
		{20, 20 * time.Minute, 3 * time.Hour, 8 * time.Second},
	} {
		t.Run(fmt.Sprint(c.orders), func(t *testing.T) {

			alone := simulate(&simulation{orders: c.orders, warmUp: c.warmUp, measure: c.measure})
			swept := simulate(&simulation{orders: c.orders, warmUp: c.warmUp, measure: c.measure, sweeps: true})
			t.Logf("%5d orders, backoff alone  %s", c.orders, alone)
			t.Logf("%5d orders, with the sweep %s", c.orders, swept)
			if swept.p95 > c.p95 || swept.worst > 4*c.p95 || swept.missed > 0 {
				t.Errorf("%d orders: the end is known after %s (p95), %s at worst; %d were missed", c.orders, swept.p95, swept.worst, swept.missed)
			}
			if swept.busiest > 1.1 {
				t.Errorf("%d orders: %.0f %% of the rate within 5 s", c.orders, 100*swept.busiest)
			}
			if swept.polls+swept.lists > 1.02*(alone.polls+alone.lists) {
				t.Errorf("%d orders: %.2f calls a second; by the backoff alone %.2f", c.orders, swept.polls+swept.lists, alone.polls+alone.lists)
			}
			if len(swept.offs) > 0 {
				t.Errorf("%d orders: off: %q", c.orders, swept.offs)
			}
		})
	}
}

func simulate(s *simulation) measure {
	s.workers = 3
	s.run()
	return s.measured()
}

// Orders that no list shows are known as soon as they are by the backoff alone, and sooner, beside many that are listed.
func TestOrdersThatNoListShows(t *testing.T) {
	watchertest.Unraced(t)
	for _, orders := range []int{200, 5000} {
		like := simulation{orders: orders, warmUp: 17 * time.Minute, measure: time.Duration(max(1, 2000/orders)) * 5 * time.Minute, elsewhere: 0.02}
		alone, swept := like, like
		swept.sweeps = true
		a, s := simulate(&alone), simulate(&swept)
		t.Logf("%5d orders, backoff alone  %s", orders, a)
		t.Logf("%5d orders, with the sweep %s", orders, s)
		if s.elsewhereMean > a.elsewhereMean*11/10+10*time.Second {
			t.Errorf("%d orders: those that no list shows are known after %s in the mean; by the backoff alone %s", orders, s.elsewhereMean, a.elsewhereMean)
		}
		if s.p95 > 8*time.Second {
			t.Errorf("%d orders: the end is known after %s (p95)", orders, s.p95)
		}
	}
}

// A hint that comes twice costs an order none of its turns.
func TestHintsThatComeTwice(t *testing.T) {
	watchertest.Unraced(t)
	const orders = 10000
	m := simulate(&simulation{orders: orders, sweeps: true, twice: true, warmUp: 17 * time.Minute, measure: 3 * time.Minute})
	t.Logf("%5d orders: %s", orders, m)
	if m.p95 > 12*time.Second || m.missed > 0 {
		t.Errorf("%d orders: the end is known after %s (p95); %d were missed", orders, m.p95, m.missed)
	}
}

// Where the worker dies that sweeps, another does so soon, and what ended meanwhile is known soon.
func TestKilledSweeper(t *testing.T) {
	watchertest.Unraced(t)
	for _, orders := range []int{20, 1000, 5000} {
		s := &simulation{orders: orders, workers: 3, sweeps: true, warmUp: 18 * time.Minute, measure: 3 * time.Minute, kill: 19 * time.Minute}
		s.run()
		m := s.measured()
		t.Logf("%5d orders: whole sweep by another after %s; %s", orders, s.takeover, m)
		if s.takeover == 0 || s.takeover > 15*time.Second {
			t.Errorf("%d orders: another has swept after %s", orders, s.takeover)
		}
		if m.worst > 30*time.Second || m.missed > 0 {
			t.Errorf("%d orders: an end is known after %s", orders, m.worst)
		}
		if m.busiest > 1.1 {
			t.Errorf("%d orders: %.0f %% of the rate within 5 s", orders, 100*m.busiest)
		}
	}
}

// A list that is wrong costs nothing but its use: ends are known as soon as by the backoff alone.
func TestWrongList(t *testing.T) {
	watchertest.Unraced(t)
	const warmUp = 20 * time.Minute
	refuse := func(final bool) func(sweep.Query, time.Time) *sweep.Failure {
		return func(sweep.Query, time.Time) *sweep.Failure { return &sweep.Failure{Final: final, Why: "refused"} }
	}
	compare := func(t *testing.T, name string, alone measure, s *simulation) measure {
		m := simulate(s)
		t.Logf("%-26s %s %q", name, m, m.offs)
		if m.mean > alone.mean*3/2 || m.p99 > max(6*time.Minute, alone.p99*3/2) || m.missed > 2*alone.missed {
			t.Errorf("ends are known after %s in the mean, %s (p99); by the backoff alone %s, %s", m.mean, m.p99, alone.mean, alone.p99)
		}
		if m.lateP95 > alone.p95*11/10 {
			t.Errorf("ends are known after %s (p95) later on; by the backoff alone %s", m.lateP95, alone.p95)
		}
		if m.busiest > 1.1 || len(m.offs) > 1 {
			t.Errorf("%.0f %% of the rate, off %q", 100*m.busiest, m.offs)
		}
		return m
	}
	t.Run("refused, of 5000 orders", func(t *testing.T) {
		const orders = 5000
		many := simulation{orders: orders, warmUp: warmUp, measure: 15 * time.Minute}
		like := many
		alone := simulate(&like)
		t.Logf("%-26s %s", "backoff alone", alone)
		many.sweeps, many.spoil = true, func(a *api) { a.failure = refuse(true) }
		m := compare(t, "refused", alone, &many)
		// Polls take all of the rate, and each order has its turn: none goes before those that were asked before.
		if round := time.Duration(orders / perSecond * float64(time.Second)); alone.mean > round || m.mean > round {
			t.Errorf("%d orders: ends are known after %s in the mean, %s by the backoff alone; all can be asked within %s", orders, m.mean, alone.mean, round)
		}
	})
	alone := simulate(&simulation{orders: 200, warmUp: warmUp, measure: 30 * time.Minute})
	t.Logf("%-26s %s", "backoff alone", alone)
	for name, wrong := range map[string]func(*api){
		"refused":                   func(a *api) { a.failure = refuse(true) },
		"no answer":                 func(a *api) { a.failure = refuse(false) },
		"no answer now and then":    func(a *api) { a.failure = nowAndThen(a, refuse(false)) },
		"empty":                     func(a *api) { a.rows = func([]sweep.Row) []sweep.Row { return nil } },
		"no names":                  func(a *api) { a.rows = withoutNames },
		"of other orders":           func(a *api) { a.rows = ofOthers },
		"half of the rows":          func(a *api) { a.rows = halfOf(a) },
		"rows out of order":         func(a *api) { a.shuffled = true },
		"filter is ignored":         func(a *api) { a.anyPhase = true },
		"ends are early":            func(a *api) { a.early = time.Minute },
		"behind":                    func(a *api) { a.behind = 3 * time.Minute },
		"ends are never shown":      func(a *api) { a.early = -100 * time.Hour },
		"counts too many":           func(a *api) { a.count = func(_, real int) int { return 100 * real } },
		"all have ended long since": func(a *api) { a.rows = allEnded },
	} {
		t.Run(name, func(t *testing.T) {

			compare(t, name, alone, &simulation{orders: 200, sweeps: true, warmUp: warmUp, measure: 30 * time.Minute, spoil: wrong})
		})
	}
}

// What happens decides what the sweep does: the same orders, list and times lead to the same polls, also where a list is
// given up, and all its orders are to be polled soon.
func TestSameAgain(t *testing.T) {
	watchertest.Unraced(t)
	polls := func() []time.Duration {
		s := &simulation{orders: 200, sweeps: true, warmUp: 20 * time.Minute, measure: 10 * time.Minute, kill: 10 * time.Minute, spoil: func(a *api) {
			a.failure = func(sweep.Query, time.Time) *sweep.Failure { return &sweep.Failure{Final: true, Why: "refused"} }
		}}
		simulate(s)
		return s.calls
	}
	if first, again := polls(), polls(); !slices.Equal(first, again) {
		t.Errorf("the polls differ: %d, and %d", len(first), len(again))
	}
}

func nowAndThen(a *api, fail func(sweep.Query, time.Time) *sweep.Failure) func(sweep.Query, time.Time) *sweep.Failure {
	return func(q sweep.Query, now time.Time) *sweep.Failure {
		if a.random.IntN(4) > 0 {
			return nil
		}
		return fail(q, now)
	}
}

func withoutNames(rows []sweep.Row) []sweep.Row {
	for i := range rows {
		rows[i].Name = ""
	}
	return rows
}

func ofOthers(rows []sweep.Row) []sweep.Row {
	for i := range rows {
		rows[i].Name += ".of.others"
	}
	return rows
}

func allEnded(rows []sweep.Row) []sweep.Row {
	for i := range rows {
		rows[i].Phase, rows[i].Ended = "successed", rows[i].Created
	}
	return rows
}

func halfOf(a *api) func([]sweep.Row) []sweep.Row {
	return func(rows []sweep.Row) []sweep.Row {
		return slices.DeleteFunc(rows, func(sweep.Row) bool { return a.random.IntN(2) == 0 })
	}
}
