package watcher_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// TestTheListChangesNoOutcome lets orders live twice, without the list of orders and with its hints, true and false:
// what is published of them is equal, event by event but for times and polls.
func TestTheListChangesNoOutcome(t *testing.T) {
	t.Parallel()
	seeds := make(chan uint64)
	go func() {
		defer close(seeds)
		for seed := range uint64(watchertest.Rounds(10_000)) {
			seeds <- seed
		}
	}()
	var mu sync.Mutex
	polls, ends, hints := [2]int{}, make(map[watcher.Outcome]int), 0
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := range seeds {
				alone, swept := newLot(seed, false), newLot(seed, true)
				alone.live()
				swept.live()
				mu.Lock()
				if one, other := alone.story(), swept.story(); !slices.Equal(one, other) || len(alone.completions) == 0 {
					t.Errorf("seed %d: %v\nwithout the list\n%s\nwith it\n%s", seed, errors.Join(alone.err, swept.err), strings.Join(one, "\n"), strings.Join(other, "\n"))
				}
				for i, l := range []*lot{alone, swept} {
					polls[i] += l.polls
				}
				hints += swept.hinted
				for _, c := range swept.completions {
					ends[c.Outcome]++
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("%d polls without the list, %d with %d hints; %v", polls[0], polls[1], hints, ends)
}

// A lot is what becomes of one simulated order and its requests. All stores are in memory, and nothing goes wrong.
type lot struct {
	policy watcher.Policy
	random *rand.Rand // what the list and the account do
	now    time.Time
	course []stage
	asks   []watcher.Ask  // by the time at which they are stored
	hints  []watcher.Hint // those to come, by the time of At
	at     []time.Time    // of the hints

	record      watcher.Watch
	revision    watcher.Revision
	timer       *watcher.Wakeup
	completions []watcher.Completion
	told        []string // all events but for times and polls
	polls       int
	hinted      int
	err         error
}

// A stage is how an order is shown from a time on.
type stage struct {
	from   time.Time
	answer watcher.Answer
	err    error
}

// newLot draws an order, who asks for it, and, with the list, what that says.
func newLot(seed uint64, list bool) *lot {
	random := rand.New(rand.NewPCG(seed, 11))
	l := &lot{policy: policy(), random: rand.New(rand.NewPCG(seed, 12)), now: begin}
	l.policy.Backoff.Jitter = 0.1
	l.course = courseOf(random)
	l.asks = asksFor(random, l.course)
	if list {
		l.sweeps()
	}
	return l
}

// courseOf draws how an order goes. Each stage takes longer than the longest interval, stretched or not, so that each is
// seen; and nothing ends that goes on later.
func courseOf(random *rand.Rand) []stage {
	chance := func(percent int) bool { return random.IntN(100) < percent }
	n, dated := 1+random.IntN(3), chance(70)
	action := []string{"createNode", "createNode", "createNode", "deleteNode"}[random.IntN(4)]
	var items []watcher.Item
	at := begin
	course := []stage{{from: at, answer: watcher.Answer{Count: n}}}
	if chance(20) {
		course[0] = stage{from: at, err: notFound}
		at = at.Add(time.Duration(60+random.IntN(40)) * time.Second)
	} else {
		at = at.Add(200*time.Second + time.Duration(random.IntN(200))*time.Second)
	}
	count := n
	for {
		open := slices.IndexFunc(items, func(it watcher.Item) bool { return !it.Status.Ended() })
		bad := slices.IndexFunc(items, func(it watcher.Item) bool { return it.Status == failed })
		changed := open
		switch {
		case len(items) < count && (open < 0 || chance(50)):
			items = append(items, watcher.Item{ResourceName: fmt.Sprint("node-", len(items)), Action: action, Status: processing})
			changed = len(items) - 1
		case open < 0 || chance(1): // it has ended, or goes on for ever
			return course
		case chance(10) && len(items) == count && !strings.HasSuffix(items[open].ResourceName, "'"):
			items[open].ResourceName += "'"
		case chance(10) && bad >= 0:
			items[bad].Status, changed = processing, bad
		case chance(1) || action == "deleteNode" && chance(50): // one that is not deleted is missed until the deadline
			items, changed = slices.Delete(items, open, open+1), -1
			n--
		default:
			items[open].Status = []watcher.Status{succeed, succeed, succeed, failed}[random.IntN(4)]
		}
		if dated && changed >= 0 {
			items[changed].UpdatedAt = at.Truncate(time.Millisecond)
		}
		course = append(course, stage{from: at, answer: watcher.Answer{Count: n, Items: slices.Clone(items)}})
		if count = min(count, n); n == 0 {
			return course
		}
		gap := 230*time.Second + time.Duration(random.IntN(200))*time.Second
		if changed < 0 || chance(5) {
			gap = 27 * time.Minute // it stalls; or people are told of what vanished, or it is taken for deleted
		}
		at = at.Add(gap)
	}
}

// asksFor draws who asks for the order: the first when it begins, others soon after. What is to happen at a time of theirs
// does not happen when a stage begins: a poll that is a little later would show another.
func asksFor(random *rand.Rand, course []stage) (asks []watcher.Ask) {
	middle := func() time.Time {
		i := 1 + random.IntN(max(1, len(course)-2))
		if i+1 >= len(course) {
			return time.Time{}
		}
		return course[i].from.Add(course[i+1].from.Sub(course[i].from) / 2)
	}
	clear := func(at time.Time, by time.Duration) bool {
		return !slices.ContainsFunc(course, func(s stage) bool { return at.Sub(s.from).Abs() < by })
	}
	timeout := 2 * time.Hour
	for !clear(begin.Add(timeout), 12*time.Minute) || !clear(begin.Add(timeout/5*4), 12*time.Minute) {
		timeout += 10 * time.Minute
	}
	for i := range 1 + random.IntN(3) {
		ask := request(fmt.Sprint("build-", i))
		ask.Request.ReceivedAt = begin.Add(time.Duration(i) * 20 * time.Second)
		ask.ExpectedItems = []int{0, 0, 1}[random.IntN(3)]
		ask.Request.Progress = random.IntN(3) == 0
		if random.IntN(3) == 0 {
			if at := middle(); !at.IsZero() {
				ask.Request.LateAt = at.Add(-40 * time.Second) // no deadline
			}
		}
		ask.Timeout = begin.Add(timeout).Sub(ask.Request.ReceivedAt)
		if at := middle(); !at.IsZero() && random.IntN(4) == 0 {
			timeout := at.Sub(ask.Request.ReceivedAt)
			if near := at.Add(-timeout / 5); clear(near, time.Minute) { // when people are told that it is
				ask.Timeout = timeout
			}
		}
		asks = append(asks, ask)
	}
	return asks
}

// sweeps draws what the list says of the order: most often that it has ended, when it has, and sometimes at other times.
func (l *lot) sweeps() {
	l.policy.SweptMax = 3 * time.Minute
	l.policy.Swept = func(string, watcher.Order) bool { return l.random.IntN(3) > 0 }
	end := l.course[len(l.course)-1].from
	some := func(d time.Duration) time.Duration { return time.Duration(l.random.Int64N(int64(d))) }
	for range l.random.IntN(4) {
		lies := []watcher.Hint{{}, {Ended: begin}, {Ended: begin.Add(some(end.Sub(begin) + time.Second))}, {Ended: end.Add(time.Hour)}}
		l.at = append(l.at, begin.Add(some(end.Sub(begin)+5*time.Minute)))
		l.hints = append(l.hints, lies[l.random.IntN(len(lies))])
	}
	for range l.random.IntN(3) {
		l.at = append(l.at, end.Add(some(6*time.Second)))
		l.hints = append(l.hints, []watcher.Hint{{}, {Ended: end.Truncate(time.Millisecond)}}[l.random.IntN(2)])
	}
}

// live lets what is due next happen until all have an answer.
func (l *lot) live() {
	intake := &watcher.Intake{Log: slog.New(slog.DiscardHandler), Policy: l.policy, Records: l, Wakeups: l, Now: func() time.Time { return l.now }}
	poller := &watcher.Poller{Log: slog.New(slog.DiscardHandler), Policy: l.policy, Orders: l, Records: l, Wakeups: l, Events: l, AckWait: ackWait, Now: func() time.Time { return l.now }}
	for steps := 0; l.err == nil; steps++ {
		next, hint := time.Time{}, -1
		if l.timer != nil {
			next = l.timer.At
		}
		for i, at := range l.at {
			if next.IsZero() || at.Before(next) {
				next, hint = at, i
			}
		}
		asked := len(l.asks) > 0 && (next.IsZero() || l.asks[0].Request.ReceivedAt.Before(next))
		if asked {
			next = l.asks[0].Request.ReceivedAt
		}
		if l.now = latest(l.now, next); next.IsZero() {
			return
		}
		var v watcher.Verdict
		switch {
		case asked:
			ask := l.asks[0]
			l.asks, ask.WatchID = l.asks[1:], "w_"+ask.Request.ID
			v = intake.Take(context.Background(), ask)
		case hint >= 0:
			k, h := l.record.Expected(), l.hints[hint]
			l.at, l.hints = slices.Delete(l.at, hint, hint+1), slices.Delete(l.hints, hint, hint+1)
			if l.record.State != watcher.Watching {
				continue
			}
			l.hinted++
			k.At, k.Hint = l.now, &h
			v = poller.Wake(context.Background(), k, 1)
		default:
			k := *l.timer
			l.timer = nil
			v = poller.Wake(context.Background(), k, 1)
		}
		if v.Action != watcher.Ack || steps > 5000 {
			l.err = fmt.Errorf("%+v after %d steps", v, steps)
		}
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// story is all that was published, but for times and polls.
func (l *lot) story() []string {
	if l.err != nil {
		return []string{l.err.Error()}
	}
	kind := func(event string) string { return strings.Fields(event)[0] }
	slices.SortStableFunc(l.told, func(a, b string) int { return cmp.Compare(kind(a), kind(b)) }) // one poll may lead to several
	return l.told
}

// tell notes an event.
func (l *lot) tell(what string, r watcher.Report, more ...any) {
	var items []string
	for _, it := range r.Items {
		items = append(items, fmt.Sprint(it.ResourceName, " ", it.Action, " ", it.Status, " ", it.Missing(), it.TakenFor, it.Replaces, it.Message, it.UpdatedAt.UnixMilli()))
	}
	var requests []string
	for _, asked := range r.Requests {
		requests = append(requests, asked.ID)
	}
	l.told = append(l.told, fmt.Sprint(what+" ", more, items, requests, r.Counts, r.Failures, r.Actions, r.ExpectedItems))
}

func (l *lot) Wait(context.Context, string, watcher.Order, time.Time, watcher.Turn) watcher.Leave {
	if l.random.IntN(10) == 0 { // there is no turn
		return watcher.Leave{After: time.Duration(1+l.random.IntN(3000)) * time.Millisecond}
	}
	return watcher.Leave{}
}

func (*lot) Book(_ string, _ watcher.Order, _ time.Time, turn watcher.Turn) time.Time { return turn.At }

func (l *lot) Show(context.Context, string, watcher.Order) (watcher.Answer, error) {
	l.polls++
	i, _ := slices.BinarySearchFunc(l.course, l.now.Add(1), func(s stage, at time.Time) int { return cmp.Compare(s.from.UnixNano(), at.UnixNano()) })
	s := l.course[max(0, i-1)]
	return s.answer, s.err
}

func (l *lot) Read(context.Context, watcher.Order) (watcher.Watch, watcher.Revision, error) {
	if l.revision == 0 {
		return watcher.Watch{}, 0, watcher.ErrNoRecord
	}
	return l.record, l.revision, nil
}

func (l *lot) ReadLatest(ctx context.Context, o watcher.Order) (watcher.Watch, watcher.Revision, error) {
	return l.Read(ctx, o)
}

func (l *lot) Write(_ context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
	if expected != l.revision {
		return 0, watcher.ErrConflict
	}
	l.record = w
	l.revision++
	return l.revision, nil
}

func (l *lot) Schedule(_ context.Context, k watcher.Wakeup) error {
	l.timer = &k
	return nil
}

func (l *lot) Recall(o watcher.Order) (watcher.Watch, watcher.Revision, bool) {
	w, revision, err := l.Read(context.Background(), o)
	return w, revision, err == nil
}

func (l *lot) Newest(context.Context, watcher.Order) (watcher.Wakeup, error) {
	if l.timer == nil {
		return watcher.Wakeup{}, nil
	}
	return *l.timer, nil
}

func (l *lot) Highest(context.Context, watcher.Order) (uint64, error) { return 0, nil }

func (l *lot) LastCompletion(context.Context, watcher.Order) (string, uint64, error) {
	if n := len(l.completions); n > 0 {
		return l.completions[n-1].WatchID, uint64(n), nil
	}
	return "", 0, nil
}

func (l *lot) Complete(_ context.Context, c watcher.Completion, after uint64) error {
	if after != uint64(len(l.completions)) {
		return watcher.ErrConflict
	}
	l.completions = append(l.completions, c)
	l.tell("completed", c.Report, c.Outcome, c.RequestsLeft, c.Error != nil)
	return nil
}

func (l *lot) Progress(_ context.Context, g watcher.Progress) error {
	l.tell("progress", g.Report, g.Number, g.Changes)
	return nil
}

func (l *lot) Attend(_ context.Context, a watcher.OrderAttention) error {
	a.Report = watcher.Report{Requests: a.Requests} // the rest is as the order was seen last
	l.tell(string(a.Kind), a.Report, a.Until.IsZero())
	return nil
}
