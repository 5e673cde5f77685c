// Package turns decides which of a worker's calls of one account goes next, and when the others are to come back. It
// makes no call and knows no clock.
//
// It promises that the calls of all workers together keep to the account's rate, and go over it by a tenth at the most
// within any five seconds, as long as each worker makes two calls a second or more; that a more urgent call goes before
// less urgent ones, also before those that have waited; and that less urgent ones are never shut out: at least one poll in
// a hundred is left to each urgency.
//
// A call that may not be made now is handed a slot: a time to come back. A caller who knows when it wants its next call books
// a slot for that time: it is later where those of others are, so that it need not come in vain first. The slots of one
// urgency are as many a second as more urgent calls leave calls (calendar.go), so the callers come back one by one. A caller
// without a slot goes at once where none is waited for, and is otherwise handed a later one, so that no caller waits while
// another goes twice. A caller may come in its turn and find no token, since turns of other workers were used here, or more
// urgent calls came: it takes the next one, where that is soon, and is otherwise put off, before all callers of its
// urgency without a slot.
package turns

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderwatch/orderwatch/watcher"
)

const (
	// slack is added to every time that is handed out, so that rounding leaves the token that is
	// waited for whole.
	slack = time.Millisecond
	// burst is how many calls may come at once, in seconds of the rate: enough for wake-ups, which
	// come every 250 ms, and little enough to keep within a tenth of the rate over 5 s.
	burst = 0.4
	// left is the part of the polls that is left to the calls of each urgency while more urgent ones wait.
	left = 0.01
	// mostReserved is the part of the account's rate that lists take at the most, whatever is reserved for them.
	mostReserved = 0.25
	// longer is how much longer than at the full rate a caller is told to wait because of more urgent ones: they may be
	// gone sooner.
	longer = 2 * time.Minute
	// short is how long more urgent calls may have to wait before the others give way to them.
	short = 100 * time.Millisecond
	// tries is how often a caller comes in vain, in its turn, where nearly all calls are more urgent ones.
	tries = 5
	// denser is how much denser slots are for those who came in vain, where a worker can save no token for a caller who
	// comes late, or to another worker than the one that it has the slot of.
	denser = 2.5
	// sparser is how much sparser slots are where there are several workers: callers come to any of them, not as evenly as
	// the slots are.
	sparser = 0.97
	// crowded is for how long those who came in vain in their turn may have to wait until more slots were handed out than
	// there are calls.
	crowded = 3 * time.Second
	// recent is the time over which it is counted how many calls of an urgency are made.
	recent = time.Minute
)

// Turns are those of one worker for one account. They are not safe for concurrent use.
type Turns struct {
	rate     float64       // calls a second, of all workers
	grace    time.Duration // how late a caller may come who was handed a slot
	workers  int           // among which the rate is shared
	reserved float64       // of the rate, for lists

	polls  *rate.Limiter
	lists  *rate.Limiter
	queues [urgencies]queue
	held   time.Time // the last slot after the account's hold
}

// list is the urgency of a list for which not enough is reserved.
const (
	list      = watcher.MayHaveEnded + 1
	urgencies = list - watcher.Spare + 1
)

// A queue is that of one urgency.
type queue struct {
	left  *rate.Limiter // what is left to it while more urgent calls wait
	slots calendar      // of those who came without a turn, and of those who booked
	last  slots         // of those among them who wait for theirs
	front slots         // of those who came in their turn in vain
	made  float64
	as    time.Time // when so many calls a second were made
}

// Slots end with the last one that was handed out. Full is when that would be at the full rate.
type slots struct{ last, full time.Time }

// New returns the turns of a worker that shares the rate, in calls a second, with so many workers, itself among them.
// Callers may be late by less than the grace.
func New(perSecond float64, workers int, grace time.Duration) *Turns {
	t := &Turns{rate: perSecond, grace: grace, workers: workers}
	t.polls, t.lists = rate.NewLimiter(0, 0), rate.NewLimiter(0, 0)
	for i := range t.queues {
		t.queues[i].left = rate.NewLimiter(0, 0)
	}
	t.set(time.Time{})
	return t
}

// Share says how many workers share the rate now, and how many calls a second the lists of all workers take.
func (t *Turns) Share(now time.Time, workers int, reserved float64) {
	reserved = min(max(0, reserved), t.rate*mostReserved)
	if workers != t.workers || reserved != t.reserved {
		t.workers, t.reserved = workers, reserved
		t.set(now)
	}
}

func (t *Turns) set(now time.Time) {
	set := func(limiter *rate.Limiter, perSecond float64, least int) {
		limiter.SetBurstAt(now, max(least, int(perSecond*burst)))
		limiter.SetLimitAt(now, rate.Limit(perSecond))
	}
	set(t.polls, t.share(), 1)
	set(t.lists, t.reserved, 2)
	for _, q := range t.queues {
		set(q.left, t.share()*left, 1)
	}
}

// share returns how many polls a second this worker may make.
func (t *Turns) share() float64 { return (t.rate - t.reserved) / float64(t.workers) }

// Polls returns how many polls a second all workers may make.
func (t *Turns) Polls() float64 { return t.rate - t.reserved }

// Workers returns how many workers share the rate.
func (t *Turns) Workers() int { return t.workers }

// Ask says when to come back; or, where takes is true, after how long the call is to be made, for which it has taken a token
// then: mostly at once, and some seconds later at the most. turn.At is the slot that the caller was handed, or booked.
func (t *Turns) Ask(now time.Time, turn watcher.Turn) (after time.Duration, takes bool) {
	late := now.Sub(turn.At)
	hasTurn := late >= 0 && late < t.grace
	q, perSecond := t.queue(turn.Urgency), t.slotsPerSecond(now, turn.Urgency)
	q.slots.pass(now, perSecond)
	may := hasTurn || t.idle(now) || !q.last.waits(now) || q.slots.free(now, perSecond)
	wait := missing(t.polls, now)
	if may && t.take(now, turn.Urgency, wait) {
		if !hasTurn {
			q.slots.take(now, perSecond)
		}
		return wait, true
	}
	earliest := t.earliest(now, turn.Urgency, wait)
	free := q.slots.first(earliest, perSecond)
	switch crowd := q.front.last.Sub(now) > crowded && !t.pressed(now, turn.Urgency); {
	case hasTurn && (!crowd || now.Sub(turn.Wanted) > free.Sub(now)): // it has waited longer than others are going to
		return t.next(&q.front, now, earliest, turn.Urgency), false
	case turn.At.After(now) && !free.Before(turn.At): // it came before its turn, and keeps it
		return turn.At.Sub(now), false
	}
	return t.slot(now, earliest, turn.Urgency).Sub(now) + slack, false
}

// List says when to come back for a call of the list, or 0: it is to be made now. What is reserved for lists is theirs;
// where it does not suffice, they go before all polls.
func (t *Turns) List(now time.Time) (after time.Duration) {
	if t.reserved > 0 && t.lists.AllowN(now, 1) {
		return 0
	}
	q, wait := t.queue(list), missing(t.polls, now)
	if late := now.Sub(q.front.last); wait == 0 || late >= 0 && late < time.Second { // it has waited for its slot
		t.took(now, list)
		return 0
	}
	after = t.next(&q.front, now, now.Add(wait), list)
	if t.reserved > 0 {
		after = min(after, missing(t.lists, now)+slack)
	}
	return after
}

// take takes a token, which is there after the wait, unless that is long, or more urgent calls wait.
func (t *Turns) take(now time.Time, u watcher.Urgency, wait time.Duration) bool {
	switch pressed := t.pressed(now, u); {
	case !pressed && wait >= t.patience(u), pressed && wait >= t.patience(watcher.MayHaveEnded):
		return false
	case pressed && !t.queue(u).left.AllowN(now, 1):
		return false
	}
	t.took(now, u)
	return true
}

// took takes a token, also one that is not there yet.
func (t *Turns) took(now time.Time, u watcher.Urgency) {
	t.polls.ReserveN(now, 1)
	q := t.queue(u)
	q.made, q.as = q.perSecond(now)+1/recent.Seconds(), now
}

// How long a caller may wait for its token without being put off: for so many calls, but as long as callers are late in any
// case, and never for long. More callers would keep too much of their worker busy. Those who are more urgent may wait longer:
// they are before the others then.
const (
	patientCalls = 5
	mostPatient  = 16 // calls
	leastWait    = 500 * time.Millisecond
	longestWait  = 1500 * time.Millisecond
	urgentWait   = 300 * time.Millisecond
)

func (t *Turns) patience(u watcher.Urgency) time.Duration {
	calls := func(n float64) time.Duration { return duration(n / t.share()) }
	patience := min(max(calls(patientCalls), leastWait), longestWait, calls(mostPatient))
	if u == watcher.MayHaveEnded {
		patience += urgentWait
	}
	return patience
}

// earliest returns when there may be a token for a caller of the urgency that has to wait so long for any.
func (t *Turns) earliest(now time.Time, u watcher.Urgency, wait time.Duration) time.Time {
	earliest := now.Add(wait)
	if t.pressed(now, u) {
		earliest = later(earliest, earlier(t.waitedFor(u), now.Add(missing(t.queue(u).left, now))))
	}
	return earliest
}

// pressed reports whether more urgent callers wait.
func (t *Turns) pressed(now time.Time, u watcher.Urgency) bool {
	return !t.idle(now) && t.waitedFor(u).Sub(now) > short
}

// waitedFor returns until when more urgent callers wait.
func (t *Turns) waitedFor(u watcher.Urgency) (until time.Time) {
	for _, q := range t.above(u) {
		until = later(until, later(q.last.last, q.front.last))
	}
	return until
}

func (t *Turns) queue(u watcher.Urgency) *queue { return &t.queues[u-watcher.Spare] }

// above returns the queues of what is more urgent.
func (t *Turns) above(u watcher.Urgency) []queue { return t.queues[u-watcher.Spare+1:] }

// missing returns how long it takes until there is a token.
func missing(l *rate.Limiter, now time.Time) time.Duration {
	return duration(max(0, 1-l.TokensAt(now)) / float64(l.Limit()))
}

// waits reports whether somebody was handed a slot that is still to come.
func (s slots) waits(now time.Time) bool { return s.last.After(now) }

// perSecond returns how many calls a second were made lately.
func (q *queue) perSecond(now time.Time) float64 {
	return q.made * math.Exp(-max(0, now.Sub(q.as)).Seconds()/recent.Seconds())
}

// idle reports whether more than one token is there, and as many as can be: slots that were handed
// out are not used, since their watches ended or went to another worker.
func (t *Turns) idle(now time.Time) bool {
	return t.polls.Burst() > 1 && t.polls.TokensAt(now) > float64(t.polls.Burst())-0.01
}

// next hands out the free slot after the last one of those who came in vain that is not before the earliest.
func (t *Turns) next(s *slots, now, earliest time.Time, u watcher.Urgency) time.Duration {
	used := t.used(now, u)
	perSecond := max(t.share()-used, t.share()*left) * (1 + (tries-1)*min(1, used/t.share()))
	if t.workers > 1 && t.polls.Burst() == 1 {
		perSecond *= denser
	}
	s.last = s.within(later(s.last.Add(duration(1/perSecond)), earliest), earliest, t.share())
	return s.last.Sub(now) + slack
}

// slot hands out the first free slot that is not before the earliest.
func (t *Turns) slot(now, earliest time.Time, u watcher.Urgency) time.Time {
	q, perSecond := t.queue(u), t.slotsPerSecond(now, u)
	at := t.bound(q.slots.take(earliest, perSecond), earliest, perSecond)
	if at.Sub(earliest) > short {
		q.last.last = later(q.last.last, at)
	}
	return at
}

// bound returns the time of a slot, of so many in a second, that is no longer after that at the full rate than longer.
func (t *Turns) bound(at, earliest time.Time, perSecond float64) time.Time {
	atFullRate := time.Duration(float64(at.Sub(earliest)) * perSecond / t.share())
	return earlier(at, earliest.Add(atFullRate+longer))
}

// within returns the time of a slot that is no longer after that at the full rate than longer.
func (s *slots) within(at, earliest time.Time, fullRate float64) time.Time {
	s.full = later(s.full.Add(duration(1/fullRate)), earliest)
	return earlier(at, s.full.Add(longer))
}

// used returns how many calls a second more urgent callers made lately.
func (t *Turns) used(now time.Time, u watcher.Urgency) (perSecond float64) {
	for _, q := range t.above(u) {
		perSecond += q.perSecond(now)
	}
	return perSecond
}

// slotsPerSecond returns how many slots in a second the callers of an urgency have who did not come in vain.
func (t *Turns) slotsPerSecond(now time.Time, u watcher.Urgency) float64 {
	perSecond := max(t.share()-t.used(now, u), t.share()*left)
	if t.workers > 1 {
		perSecond *= sparser
	}
	return perSecond
}

// Later hands out a slot that is not before the earliest, to a caller who may not ask before that.
func (t *Turns) Later(now, earliest time.Time, u watcher.Urgency) time.Duration {
	t.queue(u).slots.pass(now, t.slotsPerSecond(now, u))
	return t.slot(now, earliest, u).Sub(now) + slack
}

// Book hands out a slot to a caller who wants to make its next call at a time. It is that time, or later where it is not free.
func (t *Turns) Book(now, wanted time.Time, u watcher.Urgency) time.Time {
	t.queue(u).slots.pass(now, t.slotsPerSecond(now, u))
	perSecond := t.slotsPerSecond(now, u)
	if wanted.Sub(now) < crowded {
		return t.slot(now, wanted, u)
	}
	return t.bound(t.queue(u).slots.take(wanted, perSecond), wanted, perSecond) // nobody waits for it yet: it keeps no others
}

// Held hands out a slot after a hold that ends then. Those who are handed one come back one by one.
func (t *Turns) Held(now, until time.Time) time.Duration {
	t.held = later(t.held.Add(duration(1/t.share())), until)
	return t.held.Sub(now) + slack
}

// Released forgets the slots after a hold: it is over.
func (t *Turns) Released() { t.held = time.Time{} }

// Spend takes a token, if there is one, for a call that is made in any case.
func (t *Turns) Spend(now time.Time) { t.polls.AllowN(now, 1) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
