package modelarts_test

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A clock is set by the test.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newClock() *clock { return &clock{time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)} }

// A bucket is what workers share, in memory.
type bucket struct {
	mu        sync.Mutex
	workers   int
	reserved  float64
	broken    bool // it stores nothing: what is set counts for this worker alone
	holds     map[string]watcher.Hold
	revisions map[string]watcher.Revision
	answered  map[string]watcher.Order
}

func newBucket(workers int) *bucket {
	return &bucket{workers: workers, holds: make(map[string]watcher.Hold), revisions: make(map[string]watcher.Revision), answered: make(map[string]watcher.Order)}
}

func (b *bucket) Workers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.workers
}

func (b *bucket) Reserved(string) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reserved
}

func (b *bucket) Hold(key string) (watcher.Hold, watcher.Revision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holds[key], b.revisions[key]
}

// standing returns the keys of the holds that stand.
func (b *bucket) standing() (keys []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, hold := range b.holds {
		if hold.Stands() {
			keys = append(keys, key)
		}
	}
	return keys
}

func (b *bucket) Answered(key string, order watcher.Order) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered[key] = order
}

func (b *bucket) LastAnswered(key string) (watcher.Order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	order, ok := b.answered[key]
	return order, ok && b.workers > 1
}

func (b *bucket) SetHold(_ context.Context, key string, h watcher.Hold, revision watcher.Revision) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.revisions[key] != revision {
		return watcher.ErrConflict
	}
	b.holds[key] = h
	if b.broken {
		return errors.New("no quorum")
	}
	b.revisions[key]++
	return nil
}

// known returns a client that is told the time and whose login has been accepted, with so many
// calls a second, as one of the workers on the bucket.
func known(t *testing.T, k *clock, e *emulator.Emulator, perSecond float64, b *bucket) *modelarts.Client {
	t.Helper()
	c := config(t, serve(t, e))
	c.Rate, c.Now, c.Accounts = perSecond, k.Now, b
	client := newClient(t, c)
	if _, err := client.Show(t.Context(), region, order("order.x")); err != nil {
		t.Fatal(err)
	}
	return client
}

// one is an emulator of one order.
func one() *emulator.Emulator {
	e := emulator.New(emulator.Options{})
	e.Add(project, "order.x", emulator.Order{})
	return e
}

// comers are the times at which watches come and ask whether they may poll, earliest first.
type comers []time.Time

func (c comers) Len() int           { return len(c) }
func (c comers) Less(i, j int) bool { return c[i].Before(c[j]) }
func (c comers) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *comers) Push(x any)        { *c = append(*c, x.(time.Time)) }
func (c *comers) Pop() any {
	x := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return x
}

// A thousand watches that come at once are let through at the rate, and each but the first few has
// to come twice.
func TestWaitHandsOutSlots(t *testing.T) {
	for _, rate := range []float64{20, 30, 7, 333, 0.5} {
		k := newClock()
		client := known(t, k, one(), rate, newBucket(1))
		const watches = 1000
		queue := make(comers, watches)
		for n := range queue {
			queue[n] = k.now
		}
		var asked []time.Time
		came := 0
		for queue.Len() > 0 {
			now := heap.Pop(&queue).(time.Time)
			came++
			turn := time.Time{}
			if now.After(k.now) {
				turn = now
			}
			leave := client.Wait(t.Context(), region, order("order.x"), now, watcher.Turn{At: turn})
			if leave.After == 0 {
				asked = append(asked, now.Add(leave.Soon))
				continue
			}
			if !strings.Contains(leave.Why, "rate") || leave.Held != "" {
				t.Fatalf("%+v", leave)
			}
			heap.Push(&queue, now.Add(leave.After))
		}
		burst := max(1, int(rate*0.4))
		slices.SortFunc(asked, time.Time.Compare)
		if came > 2*watches-burst || came < 2*watches-burst-16 { // some wait in the worker
			t.Errorf("rate %g: %d watches came %d times", rate, watches, came)
		}
		for n, at := range asked {
			soonest := k.now.Add(time.Duration(float64(n-burst) / rate * float64(time.Second)))
			if at.Before(soonest) || at.After(soonest.Add(time.Second+time.Duration(float64(time.Second)/rate)+2*time.Millisecond)) && n >= burst {
				t.Fatalf("rate %g: call %d came at %v", rate, n, at.Sub(k.now))
			}
		}
	}
}

// A watch that asks again and again uses the rate, no more and no less, though others were handed
// slots that they never used.
func TestWaitForgetsSlotsNobodyUses(t *testing.T) {
	k := newClock()
	client := known(t, k, one(), 10, newBucket(1))
	for range 1000 {
		client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{})
	}
	asked := 0
	for range 1000 {
		k.now = k.now.Add(10 * time.Millisecond)
		if leave := client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{}); leave.After == 0 {
			asked++
		}
	}
	if asked < 88 || asked > 100 { // in the first second it becomes clear that nobody comes
		t.Errorf("asked %d times in 10 s", asked)
	}
}

func TestWaitKeepsRegionsApart(t *testing.T) {
	k := newClock()
	c := config(t, serve(t, one()))
	c.Regions, c.Rate, c.Now = []string{region, "eu-west-101"}, 1, k.Now
	client := newClient(t, c)
	client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{})
	if leave := client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{}); leave.After == 0 && leave.Soon == 0 {
		t.Error("asked twice")
	}
	for _, other := range []string{"eu-west-101", "unknown"} {
		if leave := client.Wait(t.Context(), other, order("order.x"), k.now, watcher.Turn{}); leave.After != 0 {
			t.Errorf("%s: %+v", other, leave)
		}
	}
}

// Until one call was answered nobody else may ask: a wrong key is locked after a few calls.
func TestALoginIsTriedOnce(t *testing.T) {
	k := newClock()
	c := config(t, serve(t, one()))
	c.Rate, c.Now = 100, k.Now
	client := newClient(t, c)
	may := 0
	for range 50 {
		if client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{}).After == 0 {
			may++
		}
	}
	if may != 1 {
		t.Errorf("%d calls with a login of which nothing is known", may)
	}
	client.Show(t.Context(), region, order("order.x"))
	k.now = k.now.Add(time.Second)
	if leave := client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{}); leave.After != 0 {
		t.Errorf("after it was accepted: %+v", leave)
	}
}

// More watches than the rate can serve take turns: nobody goes twice while another waits.
func TestWaitStarvesNobody(t *testing.T) {
	const watches, perSecond, seconds, warmUp = 500, 10, 175, 75
	k := newClock()
	client := known(t, k, one(), perSecond, newBucket(1))
	all := make([]polled, watches)
	for i := range all {
		all[i].due = k.now
	}
	begin := k.now.Add(warmUp * time.Second) // those who came first went twice
	for end := begin.Add(seconds * time.Second); k.now.Before(end); k.now = k.now.Add(50 * time.Millisecond) {
		for i := range all {
			w := &all[i]
			if w.due.After(k.now) {
				continue
			}
			if leave := client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{At: w.turn}); leave.After > 0 {
				w.due, w.turn = k.now.Add(leave.After), k.now.Add(leave.After)
				continue
			}
			if !k.now.Before(begin) {
				w.polls++
			}
			w.turn = client.Book(region, order("order.x"), k.now, watcher.Turn{At: k.now.Add(2 * time.Second)}) // its own interval is far shorter
			w.due = w.turn
		}
	}
	least, most, sum := all[0].polls, all[0].polls, 0
	for _, w := range all {
		least, most, sum = min(least, w.polls), max(most, w.polls), sum+w.polls
	}
	if most-least > 1 || sum < perSecond*seconds*9/10 || sum > perSecond*(seconds+1) {
		t.Errorf("watches were polled %d to %d times, %d times in all; want the same for each, about %d", least, most, sum, perSecond*seconds)
	}
}

// A watch of the simulation.
type polled struct {
	due, turn time.Time
	wanted    time.Time
	last      time.Time
	longest   time.Duration // between two polls
	polls     int
}

// Three thousand watches on three workers share 50 calls a second, wherever their wake-ups arrive;
// when a worker dies the others use its share.
func TestWorkersShareTheRate(t *testing.T) {
	const watches, perSecond = 3000, 50
	k := newClock()
	e, b := one(), newBucket(3)
	clients := []*modelarts.Client{known(t, k, e, perSecond, b), known(t, k, e, perSecond, b), known(t, k, e, perSecond, b)}
	random := rand.New(rand.NewPCG(1, 1))
	begin := k.now
	all := make([]polled, watches)
	for i := range all {
		all[i].due, all[i].last = begin, begin
	}
	var calls []time.Duration // since begin
	const tick = 250 * time.Millisecond
	for ; k.now.Sub(begin) < 6*time.Minute; k.now = k.now.Add(tick) {
		if k.now.Sub(begin) == 4*time.Minute {
			clients, b.workers = clients[:2], 2
		}
		for _, i := range random.Perm(watches) {
			w := &all[i]
			if w.due.After(k.now) {
				continue
			}
			now := k.now.Add(time.Duration(random.IntN(int(tick))))
			client := clients[random.IntN(len(clients))]
			leave := client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{At: w.turn, Wanted: w.wanted})
			if leave.After > 0 {
				w.due, w.turn = k.now.Add(leave.After), k.now.Add(leave.After)
				continue
			}
			now = now.Add(leave.Soon)
			calls = append(calls, now.Sub(begin))
			w.longest, w.last = max(w.longest, now.Sub(w.last)), now
			w.polls++
			w.wanted = now.Add(5 * time.Second)
			w.turn = client.Book(region, order("order.x"), k.now, watcher.Turn{At: w.wanted})
			w.due = w.turn
		}
	}
	slices.Sort(calls)
	for _, window := range []struct {
		span time.Duration
		most float64
	}{{time.Second, 1.5}, {5 * time.Second, 1.1}} {
		most := busiest(calls, 10*time.Second, window.span)
		if limit := window.most * perSecond * window.span.Seconds(); float64(most) > limit {
			t.Errorf("%d calls within %s; at most %g", most, window.span, limit)
		}
	}
	for _, span := range [][2]time.Duration{{10 * time.Second, 4 * time.Minute}, {4*time.Minute + 10*time.Second, 6 * time.Minute}} {
		n := 0
		for _, at := range calls {
			if at >= span[0] && at < span[1] {
				n++
			}
		}
		if got := float64(n) / (span[1] - span[0]).Seconds(); got < 0.93*perSecond {
			t.Errorf("from %s to %s: %.1f calls a second", span[0], span[1], got)
		}
	}
	mean := time.Duration(float64(watches) / perSecond * float64(time.Second))
	unlucky := slices.MaxFunc(all, func(a, b polled) int { return cmp.Compare(a.longest, b.longest) })
	t.Logf("%d calls; a watch waits %s in the mean, %s at most", len(calls), mean, unlucky.longest)
	if unlucky.longest > 2*mean {
		t.Errorf("a watch waited %s; the mean is %s", unlucky.longest, mean)
	}
}

// A list waits until a poll has shown that the login is accepted, and that a hold is over. Then it goes by the share that
// is reserved for lists, whatever the polls use, and makes no poll wait.
func TestWaitList(t *testing.T) {
	k, b := newClock(), newBucket(1)
	c := config(t, serve(t, one()))
	c.Rate, c.Now, c.Accounts = 20, k.Now, b
	client := newClient(t, c)
	list := func() watcher.Leave { return client.WaitList(t.Context(), region, project, k.now) }
	poll := func() watcher.Leave {
		return client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{At: k.now})
	}
	if leave := list(); leave.After <= 0 || leave.Held != "" {
		t.Errorf("before the login was accepted: %+v", leave)
	}
	if leave := client.WaitList(t.Context(), "unknown", project, k.now); leave.After != 0 {
		t.Errorf("a region that is not configured: %+v", leave)
	}
	poll()
	if _, err := client.Show(t.Context(), region, order("order.x")); err != nil {
		t.Fatal(err)
	}
	b.reserved = 2
	k.now = k.now.Add(10 * time.Second)
	lists, polls := 0, 0
	for range 200 { // of 50 ms
		for leave := poll(); leave.After == 0; leave = poll() {
			polls++
			if leave.Soon > 0 {
				break
			}
		}
		if k.now.Nanosecond()%int(500*time.Millisecond) == 0 && list().After == 0 {
			lists++
		}
		k.now = k.now.Add(50 * time.Millisecond)
	}
	if lists < 19 || polls < 165 || polls > 197 {
		t.Errorf("%d lists and %d polls in 10 s", lists, polls)
	}

	until := k.now.Add(time.Minute)
	hold := watcher.Hold{Kind: watcher.HeldThrottled, Since: k.now, Until: until}
	for key := range b.answered {
		if err := b.SetHold(t.Context(), key, hold, b.revisions[key]); err != nil {
			t.Fatal(err)
		}
	}
	if leave := list(); leave.After < time.Minute || leave.Held != watcher.HeldThrottled {
		t.Errorf("while the account is held: %+v", leave)
	}
	k.now = until.Add(time.Second)
	if leave := list(); leave.After <= 0 || leave.After > 10*time.Second {
		t.Errorf("when the time of the hold is over: %+v", leave)
	}
	if leave := poll(); leave.After != 0 {
		t.Errorf("the poll that is to show that: %+v", leave)
	}
}

// busiest returns the most calls in any span from a time on; calls are sorted.
func busiest(calls []time.Duration, from, span time.Duration) int {
	most, first := 0, 0
	for last, at := range calls {
		if at < from {
			first = last + 1
			continue
		}
		for at-calls[first] >= span {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}
