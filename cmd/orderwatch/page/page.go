// Package page serves the page: what is watched now, one order, how long orders took, and whether orderwatch is well. It
// only reads what workers keep in NATS, by a login of its own; what users do from the page it asks the workers for, by another.
//
// It promises that nobody sees an order whom the configuration does not let in, and a team no order but its own, as [teams.View]
// decides for the command line; that a screen which may be old says of when it is; that a slow viewer, or many of them, keep
// nobody waiting; and that no answer shows a secret, or runs a script that is not the page's own.
//
// Read the files in this order:
//
//	page.go      how it begins and ends
//	source.go    what it reads, and how it knows how old that is; polls.go: polls that records do not tell of
//	server.go    which URL is answered by what, headers, and what becomes of errors
//	viewer.go    who is let in, and whose orders they see; users.go: the file of users
//	screen.go    what a screen is read from, and when it is read anew
//	now.go       what is watched now; order.go: one order
//	history.go   how watches ended; health.go: whether all is well, and what is seen of streams
//	live.go      streams of what changes
//	actions.go   what users may do
package page

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/link"
)

// stopping is how long requests in flight have when the page ends.
const stopping = 3 * time.Second

// gcPercent lets the heap, most of which are rows that stay, grow by so much before it is collected: a page with 100,000 watches
// is to have 120 MiB. GOGC overrides it.
const gcPercent = 25

// Run serves the page where the configuration says, until ctx is done. What ends it otherwise is an error.
func Run(ctx context.Context, log *slog.Logger, c config.Config, timing serve.Timing) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	listener, err := net.Listen("tcp", c.Page.Addr)
	if err != nil {
		return fmt.Errorf("ORDERWATCH_PAGE_ADDR: %w", err)
	}
	return Serve(ctx, log, c, timing, listener, func(string) {})
}

// Serve is Run on a listener, which it closes. It calls ready with the page's address before the first request is answered.
func Serve(ctx context.Context, log *slog.Logger, c config.Config, timing serve.Timing, listener net.Listener, ready func(url string)) error {
	defer listener.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	users, err := readUsers(c.Page.UsersFile, c.Watch.Teams)
	if err != nil {
		return fmt.Errorf("ORDERWATCH_PAGE_USERS_FILE: %w", err)
	}
	nc, err := connect(log, c, "page")
	if err != nil {
		return err
	}
	defer nc.Close()
	from, err := newSource(log, c, timing, nc)
	if err != nil {
		return err
	}
	var acting *client.Client
	if c.Page.Actions {
		own, err := connect(log, c.ActionsLogin(), "page-actions")
		if err != nil {
			return err
		}
		defer own.Close()
		if acting, err = client.New(own, serve.Names(c)); err != nil {
			return err
		}
	}
	s := newServer(log, c, from, users, acting)
	web := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: writeTime, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	url := "http://" + listener.Addr().String() + c.PageBase() + "/"
	log.Info("the page is served", "url", url, "version", c.Version)
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		var running sync.WaitGroup
		running.Go(func() { from.run(ctx) })
		running.Go(func() { s.dropFeeds(ctx) })
		running.Wait()
	}()
	ready(url)
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel() // streams end
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), stopping)
	defer stop()
	if web.Shutdown(end) != nil {
		_ = web.Close() // what is still in flight is cut off
	}
	<-reading
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// connect connects to NATS as the configuration says, now or when there is a server. name is the user of deploy whose inbox is
// taken where the login names none.
func connect(log *slog.Logger, c config.Config, name string) (*nats.Conn, error) {
	login, err := serve.Login(c)
	if err != nil {
		return nil, err
	}
	inbox := "_INBOX_" + name
	if c.NATS.User != "" {
		inbox = c.NATS.InboxPrefix()
	}
	return link.Connect(log, c.NATS.URL, append(login, nats.Name("orderwatch "+name), nats.CustomInboxPrefix(inbox),
		nats.ReconnectBufSize(-1))...) // what is asked without a connection is not asked later
}
