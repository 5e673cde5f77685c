package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
)

func seesAll() bool { return true }

// TestFollowersOfATeam lets one team ask for events as often as it likes: it takes half of the places of those who wait,
// and half of the turns to read, and another team is answered beside it.
func TestFollowersOfATeam(t *testing.T) {
	t.Parallel()
	nc, js := eventstest.Connect(t, eventstest.Server(t))
	f := events.NewFollowing(eventstest.Provided(t, nc, eventstest.StoreConfig()))
	var asking sync.WaitGroup
	ask := func(ctx context.Context, n int, team, question string, maySee func() bool) {
		for range n {
			asking.Go(func() {
				for ctx.Err() == nil { // it may be refused its turn, and asks again
					_, _ = f.Ask(ctx, team, question, maySee)
				}
			})
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ask(ctx, 700, "gpu", `{"new":true,"wait":"25s"}`, seesAll)
	waits := func(team string, n int) func() error {
		return func() error {
			if _, of := f.Waiting(team); of != n {
				return fmt.Errorf("%d of %s wait; want %d", of, team, n)
			}
			return nil
		}
	}
	eventstest.Eventually(t, waits("gpu", 500))
	ask(ctx, 10, "net", `{"new":true,"wait":"25s"}`, seesAll)
	eventstest.Eventually(t, waits("net", 10))
	if all, of := f.Waiting("gpu"); all != 510 || of != 500 {
		t.Errorf("%d wait, %d of them of the team; want 510 and 500", all, of)
	}
	stop()
	asking.Wait()
	if all, _ := f.Waiting("gpu"); all != 0 {
		t.Errorf("%d wait that were told to stop", all)
	}

	progressOf(t, js, "order.a", "")
	var reading atomic.Int64
	goOn := make(chan bool)
	reads, end := context.WithCancel(t.Context())
	ask(reads, 20, "gpu", `{}`, func() bool { reading.Add(1); <-goOn; return true })
	defer func() { close(goOn); end(); asking.Wait() }()
	eventstest.Eventually(t, func() error {
		if n := reading.Load(); n < 3 {
			return fmt.Errorf("%d read", n)
		}
		return nil
	})
	eventstest.Eventually(t, func() error {
		answer, err := f.Ask(t.Context(), "net", `{}`, seesAll)
		if err == nil && len(answer.Events) != 1 {
			err = fmt.Errorf("%+v", answer)
		}
		return err
	})
}

// TestWhyOfATeam lets one team have all of its turns to read: another team that asks why after it is answered before it.
func TestWhyOfATeam(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	w := startWorker(t, s, quiet(), &orders{show: never})
	nc, _ := eventstest.Connect(t, s)
	if code, reply := asked(t, nc, "watch", orderBody("order.a", "")); code != 200 {
		t.Fatalf("%d %s", code, reply.Data)
	}
	w.TakeTurns(t, "gpu")
	eventstest.Eventually(t, func() error { // on a busy machine the first team's question may be refused before the second comes
		inbox := nc.NewInbox()
		answers, err := nc.SubscribeSync(inbox + ".*")
		if err != nil {
			t.Fatal(err)
		}
		defer answers.Unsubscribe()
		for _, team := range []string{"gpu", "net"} {
			if err := nc.PublishRequest("orderwatch.why."+team, inbox+"."+team, []byte(orderBody("order.a", ""))); err != nil {
				t.Fatal(err)
			}
		}
		first, err := answers.NextMsg(eventstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if first.Subject != inbox+".net" || !strings.Contains(string(first.Data), `"kind":"asked"`) {
			return fmt.Errorf("the first answer is %s %q %s", first.Subject, first.Header, first.Data)
		}
		return nil
	})
	if code, reply := askAs(t, nc, "why", "gpu", map[string]any{"project_id": project, "order_name": "order.a"}); code != 503 {
		t.Errorf("a team that has no turn left is answered %d %s", code, reply.Data)
	}
}

// TestFollowersWhileNATSIsAway lets many wait when NATS goes away and does not answer: one of them looks for all, and
// the others are answered when their time has passed.
func TestFollowersWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, _ := eventstest.Connect(t, s)
	cfg := eventstest.StoreConfig()
	cfg.Timing.Request = time.Hour
	f := events.NewFollowing(eventstest.Provided(t, nc, cfg))
	ctx, stop := context.WithCancel(t.Context())
	const n = 20
	answers := make(chan error, n)
	for range n {
		go func() {
			_, err := f.Ask(ctx, "", `{"new":true,"wait":"15s"}`, seesAll)
			answers <- err
		}()
	}
	eventstest.Eventually(t, func() error {
		if all, _ := f.Waiting(""); all < n {
			return errors.New("they do not wait yet")
		}
		return nil
	})
	s.Shutdown()
	for range n - 1 {
		select {
		case err := <-answers:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(eventstest.Patience):
			t.Fatal("one keeps the others waiting")
		}
	}
	stop()
	<-answers
}

// TestFollowPassesOverWhatIsTooLarge stores an event that no answer can hold: who follows is told that one is left out, and
// goes on.
func TestFollowPassesOverWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, quiet(), &orders{show: never})
	nc, js := eventstest.Connect(t, s)
	progressOf(t, js, "order.a", "")
	large := `{"specversion":"1.0","id":"1","source":"/orderwatch","type":"io.orderwatch.order.progressed.v1","data":{"more":"` + strings.Repeat("<", 300<<10) + `"}}`
	if _, err := js.Publish(t.Context(), "orders.progress."+project+".order.b", []byte(large)); err != nil {
		t.Fatal(err)
	}
	progressOf(t, js, "order.c", "")
	var got []uint64
	omitted := 0
	for q := (wire.EventsQuery{}); ; {
		a := eventsOf(t, nc, q)
		for _, e := range a.Events {
			got = append(got, e.Sequence)
		}
		omitted += a.Omitted
		if q.Cursor = a.Cursor; !a.More {
			break
		}
	}
	if len(got) != 2 || got[0] != 1 || got[1] != 3 || omitted != 1 {
		t.Errorf("the events %d, and %d left out; want 1 and 3, and one", got, omitted)
	}
}
