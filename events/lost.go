package events

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/watcher"
)

// allProjects is the project that an event is of which concerns all.
const allProjects = "all"

// A losses is what a worker knows of the streams whose loss nobody can make good: those of records and
// requests. It finds out when one is another than before, or was emptied. Only its owner uses it.
type losses struct {
	streams map[string]streamSeen
	untold  *watcher.Attention // found, and not told yet
	looks   atomic.Int64       // how often all was looked at; for everybody
}

// A streamSeen is how a stream was when it was looked at last.
type streamSeen struct {
	created  time.Time
	messages uint64
	last     uint64 // sequence
}

// lostSince returns since when what the stream held before is lost; zero where it is not. Requests come and
// go; the bucket of records was emptied where half of what it held is gone at least, and none is left of what was
// there: records that are rewritten or expire do not look like that.
func (before streamSeen) lostSince(info *jetstream.StreamInfo, records bool, now time.Time) time.Time {
	state := info.State
	switch {
	case before.created.IsZero():
	case !info.Created.Equal(before.created):
		return info.Created
	case records && before.messages > 1 && state.Msgs*2 <= before.messages && state.FirstSeq > before.last:
		return now
	}
	return time.Time{}
}

// lookForLoss looks whether the store was lost, and tells people. What was not told is told at the next call.
func (w *Worker) lookForLoss(ctx context.Context) error {
	names := w.config.Names
	for _, stream := range []string{names.requestStream(), names.recordStream()} {
		s, err := w.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		info := s.CachedInfo()
		since := w.losses.streams[stream].lostSince(info, stream == names.recordStream(), w.clock.Now())
		w.losses.streams[stream] = streamSeen{info.Created, info.State.Msgs, info.State.LastSeq}
		if since.IsZero() {
			continue
		}
		w.metrics.lost.Inc()
		a := w.lossOf(stream, since.UTC().Truncate(time.Millisecond))
		w.log.Error("the store was lost: "+a.Reason, "stream", stream, "since", a.Since)
		w.losses.untold = &a
	}
	w.losses.looks.Add(1)
	if w.losses.untold == nil {
		return nil
	}
	if err := w.store.lost(ctx, *w.losses.untold, w.clock.Now()); err != nil {
		return fmt.Errorf("tell that the store was lost: %w", err)
	}
	w.losses.untold = nil
	return nil
}

// lossOf returns what people are told of a stream that was lost.
func (w *Worker) lossOf(stream string, since time.Time) watcher.Attention {
	before := since.Format("15:04 UTC")
	reason := fmt.Sprintf("what was watched before %s is forgotten: publish again", before)
	if stream == w.config.Names.requestStream() {
		reason = fmt.Sprintf("requests that were published before %s and in no watch yet are forgotten: publish them again", before)
	}
	return watcher.Attention{Kind: watcher.Lost, Region: w.intake.Policy.DefaultRegion, ProjectID: allProjects, Reason: reason, Since: since, Until: since}
}

// lostOnce is how long one event tells of all that was lost: a server that comes back empty makes streams
// anew one after another, and each worker finds that out.
const lostOnce = time.Minute

// lost publishes the event, unless another was just before.
func (s *store) lost(ctx context.Context, a watcher.Attention, now time.Time) error {
	m, err := s.last(ctx, s.names.eventStream(), s.names.attention(string(watcher.Lost), allProjects))
	switch {
	case err == nil && now.Sub(m.Time) < lostOnce:
		return nil
	case err != nil && !errors.Is(err, jetstream.ErrMsgNotFound):
		return err
	}
	return s.attention(ctx, a, now)
}

// lastLoss returns since when the store's loss was told last; zero where it never was.
func (s *store) lastLoss(ctx context.Context) (since time.Time, reason string, err error) {
	m, err := s.last(ctx, s.names.eventStream(), s.names.attention(string(watcher.Lost), allProjects))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return time.Time{}, "", nil
	}
	if err != nil {
		return time.Time{}, "", err
	}
	a, err := decodeAttention(m.Data)
	return a.Since, a.Reason, err
}
