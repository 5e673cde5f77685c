package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// workers looks at who works.
func (x *exam) workers(ctx context.Context) {
	w, err := x.Workers(ctx)
	if err != nil {
		x.missed("workers.present", "were not looked at: what workers share cannot be read: "+err.Error(),
			"It shows when the streams are there and the user may read them.")
		return
	}
	x.holds = w.Holds
	x.areThere(w.Present)
	if w.Present > 0 {
		x.versions(ctx)
	}
	for _, key := range slices.Sorted(maps.Keys(w.Holds)) {
		hold := w.Holds[key]
		x.hold(hold.Kind, key, hold.Since, hold.Why())
	}
	for _, l := range w.Leases {
		if l.Off(x.time.Now()) {
			x.unlisted(l.Place.Region, l.Place.ProjectID, l.OffUntil, l.Why)
		}
	}
}

// unlisted tells of a project whose orders workers do not list.
func (x *exam) unlisted(region, project string, until time.Time, why string) {
	x.add(levelWarning, "workers.list", region+" "+project, fmt.Sprintf("workers do not list its orders until %s: %s", until.UTC().Format(time.RFC3339), why),
		"They are polled as without the list, and their ends are seen later. It is tried again by itself. To list none, set ORDERWATCH_SWEEP_EVERY=0.")
}

// askWorkers asks the service how the workers and the watches are, where the login may not look.
func (x *exam) askWorkers(ctx context.Context) {
	status, err := x.status(ctx)
	switch {
	case errors.Is(err, client.ErrNoWorker):
		x.add(levelWarning, "workers.present", "", "no worker answers on "+x.Config.Assets.ServicePrefix+".status: there is none with this service prefix, or all are of an earlier release", "Start orderwatch serve: without a worker requests are kept, but nothing is polled.")
		x.unseen("watches.open", "", "were not looked at: no worker answers", asWorker)
		return
	case err != nil:
		x.unseen("workers.present", "", "were not looked at: "+err.Error(), asWorker)
		x.unseen("watches.open", "", "were not looked at: "+err.Error(), asWorker)
		return
	}
	if status.Workers != nil {
		x.areThere(status.Workers.Present)
	}
	for _, h := range status.Held {
		x.hold(h.Kind, h.Account, h.Since, h.Why)
	}
	x.rates(status.Rates)
	for _, u := range status.Unlisted {
		x.unlisted(u.Region, u.ProjectID, u.Until, u.Why)
	}
	if w := status.Watches; w != nil {
		x.counts(*w)
	}
	if p := status.People; p != nil {
		for _, trouble := range p.Troubles {
			x.add(levelWarning, "workers.slack", "", trouble, "")
		}
		if p.Undelivered > 0 {
			x.add(levelNote, "workers.undelivered", "", words.Count(p.Undelivered, "message")+" Slack finally refused", "See orderwatch events --kind undelivered.")
		}
	}
	for _, what := range status.NotLookedAt {
		x.unseen("workers.status", "", "a worker could not look at "+what, asWorker)
	}
}

// status asks a worker how the installation is.
func (x *exam) status(ctx context.Context) (wire.Status, error) {
	asking, err := client.New(x.nc, serve.Names(x.Config))
	if err != nil {
		return wire.Status{}, err
	}
	return asking.Status(ctx)
}

// askRates asks a worker how many polls are wanted and allowed. Where no worker answers as a service, versions tells of it.
func (x *exam) askRates(ctx context.Context) {
	status, err := x.status(ctx)
	switch {
	case errors.Is(err, client.ErrNoWorker):
	case err != nil:
		x.missed("workers.rate", "was not looked at: "+err.Error(), "Allow it, as in deploy/nats-permissions.conf, or ask as the user person: orderwatch status.")
	default:
		x.rates(status.Rates)
	}
}

// rates tells of regions in which more polls are wanted than the rate allows.
func (x *exam) rates(all []wire.Rate) {
	for _, r := range all {
		found := fmt.Sprintf("%g polls a second are wanted, %g are allowed", r.Wanted, r.Allowed)
		if r.UsedUpSince.IsZero() {
			x.ok("workers.rate", r.Region, found)
			continue
		}
		x.add(levelWarning, "workers.rate", r.Region, fmt.Sprintf("polls are late by %s since %s: %s", r.Late, r.UsedUpSince.UTC().Format(time.RFC3339), found),
			"Raise ORDERWATCH_MODELARTS_RATE, if ModelArts allows the account more, or ORDERWATCH_POLL_MAX.")
	}
}

// areThere says how many workers there are.
func (x *exam) areThere(workers int) {
	x.present = workers
	switch workers {
	case 0: // how bad that is, nobodyWorks says
	case 1:
		x.add(levelNote, "workers.present", "", "one: while it restarts, nothing is polled", "Two or more go on when one ends.")
	default:
		x.ok("workers.present", "", fmt.Sprint(workers))
	}
}

// nobodyWorks says that there is no worker. That is a problem where something waits for one, and none before the first starts.
func (x *exam) nobodyWorks(list []inspect.Asset) {
	requests := 0
	for _, a := range list {
		if a.Stream == serve.Names(x.Config).RequestStream() && a.Consumer == "" {
			requests = int(a.Messages) // until a worker takes them
		}
	}
	level, found := levelWarning, "none: requests are kept, but nothing is polled"
	if x.open > 0 {
		level, found = levelProblem, found+"; open: "+words.Count(x.open, "watch")
	}
	if requests > 0 {
		level, found = levelProblem, found+"; waiting: "+words.Count(requests, "request")
	}
	x.add(level, "workers.present", "", found, "Start orderwatch serve.")
}

// hold tells of a hold of an account. It is a problem where no order is seen meanwhile.
func (x *exam) hold(kind watcher.HoldKind, key string, since time.Time, why string) {
	level := levelWarning
	if kind.Stops() {
		level = levelProblem
	}
	x.add(level, "workers.hold", key, fmt.Sprintf("%s since %s: %s", kind, since.UTC().Format(time.RFC3339), why),
		"Workers try again by themselves. Deadlines go on meanwhile.")
}

func (x *exam) versions(ctx context.Context) {
	found, others, err := x.Instances(ctx, 0)
	if err != nil {
		x.missed("workers.versions", "were not looked at: "+err.Error(), "Allow it, or look yourself: nats micro list.")
		return
	}
	for _, requests := range others {
		x.add(levelProblem, "workers.service", x.Config.Assets.ServicePrefix, "another installation answers on this service, too: the one that takes requests on "+requests+". Each question goes to one of the two",
			"Set ORDERWATCH_SERVICE_PREFIX to a name of your own. Change nothing of the other installation.")
	}
	slices.Sort(found)
	found = slices.Compact(found)
	switch {
	case len(found) == 0:
		x.add(levelWarning, "workers.versions", "", "no worker answers as a service, although they give signs", "See their log: they may not be ready.")
	case len(found) > 1:
		x.add(levelWarning, "workers.versions", "", strings.Join(found, ", ")+" side by side", "That is right during an update, and only then.")
	case found[0] != wire.Semantic(x.Config.Version):
		x.add(levelNote, "workers.versions", "", found[0]+"; this doctor is "+x.Config.Version, "What it looks for is what its own version needs.")
	default:
		x.ok("workers.versions", "", found[0])
	}
}
