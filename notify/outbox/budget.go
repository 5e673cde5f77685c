package outbox

import (
	"time"

	"golang.org/x/time/rate"
)

// A budget is how often this worker may make calls of a kind of which Slack allows the whole workspace so many a minute.
// The outbox's mutex guards it.
type budget struct {
	limiter *rate.Limiter
	next    time.Time // when the message comes again that was told last to wait
}

func newBudget() budget { return budget{limiter: rate.NewLimiter(0, 5)} }

// longestQueue bounds how long a message is told to wait for its turn in a budget: by then others may have gone.
const longestQueue = time.Minute

// queue returns how long a message is to wait that found no turn, and that finds one after left at the earliest. Messages are
// told to come one by one: if all came at the same time, again and again, they would keep others from being told.
func (b *budget) queue(now time.Time, left, each time.Duration) time.Duration {
	soonest := now.Add(left)
	b.next = b.next.Add(each)
	if b.next.Before(soonest) || b.next.Sub(now) > longestQueue {
		b.next = soonest
	}
	return b.next.Sub(now)
}

// take takes a turn of a message in each of the budgets, of which all workers have one in every so long, or returns how long
// the message is to wait.
func (s *Outbox) take(every map[*budget]time.Duration) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, workers := s.config.Now(), s.config.Workers()
	var turns []*rate.Reservation
	for b, each := range every {
		each *= time.Duration(workers)
		b.limiter.SetLimitAt(now, rate.Every(each))
		turn := b.limiter.ReserveN(now, 1)
		turns = append(turns, turn)
		if left := turn.DelayFrom(now); left > 0 {
			wait = max(wait, b.queue(now, left, each))
		}
	}
	for _, turn := range turns {
		if wait > 0 {
			turn.CancelAt(now)
		}
	}
	return wait
}

// editsFor returns in which budgets an edit takes a turn. One of a message that goes on changing leaves room for those that
// tell of an end.
func (s *Outbox) editsFor(changes bool) map[*budget]time.Duration {
	all := map[*budget]time.Duration{&s.edits: s.config.Timing.Edit}
	if changes {
		all[&s.follows] = s.config.Timing.Follow
	}
	return all
}

// editsScarce reports whether a message that goes on changing would wait for an edit now.
func (s *Outbox) editsScarce() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	return s.edits.limiter.TokensAt(now) < 1 || s.follows.limiter.TokensAt(now) < 1
}
