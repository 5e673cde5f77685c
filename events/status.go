package events

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
)

// status shows how the installation is.
func (w *Worker) status(ctx context.Context, r micro.Request) (any, error) {
	if err := wire.CheckStatus(r.Data()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.store.Timing.List)
	defer cancel()
	view := w.service.view(r)
	s := wire.Status{Held: w.heldAccounts(view), Unlisted: w.unlisted(view)}
	if view.All() { // they are of all watches
		s.Rates = w.rates()
	}
	if w.store.Accounts().Blind() {
		missed(&s, "the other workers", errors.New("what workers share cannot be read at the moment"))
	} else {
		s.Workers = w.store.Accounts().Count(wire.Semantic(w.store.Version))
	}
	broken, _, err := w.store.BrokenList(ctx)
	missed(&s, "the list of broken records", err)
	err = w.index.CatchUp(ctx, time.Time{})
	if err == nil {
		count, _, failed := w.index.Count(ctx, broken)
		s.Watches, err = &count, failed
	}
	missed(&s, "the watches", err)
	s.People, err = w.countUntold(ctx)
	missed(&s, "what people were told", err)
	if s.People != nil && !view.All() {
		s.People.Troubles = nil // they name the channels of all
	}
	return s, nil
}

// missed notes what could not be looked at, if there is an error.
func missed(s *wire.Status, what string, err error) {
	if err != nil {
		s.NotLookedAt = append(s.NotLookedAt, what+": "+wire.OneLine(err.Error()))
	}
}

// heldAccounts returns the holds that stand, by their keys, but for those of projects that the view does not have.
func (w *Worker) heldAccounts(view teams.View) []wire.HeldAccount {
	held := []wire.HeldAccount{}
	standing := w.store.Accounts().Standing()
	for _, key := range slices.Sorted(maps.Keys(standing)) {
		hold := standing[key].Hold
		if !hold.Stands() || hold.ProjectID != "" && !view.Project(hold.ProjectID) {
			continue
		}
		held = append(held, wire.HeldAccount{
			Account: key, Kind: hold.Kind, Region: hold.Region, ProjectID: hold.ProjectID, Why: hold.Why(), Code: hold.Code,
			Since: hold.Since.UTC(), Until: hold.Until.UTC(),
		})
	}
	return held
}

// unlisted returns the projects whose orders are not listed, of those that the view has.
func (w *Worker) unlisted(view teams.View) (all []wire.Unlisted) {
	now := w.store.Clock.Now()
	for _, l := range w.store.Accounts().Leases() {
		if p := l.Place; l.Valid && l.Off(now) && view.Project(p.ProjectID) {
			all = append(all, wire.Unlisted{Region: p.Region, ProjectID: p.ProjectID, Why: l.Why, Until: l.OffUntil.UTC()})
		}
	}
	slices.SortFunc(all, func(a, b wire.Unlisted) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.ProjectID, b.ProjectID))
	})
	return all
}

// rates returns how many polls are wanted and allowed in each region.
func (w *Worker) rates() (all []wire.Rate) {
	if w.config.Loads == nil {
		return nil
	}
	for _, l := range w.config.Loads() {
		tenths := func(perSecond float64) float64 { return math.Round(perSecond*float64(l.Workers)*10) / 10 }
		r := wire.Rate{Region: l.Region, Wanted: tenths(l.Wanted), Allowed: tenths(l.Allowed)}
		if !l.UsedUpSince.IsZero() {
			r.UsedUpSince, r.Late = l.UsedUpSince.UTC(), l.Late.Round(time.Second).String()
		}
		all = append(all, r)
	}
	return all
}

// noteSettled notes how far the consumer slack has come, and measures what it has before it. To measure is best
// effort: an error leaves the age as it was.
func (w *Worker) noteSettled(ctx context.Context) error {
	consumer, err := w.store.JS.Consumer(ctx, w.store.Names.EventStream(), wire.SlackConsumer)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	waiting, oldest, err := w.untold(ctx, info)
	w.metrics.untold.Set(float64(waiting))
	switch {
	case err != nil:
		w.log.Debug("not seen since when people wait to be told", "err", err)
	case waiting == 0:
		w.metrics.untoldAge.Set(0)
	case !oldest.IsZero():
		w.metrics.untoldAge.Set(max(0, w.store.Clock.Now().Sub(oldest).Seconds()))
	}
	return w.store.NoteSettled(ctx, info.AckFloor.Stream)
}

// untold returns how many events people have not been told of, over all workers, and when the oldest of them was
// stored; zero where it is not there any more.
func (w *Worker) untold(ctx context.Context, slack *jetstream.ConsumerInfo) (waiting int, oldest time.Time, err error) {
	waiting = int(slack.NumPending) + slack.NumAckPending
	if waiting == 0 {
		return 0, oldest, nil
	}
	for _, subject := range slack.Config.FilterSubjects {
		m, err := w.store.Next(ctx, w.store.Names.EventStream(), subject, slack.AckFloor.Stream+1)
		if err != nil {
			return waiting, oldest, err
		}
		if m.Sequence != 0 && (oldest.IsZero() || m.Time.Before(oldest)) {
			oldest = m.Time
		}
	}
	return waiting, oldest, nil
}

// countUntold looks at the events that the consumer which tells people has before it, and at those that
// tell of what Slack refused.
func (w *Worker) countUntold(ctx context.Context) (*wire.Untold, error) {
	n := w.store.Names
	ctx, cancel := context.WithTimeout(ctx, 2*w.store.Timing.Request)
	defer cancel()
	kept, err := w.store.Subjects(ctx, n.EventStream(), n.Undelivered(">"))
	if err != nil {
		return nil, err
	}
	consumer, err := w.store.JS.Consumer(ctx, n.EventStream(), wire.SlackConsumer)
	if err != nil {
		return nil, err
	}
	u := &wire.Untold{}
	for _, count := range kept {
		u.Undelivered += int(count)
	}
	u.Waiting, u.Since, err = w.untold(ctx, consumer.CachedInfo())
	u.Since = u.Since.UTC()
	if w.config.Troubles != nil {
		u.Troubles = w.config.Troubles()
	}
	return u, err
}
