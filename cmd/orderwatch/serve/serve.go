// Package serve puts one worker together from the configuration: the connection to NATS, the client of ModelArts,
// the way to tell people, the worker itself, and what it answers to probes. Nothing is decided here.
//
// Read serve.go first: how one worker begins and ends, and what of the configuration each part gets. nats.go has the
// login to NATS, embedded.go the server inside the process and whom it lets in, modelarts.go the client and the login
// to ModelArts, slack.go the way to tell people and its metrics, metrics.go what pages count, too, health.go the probes, heartbeat.go the call of somebody outside, logger.go the
// log. The durations that nobody configures are in timing.go; timing_faults.go shortens them for the tests of crashes.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/sweeper"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/watcher"
)

// gcPercent lets the heap, which is a few MiB, grow to three times what is alive before it is
// collected: a poll then costs a tenth less CPU, for 4 MiB more. GOGC overrides it.
const gcPercent = 200

// memoryPart is how much of the memory that the process may take the Go heap is to stay below: of 256 MiB there are 50 left
// for what the runtime does not count, and for a heap that grows while it is collected.
const memoryPart = 0.8

// limitMemory has the heap collected sooner where the process would come near to what its cgroup, such as a container's, may
// take, beyond which the kernel kills it. Without a limit nothing changes. GOMEMLIMIT overrides it.
func limitMemory(log *slog.Logger, most memlimit.Provider) {
	limit, err := memlimit.Set(memlimit.WithProvider(most), memlimit.WithRatio(memoryPart))
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
	case err != nil:
		log.Warn("the cgroup's limit of memory is not known; set GOMEMLIMIT to four fifths of it", "err", err)
	case limit != math.MaxInt64:
		log.Info("memory is limited", "mib", limit>>20)
	}
}

// recallOf returns how many bytes of memory the records that a worker keeps may take, by the limit of its memory: an eighth of it,
// within bounds. With the manifest's 256 MiB it is the least; without a limit, the most.
func recallOf(limit int64) int {
	const least, most = 32 << 20, 128 << 20
	return int(min(max(limit/8, least), most))
}

// Run works as one worker until ctx is done and everything is handed over. It connects to NATS, or starts a server
// of its own where the configuration says so.
func Run(ctx context.Context, log *slog.Logger, config config.Config, timing Timing) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	limitMemory(log, memlimit.FromCgroup)
	login, err := Login(config)
	if err != nil {
		return err
	}
	url := config.NATS.URL
	if config.NATS.EmbeddedDir != "" {
		s, err := StartNATS(log, config)
		if err != nil {
			return err
		}
		defer s.WaitForShutdown()
		defer s.Shutdown()
		url = s.ClientURL()
	}
	nc, err := link.Connect(log, url, login...)
	if err != nil {
		return err
	}
	defer nc.Close()
	return work(ctx, log, config, timing, nc)
}

func work(ctx context.Context, log *slog.Logger, config config.Config, timing Timing, nc *nats.Conn) error {
	registry := NewRegistry(config.Version, nc)
	clock, eventsConfig := store.NewClock(nil), workerConfig(config, timing)
	storeConfig := StoreConfig(config, timing.Timing)
	storeConfig.Recall = recallOf(debug.SetMemoryLimit(-1))
	kept, err := store.Open(log, storeConfig, nc, clock)
	if err != nil {
		return err
	}
	orders, err := Orders(log, config, clock, kept.Accounts(), timing.ModelArts)
	if err != nil {
		return err
	}
	defer orders.Close()
	slack, err := newOutbox(log, config, kept, timing.Slack)
	if err != nil {
		return err
	}
	var notifier watcher.Notifier = slack
	if slack == nil {
		log.Info("no Slack is configured: summaries go to the log")
		notifier = notify.NewLog(log, config.Secrets()...)
	} else {
		registry.MustRegister(slackCollector{slack, clock.Now})
	}
	eventsConfig.Troubles = func() []string { return troubles(slack) }
	eventsConfig.Loads = orders.Loads
	eventsConfig.Heartbeat = heartbeat(config, heartbeatTimeout)
	if every := config.Poll.SweepEvery; every > 0 {
		eventsConfig.Sweep = &sweeper.Config{Cloud: orders, Every: every, Rate: config.ModelArts.Rate, Regions: config.ModelArts.Regions}
	}
	worker := events.New(log, eventsConfig, kept, orders, notifier, registry)
	ready := func() error {
		if ctx.Err() != nil {
			return errors.New("stopping")
		}
		return worker.Ready()
	}
	health, at, err := ListenHTTP(config.HTTP.Addr, healthHandler(worker.Alive, ready, eventsConfig.Troubles, registry))
	if err != nil {
		return fmt.Errorf("ORDERWATCH_HTTP_ADDR: %w", err)
	}
	defer health.Close()
	if addr := config.HTTP.PprofAddr; addr != "" {
		profiles, _, err := ListenHTTP(addr, pprofHandler())
		if err != nil {
			return fmt.Errorf("ORDERWATCH_PPROF_ADDR: %w", err)
		}
		defer profiles.Close()
	}
	log.Info("orderwatch starts", "version", config.Version, "health", "http://"+at.String())
	checks, cancel := context.WithCancel(ctx)
	var checking sync.WaitGroup
	checking.Go(func() { probe(checks, slack, config.Slack) })
	err = worker.Run(ctx)
	cancel()
	checking.Wait()
	log.Info("orderwatch stopped")
	return err
}

// Names returns what streams and subjects are called in the installation.
func Names(c config.Config) wire.Names {
	return wire.Names{Subjects: c.Assets.SubjectPrefix, Service: c.Assets.ServicePrefix, Streams: c.Assets.StreamPrefix, Domain: c.NATS.JSDomain}
}

// StoreConfig returns what of the configuration says how the installation is laid out in NATS.
func StoreConfig(c config.Config, timing store.Timing) store.Config {
	return store.Config{
		Names: Names(c), PublicURL: c.Links.Public, Version: c.Version, Replicas: c.Assets.StreamReplicas, MaxAge: c.Assets.EventsMaxAge,
		Provision: c.Assets.Provision, PollTimeout: c.ModelArts.Timeout, TimeoutMax: c.Watch.TimeoutMax, Timing: timing,
	}
}

// workerConfig returns what the worker needs of the configuration.
func workerConfig(c config.Config, timing Timing) events.Config {
	return events.Config{
		Concurrency: c.Watch.Concurrency,
		Inboxes:     c.Assets.InboxPrefixes,
		Requests: wire.Rules{
			Regions: c.ModelArts.Regions, DefaultProject: c.ModelArts.ProjectID,
			TimeoutMax: c.Watch.TimeoutMax, SlackChannels: slices.Concat([]string{c.Slack.Channel}, c.Slack.ChannelsAllowed, c.Watch.Teams.Channels()),
			RoutedChannels: c.Slack.Routes.Channels(),
		},
		Teams:  c.Watch.Teams,
		Policy: Policy(c, timing),
	}
}

// Policy returns what decisions about watches depend on, as far as the configuration says it.
func Policy(c config.Config, timing Timing) watcher.Policy {
	p := watcher.Policy{
		Backoff:       watcher.Backoff{Initial: c.Poll.Initial, Multiplier: c.Poll.Multiplier, Max: c.Poll.Max, Jitter: c.Poll.Jitter},
		SweptMax:      c.Poll.MaxSwept,
		Settle:        c.Watch.Settle,
		NotFoundGrace: c.ModelArts.NotFoundGrace,
		LastPollGrace: timing.LastPoll, ForbiddenGrace: timing.Forbidden, Patience: timing.Patience,
		Timeout:     c.Watch.Timeout,
		Followed:    c.Slack.Progress,
		LateByUsual: c.Watch.LateByUsual,
	}
	if len(c.ModelArts.Regions) > 0 { // a process that does no worker's work may know of none
		p.DefaultRegion = c.ModelArts.Regions[0]
	}
	return p
}
