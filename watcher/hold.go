package watcher

import (
	"cmp"
	"time"
)

// A Hold keeps an account, or one project of it, from being asked, on every worker. When its time
// is over one call finds out whether it still stands.
type Hold struct {
	Kind      HoldKind                   `json:"kind"`
	Region    string                     `json:"region"`
	ProjectID string                     `json:"project_id,omitempty"` // empty: all projects of the account
	Reason    string                     `json:"reason"`               // for people; the cloud's text is in it
	Code      string                     `json:"code,omitempty"`       // the API's, of the error in Reason; empty where it gave none
	Said      string                     `json:"said,omitempty"`       // what the API said of it, word for word; empty where it said nothing
	Since     time.Time                  `json:"since"`
	Until     time.Time                  `json:"until"`             // no call before
	Tries     int                        `json:"tries"`             // calls that found that it stands
	Asked     time.Time                  `json:"asked,omitzero"`    // when some worker took it on itself to find out
	Probing   bool                       `json:"probing,omitempty"` // that worker's call is under way; Until is how long it is waited for
	Over      time.Time                  `json:"over,omitzero"`     // when a call was answered; it is kept until people know
	ToldAt    time.Time                  `json:"told_at,omitzero"`  // when people were told that it stands
	ToldTo    map[string]int             `json:"told_to,omitempty"` // how many watches waited then, by project
	ToldIn    map[string]WaitingChannels `json:"told_in,omitempty"` // and where, by project; a worker of the release before forgets it
	Witness   *Order                     `json:"witness,omitempty"` // an order that was answered before: it is asked to find out; nil: none is known
}

// A HoldKind says why an account is held.
type HoldKind string

// The kinds of holds.
const (
	HeldThrottled   HoldKind = "throttled"   // it asked too often
	HeldLogin       HoldKind = "login"       // its login is refused or locked
	HeldPermission  HoldKind = "permission"  // it lacks a permission
	HeldArrears     HoldKind = "arrears"     // it is frozen or in arrears; its project is held
	HeldUnreachable HoldKind = "unreachable" // no call is answered
)

// Words returns in words what the account is held for, as half a sentence; general ones for a kind that
// is not known, or empty.
func (k HoldKind) Words() string {
	return cmp.Or(map[HoldKind]string{
		HeldThrottled:   "the account is throttled",
		HeldLogin:       "the login is refused",
		HeldPermission:  "the account lacks a permission",
		HeldArrears:     "the account is frozen or in arrears",
		HeldUnreachable: "ModelArts cannot be reached",
	}[k], "the account may not be asked now")
}

// Stops reports whether no order is seen while an account is held so. A throttled account is asked again within minutes.
func (k HoldKind) Stops() bool { return k != HeldThrottled }

// HeldCode is the code of an error that says that the account may not be asked, where the API gave none.
// Before [ErrorDetail] had the field Held it was the code of them all.
const HeldCode = "held"

// AccountHeld reports whether the order was not asked, since the account may not be.
func (e ErrorDetail) AccountHeld() bool { return e.Held != "" || e.Code == HeldCode }

// Words says to people what happened, as half a sentence, and returns the API's code. Either is empty where
// there is none: where the API gave a code, and the account is not held, the code alone says what happened.
func (e ErrorDetail) Words() (said, code string) {
	if e.AccountHeld() {
		said, code = e.Held.Words(), e.Code
		if code == HeldCode {
			code = ""
		}
		return said, code
	}
	if said = Class(e.Code).Words(); said == "" {
		code = e.Code
	}
	return said, code
}

// UnknownOrder reports whether the API does not know the order.
func (e ErrorDetail) UnknownOrder() bool { return e.Code == unknownOrder || e.Code == string(NotFound) }

// unknownOrder is the API's code for an order that it does not know.
const unknownOrder = "ModelArts.50015001"

// Stands reports whether the hold is not over. The zero Hold does not stand.
func (h Hold) Stands() bool { return h.Kind != "" && h.Over.IsZero() }

// Keeps reports whether the hold keeps the watch waiting.
func (h Hold) Keeps(w *Watch) bool {
	return h.Stands() && w.State == Watching && w.Region == h.Region && (h.ProjectID == "" || h.ProjectID == w.ProjectID)
}

// A HoldCause is a failed call for which an account, or one project of it, is to be held.
type HoldCause struct {
	Kind         HoldKind
	Region       string
	ProjectID    string // empty: all projects are to be held
	Reason       string // for people; the cloud's text is in it
	Code         string // the API's; empty where it gave none
	Said         string // what the API said, word for word; empty where it said nothing
	Began, Ended time.Time
	Witness      *Order // an order that was answered before; nil: none is known

	RetryAfter time.Duration // the API asks to be left alone for so long; 0: it does not
	Least      time.Duration // the hold takes so long at least, whatever the schedule says
	Schedule   Backoff       // of holds of this kind
	Seed       string        // of the schedule
}

// Wait returns how long a hold takes after so many tries, which found that it stands: it grows from try to
// try. It is never shorter than the API asks for, and otherwise not longer than the most of its kind.
func (c HoldCause) Wait(tries int) time.Duration {
	if c.RetryAfter == 0 {
		return max(c.Least, c.Schedule.AtMost(c.Seed, tries))
	}
	longer := c.RetryAfter
	for ; tries > 0 && longer < c.Schedule.Max; tries-- {
		longer *= 2
	}
	return max(c.least(), min(longer, c.Schedule.Max))
}

func (c HoldCause) least() time.Duration { return max(c.RetryAfter, c.Least) }

// Next returns the hold as it is after the failed call, and whether that is news: false leaves it as it was. A
// call that was under way when the hold began, or when its end was last looked for, is news only where the
// API asks for a longer time; it is no try. What people were told of stays of its kind until it is over.
func (h Hold) Next(c HoldCause) (next Hold, news bool) {
	begins, told := !h.Stands(), len(h.ToldTo) > 0
	late := !begins && (!c.Began.After(h.Since) || c.Began.Before(h.Asked))
	if late && (c.RetryAfter == 0 || !c.Ended.Add(c.least()).After(h.Until)) {
		return h, false
	}
	switch {
	case begins && told: // people do not know yet that the one before is over: it goes on
		h.Asked = time.Time{}
	case begins:
		h = Hold{Since: c.Ended}
	}
	if !told {
		h.Kind = c.Kind
	}
	h.ProjectID, h.Witness = cmp.Or(c.ProjectID, h.ProjectID), cmp.Or(c.Witness, h.Witness)
	h.Region, h.Reason, h.Code, h.Said, h.Over, h.Probing = c.Region, c.Reason, c.Code, c.Said, time.Time{}, false
	if late {
		h.Until = c.Ended.Add(c.least())
		return h, true
	}
	h.Until = c.Ended.Add(c.Wait(h.Tries))
	h.Tries++
	return h, true
}

// Mendable reports whether people can mend that for which the account is held, and the account loses nothing by being asked
// too soon: a permission that it lacks, or arrears. Too many calls lengthen a hold of another kind, or lock a login.
func (k HoldKind) Mendable() bool { return k == HeldPermission || k == HeldArrears }

// askedAgain is how soon after a call that found that a hold stands another may find out.
const askedAgain = 30 * time.Second

// Sooner returns the hold as it is when somebody who may have mended it wants the account to be asked: now, or soon after the
// call that found last that it stands; and whether that is sooner than before.
func (h Hold) Sooner(now time.Time) (next Hold, sooner bool) {
	at := later(now, later(h.Since, h.Asked).Add(askedAgain))
	if !h.Stands() || !h.Kind.Mendable() || h.Probing || !at.Before(h.Until) {
		return h, false
	}
	h.Until = at
	return h, true
}

// Probes reports whether a call that began then is to show whether the hold still stands.
func (h Hold) Probes(began time.Time) bool {
	return h.Stands() && h.Probing && !began.Before(h.Asked)
}

// Answered returns the hold as it is after a call that was answered, and whether it is over now. A call that
// began before the hold's end was looked for does not end it.
func (h Hold) Answered(began, ended time.Time) (next Hold, over bool) {
	if !h.Stands() || h.Asked.IsZero() || began.Before(h.Asked) {
		return h, false
	}
	h.Over, h.Probing = ended, false
	return h, true
}

// Unclear returns the hold as it is after a call that began then and has not shown whether the hold is over,
// and whether the call was to show that: then the hold stands longer, by its kind's schedule with that seed.
func (h Hold) Unclear(began, now time.Time, schedule Backoff, seed string) (next Hold, longer bool) {
	if !h.Probes(began) {
		return h, false
	}
	h.Until, h.Probing = now.Add(schedule.AtMost(seed, h.Tries)), false
	h.Tries++
	return h, true
}

// Why says for people why the account is held, and until when. The cloud's text is in it.
func (h Hold) Why() string {
	return h.Kind.Saying() + "; no call before " + h.Until.UTC().Format(time.RFC3339) + ": " + h.Reason
}

// Saying says in words why an account is held.
func (k HoldKind) Saying() string {
	return map[HoldKind]string{
		HeldThrottled:   "ModelArts throttles the account",
		HeldLogin:       "ModelArts refuses the account's login",
		HeldPermission:  "ModelArts refuses the account for lack of a permission",
		HeldArrears:     "ModelArts refuses the project: the account is frozen or in arrears",
		HeldUnreachable: "ModelArts cannot be reached",
	}[k]
}

// A Leave says whether an account may be asked.
type Leave struct {
	After time.Duration // no call before that has passed; 0: one call, now
	// Soon is there where After is 0 and the call is to be made a little later, for which it waits in its worker. Wait is asked
	// again then, with [Turn].Taken.
	Soon time.Duration
	Full bool     // the account's rate is used up
	Why  string   // it may not be asked now, for people
	Held HoldKind // the kind of the hold; empty where only the rate keeps it from being asked
	Code string   // of the error that the hold is for, as the API gave it; empty where it gave none
	Said string   // what the API said of it, word for word; empty where it said nothing
}

// A Load is how many polls are wanted in a region, by what one worker sees.
type Load struct {
	Region      string
	Wanted      float64       // polls a second of this worker, if none waited for the rate
	Allowed     float64       // polls a second that this worker may make
	Workers     int           // that share the rate; this one sees about as much as each of the others
	UsedUpSince time.Time     // since when polls are late for the rate; zero while they are not
	Late        time.Duration // by how much; 0 while they are not
}
