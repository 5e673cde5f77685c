// Package notable keeps of the troubles of one watch what is worth telling when they are over: the first and the latest
// error, how many polls failed, and for how long the account was held, by kind. A record without it says nothing of an order
// that was throttled for five seconds as soon as the next poll has worked.
//
// It promises that what it keeps is bounded, about 3 kB, however long a watch lasts and however often it fails, and that
// nothing is changed in place: records share what they point to. All of it is in this file.
package notable

import (
	"maps"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// Bounds of what is kept.
const (
	maxHolds   = 4   // one by one; all count in HeldFor
	maxKinds   = 8   // in HeldFor
	maxMessage = 240 // of a message, in bytes
	maxWord    = 64  // of a code or a kind, in bytes
)

// Troubles are those of one watch. The zero value and nil are none.
type Troubles struct {
	WatchID     string   `json:"watch_id"` // of the watch whose troubles they are: a worker of the release before keeps them for the next watch
	FailedPolls int      `json:"failed_polls,omitempty"`
	First       *Trouble `json:"first_error,omitempty"`
	Latest      *Trouble `json:"latest_error,omitempty"` // the same as First where there was one alone
	// Holds are the latest times in which the account might not be asked, oldest first. The last one goes on where it has no Until.
	Holds []Trouble `json:"holds,omitempty"`
	// HeldFor is how long the watch was kept waiting in all by holds that are over, by their kinds, in whole seconds.
	HeldFor map[string]history.Span `json:"held_for,omitempty"`
}

// A Trouble is a poll that failed, or a time in which the account might not be asked.
type Trouble struct {
	At      time.Time `json:"at"`             // when the poll failed, or from when on the watch was kept waiting
	Until   time.Time `json:"until,omitzero"` // of a hold: when the order was asked again, or its watch ended; zero while it goes on
	Code    string    `json:"code"`           // of an error; of a hold its kind, as [watcher.HoldKind] has it
	Message string    `json:"message"`        // the cloud's text is in it, and untrusted
}

// Of returns the troubles where they are the watch's own; nil otherwise.
func (t *Troubles) Of(watchID string) *Troubles {
	if t == nil || t.WatchID != watchID {
		return nil
	}
	return t
}

// Renamed returns the troubles for the watch that goes on with a watch's requests.
func (t *Troubles) Renamed(from, to string) *Troubles {
	if t = t.Of(from); t == nil {
		return nil
	}
	next := *t
	next.WatchID = to
	return &next
}

// own returns a copy that may be changed: of the watch's own troubles, or of none.
func (t *Troubles) own(watchID string) Troubles {
	if t = t.Of(watchID); t == nil {
		return Troubles{WatchID: watchID}
	}
	next := *t
	next.Holds, next.HeldFor = slices.Clone(t.Holds), maps.Clone(t.HeldFor)
	return next
}

// Failed returns the troubles after a poll of the watch that failed.
func (t *Troubles) Failed(watchID string, at time.Time, code, message string) *Troubles {
	next := t.own(watchID)
	e := &Trouble{At: at, Code: foreign.Cut(code, maxWord), Message: cut(message)}
	next.FailedPolls++
	next.Latest = e
	if next.First == nil {
		next.First = e
	}
	return &next
}

// Held returns the troubles where the account may not be asked at that time, and the watch waits. A hold of the same kind
// that goes on is the same one, and keeps its reason.
func (t *Troubles) Held(watchID string, at time.Time, kind, why string) *Troubles {
	kind = foreign.Cut(kind, maxWord)
	if h, ok := t.Of(watchID).open(); ok && h.Code == kind {
		return t
	}
	next := t.Over(watchID, at).own(watchID)
	next.Holds = append(next.Holds, Trouble{At: at, Code: kind, Message: cut(why)})
	next.Holds = next.Holds[max(0, len(next.Holds)-maxHolds):]
	return &next
}

// Over returns the troubles where the account was asked at that time, or the watch ended: no hold goes on.
func (t *Troubles) Over(watchID string, at time.Time) *Troubles {
	h, ok := t.Of(watchID).open()
	if !ok {
		return t
	}
	next := t.own(watchID)
	if at.Before(h.At) {
		at = h.At
	}
	next.Holds[len(next.Holds)-1].Until = at
	if _, known := next.HeldFor[h.Code]; !known && len(next.HeldFor) >= maxKinds {
		return &next
	}
	if next.HeldFor == nil {
		next.HeldFor = make(map[string]history.Span)
	}
	next.HeldFor[h.Code] += history.Span(at.Sub(h.At).Round(time.Second))
	return &next
}

// open returns the hold that goes on.
func (t *Troubles) open() (h Trouble, ok bool) {
	if t == nil || len(t.Holds) == 0 {
		return Trouble{}, false
	}
	h = t.Holds[len(t.Holds)-1]
	return h, h.Until.IsZero()
}

// cut returns the message as it is kept.
func cut(message string) string {
	const ellipsis = "…"
	if len(message) <= maxMessage {
		return message
	}
	return foreign.Cut(message, maxMessage-len(ellipsis)) + ellipsis
}
