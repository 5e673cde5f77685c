// Package serve puts one worker together from the configuration: the connection to NATS, the client of ModelArts,
// the way to tell people, the worker itself, and what it answers to probes. Nothing is decided here.
//
// Read serve.go first; it calls nats.go, login.go, notifier.go and health.go. The durations that nobody configures
// are in timing.go.
package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
)

// gcPercent lets the heap, which is a few MiB, grow to three times what is alive before it is
// collected: a poll then costs a tenth less CPU, for 4 MiB more. GOGC overrides it.
const gcPercent = 200

// Run works as one worker until ctx is done and everything is handed over. It connects to NATS, or starts a server
// of its own where the configuration says so.
func Run(ctx context.Context, log *slog.Logger, config config.Config, timing Timing) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	login, err := Login(config)
	if err != nil {
		return err
	}
	url := config.NATS.URL
	if dir := config.NATS.EmbeddedDir; dir != "" {
		s, err := StartNATS(log, dir, config.NATS.EmbeddedAddr)
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

// work runs one worker on the connection.
func work(ctx context.Context, log *slog.Logger, config config.Config, timing Timing, nc *nats.Conn) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	clock, eventsConfig := store.NewClock(nil), workerConfig(config, timing)
	kept, err := store.Open(log, StoreConfig(config, timing.Timing), nc, clock)
	if err != nil {
		return err
	}
	accounts := kept.Accounts()
	orders, err := Orders(log, config, clock, accounts, timing.ModelArts)
	if err != nil {
		return err
	}
	defer orders.Close()
	notifier, err := newNotifier(log, config, clock, kept, kept, accounts.Workers, timing.Slack, registry)
	if err != nil {
		return err
	}
	eventsConfig.Troubles = func() []string { return notifierTroubles(notifier) }
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
	checking.Go(func() { probeNotifier(checks, notifier, config.Slack) })
	err = worker.Run(ctx)
	cancel()
	checking.Wait()
	log.Info("orderwatch stopped")
	return err
}

// Orders returns the client of the ModelArts API. The caller closes it.
func Orders(log *slog.Logger, config config.Config, clock *store.Clock, accounts watcher.Accounts, timing modelarts.Timing) (*modelarts.Client, error) {
	m := config.ModelArts
	trust, err := trusted(m.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ORDERWATCH_MODELARTS_CA_FILE: %w", err)
	}
	login, err := modelArtsLogin(log, config, trust, clock.Now)
	if err != nil {
		return nil, fmt.Errorf("log in to ModelArts: %w", err)
	}
	return modelarts.New(log, modelarts.Config{
		Endpoint: m.Endpoint, Regions: m.Regions, Credential: login,
		Timeout: m.Timeout, Rate: m.Rate, Accounts: accounts, Timing: timing, Concurrency: config.Watch.Concurrency,
		TLS: trust, UserAgent: "orderwatch/" + config.Version, Secrets: config.Secrets(), Now: clock.Now,
	})
}

// trusted returns the TLS settings that trust the certificates in the file; nil for the system's.
func trusted(path string) (*tls.Config, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := config.ReadFile(path, config.MaxCertFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// Names returns what streams and subjects are called in the installation.
func Names(c config.Config) wire.Names {
	return wire.Names{Subjects: c.Assets.SubjectPrefix, Service: c.Assets.ServicePrefix, Streams: c.Assets.StreamPrefix, Domain: c.NATS.JSDomain}
}

// StoreConfig returns what of the configuration says how the installation is laid out in NATS.
func StoreConfig(c config.Config, timing store.Timing) store.Config {
	return store.Config{
		Names: Names(c), Version: c.Version, Replicas: c.Assets.StreamReplicas, MaxAge: c.Assets.EventsMaxAge,
		Provision: c.Assets.Provision, PollTimeout: c.ModelArts.Timeout, TimeoutMax: c.Watch.TimeoutMax, Timing: timing,
	}
}

// workerConfig returns what the worker needs of the configuration.
func workerConfig(c config.Config, timing Timing) events.Config {
	return events.Config{
		Concurrency: c.Watch.Concurrency,
		Requests: wire.Rules{
			Regions: c.ModelArts.Regions, DefaultProject: c.ModelArts.ProjectID,
			TimeoutMax: c.Watch.TimeoutMax, SlackChannels: append([]string{c.Slack.Channel}, c.Slack.ChannelsAllowed...),
			RoutedChannels: c.Slack.Routes.Channels(),
		},
		Policy: watcher.Policy{
			Backoff:       watcher.Backoff{Initial: c.Poll.Initial, Multiplier: c.Poll.Multiplier, Max: c.Poll.Max, Jitter: c.Poll.Jitter},
			Settle:        c.Watch.Settle,
			NotFoundGrace: c.ModelArts.NotFoundGrace,
			LastPollGrace: timing.LastPoll, ForbiddenGrace: timing.Forbidden, Patience: timing.Patience,
			Timeout:       c.Watch.Timeout,
			DefaultRegion: c.ModelArts.Regions[0],
		},
	}
}
