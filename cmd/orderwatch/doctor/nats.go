package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// nats looks at everything in NATS. What it does not look at, since what comes before is not as it must be, it says.
func (x *exam) nats(ctx context.Context) {
	if x.isWrong("NATS_", "EMBEDDED_NATS_", "SUBJECT_PREFIX", "SERVICE_PREFIX", "STREAM_PREFIX") {
		x.skip("nats.connection")
	} else if x.connect(ctx) {
		defer func() { x.nc.Close() }() // it may be another one then
		x.examine(ctx)
	}
	for _, check := range []string{"permissions.all", "assets.state", "watches.open", "workers.present"} {
		if group, _, _ := strings.Cut(check, "."); len(x.of(group)) == 0 {
			x.unseen(check, "", "was not looked at: "+cmp.Or(x.why, "NATS could not be used"), "")
		}
	}
}

func (x *exam) connect(ctx context.Context) bool {
	var err error
	if x.url, err = x.natsURL(); err != nil {
		x.add(levelProblem, "nats.connection", "", err.Error(), "Give it a port of its own.")
	} else if x.login, err = serve.Login(x.Config); err != nil {
		x.add(levelProblem, "nats.login", "", err.Error(), "Give the file that nsc or nk wrote.")
	} else if x.nc, err = connectOnce(ctx, x.url, x.login); err != nil {
		x.cannotConnect(err)
	} else if x.Inspector, err = x.inspector(x.nc); err != nil {
		x.nc.Close()
		x.add(levelProblem, "nats.connection", x.url, err.Error(), "")
	}
	return err == nil
}

func (x *exam) inspector(nc *nats.Conn) (*inspect.Inspector, error) {
	return inspect.New(serve.StoreConfig(x.Config, serve.LoadTiming().Timing), nc, x.time)
}

// natsURL returns where NATS is. A server inside the worker's process is asked where it listens:
// to start another one on its directory would harm it.
func (d *Doctor) natsURL() (string, error) {
	n := d.Config.NATS
	if n.EmbeddedDir == "" {
		return n.URL, nil
	}
	host, port, err := net.SplitHostPort(n.EmbeddedAddr)
	switch {
	case err != nil:
		return "", fmt.Errorf("ORDERWATCH_EMBEDDED_NATS_ADDR: %w", err)
	case port == "0":
		return "", errors.New("ORDERWATCH_EMBEDDED_NATS_ADDR names port 0: nobody can know where the server listens")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, port), nil
}

// connectOnce connects, within the time that doctor has for it. nats.go itself has no bound where names
// are not resolved or servers are many.
func connectOnce(ctx context.Context, url string, login []nats.Option) (nc *nats.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	servers := strings.Count(url, ",") + 1
	options := append([]nats.Option{
		nats.Name("orderwatch doctor"), nats.NoReconnect(),
		nats.Timeout(max(time.Second, (connectTime-time.Second)/time.Duration(servers))),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the permissions are looked at by themselves
	}, login...)
	done := make(chan func() (*nats.Conn, error), 1)
	go func() {
		nc, err := nats.Connect(url, options...)
		done <- func() (*nats.Conn, error) { return nc, err }
	}()
	select {
	case connected := <-done:
		return connected()
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer within %s", connectTime)
	}
}

func (x *exam) cannotConnect(err error) {
	check, found, do := "nats.connection", "cannot connect: "+err.Error(), connectionAdvice(err)
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired) {
		check, found = "nats.login", "the server refuses the login: "+err.Error()
		do = "Check the ORDERWATCH_NATS_ variable that logs in: CREDS_FILE, NKEY_FILE, USER and PASSWORD, or TOKEN."
	}
	if x.Config.NATS.EmbeddedDir != "" {
		do = "The server inside the process runs only while orderwatch serve does: start that first."
	}
	x.add(levelProblem, check, x.url, found, do)
}

// connectionAdvice says what may mend a connection to NATS that cannot be made, by its cause.
func connectionAdvice(err error) string {
	const meanwhile = " Nothing is lost meanwhile, but a worker with this environment takes and polls nothing."
	advice := link.Advice(err)
	if advice == "" {
		return "Check the address, the network, and whether nats-server runs." + meanwhile
	}
	if _, isDNS := errors.AsType[*net.DNSError](err); isDNS {
		advice += meanwhile
	}
	return advice
}

// examine looks at the permissions first, since what is denied gets no answer, then at the clock and
// the workers, and at the rest all at once.
func (x *exam) examine(ctx context.Context) {
	if !x.server(ctx) {
		return
	}
	x.permissions(ctx)
	if !x.Heard() {
		x.why = "NATS does not let this login subscribe where answers come"
		x.unseen("nats.limits", "", "was not looked at: "+x.why, "")
		x.unseen("clocks.nats", "", "was not looked at: "+x.why, "")
		return
	}
	x.clock(ctx)
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var wait sync.WaitGroup
	var servers []inspect.Syncing
	wait.Go(func() { x.limits(looking); x.strict(looking) })
	wait.Go(func() { servers = x.Syncing(looking) })
	list := x.Assets(looking)
	switch {
	case x.foreign(list):
	case x.stranger && x.uses.Serve:
		x.askWorkers(looking)
		x.assets(looking, list)
	default:
		x.workers(looking)
		if x.present > 0 {
			wait.Go(func() { x.askRates(looking) })
		}
		wait.Go(func() { x.assets(looking, list) })
		wait.Go(func() { x.watches(looking); x.losses(looking) })
	}
	wait.Wait()
	if x.present == 0 {
		x.nobodyWorks(list)
	}
	x.syncing(servers) // after the limits
}

// server looks at the server itself, and reports whether it makes sense to look further.
func (x *exam) server(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, glanceTime)
	defer cancel()
	begin := time.Now()
	if err := x.nc.FlushWithContext(ctx); err != nil {
		x.add(levelProblem, "nats.connection", x.url, "the server takes connections, but does not answer: "+err.Error(),
			"Look at its log, and at what stands between.")
		return false
	}
	x.ok("nats.connection", x.nc.ConnectedUrlRedacted(), "answers in "+time.Since(begin).Round(time.Microsecond).String())
	const laterThan = store.RecommendedServer + " or later"
	switch version := x.nc.ConnectedServerVersion(); {
	case !store.AtLeast(version, store.OldestServer):
		x.compare(levelProblem, "nats.version", "", version, laterThan,
			"Update nats-server: it has no scheduled messages, and no worker starts with it.")
		return false
	case !store.AtLeast(version, store.RecommendedServer):
		x.compare(levelWarning, "nats.version", "", version, laterThan, "Update nats-server: later versions mend scheduled messages.")
	default:
		x.ok("nats.version", "", version)
	}
	const recommended = 1 << 20
	switch limit := x.nc.MaxPayload(); {
	case limit < watcher.MinPayload:
		x.compare(levelProblem, "nats.max_payload", "", fmt.Sprint(limit), fmt.Sprintf("at least %d, better %d", watcher.MinPayload, recommended),
			"Set max_payload in the server's configuration.")
	case limit < recommended:
		x.add(levelNote, "nats.max_payload", "", fmt.Sprintf("%d: events of large orders are cut to it", limit), "")
	default:
		x.ok("nats.max_payload", "", fmt.Sprint(limit))
	}
	if replicas := x.Config.Assets.StreamReplicas; replicas > 1 && x.nc.ConnectedClusterName() == "" && x.Config.NATS.JSDomain == "" {
		x.add(levelWarning, "nats.cluster", "", fmt.Sprintf("the server is in no cluster: it cannot keep %d replicas", replicas),
			"Run three servers in a cluster, or set ORDERWATCH_STREAM_REPLICAS=1.")
	}
	return true
}

func (x *exam) limits(ctx context.Context) {
	limits, err := x.Limits(ctx)
	switch {
	case errors.Is(err, inspect.ErrDenied):
		x.missed("nats.limits", "this user may not see the account's limits", "Allow it $JS.API.INFO, or look yourself: nats account info.")
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		x.add(levelProblem, "nats.jetstream", "", "JetStream is not enabled on the server, or has no leader",
			"Give the servers a jetstream block with a store_dir; in a cluster, more than half of the servers must run.")
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		x.add(levelProblem, "nats.jetstream", "", "JetStream is not enabled for the account of this user",
			"Enable it for the account: jetstream: enabled, or its JWT's limits.")
	case ctx.Err() != nil:
		x.add(levelProblem, "nats.jetstream", "", "JetStream does not answer",
			"In a cluster more than half of the servers must run: look at their logs.")
	case err != nil:
		x.add(levelWarning, "nats.limits", "", err.Error(), "Look yourself: nats account info.")
	case len(limits) == 0:
		x.ok("nats.limits", "", "JetStream has none for the account")
	default:
		for _, l := range limits {
			x.limit(l)
		}
	}
}

// strict says whether the servers take anything for a call of their API: answers of a service could be one.
func (x *exam) strict(ctx context.Context) {
	const look = "Each server should read them so, as by default: look for strict: false in its configuration."
	switch strict, err := x.Strict(ctx); {
	case err != nil:
		x.missed("nats.strict", "whether the servers read calls of their API strictly cannot be seen: "+err.Error(), look)
	case strict:
		x.ok("nats.strict", "", "JetStream is strict on the servers that lead the streams: they refuse calls that JetStream does not know; doctor cannot see the other servers")
	default:
		x.add(levelWarning, "nats.strict", "", "a server takes anything for a call of its API (jetstream { strict: false })",
			"Take strict: false out of each server's jetstream block: who may name a reply subject could let an answer purge or delete streams.")
	}
}

// fullAt is from which part of it on a limit is as good as reached, in percent.
const fullAt = 95

func (x *exam) limit(l inspect.Limit) {
	bytes := strings.HasSuffix(l.Name, "memory") || strings.HasSuffix(l.Name, "storage") || strings.HasSuffix(l.Name, "bytes")
	show := func(n int64) string {
		if bytes {
			return output.Bytes(uint64(n))
		}
		return fmt.Sprint(n)
	}
	full := int64(100)
	if l.Most > 0 {
		full = l.Used * 100 / l.Most
	}
	level, found := levelWarning, fmt.Sprintf("%s of %s used, %d %%", show(l.Used), show(l.Most), full)
	do := "Take the limit away, or watch it: when it is reached, workers and those who follow events cannot create what they need."
	switch {
	case l.Each && bytes:
		found, do = show(l.Most)+" for each stream", "Take the limit away: a full stream stores nothing more."
	case l.Each:
		found, do = show(l.Most)+" for each consumer", "Take the limit away: where it is reached, nothing more is delivered until something is acknowledged."
	case l.Name == "max_storage" && full >= fullAt:
		level, do = levelProblem, "Free space, or raise the limit, now: a full account stores no wake-ups, and then nothing is polled."
	case l.Name == "max_storage":
		do = "Take the limit away: a full account stores no wake-ups, and then nothing is polled."
	}
	x.compare(level, "nats.limit", strings.TrimSpace(l.Name+" "+l.Tier), found, "no limit", do)
}

// syncing says how soon servers write to their disks.
func (x *exam) syncing(servers []inspect.Syncing) {
	if x.Config.NATS.EmbeddedDir != "" {
		x.ok("nats.sync_interval", "", "always, in the server inside the process")
		return
	}
	for _, s := range servers {
		if s.Always {
			x.ok("nats.sync_interval", s.Server, "always")
			continue
		}
		x.compare(levelWarning, "nats.sync_interval", s.Server, s.Every.String(), "always",
			"Set sync_interval: always in each server's jetstream block: by default a power failure loses what was acknowledged in the last two minutes.")
	}
	if len(servers) == 0 {
		x.unseen("nats.sync_interval", "", "cannot be seen with this login",
			`It should be "always" on each server: look at its configuration, or, with a login of the system account, at config.sync_always in nats server request jetstream.`)
	}
}
