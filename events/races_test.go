package events_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// raceRounds is how many orders race, raceAtOnce how many of them at the same time.
const (
	raceRounds = 200
	raceAtOnce = 10
)

// TestRacesOnAServer lets a cancel, the poll that finds the order ended, a request on the stream and
// one of the service happen at once, 200 times, with two workers.
func TestRacesOnAServer(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	cfg := quiet()
	cfg.Policy.Settle = 0
	cloud := &orders{show: func(_ watcher.Order, poll int) (watcher.Answer, error) {
		if poll == 1 {
			return answer(watcher.Processing), nil
		}
		return answer(watcher.Succeed), nil
	}}
	for range 2 {
		startWorker(t, s, cfg, cloud)
	}
	r := &racing{t: t, nc: nc, js: js, client: newClient(t, nc), cloud: cloud}
	rounds := make(chan string)
	var racing sync.WaitGroup
	for range raceAtOnce {
		racing.Go(func() {
			for name := range rounds {
				r.round(name)
			}
		})
	}
	for _, name := range poolNames(raceRounds) {
		rounds <- name
	}
	close(rounds)
	racing.Wait()
	eventstest.Eventually(t, left(t, js, 0))
	eventstest.Eventually(t, func() error { // not idle: the timers of an hour stay, and find nothing to do
		open, err := r.client.List(t.Context(), wire.ListQuery{State: watcher.Watching})
		if err == nil && len(open.Watches) > 0 {
			err = fmt.Errorf("%d watches go on", len(open.Watches))
		}
		return err
	})
	r.check()
}

type racing struct {
	t      *testing.T
	nc     *nats.Conn
	js     jetstream.JetStream
	client *client.Client
	cloud  *orders

	mu       sync.Mutex
	accepted []string // "<order> <request id>"
	lost     int      // cancels that came too late
}

// round starts a watch of the order, waits for its first poll, and lets everything happen at once.
func (r *racing) round(name string) {
	first := request(name)
	first["request_id"] = "first"
	publish(r.t, r.js, first)
	r.accept(name, "first")
	eventstest.Eventually(r.t, r.cloud.polled(name, 1))
	var all sync.WaitGroup
	all.Go(func() {
		_, err := r.client.Poll(r.t.Context(), of(name))
		r.tolerate(err)
	})
	all.Go(func() {
		_, err := r.client.Cancel(r.t.Context(), wire.CancelRequest{Order: of(name), By: "ada"})
		r.tolerate(err)
	})
	all.Go(func() {
		second := request(name)
		second["request_id"] = "second"
		publish(r.t, r.js, second)
		r.accept(name, "second")
	})
	all.Go(func() {
		code, reply := asked(r.t, r.nc, "watch", orderBody(name, `,"request_id":"third"`))
		if code == 200 {
			r.accept(name, "third")
			return
		}
		r.t.Errorf("watch %s: %d %s", name, code, reply.Data)
	})
	all.Wait()
}

// tolerate counts what came too late; any other error is one.
func (r *racing) tolerate(err error) {
	refusal, ok := errors.AsType[*wire.ServiceError](err)
	switch {
	case err == nil:
	case ok && refusal.Code == 409:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lost++
	default:
		r.t.Error(err)
	}
}

func (r *racing) accept(name, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted = append(r.accepted, name+" "+id)
}

// check holds that each watch has one completion, and each accepted request is named in one.
func (r *racing) check() {
	watches, named, came := make(map[string]int), make(map[string]int), make(map[string]int)
	for _, e := range eventstest.Events(r.t, r.js, "ORDER_EVENTS", "orders.completed.>") {
		c := e.Completion(r.t)
		watches[c.WatchID]++
		came[fmt.Sprintf("%s, %d requests", c.Outcome, len(c.Requests))]++
		for _, q := range c.Requests {
			named[c.OrderName+" "+q.ID]++
		}
	}
	for id, n := range watches {
		if n != 1 {
			r.t.Errorf("%s has %d completions", id, n)
		}
	}
	for _, request := range r.accepted {
		if named[request] != 1 {
			r.t.Errorf("%s is named in %d completions", request, named[request])
		}
	}
	r.t.Logf("%d requests, %d watches: %v; %d cancels or polls came too late", len(r.accepted), len(watches), came, r.lost)
}
