package events

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A gate lets requests in that are right, and that their team may make.
type gate struct {
	log     *slog.Logger
	rules   wire.Rules
	teams   teams.Teams
	timeout time.Duration // of requests that name none
	store   *store.Store
	warned  sync.Once
}

// view returns what the team may see and touch; an empty name is the operator's.
func (g *gate) view(team string) teams.View {
	if team != "" && g.teams.Empty() {
		g.warned.Do(func() {
			g.log.Warn("a team asks, and nothing says what teams may: each may watch, see and poll every order; set ORDERWATCH_TEAMS_FILE", "team", team)
		})
	}
	return g.teams.View(team)
}

// decode reads a request. The error wraps a *[watcher.FieldError]; a *[teams.Denied] where the team may not ask so.
func (g *gate) decode(in wire.Incoming) (watcher.Ask, error) {
	ask, err := g.rules.Decode(in)
	g.view(in.Team)
	if err == nil {
		err = g.teams.Admit(&ask, g.timeout)
	}
	return ask, err
}

// allow returns a *[teams.Denied] where a request that is in no watch yet is beyond its team's limits.
func (g *gate) allow(ctx context.Context, ask watcher.Ask) error {
	team := ask.Request.Team
	if !g.teams.Limits(team).Count() {
		return nil
	}
	return g.store.Reserve(ctx, ask, g.within(team))
}

// look is allow of a request that may follow. One that the order's record names already is a repeat, which no limit refuses.
func (g *gate) look(ctx context.Context, ask watcher.Ask) error {
	team := ask.Request.Team
	if !g.teams.Limits(team).Count() {
		return nil
	}
	if w, _, err := g.store.ReadLatest(ctx, ask.Order); err == nil && w.Names(ask.Request) {
		return nil
	}
	return g.store.Look(ctx, ask, g.within(team))
}

// within says whether the team may ask for one more.
func (g *gate) within(team string) func(open int, stored []time.Time) error {
	return func(open int, stored []time.Time) error {
		return g.teams.Within(team, open, stored, g.store.Clock.Now())
	}
}

// count returns a *[teams.Denied] where what a team wants done at once, and that makes work, is beyond its limits.
func (g *gate) count(ctx context.Context, team string) error {
	if g.teams.Limits(team).RequestsPerMinute == 0 {
		return nil
	}
	return g.store.ReserveDeed(ctx, team, func(stored []time.Time) error {
		return g.teams.Within(team, 0, stored, g.store.Clock.Now())
	})
}

// begin reads what teams have asked for, where that is bounded, before the first request must wait for it.
func (g *gate) begin(ctx context.Context) {
	for _, name := range g.teams.Names() {
		if g.teams.Limits(name).Count() {
			if err := g.store.ReadAsked(ctx); err != nil && ctx.Err() == nil {
				g.log.Debug("what teams have asked for is read with the first request", "err", err)
			}
			return
		}
	}
}
