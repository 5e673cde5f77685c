package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// asWorker says how to look at what this login may not look at.
const asWorker = "Run doctor with the worker's environment to look at it."

// stranger finds out what the login may do that is no worker's, and says so. Its answers may come elsewhere
// than a worker's.
func (d *Doctor) stranger(ctx context.Context, x *natsExam) {
	x.stranger = true
	uses, err := x.Uses(ctx, x.nc.ConnectedUrl(), x.login...)
	if err == nil && !x.Heard() {
		d.listenElsewhere(ctx, x)
	}
	x.serves = err == nil && uses.Serve && x.Heard()
	f := &x.seen.permissions
	found := "this is no worker's login: " + mayDo(uses)
	if err != nil {
		found = "this is no worker's login"
	}
	f.add(levelNote, "permissions.login", d.Config.NATS.User, found,
		"What a worker needs is not looked at. Run doctor with the worker's environment to look at it. If this is meant to be the worker's login: it needs what deploy/nats-permissions.conf gives to the user worker.")
	f.unseen("permissions.worker", "", "what a worker may do was not looked at: this is no worker's login", "")
	if !x.Heard() {
		f.unseen("permissions.subscribe", "", "NATS sends this login no answers: none of the inbox prefixes "+strings.Join(d.inboxes(), ", ")+" is allowed",
			"Nothing else in NATS was looked at.")
	}
}

// mayDo says what somebody may do who is no worker.
func mayDo(uses inspect.Uses) string {
	const conf = " of deploy/nats-permissions.conf"
	switch uses {
	case inspect.Uses{Ask: true, Serve: true, Follow: true}:
		return "it may ask for watches, use the service and follow events, as the user person" + conf
	case inspect.Uses{Ask: true}:
		return "it may ask for watches, as the user producer" + conf
	case inspect.Uses{Follow: true}:
		return "it may follow events"
	case inspect.Uses{}:
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
func (d *Doctor) inboxes() []string {
	return slices.Compact([]string{"_INBOX_" + d.Config.Assets.ServicePrefix, d.Config.NATS.InboxPrefix(), "_INBOX"})
}

// listenElsewhere connects anew with the first inbox prefix that the login may use.
func (d *Doctor) listenElsewhere(ctx context.Context, x *natsExam) {
	for _, prefix := range d.inboxes()[1:] {
		login := append(slices.Clone(x.login), nats.CustomInboxPrefix(prefix))
		nc, err := connectOnce(ctx, x.url, login)
		if err != nil {
			return
		}
		i, err := inspect.New(serve.StoreConfig(d.Config, serve.LoadTiming().Timing), nc, x.time)
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

// askWorkers asks the service how the workers and the watches are, where the login may not look. It returns
// how many workers there are, -1 where that is not known.
func (d *Doctor) askWorkers(ctx context.Context, x *natsExam) (present int) {
	asking, err := client.New(x.nc, serve.Names(d.Config))
	var status wire.Status
	if err == nil {
		status, err = asking.Status(ctx)
	}
	workers, watches := &x.seen.workers, &x.seen.watches
	switch {
	case errors.Is(err, client.ErrNoWorker):
		workers.add(levelWarning, "workers.present", "", "no worker answers on "+d.Config.Assets.ServicePrefix+".status: there is none with this service prefix, or all are of an earlier release", "Start orderwatch serve: without a worker requests are kept, but nothing is polled.")
		watches.unseen("watches.open", "", "were not looked at: no worker answers", asWorker)
		return -1
	case err != nil:
		workers.unseen("workers.present", "", "were not looked at: "+err.Error(), asWorker)
		watches.unseen("watches.open", "", "were not looked at: "+err.Error(), asWorker)
		return -1
	}
	present = -1
	if status.Workers != nil {
		present = status.Workers.Present
		workers.present(present)
	}
	for _, h := range status.Held {
		workers.hold(h.Kind, h.Account, h.Since, h.Why)
	}
	if w := status.Watches; w != nil {
		watches.counts(*w)
	}
	if p := status.People; p != nil {
		workers.people(*p)
	}
	for _, what := range status.NotLookedAt {
		workers.unseen("workers.status", "", "a worker could not look at "+what, asWorker)
	}
	return present
}

// counts says how many watches are as they must be.
func (f *findings) counts(w wire.WatchCount) {
	open := fmt.Sprintf("%d watched, %d ending", w.Watching, w.Ending)
	if !w.All {
		open += "; there was no time to read all"
	}
	f.ok("watches.open", "", open)
	if w.Overdue+w.Stuck == 0 {
		f.ok("watches.overdue", "", "none")
	} else {
		f.add(levelWarning, "watches.overdue", "", fmt.Sprintf("%d are late, by more than their interval and a minute, and %d are ending for over a minute", w.Overdue, w.Stuck),
			"The patrol of a worker wakes them; orderwatch poll wakes one at once.")
	}
	if w.Unreadable > 0 {
		f.add(levelProblem, "watches.unreadable", "", words.Count(w.Unreadable, "record")+" cannot be read, or were deleted while their watch went on",
			"Publish the requests of these orders again, under new ids: orderwatch list names those that workers have told of.")
	}
}

// people tells of what people were not told.
func (f *findings) people(p wire.Untold) {
	for _, trouble := range p.Troubles {
		f.add(levelWarning, "workers.slack", "", trouble, "")
	}
	if p.Undelivered > 0 {
		f.add(levelNote, "workers.undelivered", "", words.Count(p.Undelivered, "message")+" Slack finally refused", "See orderwatch events --kind undelivered.")
	}
}
