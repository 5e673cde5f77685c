package modelarts_test

import (
	"bytes"
	"container/heap"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A clock is set by the test.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newClock() *clock { return &clock{time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)} }

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

// A thousand watches that come at once are let through at the rate, and each but the first
// twenty has to come twice.
func TestWaitHandsOutSlots(t *testing.T) {
	for _, rate := range []float64{20, 30, 7, 333, 0.5} {
		k := newClock()
		client := newClient(t, modelarts.Config{Regions: []string{region}, Credential: modelarts.Token{}, Rate: rate, Now: k.Now})
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
			wait, reason := client.Wait(region, now, turn)
			if wait == 0 {
				asked = append(asked, now)
				continue
			}
			if !strings.Contains(reason, "rate") {
				t.Fatalf("reason %q", reason)
			}
			heap.Push(&queue, now.Add(wait))
		}
		burst := max(1, int(rate))
		if came != 2*watches-burst {
			t.Errorf("rate %g: %d watches came %d times", rate, watches, came)
		}
		for n, at := range asked {
			soonest := k.now.Add(time.Duration(float64(n-burst) / rate * float64(time.Second)))
			if at.Before(soonest) || at.After(soonest.Add(time.Duration(float64(time.Second)/rate)+2*time.Millisecond)) && n >= burst {
				t.Fatalf("rate %g: call %d came at %v", rate, n, at.Sub(k.now))
			}
		}
	}
}

// A watch that asks again and again uses the rate, no more and no less, though others were handed
// slots that they never used.
func TestWaitForgetsSlotsNobodyUses(t *testing.T) {
	k := newClock()
	client := newClient(t, modelarts.Config{Regions: []string{region}, Credential: modelarts.Token{}, Rate: 10})
	for range 1000 {
		client.Wait(region, k.now, time.Time{})
	}
	asked := 0
	for range 1000 {
		k.now = k.now.Add(10 * time.Millisecond)
		if wait, _ := client.Wait(region, k.now, time.Time{}); wait == 0 {
			asked++
		}
	}
	if asked < 88 || asked > 100 { // in the first second it becomes clear that nobody comes
		t.Errorf("asked %d times in 10 s", asked)
	}
}

func TestWaitKeepsRegionsApart(t *testing.T) {
	k := newClock()
	client := newClient(t, modelarts.Config{Regions: []string{region, "eu-west-101"}, Credential: modelarts.Token{}, Rate: 1})
	client.Wait(region, k.now, time.Time{})
	if wait, _ := client.Wait(region, k.now, time.Time{}); wait == 0 {
		t.Error("asked twice")
	}
	for _, other := range []string{"eu-west-101", "unknown"} {
		if wait, _ := client.Wait(other, k.now, time.Time{}); wait != 0 {
			t.Errorf("%s waits %v", other, wait)
		}
	}
}

func TestWaitHolds(t *testing.T) {
	for _, tt := range []struct {
		name     string
		fault    emulator.Fault
		min, max time.Duration
	}{
		{"Retry-After", emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "42"}}, 42 * time.Second, 42 * time.Second},
		{"absurd Retry-After", emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "86400"}}, 15 * time.Minute, 15 * time.Minute},
		{"limit in the text", emulator.Fault{Status: 429, Code: "APIG.0308", Message: "policy user over ratelimit,limit:200,time:1 minute"}, time.Minute, time.Minute},
		{"neither", emulator.Fault{Status: 429}, 500 * time.Millisecond, 1500 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, k, _, e := throttled(t)
			e.SetFaults(tt.fault)
			client.Show(t.Context(), region, order("order.x"))
			wait, reason := client.Wait(region, k.now, time.Time{})
			if wait < tt.min || wait > tt.max+time.Millisecond || !strings.Contains(reason, "ModelArts throttles the account until 2026-01-01T12:") {
				t.Errorf("got %v, %q", wait, reason)
			}
			last := wait
			for range 10 { // the others come back one by one
				wait, _ := client.Wait(region, k.now, time.Time{})
				if wait-last != 50*time.Millisecond {
					t.Errorf("%v after %v", wait, last)
				}
				last = wait
			}
			k.now = k.now.Add(last)
			if wait, reason := client.Wait(region, k.now, time.Time{}); wait != 0 {
				t.Errorf("after the hold: %v, %q", wait, reason)
			}
		})
	}
}

// throttled returns a client of an emulator, its clock and its log.
func throttled(t *testing.T) (*modelarts.Client, *clock, *bytes.Buffer, *emulator.Emulator) {
	t.Helper()
	k := newClock()
	e := emulator.New(emulator.Options{})
	e.Add(project, "order.x", emulator.Order{})
	c := config(t, serve(t, e))
	c.Rate, c.Now = 20, k.Now
	var log bytes.Buffer
	client, err := modelarts.New(slog.New(slog.NewTextHandler(&log, nil)), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, k, &log, e
}

// Holds of unknown length grow up to a minute and begin anew after a success; people are told
// once when they begin and once when they are over.
func TestHoldsGrow(t *testing.T) {
	client, k, log, e := throttled(t)
	show := func() time.Duration {
		client.Show(t.Context(), region, order("order.x"))
		wait, _ := client.Wait(region, k.now, time.Time{})
		return wait
	}
	e.SetFaults(emulator.Fault{Status: 429})
	for n, mean := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		mean *= time.Second
		wait := show()
		if wait < mean/2 || wait > mean*3/2+time.Millisecond {
			t.Errorf("hold %d: %v, want about %v", n+1, wait, mean)
		}
		k.now = k.now.Add(wait)
	}
	if n := strings.Count(log.String(), "WARN"); n != 1 || strings.Contains(log.String(), "INFO") {
		t.Errorf("log:\n%s", log)
	}
	e.SetFaults(emulator.Fault{Status: 503}) // says nothing about it
	show()
	if strings.Contains(log.String(), "INFO") {
		t.Errorf("log:\n%s", log)
	}
	e.SetFaults()
	show()
	if strings.Count(log.String(), "INFO") != 1 || strings.Contains(log.String(), secret) {
		t.Errorf("log:\n%s", log)
	}
	e.SetFaults(emulator.Fault{Status: 429})
	if wait := show(); wait > 1501*time.Millisecond {
		t.Errorf("after a success: %v", wait)
	}
}

// Twenty calls in flight that are all refused are one refusal, not twenty.
func TestCallsInFlightMakeOneHold(t *testing.T) {
	client, k, log, e := throttled(t)
	e.SetFaults(emulator.Fault{Status: 429})
	start := make(chan struct{})
	done := make(chan struct{})
	for range 20 {
		go func() {
			<-start
			client.Show(t.Context(), region, order("order.x"))
			done <- struct{}{}
		}()
	}
	close(start)
	for range 20 {
		<-done
	}
	if wait, _ := client.Wait(region, k.now, time.Time{}); wait > 1501*time.Millisecond {
		t.Errorf("held for %v", wait)
	}
	if strings.Count(log.String(), "WARN") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

// More watches than the rate can serve take turns: nobody goes twice while another waits.
func TestWaitStarvesNobody(t *testing.T) {
	const watches, rate, seconds = 500, 10, 200
	k := newClock()
	client := newClient(t, modelarts.Config{Regions: []string{region}, Credential: modelarts.Token{}, Rate: rate, Now: k.Now})
	type watch struct {
		due, turn time.Time
		polls     int
	}
	all := make([]watch, watches)
	for i := range all {
		all[i].due = k.now
	}
	end := k.now.Add(seconds * time.Second)
	for ; k.now.Before(end); k.now = k.now.Add(50 * time.Millisecond) {
		for i := range all {
			w := &all[i]
			if w.due.After(k.now) {
				continue
			}
			wait, _ := client.Wait(region, k.now, w.turn)
			if wait > 0 {
				w.due, w.turn = k.now.Add(wait), k.now.Add(wait)
				continue
			}
			w.polls++
			w.due, w.turn = k.now.Add(2*time.Second), time.Time{} // its own interval is far shorter
		}
	}
	least, most, sum := all[0].polls, all[0].polls, 0
	for _, w := range all {
		least, most, sum = min(least, w.polls), max(most, w.polls), sum+w.polls
	}
	if most-least > 1 || sum < rate*seconds*9/10 || sum > rate*(seconds+1) {
		t.Errorf("watches were polled %d to %d times, %d times in all; want the same for each, about %d", least, most, sum, rate*seconds)
	}
}
