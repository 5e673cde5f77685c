package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// server looks at the server itself, and reports whether it makes sense to look further.
func (d *Doctor) server(ctx context.Context, x *natsExam) bool {
	f := &x.seen.server
	ctx, cancel := context.WithTimeout(ctx, glanceTime)
	defer cancel()
	begin := time.Now()
	if err := x.nc.FlushWithContext(ctx); err != nil {
		f.add(levelProblem, "nats.connection", x.url, "the server takes connections, but does not answer: "+err.Error(),
			"Look at its log, and at what stands between.")
		return false
	}
	took, version := time.Since(begin), x.nc.ConnectedServerVersion()
	f.ok("nats.connection", x.nc.ConnectedUrlRedacted(), "answers in "+took.Round(time.Microsecond).String())
	switch {
	case !store.AtLeast(version, store.OldestServer):
		*f = append(*f, finding{
			Check: "nats.version", Level: levelProblem, Found: version, Wanted: store.RecommendedServer + " or later",
			Do: "Update nats-server: it has no scheduled messages, and no worker starts with it.",
		})
		return false
	case !store.AtLeast(version, store.RecommendedServer):
		*f = append(*f, finding{
			Check: "nats.version", Level: levelWarning, Found: version, Wanted: store.RecommendedServer + " or later",
			Do: "Update nats-server: later versions mend scheduled messages.",
		})
	default:
		f.ok("nats.version", "", version)
	}
	const recommended = 1 << 20
	switch limit := x.nc.MaxPayload(); {
	case limit < watcher.MinPayload:
		*f = append(*f, finding{
			Check: "nats.max_payload", Level: levelProblem, Found: fmt.Sprint(limit), Wanted: fmt.Sprintf("at least %d, better %d", watcher.MinPayload, recommended),
			Do: "Set max_payload in the server's configuration.",
		})
	case limit < recommended:
		f.add(levelNote, "nats.max_payload", "", fmt.Sprintf("%d: events of large orders are cut to it", limit), "")
	default:
		f.ok("nats.max_payload", "", fmt.Sprint(limit))
	}
	if replicas := d.Config.Assets.StreamReplicas; replicas > 1 && x.nc.ConnectedClusterName() == "" && d.Config.NATS.JSDomain == "" {
		f.add(levelWarning, "nats.cluster", "", fmt.Sprintf("the server is in no cluster: it cannot keep %d replicas", replicas),
			"Run three servers in a cluster, or set ORDERWATCH_STREAM_REPLICAS=1.")
	}
	return true
}

// limits looks at the JetStream account.
func (x *natsExam) limits(ctx context.Context) (f findings) {
	limits, err := x.Limits(ctx)
	switch {
	case errors.Is(err, inspect.ErrDenied):
		x.unseen(&f, "nats.limits", "", "this user may not see the account's limits",
			"Allow it $JS.API.INFO, or look yourself: nats account info.")
		return f
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		f.add(levelProblem, "nats.jetstream", "", "JetStream is not enabled on the server, or has no leader",
			"Give the servers a jetstream block with a store_dir; in a cluster, more than half of the servers must run.")
		return f
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		f.add(levelProblem, "nats.jetstream", "", "JetStream is not enabled for the account of this user",
			"Enable it for the account: jetstream: enabled, or its JWT's limits.")
		return f
	case ctx.Err() != nil:
		f.add(levelProblem, "nats.jetstream", "", "JetStream does not answer",
			"In a cluster more than half of the servers must run: look at their logs.")
		return f
	case err != nil:
		f.add(levelWarning, "nats.limits", "", err.Error(), "Look yourself: nats account info.")
		return f
	}
	for _, l := range limits {
		f = append(f, limitFinding(l))
	}
	if len(f) == 0 {
		f.ok("nats.limits", "", "JetStream has none for the account")
	}
	return f
}

// fullAt is from which part of it on a limit is as good as reached, in percent.
const fullAt = 95

func limitFinding(l inspect.Limit) finding {
	bytes := strings.HasSuffix(l.Name, "memory") || strings.HasSuffix(l.Name, "storage") || strings.HasSuffix(l.Name, "bytes")
	show := func(n int64) string {
		if bytes {
			return output.Bytes(uint64(n))
		}
		return fmt.Sprint(n)
	}
	f := finding{Check: "nats.limit", About: strings.TrimSpace(l.Name + " " + l.Tier), Level: levelWarning, Wanted: "no limit"}
	if l.Each {
		f.Found, f.Do = show(l.Most)+" for each consumer", "Take the limit away: where it is reached, nothing more is delivered until something is acknowledged."
		if bytes {
			f.Found, f.Do = show(l.Most)+" for each stream", "Take the limit away: a full stream stores nothing more."
		}
		return f
	}
	full := int64(100)
	if l.Most > 0 {
		full = l.Used * 100 / l.Most
	}
	f.Found = fmt.Sprintf("%s of %s used, %d %%", show(l.Used), show(l.Most), full)
	switch {
	case l.Name == "max_storage" && full >= fullAt:
		f.Level = levelProblem
		f.Do = "Free space, or raise the limit, now: a full account stores no wake-ups, and then nothing is polled."
	case l.Name == "max_storage":
		f.Do = "Take the limit away: a full account stores no wake-ups, and then nothing is polled."
	default:
		f.Do = "Take the limit away, or watch it: when it is reached, workers and those who follow events cannot create what they need."
	}
	return f
}

// syncing says how soon servers write to their disks.
func (d *Doctor) syncing(ctx context.Context, x *natsExam) (f findings) {
	const advice = "Set sync_interval: always in each server's jetstream block: by default a power failure loses what was acknowledged in the last two minutes."
	if d.Config.NATS.EmbeddedDir != "" {
		f.ok("nats.sync_interval", "", "always, in the server inside the process")
		return f
	}
	for _, s := range x.Syncing(ctx) {
		if s.Always {
			f.ok("nats.sync_interval", s.Server, "always")
			continue
		}
		f = append(f, finding{Check: "nats.sync_interval", About: s.Server, Level: levelWarning, Found: s.Every.String(), Wanted: "always", Do: advice})
	}
	if len(f) == 0 {
		f.unseen("nats.sync_interval", "", "cannot be seen with this login",
			`It should be "always" on each server: look at its configuration, or, with a login of the system account, at config.sync_always in nats server request jetstream.`)
	}
	return f
}

// permissions finds out what the user may do.
func (d *Doctor) permissions(ctx context.Context, x *natsExam) {
	f := &x.seen.permissions
	trying, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	list, err := x.Permissions(trying, x.nc.ConnectedUrl(), x.login...)
	if err != nil {
		f.add(levelWarning, "permissions.all", "", "could not be tried: "+err.Error(), "Try again.")
		return
	}
	if !inspect.MayWork(list) {
		d.stranger(trying, x)
		return
	}
	for _, p := range list {
		check := "permissions." + string(p.Verb)
		switch {
		case p.Grant == inspect.Granted && p.Need == inspect.NeedDoctor:
		case p.Grant == inspect.Granted:
			f.ok(check, p.Subject, "allowed")
		case p.Grant == inspect.NotTried:
			f.unseen(check, p.Subject, "could not be tried",
				"Make sure that the worker's user has it, as in deploy/nats-permissions.conf.")
		case p.Need == inspect.NeedDoctor:
			f.add(levelNote, check, p.Subject, "denied; only doctor asks for it", "")
		case p.Need == inspect.NeedProvision:
			f.add(levelNote, check, p.Subject, "denied: this user cannot create what is missing",
				"Let another user create it, and set ORDERWATCH_PROVISION=false; or allow it.")
		default:
			f.add(levelProblem, check, p.Subject, "denied", "Give it to the worker's user, as in deploy/nats-permissions.conf.")
		}
	}
}
