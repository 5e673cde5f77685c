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
	"github.com/orderwatch/orderwatch/watcher/words"
)

// assets looks at streams, buckets and consumers.
func (x *exam) assets(ctx context.Context, list []inspect.Asset) {
	single, denied := false, 0
	taken := x.neighbours(ctx, list)
	ours := slices.ContainsFunc(list, func(a inspect.Asset) bool {
		return a.Err == nil && a.Consumer == "" && !strings.HasPrefix(a.Stream, bucketStreams)
	})
	for _, a := range list {
		switch {
		case a.Optional && !x.stranger && errors.Is(a.Err, inspect.ErrDenied):
		case a.Missing:
			x.missing(a, taken)
		case errors.Is(a.Err, inspect.ErrDenied) && x.stranger:
			denied++
		case errors.Is(a.Err, inspect.ErrDenied):
			x.unseen("assets.state", a.Name(), a.Err.Error(), "Give the worker's user that permission.")
		case errors.Is(a.Err, nats.ErrNoResponders), errors.Is(a.Err, jetstream.ErrJetStreamNotEnabled), errors.Is(a.Err, jetstream.ErrJetStreamNotEnabledForAccount):
			x.add(levelProblem, "assets.state", "", "there is no JetStream that answers",
				"It is not enabled for the servers or the account, is starting, or has no leader.")
			return
		case a.Err != nil && ctx.Err() != nil:
			x.add(levelProblem, "assets.state", a.Name(), "does not answer",
				"It has no leader, or this user may not look at it: nats stream info "+a.Stream+".")
		case a.Err != nil:
			x.add(levelProblem, "assets.state", a.Name(), "cannot be looked at: "+a.Err.Error(), "Look at the server's log.")
		default:
			x.asset(a, ours)
			single = single || a.Replicas == 1
		}
	}
	if denied > 0 {
		x.unseen("assets.state", "", fmt.Sprintf("%d of %d streams, buckets and consumers were not looked at: this login may not", denied, len(list)), asWorker)
	}
	if x.stranger || !ours {
		return // how many replicas are wanted is not known, or whose they are
	}
	x.uneven(list)
	if single && x.Config.Assets.StreamReplicas == 1 && x.Config.NATS.EmbeddedDir == "" {
		x.add(levelNote, "assets.replicas", "", "one replica: with its server's disk everything is lost",
			"In production run three servers and set ORDERWATCH_STREAM_REPLICAS=3. What is there already needs, one after the other: "+replicaCommands(list, 3)+".")
	}
}

// asset tells of a stream or a consumer that is there.
func (x *exam) asset(a inspect.Asset, ours bool) {
	problem := x.settings(a, ours) || a.NoLeader
	if a.NoLeader {
		x.add(levelProblem, "assets.leader", a.Name(), "has no leader: nothing is stored or delivered",
			x.orTell("More than half of its servers must run: nats server report jetstream."))
	}
	if len(a.Behind) > 0 {
		x.add(levelWarning, "assets.replicas", a.Name(), strings.Join(a.Behind, ", "), x.orTell("Look at those servers: the next failure may stop it."))
	}
	contents := fmt.Sprintf("%s, %s", words.Count(int(a.Messages), "message"), output.Bytes(a.Bytes))
	if a.Consumer != "" {
		if !a.Optional { // nobody waits for what it delivers
			x.backlog(a)
		}
		contents = fmt.Sprintf("%d to deliver, %d in flight", a.Pending, a.InFlight)
	}
	if !problem {
		kind, name, _ := strings.Cut(a.Name(), " ")
		x.ok("assets."+kind, name, contents)
	}
}

// orTell returns what is to be done about what is the workers', by those who run them.
func (x *exam) orTell(do string) string {
	if x.stranger {
		return "Tell those who run the workers."
	}
	return do
}

func (x *exam) missing(a inspect.Asset, taken map[string]inspect.Neighbour) {
	switch by, isTaken := taken[a.Stream]; {
	case isTaken:
		x.unseen("assets.missing", a.Name(), "is not there, and cannot be created: stream "+by.Stream+" has the subject "+by.Subject, "")
	case a.Optional && (!x.Config.Assets.Provision || x.present > 0):
		x.add(levelNote, "assets.missing", a.Name(), "is not there: how long orders usually take is not known; all else works",
			x.orTell("Run orderwatch provision as a NATS user that may create it, or leave it."))
	case !x.Config.Assets.Provision:
		x.add(levelProblem, "assets.missing", a.Name(), "is not there",
			"No worker starts without it, and ORDERWATCH_PROVISION is false: run orderwatch provision once, as a NATS user that may create it, or set ORDERWATCH_PROVISION=true.")
	case x.present > 0:
		x.add(levelWarning, "assets.missing", a.Name(), "is not there, although workers run",
			"They make it anew within seconds where they may: see their log. What it held is lost.")
	default:
		x.add(levelNote, "assets.missing", a.Name(), "is not there yet", "The first worker that starts creates it, if no other stream has its subjects.")
	}
}

// settings tells of settings that are not as wanted, and reports whether one of them is a problem. What is not surely
// this installation's is not to be changed. What a stranger's environment wants need not be what the workers' wants.
func (x *exam) settings(a inspect.Asset, ours bool) (problem bool) {
	for _, difference := range telling(a.Differences) {
		about := a.Name() + ": " + difference.Setting
		if x.stranger && !difference.Fatal {
			x.unseen("assets.setting", about, "is "+difference.Found+"; whether the workers want that is not known here", asWorker)
			continue
		}
		level, do := levelWarning, x.change(a, difference)
		switch {
		case difference.Fatal:
			level, problem = levelProblem, true
		case difference.Do != "", difference.Setting == "description", difference.Setting == "num_replicas" && a.Replicas > x.Config.Assets.StreamReplicas:
			level = levelNote
		}
		if !ours {
			do = "Find out whose it is before you change it: no stream of this installation was seen beside it."
		}
		x.compare(level, "assets.setting", about, difference.Found, difference.Wanted, x.orTell(do))
	}
	return problem
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
	case difference.Do != "":
		return "Only where teams ask, once all workers are of this release: " + difference.Do
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

// From how many on something is worth a look.
const (
	largeBacklog  = 1000
	manyDelivered = 100 // more than once
)

func (x *exam) backlog(a inspect.Asset) {
	switch {
	case a.Paused:
		until := "somebody resumes it"
		if !a.PausedUntil.IsZero() {
			until = a.PausedUntil.Format(time.RFC3339)
		}
		x.add(levelWarning, "assets.paused", a.Name(), fmt.Sprintf("is paused until %s; %d wait", until, a.Pending),
			x.orTell("Resume it: nats consumer resume "+a.Stream+" "+a.Consumer+". Deadlines go on meanwhile."))
	case a.Pending >= largeBacklog, a.Pending > 0 && x.present == 0:
		x.add(levelWarning, "assets.backlog", a.Name(), fmt.Sprintf("%d wait to be delivered", a.Pending),
			x.orTell("Run more workers, or look at why they do not take them."))
	}
	if a.Redelivered == 0 {
		return
	}
	level, do := levelNote, ""
	if a.Redelivered >= manyDelivered {
		level, do = levelWarning, "Workers die, or put things back: see their log."
	}
	if a.Consumer == "slack" { // it tells people
		do = "Slack did not take them, or they wait for their turn: the workers' /readyz says whether it takes messages."
	}
	x.add(level, "assets.redelivered", a.Name(), fmt.Sprintf("%d of %d in flight were delivered before", a.Redelivered, a.InFlight), x.orTell(do))
}

// bucketStreams is how names of streams begin that are buckets.
const bucketStreams = "KV_"

// replicaCommand returns the command that changes how many replicas a stream or a bucket has. The nats tool
// does not change a bucket's stream without a question.
func replicaCommand(stream string, replicas int) string {
	if bucket, ok := strings.CutPrefix(stream, bucketStreams); ok {
		return fmt.Sprintf("nats kv edit %s --replicas %d", bucket, replicas)
	}
	return fmt.Sprintf("nats stream edit %s --replicas %d --force", stream, replicas)
}

// replicaCommands returns the commands for all that have fewer replicas.
func replicaCommands(list []inspect.Asset, replicas int) string {
	var all []string
	for _, a := range list {
		if a.Consumer == "" && a.Err == nil && a.Replicas < replicas {
			all = append(all, replicaCommand(a.Stream, replicas))
		}
	}
	return strings.Join(all, "; ")
}

// uneven tells of streams that have not as many replicas as the others: the one with the fewest bounds
// what survives.
func (x *exam) uneven(list []inspect.Asset) {
	by := make(map[int][]string)
	for _, a := range list {
		if a.Consumer == "" && a.Err == nil && a.Replicas > 0 {
			by[a.Replicas] = append(by[a.Replicas], a.Stream)
		}
	}
	if len(by) < 2 {
		return
	}
	var found []string
	counts := slices.Sorted(maps.Keys(by))
	for _, n := range counts {
		found = append(found, fmt.Sprintf("%s: %s", words.Count(n, "replica"), strings.Join(by[n], ", ")))
	}
	x.add(levelWarning, "assets.replicas", "", "the streams and buckets differ: "+strings.Join(found, "; "),
		"Those with the fewest bound what survives. Give all the same: "+replicaCommands(list, counts[len(counts)-1])+".")
}

// foreign reports whether the streams of these names are another installation's, and says so. What is
// another's is not looked at any further, and nothing of it is to be changed.
func (x *exam) foreign(list []inspect.Asset) bool {
	var whose []string
	for _, a := range list {
		if len(a.Foreign) > 0 {
			whose = append(whose, fmt.Sprintf("stream %s has %s", a.Stream, strings.Join(a.Foreign, ", ")))
		}
	}
	if len(whose) == 0 {
		return false
	}
	const another = "was not looked at: it is not this installation's"
	who := "another installation lives here"
	if len(whose) == 1 {
		who = "somebody else's stream has this name"
	}
	x.add(levelProblem, "assets.installation", "", who+": "+strings.Join(whose, "; ")+". None of these subjects is this installation's",
		"Set ORDERWATCH_STREAM_PREFIX, too, to a prefix of your own: workers take nothing until then. Change and delete nothing of what is there.")
	x.unseen("assets.state", "", fmt.Sprintf("the other %d streams, buckets and consumers of these names were not looked at: they may be another installation's", len(list)-len(whose)), "")
	x.unseen("watches.open", "", another, "")
	x.unseen("workers.present", "", another, "")
	return true
}

// neighbours returns, by the names of missing streams, who has their subjects, and says so.
func (x *exam) neighbours(ctx context.Context, list []inspect.Asset) map[string]inspect.Neighbour {
	missing := func(a inspect.Asset) bool { return a.Missing && a.Consumer == "" }
	if !slices.ContainsFunc(list, missing) {
		return nil
	}
	all, err := x.Neighbours(ctx)
	if err != nil && !errors.Is(err, inspect.ErrDenied) {
		x.missed("assets.subjects", "who has the subjects of missing streams was not looked at: "+err.Error(), "")
	}
	taken := make(map[string]inspect.Neighbour)
	for _, n := range all {
		if _, told := taken[n.Own]; told || !slices.ContainsFunc(list, func(a inspect.Asset) bool { return missing(a) && a.Stream == n.Own }) {
			continue
		}
		taken[n.Own] = n
		x.add(levelProblem, "assets.installation", n.Own, fmt.Sprintf("another installation may live here: stream %s has the subject %s, which is to be that of %s", n.Stream, n.Subject, n.Own),
			"If so, set ORDERWATCH_SUBJECT_PREFIX and ORDERWATCH_SERVICE_PREFIX, too, to prefixes of your own. Change and delete nothing before you know whose it is.")
	}
	return taken
}
