package sweep

import (
	"time"

	"golang.org/x/time/rate"
)

const (
	// firstGap is the least time between the first two hints of one order. It doubles from one to the next.
	firstGap = time.Minute
	mostGap  = 2 * time.Minute
)

// Hints wait here until the account can ask for so many orders.
type hints struct {
	waiting map[string]Hint
	prompt  []string // names that wait, first come first; one that no longer waits may be among them
	slow    []string
	later   time.Time // from when on the slow ones are given
	quickly *rate.Limiter
	slowly  *rate.Limiter
}

func newHints(perSecond float64) hints {
	limiter := func(perSecond, seconds float64) *rate.Limiter {
		return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond*seconds)))
	}
	return hints{waiting: make(map[string]Hint), quickly: limiter(perSecond*(1-share), 0.25), slowly: limiter(perSecond/2, 2)}
}

// hint lets the hint wait for its turn, or, where the order had one lately, until a sweep ends after the gap. A witness adds to an earlier one, and a plain
// one takes the place of none.
func (s *State) hint(h Hint, o *order, witness bool, now time.Time) {
	if !witness && !o.mayBeHinted(now) {
		if o.owed == nil || o.owed.Ended.IsZero() {
			o.owed = &h
		}
		return
	}
	o.hints, o.hinted, o.owed = o.hints+1, now, nil
	_, waits := s.hints.waiting[h.Name]
	if waits && h.Plain {
		return
	}
	s.hints.waiting[h.Name] = h
	switch {
	case waits:
	case h.Plain:
		s.hints.slow = append(s.hints.slow, h.Name)
	default:
		s.hints.prompt = append(s.hints.prompt, h.Name)
	}
}

// mayBeHinted reports whether the gap after the order's last hint is over.
func (o *order) mayBeHinted(now time.Time) bool {
	return o.hints == 0 || now.Sub(o.hinted) >= min(mostGap, firstGap<<max(0, min(o.hints-1, 10)))
}

// drop forgets a hint that waits: the order is listed again.
func (h *hints) drop(name string) { delete(h.waiting, name) }

// take returns the hints whose turn has come.
func (h *hints) take(now time.Time) (due []Hint) {
	due = h.from(&h.prompt, h.quickly, nil, now)
	if now.Before(h.later) {
		return due
	}
	return h.from(&h.slow, h.slowly, due, now)
}

// from appends the hints of the names, as many as the limiter allows.
func (h *hints) from(names *[]string, limiter *rate.Limiter, due []Hint, now time.Time) []Hint {
	for len(*names) > 0 {
		name := (*names)[0]
		hint, waits := h.waiting[name]
		if waits && !limiter.AllowN(now, 1) {
			break
		}
		*names = (*names)[1:]
		if waits {
			delete(h.waiting, name)
			due = append(due, hint)
		}
	}
	return due
}

// wake returns when the next hint's turn comes; ok is false where none waits.
func (h *hints) wake(now time.Time) (at time.Time, ok bool) {
	next := func(limiter *rate.Limiter) time.Time {
		return now.Add(time.Duration(max(0, 1-limiter.TokensAt(now)) / float64(limiter.Limit()) * float64(time.Second)))
	}
	if len(h.slow) > 0 {
		at, ok = later(next(h.slowly), h.later), true
	}
	if len(h.prompt) > 0 {
		if prompt := next(h.quickly); !ok || prompt.Before(at) {
			at, ok = prompt, true
		}
	}
	return at, ok
}
