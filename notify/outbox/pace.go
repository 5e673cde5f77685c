package outbox

import (
	"context"
	"errors"
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

// clockWrong is how far workers' ideas of the time may be apart before one is taken to be wrong.
const clockWrong = 5 * time.Second

// paceTries is how often the pace is read anew after a wait, or where another worker was quicker.
const paceTries = 5

// A slot is a call of a channel that was taken.
type slot struct {
	channel  string
	edits    bool
	pace     pace
	revision watcher.Revision
}

// takeSlot waits for the channel's next call among those of all workers, and takes it: rest must follow. An
// edit need not come after the last post by Timing.Post. An error says that it does not come soon.
func (s *Outbox) takeSlot(ctx context.Context, channel string, its turn, edits bool) (slot, *watcher.RetryError) {
	for range paceTries {
		p, revision, err := s.readPace(ctx, channel)
		if err != nil {
			return slot{}, unpaced(err)
		}
		t, now := s.config.Timing, s.config.Now()
		wait := p.Until.Sub(now)
		if wait > t.Wait {
			return slot{}, retryIn(wait, "the channel is left alone for as long as Slack says")
		}
		if left := p.Busy.Sub(now); left > 0 && left <= t.Fresh+t.Call+clockWrong { // later than that a clock was wrong
			return slot{}, retryIn(min(left, t.Post), "another message is on its way to the channel")
		}
		if free := p.Free.Sub(now); !edits && free <= t.Post+clockWrong { // here, too
			wait = max(wait, free)
		}
		if wait > 0 {
			if err := s.config.Sleep(ctx, wait); err != nil {
				return slot{}, soon("post to slack", err)
			}
			continue
		}
		p.Busy = now.Add(t.Fresh + t.Call)
		if !edits {
			p.Last = its
		}
		revision, err = s.writeNote(ctx, "pace."+channel, p, revision)
		if errors.Is(err, watcher.ErrConflict) {
			continue
		}
		if err != nil {
			return slot{}, unpaced(err)
		}
		return slot{channel, edits, p, revision}, nil
	}
	return slot{}, unpaced(watcher.ErrConflict)
}

// rest ends the call, and lets all workers leave the channel alone: for a moment, or as long as Slack
// says in its answer. Where that cannot be noted they wait until they take this one for dead.
func (s *Outbox) rest(ctx context.Context, taken slot, e *slack.Error) {
	p, now := taken.pace, s.config.Now().Add(s.config.Timing.Clocks)
	p.Busy = time.Time{}
	if !taken.edits {
		p.Free = now.Add(s.config.Timing.Post)
	}
	if e != nil && e.Class == slack.NotAccepted && e.RetryAfter > 0 {
		p.Until = now.Add(e.RetryAfter)
	}
	_, err := s.writeNote(context.WithoutCancel(ctx), "pace."+taken.channel, p, taken.revision)
	if err != nil {
		s.log.Debug("the end of a call is not noted; others wait until they take it for lost", "channel", taken.channel, "err", err)
	}
}

func unpaced(err error) *watcher.RetryError {
	return soon("take a turn in the channel", err)
}

func (s *Outbox) readPace(ctx context.Context, channel string) (p pace, revision watcher.Revision, err error) {
	revision, err = s.readNote(ctx, "pace."+channel, &p)
	return p, revision, err
}
