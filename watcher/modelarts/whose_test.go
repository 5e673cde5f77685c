package modelarts_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// Faults of one order. What is no order's trouble is not among them.
var (
	code400     = emulator.Fault{Status: 400, Code: "ModelArts.50014001"}
	code500     = emulator.Fault{Status: 500, Code: "ModelArts.50005000", Message: "Internal server error"}
	page500     = emulator.Fault{Status: 500, Shape: emulator.HTML}
	page502     = emulator.Fault{Status: 502, Shape: emulator.HTML}
	late504     = emulator.Fault{Status: 504, Code: "APIG.0201", Message: "Backend timeout."}
	late408     = emulator.Fault{Status: 408, Shape: emulator.Empty}
	undecodable = emulator.Fault{Body: `{"count":"many","items":7}`}
	page200     = emulator.Fault{Body: "<html>log in</html>"}
	empty200    = emulator.Fault{Status: 200, Shape: emulator.Empty}
	page404     = emulator.Fault{Status: 404, Shape: emulator.HTML}
	code404     = emulator.Fault{Status: 404, Code: "APIG.0101"}
	code410     = emulator.Fault{Status: 410, Code: "ModelArts.50014010"}
	empty410    = emulator.Fault{Status: 410, Shape: emulator.Empty}
	page400     = emulator.Fault{Status: 400, Shape: emulator.HTML}
	elsewhere   = emulator.Fault{Status: 302, Header: map[string]string{"Location": "https://login.example/"}}
	never       = emulator.Fault{Cut: true}
	half        = emulator.Fault{Cut: true, CutAfter: 5}
)

// A watched order is polled as a worker does, on the default schedule.
type watched struct {
	order     watcher.Order
	due, turn time.Time
	planned   time.Time // of the next poll, as the last one left it
	step      int
	late      time.Duration // at most
	polls     int
}

var schedule = watcher.Backoff{Initial: 5 * time.Second, Multiplier: 1.5, Max: time.Minute, Jitter: 0.2}

// run polls the watches on the clients in turn for a time.
func (f *fleet) run(span time.Duration, all []*watched) {
	f.t.Helper()
	turns := 0
	for end := f.clock.now.Add(span); f.clock.now.Before(end); f.clock.now = f.clock.now.Add(50 * time.Millisecond) {
		for _, w := range all {
			if w.due.After(f.clock.now) {
				continue
			}
			turns++
			client := f.clients[turns%len(f.clients)]
			if leave := client.Wait(f.t.Context(), region, w.order, f.clock.now, watcher.Turn{At: w.turn}); leave.After > 0 {
				w.due, w.turn = f.clock.now.Add(leave.After), f.clock.now.Add(leave.After)
				continue
			}
			w.late = max(w.late, f.clock.now.Sub(w.planned))
			_, err := client.Show(f.t.Context(), region, w.order)
			w.polls++
			wait := schedule.Interval(w.order.Name, w.step)
			if e, ok := errors.AsType[*watcher.PollError](err); ok {
				wait = max(wait, e.RetryAfter)
				if e.Held != "" {
					f.t.Errorf("%s after %s: held as %s: %v", w.order.Name, f.clock.now.Sub(newClock().now), e.Held, err)
				}
			}
			w.step++
			w.planned = f.clock.now.Add(wait)
			w.due, w.turn = w.planned, time.Time{}
		}
	}
}

// beside adds so many orders that fail to the cloud, and returns the watches of all, the good one last
// or first.
func (f *fleet) beside(bad int, goodFirst bool, faults ...emulator.Fault) (all []*watched, good *watched) {
	f.cloud.Add(project, "order.good", emulator.Order{Items: []emulator.Item{{ResourceName: "pool", EndAfter: emulator.Never}}})
	for n := range bad {
		name := fmt.Sprintf("order.bad-%d", n)
		f.cloud.Add(project, name, emulator.Order{Faults: []emulator.Fault{faults[n%len(faults)]}})
		all = append(all, &watched{order: order(name), due: f.clock.now, planned: f.clock.now})
	}
	good = &watched{order: order("order.good"), due: f.clock.now, planned: f.clock.now}
	if goodFirst {
		return slices.Insert(all, 0, good), good
	}
	return append(all, good), good
}

// freshFleet starts workers that have asked for nothing yet, on one bucket.
func freshFleet(t *testing.T, workers int) *fleet {
	t.Helper()
	f := &fleet{t: t, clock: newClock(), cloud: emulator.New(emulator.Options{}), bucket: newBucket(workers)}
	c := config(t, serve(t, f.cloud))
	c.Rate, c.Now, c.Accounts = 20, f.clock.Now, f.bucket
	for range workers {
		f.clients = append(f.clients, f.client(c))
	}
	return f
}

func (f *fleet) client(c modelarts.Config) *modelarts.Client {
	f.t.Helper()
	client, err := modelarts.New(slog.New(slog.NewTextHandler(&f.log, nil)), c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(client.Close)
	return client
}

// Orders that are answered badly keep no good one waiting, whether or not it was answered before, on one
// worker or several (C1, C2, C3).
func TestOneOrdersTroubleIsThatOrders(t *testing.T) {
	for _, tt := range []struct {
		name   string
		bad    int
		faults []emulator.Fault
	}{
		{"400 with a code", 5, []emulator.Fault{code400}},
		{"500 with a code", 5, []emulator.Fault{code500}},
		{"500 as a page", 5, []emulator.Fault{page500}},
		{"502 as a page", 5, []emulator.Fault{page502}},
		{"504 with a code", 5, []emulator.Fault{late504}},
		{"408", 5, []emulator.Fault{late408}},
		{"undecodable", 5, []emulator.Fault{undecodable}},
		{"a page", 5, []emulator.Fault{page200}},
		{"nothing", 5, []emulator.Fault{empty200}},
		{"404 as a page", 5, []emulator.Fault{page404}},
		{"404 of the gateway", 5, []emulator.Fault{code404}},
		{"410 with a code", 5, []emulator.Fault{code410}},
		{"410 without", 5, []emulator.Fault{empty410}},
		{"400 as a page", 5, []emulator.Fault{page400}},
		{"redirects", 5, []emulator.Fault{elsewhere}},
		{"cut", 5, []emulator.Fault{never}},
		{"cut in the middle", 5, []emulator.Fault{half}},
		{"one that is cut", 1, []emulator.Fault{never}},
		{"twelve of all kinds", 12, []emulator.Fault{code400, code500, undecodable, never}},
		{"twelve of failures", 12, []emulator.Fault{code500, never, page502}},
		{"answered at first", 5, []emulator.Fault{{FromPoll: 3, Status: 500, Shape: emulator.HTML}}},
		{"thirty of all kinds", 30, []emulator.Fault{code500, page500, undecodable, never, half, page200, late408}},
	} {
		for _, goodFirst := range []bool{true, false} {
			for _, workers := range []int{1, 2, 3} {
				t.Run(fmt.Sprintf("%s, good first %t, %d workers", tt.name, goodFirst, workers), func(t *testing.T) {
					t.Parallel()
					f := freshFleet(t, workers)
					all, good := f.beside(tt.bad, goodFirst, tt.faults...)
					f.run(6*time.Minute, all)
					if good.late > 2*time.Second || good.polls < 8 {
						t.Errorf("polled %d times, %s late", good.polls, good.late)
					}
					for key, hold := range f.bucket.holds {
						t.Errorf("%s: %+v", key, hold)
					}
					if strings.Contains(f.log.String(), "WARN") {
						t.Errorf("log:\n%s", &f.log)
					}
				})
			}
		}
	}
}

// A worker that starts anew, and is asked for bad orders first, keeps the others' account as it is.
func TestNewWorkerAmongOthers(t *testing.T) {
	f := freshFleet(t, 2)
	all, good := f.beside(8, false, code500, never, page502)
	both := f.clients
	for range 60 { // the good order's wake-ups all come to one worker, the bad ones' to the other
		f.clients = both[:1]
		f.run(time.Second, all[len(all)-1:])
		f.clients = both[1:]
		f.run(4*time.Second, all[:len(all)-1])
	}
	if good.polls < 8 || len(f.bucket.holds) > 0 {
		t.Errorf("%d polls of the good order, held: %+v\n%s", good.polls, f.bucket.holds, &f.log)
	}
}

// The order that was answered last is asked once for five failures, and by one call at a time.
func TestWitnessIsAskedSeldom(t *testing.T) {
	f := newFleet(t, 1)
	f.cloud.Add(project, "order.bad", emulator.Order{Faults: []emulator.Fault{code500}})
	for n := 1; n <= 50; n++ {
		f.clock.now = f.clock.now.Add(time.Second)
		_, err := f.clients[0].Show(t.Context(), region, order("order.bad"))
		if e, ok := errors.AsType[*watcher.PollError](err); !ok || e.Held != "" || !strings.Contains(e.Message, "could not answer about this order") {
			t.Fatalf("%v", err)
		}
		if got := f.cloud.Polls(project, "order.x") - 1; got != n/5 {
			t.Fatalf("after %d failures it was asked %d times", n, got)
		}
	}
	f.clock.now = f.clock.now.Add(time.Second)
	f.cloud.Add(project, "order.x", emulator.Order{Faults: []emulator.Fault{{Delay: 200 * time.Millisecond}}})
	before := f.cloud.Polls(project, "order.x")
	var polls sync.WaitGroup
	for range 20 {
		polls.Go(func() { f.clients[0].Show(t.Context(), region, order("order.bad")) })
	}
	polls.Wait()
	if got := f.cloud.Polls(project, "order.x") - before; got > 4 {
		t.Errorf("20 failures at once asked %d times", got)
	}
	if leave := f.wait(f.clients[0]); leave.Held != "" {
		t.Errorf("%+v", leave)
	}
}

// An answer that says nothing of the account shows that it can be reached: failures are counted anew.
func TestUnclearWitnessIsAskedSeldom(t *testing.T) {
	f := newFleet(t, 1)
	f.cloud.Add(project, "order.x", emulator.Order{Faults: []emulator.Fault{page200}})
	f.cloud.Add(project, "order.bad", emulator.Order{Faults: []emulator.Fault{code500}})
	for n := 1; n <= 20; n++ {
		f.clock.now = f.clock.now.Add(time.Second)
		f.clients[0].Show(t.Context(), region, order("order.bad"))
		if got := f.cloud.Polls(project, "order.x") - 1; got != n/5 || len(f.bucket.standing()) > 0 {
			t.Fatalf("after %d failures it was asked %d times, %v stand", n, got, f.bucket.standing())
		}
	}
}

// An order that fails now is no good witness, though it was answered last.
func TestWitnessWithoutDoubt(t *testing.T) {
	f := newFleet(t, 1)
	f.cloud.Add(project, "order.turned", emulator.Order{Faults: []emulator.Fault{{FromPoll: 2, Status: 500, Shape: emulator.HTML}}})
	for n := range 6 {
		f.clock.now = f.clock.now.Add(time.Second)
		_, err := f.clients[0].Show(t.Context(), region, order("order.turned"))
		if e, ok := errors.AsType[*watcher.PollError](err); ok != (n > 0) || ok && e.Held != "" {
			t.Errorf("call %d: %v", n+1, err)
		}
	}
	if n := f.cloud.Polls(project, "order.x"); n != 2 {
		t.Errorf("the good order was asked %d times; want 2", n)
	}
}

// A hold begins when the witness has failed, however long that took.
func TestHoldBeginsAfterItsWitness(t *testing.T) {
	k := newClock()
	cloud := one()
	cloud.SetFaults(emulator.Fault{FromPoll: 2, Status: 503, Shape: emulator.HTML})
	c := config(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "order.x") {
			k.now = k.now.Add(20 * time.Second)
		}
		cloud.ServeHTTP(w, r)
	})))
	c.Now = k.Now
	client := newClient(t, c)
	client.Show(t.Context(), region, order("order.x"))
	for range 5 {
		k.now = k.now.Add(time.Second)
		client.Show(t.Context(), region, order("order.y"))
	}
	leave := client.Wait(t.Context(), region, order("order.y"), k.now, watcher.Turn{})
	if leave.Held != watcher.HeldUnreachable || leave.After < 4*time.Second {
		t.Errorf("%+v", leave)
	}
}

// An account of which nothing was ever answered is held at once where nobody is there, and after ten
// seconds of answers that are none.
func TestUnreachableFromTheStart(t *testing.T) {
	for _, tt := range []struct {
		fault emulator.Fault
		after time.Duration
	}{{code500, 10 * time.Second}, {page502, 10 * time.Second}, {never, 10 * time.Second}, {emulator.Fault{Hang: true}, 0}} {
		f := &fleet{t: t, clock: newClock(), cloud: emulator.New(emulator.Options{}), bucket: newBucket(1)}
		c := config(t, serve(t, f.cloud))
		c.Rate, c.Now, c.Accounts, c.Timeout = 20, f.clock.Now, f.bucket, 50*time.Millisecond
		client := f.client(c)
		f.cloud.SetFaults(tt.fault)
		for n := 1; n <= 30; n++ {
			_, err := client.Show(t.Context(), region, order("order.x"))
			held := err.(*answer.Error).PollError.Held
			want := watcher.HoldKind("")
			if elapsed := time.Duration(n-1) * time.Second; n >= 5 && elapsed >= tt.after {
				want = watcher.HeldUnreachable
			}
			if held != want {
				t.Errorf("%+v: call %d is held as %q, want %q", tt.fault, n, held, want)
			}
			if leave := f.wait(client); leave.Held != want || want != "" {
				if leave.Held != want {
					t.Errorf("%+v: after call %d: %+v", tt.fault, n, leave)
				}
				break
			}
			f.clock.now = f.clock.now.Add(time.Second)
		}
	}
}

// An answer that says nothing of the account ends no hold, and leaves none unlooked for: the order that
// was answered last shows whether it is over.
func TestUnclearProbes(t *testing.T) {
	refusals := map[watcher.HoldKind]emulator.Fault{
		watcher.HeldThrottled:   {Status: 429},
		watcher.HeldLogin:       {Status: 401, Code: "APIG.0307"},
		watcher.HeldArrears:     {Status: 403, Code: "ModelArts.4116"},
		watcher.HeldUnreachable: {Status: 503, Shape: emulator.HTML},
	}
	for kind, refusal := range refusals {
		for _, unclear := range []emulator.Fault{undecodable, page200, empty200, page404, page400, empty410, elsewhere, {Body: `{}`}} {
			for _, tt := range []struct {
				name    string
				witness emulator.Fault
				over    bool
			}{{"answered", emulator.Fault{}, true}, {"unclear, too", page200, false}, {"refused", refusal, false}, {"cut", never, false}} {
				t.Run(fmt.Sprintf("%s, %d %s, %s", kind, unclear.Status, cmp.Or(unclear.Body, string(unclear.Shape)), tt.name), func(t *testing.T) {
					f := newFleet(t, 1)
					f.cloud.SetFaults(refusal)
					for f.wait(f.clients[0]).After == 0 {
						f.clock.now = f.clock.now.Add(time.Second)
						f.show(f.clients[0])
					}
					f.cloud.SetFaults()
					f.cloud.Add(project, "order.x", emulator.Order{Faults: []emulator.Fault{tt.witness}})
					f.cloud.Add(project, "order.unclear", emulator.Order{Faults: []emulator.Fault{unclear}})
					f.clock.now = f.clock.now.Add(10 * time.Minute)
					if leave := f.clients[0].Wait(t.Context(), region, order("order.unclear"), f.clock.now, watcher.Turn{}); leave.After != 0 {
						t.Fatalf("no probe: %+v", leave)
					}
					_, err := f.clients[0].Show(t.Context(), region, order("order.unclear"))
					if e, ok := errors.AsType[*watcher.PollError](err); !ok || e.Held != "" {
						t.Errorf("%v", err)
					}
					for key, hold := range f.bucket.holds {
						if hold.Stands() == tt.over || hold.Probing || hold.Stands() && !hold.Until.After(f.clock.now) || hold.Until.Sub(f.clock.now) > 3*time.Minute && kind == watcher.HeldThrottled {
							t.Errorf("%s: %+v", key, hold)
						}
					}
				})
			}
		}
	}
}

// Any answer of the API about an order ends a hold, without another call.
func TestAnswersEndHolds(t *testing.T) {
	for _, fault := range []emulator.Fault{{}, code400, code404, code410, {Status: 404, Code: "ModelArts.50015001"}, {Status: 400, Code: "ModelArts.50004000"}, {Status: 409, Shape: emulator.CamelError, Code: "EPS.0003"}} {
		for _, refusal := range []emulator.Fault{{Status: 429}, {Status: 401}, {Status: 403, Code: "ModelArts.4118"}} {
			f := newFleet(t, 1)
			f.clock.now = f.clock.now.Add(time.Second)
			f.cloud.SetFaults(refusal)
			f.show(f.clients[0])
			f.cloud.SetFaults()
			f.cloud.Add(project, "order.other", emulator.Order{Faults: []emulator.Fault{fault}})
			f.clock.now = f.clock.now.Add(10 * time.Minute)
			before := f.cloud.Polls(project, "order.x")
			if leave := f.clients[0].Wait(t.Context(), region, order("order.other"), f.clock.now, watcher.Turn{}); leave.After != 0 {
				t.Fatalf("no probe: %+v", leave)
			}
			f.clients[0].Show(t.Context(), region, order("order.other"))
			if standing := f.bucket.standing(); len(standing) > 0 || f.cloud.Polls(project, "order.x") != before {
				t.Errorf("%+v after %+v: %v stand", fault, refusal, standing)
			}
		}
	}
}

// Calls that were under way when the hold began are no tries: it does not grow for them.
func TestCallsInFlightAreNoTries(t *testing.T) {
	start := newClock().now
	var ticks atomic.Int64
	now := func() time.Time { return start.Add(time.Duration(ticks.Load()) * 10 * time.Millisecond) }
	cloud, bucket := one(), newBucket(1)
	c := config(t, serve(t, cloud))
	c.Accounts = bucket
	c.Now = func() time.Time { ticks.Add(1); return now() }
	client := newClient(t, c)
	cloud.SetFaults(emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "1"}, Delay: 50 * time.Millisecond})
	var polls sync.WaitGroup
	for range 20 {
		polls.Go(func() { client.Show(t.Context(), region, order("order.x")) })
	}
	polls.Wait()
	for key, hold := range bucket.holds {
		if wait := hold.Until.Sub(now()); hold.Tries != 1 || wait > time.Second {
			t.Errorf("%s, for %s: %+v", key, wait, hold)
		}
	}
	if len(bucket.holds) != 1 {
		t.Errorf("%+v", bucket.holds)
	}
}

// A worker that starts while the account is held asks the order that was answered before the hold.
func TestHoldKnowsItsWitness(t *testing.T) {
	f := newFleet(t, 1)
	f.cloud.SetFaults(page502)
	for f.wait(f.clients[0]).After == 0 {
		f.clock.now = f.clock.now.Add(time.Second)
		f.show(f.clients[0])
	}
	f.cloud.SetFaults()
	c := config(t, serve(t, f.cloud))
	c.Now, c.Accounts, c.Timeout = f.clock.Now, f.bucket, time.Hour
	restarted := f.client(c)
	f.cloud.Add(project, "order.bad", emulator.Order{Faults: []emulator.Fault{{Hang: true}}})
	f.clock.now = f.clock.now.Add(time.Minute)
	if leave := restarted.Wait(t.Context(), region, order("order.bad"), f.clock.now, watcher.Turn{}); leave.After != 0 {
		t.Fatalf("%+v", leave)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		restarted.Show(ctx, region, order("order.bad"))
		close(ended)
	}()
	for deadline := time.Now().Add(time.Minute); len(f.bucket.standing()) > 0; time.Sleep(time.Millisecond) {
		select {
		case <-ended:
			t.Fatal("the order that is never answered was")
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("an order that is never answered keeps the account held: %v", f.bucket.standing())
		}
	}
	cancel()
	<-ended
}

// With two calls in one, Show takes no more than twice the timeout.
func TestShowTakesTwoTimeouts(t *testing.T) {
	f := newFleet(t, 1)
	c := config(t, serve(t, f.cloud))
	c.Timeout = time.Second
	client := f.client(c)
	if err := f.show(client); err != nil {
		t.Fatal(err)
	}
	f.cloud.SetFaults(emulator.Fault{Hang: true})
	var polls sync.WaitGroup
	for range 5 {
		polls.Go(func() {
			began := time.Now()
			f.show(client)
			if took := time.Since(began); took > 3*time.Second { // what a delivery is waited for
				t.Errorf("it took %s", took)
			}
		})
	}
	polls.Wait()
	if leave := client.Wait(t.Context(), region, order("order.x"), time.Now(), watcher.Turn{}); leave.Held != watcher.HeldUnreachable {
		t.Errorf("%+v", leave)
	}
}

// A login of which nothing is known is tried by the next one where a call is not answered at once.
func TestHangingTrial(t *testing.T) {
	f := freshFleet(t, 1)
	wait := func() watcher.Leave {
		return f.clients[0].Wait(t.Context(), region, order("order.x"), f.clock.now, watcher.Turn{At: f.clock.now})
	}
	tried := 0
	for end := f.clock.now.Add(15 * time.Second); f.clock.now.Before(end); f.clock.now = f.clock.now.Add(100 * time.Millisecond) {
		if wait().After == 0 {
			tried++
		}
		if since := f.clock.now.Sub(newClock().now); since == time.Second && tried != 4 {
			t.Errorf("%d calls after a second", tried)
		}
	}
	if tried < 8 || tried > 12 {
		t.Errorf("%d calls in 15 s", tried)
	}
}

// An answer shows that the login is accepted, also where it is of no use; others need not wait then.
func TestAnswersProveTheLogin(t *testing.T) {
	for _, tt := range []struct {
		fault emulator.Fault
		want  bool
	}{
		{emulator.Fault{}, true}, {code400, true}, {code500, true}, {undecodable, true}, {code404, true},
		{page500, false}, {page502, false}, {never, false}, {emulator.Fault{Status: 500, Code: "APIG.0605"}, false},
	} {
		f := freshFleet(t, 1)
		f.cloud.Add(project, "order.x", emulator.Order{Faults: []emulator.Fault{tt.fault}})
		f.wait(f.clients[0])
		f.show(f.clients[0])
		first, second := f.wait(f.clients[0]), f.wait(f.clients[0])
		if first.After != 0 || (second.After == 0) != tt.want {
			t.Errorf("%+v: %+v, %+v", tt.fault, first, second)
		}
	}
}

// Holds grow, also where the API asks for a time that never helps, and none is longer than README says.
func TestHoldsGrow(t *testing.T) {
	after := func(s string) map[string]string { return map[string]string{"Retry-After": s} }
	const minutes = time.Minute
	for _, tt := range []struct {
		name  string
		fault emulator.Fault
		first time.Duration
		most  time.Duration
	}{
		{"Retry-After 1", emulator.Fault{Status: 429, Header: after("1")}, time.Second, 2 * minutes},
		{"Retry-After 42", emulator.Fault{Status: 429, Header: after("42")}, 42 * time.Second, 2 * minutes},
		{"Retry-After over the most", emulator.Fault{Status: 429, Header: after("600")}, 10 * minutes, 10 * minutes},
		{"throttled", emulator.Fault{Status: 429}, 13500 * time.Millisecond, 2 * minutes},
		{"login", emulator.Fault{Status: 401, Code: "APIG.0307"}, 54 * time.Second, 5 * minutes},
		{"login that locks", emulator.Fault{Status: 401, Code: "APIG.0301", Message: "ak not exist"}, 5 * minutes, 5 * minutes},
		{"permission", emulator.Fault{Status: 403}, 54 * time.Second, 10 * minutes},
		{"arrears", emulator.Fault{Status: 403, Code: "ModelArts.4116"}, 54 * time.Second, 10 * minutes},
		{"unreachable", page502, 4500 * time.Millisecond, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t, 1)
			f.clock.now = f.clock.now.Add(2 * time.Minute)
			f.cloud.SetFaults(tt.fault)
			for f.wait(f.clients[0]).After == 0 {
				f.clock.now = f.clock.now.Add(time.Second)
				f.show(f.clients[0])
			}
			last := time.Duration(0)
			for try := range 12 {
				var hold watcher.Hold
				for _, hold = range f.bucket.holds {
				}
				wait := hold.Until.Sub(f.clock.now)
				if wait > tt.most || wait < last*8/10 || try == 0 && (wait < tt.first || wait > tt.first*13/10) || try == 11 && wait < tt.most*8/10 {
					t.Errorf("try %d: held for %s after %s", try, wait, last)
				}
				if last > 0 && wait < tt.most*8/10 && wait < last*15/10 {
					t.Errorf("try %d: grew from %s to %s", try, last, wait)
				}
				last = wait
				f.clock.now = hold.Until
				if leave := f.wait(f.clients[0]); leave.After != 0 {
					t.Fatalf("%+v", leave)
				}
				f.show(f.clients[0])
			}
		})
	}
}
