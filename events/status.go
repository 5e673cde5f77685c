package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/watcher"
)

// A Status is how an installation is, as one worker sees it. What the worker could not look at is missing,
// and NotLookedAt says why.
type Status struct {
	Workers     *WorkerCount  `json:"workers,omitempty"`
	Held        []HeldAccount `json:"held_accounts"` // that ModelArts is not asked for; as far as this worker knows
	Watches     *WatchCount   `json:"watches,omitempty"`
	People      *Untold       `json:"people,omitempty"`
	NotLookedAt []string      `json:"not_looked_at,omitempty"` // what, and why; for people
}

// A WorkerCount is how many workers there are.
type WorkerCount struct {
	Present  int            `json:"present"`            // with the one that answers
	Versions map[string]int `json:"versions,omitempty"` // how many have each; those of a release that does not tell are missing
}

// A HeldAccount is an account, or one project of it, that ModelArts may not be asked for now.
type HeldAccount struct {
	Account   string           `json:"account"` // a hash of the login, with the region
	Kind      watcher.HoldKind `json:"kind"`
	Region    string           `json:"region"`
	ProjectID string           `json:"project_id,omitempty"` // empty: all projects of the account
	Why       string           `json:"why"`                  // for people; the cloud's text is in it
	Code      string           `json:"code,omitempty"`       // the API's
	Since     time.Time        `json:"since"`
	Until     time.Time        `json:"until"` // no call before
}

// A WatchCount is how many open watches there are, and how many of them are not as they must be.
type WatchCount struct {
	Watching   int  `json:"watching"`
	Ending     int  `json:"ending"`
	Overdue    int  `json:"overdue"`    // of those that are watched: not polled for more than the interval and a minute
	Stuck      int  `json:"stuck"`      // of those that are ending: for over a minute
	Unreadable int  `json:"unreadable"` // records that cannot be read, or were deleted while their watch went on, until the order is watched again
	Newer      int  `json:"newer"`      // records that a later version of this program wrote, which that reads
	All        bool `json:"all"`        // the records were read to the end
}

// An Untold is what people have not been told.
type Untold struct {
	Waiting     int       `json:"waiting"`            // events that people are still to be told of; a few are usual
	Since       time.Time `json:"since,omitzero"`     // when the oldest of them was stored
	Undelivered int       `json:"undelivered"`        // messages that Slack finally refused, of those that are kept
	Troubles    []string  `json:"troubles,omitempty"` // what keeps Slack from taking messages of the worker that answers
}

// Status asks how the installation is. Any worker answers. Like [Client.Get], it returns a *[ServiceError]
// where the service refuses, a *[DeniedError] where NATS does, and an [ErrNoWorker] where nobody answers.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, "status", struct{}{})
}

// status shows how the installation is.
func (w *Worker) status(ctx context.Context, r micro.Request) (any, error) {
	if err := checkStatus(r.Data()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.config.Timing.List)
	defer cancel()
	s := Status{Held: w.heldAccounts(w.clock.Now())}
	if w.accounts.blind.Load() {
		s.missed("the other workers", errors.New("what workers share cannot be read at the moment"))
	} else {
		s.Workers = w.accounts.count(semantic(w.config.Version))
	}
	seen, err := w.inspector().Watches(ctx)
	s.missed("the watches", err)
	s.missed("the list of broken records", seen.BrokenErr)
	if err == nil {
		s.Watches = seen.count()
	}
	s.People, err = w.countUntold(ctx)
	s.missed("what people were told", err)
	return s, nil
}

// missed notes what could not be looked at, if there is an error.
func (s *Status) missed(what string, err error) {
	if err != nil {
		s.NotLookedAt = append(s.NotLookedAt, what+": "+oneLine(err.Error()))
	}
}

// checkStatus refuses a request that asks for anything.
func checkStatus(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return eachField(body, "", func(name string, _ json.RawMessage) error {
		return &watcher.FieldError{Field: show(name), Reason: "is no field of a status request, which has none"}
	})
}

// heldAccounts returns the holds that stand, by their keys.
func (w *Worker) heldAccounts(now time.Time) []HeldAccount {
	held := []HeldAccount{}
	standing := w.accounts.standing()
	for _, key := range slices.Sorted(maps.Keys(standing)) {
		hold := standing[key].hold
		if !hold.Stands() {
			continue
		}
		held = append(held, HeldAccount{
			Account: key, Kind: hold.Kind, Region: hold.Region, ProjectID: hold.ProjectID, Why: hold.Why(), Code: hold.Code,
			Since: hold.Since.UTC(), Until: hold.Until.UTC(),
		})
	}
	return held
}

// inspector looks at the records as doctor does.
func (w *Worker) inspector() *Inspector {
	return &Inspector{config: w.config, nc: w.nc, js: w.js, store: w.store, clock: w.clock}
}

// count returns how many there are.
func (w Watches) count() *WatchCount {
	return &WatchCount{
		Watching: w.Watching, Ending: w.Ending, Overdue: w.Overdue, Stuck: w.Stuck,
		Unreadable: w.Unreadable, Newer: w.Newer, All: w.All,
	}
}

// countUntold looks at the events that the consumer which tells people has before it, and at those that
// tell of what Slack refused.
func (w *Worker) countUntold(ctx context.Context) (*Untold, error) {
	n := w.config.Names
	asking, cancel := context.WithTimeout(ctx, 2*w.config.Timing.Request)
	defer cancel()
	stream, err := w.js.Stream(asking, n.eventStream())
	if err != nil {
		return nil, err
	}
	kept, err := stream.Info(asking, jetstream.WithSubjectFilter(n.undelivered(">")))
	if err != nil {
		return nil, err
	}
	consumer, err := stream.Consumer(asking, slackConsumer)
	if err != nil {
		return nil, err
	}
	u, info := &Untold{}, consumer.CachedInfo()
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
