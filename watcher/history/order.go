package history

import "time"

// An Order is what is known of one order.
type Order struct {
	Region   string
	Accepted time.Time // when the first request for it was stored
	Items    []Item
}

// An Item is one resource of an order. Its times are ModelArts' own, each zero where it is not known.
type Item struct {
	Action string
	Began  time.Time
	Ended  time.Time // zero, too, while it has not ended
}

// A Clock is one way to measure how long an order takes.
type Clock struct {
	Key   Key
	Since time.Time
}

// together is how long after the first item others may begin and still be first items.
const together = time.Minute

// Clocks returns the ways to measure an order that has not ended, the finest first: by its phase, by its actions, by its
// region. There are none where ModelArts shows items and does not say when work on them began.
func (o Order) Clocks() []Clock {
	phases, began := o.phases(time.Time{})
	if len(phases) == 0 {
		return nil
	}
	return append(phases[len(phases)-1:], o.whole(began)...)
}

// Kind returns the clock of whole orders with the same actions; ok is false where its actions are not known, or ModelArts
// does not say when it began.
func (o Order) Kind() (c Clock, ok bool) {
	for _, c := range o.Clocks() {
		if c.Key.OfKind() {
			return c, true
		}
	}
	return Clock{}, false
}

// An Observation is how long an order took by a key's clock. One that has not Ended took longer.
type Observation struct {
	Key    Key
	Lasted time.Duration
	Ended  bool
}

// Observations returns what follows from an order that ended at the time, or that nobody looks at any more since then.
// An order that was over before it was asked for says nothing: it may have been watched before.
func (o Order) Observations(at time.Time, ended bool) (all []Observation) {
	if at.IsZero() || !at.After(o.Accepted) {
		return nil
	}
	phases, began := o.phases(at)
	for _, c := range append(phases, o.whole(began)...) {
		all = append(all, Observation{c.Key, max(0, at.Sub(c.Since)), ended})
	}
	return all
}

// whole returns the clocks of the whole order, which began then; none where that is not known.
func (o Order) whole(began time.Time) (clocks []Clock) {
	if began.IsZero() {
		return nil
	}
	if actions := actionsOf(o.Items); len(actions) > 0 {
		clocks = append(clocks, Clock{Key{Region: o.Region, Actions: actions}, began})
	}
	return append(clocks, Clock{Key{Region: o.Region}, began})
}

// phases returns the clocks of the phases that the order has reached, oldest first, and when it began: while nothing is
// seen of it, when it was asked for. What happened when the order itself ended, at over, began no phase; a zero over says
// that it goes on.
func (o Order) phases(over time.Time) (all []Clock, began time.Time) {
	for _, it := range o.Items {
		began = first(began, it.Began)
	}
	if len(o.Items) > 0 && began.IsZero() {
		return nil, began
	}
	if began.IsZero() || o.Accepted.Before(began) {
		all = append(all, Clock{Key{Region: o.Region, Phase: Asked}, o.Accepted})
	}
	if began.IsZero() {
		return all, o.Accepted
	}
	all = append(all, Clock{Key{o.Region, o.actionsBy(began), First}, began})
	var later time.Time
	for _, it := range o.Items {
		for _, at := range []time.Time{it.Ended, it.Began} {
			follows := at == it.Ended || at.Sub(began) > together
			if follows && at.After(began) && (over.IsZero() || at.Before(over)) {
				later = first(later, at)
			}
		}
	}
	if !later.IsZero() {
		all = append(all, Clock{Key{o.Region, o.actionsBy(later), Later}, later})
	}
	return all, began
}

// actionsBy returns the actions of the items on which work began by then, or a little after it.
func (o Order) actionsBy(then time.Time) []string {
	var items []Item
	for _, it := range o.Items {
		if it.Began.Sub(then) <= together {
			items = append(items, it)
		}
	}
	return actionsOf(items)
}

// first returns the earlier of two times that are known.
func first(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
