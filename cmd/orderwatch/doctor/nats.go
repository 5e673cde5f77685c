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

	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// seenInNATS is what was found in NATS, and what other checks need of it.
type seenInNATS struct {
	server, permissions, assets, watches, workers, clocks findings

	holds    map[string]watcher.Hold
	ahead    time.Duration     // the server's clock
	clocked  bool              // that is known
	why      string            // nothing more could be looked at
	projects map[string]string // of records, by region
}

// nats looks at everything in NATS.
func (d *Doctor) nats(ctx context.Context, clock *store.Clock) *seenInNATS {
	seen := &seenInNATS{}
	if d.isWrong("NATS_", "EMBEDDED_NATS_", "SUBJECT_PREFIX", "SERVICE_PREFIX", "STREAM_PREFIX") {
		seen.server = skipped("nats.connection")
		return seen
	}
	url, err := d.natsURL()
	if err != nil {
		seen.server.add(levelProblem, "nats.connection", "", err.Error(), "Give it a port of its own.")
		return seen
	}
	login, err := serve.Login(d.Config)
	if err != nil {
		seen.server.add(levelProblem, "nats.login", "", err.Error(), "Give the file that nsc or nk wrote.")
		return seen
	}
	nc, err := connectOnce(ctx, url, login)
	if err != nil {
		seen.server = append(seen.server, cannotConnect(err, url))
		if d.Config.NATS.EmbeddedDir != "" {
			seen.server[0].Do = "The server inside the process runs only while orderwatch serve does: start that first."
		}
		return seen
	}
	i, err := inspect.New(serve.StoreConfig(d.Config, serve.LoadTiming().Timing), nc, clock)
	if err != nil {
		nc.Close()
		seen.server.add(levelProblem, "nats.connection", url, err.Error(), "")
		return seen
	}
	x := &natsExam{Inspector: i, nc: nc, url: url, login: login, time: clock, seen: seen}
	defer func() { x.nc.Close() }()
	d.examine(ctx, x)
	return seen
}

// groups returns the groups of findings in NATS, in the order in which they are shown. What was not looked
// at, since what comes before was not as it must be, says so.
func (s *seenInNATS) groups() (all []findingGroup) {
	all = []findingGroup{
		{"NATS", "", s.server}, {"permissions", "permissions.all", s.permissions}, {"streams and consumers", "assets.state", s.assets},
		{"watches", "watches.open", s.watches}, {"workers", "workers.present", s.workers},
	}
	for i := range all {
		if g := &all[i]; len(g.findings) == 0 && g.check != "" {
			g.findings.unseen(g.check, "", "was not looked at: "+cmp.Or(s.why, "NATS could not be used"), "")
		}
	}
	return all
}

// A findingGroup is a group of findings under its name. check is what stands for all of it.
type findingGroup struct {
	name, check string
	findings
}

// natsURL returns where NATS is. A server inside the worker's process is asked where it listens:
// to start another one on its directory would harm it.
func (d *Doctor) natsURL() (string, error) {
	n := d.Config.NATS
	if n.EmbeddedDir == "" {
		return n.URL, nil
	}
	host, port, err := net.SplitHostPort(n.EmbeddedAddr)
	if err != nil {
		return "", fmt.Errorf("ORDERWATCH_EMBEDDED_NATS_ADDR: %w", err)
	}
	if port == "0" {
		return "", errors.New("ORDERWATCH_EMBEDDED_NATS_ADDR names port 0: nobody can know where the server listens")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, port), nil
}

// connectOnce connects, within the time that doctor has for it. nats.go itself has no bound where names
// are not resolved or servers are many.
func connectOnce(ctx context.Context, url string, login []nats.Option) (*nats.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	type connected struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan connected, 1)
	servers := strings.Count(url, ",") + 1
	go func() {
		nc, err := nats.Connect(url, append([]nats.Option{
			nats.Name("orderwatch doctor"), nats.NoReconnect(),
			nats.Timeout(max(time.Second, (connectTime-time.Second)/time.Duration(servers))),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the permissions are looked at by themselves
		}, login...)...)
		done <- connected{nc, err}
	}()
	select {
	case c := <-done:
		return c.nc, c.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer within %s", connectTime)
	}
}

// A natsExam is one look at NATS.
type natsExam struct {
	*inspect.Inspector
	nc    *nats.Conn
	url   string
	login []nats.Option
	time  *store.Clock
	seen  *seenInNATS

	stranger bool // the login is no worker's
	serves   bool // it may use the service
}

// examine looks at the permissions first, since what is denied gets no answer, then at the clock and
// the workers, and at the rest all at once.
func (d *Doctor) examine(ctx context.Context, x *natsExam) {
	if !d.server(ctx, x) {
		return
	}
	d.permissions(ctx, x)
	if !x.Heard() {
		x.unheard()
		return
	}
	shortly, cancel := context.WithTimeout(ctx, glanceTime)
	x.clock(shortly)
	cancel()
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var wait sync.WaitGroup
	var limits, syncing findings
	wait.Go(func() { limits = x.limits(looking) })
	wait.Go(func() { syncing = d.syncing(looking, x) })
	if list := x.Assets(looking); !x.foreign(list) {
		if x.stranger && x.serves {
			present := d.askWorkers(looking, x)
			d.assets(looking, x, list, present)
		} else {
			present := d.workers(looking, x)
			wait.Go(func() { d.assets(looking, x, list, present) })
			wait.Go(func() { d.watches(looking, x); d.losses(looking, x) })
		}
	}
	wait.Wait()
	x.seen.server = append(append(x.seen.server, limits...), syncing...)
}

// unheard says that nothing is looked at that NATS would have to answer.
func (x *natsExam) unheard() {
	x.seen.why = "NATS does not let this login subscribe where answers come"
	x.seen.server.unseen("nats.limits", "", "was not looked at: "+x.seen.why, "")
	x.seen.clocks.unseen("clocks.nats", "", "was not looked at: "+x.seen.why, "")
}

// clock compares the server's clock with this machine's.
func (x *natsExam) clock(ctx context.Context) {
	ahead, took, err := x.Clock(ctx)
	if err != nil {
		x.unseen(&x.seen.clocks, "clocks.nats", "", "NATS's clock was not looked at: "+err.Error(),
			"It shows when the streams are there.")
		return
	}
	x.seen.ahead, x.seen.clocked = ahead, true
	const do = "Let both keep time by NTP. Polls are made by NATS's clock; logs and certificates go by this machine's."
	off, found := max(ahead, -ahead)-took/2, "this machine and NATS agree within "+max(took, time.Millisecond).Round(time.Millisecond).String()
	if off >= smallSkew {
		x.seen.clocks.add(levelWarning, "clocks.nats", "", "this machine is "+behind(ahead)+" NATS", do)
		return
	}
	if off > time.Millisecond {
		found = "this machine is " + behind(ahead) + " NATS"
	}
	x.seen.clocks.ok("clocks.nats", "", found)
}

// behind says how far something is behind what is ahead of it.
func behind(ahead time.Duration) string {
	if ahead < 0 {
		return (-ahead).Round(time.Millisecond).String() + " ahead of"
	}
	return ahead.Round(time.Millisecond).String() + " behind"
}
