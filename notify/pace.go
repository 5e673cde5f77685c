package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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

// clockWrong is how far workers' ideas of the time may be apart before one is taken to be wrong.
const clockWrong = 5 * time.Second

// paceTries is how often the pace is read anew where another worker was quicker.
const paceTries = 5

// step waits for the channel's next post among those of all workers, and takes it: rest must follow. An
// edit takes none, and waits only while Slack wants the channel to be left alone. An error says that it
// does not come soon.
func (s *Slack) step(ctx context.Context, channel string, its turn, edits bool) (watcher.Revision, *watcher.RetryError) {
	for range paceTries {
		p, revision, err := s.readPace(ctx, channel)
		if err != nil {
			return 0, unpaced(err)
		}
		t, now := s.config.Timing, s.config.Now()
		if left := p.Until.Sub(now); left > t.Wait {
			return 0, &watcher.RetryError{After: left, Err: errors.New("post to slack: the channel is left alone for as long as Slack says")}
		}
		if left := p.Busy.Sub(now); !edits && left > 0 && left <= t.Fresh+t.Call+clockWrong { // later than that a clock was wrong
			return 0, &watcher.RetryError{After: min(left, t.Post), Err: errors.New("post to slack: another message is on its way to the channel")}
		}
		wait := p.Until.Sub(now)
		if free := p.Free.Sub(now); !edits && free <= t.Post+clockWrong { // here, too
			wait = max(wait, free)
		}
		if wait > 0 {
			if err := s.config.Sleep(ctx, wait); err != nil {
				return 0, interrupted(err)
			}
			continue
		}
		if edits {
			return revision, nil
		}
		p.Last, p.Busy = its, now.Add(t.Fresh+t.Call)
		revision, err = s.writePace(ctx, channel, p, revision)
		if errors.Is(err, watcher.ErrConflict) {
			continue
		}
		if err != nil {
			return 0, unpaced(err)
		}
		return revision, nil
	}
	return 0, unpaced(watcher.ErrConflict)
}

// rest ends the call that step took, and lets all workers leave the channel alone: for a moment, or as
// long as Slack says in its answer. Where that cannot be noted they wait until they take this one for dead.
func (s *Slack) rest(ctx context.Context, channel string, its turn, edits bool, revision watcher.Revision, e *PostError) {
	now := s.config.Now().Add(s.config.Timing.Clocks)
	p := pace{Free: now.Add(s.config.Timing.Post), Last: its}
	if e != nil && e.Class == NotAccepted && e.RetryAfter > 0 {
		p.Until = now.Add(e.RetryAfter)
	} else if edits {
		return // it took nothing
	}
	_, err := s.writePace(context.WithoutCancel(ctx), channel, p, revision)
	if err != nil {
		s.log.Debug("the end of a call is not noted; others wait until they take it for lost", "channel", channel, "err", err)
	}
}

func unpaced(err error) *watcher.RetryError {
	return &watcher.RetryError{After: time.Second, Err: fmt.Errorf("take a turn in the channel: %w", err)}
}

func paceKey(channel string) string { return "pace." + channel }

func (s *Slack) readPace(ctx context.Context, channel string) (p pace, revision watcher.Revision, err error) {
	text, revision, err := s.config.Notes.Note(ctx, paceKey(channel))
	if err == nil && text != nil {
		err = json.Unmarshal(text, &p)
	}
	return p, revision, err
}

func (s *Slack) writePace(ctx context.Context, channel string, p pace, revision watcher.Revision) (watcher.Revision, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return 0, err
	}
	return s.config.Notes.SetNote(ctx, paceKey(channel), text, revision)
}
