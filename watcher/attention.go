package watcher

import (
	"fmt"
	"maps"
	"slices"
	"time"
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
	Since      time.Time     `json:"since"`
	Until      time.Time     `json:"until"`          // of the hold, so far; when it was over; with overdue, when they were counted
	Waiting    int           `json:"waiting"`        // open watches of the project, when people were told first
	WaitingAll int           `json:"waiting_all"`    // open watches of all projects that it keeps waiting
	Lost       []string      `json:"lost,omitempty"` // with Lost: what of LostWatches and those after it
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
	Kind  AttentionKind `json:"kind"`            // Late, Stalled, DeadlineNear, Blind, Vanished, UnknownStatus or BrokenRecord
	Since time.Time     `json:"since"`           // since when it is so
	Until time.Time     `json:"until,omitzero"`  // with Blind and Stalled: when it was over, in the event that tells so; zero while it is so
	Error *ErrorDetail  `json:"error,omitempty"` // with Blind: the latest error
	// ToldOf is set where people were told of it already, with what else was lost: lost.
	ToldOf AttentionKind `json:"told_of,omitempty"`
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

// attentions returns what people have not been told of the watch and are to be told now.
func (p Policy) attentions(w Watch, now time.Time) (due []OrderAttention) {
	if w.State != Watching {
		return nil
	}
	tell := func(kind AttentionKind, since time.Time, reason string) {
		a := OrderAttention{Report: w.report(reason, nil), Kind: kind, Since: since}
		if kind == Blind {
			a.Error = w.LastError
		}
		fit(&a.Report, p.payload()-eventOverhead-size(a.Error))
		due = append(due, a)
	}
	if at := p.tellBlind(w); !at.IsZero() && !now.Before(at) {
		tell(Blind, w.Blind, blindReason(w))
	}
	if at := p.tellOdd(w); !at.IsZero() && !now.Before(at) {
		tell(UnknownStatus, w.Odd, listed(w.strange(), strangeItem)+"; ModelArts documents processing, succeed and failed, so it counts as not ended")
	}
	var gone []MissingItem
	var since time.Time
	for _, m := range w.vanished() {
		if m.lasts(p.Patience.vanished(), missingAnswers, now) && !m.deletion() {
			gone, since = append(gone, m), later(since, fromMillis(m.Since))
		}
	}
	if len(gone) > 0 && since.After(w.Told[Vanished]) {
		tell(Vanished, since, listed(gone, vanishedItem)+"; the watch goes on until "+moment(w.Deadline))
	}
	return due
}

// tellBlind returns when people are to be told that this order alone cannot be read; zero where they
// are not, or were.
func (p Policy) tellBlind(w Watch) time.Time {
	if w.LastError != nil && w.LastError.Held != "" {
		return time.Time{}
	}
	return untold(w, Blind, w.Blind, p.Patience.blind())
}

// tellOdd does the same for a status that the API does not document.
func (p Policy) tellOdd(w Watch) time.Time {
	return untold(w, UnknownStatus, w.Odd, p.Patience.odd())
}

func untold(w Watch, kind AttentionKind, since time.Time, patience time.Duration) time.Time {
	if since.IsZero() || w.Told[kind].Equal(since) {
		return time.Time{}
	}
	return since.Add(patience)
}

// told returns the watch after people were told of it.
func (w Watch) told(a OrderAttention) Watch {
	w.Told = maps.Clone(w.Told)
	if w.Told == nil {
		w.Told = make(map[AttentionKind]time.Time)
	}
	w.Told[a.Kind] = a.Since
	return w
}
