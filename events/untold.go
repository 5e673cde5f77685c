package events

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/wire"
)

// measureUntold measures how many events people have not been told of, over all workers, and since when
// the oldest waits. It is best effort: an error leaves the age as it was.
func (w *Worker) measureUntold(ctx context.Context, consumer *jetstream.ConsumerInfo) {
	waiting := consumer.NumPending + uint64(consumer.NumAckPending)
	w.metrics.untold.Set(float64(waiting))
	if waiting == 0 {
		w.metrics.untoldAge.Set(0)
		return
	}
	oldest, err := w.oldest(ctx, consumer.Config.FilterSubjects, consumer.AckFloor.Stream+1)
	if err != nil {
		w.log.Debug("not seen since when people wait to be told", "err", err)
		return
	}
	if !oldest.IsZero() {
		w.metrics.untoldAge.Set(max(0, w.clock.Now().Sub(oldest).Seconds()))
	}
}

// oldest returns when the first event from the sequence on was stored; zero where there is none.
func (w *Worker) oldest(ctx context.Context, subjects []string, from uint64) (at time.Time, err error) {
	for _, subject := range subjects {
		m, err := w.store.Next(ctx, w.store.Names.EventStream(), subject, from)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			continue
		case err != nil:
			return at, err
		case at.IsZero() || m.Time.Before(at):
			at = m.Time
		}
	}
	return at, nil
}

// noteSettled notes how far the consumer slack has come, and measures what it has before it.
func (w *Worker) noteSettled(ctx context.Context) error {
	consumer, err := w.js.Consumer(ctx, w.store.Names.EventStream(), wire.SlackConsumer)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	w.measureUntold(ctx, info)
	return w.store.NoteSettled(ctx, info.AckFloor.Stream)
}
