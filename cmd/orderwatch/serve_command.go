package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Take requests, poll orders, publish completions, tell people",
		Long: `Take requests to watch orders from NATS, poll each order until it has ended,
publish a completion event, and tell people on Slack. Any number of workers can
serve beside each other. SIGTERM hands the work over and exits within 10 s.

It is configured by the environment:

` + config.Table(),
		Example: `  export ORDERWATCH_NATS_URL=nats://nats.example:4222
  export ORDERWATCH_MODELARTS_REGIONS=cn-north-4
  export ORDERWATCH_MODELARTS_TOKEN_FILE=/etc/orderwatch/token
  orderwatch serve`,
		Args: exit.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := config.LoadServe()
			if err != nil {
				return err
			}
			config.Version = programVersion()
			return serve.Run(c.Context(), serve.NewLogger(config.Log, c.ErrOrStderr()), config, serve.LoadTiming())
		},
	}
}

func healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Ask the worker on this machine whether it is ready (for images)",
		Long: `Ask the worker that listens on ORDERWATCH_HTTP_ADDR whether it is ready.
Exit code 0: ready; 1: not ready, or no answer.`,
		Example: `  orderwatch health
  ORDERWATCH_HTTP_ADDR=127.0.0.1:8081 orderwatch health`,
		Args: exit.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := config.Load()
			if err != nil {
				return err
			}
			return askReady(c.Context(), config.HTTP.Addr)
		},
	}
}

// askReady asks the worker that listens on addr whether it is ready.
func askReady(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the worker: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // what can be read of it
		return errors.New(strings.TrimSpace(string(why)))
	}
	return nil
}
