package watcher

import "time"

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
