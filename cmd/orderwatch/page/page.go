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
//	metrics.go   what probes and scrapers are told
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
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/promhttp"

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
	logDenied(log, nc, "page")
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
		logDenied(log, own, "page-actions")
	}
	s, registry := newServer(log, c, from, users, acting), serve.NewRegistry(c.Version, nc)
	web := &http.Server{
		Handler: s.measured(registry), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: writeTime, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if addr := c.Page.MetricsAddr; addr != "" {
		metrics := http.NewServeMux()
		metrics.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
		scraped, _, err := serve.ListenHTTP(addr, metrics)
		if err != nil {
			return fmt.Errorf("ORDERWATCH_PAGE_METRICS_ADDR: %w", err)
		}
		defer scraped.Close()
	}
	url := "http://" + reached(listener.Addr()) + c.PageBase() + "/"
	log.Info("the page is served", "url", url, "addr", listener.Addr().String(), "version", c.Version)
	if c.Page.Auth == config.AuthNone && !c.Page.Loopback() {
		log.Warn("all who reach the page see all orders, without a login: ORDERWATCH_PAGE_AUTH is none, and the page listens beyond this machine. Set it to basic or proxy, or let the network keep others out")
	}
	var reading sync.WaitGroup
	reading.Go(func() { from.run(ctx) })
	reading.Go(func() { s.dropFeeds(ctx) })
	defer reading.Wait()
	defer cancel()
	return answer(ctx, cancel, web, listener, func() { ready(url) })
}

// answer lets the server answer until ctx is done, and ends it then: cancel ends streams.
func answer(ctx context.Context, cancel func(), web *http.Server, listener net.Listener, ready func()) (err error) {
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	ready()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), stopping)
	defer stop()
	if web.Shutdown(end) != nil {
		_ = web.Close() // what is still in flight is cut off
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// maxDenied is of how many subjects the log says that they are denied: those of records are many.
const maxDenied = 20

// logDenied logs once of each subject that NATS denies it to the login, which needs what the user of this name has. It keeps
// the connection's error handler.
func logDenied(log *slog.Logger, nc *nats.Conn, name string) {
	before := nc.ErrorHandler()
	told := make(map[string]bool) // by subject; the handler is called by one goroutine
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if before != nil {
			before(nc, sub, err)
		}
		if subject, _, ok := link.Violation(err); ok && !told[subject] && len(told) < maxDenied {
			told[subject] = true
			log.Warn("NATS denies a permission; use the user "+name+" of nats-permissions.conf, or of nats-accounts.conf with ORDERWATCH_NATS_JS_API_PREFIX=js.orderwatch.API", "err", err)
		}
	})
}

// reached returns the host and port at which a listener is reached from this machine.
func reached(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return addr.String()
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
