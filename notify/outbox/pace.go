package outbox

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// A pace is what all workers know of when a channel may be called. One call is made at a time, and the
// next one begins when the last was answered Timing.Post ago: so Slack cannot see them closer together,
// whatever time they take on their way.
type pace struct {
	Free  time.Time `json:"free,omitzero"`  // no call before
	Until time.Time `json:"until,omitzero"` // nor before: Slack said so
	Last  turn      `json:"last,omitzero"`  // whose call the last one was
	Busy  time.Time `json:"busy,omitzero"`  // a call is under way, which by then has ended, or its worker has died
}

// A turn is a message's place in a channel's order.
type turn struct {
	Then time.Time `json:"then"` // when what it tells of happened
	Who  string    `json:"who"`  // the watch or the outage that it tells of

	Urgency urgency `json:"urgency,omitempty"` // a worker of the release before knows none
}

// An urgency says which of the messages that wait for a channel goes first.
type urgency int

const (
	urgent   urgency = iota // a failure with a cause that people have not heard of, and what is no watch's end
	repeated                // a failure with a cause that was told shortly before
	crowd                   // a group of failures
	calm                    // what wakes nobody: nothing failed, or not yet
)

// before reports whether the turn comes before the other.
func (t turn) before(other turn) bool {
	return cmp.Or(cmp.Compare(t.Urgency, other.Urgency), t.Then.Compare(other.Then), cmp.Compare(t.Who, other.Who)) < 0
}

// awaitTurn waits for the channel's next call. An error says that it does not come soon.
func (s *Outbox) awaitTurn(ctx context.Context, d *delivery) *watcher.RetryError {
	if d.edits() { // which take no turn of the channel's
		if left := s.take(d.key, s.editsFor(d.changes() || d.posting.Group != nil)); left > 0 {
			return retryIn(left, "it takes so many edits a minute")
		}
		return nil
	}
	var p pace
	if _, err := s.readNote(ctx, "pace."+d.channel, &p); err != nil {
		return unpaced(err)
	}
	var left time.Duration
	ok := false
	s.lane(d.channel, func(l *lane, now time.Time) {
		l.forget(now.Add(-s.config.Timing.Stale))
		left, ok = l.reserve(d.turn(), p.Last, now, s.config.Timing)
	})
	if !ok {
		return retryIn(left, "the channel gets one message a second")
	}
	if left > 0 {
		if err := s.config.Sleep(ctx, left); err != nil {
			return soon("post to slack", err)
		}
	}
	return nil
}

// paceTries is how often the pace is read anew after a wait, or where another worker was quicker.
const paceTries = 5

// takeSlot waits for the channel's next call among those of all workers, and takes it: rest must follow. An
// edit need not come after the last post by Timing.Post. An error says that it does not come soon.
func (s *Outbox) takeSlot(ctx context.Context, d *delivery) (pace, watcher.Revision, *watcher.RetryError) {
	for range paceTries {
		var p pace
		revision, err := s.readNote(ctx, "pace."+d.channel, &p)
		if err != nil {
			return p, 0, unpaced(err)
		}
		t, now := s.config.Timing, s.config.Now()
		wait := p.Until.Sub(now)
		if wait > t.Wait {
			return p, 0, retryIn(wait, "the channel is left alone for as long as Slack says")
		}
		if left := p.Busy.Sub(now); left > 0 && left <= t.Fresh+t.Call+clockWrong { // later than that a clock was wrong
			return p, 0, retryIn(min(left, t.Post), "another message is on its way to the channel")
		}
		if free := p.Free.Sub(now); !d.edits() && free <= t.Post+clockWrong { // here, too
			wait = max(wait, free)
		}
		if wait > 0 {
			if err := s.config.Sleep(ctx, wait); err != nil {
				return p, 0, soon("post to slack", err)
			}
			continue
		}
		p.Busy = now.Add(t.Fresh + t.Call)
		if !d.edits() {
			p.Last = d.turn()
		}
		revision, err = s.writeNote(ctx, "pace."+d.channel, p, revision)
		if err == nil {
			return p, revision, nil
		}
		if !errors.Is(err, watcher.ErrConflict) {
			return p, 0, unpaced(err)
		}
	}
	return pace{}, 0, unpaced(watcher.ErrConflict)
}

// rest ends the call, and lets all workers leave the channel alone: for a moment, or, after a 429, as long as
// Slack says. Where that cannot be noted they wait until they take this worker for dead.
func (s *Outbox) rest(ctx context.Context, d *delivery, p pace, revision watcher.Revision, e *slack.Error) {
	now := s.config.Now().Add(clocksApart)
	p.Busy = time.Time{}
	if !d.edits() {
		p.Free = now.Add(s.config.Timing.Post)
	}
	if e != nil && e.Class == slack.NotAccepted && e.RetryAfter > 0 {
		p.Until = now.Add(e.RetryAfter)
	}
	if _, err := s.writeNote(context.WithoutCancel(ctx), "pace."+d.channel, p, revision); err != nil {
		s.log.Debug("the end of a call is not noted; others wait until they take it for lost", "channel", d.channel, "err", err)
	}
}

func unpaced(err error) *watcher.RetryError { return soon("take a turn in the channel", err) }

// A lane is what this process knows of when it may call a channel.
type lane struct {
	last    time.Time         // when the last call was to be made
	waiters map[string]waiter // by who waits: not the messages themselves, which come again when their delays are over, to this worker or another
	until   time.Time         // no call before
	code    string            // of the last error; empty after a success
	errors  int               // since the last success
	blindTo time.Time         // the channel's history is not read before
}

// A waiter is a message that waits.
type waiter struct {
	its  turn
	back time.Time // when it comes again
}

// lane calls f with the channel's lane and the time. Nobody else has the lane meanwhile.
func (s *Outbox) lane(channel string, f func(l *lane, now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, now := s.lanes[channel], s.config.Now()
	if l == nil {
		l = &lane{waiters: make(map[string]waiter)}
		s.lanes[channel] = l
	}
	f(l, now)
}

// stepAside lets the message itself, which stands or is told with others, wait for no turn in the channel.
func (s *Outbox) stepAside(d *delivery) {
	d.memory.joined = true
	s.lane(d.channel, func(l *lane, _ time.Time) { delete(l.waiters, d.who) })
}

// forget takes away the messages that were to come back before then: another worker must have told of them.
func (l *lane) forget(then time.Time) {
	maps.DeleteFunc(l.waiters, func(_ string, w waiter) bool { return w.back.Before(then) })
}

// reserve takes the next call where that comes within Timing.Wait, and nobody waits for it whose turn is
// earlier. It returns how long it takes until then; otherwise false, and when to come back.
func (l *lane) reserve(its, last turn, now time.Time, t Timing) (time.Duration, bool) {
	free := now.Add(max(0, l.last.Add(t.Post).Sub(now)))
	ahead := l.ahead(its, last, free, now, t)
	wait := free.Sub(now) + time.Duration(ahead)*t.Post
	if ahead > 0 || wait > t.Wait {
		return max(t.Post, wait/2), false // at half of the time: others may have gone by then
	}
	l.last = free
	delete(l.waiters, its.Who)
	return wait, true
}

// onItsWay is how late a message may come that was put back, on a busy machine or where many come at once.
const onItsWay = 500 * time.Millisecond

// ahead returns how many that have earlier turns are back in time for the calls before its own, which are
// every Timing.Post from the free one on. One that is not back in time has come to another worker: nobody leaves the
// channel unused for it for long. But one that is more urgent is waited for until the last turn that any worker took
// says that it was passed.
func (l *lane) ahead(its, last turn, free, now time.Time, t Timing) (n int) {
	var backs []time.Time
	for _, w := range l.waiters {
		elsewhere := now.Sub(w.back) > max(2*t.Post, onItsWay) && (w.its.Urgency == its.Urgency || !last.before(w.its))
		if w.its.before(its) && !elsewhere {
			backs = append(backs, w.back)
		}
	}
	slices.SortFunc(backs, time.Time.Compare)
	for _, back := range backs {
		if !back.After(free.Add(time.Duration(n) * t.Post)) {
			n++
		}
	}
	return n
}

// storms reports whether many messages wait, as far as this process, one of the workers, has seen them, and the
// last call did not fail. What waits while it does is told together only when Slack is back: then it is one digest.
func (l *lane) storms(workers int) bool {
	return l.code == "" && len(l.waiters)*min(workers, 2) > stormWaiting
}

// fail stops calls for as long as the error says, or else for the next delay, spread by the jitter. It returns how
// long that is, and whether the error is another than the last.
func (l *lane) fail(now time.Time, e *slack.Error, t Timing, jitter float64) (delay time.Duration, changed bool) {
	if delay = e.RetryAfter; delay == 0 {
		delay = t.backoff(l.errors)
		delay += time.Duration(jitter * (2*rand.Float64() - 1) * float64(delay))
		if delay > t.BackoffMax*3/4 { // all workers try at the same time then, and so what waits comes back together, in order
			delay = now.Add(t.BackoffMax).Truncate(t.BackoffMax).Sub(now)
		}
		l.errors++
	}
	if until := now.Add(delay); until.After(l.until) {
		l.until = until
	}
	changed, l.code = l.code != e.Code, e.Code
	return delay, changed
}
