package inspect

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// MayWork reports whether the login that [Inspector.Permissions] looked at may do at least one thing that a worker alone
// does: take requests or wake-ups, write records or wake-ups. What could not be tried counts as allowed.
func MayWork(list []Permission) bool {
	return slices.ContainsFunc(list, func(p Permission) bool { return p.work && p.Grant != Denied })
}

// Uses are what those may do who are no workers.
type Uses struct {
	Ask    bool // publish requests
	Serve  bool // use the service
	Follow bool // follow events: by the service, or by a consumer
}

// Uses finds out what the user who logs in so may do without being a worker, as [Inspector.Permissions] does.
func (i *Inspector) Uses(ctx context.Context, url string, login ...nats.Option) (Uses, error) {
	n := i.store.Names
	list := []Permission{
		{Verb: Publishes, Subject: n.Watch()},
		{Verb: Publishes, Subject: n.Service + ".*"},
		{Verb: Publishes, Subject: n.API("CONSUMER.CREATE." + n.EventStream() + ".>")},
		i.inbox(),
	}
	if err := i.try(ctx, list, url, login...); err != nil {
		return Uses{}, err
	}
	granted := func(at int) bool { return list[at].Grant == Granted }
	return Uses{granted(0), granted(1), granted(1) || granted(2)}, nil // the service hands out events, too
}

// Heard reports whether the user may subscribe where its answers come, as far as [Inspector.Permissions] or
// [Inspector.Uses] found out.
func (i *Inspector) Heard() bool { return !i.deaf.Load() }

// A Neighbour is a stream of somebody else that has a subject of this installation.
type Neighbour struct {
	Stream  string
	Subject string
	Own     string // the stream of this installation that is to have the subject
}

// Neighbours looks who has the subjects of this installation, beside its own streams. The error is an
// [ErrDenied] where the user may not ask.
func (i *Inspector) Neighbours(ctx context.Context) (all []Neighbour, err error) {
	if err := i.may(i.store.Names.API("STREAM.NAMES")); err != nil {
		return nil, err
	}
	for _, own := range i.store.Streams() {
		for _, subject := range own.Subjects {
			streams := i.store.JS.StreamNames(ctx, jetstream.WithStreamListSubject(subject))
			for name := range streams.Name() {
				if name != own.Name {
					all = append(all, Neighbour{name, subject, own.Name})
				}
			}
			if err := streams.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
				return all, err
			}
		}
	}
	return all, nil
}

// otherSubjects returns the subjects of a stream that has this installation's name, but none of its subjects.
func otherSubjects(wanted, found jetstream.StreamConfig) []string {
	if slices.ContainsFunc(wanted.Subjects, func(s string) bool { return slices.Contains(found.Subjects, s) }) {
		return nil
	}
	return found.Subjects
}
