package watcher

import (
	"fmt"
	"time"
)

// A Hold keeps an account, or one project of it, from being asked, on every worker. When its time
// is over one call finds out whether it still stands.
type Hold struct {
	Kind      HoldKind       `json:"kind"`
	Region    string         `json:"region"`
	ProjectID string         `json:"project_id,omitempty"` // empty: all projects of the account
	Reason    string         `json:"reason"`               // for people; the cloud's text is in it
	Code      string         `json:"code,omitempty"`       // the API's, of the error in Reason; empty where it gave none
	Since     time.Time      `json:"since"`
	Until     time.Time      `json:"until"`             // no call before
	Tries     int            `json:"tries"`             // calls that found that it stands
	Asked     time.Time      `json:"asked,omitzero"`    // when some worker took it on itself to find out
	Probing   bool           `json:"probing,omitempty"` // that worker's call is under way; Until is how long it is waited for
	Over      time.Time      `json:"over,omitzero"`     // when a call was answered; it is kept until people know
	ToldAt    time.Time      `json:"told_at,omitzero"`  // when people were told that it stands
	ToldTo    map[string]int `json:"told_to,omitempty"` // how many watches waited then, by project
	Witness   *Order         `json:"witness,omitempty"` // an order that was answered before: it is asked to find out; nil: none is known
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
	switch k {
	case HeldThrottled:
		return "the account is throttled"
	case HeldLogin:
		return "the login is refused"
	case HeldPermission:
		return "the account lacks a permission"
	case HeldArrears:
		return "the account is frozen or in arrears"
	case HeldUnreachable:
		return "ModelArts cannot be reached"
	}
	return "the account may not be asked now"
}

// HeldCode is the code of an error that says that the account may not be asked, where the API gave none.
// Before [ErrorDetail] had the field Held it was the code of them all.
const HeldCode = "held"

// AccountHeld reports whether the order was not asked, since the account may not be.
func (e ErrorDetail) AccountHeld() bool { return e.Held != "" || e.Code == HeldCode }

// Stands reports whether the hold is not over. The zero Hold does not stand.
func (h Hold) Stands() bool { return h.Kind != "" && h.Over.IsZero() }

// A Leave says whether an account may be asked.
type Leave struct {
	After time.Duration // no call before that has passed; 0: one call, now
	Why   string        // it may not be asked now, for people
	Held  HoldKind      // the kind of the hold; empty where only the rate keeps it from being asked
	Code  string        // of the error that the hold is for, as the API gave it; empty where it gave none
}

// An Attention is what people should look at: an account that cannot be asked, or can again, or
// watches that nobody polls. There is one for each project that has open watches there.
type Attention struct {
	Account    string        `json:"account"` // the login's name and the region; with arrears the project, too; empty with overdue
	Kind       AttentionKind `json:"kind"`
	Region     string        `json:"region"`
	ProjectID  string        `json:"project_id"`
	Cause      HoldKind      `json:"cause"` // of the hold; empty with overdue
	Reason     string        `json:"reason"`
	Since      time.Time     `json:"since"`
	Until      time.Time     `json:"until"`       // of the hold, so far; when it was over; with overdue, when they were counted
	Waiting    int           `json:"waiting"`     // open watches of the project, when people were told first
	WaitingAll int           `json:"waiting_all"` // open watches of all projects that it keeps waiting
}

// An OrderAttention is what people should look at in one watch that goes on. There is at most one of
// a kind and a Since for each watch. Reason says what is wrong.
type OrderAttention struct {
	Report
	Kind  AttentionKind `json:"kind"`            // Blind, Vanished or UnknownStatus
	Since time.Time     `json:"since"`           // since when it is so
	Error *ErrorDetail  `json:"error,omitempty"` // with Blind: the latest error
}

// Outage names what the events have in common that tell of one hold, to all projects, or of one
// project's overdue watches.
func (a Attention) Outage() string {
	about := a.Account
	if a.Kind == Overdue {
		about = string(Overdue) + "." + a.ProjectID
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

	// The kinds of an [OrderAttention].
	Blind         AttentionKind = "blind"          // this order alone cannot be read, for five minutes
	Vanished      AttentionKind = "vanished"       // an item that had not ended is no longer listed, for five minutes
	UnknownStatus AttentionKind = "unknown_status" // an item has a status that the API does not document, for ten minutes
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
