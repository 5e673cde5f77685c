package main

import (
	"context"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events"
)

// asWorker says how to look at what this login may not look at.
const asWorker = "Run doctor with the worker's environment to look at it."

// stranger finds out what the login may do that is no worker's, and says so. Its answers may come elsewhere
// than a worker's.
func (d *doctor) stranger(ctx context.Context, x *natsExam) {
	x.stranger = true
	uses, err := x.Uses(ctx, x.nc.ConnectedUrl(), x.login...)
	if err == nil && !x.Heard() {
		d.listenElsewhere(ctx, x)
	}
	f := &x.seen.permissions
	found := "this is no worker's login: " + mayDo(uses)
	if err != nil {
		found = "this is no worker's login"
	}
	f.add(levelNote, "permissions.login", d.config.NATS.User, found,
		"What a worker needs is not looked at. Run doctor with the worker's environment to look at it. If this is meant to be the worker's login: it needs what deploy/nats-permissions.conf gives to the user worker.")
	f.unseen("permissions.worker", "", "what a worker may do was not looked at: this is no worker's login", "")
	if !x.Heard() {
		f.unseen("permissions.subscribe", "", "NATS sends this login no answers: none of the inbox prefixes "+strings.Join(d.inboxes(), ", ")+" is allowed",
			"Nothing else in NATS was looked at.")
	}
}

// mayDo says what somebody may do who is no worker.
func mayDo(uses events.Uses) string {
	const conf = " of deploy/nats-permissions.conf"
	switch uses {
	case events.Uses{Ask: true, Serve: true, Follow: true}:
		return "it may ask for watches, use the service and follow events, as the user person" + conf
	case events.Uses{Ask: true}:
		return "it may ask for watches, as the user producer" + conf
	case events.Uses{Follow: true}:
		return "it may follow events"
	case events.Uses{}:
		return "it may do nothing of what workers do, and neither ask for watches, use the service nor create a consumer of events"
	}
	var may []string
	for _, use := range []struct {
		granted bool
		what    string
	}{{uses.Ask, "ask for watches"}, {uses.Serve, "use the service"}, {uses.Follow, "follow events"}} {
		if use.granted {
			may = append(may, use.what)
		}
	}
	return "it may " + strings.Join(may, " and ")
}

// inboxes returns the prefixes of the subjects where answers may come to the login.
func (d *doctor) inboxes() []string {
	prefixes := []string{"_INBOX_" + d.config.Assets.ServicePrefix}
	if user := d.config.NATS.User; subjectTokens.MatchString(user) {
		prefixes = append(prefixes, "_INBOX_"+user) // as deploy/nats-permissions.conf gives each user its own
	}
	return append(slices.Compact(prefixes), strings.TrimSuffix(nats.InboxPrefix, "."))
}

// listenElsewhere connects anew with the first inbox prefix that the login may use.
func (d *doctor) listenElsewhere(ctx context.Context, x *natsExam) {
	for _, prefix := range d.inboxes()[1:] {
		login := append(slices.Clone(x.login), nats.CustomInboxPrefix(prefix))
		nc, err := connectOnce(ctx, x.url, login)
		if err != nil {
			return
		}
		i, err := events.NewInspector(d.eventsConfig(), nc, x.time)
		if err == nil {
			_, err = i.Permissions(ctx, nc.ConnectedUrl(), login...)
		}
		if err == nil && i.Heard() {
			x.nc.Close()
			x.nc, x.login, x.Inspector = nc, login, i
			return
		}
		nc.Close()
	}
}

// unseen adds what could not be looked at, and what to do about it. Where the login is no worker's, it is
// the login that is to be another.
func (x *natsExam) unseen(f *findings, check, about, found, do string) {
	if x.stranger {
		do = asWorker
	}
	f.unseen(check, about, found, do)
}
