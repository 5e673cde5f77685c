package ask

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nuid"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// Numbers of looks.
const (
	// unansweredLooks find that a request whose id the user chose is in no watch, before that is told.
	unansweredLooks = 10
	// goneLooks in a row find that a request is in no watch, before it is published again: it may just wait for
	// its turn. It is published again as often as that goes on.
	goneLooks = 5
	// endedLooks in a row find that a watch has ended whose completion event has not come, before its record is
	// taken for it: NATS lost the event.
	endedLooks = 5
)

// An asked is a request, and what is known of its order.
type asked struct {
	wire.WatchRequest        // under the id that it was published under last
	name              string // what the order is called here

	end      *watcher.Completion // how its watch ended; nil where it has not
	rejected bool
	seen     seen
	trouble  string             // the code of why its polls do not work, as told last; empty where they do
	causes   map[[2]string]bool // by action and message: why items failed, as told
	gone     int                // looks in a row that found it in no watch
	endless  int                // looks in a row that found its watch ended
}

// A seen is how far an order was when it was shown last.
type seen struct {
	watchID string // empty where it was never shown
	polls   int
	counts  watcher.Counts
	text    string // the counts, as shown
}

// in reports whether the watch answers the request.
func (a *asked) in(watch watcher.Report) bool {
	return slices.ContainsFunc(watch.Requests, func(answered watcher.Request) bool { return answered.ID == a.RequestID })
}

// open returns what has not ended.
func (w *waiting) open() (open []*asked) {
	for _, a := range w.orders {
		if a.end == nil && !a.rejected {
			open = append(open, a)
		}
	}
	return open
}

// answered returns the open request that the watch answers; nil for none.
func (w *waiting) answered(watch watcher.Report) *asked {
	for _, a := range w.open() {
		if a.Order == watch.Order() && a.in(watch) {
			return a
		}
	}
	return nil
}

// take takes an event that may be about one of the orders.
func (w *waiting) take(e client.Event) {
	if c, ok := e.Completion(); ok {
		if a := w.answered(c.Report); a != nil {
			a.end = &c
			w.ends(a, e, show.Outcome(w.paint, c.Outcome, string(c.Outcome)), c.Reason+" · "+show.Lasted(c))
		}
	} else if g, ok := e.Progress(); ok {
		if a := w.answered(g.Report); a != nil {
			w.got(a, g.Report, g.ETA)
			w.failed(a, g)
		}
	} else if o, ok := e.OrderAttention(); ok {
		if a := w.answered(o.Report); a != nil {
			w.line(a, w.paint.Yellow(output.Shorten(show.Attention(o), 240)))
		}
	} else if r, ok := e.Rejection(); ok {
		for _, a := range w.open() {
			if a.RequestID == r.RequestID && (e.Subject() == "" || e.Subject() == a.Name) {
				a.rejected = true
				w.ends(a, e, w.paint.Red("rejected"), r.Reason)
			}
		}
	}
}

// ends shows that an order is waited for no longer.
func (w *waiting) ends(a *asked, e client.Event, how, why string) {
	if w.Format == output.AsJSON {
		w.Out.Write(output.JSONLine(e.Encoded))
		return
	}
	w.screen.Ended(a.name)
	w.line(a, how+": "+output.Clean(why))
}

// line shows a line about the order.
func (w *waiting) line(a *asked, text string) {
	w.screen.Line("%s  %s: %s", output.Clock(time.Now(), time.Now()), a.name, text)
}

// got shows how far an order is, where that is news, and when it is likely to be ready.
func (w *waiting) got(a *asked, r watcher.Report, eta *history.Estimate) {
	now, last := seen{r.WatchID, r.Polls, r.Counts, show.Counts(r)}, a.seen
	if now.watchID == last.watchID && now.polls < last.polls {
		return // it comes late
	}
	a.seen = now
	if now.counts != last.counts {
		w.screen.Progress(a.name, r, eta)
	} else {
		w.screen.Expect(a.name, eta)
	}
}

// looked takes what a look at the order's watch found. Where the request is to be published again, it returns the
// request, and why.
func (w *waiting) looked(a *asked, s watcher.Snapshot, err error) (again wire.WatchRequest, why string) {
	if errors.Is(err, client.ErrNoWorker) {
		if w.away++; w.away == 2 {
			w.notices.begin("worker", "no worker is there at the moment; the watches and the waiting go on when one is back (orderwatch serve)")
		}
		return again, ""
	}
	w.away = 0
	if a.end != nil || a.rejected { // an event ended the waiting while the look was on its way
		return again, ""
	}
	if err == nil {
		w.notices.end("worker", "a worker is there again")
		w.showLook(a, s)
		w.endByRecord(a, s)
	}
	return w.lost(a, s, err)
}

// showLook shows how far the watch is, and why it does not get on, where that is so.
func (w *waiting) showLook(a *asked, s watcher.Snapshot) {
	switch answered := w.answered(s.Report) != nil; {
	case s.State == watcher.Ended && !answered && w.Chosen:
		if w.unanswered++; w.unanswered == unansweredLooks {
			w.notices.begin("unanswered", "the order's watch has ended without this request: where its --request-id is that of a request of long ago, nothing more will come; use another")
		}
		return
	case s.State != watcher.Watching || !answered:
		return
	}
	w.got(a, s.Report, s.ETA)
	w.troubled(a, s.LastError)
}

// troubled tells once that the polls do not work, for each kind of trouble: that the account is held or throttled, that
// ModelArts does not answer; and once that they work again.
func (w *waiting) troubled(a *asked, e *watcher.ErrorDetail) {
	before := a.trouble
	if a.trouble = ""; e != nil {
		a.trouble = cmp.Or(e.Code, e.Message)
	}
	switch {
	case a.trouble == before:
	case e == nil:
		w.line(a, "polls work again")
	default:
		w.line(a, w.paint.Yellow(output.Shorten(output.Times(show.Error(*e), time.Now()), 240)))
	}
}

// mostCauses is how many causes of failed items are told while an order is waited for; the end has all.
const mostCauses = 5

// failed tells once of each cause for which items failed.
func (w *waiting) failed(a *asked, g watcher.Progress) {
	for _, c := range g.Changes {
		cause := [2]string{c.Action, c.Message}
		if c.To != watcher.Failed || a.causes[cause] || len(a.causes) == mostCauses {
			continue
		}
		if a.causes == nil {
			a.causes = make(map[[2]string]bool)
		}
		a.causes[cause] = true
		text := output.Clean(c.ResourceName) + " failed"
		if c.Message != "" {
			text += ": " + output.Times(output.Clean(c.Message), time.Now())
		}
		w.line(a, w.paint.Red(output.Shorten(text, 240)))
	}
}

// endByRecord ends the waiting for a request whose watch has ended and whose completion event does not come.
func (w *waiting) endByRecord(a *asked, s watcher.Snapshot) {
	if s.State != watcher.Ended || !a.in(s.Report) {
		a.endless = 0
		return
	}
	if a.endless++; a.endless < endedLooks {
		return
	}
	if e, ok := client.CompletionEvent(s); ok {
		w.notices.begin("completion "+a.RequestID, a.name+": its watch has ended, and no completion event came: NATS may have lost it. This is what its record says")
		w.take(e)
	}
}

// lost finds that a request is in no watch any more: NATS lost what it had stored, or the record of its watch
// cannot be read. A request keeps its id, by which workers know it where they have it after all. Only where the
// record cannot be read it gets another: workers remember the first and let it be.
func (w *waiting) lost(a *asked, s watcher.Snapshot, err error) (again wire.WatchRequest, why string) {
	answer, isAnswer := errors.AsType[*wire.ServiceError](err)
	broken := isAnswer && answer.Code == http.StatusGone
	missing := isAnswer && answer.Code == http.StatusNotFound
	if err == nil && a.in(s.Report) || err != nil && !broken && !missing {
		a.gone = 0
		return again, ""
	}
	if a.gone++; a.gone < goneLooks {
		return again, ""
	}
	a.gone, why = 0, "is in no watch any more"
	if broken {
		a.RequestID = "req-" + nuid.Next()
		a.endless, why = 0, "is lost: "+output.Times(output.Clean(answer.Reason), time.Now())
	}
	return a.WatchRequest, why
}
