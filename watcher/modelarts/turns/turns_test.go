package turns_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/turns"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

const grace = 10 * time.Second

var begin = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// A caller wants to make calls of one urgency, again and again.
type caller struct {
	urgency watcher.Urgency
	again   time.Duration // after a call; 0: it makes one
	list    bool          // calls of the list
	worker  int           // which it comes to; -1: any

	next, turn time.Time
	wanted     time.Time // since when it wants to make the call
	calls      int
	longest    time.Duration // that it waited for a call
}

// A crowd is all callers, the next one to come first.
type crowd []*caller

func (c crowd) Len() int           { return len(c) }
func (c crowd) Less(i, j int) bool { return c[i].next.Before(c[j].next) }
func (c crowd) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *crowd) Push(x any)        { *c = append(*c, x.(*caller)) }
func (c *crowd) Pop() any {
	x := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return x
}

// An office is some workers that share a rate, and those who come to them.
type office struct {
	rate     float64
	reserved float64
	random   *rand.Rand
	workers  []*turns.Turns
	crowd    crowd
	now      time.Time
	calls    []made
	wakeups  int // of polls
}

// made is a call.
type made struct {
	at      time.Time
	urgency watcher.Urgency
	list    bool
}

func newOffice(rate float64, workers int) *office {
	o := &office{rate: rate, random: rand.New(rand.NewPCG(1, 2)), now: begin}
	for range workers {
		o.workers = append(o.workers, turns.New(rate, workers, grace))
	}
	return o
}

// come lets callers come for the first time, spread over the span.
func (o *office) come(n int, span time.Duration, like caller) (all []*caller) {
	for range n {
		c := like
		c.next = o.now.Add(time.Duration(o.random.Int64N(int64(span))))
		c.wanted = c.next
		all = append(all, &c)
		heap.Push(&o.crowd, &c)
	}
	return all
}

// open lets the callers come and go for so long. Wake-ups arrive up to a quarter of a second late.
func (o *office) open(span time.Duration) {
	for end := o.now.Add(span); len(o.crowd) > 0; {
		if o.crowd[0].next.After(end) {
			o.now = end
			return
		}
		c := heap.Pop(&o.crowd).(*caller)
		o.now = c.next
		w := o.workers[0]
		if c.worker < 0 {
			w = o.workers[o.random.IntN(len(o.workers))]
		}
		w.Share(o.now, len(o.workers), o.reserved)
		var after, waited time.Duration
		if c.list {
			after = w.List(o.now)
		} else {
			takes := false
			o.wakeups++
			if after, takes = w.Ask(o.now, watcher.Turn{Urgency: c.urgency, At: c.turn, Wanted: c.wanted}); takes {
				waited, after = after, 0
			}
		}
		at := o.now.Add(waited)
		late := time.Duration(o.random.Int64N(int64(250 * time.Millisecond)))
		switch {
		case after > 0:
			c.turn = o.now.Add(after)
			c.next = c.turn.Add(late)
		default:
			o.calls = append(o.calls, made{at, c.urgency, c.list})
			c.calls, c.longest = c.calls+1, max(c.longest, at.Sub(c.wanted))
			again := c.again
			if c.list && o.reserved > 0 { // as a sweep is made
				again = time.Duration(float64(time.Second)/min(o.reserved, o.rate/4)) - 125*time.Millisecond
			}
			if again == 0 {
				continue
			}
			c.turn, c.wanted = time.Time{}, at.Add(again)
			c.next = c.wanted.Add(late)
			if !c.list {
				c.turn = w.Book(o.now, c.wanted, c.urgency)
				c.next = c.turn.Add(late)
			}
		}
		heap.Push(&o.crowd, c)
	}
}

// busiest returns the most calls within five seconds, in parts of the rate.
func (o *office) busiest(from time.Time) float64 {
	slices.SortFunc(o.calls, func(a, b made) int { return a.at.Compare(b.at) }) // some had to wait
	most, first := 0, 0
	for last, call := range o.calls {
		if call.at.Before(from) {
			first = last + 1
			continue
		}
		for call.at.Sub(o.calls[first].at) >= 5*time.Second {
			first++
		}
		most = max(most, last-first+1)
	}
	return float64(most) / 5 / o.rate
}

// perSecond returns how many of the calls were made in a second from a time on.
func (o *office) perSecond(from time.Time, which func(made) bool) float64 {
	n := 0
	for _, call := range o.calls {
		if !call.at.Before(from) && which(call) {
			n++
		}
	}
	return float64(n) / o.now.Sub(from).Seconds()
}

func all(made) bool        { return true }
func lists(call made) bool { return call.list }
func polls(call made) bool { return !call.list }

func of(u watcher.Urgency) func(made) bool {
	return func(call made) bool { return !call.list && call.urgency == u }
}

// An urgent call waits for no other but the urgent ones before it, however many have slots.
func TestUrgentGoesBeforeSlots(t *testing.T) {
	for _, workers := range []int{1, 3} {
		o := newOffice(20, workers)
		o.come(2000, time.Second, caller{urgency: watcher.Routine, again: time.Second, worker: -1})
		o.open(20 * time.Second)
		urgent := o.come(100, 100*time.Second, caller{urgency: watcher.MayHaveEnded, worker: -1})
		o.open(150 * time.Second)
		worst := slices.MaxFunc(urgent, func(a, b *caller) int { return int(a.longest - b.longest) })
		if worst.calls == 0 || worst.longest > 2*time.Second {
			t.Errorf("%d workers: an urgent call waited %s", workers, worst.longest)
		}
		if got := o.perSecond(begin, all); got < 19 {
			t.Errorf("%d workers: %.1f calls a second", workers, got)
		}
	}
}

// However many urgent calls there are, the others go on; the urgent ones get nearly all.
func TestNobodyStarves(t *testing.T) {
	for _, workers := range []int{1, 3} {
		o := newOffice(20, workers)
		others := make(map[watcher.Urgency][]*caller)
		for u := watcher.Spare; u < watcher.MayHaveEnded; u++ {
			others[u] = o.come(10, time.Second, caller{urgency: u, again: time.Second, worker: -1})
		}
		o.come(400, time.Second, caller{urgency: watcher.MayHaveEnded, again: 5 * time.Second, worker: -1})
		o.open(time.Hour)
		from := begin.Add(time.Minute)
		for u, callers := range others {
			for _, c := range callers {
				if c.calls < 10 || c.longest > 20*time.Minute {
					t.Errorf("%d workers: a caller of urgency %d made %d calls and waited %s", workers, u, c.calls, c.longest)
				}
			}
			if got := o.perSecond(from, of(u)); got < 0.15 {
				t.Errorf("%d workers: %.2f calls a second of urgency %d", workers, got, u)
			}
		}
		if urgent := o.perSecond(from, of(watcher.MayHaveEnded)); urgent < 18.5 {
			t.Errorf("%d workers: %.1f urgent calls a second", workers, urgent)
		}
	}
}

// When the urgent calls are over, those who were told to wait for long come back soon.
func TestSlotsComeSoonAfterUrgentCalls(t *testing.T) {
	o := newOffice(20, 1)
	o.come(4000, 100*time.Second, caller{urgency: watcher.MayHaveEnded})
	routine := o.come(1000, 100*time.Second, caller{urgency: watcher.Routine})
	o.open(time.Hour)
	for _, c := range routine {
		if c.calls != 1 || c.longest > 200*time.Second+50*time.Second+2*time.Minute+time.Minute {
			t.Fatalf("a caller made %d calls and waited %s", c.calls, c.longest)
		}
	}
}

// All calls together keep to the rate, and use it, however many workers there are.
func TestRateIsKept(t *testing.T) {
	for _, workers := range []int{1, 3, 10} {
		for _, reserved := range []float64{0, 0.3, 3.3, 5} {
			t.Run(fmt.Sprint(workers, " workers, reserved ", reserved), func(t *testing.T) {
				o := newOffice(20, workers)
				o.reserved = reserved
				for u := watcher.Routine; u <= watcher.MayHaveEnded; u++ {
					o.come(500, 20*time.Second, caller{urgency: u, again: 20 * time.Second, worker: -1})
				}
				if reserved > 0 {
					o.come(1, time.Second, caller{list: true})
				}
				o.open(5 * time.Minute)
				from := begin.Add(10 * time.Second)
				if got := o.busiest(from); got > 1.1 {
					t.Errorf("%.0f %% of the rate within 5 s", got*100)
				}
				least := 18.6
				if workers == 10 { // none can save a token
					least = 15.5
				}
				if got := o.perSecond(from, all); got < least {
					t.Errorf("%.1f calls a second", got)
				}
				if got := o.perSecond(from, lists); got > reserved*1.05 || got < reserved*0.85 {
					t.Errorf("%.2f lists a second", got)
				}
			})
		}
	}
}

// What is reserved for lists changes as sweeps come and go. It is never more than a quarter.
func TestReservedShare(t *testing.T) {
	o := newOffice(20, 3)
	o.come(900, 20*time.Second, caller{urgency: watcher.Routine, again: 20 * time.Second, worker: -1})
	o.come(1, time.Second, caller{list: true})
	o.reserved = 1
	o.open(time.Minute)
	for _, c := range []struct{ reserved, lists float64 }{{1, 1}, {4, 4}, {100, 5}, {0.2, 0.2}, {2, 2}} {
		o.reserved = c.reserved
		o.open(20 * time.Second)
		from := o.now
		o.open(4 * time.Minute)
		if got := o.perSecond(from, lists); got < 0.9*c.lists || got > 1.1*c.lists {
			t.Errorf("%g reserved: %.2f lists a second", c.reserved, got)
		}
		if got, want := o.perSecond(from, polls), 20-c.lists; got < 0.94*want || got > 1.01*want {
			t.Errorf("%g reserved: %.2f polls a second", c.reserved, got)
		}
		if got := o.busiest(from); got > 1.1 {
			t.Errorf("%g reserved: %.0f %% of the rate within 5 s", c.reserved, got*100)
		}
	}
}

// Where nothing is reserved for them, lists go before all polls.
func TestListsWithoutAShareGoFirst(t *testing.T) {
	o := newOffice(20, 3)
	o.come(900, 20*time.Second, caller{urgency: watcher.MayHaveEnded, again: time.Second, worker: -1})
	list := o.come(1, time.Second, caller{list: true, again: 5 * time.Second})
	o.open(5 * time.Minute)
	if list[0].calls < 50 || list[0].longest > 2*time.Second {
		t.Errorf("%d lists, of which one waited %s", list[0].calls, list[0].longest)
	}
	if got := o.busiest(begin.Add(10 * time.Second)); got > 1.1 {
		t.Errorf("%.0f %% of the rate within 5 s", got*100)
	}
}

// Where the rate is used up, one wake-up is enough for nearly each poll. To which of several workers a wake-up goes is drawn
// here; NATS deals them out more evenly.
func TestOneWakeupForEachPoll(t *testing.T) {
	watchertest.Unraced(t)
	for _, c := range []struct {
		workers int
		most    float64 // wake-ups for each poll
	}{{1, 1.01}, {3, 1.15}, {10, 1.45}} {
		for _, callers := range []int{1100, 1200, 1500, 3000, 10000} {
			o := newOffice(20, c.workers)
			o.come(callers, time.Minute, caller{urgency: watcher.Routine, again: time.Minute, worker: -1})
			o.open(2*time.Minute + time.Duration(callers/20)*time.Second)
			o.calls, o.wakeups = nil, 0
			from := o.now
			o.open(30 * time.Minute)
			each, got := float64(o.wakeups)/float64(len(o.calls)), o.perSecond(from, polls)
			t.Logf("%d workers, %d callers: %.2f wake-ups for each poll, %.1f polls a second", c.workers, callers, each, got)
			if each > c.most {
				t.Errorf("%d workers, %d callers: %.2f wake-ups for each poll", c.workers, callers, each)
			}
			if least := 0.95 * min(20, float64(callers)/60); got < least || o.busiest(from) > 1.1 {
				t.Errorf("%d workers, %d callers: %.1f polls a second, at most %.2f of the rate within 5 s", c.workers, callers, got, o.busiest(from))
			}
		}
	}
}
