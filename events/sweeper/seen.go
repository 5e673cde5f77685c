package sweeper

import (
	"context"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// seenFor is how long a poll counts that this worker made.
const seenFor = 10 * time.Minute

// mostSeen is how many places are remembered at the most.
const mostSeen = 1024

// A seen remembers of which places this worker has polled two orders lately. It is safe for concurrent use.
type seen struct {
	now    func() time.Time
	mu     sync.Mutex
	places map[store.Place]*[2]poll // the two orders that were polled last, the latest first
}

// A poll is the last one of an order.
type poll struct {
	order string
	at    time.Time
}

// note notes a poll.
func (s *seen) note(p store.Place, order string) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.places[p]
	if of == nil {
		if len(s.places) >= mostSeen {
			s.forget(now)
		}
		if len(s.places) >= mostSeen {
			return // those that are there are swept first
		}
		of = new([2]poll)
		s.places[p] = of
	}
	if of[0].order != order {
		of[1] = of[0]
	}
	of[0] = poll{order, now}
}

// forget forgets the places that were not polled lately.
func (s *seen) forget(now time.Time) {
	for p, of := range s.places {
		if now.Sub(of[0].at) > seenFor {
			delete(s.places, p)
		}
	}
}

// several returns the places of which two orders were polled lately.
func (s *seen) several() (places []store.Place) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	for p, of := range s.places {
		if of[1].order != "" && now.Sub(of[1].at) <= seenFor {
			places = append(places, p)
		}
	}
	return places
}

// watched notes the polls of Orders.
type watched struct {
	watcher.Orders
	sweeper *Sweeper
}

func (o watched) Show(ctx context.Context, region string, order watcher.Order) (watcher.Answer, error) {
	p := store.Place{Region: region, ProjectID: order.ProjectID}
	o.sweeper.seen.note(p, order.Name)
	answer, err := o.Orders.Show(ctx, region, order)
	if one := o.sweeper.sweeps(p); one != nil && err == nil && len(answer.Items) > 0 {
		one.shown.add(showing(order.Name, answer))
	}
	return answer, err
}

// A shownOrder is what a poll showed of an order.
type shownOrder struct {
	name    string
	running bool
	ended   time.Time // when its last item ended
}

// showing returns what the answer shows, which has items.
func showing(name string, a watcher.Answer) shownOrder {
	o := shownOrder{name: name, running: a.Count > len(a.Items)}
	for _, item := range a.Items {
		o.running = o.running || !item.Status.Ended()
		if item.UpdatedAt.After(o.ended) {
			o.ended = item.UpdatedAt
		}
	}
	return o
}

// shown are the orders that this worker has polled of a place since they were taken. It is safe for concurrent use.
type shown struct {
	mu     sync.Mutex
	orders []shownOrder
}

// mostShown is how many of them are kept: a few say whether the list is of use.
const mostShown = 1000

func (s *shown) add(o shownOrder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.orders) < mostShown {
		s.orders = append(s.orders, o)
	}
}

func (s *shown) take() (all []shownOrder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, s.orders = s.orders, nil
	return all
}
