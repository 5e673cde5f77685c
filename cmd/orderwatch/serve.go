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
	"github.com/orderwatch/orderwatch/cmd/orderwatch/page"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
)

func serveCommand() *cobra.Command {
	command := newCommand("serve", exit.NoArguments)
	command.Long += "\n\n" + config.Table()
	command.RunE = func(c *cobra.Command, _ []string) error {
		config, err := config.LoadServe()
		if err != nil {
			return err
		}
		config.Version = programVersion()
		return serve.Run(c.Context(), serve.NewLogger(config.Log, c.ErrOrStderr()), config, serve.LoadTiming())
	}
	return command
}

func pageCommand() *cobra.Command {
	command := newCommand("page", exit.NoArguments)
	command.RunE = func(c *cobra.Command, _ []string) error {
		config, err := config.LoadPage()
		if err != nil {
			return err
		}
		config.Version = programVersion()
		return page.Run(c.Context(), serve.NewLogger(config.Log, c.ErrOrStderr()), config, serve.LoadTiming())
	}
	return command
}

// provisionPatience is how long provision waits for NATS.
const provisionPatience = 2 * time.Minute

func provisionCommand() *cobra.Command {
	command := newCommand("provision", exit.NoArguments)
	command.RunE = func(c *cobra.Command, _ []string) error {
		s, err := awaitSession(c, provisionPatience)
		if err != nil {
			return err
		}
		defer s.close()
		return serve.Provision(c.Context(), s.config, s.names, s.nc, c.OutOrStdout())
	}
	return command
}

func healthCommand() *cobra.Command {
	command := newCommand("health", exit.NoArguments)
	ofPage := command.Flags().Bool("page", false, "ask the page that listens on ORDERWATCH_PAGE_ADDR")
	command.RunE = func(c *cobra.Command, _ []string) error {
		config, err := config.Load()
		if err != nil {
			return err
		}
		if *ofPage {
			return askReady(c.Context(), "page", config.Page.Addr)
		}
		return askReady(c.Context(), "worker", config.HTTP.Addr)
	}
	return command
}

// askReady asks the worker, or the page, that listens on addr whether it is ready.
func askReady(ctx context.Context, who, addr string) error {
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
		return fmt.Errorf("ask the %s: %w", who, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // what can be read of it
		return errors.New(strings.TrimSpace(string(why)))
	}
	return nil
}
