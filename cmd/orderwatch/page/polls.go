package page

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/watcher"
)

// A poll that changes nothing leaves the record unwritten for up to ten minutes: the watch's wake-up says of it. These are the
// bounds of reading wake-ups.
const (
	wakeupTime    = 2 * time.Second  // for one read
	wakeupPause   = 30 * time.Second // after a read that failed, before the next one: perhaps the page's login may not
	wakeupKept    = 5 * time.Second  // for one whose time has passed; another one is kept until its time
	wakeupsAtOnce = 8
	mostWakeups   = 10_000
)

// Wakeups are what was read of wake-ups. They are safe for concurrent use.
type wakeups struct {
	mu     sync.Mutex
	next   map[watcher.Order]nextPoll
	paused time.Time // until when none is read, after one could not be; zero: the latest one could
}

// A nextPoll is when a watch is polled next, by its wake-up.
type nextPoll struct {
	revision uint64    // of the record
	at       time.Time // by the server's clock
	read     time.Time
}

var errPaused = errors.New("a wake-up could not be read; trying again later")

// newest returns the latest of the order's wake-ups.
func (s *source) newest(ctx context.Context, o watcher.Order) (watcher.Wakeup, error) {
	if s.wakeups.pauses(time.Now()) {
		return watcher.Wakeup{}, errPaused
	}
	ctx, cancel := context.WithTimeout(ctx, wakeupTime)
	defer cancel()
	k, err := s.store.Newest(ctx, o)
	s.wakeups.mu.Lock()
	defer s.wakeups.mu.Unlock()
	s.wakeups.paused = time.Time{}
	if err != nil {
		s.log.Debug("a wake-up could not be read", "project", o.ProjectID, "order", o.Name, "err", err)
		s.wakeups.paused = time.Now().Add(wakeupPause)
	}
	return k, err
}

// pauses reports whether none is to be read now. After a pause one caller is to try, and the others go on waiting.
func (u *wakeups) pauses(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Before(u.paused) {
		return true
	}
	if !u.paused.IsZero() {
		u.paused = now.Add(wakeupPause)
	}
	return false
}

// recordTries is how often a record is read again that was written meanwhile.
const recordTries = 3

// polled returns the record with the polls that it was left unwritten after, and whether those are known.
func (s *source) polled(ctx context.Context, o watcher.Order) (w watcher.Watch, known bool, err error) {
	for range recordTries {
		var revision watcher.Revision
		if w, revision, err = s.store.ReadLatest(ctx, o); err != nil || w.State != watcher.Watching || w.Polls == 0 {
			return w, true, err
		}
		k, err := s.newest(ctx, o)
		if err != nil {
			return w, false, nil
		}
		if k.WatchID != w.ID || k.Number <= w.Wakeup && k.Revision <= revision {
			return w.Merged(k), true, nil
		}
	}
	return w, false, nil
}

// setNextPolls lets the rows say when their watches are polled next by the wake-ups, where the time that the record says has
// passed; the zero time where that is not known.
func (s *source) setNextPolls(ctx context.Context, rows []index.Shown, now time.Time) {
	var reading sync.WaitGroup
	slots := make(chan struct{}, wakeupsAtOnce)
	for i := range rows {
		r := &rows[i]
		if r.State == watcher.Ending {
			r.NextPollAt = time.Time{}
		}
		if r.State != watcher.Watching || r.LastPollAt.IsZero() || r.NextPollAt.After(now) {
			continue
		}
		slots <- struct{}{}
		reading.Go(func() {
			defer func() { <-slots }()
			s.setNextPoll(ctx, r, now)
		})
	}
	reading.Wait()
}

func (s *source) setNextPoll(ctx context.Context, r *index.Shown, now time.Time) {
	at, known := s.nextPoll(ctx, r, now)
	switch {
	case known:
		r.NextPollAt = at
		if r.Condition == watcher.Overdue {
			r.Since = at
		}
	case r.Condition != watcher.Overdue:
		r.NextPollAt = time.Time{}
	}
}

// nextPoll returns when the row's watch is polled next, and whether that is known.
func (s *source) nextPoll(ctx context.Context, r *index.Shown, now time.Time) (at time.Time, known bool) {
	s.wakeups.mu.Lock()
	before, ok := s.wakeups.next[r.Order]
	s.wakeups.mu.Unlock()
	if ok && before.revision == r.Revision && (before.at.After(now) || now.Sub(before.read) < wakeupKept) {
		return before.at, true
	}
	if !s.store.JS.Conn().IsConnected() {
		return time.Time{}, false
	}
	k, err := s.newest(ctx, r.Order)
	if err != nil {
		return time.Time{}, false
	}
	at = r.NextPollAt
	if k.WatchID == r.WatchID && k.Polls > 0 && k.At.After(at) {
		at = k.At
	}
	s.wakeups.mu.Lock()
	defer s.wakeups.mu.Unlock()
	if s.wakeups.next == nil || len(s.wakeups.next) >= mostWakeups {
		s.wakeups.next = make(map[watcher.Order]nextPoll)
	}
	s.wakeups.next[r.Order] = nextPoll{r.Revision, at, now}
	return at, true
}
