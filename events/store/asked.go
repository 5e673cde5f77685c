package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// asked is what teams have asked for, as the records say: those that changed are read before it is looked at. It holds
// only what bounds need: the open watches of teams, and when their latest requests were stored.
type asked struct {
	turn  chan struct{}       // is full while somebody uses what follows
	made  time.Time           // when the bucket was
	next  uint64              // its first sequence that was not read
	teams map[string][]string // that have requests in an open watch, by the order's key
	// What follows is by team. begun are requests that were allowed and perhaps not written yet, until when they count.
	open   map[string]map[string]bool // by the order's key
	begun  map[string]map[string]time.Time
	stored map[string]map[string]time.Time // by the order's key and the request's id
	pruned time.Time
}

const (
	askedKept  = 10 * time.Minute // how long it is known when a request was stored
	begunKept  = 10 * time.Second // how long a request counts that is allowed, and in no record
	rateWindow = time.Minute
)

func newAsked() *asked { return &asked{turn: make(chan struct{}, 1)} }

// forget forgets all: the bucket that was made then is read from its beginning.
func (a *asked) forget(made time.Time) {
	a.made, a.next, a.teams = made, 1, make(map[string][]string)
	a.open, a.begun, a.stored = make(map[string]map[string]bool), make(map[string]map[string]time.Time), make(map[string]map[string]time.Time)
}

// Reserve counts the request for its team where decide, which is asked with the requests of all workers as the records
// have them, returns nil; otherwise it returns decide's error. open is how many watches of the team have not ended, but for
// the order's own, and stored when requests of the team were stored, oldest first, that are less than a minute away from
// this one. Another worker may allow a request at the same moment, which the records do not have yet: so many may be
// beyond a bound as other workers have under way. After any other error nothing is known.
func (s *Store) Reserve(ctx context.Context, ask watcher.Ask, decide func(open int, stored []time.Time) error) error {
	return s.withAsked(ctx, func() error {
		if err := s.decide(ask, decide); err != nil {
			return err
		}
		a, team := s.asked, ask.Request.Team
		put(a.begun, team, ask.Key(), s.Clock.Now().Add(begunKept))
		put(a.stored, team, requestKey(ask), ask.Request.ReceivedAt)
		return nil
	})
}

// Look returns what Reserve would, and counts nothing.
func (s *Store) Look(ctx context.Context, ask watcher.Ask, decide func(open int, stored []time.Time) error) error {
	return s.withAsked(ctx, func() error { return s.decide(ask, decide) })
}

// decide asks decide with how many watches the team has open beside the request's, and when else it asked.
func (s *Store) decide(ask watcher.Ask, decide func(open int, stored []time.Time) error) error {
	a, team, key, now := s.asked, ask.Request.Team, ask.Key(), s.Clock.Now()
	a.prune(now)
	open := len(a.open[team])
	for begun, until := range a.begun[team] {
		if begun != key && now.Before(until) && !a.open[team][begun] {
			open++
		}
	}
	if a.open[team][key] {
		open--
	}
	return decide(open, s.near(team, requestKey(ask), ask.Request.ReceivedAt))
}

func requestKey(ask watcher.Ask) string { return ask.Key() + " " + ask.Request.ID }

// near returns when requests of the team, but for that one, were stored less than a minute before or after the time, and when
// else something was done for the team, oldest first.
func (s *Store) near(team, request string, at time.Time) (near []time.Time) {
	for id, other := range s.asked.stored[team] {
		if id != request { // it may be asked for again
			near = append(near, other)
		}
	}
	near = append(near, s.accounts.deedsOf(team, s.Clock.Now())...)
	near = slices.DeleteFunc(near, func(other time.Time) bool { return other.Sub(at).Abs() >= rateWindow })
	slices.SortFunc(near, time.Time.Compare)
	return near
}

// ReserveDeed counts for the team what is done at once, and stands in no record as a request does, where decide, which is
// asked as by Reserve, returns nil; otherwise it returns decide's error. What other workers did so is known some seconds
// later. After any other error nothing is known.
func (s *Store) ReserveDeed(ctx context.Context, team string, decide func(stored []time.Time) error) error {
	return s.withAsked(ctx, func() error {
		now := s.Clock.Now()
		if err := decide(s.near(team, "", now)); err != nil {
			return err
		}
		s.accounts.did(team, now)
		return nil
	})
}

// ReadAsked reads what teams have asked for, so that the first Reserve need not.
func (s *Store) ReadAsked(ctx context.Context) error {
	return s.withAsked(ctx, func() error { return nil })
}

// withAsked calls f when it is its turn and all records were read.
func (s *Store) withAsked(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Step)
	defer cancel()
	select {
	case s.asked.turn <- struct{}{}:
		defer func() { <-s.asked.turn }()
	case <-ctx.Done():
		return fmt.Errorf("count what teams have asked for: %w", ctx.Err())
	}
	if err := s.catchUp(ctx); err != nil {
		return fmt.Errorf("count what teams have asked for: %w", err)
	}
	return f()
}

// catchUp reads the records that were written since the last time.
func (s *Store) catchUp(ctx context.Context) error {
	a := s.asked
	stream, err := s.JS.Stream(ctx, s.Names.RecordStream())
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	if a.next == 0 || !info.Created.Equal(a.made) || info.State.LastSeq+1 < a.next {
		a.forget(info.Created)
	}
	if info.State.LastSeq < a.next {
		return nil
	}
	recent := s.Clock.Now().Add(-askedKept)
	for m, err := range s.messages(ctx, s.Names.RecordStream(), "", jetstreamext.GetBatchSeq(a.next)) {
		if err != nil {
			return err
		}
		if order, ok := wire.OrderOf(m.Subject, s.Names.Record("")); ok {
			a.see(order.Key(), m.Header, m.Data, m.Time.After(recent), recent)
		}
		a.next = m.Sequence + 1
	}
	return nil
}

// see notes what a record says. Of one that was not written just now, and that has ended, there is nothing to note. Where
// the key has what is no record, all is as it was until a worker moves that aside.
func (a *asked) see(key string, header nats.Header, record []byte, isRecent bool, recent time.Time) {
	var requests []teamRequest
	head, ok := readHead(record)
	switch deleted := len(record) == 0; {
	case deleted && !isDeletion(header), !deleted && !ok:
		return
	case !deleted && (isRecent || head.State != watcher.Ended):
		var err error
		if requests, err = requestsOf(record); err != nil {
			return
		}
	}
	for _, team := range a.teams[key] {
		delete(a.open[team], key)
	}
	delete(a.teams, key)
	for _, r := range requests {
		if r.Team == "" {
			continue
		}
		delete(a.begun[r.Team], key)
		if r.ReceivedAt.After(recent) {
			put(a.stored, r.Team, key+" "+r.ID, r.ReceivedAt)
		}
		if head.State != watcher.Ended && !slices.Contains(a.teams[key], r.Team) {
			a.teams[key] = append(a.teams[key], r.Team)
			put(a.open, r.Team, key, true)
		}
	}
}

// A teamRequest is what is asked of the requests in a record.
type teamRequest struct {
	ID         string    `json:"request_id"`
	Team       string    `json:"team"`
	ReceivedAt time.Time `json:"received_at"`
}

// requestsOf reads the requests of a record: those that go on, and those that its completion answers.
func requestsOf(record []byte) ([]teamRequest, error) {
	var w struct {
		Requests   []teamRequest `json:"requests"`
		Completion struct {
			Requests []teamRequest `json:"requests"`
		} `json:"completion"`
	}
	err := json.Unmarshal(record, &w)
	return append(w.Requests, w.Completion.Requests...), err
}

// prune forgets once a minute what no longer counts.
func (a *asked) prune(now time.Time) {
	if now.Sub(a.pruned) < time.Minute {
		return
	}
	a.pruned = now
	for _, begun := range a.begun {
		maps.DeleteFunc(begun, func(_ string, until time.Time) bool { return now.After(until) })
	}
	for _, stored := range a.stored {
		maps.DeleteFunc(stored, func(_ string, at time.Time) bool { return now.Sub(at) > askedKept })
	}
}

// put puts the value into the team's map.
func put[V any](all map[string]map[string]V, team, key string, value V) {
	if all[team] == nil {
		all[team] = make(map[string]V)
	}
	all[team][key] = value
}
