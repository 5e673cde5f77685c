package watcher

import (
	"crypto/sha256"
	"encoding/base32"
	"maps"
	"slices"
	"time"
)

// A request's terms are its own deadline and its own expected items. A watch ends as soon as the terms of one of its
// requests are met: its completion answers those, and the others go on in the watch that follows it.

// Identity tells a request from the order's others: its id, and the team that it came from. No id has a tab.
func (r *Request) Identity() string {
	if r.Team == "" {
		return r.ID
	}
	return r.Team + "\t" + r.ID
}

// terms returns until when the watch goes on for the request, and how many items the request expects. A request
// without a deadline was written by the release before: it has the watch's terms.
func (w *Watch) terms(r *Request) (deadline time.Time, expected int) {
	if r.Deadline.IsZero() {
		return w.Deadline, w.ExpectedItems
	}
	return r.Deadline, r.ExpectedItems
}

// NextDeadline returns when the watch ends at the latest: at the first of its requests' deadlines.
func (w *Watch) NextDeadline() time.Time {
	requests := w.Requests
	if w.Completion != nil {
		requests = w.Completion.Requests
	}
	var next time.Time
	for i := range requests {
		if deadline, _ := w.terms(&requests[i]); next.IsZero() || deadline.Before(next) {
			next = deadline
		}
	}
	if next.IsZero() {
		return w.Deadline
	}
	return next
}

// leastExpected returns the fewest items that one of the requests expects.
func (w *Watch) leastExpected() int {
	least := w.ExpectedItems
	for i := range w.Requests {
		_, expected := w.terms(&w.Requests[i])
		least = min(least, expected)
	}
	return least
}

// A which says of each of a watch's requests whether it is meant.
type which func(*Request) bool

func everyRequest(*Request) bool { return true }

// any reports whether one of the watch's requests is meant.
func (w *Watch) any(meant which) bool {
	return slices.ContainsFunc(w.Requests, func(r Request) bool { return meant(&r) })
}

// overdue means the requests whose deadline is not after the time.
func (w *Watch) overdue(at time.Time) which {
	return func(r *Request) bool {
		deadline, _ := w.terms(r)
		return !at.Before(deadline)
	}
}

// looksEnded means the requests for which the order looks ended.
func (w *Watch) looksEnded(r *Request) bool {
	_, expected := w.terms(r)
	return !w.LooksEndedSince.IsZero() && w.Counts.ended(expected)
}

// settled returns from when on an order that looks ended for the request has ended. One that is no longer listed may
// be listed again for as long as one that is not known may appear.
func (p Policy) settled(w *Watch, r *Request) time.Time {
	at := w.LooksEndedSince
	switch _, expected := w.terms(r); {
	case expected > 0:
	case w.witnessed():
		at = at.Add(min(p.Settle, witnessedSettle))
	default:
		at = at.Add(p.Settle)
	}
	if !w.Gone.IsZero() {
		at = later(at, w.Gone.Add(p.NotFoundGrace))
	}
	return at
}

// witnessedSettle is how long an order that looks ended settles where the list of orders is the second witness.
const witnessedSettle = time.Second

// witnessed reports whether the order looks ended and has, by the list too, ended: not before an item of it changed last.
func (w *Watch) witnessed() bool {
	denies := func(s *SeenItem) bool { return s.Updated == 0 || s.Updated > w.ListedEnd.UnixMilli() }
	return !w.ListedEnd.IsZero() &&
		!slices.ContainsFunc(w.Items, func(s SeenItem) bool { return denies(&s) }) &&
		!slices.ContainsFunc(w.Missing, func(m MissingItem) bool { return denies(&m.SeenItem) })
}

// firstSettled returns the first time at which the order has ended for a request for which it looks ended; all says
// whether it does for every request. It is zero where it does for none.
func (p Policy) firstSettled(w *Watch) (at time.Time, all bool) {
	all = true
	for i := range w.Requests {
		if !w.looksEnded(&w.Requests[i]) {
			all = false
		} else if settled := p.settled(w, &w.Requests[i]); at.IsZero() || settled.Before(at) {
			at = settled
		}
	}
	return at, all
}

// met means the requests for which the order has ended: it looks so, and has settled, or is taken for settled from
// the time over on, or the request's deadline has passed.
func (p Policy) met(w *Watch, over, now time.Time) which {
	return func(r *Request) bool {
		deadline, _ := w.terms(r)
		return w.looksEnded(r) && !now.Before(earlier(deadline, earlier(over, p.settled(w, r))))
	}
}

// of returns the watch as if these of its requests were all.
func (w Watch) of(requests []Request) Watch {
	if len(requests) == len(w.Requests) {
		return w
	}
	return w.narrowed(requests)
}

// narrowed returns the watch with these of its requests and their terms, which each of them keeps.
func (w Watch) narrowed(requests []Request) Watch {
	n := w
	n.Requests = slices.Clone(requests)
	n.AcceptedAt, n.Deadline, n.ExpectedItems = requests[0].ReceivedAt, time.Time{}, 0
	for i := range n.Requests {
		r := &n.Requests[i]
		r.Deadline, r.ExpectedItems = w.terms(r)
		n.AcceptedAt, n.Deadline, n.ExpectedItems = earlier(n.AcceptedAt, r.ReceivedAt), later(n.Deadline, r.Deadline), max(n.ExpectedItems, r.ExpectedItems)
	}
	if !n.Counts.ended(n.leastExpected()) {
		n.LooksEndedSince = time.Time{}
	}
	return n
}

// parted returns the requests that are meant, and the others.
func parted(requests []Request, meant which) (these, others []Request) {
	for i := range requests {
		if meant(&requests[i]) {
			these = append(these, requests[i])
		} else {
			others = append(others, requests[i])
		}
	}
	return these, others
}

// goesOn reports whether an ending watch is followed by one for requests that its completion does not answer.
func (w *Watch) goesOn() bool {
	return w.State == Ending && len(w.Requests) > 0 && w.Completion != nil && w.Completion.NextWatchID != ""
}

// goOn returns the record that follows an ending one whose completion is published: the watch of the requests that the
// completion does not answer. It knows what was seen, the ids that were answered, and what people were told.
func (p Policy) goOn(w Watch) Watch {
	next := w.narrowed(w.Requests)
	next.Schema = plainSchema
	next.State, next.ID, next.Completion, next.After = Watching, w.Completion.NextWatchID, nil, 0
	next.Earlier = w.requestIDs(p.maxEarlierBytes())
	next.Troubles = w.Troubles.Renamed(w.ID, next.ID)
	p.keepTold(&next, w.Completion.Requests)
	next.keepWishes()
	look := later(p.nextLook(&next, next.LastPollAt), next.Turn)
	if !next.NotFoundSince.IsZero() {
		look = earlier(look, next.NotFoundSince.Add(p.NotFoundGrace))
	}
	if next.hint() != nil { // the wake-up that it came with was for what ended the watch before
		look = earlier(look, later(next.LastPollAt, next.Turn))
	}
	return p.again(next, look)
}

// keepTold keeps of what people were told of the watch before what is so of the requests that go on, too: they are not told
// again. The order is late for these requests by their own late_after, or by what is usual, and stands still for them since they asked at the
// earliest. Of a deadline people were told by its time. What was over when that watch ended is not told, as with each end.
// Where the worker does not know what is usual, as when it just started, the order is late as people were told, but where a
// request that is answered said from when on.
func (p Policy) keepTold(next *Watch, answered []Request) {
	next.Told = maps.Clone(next.Told)
	for kind := range next.Passed {
		delete(next.Told, kind)
	}
	next.Passed = nil
	late := p.lateAt(*next)
	byRequest := slices.ContainsFunc(answered, func(r Request) bool { return r.LateAt.Equal(next.Told[Late]) })
	byUsual := !late.After(next.LastPollAt) // it may be learned anew meanwhile
	if late.IsZero() {
		byUsual = !byRequest
	}
	if !next.Told[Late].Equal(late) && (!byUsual || !next.expectedBy().IsZero()) {
		delete(next.Told, Late)
	}
	if since := next.ChangedAt; !since.IsZero() {
		next.ChangedAt = later(since, next.AcceptedAt)
		if next.Told[Stalled].Equal(since) {
			next.Told[Stalled] = next.ChangedAt
		}
	}
}

// nextLook returns when the order is asked next after an answer at the time.
func (p Policy) nextLook(w *Watch, now time.Time) time.Time {
	settled, all := p.firstSettled(w)
	switch soonest := p.soonest(*w, now); {
	case settled.IsZero():
		return soonest
	case all && w.Gone.IsZero():
		return settled
	default:
		return earlier(settled, soonest)
	}
}

// nextID returns the id of the watch that follows one that ends at the time, the same whenever it is asked: a ULID, as
// all are.
func (w *Watch) nextID(at time.Time) string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var stamp [10]byte
	ms := at.UnixMilli()
	for i := range slices.Backward(stamp[:]) {
		stamp[i] = digits[ms%32]
		ms /= 32
	}
	sum := sha256.Sum256([]byte(w.Key() + "\x00" + w.ID))
	return "w_" + string(stamp[:]) + base32.NewEncoding(digits).WithPadding(base32.NoPadding).EncodeToString(sum[:10])
}

// A Wish is what a person wants of a watch that goes on. The one wish is to cancel it.
type Wish struct {
	Team   string    `json:"team,omitempty"` // whose requests alone are cancelled; empty: all
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// covers reports whether the wish is about the request.
func (wish *Wish) covers(r *Request) bool { return wish.Team == "" || wish.Team == r.Team }

// wishes returns what is wanted of the watch, oldest first.
func (w *Watch) wishes() []Wish {
	if w.Wish == nil {
		return nil
	}
	return append([]Wish{*w.Wish}, w.Wishes...)
}

// wanted returns the watch with one wish more, but where one that is there already says the same.
func (w Watch) wanted(wish Wish) Watch {
	all := w.wishes()
	if !slices.ContainsFunc(all, func(other Wish) bool { return other.Team == "" || other.Team == wish.Team }) {
		w.setWishes(append(all, wish))
	}
	return w
}

func (w *Watch) setWishes(all []Wish) {
	w.Wish, w.Wishes = nil, nil
	if len(all) > 0 {
		w.Wish, w.Wishes = &all[0], slices.Clip(all[1:])
	}
}

// keepWishes drops the wishes that are about none of the watch's requests.
func (w *Watch) keepWishes() {
	w.setWishes(slices.DeleteFunc(w.wishes(), func(wish Wish) bool { return !w.any(wish.covers) }))
}

// Written returns the schema that the record is written as: its own, but the latest where a worker of the release before
// would lose requests, or take one team's for another's.
func (w *Watch) Written() int {
	if w.goesOn() || slices.ContainsFunc(w.requests(), func(r Request) bool { return r.Team != "" }) {
		return SchemaVersion
	}
	return w.Schema
}
