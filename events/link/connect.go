package link

import (
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Connect connects to NATS so that the connection outlives any outage: it is made in the background if no server answers
// yet, reconnects for ever, and tries refused credentials again, which may be rotated. login says how to log in, and
// where else to differ.
func Connect(log *slog.Logger, url string, login ...nats.Option) (*nats.Conn, error) {
	failures := &Failures{Log: log, URL: url}
	var made atomic.Pointer[nats.Conn]
	options := append([]nats.Option{
		nats.Name("orderwatch"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond), // of what a server that was restarted is waited for
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second), // nats.go may hold up the end of the process for as long
		nats.ConnectHandler(func(nc *nats.Conn) {
			log.Info("connected to NATS", "server", nc.ConnectedUrlRedacted(), "version", nc.ConnectedServerVersion())
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("connected to NATS again", "server", nc.ConnectedUrlRedacted(), "version", nc.ConnectedServerVersion())
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				failures.waitFor(restartTime)
				log.Warn("disconnected from NATS; reconnecting until it is back", "err", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { failures.Tell(err) }),
		nats.ReconnectToServer(func([]nats.Server, nats.ServerInfo) (*nats.Server, time.Duration) {
			if nc := made.Load(); nc != nil {
				go failures.tellLast(nc) // nats.go holds the connection's lock here
			}
			return nil, 0 // it chooses by itself
		}),
	}, login...)
	nc, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	made.Store(nc)
	return nc, nil
}

// Failures logs why there is no connection: each server and cause at once, and then every minute. It is safe for
// concurrent use.
type Failures struct {
	Log *slog.Logger
	URL string // of the servers, as the log names it

	mu    sync.Mutex
	told  map[string]time.Time // by the cause, which names the server where one is known
	quiet time.Time            // nothing is told before
}

// restartTime is how long a server may take to be restarted, before the log says more of it than that the connection was
// lost.
const restartTime = 5 * time.Second

// waitFor lets nothing be told for so long.
func (f *Failures) waitFor(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.quiet = time.Now().Add(d)
}

// maxCauses bounds what is remembered of causes.
const maxCauses = 100

// tellLast logs why a server took the connection and then did not serve it: nats.go calls no handler then. A refused
// login is logged by the handler of errors.
func (f *Failures) tellLast(nc *nats.Conn) {
	if err := nc.LastError(); err != nil && !nc.IsConnected() && !Refused(err) {
		f.Tell(err)
	}
}

// Tell logs why a try failed, unless the same was logged within the last minute.
func (f *Failures) Tell(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().Before(f.quiet) {
		return
	}
	cause := ownPort.ReplaceAllString(err.Error(), "")
	if at, told := f.told[cause]; told && time.Since(at) < time.Minute {
		return
	}
	if f.told == nil || len(f.told) >= maxCauses {
		f.told = make(map[string]time.Time)
	}
	f.told[cause] = time.Now()
	attributes := []any{"servers", f.URL, "err", err}
	if do := connectHint(err); do != "" {
		attributes = append(attributes, "do", do)
	}
	f.Log.Warn("cannot connect to NATS; trying again until it works", attributes...)
}

// ownPort finds the client's address in an error of a connection. It differs each time.
var ownPort = regexp.MustCompile(`\S+:\d+->`)
