package watcher

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/history"
)

// An Attention is what people should look at: an account that cannot be asked, or can again, or
// watches that nobody polls. There is one for each project that has open watches there. With Lost there is
// one for all projects: its ProjectID is all, and what is said of accounts, holds and waiting watches is empty.
type Attention struct {
	Account    string        `json:"account"` // the login's name and the region; with arrears the project, too; empty with overdue
	Kind       AttentionKind `json:"kind"`
	Region     string        `json:"region"`
	ProjectID  string        `json:"project_id"`
	Cause      HoldKind      `json:"cause"` // of the hold; empty with overdue
	Reason     string        `json:"reason"`
	Code       string        `json:"code,omitempty"` // the API's, of the error in Reason; empty where it gave none
	Said       string        `json:"said,omitempty"` // what the API said of it, word for word; empty where it said nothing
	Since      time.Time     `json:"since"`
	Until      time.Time     `json:"until"`          // of the hold, so far; when it was over; with overdue, when they were counted
	Waiting    int           `json:"waiting"`        // open watches of the project, when people were told first
	WaitingAll int           `json:"waiting_all"`    // open watches of all projects that it keeps waiting
	Lost       []string      `json:"lost,omitempty"` // with Lost: what of LostWatches and those after it
	WaitingChannels
}

// WaitingChannels says where the watches of one project wait, when people were told first; it is empty where that is
// not known.
type WaitingChannels struct {
	Channels []WaitingChannel `json:"channels,omitempty"`
	Omitted  int              `json:"channels_omitted,omitempty"` // how many were left out
}

// A WaitingChannel stands for all requests that share channel and labels, and whose watches wait. The labels are
// their senders', and untrusted.
type WaitingChannel struct {
	SlackChannel string            `json:"slack_channel"`
	Labels       map[string]string `json:"labels,omitempty"`
	Watches      int               `json:"watches"` // with such a request
	Ended        int               `json:"ended"`   // of their items, when the orders were seen last
	Items        int               `json:"items"`
}

// What can be lost. Events of releases before this one do not say it: they tell of watches or requests.
const (
	LostWatches  = "watches"  // what was watched is forgotten
	LostRequests = "requests" // requests that were in no watch yet
	LostEvents   = "events"   // completions among them; watches go on
	LostNotes    = "notes"    // of what was posted to Slack; watches go on
)

// Forgets reports whether watches or requests are forgotten. What a later version names counts as that.
func (a Attention) Forgets() bool {
	if a.Kind != Lost {
		return false
	}
	others := slices.ContainsFunc(a.Lost, func(what string) bool { return what != LostEvents && what != LostNotes })
	return others || len(a.Lost) == 0
}

// An OrderAttention is what people should look at in one watch that goes on. There is at most one of
// a kind and a Since for each watch. Reason says what is wrong. With BrokenRecord the watch does not
// go on: Requests are those that were never completed, as far as events name them, perhaps none; and of the
// rest only what is known is filled.
type OrderAttention struct {
	Report
	At    time.Time     `json:"-"`               // when people were to be told: the event's time; zero where it is not known
	Kind  AttentionKind `json:"kind"`            // Late, Stalled, DeadlineNear, Blind, Vanished, UnknownStatus or BrokenRecord
	Since time.Time     `json:"since"`           // since when it is so
	Until time.Time     `json:"until,omitzero"`  // with Blind and Stalled: when it was over, in the event that tells so; zero while it is so
	Error *ErrorDetail  `json:"error,omitempty"` // with Blind: the latest error
	// Usual is there with Late and Stalled, where it is known how long orders like this one take.
	Usual *history.Usual `json:"usual,omitempty"`
	// ToldOf is set where people were told of it already, with what else was lost: lost.
	ToldOf AttentionKind `json:"told_of,omitempty"`
}

// A RequestAttention is what people should look at in a message that was no request: it was rejected, and no watch tells
// of it. Of each sender there is one an hour. Its texts are the sender's, and untrusted.
type RequestAttention struct {
	Kind      AttentionKind `json:"kind"` // Rejected
	Reason    string        `json:"reason"`
	Field     string        `json:"field"` // empty where the whole message is meant
	RequestID string        `json:"request_id"`
	Sender    string        `json:"sender"`          // requested_by, else a CloudEvent's source; empty where neither can be read
	Sequence  uint64        `json:"stream_sequence"` // as the rejected event has it
	Received  time.Time     `json:"received_at"`
	// Others counts what else of the sender's was rejected since people were told last, as far as that was read.
	Others int `json:"others,omitempty"`
}

// Outage names what the events have in common that tell of one hold, to all projects, or of one
// project's overdue watches.
func (a Attention) Outage() string {
	about := a.Account
	if a.Kind == Overdue || a.Kind == Lost {
		about = string(a.Kind) + "." + a.ProjectID
	}
	return fmt.Sprintf("%s.%d", about, a.Since.UnixMilli())
}

// Over reports whether the account can be asked again.
func (a Attention) Over() bool { return a.Kind.Over() }

// An AttentionKind says what happened.
type AttentionKind string

// The kinds.
const (
	Unreachable        AttentionKind = "unreachable" // no call is answered
	Reachable          AttentionKind = "reachable"   // the end of that
	CredentialsRefused AttentionKind = "credentials" // the login is refused or locked
	Held               AttentionKind = "held"        // throttled for long, a permission is missing, or in arrears
	Released           AttentionKind = "released"    // the end of one of the last two
	Overdue            AttentionKind = "overdue"     // watches are not polled when they are due, and no hold says why
	Lost               AttentionKind = "lost"        // a stream of NATS was emptied or made anew: what it held is forgotten

	// Rejected is the kind of a [RequestAttention].
	Rejected AttentionKind = "rejected"

	// The kinds of an [OrderAttention].
	Blind         AttentionKind = "blind"          // this order alone cannot be read, for five minutes
	Vanished      AttentionKind = "vanished"       // an item that had not ended is no longer listed, for five minutes
	UnknownStatus AttentionKind = "unknown_status" // an item has a status that the API does not document, for ten minutes
	Late          AttentionKind = "late"           // the order takes longer than the request's late_after
	Stalled       AttentionKind = "stalled"        // the API answers, and no item has changed for long
	DeadlineNear  AttentionKind = "deadline"       // most of the watch's time has passed, and the order is open
	BrokenRecord  AttentionKind = "record"         // the watch's record cannot be read, or was deleted: the watch is over
)

// Over reports whether the account can be asked again.
func (k AttentionKind) Over() bool { return k == Reachable || k == Released }

// Attention returns the kind of event that tells of a hold of this kind, or of its end.
func (k HoldKind) Attention(over bool) AttentionKind {
	switch {
	case k == HeldUnreachable && over:
		return Reachable
	case k == HeldUnreachable:
		return Unreachable
	case over:
		return Released
	case k == HeldLogin:
		return CredentialsRefused
	}
	return Held
}

// A condition is what people should know of a watch that goes on, although nothing of its order has failed.
type condition struct {
	kind  AttentionKind
	since time.Time
	due   time.Time // from when on it is shown, and people are told of it
	told  bool
	asked bool // it is so only where the order was answered at that time or later, and had not ended
}

// so reports whether the condition of the watch is so now.
func (c condition) so(w *Watch, now time.Time) bool {
	return !now.Before(c.due) && (!c.asked || w.LastError == nil && !w.LastPollAt.Before(c.due))
}

// conditions returns what is so, or will be so unless something changes, the most important first: one that
// cannot see says nothing of whether the order moves, and an order that does not move is late for that.
func (p Policy) conditions(w Watch) (all []condition) {
	if w.State != Watching || w.Wish != nil || w.Seen != w.Polls { // a worker of the release before has polled since
		return nil
	}
	add := func(kind AttentionKind, since time.Time, patience time.Duration) {
		if since.IsZero() {
			return
		}
		told := w.Told[kind].Equal(since) || kind == Late && !w.Told[kind].IsZero() // a request that joined moves this
		asked := kind == Late && w.expectedBy().IsZero()
		all = append(all, condition{kind, since, since.Add(patience), told, asked})
	}
	if w.LastError != nil && w.LastError.Held == "" {
		add(Blind, w.Blind, p.patienceOf(Blind))
	}
	if !w.LooksEndedSince.IsZero() {
		return all
	}
	if w.LastError == nil && w.Changed == w.Progressed {
		add(Stalled, w.ChangedAt, p.patienceOf(Stalled))
	}
	add(Late, p.lateAt(w), 0)
	add(DeadlineNear, w.nearDeadline(), 0)
	return all
}

// condition returns how the watch is now and since when, where it goes on and people should know something of it; else
// it is empty. held is a hold that keeps the watch waiting, and that people are told of; the zero Hold for none.
func (p Policy) condition(w Watch, held Hold, now time.Time) (kind AttentionKind, since time.Time) {
	if held.Stands() && w.State == Watching {
		return Blind, held.Since
	}
	for _, c := range p.conditions(w) {
		if c.so(&w, now) {
			return c.kind, c.since
		}
	}
	return "", time.Time{}
}

// Conditions calls add with what is so of the watch, or will be unless its record changes, the most important first: since when
// it is so, and from when on it is shown. What a snapshot shows of them is the first that is shown then. Holds are not in it.
func (p Policy) Conditions(w Watch, add func(kind AttentionKind, since, from time.Time)) {
	for _, c := range p.conditions(w) {
		if c.so(&w, later(c.due, w.LastPollAt)) {
			add(c.kind, c.since, c.due)
		}
	}
}

// patienceOf returns for how long a watch may be blind or stalled before people are told.
func (p Policy) patienceOf(kind AttentionKind) time.Duration {
	if kind == Blind {
		return p.Patience.blind()
	}
	return p.Patience.stalled() // how long an item usually takes to change is not known: a sketch knows of ends alone
}

// beforeTold returns next, or the time before it when people are to be told of a condition first.
func (p Policy) beforeTold(w Watch, next, now time.Time) time.Time {
	for _, c := range p.conditions(w) {
		if !c.told && c.due.After(now) {
			next = earlier(next, c.due)
		}
	}
	return next
}

// expectedBy returns from when on the order is late for the first of the requests that say so; zero where none does.
func (w *Watch) expectedBy() (at time.Time) {
	for _, r := range w.Requests {
		if !r.LateAt.IsZero() && (at.IsZero() || r.LateAt.Before(at)) {
			at = r.LateAt
		}
	}
	return at
}

// lateAt returns from when on the order is late: where a request says, by the first of those; otherwise by what is usual. It
// is zero where neither says.
func (p Policy) lateAt(w Watch) time.Time {
	if at := w.expectedBy(); !at.IsZero() || !p.LateByUsual {
		return at
	}
	return w.UsualLateAt
}

// Bounds of being late by what is usual.
const (
	leastLate = time.Minute      // after the watch was accepted: nobody needs to hear of seconds
	mostLate  = 10 * time.Minute // before it is decided: people are told as it comes about, or not at all
)

// measure decides from when on the order is late by what is usual: when it shows its actions first, and anew when it shows
// others, until people are told, by the orders of its kind that are known then. Those that are learned of while it goes on
// decide nothing: of many that began together the quickest end first, and beside these alone all others would be late.
func (p Policy) measure(w *Watch, now time.Time) {
	if p.Sketches == nil || !p.LateByUsual || !w.Told[Late].IsZero() {
		return
	}
	if key := (history.Key{Region: w.Region, Actions: w.actions()}); key.String() == w.UsualKind {
		return // it is what was measured
	}
	order := w.measured()
	kind, ok := order.Kind()
	if !ok || kind.Key.String() == w.UsualKind {
		return
	}
	at := order.LateAt(p.Sketches, now)
	if !at.IsZero() { // an order that began long before it was watched is late soon
		at = later(at, w.AcceptedAt.Add(leastLate))
	}
	if now.Sub(at) > mostLate {
		at = time.Time{}
	}
	w.UsualKind, w.UsualLateAt = kind.Key.String(), at
}

// leastLeft is how much time must be left at the least where people are told that the deadline is near: in
// less nobody can do anything.
const leastLeft = time.Minute

// nearDeadline returns when 80 % of the time have passed of the request whose deadline is the next; zero where that
// leaves too little.
func (w *Watch) nearDeadline() time.Time {
	next, from := w.NextDeadline(), w.AcceptedAt
	for i := range w.Requests {
		if deadline, _ := w.terms(&w.Requests[i]); deadline.Equal(next) && !w.Requests[i].Deadline.IsZero() {
			from = w.Requests[i].ReceivedAt
			break
		}
	}
	left := next.Sub(from) / 5
	if left < leastLeft {
		return time.Time{}
	}
	return next.Add(-left)
}

// Deadline returns when the watch ends of which a DeadlineNear tells: at the first deadline of its requests. Where they
// do not say, as a release before this one wrote them, it is as far after Since again as a quarter of the time before it.
func (a OrderAttention) Deadline() time.Time {
	w := Watch{Requests: a.Requests, Deadline: a.Since.Add(a.Since.Sub(a.AcceptedAt) / 4)}
	return w.NextDeadline()
}

// changed notes that an item of the order changed at that time. A clock that is behind may say that it was before the
// watch was accepted.
func (p Policy) changed(w *Watch, at time.Time) {
	p.passed(w, Stalled, w.ChangedAt, at)
	w.ChangedAt, w.Changed = later(at, w.AcceptedAt), w.Progressed
}

// passed notes that what has been so since then is over, if people were told of it, or a worker may have told them
// that died then: see [Events].
func (p Policy) passed(w *Watch, kind AttentionKind, since, at time.Time) {
	if since.IsZero() || !w.Told[kind].Equal(since) && at.Before(since.Add(p.patienceOf(kind))) {
		return
	}
	w.Told, w.Passed = with(w.Told, kind, since), with(w.Passed, kind, at)
}

// with returns the times with one more.
func with(times map[AttentionKind]time.Time, kind AttentionKind, at time.Time) map[AttentionKind]time.Time {
	all := map[AttentionKind]time.Time{kind: at}
	for other, time := range times {
		if other != kind {
			all[other] = time
		}
	}
	return all
}

// untold returns what people have not been told of the watch and are to be told now: what is over first.
func (p Policy) untold(w Watch, now time.Time) (due []OrderAttention) {
	if w.State != Watching {
		return nil
	}
	for _, kind := range []AttentionKind{Blind, Stalled} {
		if until, since := w.Passed[kind], w.Told[kind]; !until.IsZero() && !since.IsZero() {
			a := p.attention(w, kind, since, overReason(w, kind, until.Sub(since)))
			a.Until, a.Error = until, nil
			due = append(due, a)
		}
	}
	for _, c := range p.conditions(w) {
		tooLate := c.kind == DeadlineNear && w.NextDeadline().Sub(now) < leastLeft // as where the watch before just ended for others
		if !c.told && c.so(&w, now) && !tooLate {
			due = append(due, p.attention(w, c.kind, c.since, conditionReason(w, c, now)))
		}
	}
	return due
}

// attention returns what people are told of the watch.
func (p Policy) attention(w Watch, kind AttentionKind, since time.Time, reason string) OrderAttention {
	a := OrderAttention{Report: w.report(reason, nil), Kind: kind, Since: since}
	if kind == Late || kind == Stalled {
		a.Usual = p.usual(&w)
	}
	if kind == Blind {
		a.Error = w.LastError
	}
	fit(&a.Report, p.payload()-eventOverhead-size(a.Error))
	return a
}

// odd returns what people are to be told now of what the latest poll showed.
func (p Policy) odd(w Watch, now time.Time) (due []OrderAttention) {
	if w.State != Watching {
		return nil
	}
	if at := p.tellOdd(w); !at.IsZero() && !now.Before(at) {
		reason := listed(w.strange(), strangeItem) + "; ModelArts documents processing, succeed and failed, so it counts as not ended"
		due = append(due, p.attention(w, UnknownStatus, w.Odd, reason))
	}
	var gone []MissingItem
	var since time.Time
	for _, m := range w.vanished() {
		if m.lasts(p.Patience.vanished(), missingAnswers, now) && !m.deletion() {
			gone, since = append(gone, m), later(since, fromMillis(m.Since))
		}
	}
	if len(gone) > 0 && since.After(w.Told[Vanished]) {
		due = append(due, p.attention(w, Vanished, since, listed(gone, vanishedItem)+"; the watch goes on until "+moment(w.Deadline)))
	}
	return due
}

// tellOdd returns when people are to be told of a status that the API does not document; zero where they
// are not, or were.
func (p Policy) tellOdd(w Watch) time.Time {
	if w.Odd.IsZero() || w.Told[UnknownStatus].Equal(w.Odd) {
		return time.Time{}
	}
	return w.Odd.Add(p.Patience.odd())
}

// told returns the watch after people were told of it.
func (w Watch) told(a OrderAttention) Watch {
	w.Told, w.Passed = with(w.Told, a.Kind, a.Since), maps.Clone(w.Passed)
	if delete(w.Passed, a.Kind); !a.Until.IsZero() {
		delete(w.Told, a.Kind)
	}
	return w
}
