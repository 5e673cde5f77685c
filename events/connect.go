package events

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Connect connects to NATS so that the connection outlives any outage: it is made in the
// background if no server answers yet, it reconnects for ever, and refused credentials are tried
// again too, since they may be rotated. login says how to log in and where else to differ.
func Connect(log *slog.Logger, url string, login ...nats.Option) (*nats.Conn, error) {
	failures := &connectFailures{log: log, url: url}
	var made atomic.Pointer[nats.Conn]
	options := append([]nats.Option{
		nats.Name("orderwatch"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(200*time.Millisecond, 500*time.Millisecond),
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
				log.Warn("disconnected from NATS; reconnecting until it is back", "err", err)
			}
		}),
		nats.ReconnectErrHandler(failures.tell),
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

// connectFailures tells why there is no connection: for each server and cause at once, and then every minute.
type connectFailures struct {
	log *slog.Logger
	url string

	mu   sync.Mutex
	told map[string]time.Time // by the cause, which names the server where one is known
}

// maxCauses bounds what is remembered of causes.
const maxCauses = 100

// tellLast tells of the last try where a server took the connection, but then did not serve it: of those
// nats.go tells nobody. That a login is refused is told elsewhere.
func (f *connectFailures) tellLast(nc *nats.Conn) {
	if err := nc.LastError(); err != nil && !nc.IsConnected() && !loginRefused(err) {
		f.tell(nc, err)
	}
}

func (f *connectFailures) tell(_ *nats.Conn, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cause := causeOf(err)
	if at, told := f.told[cause]; told && time.Since(at) < time.Minute {
		return
	}
	if f.told == nil || len(f.told) >= maxCauses {
		f.told = make(map[string]time.Time)
	}
	f.told[cause] = time.Now()
	attributes := []any{"servers", f.url, "err", err}
	if do := connectHint(err); do != "" {
		attributes = append(attributes, "do", do)
	}
	f.log.Warn("cannot connect to NATS; trying again until it works", attributes...)
}

// ownPort finds the client's address in an error of a connection. It differs each time.
var ownPort = regexp.MustCompile(`\S+:\d+->`)

func causeOf(err error) string { return ownPort.ReplaceAllString(err.Error(), "") }

// connectHint returns what may mend a connection that cannot be made; empty where the error says it.
func connectHint(err error) string {
	if MayWantTLSFirst(err) {
		return TLSFirstHint
	}
	return limitMet(err)
}

// TLSFirstHint says what to do where [MayWantTLSFirst] holds.
const TLSFirstHint = "the server took the connection and said nothing; if its configuration has tls { handshake_first: true }, set ORDERWATCH_NATS_TLS_FIRST=true"

// MayWantTLSFirst reports whether the error of a connection is that of a server which waits for the TLS handshake
// before it says a word: it ends the connection, or the client does, whichever has less patience.
func MayWantTLSFirst(err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || ok && operation.Op == "read" && operation.Timeout()
}

// denied reports whether an error of the connection says that a permission is missing. It shows
// nowhere else: the publish or the request itself just times out.
func denied(err error) bool { return errors.Is(err, nats.ErrPermissionViolation) }

// loginRefused reports whether an error of the connection says that the server does not accept the
// login, or no longer. nats.go tells each refusal so while it goes on reconnecting.
func loginRefused(err error) bool {
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}
