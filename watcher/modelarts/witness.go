package modelarts

import (
	"context"
	"slices"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
)

// witnesses are the orders that were answered last: they show whether the API answers at all. The zero
// value has none.
type witnesses []witness

type witness struct {
	order  watcher.Order
	usable bool // the answer was the order, or that it is not known
	doubt  bool // it was asked since, and not answered
}

const maxWitnesses = 8

func (w *witnesses) heard(order watcher.Order, b answer.Bearing, usable bool) {
	at := slices.IndexFunc(*w, func(known witness) bool { return known.order == order })
	switch {
	case b == answer.Answers:
		if at >= 0 {
			*w = slices.Delete(*w, at, at+1)
		}
		*w = slices.Insert(*w, 0, witness{order: order, usable: usable})
		*w = (*w)[:min(len(*w), maxWitnesses)]
	case at >= 0 && b != answer.Refuses:
		(*w)[at].doubt = true
	}
}

// doubt notes that the order, which another worker may have named, was asked and not answered.
func (w *witnesses) doubt(order watcher.Order) {
	if !slices.ContainsFunc(*w, func(known witness) bool { return known.order == order }) {
		*w = append((*w)[:min(len(*w), maxWitnesses-1)], witness{order: order, doubt: true})
	}
}

// best returns the one that is most likely to be answered: without a doubt, with a usable answer, last.
// The zero value says that none fits.
func (w witnesses) best(fits func(watcher.Order) bool) (best witness) {
	rank := 0
	for _, known := range w {
		r := 1
		if known.usable {
			r++
		}
		if !known.doubt {
			r += 2
		}
		if r > rank && fits(known.order) {
			best, rank = known, r
		}
	}
	return best
}

// witness returns the order, of a project where one is named, that is most likely to be answered. Where
// this worker knows of none, it is one that another worker knows of, or did when the hold began.
func (h *holds) witness(project string) (watcher.Order, bool) {
	hold, _ := h.shared.Hold(h.account)
	others, known := h.shared.LastAnswered(h.account)
	h.mu.Lock()
	defer h.mu.Unlock()
	fits := func(o watcher.Order) bool { return project == "" || o.ProjectID == project }
	best := h.witnesses.best(fits)
	theirs := func(o watcher.Order) bool {
		failsHere := slices.ContainsFunc(h.witnesses, func(w witness) bool { return w.order == o && w.doubt })
		return o.Validate() == nil && fits(o) && !failsHere
	}
	switch {
	case best != (witness{}) && !best.doubt:
	case known && theirs(others):
		return others, true
	case hold.Stands() && hold.Witness != nil && theirs(*hold.Witness):
		return *hold.Witness, true
	}
	return best.order, best != (witness{})
}

// An inquiry is what a witness showed.
type inquiry struct {
	shows answer.Bearing
	err   *answer.Error // nil where it was answered, or was not asked
}

// begin returns a call about the order that begins now. Where it is to show whether the API can be
// reached again, a witness is asked first: an order that is never answered would keep the others waiting
// until its call has ended.
func (h *holds) begin(ctx context.Context, order watcher.Order) call {
	c := call{order: order, began: h.now()}
	hold, _ := h.shared.Hold(h.account)
	if hold.Kind != watcher.HeldUnreachable || !hold.Probes(c.began) {
		return c
	}
	if best, known := h.witness(""); !known || best == order {
		return c
	}
	i := h.ask(ctx, "")
	c.began = h.now()
	if i != nil && (i.shows == answer.Fails || i.shows == answer.Neither) {
		c.asked = i
	}
	return c
}

// ask asks the best witness, of a project where one is named, and takes note of what it shows; nil where
// there is none. One is asked at a time: where another call is at it already, it shows nothing.
func (h *holds) ask(ctx context.Context, project string) *inquiry {
	order, known := h.witness(project)
	if !known {
		return nil
	}
	if !h.asking.CompareAndSwap(false, true) {
		return &inquiry{shows: answer.Neither}
	}
	defer h.asking.Store(false)
	c := call{order: order, began: h.now()}
	err := h.askAgain(ctx, order)
	if ctx.Err() != nil { // this worker stops
		return &inquiry{shows: answer.Neither}
	}
	c.ended = h.now()
	i := &inquiry{err: asAPIError(err)}
	i.shows = i.err.Bearing()
	h.logger.Debug("asked once more for the order that was answered last", "project", order.ProjectID, "order", order.Name, "err", err)
	others, _ := h.note(c, i.shows, i.err)
	switch i.shows {
	case answer.Answers, answer.Refuses:
		h.take(ctx, c, i.err, others)
	default:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.witnesses.doubt(order)
		if i.shows == answer.Neither { // the API, or what stands before it, can be reached
			h.failing = failing{}
		}
	}
	return i
}
