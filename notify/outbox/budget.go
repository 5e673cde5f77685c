package outbox

import (
	"maps"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// A budget is how often this worker may make calls of a kind of which Slack allows the whole workspace so many a minute.
// The outbox's mutex guards it.
type budget struct {
	limiter *rate.Limiter
	waiting map[string]time.Time // when messages come again that were told to wait, by their notes
	spread  float64              // 0 to 1: where in the queue's time the last one was told to come
}

func newBudget() budget {
	return budget{limiter: rate.NewLimiter(0, 5), waiting: make(map[string]time.Time)}
}

// Bounds of how long a message is told to wait for its turn in a budget: by then others may have gone, or come to another
// worker. One that goes on changing waits for longer than one that tells of an end.
const (
	longestQueue = 2 * time.Minute
	endsQueue    = 10 * time.Second
)

// queue returns how long a message is to wait that found no turn, and that finds one after left at the earliest. Those that
// wait are told to come at times that are spread over what they take together: if all came at the same time, again and
// again, they would keep others from being told.
func (b *budget) queue(key string, now time.Time, left, each, longest time.Duration) time.Duration {
	maps.DeleteFunc(b.waiting, func(_ string, back time.Time) bool { return now.Sub(back) > each || back.Sub(now) > 2*longestQueue })
	_, b.spread = math.Modf(b.spread + math.Phi)
	wait := left + time.Duration(b.spread*float64(min(time.Duration(len(b.waiting))*each, longest)))
	b.waiting[key] = now.Add(wait)
	return wait
}

// take takes a turn of a message in each of the budgets, of which all workers have one in every so long, or returns how long
// it is to wait.
func (s *Outbox) take(key string, every map[*budget]time.Duration) (wait time.Duration) {
	longest := endsQueue
	if _, changes := every[&s.follows]; changes {
		longest = longestQueue
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, workers := s.config.Now(), s.config.Workers()
	var turns []*rate.Reservation
	for b, each := range every {
		each *= time.Duration(workers)
		b.limiter.SetLimitAt(now, rate.Every(each))
		turn := b.limiter.ReserveN(now, 1)
		turns = append(turns, turn)
		delete(b.waiting, key)
		if left := turn.DelayFrom(now); left > 0 {
			wait = max(wait, b.queue(key, now, left, each, longest))
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

// editsScarce notes that the group grows, and reports whether all groups that grow, which this worker sees as others do,
// would take more edits than there are: two each, of the message and its thread, every Timing.Change.
func (s *Outbox) editsScarce(group string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, t := s.config.Now(), s.config.Timing
	s.growing[group] = now
	maps.DeleteFunc(s.growing, func(_ string, at time.Time) bool { return !within(at, now, t.Change+1) })
	return time.Duration(2*len(s.growing))*t.Follow > t.Change
}
