package outbox

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
)

// conditions are the kinds of which a watch's message shows one at a time, while the watch goes on. Of those that are
// told after the same poll the last is shown.
var conditions = []watcher.AttentionKind{watcher.Late, watcher.Stalled, watcher.Blind, watcher.DeadlineNear}

// The states of a watch that goes on are running.<number>. The states after one poll have numbers from perPoll times that
// of the poll on: first the conditions, and from half of perPoll on what changed.
const perPoll = 1000

// changed returns the state that tells what the poll changed.
func changed(polls int) string { return numbered(running, perPoll*polls+perPoll/2) }

// broken is the last state of a watch that goes on: it is over without a summary, since its record is broken.
var broken = numbered(running, math.MaxInt-1)

// A condition is what all workers know of one kind. It is never altered: postings share it.
type condition struct {
	Since time.Time            `json:"since"`           // when it began
	Until time.Time            `json:"until,omitzero"`  // when it was over; zero while it is so
	Polls int                  `json:"polls,omitempty"` // after which poll people were to be told
	State int                  `json:"state,omitempty"` // running.<State> is the first that tells of it; 0: none does
	Error *watcher.ErrorDetail `json:"error,omitempty"` // why the order cannot be read
	Aside bool                 `json:"aside,omitempty"` // where it is over: the message shows another one then, which it showed before this one woke people
}

// condition reports whether the delivery's condition, or its end, is to be told, and completes its state. What is not
// to be told is noted all the same, so that what is over is not told later, nor what is not shown. What wakes people is
// told although another condition is shown.
func (s *Outbox) condition(ctx context.Context, d *delivery) (tell bool, retry *watcher.RetryError) {
	a, p := *d.attention, d.posting
	known := p.Conditions[a.Kind]
	again := known.Since.Equal(a.Since) && (a.Until.IsZero() || !known.Until.IsZero())
	switch {
	case p.Tells == completed, p.Tells == broken, a.Since.Before(known.Since), again && a.Until.IsZero() != known.Until.IsZero():
		return false, nil
	case again:
		d.state = numbered(running, known.State)
		d.showAside(known)
		return known.State > 0, nil
	}
	before, _ := p.shown()
	c := condition{Since: a.Since, Until: a.Until, Polls: a.Polls, Error: a.Error}
	after := p.with(a.Kind, c)
	shown, _ := after.shown()
	tell = shown == a.Kind || d.aloud
	if !a.Until.IsZero() {
		c.Aside = before != a.Kind && p.Tells == numbered(running, known.State)
		tell = (before == a.Kind || c.Aside) && known.Since.Equal(a.Since) && !p.untouched()
	}
	if !tell {
		if p.Call != nil {
			return false, retryIn(time.Second, "another state is being told")
		}
		return false, s.note(ctx, d, after)
	}
	c.State = max(perPoll*a.Polls, rank(p.Tells)) + 1
	d.posting, d.state = p.with(a.Kind, c), numbered(running, c.State) // noted with the call
	d.showAside(c)
	return true, nil
}

// showAside lets the message show the condition that it showed before the delivery's woke people, which is over.
func (d *delivery) showAside(over condition) {
	if !over.Aside {
		return
	}
	a := *d.attention
	kind, c := d.posting.shown()
	a.Kind, a.Since, a.Until, a.Error = kind, c.Since, c.Until, c.Error
	d.render = func(o message.Options) message.Message { return renderCondition(a, o) }
}

// with returns the posting with the condition.
func (p posting) with(kind watcher.AttentionKind, c condition) posting {
	all := maps.Clone(p.Conditions)
	if all == nil {
		all = make(map[watcher.AttentionKind]condition)
	}
	all[kind], p.Conditions = c, all
	return p
}

// shown returns the condition that the message shows: of those that are so the one of which people were told last, or
// else what was over last. The kind is empty where there is none.
func (p posting) shown() (kind watcher.AttentionKind, c condition) {
	for _, other := range conditions {
		o, ok := p.Conditions[other]
		if ok && (kind == "" || o.Until.IsZero() && !c.Until.IsZero() || o.Until.IsZero() == c.Until.IsZero() && o.Polls >= c.Polls) {
			kind, c = other, o
		}
	}
	return kind, c
}

// running returns what is shown of the watch in its progress message: how it was after the poll of the report. What
// was over before that is not shown.
func (p posting) running(r watcher.Report) *watcher.OrderAttention {
	kind, c := p.shown()
	if kind == "" || !c.Until.IsZero() && c.Polls < r.Polls {
		return nil
	}
	return &watcher.OrderAttention{Report: r, Kind: kind, Since: c.Since, Until: c.Until, Error: c.Error}
}

// renderCondition writes the condition as a message of its own, or, where people follow the watch, into the message that
// says how far it is.
func renderCondition(a watcher.OrderAttention, o message.Options) message.Message {
	if o.Condition == nil {
		return message.Concern(a, o)
	}
	return message.Running(watcher.Progress{Report: a.Report, At: seenAt(a)}, o)
}

// seenAt returns as of when the order is known that the event tells of.
func seenAt(a watcher.OrderAttention) time.Time {
	if a.Kind == watcher.Blind && a.Until.IsZero() {
		return a.Since
	}
	return a.At
}

// wakes reports whether the target's rules let the condition wake people.
func wakes(a *watcher.OrderAttention, on []string) bool {
	return a != nil && a.Until.IsZero() && slices.Contains(on, string(a.Kind))
}
