package events

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/wire"
)

// status shows how the installation is.
func (w *Worker) status(ctx context.Context, r micro.Request) (any, error) {
	if err := wire.CheckStatus(r.Data()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.store.Timing.List)
	defer cancel()
	s := wire.Status{Held: w.heldAccounts(w.clock.Now())}
	if w.accounts.Blind() {
		missed(&s, "the other workers", errors.New("what workers share cannot be read at the moment"))
	} else {
		s.Workers = w.accounts.Count(wire.Semantic(w.store.Version))
	}
	seen, err := inspect.Over(w.store).Watches(ctx)
	missed(&s, "the watches", err)
	missed(&s, "the list of broken records", seen.BrokenErr)
	if err == nil {
		s.Watches = countOf(seen)
	}
	s.People, err = w.countUntold(ctx)
	missed(&s, "what people were told", err)
	return s, nil
}

// missed notes what could not be looked at, if there is an error.
func missed(s *wire.Status, what string, err error) {
	if err != nil {
		s.NotLookedAt = append(s.NotLookedAt, what+": "+wire.OneLine(err.Error()))
	}
}

// heldAccounts returns the holds that stand, by their keys.
func (w *Worker) heldAccounts(now time.Time) []wire.HeldAccount {
	held := []wire.HeldAccount{}
	standing := w.accounts.Standing()
	for _, key := range slices.Sorted(maps.Keys(standing)) {
		hold := standing[key].Hold
		if !hold.Stands() {
			continue
		}
		held = append(held, wire.HeldAccount{
			Account: key, Kind: hold.Kind, Region: hold.Region, ProjectID: hold.ProjectID, Why: hold.Why(), Code: hold.Code,
			Since: hold.Since.UTC(), Until: hold.Until.UTC(),
		})
	}
	return held
}

// countOf returns how many watches there are.
func countOf(w inspect.Watches) *wire.WatchCount {
	return &wire.WatchCount{
		Watching: w.Watching, Ending: w.Ending, Overdue: w.Overdue, Stuck: w.Stuck,
		Unreadable: w.Unreadable, Newer: w.Newer, All: w.All,
	}
}

// countUntold looks at the events that the consumer which tells people has before it, and at those that
// tell of what Slack refused.
func (w *Worker) countUntold(ctx context.Context) (*wire.Untold, error) {
	n := w.store.Names
	asking, cancel := context.WithTimeout(ctx, 2*w.store.Timing.Request)
	defer cancel()
	stream, err := w.js.Stream(asking, n.EventStream())
	if err != nil {
		return nil, err
	}
	kept, err := stream.Info(asking, jetstream.WithSubjectFilter(n.Undelivered(">")))
	if err != nil {
		return nil, err
	}
	consumer, err := stream.Consumer(asking, wire.SlackConsumer)
	if err != nil {
		return nil, err
	}
	u, info := &wire.Untold{}, consumer.CachedInfo()
	for _, count := range kept.State.Subjects {
		u.Undelivered += int(count)
	}
	if u.Waiting = int(info.NumPending) + info.NumAckPending; u.Waiting > 0 {
		u.Since, err = w.oldest(asking, info.Config.FilterSubjects, info.AckFloor.Stream+1)
		u.Since = u.Since.UTC()
	}
	if w.config.Troubles != nil {
		u.Troubles = w.config.Troubles()
	}
	return u, err
}
