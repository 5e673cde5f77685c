package events

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// rejections bounds by a rate how many events tell of rejected messages, for each sender that the server vouches for: a
// team, or the operator. What is not told one by one is counted, and summed up once a minute. It is safe for concurrent
// use.
type rejections struct {
	log   *slog.Logger
	store *store.Store
	teams teams.Teams
	// people bounds the senders of whose rejections people are told: one who names another sender each time does not fill
	// their channel.
	people *rate.Limiter

	mu      sync.Mutex
	senders map[string]*rejected
}

// rejected is what one sender's messages came to.
type rejected struct {
	events  *rate.Limiter
	omitted wire.Omitted
	last    wire.Incoming // of those that were not told
	why     *watcher.FieldError
}

// Bounds of the events of one sender, for each worker.
const (
	rejectedAtOnce = 1000
	rejectedAnHour = 1000
	maxSenders     = 1000 // whose messages are bounded each by itself, where no file names the teams
)

func newRejections(log *slog.Logger, s *store.Store, t teams.Teams) *rejections {
	return &rejections{log: log, store: s, teams: t, people: rate.NewLimiter(rate.Every(time.Hour/30), 30), senders: make(map[string]*rejected)}
}

// tell publishes why a message is no request, and tells people, or counts it.
func (r *rejections) tell(ctx context.Context, in wire.Incoming, why *watcher.FieldError) error {
	if r.count(in, why) {
		return nil
	}
	if err := r.store.Reject(ctx, in, why, wire.Omitted{}); err != nil {
		return err
	}
	return r.store.AttendRequest(ctx, in, why, r.people.Allow)
}

// count counts the message where its sender has had its events, and reports whether it did.
func (r *rejections) count(in wire.Incoming, why *watcher.FieldError) bool {
	name := in.Team
	if r.teams.Known(name) != nil {
		name = "?" // all that the file does not name
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.senders[name] == nil && len(r.senders) >= maxSenders+len(r.teams.Names()) {
		name = "?"
	}
	sender := r.senders[name]
	if sender == nil {
		sender = &rejected{events: rate.NewLimiter(rate.Every(time.Hour/rejectedAnHour), rejectedAtOnce)}
		r.senders[name] = sender
	}
	if sender.events.Allow() {
		return false
	}
	if sender.omitted.Count == 0 {
		sender.omitted.Since = in.Stored
	}
	sender.omitted.Count++
	sender.last, sender.why = in, why
	return true
}

// run sums up once a minute what was not told.
func (r *rejections) run(ctx context.Context) {
	for link.Sleep(ctx, r.store.Timing.Beat) {
		r.sumUp(ctx)
	}
}

// finish sums up what was not told when nothing more is taken.
func (r *rejections) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.store.Timing.Request)
	defer cancel()
	r.sumUp(ctx)
}

// sumUp publishes an event for each sender some of whose messages were counted. What cannot be published stays counted.
func (r *rejections) sumUp(ctx context.Context) {
	r.mu.Lock()
	var due []rejected
	for _, sender := range r.senders {
		if sender.omitted.Count > 0 {
			due = append(due, *sender)
			sender.omitted, sender.last, sender.why = wire.Omitted{}, wire.Incoming{}, nil // a message may be large
		}
	}
	r.mu.Unlock()
	for _, one := range due {
		if err := r.store.Reject(ctx, one.last, one.why, wire.Omitted{Count: one.omitted.Count - 1, Since: one.omitted.Since}); err != nil {
			r.log.Warn("not told how many requests were rejected; trying again", "team", one.last.Team, "requests", one.omitted.Count, "err", err)
			r.putBack(one)
		}
	}
}

// putBack counts again what could not be told.
func (r *rejections) putBack(one rejected) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, sender := range r.senders {
		if sender.events != one.events {
			continue
		}
		if sender.omitted.Count == 0 {
			sender.last, sender.why = one.last, one.why
		}
		sender.omitted = wire.Omitted{Count: sender.omitted.Count + one.omitted.Count, Since: one.omitted.Since}
	}
}
