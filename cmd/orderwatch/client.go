package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/watcher"
)

// A session is a connection to NATS for one command of a person or a pipeline.
type session struct {
	*events.Client
	config Config
	nc     *nats.Conn
}

// connectTime is how long a command waits for NATS.
const connectTime = 5 * time.Second

// openSession connects as the environment, or the context of the nats tool, says. The caller closes
// the session.
func openSession(c *cobra.Command) (*session, error) {
	config, err := LoadConfig()
	if err != nil {
		return nil, err
	}
	url, login, err := clientLogin(c, config)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(url, append([]nats.Option{
		nats.Name("orderwatch " + c.Name()), nats.Timeout(connectTime), nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond), nats.IgnoreAuthErrorAbort(),
	}, login...)...)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to NATS at %s: %w: check ORDERWATCH_NATS_URL, or --context", url, err)
	}
	client, err := events.NewClient(nc, assetNames(config))
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &session{client, config, nc}, nil
}

func (s *session) close() { s.nc.Close() }

// clientLogin returns where NATS is and how to log in.
func clientLogin(_ *cobra.Command, config Config) (url string, login []nats.Option, err error) {
	if config.NATS.URL == "" {
		return "", nil, errors.New("ORDERWATCH_NATS_URL is not set: set it, or name a context of the nats tool with --context")
	}
	login, err = natsLogin(config)
	return config.NATS.URL, login, err
}

// parseOrder reads PROJECT/ORDER, or ORDER alone where the project is configured.
func parseOrder(c *cobra.Command, config Config, text string) (watcher.Order, error) {
	project, name, ok := strings.Cut(text, "/")
	if !ok {
		project, name = config.ModelArts.ProjectID, text
	}
	if project == "" {
		return watcher.Order{}, usageError{c, fmt.Errorf("%q names no project: write PROJECT/ORDER, or set ORDERWATCH_MODELARTS_PROJECT_ID", text)}
	}
	order := watcher.Order{ProjectID: project, Name: name}
	if err := order.Validate(); err != nil {
		return watcher.Order{}, usageError{c, fmt.Errorf("%q is no order: %w", text, err)}
	}
	return order, nil
}

// printJSON writes the value as one line.
func printJSON(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) }
