package watcher

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// An Order names one ModelArts order. Both fields are checked by [Order.Validate]
// before anything is done with them: they become subject tokens and URL path segments.
type Order struct {
	ProjectID string `json:"project_id"`
	Name      string `json:"order_name"`
}

// String returns PROJECT/ORDER, the form people read and type.
func (o Order) String() string { return o.ProjectID + "/" + o.Name }

// Key returns PROJECT.ORDER, the order's subject tokens and the key of its record.
// A project id holds no dot, so no two orders share a key.
func (o Order) Key() string { return o.ProjectID + "." + o.Name }

// URL returns the address of the order's page. The base is where the command page is found: an address, perhaps with a
// path, or a path alone. Each name is one segment of the path, escaped. Without a base there is no address, nor where a name
// is no segment: empty, or of dots that a browser takes for the way up.
func (o Order) URL(base string) string {
	for _, name := range []string{o.ProjectID, o.Name} {
		if base == "" || name == "" || name == "." || name == ".." {
			return ""
		}
	}
	return strings.TrimRight(base, "/") + "/orders/" + url.PathEscape(o.ProjectID) + "/" + url.PathEscape(o.Name)
}

// Bounds of an order's two names, in bytes.
const (
	maxProjectID = 64
	maxOrderName = 128
)

// made reports whether the text is of letters and digits of ASCII and of the others, and not empty. Each wake-up and each
// record is checked so.
func made(text, others string) bool {
	for _, c := range []byte(text) {
		letter, digit := c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9'
		if !letter && !digit && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return text != ""
}

// Validate returns a *[FieldError] where a part of the order's name is not allowed.
func (o Order) Validate() error {
	if len(o.ProjectID) > maxProjectID || !made(o.ProjectID, "-") {
		return &FieldError{"project_id", "must be 1 to 64 of A-Z a-z 0-9 -"}
	}
	dotted := strings.HasPrefix(o.Name, ".") || strings.HasSuffix(o.Name, ".") || strings.Contains(o.Name, "..")
	if len(o.Name) > maxOrderName || dotted || !made(o.Name, "._=-") {
		return &FieldError{"order_name", fmt.Sprintf("must be 1 to %d of A-Z a-z 0-9 . _ = -, no dot first or last, and no two dots in a row", maxOrderName)}
	}
	return nil
}

// A FieldError says which field of a request is wrong and what would be right.
type FieldError struct {
	Field  string // the field's JSON name; empty where the whole body is meant
	Reason string
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}

// An Item is one resource of an order as the API last showed it.
// Every text in it is the cloud's and untrusted.
type Item struct {
	ResourceName string    `json:"resource_name"`
	Action       string    `json:"action"` // createPool, createNode, …; unknown ones are passed on
	Status       Status    `json:"status"`
	BeganAt      time.Time `json:"began_at,omitzero"`
	UpdatedAt    time.Time `json:"updated_at,omitzero"`
	Message      string    `json:"message,omitempty"` // why it failed, where the API says so

	// MissingSince is when the API first answered without the item. The rest is as it was seen last.
	MissingSince time.Time `json:"missing_since,omitzero"`
	// TakenFor is "deleted" where the missing item of a deletion counts as succeeded.
	TakenFor string `json:"taken_for,omitempty"`
	// Replaces is the name of the item whose place this one has taken: it was renamed or tried again.
	Replaces string `json:"replaces,omitempty"`
}

// TakenForDeleted is the TakenFor of a missing item of a deletion: it counts as succeeded.
const TakenForDeleted = "deleted"

// CountsAs returns the status that the item counts as. That is its own, but succeed for an item that
// is taken for deleted, whose own is as it was seen last.
func (it Item) CountsAs() Status {
	if it.TakenFor == TakenForDeleted {
		return Succeed
	}
	return it.Status
}

// Missing reports whether the API no longer lists the item.
func (it Item) Missing() bool { return !it.MissingSince.IsZero() }

// ByUrgency compares items by how soon people should look at them: what failed, what has not ended and is no longer listed, what
// has an unknown status, what goes on, what succeeded.
func (it Item) ByUrgency(other Item) int { return cmp.Compare(it.rank(), other.rank()) }

func (it Item) rank() int {
	switch status := it.CountsAs(); {
	case status == Failed:
		return 0
	case status == Succeed:
		return 4
	case it.Missing():
		return 1
	case !status.Known():
		return 2
	}
	return 3
}

// Bounds of the times of items that can be true.
const (
	oldestTime  = 366 * 24 * time.Hour // before the watch was accepted
	clocksApart = time.Hour            // after the moment that is looked at
)

// Times returns when work on the item began and when the item changed last, each zero where it is not
// known or cannot be true: the API may give seconds for milliseconds. A time cannot be true that is more than
// 366 days before the watch was accepted, or more than an hour after until, which is when the watch
// ended, or now; nor can a change before the beginning. A zero accepted or until is no bound.
func (it Item) Times(accepted, until time.Time) (began, updated time.Time) {
	began, updated = it.BeganAt, it.UpdatedAt
	if !possible(began, accepted, until) {
		began = time.Time{}
	}
	if !possible(updated, accepted, until) || updated.Before(began) {
		updated = time.Time{}
	}
	return began, updated
}

func possible(t, accepted, until time.Time) bool {
	tooOld := !accepted.IsZero() && t.Before(accepted.Add(-oldestTime))
	tooNew := !until.IsZero() && t.After(until.Add(clocksApart))
	return !tooOld && !tooNew
}

// An Answer is what one poll of an order brought.
type Answer struct {
	Count int // the API's number of resources of the order; it may grow, and may differ from len(Items)
	Items []Item
}

// A Class says what an error of a poll means for the watch.
type Class string

// The classes of errors. An error without a class counts as [MayPass].
const (
	MayPass     Class = "may_pass"    // the next poll may succeed
	Throttled   Class = "throttled"   // the account asks too often; no fault of the order
	NotFound    Class = "not_found"   // the API does not know the order, perhaps not yet
	Refused     Class = "refused"     // the API refuses this order or project for good
	Forbidden   Class = "forbidden"   // the account may not ask for this order
	Credentials Class = "credentials" // the account cannot log in, or is frozen
)

// Words says to people what happened, as half a sentence; empty for a class that is not known.
func (c Class) Words() string {
	return map[Class]string{
		MayPass:     "the poll did not work",
		Throttled:   "ModelArts throttles the account",
		NotFound:    "ModelArts does not know the order",
		Refused:     "ModelArts refuses the order",
		Forbidden:   "the account may not ask for the order",
		Credentials: "the account's login is refused",
	}[c]
}

// A PollError is an error of a poll whose meaning for the watch is known.
type PollError struct {
	Class      Class
	Code       string        // the API's error code; empty where it gave none
	Message    string        // the cloud's text, untrusted and bounded, and the advice in brackets; never a secret
	Advice     string        // what people can do; empty for none
	Said       string        // what the API said, word for word; empty where it said nothing
	RetryAfter time.Duration // how long the API asks to be left alone; 0 where it does not say
	// Held says that the error is the account's trouble, for which it is held; empty where it is this
	// order's alone, as far as is known.
	Held HoldKind
	// OthersAnswered is when the account was last answered about another order, with Forbidden; zero
	// where that is not known.
	OthersAnswered time.Time
}

func (e *PollError) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// said returns the message without the advice.
func (e *PollError) said() string { return strings.TrimSuffix(e.Message, " ("+e.Advice+")") }

// pollError returns the PollError in err, or err as one that may pass.
func pollError(err error) *PollError {
	if e, ok := errors.AsType[*PollError](err); ok {
		return e
	}
	return &PollError{Class: MayPass, Message: err.Error()}
}
