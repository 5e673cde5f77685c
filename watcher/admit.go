package watcher

import (
	"cmp"
	"slices"
	"time"
)

// An Ask is a request that was read and found right: what to watch, and for how long.
type Ask struct {
	Order
	Region        string // empty names none
	Request       Request
	ExpectedItems int           // 0 for none
	Timeout       time.Duration // counted from Request.ReceivedAt; 0 for the default
	WatchID       string        // the id of the watch, where the request starts one; ids sort by time
}

// An Admission says what a request leads to.
type Admission int

// The admissions.
const (
	Start  Admission = iota // the request starts a watch
	Join                    // it joins the order's watch
	Repeat                  // the record names it already
	Defer                   // it must wait until the order's watch has ended: that is ending, cancelled, or full, also of its team's requests
	Reject                  // it contradicts the order's watch
)

// Admit decides what a request leads to, given the order's record (nil for none), and returns the
// record that follows: for Start and Join it is to be written, for Repeat it is the one given.
// The error is a *[FieldError], and there only with Reject.
func (p Policy) Admit(w *Watch, ask Ask, now time.Time) (Admission, Watch, error) {
	switch {
	case w == nil:
		return Start, p.start(ask, nil, now), nil
	case w.Names(ask.Request):
		return Repeat, *w, nil
	case w.State == Ended:
		return Start, p.start(ask, w, now), nil
	case w.State == Ending, w.Wish != nil: // it ends without asking
		return Defer, *w, nil
	case ask.Region != "" && ask.Region != w.Region:
		return Reject, *w, &FieldError{"region", "the order is being watched in " + w.Region + ": name that region or none"}
	}
	joined := p.join(*w, ask, now)
	if p.tooMany(joined.Requests) || p.beyondShare(joined.Requests, ask.Request.Team) {
		return Defer, *w, nil
	}
	return Join, joined, nil
}

func (p Policy) start(ask Ask, earlier *Watch, now time.Time) Watch {
	w := Watch{
		Schema: plainSchema, State: Watching,
		ID: ask.WatchID, Order: ask.Order, Region: cmp.Or(ask.Region, p.DefaultRegion),
		Requests: []Request{p.request(ask)}, ExpectedItems: ask.ExpectedItems,
		AcceptedAt: ask.Request.ReceivedAt, Deadline: p.deadline(ask),
		Wakeup: 1, NextPollAt: now,
	}
	if earlier != nil {
		w.Earlier = earlier.requestIDs(p.maxEarlierBytes())
		w.unknown = earlier.unknown
		w.Wakeup = earlier.Wakeup + 1
	}
	return w
}

// join returns the watch with one request more. The others keep their terms, and those of the release before get the
// watch's as they are. Where a poll is due or under way that may leave the record unwritten, there is another one soon.
func (p Policy) join(w Watch, ask Ask, now time.Time) Watch {
	w.Requests = slices.Clone(w.Requests)
	for i := range w.Requests {
		r := &w.Requests[i]
		r.Deadline, r.ExpectedItems = w.terms(r)
	}
	w.Requests = append(w.Requests, p.request(ask))
	w.ExpectedItems = max(w.ExpectedItems, ask.ExpectedItems)
	w.Deadline = later(p.deadline(ask), w.Deadline)
	w.NextPollAt = p.unstretched(&w, ask.Request.ReceivedAt)
	if w.Polls > 0 && !w.NextPollAt.After(now) {
		w.NextPollAt = now.Add(p.Backoff.Initial)
	}
	w.NextPollAt = earlier(w.NextPollAt, w.NextDeadline())
	return w
}

// unstretched returns when the next poll of the watch is due, and not for one that was stretched: who joins may follow what
// changes, or want people to be told of it. It is due a first interval after the request at the earliest: a wake-up that
// waits is replaced by the next one, and one that is due is not, so that requests which come together would poll twice.
func (p Policy) unstretched(w *Watch, received time.Time) time.Time {
	if w.Polls == 0 || w.LastError != nil || !w.LooksEndedSince.IsZero() || p.SweptMax <= p.Backoff.Max {
		return w.NextPollAt
	}
	soonest := later(w.Turn, received.Add(p.Backoff.Initial))
	return earlier(w.NextPollAt, later(soonest, w.LastPollAt.Add(p.Backoff.Interval(w.ID, w.Step))))
}

// request returns the request with its terms.
func (p Policy) request(ask Ask) Request {
	r := ask.Request
	r.Deadline, r.ExpectedItems = p.deadline(ask), ask.ExpectedItems
	return r
}

func (p Policy) deadline(ask Ask) time.Time {
	return ask.Request.ReceivedAt.Add(cmp.Or(ask.Timeout, p.Timeout))
}
