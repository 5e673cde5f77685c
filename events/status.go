package events

import (
	"context"
	"errors"
	"maps"
	"slices"

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
	s := wire.Status{Held: w.heldAccounts()}
	if w.store.Accounts().Blind() {
		missed(&s, "the other workers", errors.New("what workers share cannot be read at the moment"))
	} else {
		s.Workers = w.store.Accounts().Count(wire.Semantic(w.store.Version))
	}
	seen, err := inspect.Over(w.store).Watches(ctx)
	missed(&s, "the watches", err)
	missed(&s, "the list of broken records", seen.BrokenErr)
	if err == nil {
		s.Watches = &seen.WatchCount
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
func (w *Worker) heldAccounts() []wire.HeldAccount {
	held := []wire.HeldAccount{}
	standing := w.store.Accounts().Standing()
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
