package events

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
)

// A heartbeat calls somebody outside of the installation every Timing.Beat, only while the installation does its work:
// its silence is the alarm. The worker that patrols makes it.
type heartbeat struct {
	log    *slog.Logger
	store  *store.Store
	patrol *patrol
	untold func(context.Context, *jetstream.ConsumerInfo) (int, time.Time, error)
	call   func(context.Context) error // nil: nobody waits for it
	last   prometheus.Gauge            // when one was accepted

	due    time.Time // when the next one is, by the process's clock; zero while another worker makes them
	logged string    // why the log says that there is none; empty where it says nothing of it
}

// vitals are what was seen of an installation, by the server's clock.
type vitals struct {
	patrolled time.Time // when the last round of the patrol was finished
	overdue   int       // watches that it found overdue
	readBack  bool      // whether what it wrote was read again
	due       time.Time // when the oldest wake-up was due that no worker has settled; zero: there is none
	untold    time.Time // when the oldest event was stored that people have not been told of; zero: there is none
}

// ill returns why no heartbeat may be made now; empty where one may.
//
// A wake-up may be due for as long as a poll of it may take, and a quarter of what makes it overdue: a watch that is
// polled every minute, as is usual at the longest, then silences the heartbeat within two minutes of its last poll.
func (v vitals) ill(now time.Time, c store.Config) string {
	switch age := now.Sub(v.due); {
	case now.Sub(v.patrolled) > patrolLease*c.Timing.PatrolEvery:
		return "no worker has looked for overdue watches lately"
	case !v.readBack:
		return "what was written to NATS was not read back"
	case v.overdue > 0:
		return fmt.Sprintf("overdue watches: %d", v.overdue)
	case !v.due.IsZero() && age > c.PollTimeout+c.Timing.PatrolSlack/4:
		return fmt.Sprintf("a wake-up has been due for %s, and no worker is done with it", age.Round(time.Second))
	case !v.untold.IsZero() && now.Sub(v.untold) >= c.Timing.Untold:
		return fmt.Sprintf("people have not been told of an event for %s", now.Sub(v.untold).Round(time.Second))
	}
	return ""
}

// run makes heartbeats until ctx is done.
func (h *heartbeat) run(ctx context.Context) {
	for h.call != nil && link.Sleep(ctx, h.store.Timing.PatrolEvery) {
		round := h.patrol.finished.Load()
		if round == nil {
			h.due, h.logged = time.Time{}, "" // it is another worker's, or this one logs why its patrol does not work
			continue
		}
		now := h.store.Clock.Local()
		if h.due.IsZero() {
			h.due = now
		}
		if now.Before(h.due) {
			continue
		}
		if why := h.look(ctx, round); why == "" {
			h.due = now.Add(h.store.Timing.Beat)
			h.beat(ctx)
		} else if now.Sub(h.due) >= h.store.Timing.Beat && ctx.Err() == nil { // sooner it may be a poll that takes long
			h.tell("heartbeat withheld until that is over", "why", why)
		}
	}
}

// look returns why no heartbeat may be made; empty where one may.
func (h *heartbeat) look(ctx context.Context, round *patrolRound) string {
	v, err := h.see(ctx, round)
	if err != nil {
		return err.Error()
	}
	return v.ill(h.store.Clock.Now(), h.store.Config)
}

// see reads all that v.ill judges from the servers that write it.
func (h *heartbeat) see(ctx context.Context, round *patrolRound) (v vitals, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*h.store.Timing.Request)
	defer cancel()
	n := h.store.Names
	v.patrolled, v.overdue = round.at, round.overdue
	lease, err := h.store.Value(ctx, n.RecordStream(), n.Record(leaseKey))
	if err != nil {
		return v, err
	}
	v.readBack = lease.Sequence >= round.lease && workerOf(lease) == h.patrol.id
	poller, err := h.store.JS.Consumer(ctx, n.WakeupStream(), wire.PollerConsumer)
	if err != nil {
		return v, fmt.Errorf("look at consumer %s: %w", wire.PollerConsumer, err)
	}
	due, err := h.store.Next(ctx, n.WakeupStream(), n.Due(">"), poller.CachedInfo().AckFloor.Stream+1)
	if err != nil {
		return v, err
	}
	v.due = due.Time
	slack, err := h.store.JS.Consumer(ctx, n.EventStream(), wire.SlackConsumer)
	if err != nil {
		return v, fmt.Errorf("look at consumer %s: %w", wire.SlackConsumer, err)
	}
	_, v.untold, err = h.untold(ctx, slack.CachedInfo())
	return v, err
}

// beat makes one heartbeat. A failure is logged once, and so is its end.
func (h *heartbeat) beat(ctx context.Context) {
	err := h.call(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		h.tell("heartbeat not accepted; it is made again and again", "err", err)
	default:
		h.last.Set(float64(h.store.Clock.Now().Unix()))
		if h.logged != "" {
			h.log.Info("heartbeat accepted again")
		}
		h.logged = ""
	}
}

// tell logs why there is no heartbeat, where the log does not say so already.
func (h *heartbeat) tell(message, key string, value any) {
	if h.logged != message {
		h.log.Warn(message, key, value)
	}
	h.logged = message
}
