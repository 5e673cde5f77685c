// Package ask stores requests to watch orders, waits for how their watches end, and prints events as they come.
//
// Read publish.go first, then wait.go (what happens meanwhile), result.go (the exit code), events.go, and
// outages.go (what is told when NATS or the workers are away).
package ask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Durations of waiting.
const (
	lookEvery  = 3 * time.Second // between two looks at the watches
	workerTime = 5 * time.Second // that a worker may be away at the beginning
	// unansweredLooks find that a request whose id the user chose is in no watch, before that is told.
	unansweredLooks = 10
	// goneLooks in a row find that a request is in no watch, before it is published again: it may just wait for
	// its turn. It is published again as often as that goes on.
	goneLooks = 5
	// endedLooks in a row find that a watch has ended whose completion event has not come, before its record is
	// taken for it: NATS lost the event.
	endedLooks = 5
)

// A waiting follows orders until all have ended.
type waiting struct {
	client   *client.Client
	requests []wire.WatchRequest
	chosen   bool // the user chose the request's id: it may have been answered long ago
	format   output.Format
	out      io.Writer
	show     show.Screen
	notices  *outages
	paint    output.Paint

	mu       sync.Mutex
	open     map[string]wire.WatchRequest // those that have not ended, by their id
	ends     []watcher.Completion
	rejected int
	seen     map[watcher.Order]seen
	troubles map[watcher.Order]string
	done     chan struct{} // closed when none is open

	unanswered int            // looks that found the request in no watch
	gone       map[string]int // the same in a row, by the id of each request; look's alone
	endless    map[string]int // looks in a row that found the request's watch ended, by its id; look's alone
}

// A seen is how far an order was when it was shown last.
type seen struct {
	watchID string
	polls   int
	counts  watcher.Counts
}

// Options says what is waited for, and how that is told.
type Options struct {
	Client   *client.Client
	Conn     *nats.Conn // the client's; what it tells of lost connections is taken over
	Requests []wire.WatchRequest
	Chosen   bool // the user chose the request's id: it may have been answered long ago
	Format   output.Format
	Out      io.Writer
	Errors   io.Writer // what does not belong to the output
}

// Wait stores the requests and waits until all watches have ended. It shows how they get on, and at the end what
// went wrong. The error is an [exit.Error] with the code for how they ended, or for an interruption.
func Wait(ctx context.Context, o Options) error {
	w := &waiting{
		client: o.Client, requests: o.Requests, chosen: o.Chosen, format: o.Format, out: o.Out, paint: output.PaintFor(o.Out),
		open: make(map[string]wire.WatchRequest), seen: make(map[watcher.Order]seen), troubles: make(map[watcher.Order]string), gone: make(map[string]int), endless: make(map[string]int), done: make(chan struct{}),
	}
	widest := 0
	for _, r := range o.Requests {
		w.open[r.RequestID] = r
		widest = max(widest, output.Width(w.name(r.Order)))
	}
	tell := func(text string) { fmt.Fprintln(o.Errors, "orderwatch:", text) }
	if o.Format == output.AsJSON {
		w.show = show.NewScreen(io.Discard, 0)
	} else {
		w.show = show.NewScreen(o.Out, min(widest, output.Columns(o.Out)/3))
		if output.IsTerminal(o.Out) && output.IsTerminal(o.Errors) {
			tell = func(text string) { w.show.Line("%s", text) } // or it would come between the bars
		}
	}
	w.notices = newOutages(o.Conn, tell)
	return w.run(ctx)
}

// name returns what the order is called here: with no more of its project than it takes.
func (w *waiting) name(order watcher.Order) string {
	sameName, sameProject := 0, 0
	for _, r := range w.requests {
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
	case sameProject < len(w.requests):
		return output.Shorten(order.ProjectID, 9) + "/" + order.Name
	}
	return order.Name
}

// run stores the requests, waits until their watches have ended, and says how. It follows the events
// from before the requests are stored, so that it misses none.
func (w *waiting) run(ctx context.Context) error {
	waits, fail := context.WithCancelCause(ctx)
	var under sync.WaitGroup
	defer func() {
		fail(nil)
		under.Wait()
		w.show.Close()
	}()
	begun := make(chan struct{}, 2)
	for _, filter := range w.filters() {
		under.Go(func() {
			if err := w.client.Follow(waits, filter, func() { begun <- struct{}{} }, w.notices.events, w.take); err != nil {
				fail(err)
			}
		})
	}
	for range 2 {
		select {
		case <-begun:
		case <-waits.Done():
			return w.ended(ctx, context.Cause(waits), false)
		}
	}
	if err := w.awaitWorker(waits); err != nil {
		return w.ended(ctx, err, false)
	}
	if w.answered() {
		return w.result()
	}
	for _, r := range w.requests {
		w.show.Began(w.name(r.Order))
	}
	if err := Publish(ctx, w.client, w.requests, w.stored); err != nil {
		return err
	}
	under.Go(func() { w.look(waits) })
	select {
	case <-w.done:
		w.show.Close()
		return w.result()
	case <-waits.Done():
		return w.ended(ctx, context.Cause(waits), true)
	}
}

// ended says why the waiting is over before its time.
func (w *waiting) ended(ctx context.Context, err error, stored bool) error {
	w.show.Close()
	switch {
	case ctx.Err() == nil && stored:
		return fmt.Errorf("the waiting is over, what is being watched goes on: %w", err)
	case ctx.Err() == nil:
		return err
	case !stored:
		return exit.Error{Code: exit.Interrupted, Text: "interrupted; nothing was asked for"}
	}
	how := "orderwatch list"
	if open := w.openOrders(); len(open) == 1 {
		how = "orderwatch get " + open[0].String()
	}
	w.leaveLast()
	return exit.Error{Code: exit.Interrupted, Text: "interrupted; what is being watched goes on. How it is:\n  " + how}
}

// leaveLast shows once more how far the orders are that have not ended: their bars are gone.
func (w *waiting) leaveLast() {
	for _, order := range w.openOrders() {
		w.mu.Lock()
		last, known := w.seen[order]
		w.mu.Unlock()
		text := "no items yet"
		if known {
			text = show.Counts(last.counts)
		}
		w.show.Line("%s  %s: %s", time.Now().Format(time.TimeOnly), w.name(order), text)
	}
}

// answered reports whether the request was answered before it was stored: its id is that of an
// earlier one.
func (w *waiting) answered() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// filters returns what is followed: completions, and what happens meanwhile.
func (w *waiting) filters() []client.Filter {
	completions := client.Filter{New: !w.chosen}
	others := client.Filter{New: true, Subjects: []string{w.client.RejectedSubject()}}
	for _, r := range w.requests {
		subjects := w.client.OrderSubjects(r.Order)
		completions.Subjects = append(completions.Subjects, subjects[0])
		others.Subjects = append(others.Subjects, subjects[1:]...)
	}
	return []client.Filter{completions, others}
}

// awaitWorker returns an error where no worker is there. Who may not ask does not get to know.
func (w *waiting) awaitWorker(ctx context.Context) error {
	for begin := time.Now(); ; {
		_, err := w.client.Get(ctx, w.requests[0].Order)
		if !errors.Is(err, client.ErrNoWorker) {
			return context.Cause(ctx)
		}
		if time.Since(begin) > workerTime {
			return fmt.Errorf("nothing is asked for: %w", err)
		}
		select {
		case <-time.After(workerTime / 10):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stored shows that a request is stored.
func (w *waiting) stored(r wire.WatchRequest, sequence uint64) {
	if w.format == output.AsJSON {
		PrintStored(w.out, r, sequence)
		return
	}
	w.show.Line("%s: request %s is stored", w.name(r.Order), output.Clean(r.RequestID))
}

// look shows how the watches are, every now and then.
func (w *waiting) look(ctx context.Context) {
	away := 0 // looks in a row that found no worker
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.done:
			return
		case <-time.After(lookEvery):
		}
		for _, order := range w.openOrders() {
			s, err := w.client.Get(ctx, order)
			if _, denied := errors.AsType[*client.DeniedError](err); denied {
				return
			}
			if errors.Is(err, client.ErrNoWorker) {
				if away++; away == 2 {
					w.notices.begin("worker", "no worker is there at the moment; the watches and the waiting go on when one is back (orderwatch serve)")
				}
				break
			}
			if away = 0; err == nil {
				w.notices.end("worker", "a worker is there again")
				w.looked(order, s)
				w.endByRecord(order, s)
			}
			w.askAgain(ctx, order, s, err)
		}
	}
}

// endByRecord ends the waiting for requests whose watch has ended and whose completion event does not come.
func (w *waiting) endByRecord(order watcher.Order, s watcher.Snapshot) {
	for _, r := range w.openRequests(order) {
		if s.State != watcher.Ended || !answers(s, r.RequestID) {
			w.endless[r.RequestID] = 0
			continue
		}
		if w.endless[r.RequestID]++; w.endless[r.RequestID] < endedLooks {
			continue
		}
		e, ok := client.CompletionEvent(s)
		if !ok {
			continue
		}
		w.notices.begin("completion "+r.RequestID, w.name(order)+": its watch has ended, and no completion event came: NATS may have lost it. This is what its record says")
		if err := w.take(e); err != nil {
			return
		}
	}
}

// answers reports whether the watch answers the request.
func answers(s watcher.Snapshot, requestID string) bool {
	return slices.ContainsFunc(s.Requests, func(answered watcher.Request) bool { return answered.ID == requestID })
}

// askAgain publishes requests again that are in no watch any more: NATS lost what it had stored, or the
// record of their watch cannot be read. A request keeps its id, by which workers know it where they have it
// after all. Only where the record cannot be read it gets another: workers remember the first and let it be.
func (w *waiting) askAgain(ctx context.Context, order watcher.Order, s watcher.Snapshot, err error) {
	answer, isAnswer := errors.AsType[*wire.ServiceError](err)
	broken := isAnswer && answer.Code == http.StatusGone
	missing := isAnswer && answer.Code == http.StatusNotFound
	for _, r := range w.openRequests(order) {
		inWatch := err == nil && answers(s, r.RequestID)
		if inWatch || err != nil && !broken && !missing {
			w.gone[r.RequestID] = 0
			continue
		}
		if w.gone[r.RequestID]++; w.gone[r.RequestID] < goneLooks {
			continue
		}
		delete(w.gone, r.RequestID)
		why := "is in no watch any more"
		if broken {
			why = "is lost: " + output.Clean(answer.Reason)
			r = w.renamed(r)
		}
		if _, err := w.client.Publish(ctx, r); err == nil {
			w.show.Line("%s  %s: the request %s; it is published again as %s", time.Now().Format(time.TimeOnly), w.name(order), why, output.Clean(r.RequestID))
		}
	}
}

// renamed waits for the request under another id.
func (w *waiting) renamed(r wire.WatchRequest) wire.WatchRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.open[r.RequestID]; !ok {
		return r // its completion came just now
	}
	delete(w.open, r.RequestID)
	r.RequestID = "req-" + nuid.Next()
	w.open[r.RequestID] = r
	return r
}

// openRequests returns the order's requests that have not ended.
func (w *waiting) openRequests(order watcher.Order) (requests []wire.WatchRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.open {
		if r.Order == order {
			requests = append(requests, r)
		}
	}
	return requests
}

func (w *waiting) openOrders() (orders []watcher.Order) {
	w.mu.Lock()
	defer w.mu.Unlock()
	open := make(map[watcher.Order]bool)
	for _, r := range w.open {
		open[r.Order] = true
	}
	for _, r := range w.requests {
		if open[r.Order] {
			orders = append(orders, r.Order)
		}
	}
	return orders
}

// got shows how far an order is, where that is news. w.mu is held.
func (w *waiting) got(r watcher.Report) {
	now, last := seen{r.WatchID, r.Polls, r.Counts}, w.seen[r.Order()]
	if now.watchID == last.watchID && now.polls < last.polls {
		return // it comes late
	}
	w.seen[r.Order()] = now
	if now.counts != last.counts {
		w.show.Progress(w.name(r.Order()), r.Counts)
	}
}

// looked shows what a look at a watch found, and why it does not get on, where that is so.
func (w *waiting) looked(order watcher.Order, s watcher.Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch concerned := w.concerns(s.Report); {
	case s.State == watcher.Ended && !concerned && w.chosen:
		if w.unanswered++; w.unanswered == unansweredLooks {
			w.notices.begin("unanswered", "the order's watch has ended without this request: where its --request-id is that of a request of long ago, nothing more will come; use another")
		}
		return
	case s.State != watcher.Watching || !concerned:
		return
	}
	w.got(s.Report)
	trouble := ""
	if s.LastError != nil {
		trouble = output.Clean(s.LastError.Message)
	}
	news := w.troubles[order] != trouble
	w.troubles[order] = trouble
	if news && trouble != "" {
		w.show.Line("%s  %s: %s", time.Now().Format(time.TimeOnly), w.name(order), output.Shorten(trouble, 200))
	}
}

// take takes an event that may be about one of the orders.
func (w *waiting) take(e client.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := e.Completion(); ok {
		for _, answered := range c.Requests {
			if r, ok := w.open[answered.ID]; ok && r.Order == c.Order() {
				w.completed(r, c, e)
			}
		}
	} else if g, ok := e.Progress(); ok {
		if w.concerns(g.Report) {
			w.got(g.Report)
		}
	} else if a, ok := e.OrderAttention(); ok {
		if w.concerns(a.Report) {
			w.show.Line("%s  %s: %s", time.Now().Format(time.TimeOnly), w.name(a.Order()), w.paint.Yellow(output.Shorten(show.Attention(a), 240)))
		}
	} else if rejection, ok := e.Rejection(); ok {
		if r, ok := w.open[rejection.RequestID]; ok && (e.Subject() == "" || e.Subject() == r.Name) {
			w.refused(r, rejection, e)
		}
	}
	return nil
}

// concerns reports whether the watch answers one of the requests. w.mu is held.
func (w *waiting) concerns(watch watcher.Report) bool {
	return slices.ContainsFunc(watch.Requests, func(answered watcher.Request) bool {
		r, ok := w.open[answered.ID]
		return ok && r.Order == watch.Order()
	})
}

// completed notes that a watch has ended. w.mu is held.
func (w *waiting) completed(r wire.WatchRequest, c watcher.Completion, e client.Event) {
	w.ends = append(w.ends, c)
	if w.format == output.AsJSON {
		w.out.Write(output.JSONLine(e.Encoded))
	} else {
		w.show.Ended(w.name(r.Order))
		w.show.Line("%s  %s: %s: %s", time.Now().Format(time.TimeOnly), w.name(r.Order), show.Outcome(w.paint, c.Outcome, string(c.Outcome)), output.Clean(c.Reason))
	}
	w.close(r)
}

// refused notes that a request was rejected. w.mu is held.
func (w *waiting) refused(r wire.WatchRequest, why wire.Rejection, e client.Event) {
	w.rejected++
	if w.format == output.AsJSON {
		w.out.Write(output.JSONLine(e.Encoded))
	} else {
		w.show.Ended(w.name(r.Order))
		w.show.Line("%s  %s: %s: %s", time.Now().Format(time.TimeOnly), w.name(r.Order), w.paint.Red("rejected"), output.Clean(why.Reason))
	}
	w.close(r)
}

func (w *waiting) close(r wire.WatchRequest) {
	delete(w.open, r.RequestID)
	if len(w.open) == 0 {
		close(w.done)
	}
}
