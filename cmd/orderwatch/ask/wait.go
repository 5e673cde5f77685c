// Package ask stores requests to watch orders, waits for how their watches end, and prints events as they come.
//
// One goroutine has all that is known while it waits, and draws it; the others hand it what they find.
//
// Read publish.go first, then
//
//   - check.go: what a worker is asked before anything is stored;
//   - wait.go: what runs at the same time, and in which order it begins and ends;
//   - fold.go: what an event, or a look at a watch, means for an order, and which orders are still waited for;
//   - result.go: what is told at the end, and the exit code;
//   - events.go: how an event is printed as a line;
//   - outages.go: what is told when NATS or the workers are away.
package ask

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Durations of waiting.
const (
	lookEvery = 3 * time.Second // between two looks at the watches
	clockSkew = time.Minute     // that this machine's clock may be ahead of the server's
)

// A waiting follows orders until all have ended. Its orders, counts, screen and notices are used by one goroutine,
// that of [waiting.run], alone.
type waiting struct {
	Options
	orders     []*asked // in the order of the command line
	unanswered int      // looks that found the request in no watch
	away       int      // looks in a row that found no worker
	screen     *show.Screen
	notices    *outages
	paint      output.Paint

	news chan func()   // what the other goroutines have to do in that of run
	over chan struct{} // closed when run takes no more news
}

// Wait stores the requests and waits until all watches have ended. It shows how they get on, and at the end what
// went wrong. The error is an [exit.Error] with the code for how they ended, or for an interruption.
func Wait(ctx context.Context, o Options) error {
	w := &waiting{Options: o, paint: output.PaintFor(o.Out), news: make(chan func()), over: make(chan struct{})}
	widest := 0
	for _, r := range o.Requests {
		name := nameOf(r.Order, o.Requests)
		w.orders = append(w.orders, &asked{WatchRequest: r, name: name})
		widest = max(widest, output.Width(name))
	}
	tell := func(text string) { fmt.Fprintln(o.Errors, "orderwatch:", text) }
	if o.Format == output.AsJSON {
		w.screen = show.NewScreen(io.Discard, 0)
	} else {
		w.screen = show.NewScreen(o.Out, min(widest, output.Columns(o.Out)/3))
		if output.IsTerminal(o.Out) && output.IsTerminal(o.Errors) {
			tell = func(text string) { w.screen.Line("%s", text) } // or it would come between the bars
		}
	}
	w.notices = newOutages(o.Conn, w.do, tell)
	return w.run(ctx)
}

// nameOf returns what the order is called here: with no more of its project than it takes.
func nameOf(order watcher.Order, requests []wire.WatchRequest) string {
	sameName, sameProject := 0, 0
	for _, r := range requests {
		if r.Name == order.Name {
			sameName++
		}
		if r.ProjectID == order.ProjectID {
			sameProject++
		}
	}
	switch {
	case sameName > 1:
		return order.String()
	case sameProject < len(requests):
		return output.Shorten(order.ProjectID, 9) + "/" + order.Name
	}
	return order.Name
}

// run stores the requests, waits until their watches have ended, and says how. It follows the events
// from before the requests are stored, so that it misses none.
func (w *waiting) run(ctx context.Context) error {
	defer w.screen.Close()
	waits, fail := context.WithCancelCause(ctx)
	var under sync.WaitGroup
	defer under.Wait()
	defer close(w.over)
	defer fail(nil)
	begun := make(chan struct{}, 2)
	for _, filter := range w.filters() {
		under.Go(func() {
			if err := w.follow(waits, filter, sync.OnceFunc(func() { begun <- struct{}{} })); err != nil {
				fail(err)
			}
		})
	}
	if err := w.during(func() error { return w.begin(waits, begun) }); err != nil {
		return w.ended(ctx, err, false)
	}
	if len(w.open()) == 0 { // the id is that of an earlier request
		return w.result()
	}
	for _, a := range w.orders {
		w.screen.Began(a.name)
	}
	if err := w.during(func() error { return publish(ctx, w.Options, w.stored) }); err != nil {
		return err
	}
	under.Go(func() { w.look(waits) })
	for len(w.open()) > 0 {
		select {
		case do := <-w.news:
			do()
		case <-waits.Done():
			return w.ended(ctx, context.Cause(waits), true)
		}
	}
	return w.result()
}

// follow takes the events, and calls begun when it misses none from then on: also where nobody hands any out until a worker is
// there.
func (w *waiting) follow(ctx context.Context, filter client.Filter, begun func()) error {
	since := time.Now().Add(-clockSkew)
	take := func(e client.Event) error {
		w.do(func() { w.take(e) })
		return nil
	}
	for {
		err := w.Client.Follow(ctx, filter, begun, w.notices.events, take)
		if !isAway(err) {
			return err
		}
		if filter.New {
			filter.New, filter.Since = false, since // those of other requests are nobody's here
		}
		begun()
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// do lets the goroutine of run do something, and waits until that is done. It does nothing when the waiting is over.
func (w *waiting) do(what func()) {
	done := make(chan struct{})
	select {
	case w.news <- func() { what(); close(done) }:
		<-done
	case <-w.over:
	}
}

// during takes what is new until f, which runs meanwhile, returns.
func (w *waiting) during(f func() error) error {
	returned := make(chan error, 1)
	go func() { returned <- f() }()
	for {
		select {
		case do := <-w.news:
			do()
		case err := <-returned:
			return err
		}
	}
}

// filters returns what is followed: completions, and what happens meanwhile.
func (w *waiting) filters() []client.Filter {
	completions := client.Filter{New: !w.Chosen}
	others := client.Filter{New: true, Subjects: []string{w.Client.RejectedSubject()}}
	for _, r := range w.Requests {
		subjects := w.Client.OrderSubjects(r.Order)
		completions.Subjects = append(completions.Subjects, subjects[0])
		others.Subjects = append(others.Subjects, subjects[1:]...)
	}
	return []client.Filter{completions, others}
}

// begin waits until both followings have begun, and the requests are checked. Where no worker is there it says so: what is
// stored waits for one.
func (w *waiting) begin(ctx context.Context, begun <-chan struct{}) error {
	for range 2 {
		select {
		case <-begun:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	unchecked, err := check(ctx, w.Options)
	if isAway(unchecked) {
		w.do(func() { w.notices.begin("worker", noWorker) })
	}
	return cmp.Or(err, context.Cause(ctx))
}

// stored hands over that a request is stored.
func (w *waiting) stored(r wire.WatchRequest, sequence uint64) {
	w.do(func() {
		if w.Format == output.AsJSON {
			printStored(w.Out, r, sequence)
			return
		}
		w.screen.Line("%s: request %s is stored", nameOf(r.Order, w.Requests), output.Clean(r.RequestID))
	})
}

// look looks at the watches that have not ended, every now and then, and hands over what it finds. It publishes
// requests again that are lost.
func (w *waiting) look(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		var open []*asked
		w.do(func() { open = w.open() })
		for _, a := range open {
			s, err := w.Client.Get(ctx, a.Order)
			if _, denied := errors.AsType[*client.DeniedError](err); denied {
				return
			}
			var again wire.WatchRequest
			var why string
			w.do(func() { again, why = w.looked(a, s, err) })
			if errors.Is(err, client.ErrNoWorker) {
				break
			}
			if why == "" {
				continue
			}
			if _, err := w.Client.Publish(ctx, again); err == nil {
				w.do(func() {
					w.line(a, fmt.Sprintf("the request %s; it is published again as %s", why, output.Clean(again.RequestID)))
				})
			}
		}
	}
}
