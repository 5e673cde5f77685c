package watcher

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/notable"
)

// SchemaVersion is the latest version of the records that this program reads. A later version may add
// top-level fields under the same number: they are kept. Any other change takes a new number, but for
// fields of a request that may get lost beside an older version, such as its trace or its terms.
const SchemaVersion = 2

// A State says how far a watch is.
type State string

// The states of a watch.
const (
	Watching State = "watching" // polled until it ends
	Ending   State = "ending"   // its completion is fixed in the record, and perhaps published
	Ended    State = "ended"    // its completion is published
)

// A Watch is the record of one watch of one order: all that is known of it. It is bounded, and
// rewritten at each poll that changes it, and now and then at others. The zero value is not a watch; [Policy.Admit] makes one.
type Watch struct {
	Schema int    `json:"schema"`
	State  State  `json:"state"`
	ID     string `json:"watch_id"`
	Order
	Region string `json:"region"`

	// Requests are those that the watch answers, oldest first, while it is watching. While it is ending Completion has
	// those that it answers, and these are the others: they go on in the watch that follows.
	Requests      []Request `json:"requests,omitempty"`
	Earlier       []string  `json:"earlier_requests,omitempty"` // [Request.Identity] of the requests of earlier watches, newest last
	ExpectedItems int       `json:"expected_items,omitempty"`   // the most that one of the requests expects
	AcceptedAt    time.Time `json:"accepted_at"`                // when the first request was stored
	Deadline      time.Time `json:"deadline"`                   // the latest of the requests' deadlines
	Wish          *Wish     `json:"wish,omitempty"`             // the oldest; it ends the watch at its next step
	Wishes        []Wish    `json:"more_wishes,omitempty"`      // those after it, of other teams

	Wakeup     uint64    `json:"wakeup"` // the number of the wake-up that is expected; it grows from watch to watch of the order
	NextPollAt time.Time `json:"next_poll_at"`
	Step       int       `json:"backoff_step"`  // polls since the interval started anew
	Turn       time.Time `json:"turn,omitzero"` // when the account may be asked, where it told the watch to come back
	// WantedAt is when the poll that NextPollAt is for was to be made, where the account's rate puts it off; zero where it
	// does not. Read it by [Watch.Wanted]: a worker of the release before keeps it as it was.
	WantedAt time.Time `json:"wanted_at,omitzero"`
	// Hint is that of the wake-up that is expected: it goes on from one that came while the account might not be asked, or
	// whose poll failed, and is forgotten when the order has answered. Hinted is Wakeup as it was written with it: where it
	// differs, a worker of the release before has gone on since, and the hint is of no use.
	Hint   *Hint  `json:"hint,omitempty"`
	Hinted uint64 `json:"hinted_wakeup,omitempty"`

	Polls      int          `json:"polls"`
	LastPollAt time.Time    `json:"last_poll_at,omitzero"`
	Progressed int          `json:"progress_events,omitempty"`
	Counts     Counts       `json:"counts"`
	Items      []SeenItem   `json:"items,omitempty"` // while watching; afterwards Completion has them
	LastError  *ErrorDetail `json:"last_error,omitempty"`
	Errors     int          `json:"errors_in_a_row,omitempty"`
	// Troubles are what went wrong so far, also where it is over; nil where nothing did. A worker of the release before keeps
	// them as they are, adds none, and hands them to the order's next watch: read them by their Of.
	Troubles *notable.Troubles `json:"troubles,omitempty"`

	// What follows is of this release. Seen is Polls as it was written with it: where it differs, a worker of
	// the release before has polled since.
	Seen     int           `json:"seen_polls,omitempty"`
	Missing  []MissingItem `json:"missing,omitempty"`    // items that the API no longer lists; while watching
	Listed   int           `json:"listed,omitempty"`     // how many resources the order had in the latest answer that listed any
	ListedAt time.Time     `json:"listed_at,omitzero"`   // when that came
	Gone     time.Time     `json:"gone_since,omitzero"`  // the first answer since then, which listed none or did not know the order
	Blind    time.Time     `json:"blind_since,omitzero"` // the first of the errors since the latest answer that are this order's alone
	Odd      time.Time     `json:"odd_since,omitzero"`   // the first of the answers in a row with an unknown status
	// Told says what people were told of this watch, and not that it is over: by kind, the Since.
	Told map[AttentionKind]time.Time `json:"told,omitempty"`
	// Passed says when that was over of what they are to be told so.
	Passed map[AttentionKind]time.Time `json:"passed,omitempty"`
	// ChangedAt is when an item changed last, at the earliest when the API showed the order first. Changed is
	// Progressed as it was written then: where it differs, a worker of the release before saw a change since.
	ChangedAt time.Time `json:"changed_at,omitzero"`
	Changed   int       `json:"changed_progress,omitempty"`

	NotFoundSince   time.Time `json:"not_found_since,omitzero"`   // the first of the 404s since the order was last seen
	ForbiddenSince  time.Time `json:"forbidden_since,omitzero"`   // the first of the refusals for lack of a permission since the order was last seen
	LooksEndedSince time.Time `json:"looks_ended_since,omitzero"` // the first of the answers in a row that look ended
	// FoundByList is LooksEndedSince as it was where a hint brought that answer on; any other time is of no use.
	FoundByList time.Time `json:"found_by_list,omitzero"`
	ListedEnd   time.Time `json:"listed_end,omitzero"` // when an order that looks ended did end, by the list; no later than it was asked

	// UsualKind names the orders beside which it was decided last from when on this one is late, where no request says so;
	// empty before. UsualLateAt is that time; zero where too few were known, or where that was long before.
	UsualKind   string    `json:"usual_kind,omitempty"`
	UsualLateAt time.Time `json:"usual_late_at,omitzero"`

	// Aside is there only where a worker put this record in the place of one that could not be read: see
	// [Policy.Replace].
	Aside *Aside `json:"moved_aside,omitempty"`

	Completion *Completion `json:"completion,omitempty"` // from ending on
	// After is the sequence of the order's last completion before this one; 0 for none.
	After uint64 `json:"after_sequence,omitempty"`

	unknown unknownFields
}

// Ends reports whether the watch ends at its next step.
func (w *Watch) Ends() bool { return w.State == Ending || w.State == Watching && w.Wish != nil }

// Labelled reports whether one of the watch's requests has the label.
func (w *Watch) Labelled(key, value string) bool {
	return slices.ContainsFunc(w.requests(), func(r Request) bool {
		found, ok := r.Labels[key]
		return ok && found == value
	})
}

// Answers reports whether the request is one of this watch's, or goes on in the one that follows it.
func (w *Watch) Answers(r Request) bool {
	return slices.ContainsFunc(w.requests(), func(other Request) bool { return other.Team == r.Team && other.ID == r.ID })
}

// Names reports whether the record names the request: in this watch or an earlier one. Such a request is a repeat.
func (w *Watch) Names(r Request) bool {
	return w.Answers(r) || slices.Contains(w.Earlier, r.Identity())
}

// requests returns all requests that the record has.
func (w *Watch) requests() []Request {
	if w.Completion == nil {
		return w.Requests
	}
	return slices.Concat(w.Completion.Requests, w.Requests)
}

// maxEarlier is how many request ids of earlier watches a record remembers at the most.
const maxEarlier = 2 * maxRequests

// requestIDs returns which answered requests the order's next watch remembers, newest last: at most
// maxEarlier, and at most limit bytes of JSON. A request that is forgotten would be another if it
// came again.
func (w *Watch) requestIDs(limit int) []string {
	ids := slices.Clone(w.Earlier)
	for i := range w.Completion.Requests {
		ids = append(ids, w.Completion.Requests[i].Identity())
	}
	return within(ids[max(0, len(ids)-maxEarlier):], limit)
}

// within returns the newest of the ids whose JSON has at most limit bytes.
func within(ids []string, limit int) []string {
	for len(ids) > 0 && size(ids) > limit {
		ids = ids[len(ids)/4+1:]
	}
	return ids
}

// Expected returns the wake-up that the record expects.
func (w *Watch) Expected() Wakeup {
	return Wakeup{Order: w.Order, WatchID: w.ID, Number: w.Wakeup, At: w.NextPollAt, Wanted: w.Wanted()}
}

// Wanted returns when the next poll was to be made, where the account's rate puts it off; otherwise zero.
func (w *Watch) Wanted() time.Time {
	if w.State != Watching || !w.WantedAt.After(w.LastPollAt) || !w.WantedAt.Before(w.NextPollAt) {
		return time.Time{}
	}
	return w.WantedAt
}

// expected returns the same for a record that was stored with the revision.
func (w *Watch) expected(revision Revision) Wakeup {
	k := w.Expected()
	k.Revision = revision
	return k
}

// after returns the same, with the polls that the record was left unwritten after, as the other wake-up says.
func (w *Watch) after(newest Wakeup, revision Revision) Wakeup {
	k := w.expected(revision)
	if newest.wakes(w) && newest.Polls > w.Polls {
		k.At, k.Wanted, k.Polls, k.PolledAt, k.Step = newest.At, newest.Wanted, newest.Polls, newest.PolledAt, newest.Step
	}
	return k
}

// A Wakeup says that a watch's next step is due. It is only a hint: it may come twice, late or never.
type Wakeup struct {
	Order
	WatchID string
	Number  uint64
	At      time.Time // when it is due; in the past: at once
	Wanted  time.Time // when it was to be due, where the account's rate puts it off; else zero
	Hint    *Hint     // why it is due before its time, as the list of orders shows it; nil: the list is not the reason

	// Revision is that of the record after which it was published; 0 is not known: the poll that it brings on is written.
	Revision Revision
	// The latest poll, where that changed nothing and the record was left as it was: see [Watch.Merged]. Polls is the number
	// of all polls until then; 0: the record has the latest poll.
	Polls    int
	PolledAt time.Time
	Step     int
}

// LaterThan reports whether the wake-up follows the other one of the same order: a later wake-up that waits is not to be
// replaced by an earlier one.
func (k Wakeup) LaterThan(other Wakeup) bool {
	return cmp.Or(cmp.Compare(k.Number, other.Number), cmp.Compare(k.Revision, other.Revision), cmp.Compare(k.Polls, other.Polls)) > 0
}

// Merged returns the record with the polls that it was left unwritten after, as the wake-up says; the record itself where the
// wake-up knows of none, or is another one than it expects.
func (w Watch) Merged(k Wakeup) Watch {
	if !k.wakes(&w) || w.State != Watching || k.Polls <= w.Polls {
		return w
	}
	if !w.ListedAt.IsZero() && w.ListedAt.Equal(w.LastPollAt) {
		w.ListedAt = k.PolledAt
	}
	w.Polls, w.Seen, w.LastPollAt, w.Step, w.NextPollAt, w.Turn, w.WantedAt = k.Polls, k.Polls, k.PolledAt, k.Step, k.At, time.Time{}, k.Wanted
	if !k.Wanted.IsZero() {
		w.Turn = k.At
	}
	return w
}

// A Hint is what the list of an account's orders shows of one: the order has perhaps ended. It is no proof. The order is
// asked at once, and decides.
type Hint struct {
	Ended time.Time `json:"ended_at,omitzero"` // when it ended, by the list; zero: it is only no longer listed as running
}

// hinted returns the watch with the wake-up's hint, which is to be the one that is expected.
func (w Watch) hinted(k Wakeup) Watch {
	if before := w.hint(); k.Hint != nil && (before == nil || !k.Hint.Ended.IsZero()) {
		w.Hint, w.Hinted = k.Hint, w.Wakeup
	}
	return w
}

// hint returns the hint of the wake-up that is expected; nil for none.
func (w *Watch) hint() *Hint {
	if w.Hinted != w.Wakeup {
		return nil
	}
	return w.Hint
}

// expect lets the watch expect the next wake-up, at that time. A hint goes on to it.
func (w *Watch) expect(at time.Time) {
	hint := w.hint()
	w.Wakeup++
	w.NextPollAt, w.Hint, w.Hinted = at, hint, 0
	if hint != nil {
		w.Hinted = w.Wakeup
	}
}

// wakes reports whether the wake-up is the one that the record expects.
func (k Wakeup) wakes(w *Watch) bool { return k.WatchID == w.ID && k.Number == w.Wakeup }

// newerThan reports whether the wake-up was published after a later record than w was written: the server that
// w was read from, with the revision, is behind.
func (k Wakeup) newerThan(w *Watch, revision Revision) bool {
	return k.Number > w.Wakeup || k.wakes(w) && k.Revision > revision
}

// A poll that changed nothing leaves the record unwritten, and the next wake-up says what the record does not. So it is for
// at most maxUnwritten polls in a row, and until the next poll is unwrittenFor after the latest that was written.
const (
	maxUnwritten = 15
	unwrittenFor = 10 * time.Minute
)

// A record is what a watch's record was when it was read.
type record struct {
	Watch
	revision Revision
	recalled bool // from what this worker kept: others may have written it since
}

// expects reports whether the wake-up is the one that the record expects, which is not behind it.
func (r *record) expects(k Wakeup) bool {
	return r.State == Watching && k.wakes(&r.Watch) && r.revision >= k.Revision
}

// leaves returns the wake-up that follows a poll which the wake-up k brought on and which led to next, where the record
// may stay as it is: read with that wake-up, it is the same watch. Where k does not say after which record it was published,
// somebody may have written another one that this worker has not seen, and the record is written.
func (r *record) leaves(k Wakeup, next *Watch) (unwritten Wakeup, ok bool) {
	unwritten = next.Expected()
	unwritten.Number, unwritten.Revision = r.Wakeup, r.revision
	unwritten.Polls, unwritten.PolledAt, unwritten.Step = next.Polls, next.LastPollAt, next.Step
	if k.Revision == 0 || r.Wish != nil || r.Seen != r.Polls || next.State != Watching ||
		next.Polls > r.Polls+maxUnwritten || next.NextPollAt.After(r.LastPollAt.Add(unwrittenFor)) {
		return unwritten, false
	}
	same := r.Merged(unwritten)
	same.Wakeup = next.Wakeup
	return unwritten, next.Wakeup == r.Wakeup+1 && same.equals(next)
}

// equals reports whether the records are the same when they are written.
func (w Watch) equals(other *Watch) bool {
	o := *other
	if !slices.EqualFunc(w.Items, o.Items, sameSeen) || !slices.EqualFunc(w.Missing, o.Missing, sameMissing) {
		return false
	}
	w.Items, w.Missing, o.Items, o.Missing = nil, nil, nil, nil
	return reflect.DeepEqual(w, o)
}

func sameSeen(a, b SeenItem) bool { return unkept(a) == unkept(b) }

func sameMissing(a, b MissingItem) bool {
	a.SeenItem, b.SeenItem = unkept(a.SeenItem), unkept(b.SeenItem)
	return a == b
}

// An Aside says why a record could not be read that was moved aside.
type Aside struct {
	WatchID string    `json:"watch_id"` // of the record that has this Aside; any other is an earlier release's copy
	Since   time.Time `json:"since"`    // when the record was written that could not be read, or deleted
	At      time.Time `json:"at"`       // when it was moved aside
	Why     string    `json:"why"`
}

// MovedAside returns why the record is in the place of one that could not be read; nil where it is not.
func (w *Watch) MovedAside() *Aside {
	if w.Aside == nil || w.Aside.WatchID != w.ID || w.State != Ended {
		return nil // an older release keeps fields that it does not know, from watch to watch
	}
	return w.Aside
}

// A Broken is what is known of a watch whose record cannot be read.
type Broken struct {
	Order
	WatchID  string
	Region   string    // empty where it is not known
	Since    time.Time // when the record was written, or deleted
	Why      string
	Answered []string  // [Request.Identity] of the requests that completions name, oldest first
	Open     []Request // requests that progress events name, and no completion
	Highest  uint64    // the highest number of the order's wake-ups
}

// brokenReason is what people are told of a watch whose record cannot be read.
func brokenReason(why string) string {
	return "its record cannot be read (" + why + "); the watch is over, and its outcome is not known"
}

// Replace returns the record that takes the place of one that cannot be read. It has ended, so that the
// order's next request starts a watch, and answers no request; it remembers the ids of all requests that
// are known, so that none is watched again if it comes twice. An older release shows it as cancelled.
func (p Policy) Replace(b Broken, now time.Time) Watch {
	w := Watch{
		Schema: plainSchema, State: Ended, ID: b.WatchID, Order: b.Order, Region: cmp.Or(b.Region, p.DefaultRegion),
		Earlier: slices.Clone(b.Answered), AcceptedAt: b.Since, Deadline: now, Wakeup: b.Highest + 1, NextPollAt: now,
		Aside: &Aside{WatchID: b.WatchID, Since: b.Since, At: now, Why: b.Why},
	}
	for i := range b.Open {
		w.Earlier = append(w.Earlier, b.Open[i].Identity())
	}
	w.Completion = &Completion{Outcome: Cancelled, Report: w.report(brokenReason(b.Why), nil), CompletedAt: now}
	w.Completion.Requests = []Request{}
	w.Earlier = w.requestIDs(p.maxEarlierBytes())
	return w
}

// Attention returns what people are told of it.
func (p Policy) Attention(b Broken) OrderAttention {
	w := Watch{ID: b.WatchID, Order: b.Order, Region: cmp.Or(b.Region, p.DefaultRegion), Requests: orEmpty(b.Open), AcceptedAt: b.Since}
	a := OrderAttention{Report: w.report(brokenReason(b.Why), nil), Kind: BrokenRecord, Since: b.Since}
	for size(a) > p.payload()-eventOverhead && len(a.Requests) > 0 {
		a.Requests = a.Requests[:len(a.Requests)/2] // the oldest are named
	}
	return a
}
