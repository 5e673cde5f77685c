package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// assets looks at streams, buckets and consumers. present is how many workers there are, -1 where that
// is not known.
func (d *Doctor) assets(ctx context.Context, x *natsExam, list []inspect.Asset, present int) {
	f := &x.seen.assets
	single, denied := false, 0
	taken := x.neighbours(ctx, list)
	ours := slices.ContainsFunc(list, func(a inspect.Asset) bool { return a.Err == nil && a.Consumer == "" && !isBucket(a.Stream) })
	for _, a := range list {
		switch {
		case a.Missing:
			d.missing(f, a, present, taken)
			continue
		case errors.Is(a.Err, inspect.ErrDenied) && x.stranger:
			denied++
			continue
		case errors.Is(a.Err, inspect.ErrDenied):
			f.unseen("assets.state", a.Name(), a.Err.Error(), "Give the worker's user that permission.")
			continue
		case noJetStream(a.Err):
			f.add(levelProblem, "assets.state", "", "there is no JetStream that answers",
				"It is not enabled for the servers or the account, is starting, or has no leader.")
			return
		case a.Err != nil && ctx.Err() != nil:
			f.add(levelProblem, "assets.state", a.Name(), "does not answer",
				"It has no leader, or this user may not look at it: nats stream info "+a.Stream+".")
			continue
		case a.Err != nil:
			f.add(levelProblem, "assets.state", a.Name(), "cannot be looked at: "+a.Err.Error(), "Look at the server's log.")
			continue
		}
		before := len(*f)
		d.settings(f, a, x.stranger, ours)
		replicas(f, a)
		if a.Consumer != "" {
			backlog(f, a, present)
		}
		if x.stranger {
			(*f)[before:].askOthers()
		}
		if len(*f) == before || !slices.ContainsFunc((*f)[before:], func(one finding) bool { return one.Level == levelProblem }) {
			kind, name, _ := strings.Cut(a.Name(), " ")
			f.ok("assets."+kind, name, contents(a))
		}
		single = single || a.Replicas == 1
	}
	if denied > 0 {
		f.unseen("assets.state", "", fmt.Sprintf("%d of %d streams, buckets and consumers were not looked at: this login may not", denied, len(list)), asWorker)
	}
	if x.stranger || !ours {
		return // how many replicas are wanted is not known, or whose they are
	}
	uneven(f, list)
	if single && d.Config.Assets.StreamReplicas == 1 && d.Config.NATS.EmbeddedDir == "" {
		f.add(levelNote, "assets.replicas", "", "one replica: with its server's disk everything is lost",
			"In production run three servers and set ORDERWATCH_STREAM_REPLICAS=3. What is there already needs, one after the other: "+replicaCommands(list, 3)+".")
	}
}

// noJetStream reports whether the error says so.
func noJetStream(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) ||
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
}

// contents says what a stream holds, or how much a consumer has before it.
func contents(a inspect.Asset) string {
	if a.Consumer == "" {
		return fmt.Sprintf("%s, %s", words.Count(int(a.Messages), "message"), output.Bytes(a.Bytes))
	}
	return fmt.Sprintf("%d to deliver, %d in flight", a.Pending, a.InFlight)
}

// missing tells of what is not there.
func (d *Doctor) missing(f *findings, a inspect.Asset, present int, taken map[string]inspect.Neighbour) {
	switch by, isTaken := taken[a.Stream]; {
	case isTaken:
		f.unseen("assets.missing", a.Name(), "is not there, and cannot be created: stream "+by.Stream+" has the subject "+by.Subject, "")
	case !d.Config.Assets.Provision:
		f.add(levelProblem, "assets.missing", a.Name(), "is not there",
			"No worker starts without it, and ORDERWATCH_PROVISION is false: run one once with a user that may create it and ORDERWATCH_PROVISION=true.")
	case present > 0:
		f.add(levelWarning, "assets.missing", a.Name(), "is not there, although workers run",
			"They make it anew within seconds where they may: see their log. What it held is lost.")
	default:
		f.add(levelNote, "assets.missing", a.Name(), "is not there yet", "The first worker that starts creates it, if no other stream has its subjects.")
	}
}

// settings tells of settings that are not as wanted. What is not surely this installation's is not to be
// changed. What somebody wants who is no worker depends on another environment than the workers'.
func (d *Doctor) settings(f *findings, a inspect.Asset, stranger, ours bool) {
	for _, difference := range telling(a.Differences) {
		about := a.Name() + ": " + difference.Setting
		if stranger && !difference.Fatal {
			f.unseen("assets.setting", about, "is "+difference.Found+"; whether the workers want that is not known here", asWorker)
			continue
		}
		one := finding{
			Check: "assets.setting", About: about, Level: levelWarning,
			Found: difference.Found, Wanted: difference.Wanted, Do: d.change(a, difference),
		}
		more := a.Replicas > d.Config.Assets.StreamReplicas
		switch {
		case difference.Fatal:
			one.Level = levelProblem
		case difference.Setting == "description", difference.Setting == "num_replicas" && more:
			one.Level = levelNote
		}
		if !ours {
			one.Do = "Find out whose it is before you change it: no stream of this installation was seen beside it."
		}
		*f = append(*f, one)
	}
}

// telling leaves out what NATS itself changes where it seals a stream.
func telling(all []inspect.Difference) []inspect.Difference {
	sealed := func(d inspect.Difference) bool { return d.Setting == "sealed" }
	if n := slices.IndexFunc(all, sealed); n >= 0 {
		return all[n : n+1]
	}
	return all
}

// unchangeable are the settings that NATS changes of nothing that is there.
var unchangeable = []string{"retention", "storage", "sealed", "deny_delete", "deny_purge", "deliver_policy", "ack_policy", "replay_policy", "deliver_subject"}

// change says how to make a setting as it is wanted.
func (d *Doctor) change(a inspect.Asset, difference inspect.Difference) string {
	edit := "Change it with nats stream edit " + a.Stream
	if a.Consumer != "" {
		edit = "Change it with nats consumer edit " + a.Stream + " " + a.Consumer
	}
	const leave = ", or leave it: workers work with it."
	wanted := d.Config.Assets.StreamReplicas
	fixed := slices.Contains(unchangeable, difference.Setting)
	switch {
	case difference.Fatal && fixed:
		return "NATS does not change it. Workers take nothing, since work would be lost or repeated with it. Delete the " + a.Name() + " when you need nothing that it holds: it is created anew."
	case difference.Fatal:
		return edit + ": work would be lost or repeated with it, so workers take nothing."
	case fixed:
		return "Leave it: workers work with it, and NATS does not change it."
	case difference.Setting == "num_replicas" && a.Replicas > wanted:
		return fmt.Sprintf("Set ORDERWATCH_STREAM_REPLICAS=%d: what is made anew would have fewer.", a.Replicas)
	case difference.Setting == "num_replicas" && a.Consumer == "":
		return "Change it with " + replicaCommand(a.Stream, wanted) + leave
	case difference.Setting == "ack_wait":
		return edit + " --wait " + difference.Wanted + leave
	}
	return edit + leave
}

// askOthers replaces what is to be done by somebody else than the one who looks.
func (f findings) askOthers() {
	for i := range f {
		if f[i].Level != levelOK && !f[i].unlooked {
			f[i].Do = "Tell those who run the workers."
		}
	}
}

// replicas tells of copies that are not there.
func replicas(f *findings, a inspect.Asset) {
	if a.NoLeader {
		f.add(levelProblem, "assets.leader", a.Name(), "has no leader: nothing is stored or delivered",
			"More than half of its servers must run: nats server report jetstream.")
	}
	if len(a.Behind) > 0 {
		f.add(levelWarning, "assets.replicas", a.Name(), strings.Join(a.Behind, ", "),
			"Look at those servers: the next failure may stop it.")
	}
}

// From how many on something is worth a look.
const (
	largeBacklog  = 1000
	manyDelivered = 100 // more than once
)

// backlog tells of messages that wait.
func backlog(f *findings, a inspect.Asset, present int) {
	switch {
	case a.Paused:
		until := "somebody resumes it"
		if !a.PausedUntil.IsZero() {
			until = a.PausedUntil.Format(time.RFC3339)
		}
		f.add(levelWarning, "assets.paused", a.Name(), fmt.Sprintf("is paused until %s; %d wait", until, a.Pending),
			"Resume it: nats consumer resume "+a.Stream+" "+a.Consumer+". Deadlines go on meanwhile.")
	case a.Pending >= largeBacklog, a.Pending > 0 && present == 0:
		f.add(levelWarning, "assets.backlog", a.Name(), fmt.Sprintf("%d wait to be delivered", a.Pending),
			"Run more workers, or look at why they do not take them.")
	}
	if a.Redelivered == 0 {
		return
	}
	level, do := levelNote, ""
	if a.Redelivered >= manyDelivered {
		level, do = levelWarning, "Workers die, or put things back: see their log."
	}
	if a.Consumer == slackConsumer {
		do = "Slack did not take them, or they wait for their turn: the workers' /readyz says whether it takes messages."
	}
	f.add(level, "assets.redelivered", a.Name(), fmt.Sprintf("%d of %d in flight were delivered before", a.Redelivered, a.InFlight), do)
}

// slackConsumer is the consumer that tells people.
const slackConsumer = "slack"

// watches looks at the open watches.
func (d *Doctor) watches(ctx context.Context, x *natsExam) {
	f := &x.seen.watches
	w, err := x.Watches(ctx)
	if err != nil {
		x.unseen(f, "watches.open", "", "were not looked at: the records cannot be read: "+err.Error(),
			"They show when the streams are there and the user may read them.")
		return
	}
	x.seen.projects, _ = x.Projects(ctx) // where it does not know, other checks say so
	open := fmt.Sprintf("%d watched, %d ending", w.Watching, w.Ending)
	if !w.All {
		open += "; there was no time to read all"
	}
	f.ok("watches.open", "", open)
	f.broken(w.Broken)
	f.unreadable(w.Unreadable - len(w.Broken))
	if w.BrokenErr != nil {
		x.unseen(f, "watches.broken", "", "which broken records workers know of was not looked at: "+w.BrokenErr.Error(), "Try again.")
	}
	var worst []string
	for _, late := range w.Worst {
		worst = append(worst, fmt.Sprintf("%s by %s", late.Order, words.Brief(late.Late)))
	}
	if w.Overdue+w.Stuck == 0 {
		f.ok("watches.overdue", "", "none")
	} else {
		const found = "%d are late, by more than their interval and a minute, and %d are ending for over a minute; worst: %s"
		f.add(levelWarning, "watches.overdue", "", fmt.Sprintf(found, w.Overdue, w.Stuck, strings.Join(worst, ", ")),
			"Look for workers that are not ready, and for warnings above and below. The patrol of a worker wakes them; orderwatch poll wakes one at once.")
	}
}

// lostFor is how long the loss of the store is a problem: afterwards nobody waits for what was watched then.
const lostFor = 48 * time.Hour

// mostBrokenShown is how many broken records are named.
const mostBrokenShown = 10

// broken tells of broken records that workers know of.
func (f *findings) broken(records []wire.BrokenRecord) {
	for i, b := range records {
		if i == mostBrokenShown {
			f.add(levelProblem, "watches.broken", "", fmt.Sprintf("%d more broken records", len(records)-i), "orderwatch list names them.")
			return
		}
		found := "broken record since " + b.Since.UTC().Format(time.RFC3339) + ": " + b.Reason
		if !b.MovedAt.IsZero() {
			found += "; it was moved aside, and the next request starts a new watch"
		}
		do := "Publish its requests again, under a new id: orderwatch events " + b.Order.String() + " names who asked."
		if len(b.Requests) > 0 {
			do = "Publish these again, under a new id: " + strings.Join(b.Requests, ", ") + "."
		}
		f.add(levelProblem, "watches.broken", b.Order.String(), found, do)
	}
}

// unreadable tells of records that cannot be read, and of which no worker has told yet.
func (f *findings) unreadable(records int) {
	if records > 0 {
		f.add(levelProblem, "watches.unreadable", "", words.Count(records, "record")+" cannot be read: something else than a worker wrote there, and no worker has told of it yet",
			"A worker tells which within two minutes; then publish the requests of these orders again, under new ids. Let only workers write to the bucket: deploy/nats-permissions.conf.")
	}
}

// losses looks whether what workers had stored was lost.
func (d *Doctor) losses(ctx context.Context, x *natsExam) {
	f := &x.seen.watches
	told, err := x.Losses(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound): // others tell of it
	case err != nil:
		x.unseen(f, "watches.lost", "", "whether something stored was lost was not looked at: "+err.Error(), "It shows when the streams are there and the user may read them.")
	}
	for _, a := range told {
		if x.time.Now().Sub(a.Since) >= lostFor {
			continue
		}
		do := "Find out why: somebody deleted or emptied a stream, or a server's store_dir is not on a disk that stays."
		if a.Forgets() {
			do = "Publish the requests again. " + do
		}
		f.add(levelProblem, "watches.lost", "", "what workers had stored is gone since "+a.Since.UTC().Format(time.RFC3339)+": "+a.Reason, do)
	}
}

// workers looks at who works, and returns how many, -1 where that is not known.
func (d *Doctor) workers(ctx context.Context, x *natsExam) (present int) {
	f := &x.seen.workers
	w, err := x.Workers(ctx)
	if err != nil {
		x.unseen(f, "workers.present", "", "were not looked at: what workers share cannot be read: "+err.Error(),
			"It shows when the streams are there and the user may read them.")
		return -1
	}
	x.seen.holds = w.Holds
	f.present(w.Present)
	if w.Present > 0 {
		d.versions(ctx, x)
	}
	for _, key := range slices.Sorted(maps.Keys(w.Holds)) {
		hold := w.Holds[key]
		f.hold(hold.Kind, key, hold.Since, hold.Why())
	}
	return w.Present
}

// present says how many workers there are.
func (f *findings) present(workers int) {
	switch workers {
	case 0:
		f.add(levelWarning, "workers.present", "", "none: requests are kept, but nothing is polled", "Start orderwatch serve.")
	case 1:
		f.add(levelNote, "workers.present", "", "one: while it restarts, nothing is polled", "Two or more go on when one ends.")
	default:
		f.ok("workers.present", "", fmt.Sprint(workers))
	}
}

// hold adds that an account is held.
func (f *findings) hold(kind watcher.HoldKind, key string, since time.Time, why string) {
	f.add(holdLevel(kind), "workers.hold", key, fmt.Sprintf("%s since %s: %s", kind, since.UTC().Format(time.RFC3339), why),
		"Workers try again by themselves. Deadlines go on meanwhile.")
}

// holdLevel says how bad a hold is: whether it may pass by itself.
func holdLevel(kind watcher.HoldKind) level {
	if kind == watcher.HeldThrottled || kind == watcher.HeldUnreachable {
		return levelWarning
	}
	return levelProblem
}

// versions compares the versions of those who answer.
func (d *Doctor) versions(ctx context.Context, x *natsExam) {
	f := &x.seen.workers
	found, others, err := x.Instances(ctx, 0)
	if err != nil {
		x.unseen(f, "workers.versions", "", "were not looked at: "+err.Error(), "Allow it, or look yourself: nats micro list.")
		return
	}
	for _, requests := range others {
		f.add(levelProblem, "workers.service", d.Config.Assets.ServicePrefix, "another installation answers on this service, too: the one that takes requests on "+requests+". Each question goes to one of the two",
			"Set ORDERWATCH_SERVICE_PREFIX to a name of your own. Change nothing of the other installation.")
	}
	slices.Sort(found)
	distinct := slices.Compact(slices.Clone(found))
	switch {
	case len(found) == 0:
		f.add(levelWarning, "workers.versions", "", "no worker answers as a service, although they give signs",
			"See their log: they may not be ready.")
	case len(distinct) > 1:
		f.add(levelWarning, "workers.versions", "", strings.Join(distinct, ", ")+" side by side",
			"That is right during an update, and only then.")
	case distinct[0] != wire.Semantic(d.Config.Version):
		f.add(levelNote, "workers.versions", "", distinct[0]+"; this doctor is "+d.Config.Version,
			"What it looks for is what its own version needs.")
	default:
		f.ok("workers.versions", "", distinct[0])
	}
}
