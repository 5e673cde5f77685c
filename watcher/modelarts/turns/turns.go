// Package turns decides which of a worker's calls of one account goes next, and when the others are to come back. It
// makes no call and knows no clock.
//
// It promises that the calls of all workers together keep to the account's rate, and go over it by a tenth at the most
// within any five seconds, as long as each worker makes two calls a second or more; that a more urgent call goes before
// less urgent ones, also before those that have waited; and that less urgent ones are never shut out: at least one poll in
// a hundred is left to each urgency.
//
// A call that may not be made now is handed a slot: a time to come back. The slots of one urgency are one call apart at
// the rate that more urgent calls leave, so the callers come back one by one. While a slot is still to come, a caller
// without one is handed a later one, so that no caller waits while another goes twice. A caller may come in its turn and
// find no token, since turns of other workers were used here, or more urgent calls came: it goes before all callers of
// its urgency without a slot.
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
	// denser is how much denser slots are where a worker can save no token for a caller who comes late, or to another
	// worker than the one that it has the slot of.
	denser = 2.5
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
	last  slots         // of those who came without a turn
	front slots         // of those who had one
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

// Workers returns how many workers share the rate.
func (t *Turns) Workers() int { return t.workers }

// Ask says when to come back, or 0: the call is to be made now. turn.At is the slot that the caller was handed.
func (t *Turns) Ask(now time.Time, turn watcher.Turn) (after time.Duration) {
	late := now.Sub(turn.At)
	return t.ask(now, turn.Urgency, late >= 0 && late < t.grace)
}

// List says the same of a call of the list. What is reserved for lists is theirs; where it does not suffice, they go before
// all polls.
func (t *Turns) List(now time.Time) (after time.Duration) {
	if t.reserved > 0 && t.lists.AllowN(now, 1) {
		return 0
	}
	return t.ask(now, list, true)
}

func (t *Turns) ask(now time.Time, u watcher.Urgency, hasTurn bool) (after time.Duration) {
	q, idle := t.queue(u), t.idle(now)
	until := t.pressed(now, u)
	pressed := !idle && until.Sub(now) > short
	may := hasTurn || idle || !q.last.waits(now)
	if may && t.polls.TokensAt(now) >= 1 && (!pressed || q.left.AllowN(now, 1)) && t.polls.AllowN(now, 1) {
		q.made, q.as = q.perSecond(now)+1/recent.Seconds(), now
		return 0
	}
	earliest := now.Add(missing(t.polls, now))
	if pressed {
		earliest = later(earliest, earlier(until, now.Add(missing(q.left, now))))
	}
	if hasTurn {
		return t.next(&q.front, now, earliest, u, tries)
	}
	return t.next(&q.last, now, earliest, u, 1)
}

func (t *Turns) queue(u watcher.Urgency) *queue { return &t.queues[u-watcher.Spare] }

// above returns the queues of what is more urgent.
func (t *Turns) above(u watcher.Urgency) []queue { return t.queues[u-watcher.Spare+1:] }

// missing returns how long it takes until there is a token.
func missing(l *rate.Limiter, now time.Time) time.Duration {
	return duration(max(0, 1-l.TokensAt(now)) / float64(l.Limit()))
}

// pressed returns until when more urgent callers wait.
func (t *Turns) pressed(now time.Time, u watcher.Urgency) (until time.Time) {
	for _, q := range t.above(u) {
		until = later(until, later(q.last.last, q.front.last))
	}
	return until
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

// next hands out the free slot after the last one that is not before the earliest.
func (t *Turns) next(s *slots, now, earliest time.Time, u watcher.Urgency, tries float64) time.Duration {
	used := 0.0
	for _, q := range t.above(u) {
		used += q.perSecond(now)
	}
	perSecond := max(t.share()-used, t.share()*left)
	perSecond *= 1 + (tries-1)*min(1, used/t.share())
	if t.workers > 1 && t.polls.Burst() == 1 {
		perSecond *= denser
	}
	s.full = later(s.full.Add(duration(1/t.share())), earliest)
	s.last = later(s.last.Add(duration(1/perSecond)), earliest)
	if latest := s.full.Add(longer); s.last.After(latest) {
		s.last = latest
	}
	return s.last.Sub(now) + slack
}

// Later hands out a slot that is not before the earliest, to a caller who may not ask before that.
func (t *Turns) Later(now, earliest time.Time, u watcher.Urgency) time.Duration {
	return t.next(&t.queue(u).last, now, earliest, u, 1)
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
