package main

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
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Take requests, poll orders, publish completions, tell people",
		Long: `Take requests to watch orders from NATS, poll each order until it has ended,
publish a completion event, and tell people on Slack. Any number of workers can
serve beside each other. SIGTERM hands the work over and exits within 10 s.

It is configured by the environment:

` + ConfigTable(),
		Example: `  export ORDERWATCH_NATS_URL=nats://nats.example:4222
  export ORDERWATCH_MODELARTS_REGIONS=cn-north-4
  export ORDERWATCH_MODELARTS_TOKEN_FILE=/etc/orderwatch/token
  orderwatch serve`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := LoadServeConfig()
			if err != nil {
				return err
			}
			return serve(c.Context(), newLogger(config.Log, c.ErrOrStderr()), config, serveTiming())
		},
	}
}

// gcPercent lets the heap, which is a few MiB, grow to three times what is alive before it is
// collected: a poll then costs a tenth less CPU, for 4 MiB more. GOGC overrides it.
const gcPercent = 200

// serve works until ctx is done and everything is handed over.
func serve(ctx context.Context, log *slog.Logger, config Config, timing timing) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	login, err := natsLogin(config)
	if err != nil {
		return err
	}
	url := config.NATS.URL
	if dir := config.NATS.EmbeddedDir; dir != "" {
		s, err := startNATS(log, dir, config.NATS.EmbeddedAddr)
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
func work(ctx context.Context, log *slog.Logger, config Config, timing timing, nc *nats.Conn) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	clock, eventsConfig := store.NewClock(nil), workerConfig(config, timing)
	kept, err := store.Open(log, storeConfig(config, timing.Timing), nc, clock)
	if err != nil {
		return err
	}
	accounts := kept.Accounts()
	orders, err := newOrders(log, config, clock, accounts, timing.ModelArts)
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
	health, at, err := listenHTTP(config.HTTP.Addr, healthHandler(worker.Alive, ready, eventsConfig.Troubles, registry))
	if err != nil {
		return fmt.Errorf("ORDERWATCH_HTTP_ADDR: %w", err)
	}
	defer health.Close()
	if addr := config.HTTP.PprofAddr; addr != "" {
		profiles, _, err := listenHTTP(addr, pprofHandler())
		if err != nil {
			return fmt.Errorf("ORDERWATCH_PPROF_ADDR: %w", err)
		}
		defer profiles.Close()
	}
	log.Info("orderwatch starts", "version", programVersion(), "health", "http://"+at.String())
	checks, cancel := context.WithCancel(ctx)
	var checking sync.WaitGroup
	checking.Go(func() { probeNotifier(checks, notifier, config.Slack) })
	err = worker.Run(ctx)
	cancel()
	checking.Wait()
	log.Info("orderwatch stopped")
	return err
}

// newOrders returns the client of the ModelArts API.
func newOrders(log *slog.Logger, config Config, clock *store.Clock, accounts watcher.Accounts, timing modelarts.Timing) (*modelarts.Client, error) {
	m := config.ModelArts
	trust, err := trusted(m.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ORDERWATCH_MODELARTS_CA_FILE: %w", err)
	}
	login, err := modelArtsLogin(log, m, trust, clock.Now)
	if err != nil {
		return nil, fmt.Errorf("log in to ModelArts: %w", err)
	}
	return modelarts.New(log, modelarts.Config{
		Endpoint: m.Endpoint, Regions: m.Regions, Credential: login,
		Timeout: m.Timeout, Rate: m.Rate, Accounts: accounts, Timing: timing, Concurrency: config.Watch.Concurrency,
		TLS: trust, UserAgent: "orderwatch/" + programVersion(), Secrets: config.secrets(), Now: clock.Now,
	})
}

// trusted returns the TLS settings that trust the certificates in the file; nil for the system's.
func trusted(path string) (*tls.Config, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := readFile(path, maxCertFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// assetNames returns what streams and subjects are called.
func assetNames(c Config) wire.Names {
	return wire.Names{Subjects: c.Assets.SubjectPrefix, Service: c.Assets.ServicePrefix, Streams: c.Assets.StreamPrefix, Domain: c.NATS.JSDomain}
}

// storeConfig returns what of the configuration says how the installation is laid out in NATS.
func storeConfig(c Config, timing store.Timing) store.Config {
	return store.Config{
		Names: assetNames(c), Version: programVersion(), Replicas: c.Assets.StreamReplicas, MaxAge: c.Assets.EventsMaxAge,
		Provision: c.Assets.Provision, PollTimeout: c.ModelArts.Timeout, TimeoutMax: c.Watch.TimeoutMax, Timing: timing,
	}
}

// workerConfig returns what the worker needs of the configuration.
func workerConfig(c Config, timing timing) events.Config {
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
