package watcher

import (
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/notable"
)

// A Snapshot is what people and programs are shown of a watch, at any moment of its life. Texts of
// items, failures and errors are the cloud's, and those of requests and of the wish their senders':
// all are untrusted.
type Snapshot struct {
	State   State   `json:"state"`             // watching or ended
	Outcome Outcome `json:"outcome,omitempty"` // of a watch that has ended
	Report          // Reason says how far the order is, or why the watch ended

	Deadline     time.Time    `json:"deadline"` // the first of the requests' deadlines
	LastPollAt   time.Time    `json:"last_poll_at,omitzero"`
	NextPollAt   time.Time    `json:"next_poll_at,omitzero"`        // while it is watched; in the past: the poll is under way, or late
	NextWanted   time.Time    `json:"next_poll_wanted_at,omitzero"` // when it was due, where the account's rate is used up and puts it off
	LastError    *ErrorDetail `json:"last_error,omitempty"`         // of the latest poll; code held: the account may not be asked, message says why
	ErrorsInARow int          `json:"errors_in_a_row,omitempty"`
	// Troubles are what went wrong so far, also where it is over; nil where nothing did, or workers of the release before saw it.
	Troubles *notable.Troubles `json:"troubles,omitempty"`
	// Condition is Blind, Stalled, Late or DeadlineNear, the first of these that is so; empty where none is.
	Condition      AttentionKind `json:"condition,omitempty"`
	ConditionSince time.Time     `json:"condition_since,omitzero"`
	// ETA is when the order of a watch that goes on is likely to be ready; nil where nothing is known of how long orders
	// take, or where its items have ended already.
	ETA *history.Estimate `json:"eta,omitempty"`
	// GivesUpAt is there while the API does not show the order: the watch ends at the first poll from
	// then on that still does not, and no later than Deadline.
	GivesUpAt   time.Time `json:"gives_up_at,omitzero"`
	Wish        *Wish     `json:"cancelled,omitempty"` // somebody wants the watch cancelled; it ends at its next step
	CompletedAt time.Time `json:"completed_at,omitzero"`
	Detection             // of a watch that has ended
	// Cause is the message of most failed items, of at most 300 bytes: in a list alone, which leaves out Failures. Empty
	// where nothing failed, where ModelArts gave no message, and of a worker of an earlier release.
	Cause string `json:"cause,omitempty"`
	// OtherRequests is how many requests of others the watch has that the team which asks is not shown.
	OtherRequests int `json:"other_requests,omitempty"`
}

// Snapshot returns what is shown of the record now, so short that its JSON fits into a message. held is a hold
// that keeps the watch waiting and that people are told of: the watch is shown as blind then. The zero Hold is none.
func (p Policy) Snapshot(w Watch, held Hold, now time.Time) Snapshot {
	s := Snapshot{
		State: Watching, Deadline: w.NextDeadline(),
		LastPollAt: w.LastPollAt, LastError: w.LastError, ErrorsInARow: w.Errors, Wish: w.Wish, Troubles: w.Troubles.Of(w.ID),
	}
	if w.State == Ended {
		s.State, s.Outcome, s.CompletedAt, s.Detection = Ended, w.Completion.Outcome, w.Completion.CompletedAt, w.Completion.Detection
	} else {
		s.NextPollAt, s.NextWanted, s.GivesUpAt = w.NextPollAt, w.Wanted(), p.givesUpAt(w)
		s.Condition, s.ConditionSince = p.condition(w, held, now)
		s.ETA = p.eta(&w, now)
	}
	if w.Completion != nil {
		s.Report = w.Completion.Report
	} else {
		s.Report = w.report(open(w), nil)
	}
	if w.Completion == nil || w.Completion.NextWatchID == "" { // a completion of an earlier release does not say it
		s.ExpectedItems = w.ExpectedItems
	}
	others := s
	others.Report = Report{}
	fit(&s.Report, p.payload()-eventOverhead-size(others))
	return s
}

// givesUpAt returns when the grace of an order ends that the API does not show; zero where it is in none.
func (p Policy) givesUpAt(w Watch) time.Time {
	deadline := w.NextDeadline()
	switch {
	case w.State != Watching:
	case !w.ForbiddenSince.IsZero():
		return earlier(w.ForbiddenSince.Add(p.ForbiddenGrace), deadline)
	case !w.Gone.IsZero() && !w.LooksEndedSince.IsZero():
		settled, _ := p.firstSettled(&w)
		return earlier(settled, deadline)
	case !w.NotFoundSince.IsZero():
		return earlier(w.NotFoundSince.Add(p.NotFoundGrace), deadline)
	}
	return time.Time{}
}

// Brief returns the snapshot without what takes room: items, failures.
func (s Snapshot) Brief() Snapshot {
	s.ItemsOmitted += len(s.Items)
	most := 0
	for _, f := range s.Failures {
		if f.Message != "" && f.Count > most {
			most, s.Cause = f.Count, cut(f.Message, 300)
		}
	}
	s.Items, s.Failures = []Item{}, []Failure{}
	return s
}

// Clocks returns by what it is measured how long the order still takes, the finest first; none where it has ended, or looks so.
func (w *Watch) Clocks() []history.Clock {
	if w.State != Watching || !w.LooksEndedSince.IsZero() {
		return nil
	}
	return w.measured().Clocks()
}

// measured returns what is known of the watch's order, as its duration is measured.
func (w *Watch) measured() history.Order {
	items, nameless := recall(w.seenItems())
	for _, m := range w.Missing {
		if !m.nameless() {
			items = append(items, m.item())
		}
	}
	for _, s := range nameless { // their times are not kept
		items = append(items, Item{Action: s.Action, Status: s.Status})
	}
	return measured(w.Region, items, w.AcceptedAt, w.LastPollAt)
}

// actions returns the actions of the items that [Watch.measured] measures, sorted, each once.
func (w *Watch) actions() (actions []string) {
	add := func(action string) {
		if action != "" && !slices.Contains(actions, action) {
			actions = append(actions, action)
		}
	}
	for _, s := range w.seenItems() {
		add(s.Action)
	}
	for _, m := range w.Missing {
		if !m.nameless() {
			add(m.Action)
		}
	}
	slices.Sort(actions)
	return actions
}

// measured returns the order with these items, of which ModelArts spoke until a time.
func measured(region string, items []Item, accepted, until time.Time) history.Order {
	o := history.Order{Region: region, Accepted: accepted}
	for _, it := range items {
		began, updated := it.Times(accepted, until)
		switch {
		case it.TakenFor == TakenForDeleted:
			updated = it.MissingSince
		case !it.Status.Ended():
			updated = time.Time{}
		}
		o.Items = append(o.Items, history.Item{Action: it.Action, Began: began, Ended: updated})
	}
	return o
}

// eta returns when the order is likely to be ready, as it is said now.
func (p Policy) eta(w *Watch, now time.Time) *history.Estimate {
	if p.Sketches == nil || w.State != Watching || !w.LooksEndedSince.IsZero() {
		return nil
	}
	e := w.measured().Estimate(p.Sketches, now)
	return &e
}

// usual returns how long orders like the watch's take; nil where that is not known.
func (p Policy) usual(w *Watch) *history.Usual {
	if p.Sketches == nil {
		return nil
	}
	u, ok := w.measured().Usual(p.Sketches)
	if !ok {
		return nil
	}
	return &u
}

// Observations returns what the completion says of how long orders take, by ModelArts' own times. An order that goes on in
// another watch is left to that one's completion, and one whose items are not all in the event to none. Where the deadline
// passed while the order could not be read, it may have ended long before: that says nothing.
func (c *Completion) Observations() []history.Observation {
	if c.NextWatchID != "" || c.ItemsOmitted > 0 || c.Outcome == TimedOut && c.Error != nil {
		return nil
	}
	o := measured(c.Region, c.Items, c.AcceptedAt, c.CompletedAt)
	switch c.Outcome {
	case Succeeded, PartiallyFailed, AllFailed:
		_, ended := c.Times()
		return o.Observations(ended, true)
	case TimedOut, Cancelled:
		return o.Observations(c.CompletedAt, false)
	}
	return nil
}
