package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
)

// A Permission is what the user of a worker must be allowed.
type Permission struct {
	Verb    Verb
	Subject string // as the server's configuration names it; empty for Respond
	Need    Need
	Grant   Grant

	work bool // a worker alone does it
}

// A Verb is what is done with a subject.
type Verb string

// The verbs.
const (
	Publishes  Verb = "publish"
	Subscribes Verb = "subscribe"
	Responds   Verb = "allow_responses" // publishes on the reply subject of what it was sent
)

// A Need says who needs a permission.
type Need string

// The needs.
const (
	NeedAlways    Need = "always"    // every worker, always
	NeedProvision Need = "provision" // a worker that creates what is missing
	NeedHistory   Need = "history"   // a worker that is to know how long orders take
	NeedSweep     Need = "sweep"     // workers that tell each other which orders are listed; without it they work, and poll more often
	NeedDoctor    Need = "doctor"    // a user who inspects: no worker
)

// A Grant says whether a permission is there.
type Grant string

// The grants.
const (
	Granted  Grant = "granted"
	Denied   Grant = "denied"
	NotTried Grant = "not_tried" // what is needed to find out is denied, or there was no answer
)

// probeToken stands where a permission's subject has a wildcard. No key or consumer filter has it there.
const probeToken = "doctor"

// Permissions lists what workers must be allowed, and finds out whether the user who logs in so is. It connects to the
// server on its own, does all of it once, and listens for what the server denies.
//
// Nothing comes of it: questions have no reply subject, and no settings where they would create something;
// acknowledgements are of no delivery; and what would be stored expects a stream of another name, so that the server
// refuses it. A subscriber to orders.> or to holds gets empty messages.
func (i *Inspector) Permissions(ctx context.Context, url string, login ...nats.Option) ([]Permission, error) {
	list := i.permissions()
	if err := i.try(ctx, list, url, login...); err != nil {
		return nil, err
	}
	return list, nil
}

// try finds out whether the user who logs in so has the permissions that are listed.
func (i *Inspector) try(ctx context.Context, list []Permission, url string, login ...nats.Option) error {
	ctx, cancel := context.WithTimeout(ctx, i.store.Timing.Request)
	defer cancel()
	var mu sync.Mutex
	violations := make(map[violation]bool)
	done := make(chan struct{})
	nc, err := nats.Connect(url, append([]nats.Option{
		nats.Name("orderwatch doctor"), nats.NoReconnect(), nats.Timeout(tryConnect),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			mu.Lock()
			defer mu.Unlock()
			if subject, subscribing, ok := link.Violation(err); ok {
				violations[violation{subject, subscribing}] = true
			}
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(done) }),
	}, login...)...)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	reply := nc.NewRespInbox()
	err = i.probe(ctx, nc, list, reply)
	nc.Close()
	<-done // whatever was denied was told before
	if err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	for n := range list {
		p := &list[n]
		switch {
		case p.Verb == Publishes && violations[violation{p.trial(), false}], p.Verb == Subscribes && violations[violation{p.trial(), true}]:
			p.Grant = Denied
			if p.Verb == Publishes {
				i.denied.Store(p.Subject, true)
			}
			if p.Verb == Subscribes && p.Subject == i.inbox().Subject {
				i.deaf.Store(true)
			}
		case p.Verb == Responds && p.Grant == Granted && violations[violation{reply, false}]:
			p.Grant = Denied
		}
	}
	return nil
}

// tryConnect is how long the server is awaited, which answered a moment ago.
const tryConnect = 2 * time.Second

// A violation is what the server denied.
type violation struct {
	subject     string
	subscribing bool // not publishing
}

// probe does all that is listed. What is denied is told to the connection's error handler before it is closed.
func (i *Inspector) probe(ctx context.Context, nc *nats.Conn, list []Permission, reply string) error {
	for n := range list {
		p := &list[n]
		p.Grant = Granted
		var err error
		switch p.Verb {
		case Publishes:
			err = nc.PublishMsg(refused(p.trial(), ""))
		case Subscribes:
			var s *nats.Subscription
			if s, err = nc.SubscribeSync(p.trial()); err == nil {
				err = s.Unsubscribe() // at once: of what came here nobody could be told
			}
		case Responds:
			p.Grant, err = i.respond(ctx, nc, reply)
		}
		if err != nil {
			return fmt.Errorf("try to %s %s: %w", p.Verb, p.Subject, err)
		}
	}
	return nc.FlushWithContext(ctx)
}

// trial returns a subject that the permission covers. A subscription may be to all of it.
func (p Permission) trial() string {
	if p.Verb == Subscribes {
		return p.Subject
	}
	return strings.NewReplacer("*", probeToken, ">", probeToken).Replace(p.Subject)
}

// refused returns a message that no stream stores and no one else can take for anything.
func refused(subject, reply string) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Reply = reply
	m.Header.Set("Nats-Expected-Stream", "none-orderwatch-doctor-probes")
	return m
}

// respond sends the user something with a reply subject, on which it may not publish otherwise, and lets it reply. The
// permission is for one reply.
func (i *Inspector) respond(ctx context.Context, nc *nats.Conn, reply string) (Grant, error) {
	n := i.store.Names
	if n.Domain != "" { // what is written to a bucket comes back on another subject
		return NotTried, nil
	}
	hold := n.Account(store.HoldKeys + probeToken)
	s, err := nc.SubscribeSync(n.Account(store.HoldKeys + ">"))
	if err != nil {
		return "", err
	}
	defer s.Unsubscribe()
	if err := nc.PublishMsg(refused(hold, reply)); err != nil {
		return "", err
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return "", err
	}
	for { // it came before the server's answer to the flush, if at all
		m, err := s.NextMsg(0)
		switch {
		case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrPermissionViolation):
			return NotTried, nil
		case err != nil:
			return "", err
		case m.Subject == hold && m.Reply == reply:
			return Granted, nc.PublishMsg(refused(reply, ""))
		}
	}
}

// PublishedBy returns the subjects that a worker on the store must be allowed to publish on to do its work.
func PublishedBy(s *store.Store) (subjects []string) {
	for _, p := range Over(s).permissions() {
		if p.Verb == Publishes && p.Need != NeedDoctor && p.Need != NeedHistory {
			subjects = append(subjects, p.Subject)
		}
	}
	return subjects
}

// permissions lists what workers need, and users who inspect.
func (i *Inspector) permissions() []Permission {
	n := i.store.Names
	var list []Permission
	add := func(verb Verb, need Need, subjects ...string) {
		for _, s := range subjects {
			list = append(list, Permission{Verb: verb, Subject: s, Need: need})
		}
	}
	streams := i.store.Streams()
	for _, s := range streams {
		add(Publishes, NeedAlways, n.API("STREAM.INFO."+s.Name))
	}
	for _, s := range streams {
		c, ok := i.store.Consumers()[s.Name]
		if !ok {
			continue
		}
		at := s.Name + "." + c.Durable
		add(Publishes, NeedAlways, n.API("CONSUMER.INFO."+at), n.API("CONSUMER.MSG.NEXT."+at), "$JS.ACK."+at+".>", "$JS.ACK.*.*."+at+".>")
	}
	for _, bucket := range []struct{ stream, keys string }{
		{n.RecordStream(), n.Record(">")}, {n.AccountStream(), n.Account(">")}, {n.NoteStream(), n.Note(">")},
	} {
		add(Publishes, NeedAlways, n.Write(bucket.keys))
		add(Publishes, NeedAlways, n.Reads(bucket.stream)...)
	}
	add(Publishes, NeedAlways, n.Reads(n.EventStream())...)
	add(Publishes, NeedAlways, n.API("STREAM.MSG.GET."+n.WakeupStream()))
	add(Publishes, NeedAlways, n.Waiting(">"), n.Due(">"))
	for _, s := range streams {
		if s.Name == n.EventStream() {
			add(Publishes, NeedAlways, s.Subjects...)
		}
	}
	list = append(list, i.inbox())
	add(Subscribes, NeedAlways, n.Service+".>", "$SRV.>", n.Account(store.HoldKeys+">"))
	add(Responds, NeedAlways, "")
	add(Publishes, NeedSweep, n.Listed(">"))
	add(Subscribes, NeedSweep, n.Listed(">"))
	if i.store.Provision {
		for _, s := range streams {
			add(Publishes, NeedProvision, n.API("STREAM.CREATE."+s.Name))
			if c, ok := i.store.Consumers()[s.Name]; ok {
				add(Publishes, NeedProvision, n.API("CONSUMER.CREATE."+s.Name+"."+c.Durable))
			}
		}
	}
	add(Publishes, NeedHistory, i.store.HistoryNeeds()...)
	add(Publishes, NeedDoctor, n.API("INFO"), n.API("STREAM.NAMES"), "$SRV.INFO."+n.Service, n.Service+".status")
	work := []string{
		n.API("CONSUMER.MSG.NEXT." + n.RequestStream() + "." + wire.IntakeConsumer), n.API("CONSUMER.MSG.NEXT." + n.WakeupStream() + "." + wire.PollerConsumer),
		n.Write(n.Record(">")), n.Waiting(">"), n.Due(">"),
	}
	for at := range list {
		list[at].work = slices.Contains(work, list[at].Subject)
	}
	return list
}

// inbox is the permission to subscribe where answers come.
func (i *Inspector) inbox() Permission {
	return Permission{Verb: Subscribes, Subject: cmp.Or(i.nc.Opts.InboxPrefix, "_INBOX") + ".>", Need: NeedAlways}
}
