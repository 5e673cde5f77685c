package modelarts

import (
	"net/http"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A bearing is what the end of a call about one order says of the account.
type bearing int

const (
	answers bearing = iota // the API answers the account, whatever it says of the order
	refuses                // the API refuses the account: the error says for what it is to be held
	fails                  // no answer came from the API, or one that says that it cannot answer
	neither                // an answer came that says nothing of the account, and shows no code of the API
)

// bearingOf returns what a call says that ended with the error; nil: it was answered.
func bearingOf(e *APIError) bearing {
	switch {
	case e == nil:
		return answers
	case e.hold != "":
		return refuses
	case e.Status == 0 && e.Class == watcher.Refused: // nothing was asked
		return neither
	case e.Status == 0, e.status() >= http.StatusInternalServerError, e.status() == http.StatusRequestTimeout, e.status() == http.StatusProxyAuthRequired:
		return fails
	case e.Class == watcher.NotFound, e.Class == watcher.Refused, e.status()/100 == 4 && isAPICode(e.Code):
		return answers
	}
	return neither
}

// A call is one that has ended.
type call struct {
	order        watcher.Order
	began, ended time.Time
}

// witnesses are the orders that were answered last: they show whether the API answers at all. The zero
// value has none.
type witnesses []witness

type witness struct {
	order  watcher.Order
	usable bool // the answer was the order, or that it is not known
	fails  bool // it was asked since, and not answered
}

const maxWitnesses = 8

// heard notes how a call about the order ended.
func (w *witnesses) heard(order watcher.Order, b bearing, usable bool) {
	at := slices.IndexFunc(*w, func(known witness) bool { return known.order == order })
	switch {
	case b == answers:
		if at >= 0 {
			*w = slices.Delete(*w, at, at+1)
		}
		*w = slices.Insert(*w, 0, witness{order: order, usable: usable})
		*w = (*w)[:min(len(*w), maxWitnesses)]
	case at >= 0 && b != refuses:
		(*w)[at].fails = true
	}
}

// best returns the order of the project, or of any where that is empty, that is most likely to be
// answered: one that was answered since it failed, with a usable answer, last.
func (w witnesses) best(project string) (watcher.Order, bool) {
	best, rank := watcher.Order{}, 0
	for _, known := range w {
		r := 1
		if known.usable {
			r++
		}
		if !known.fails {
			r += 2
		}
		if r > rank && (project == "" || known.order.ProjectID == project) {
			best, rank = known.order, r
		}
	}
	return best, rank > 0
}
