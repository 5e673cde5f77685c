package serve

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/wire"
)

// StartNATS starts a JetStream server inside the process. Every message is on disk before it is
// acknowledged. Where the worker has a login, nobody else than the worker and the requesters is let in. The caller
// shuts it down.
func StartNATS(log *slog.Logger, c config.Config) (*server.Server, error) {
	dir, addr := c.NATS.EmbeddedDir, c.NATS.EmbeddedAddr
	options := &server.Options{ServerName: "orderwatch", JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true}
	if c.NATS.User != "" || c.NATS.Token.IsSet() {
		options.CustomClientAuthentication = doorman{c, requesters(c.Requesters, Names(c))}
	}
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		options.Host = host
		options.Port, err = strconv.Atoi(port)
	}
	if options.Port == 0 {
		options.Port = server.RANDOM_PORT
	}
	var s *server.Server
	if err == nil {
		s, err = server.NewServer(options)
	}
	if err != nil {
		return nil, fmt.Errorf("start NATS on %s: %w", addr, err)
	}
	s.SetLogger(natsLog{log}, false, false)
	s.Start()
	const wait = 10 * time.Second
	if !s.ReadyForConnections(wait) {
		s.Shutdown()
		return nil, fmt.Errorf("start NATS on %s with its data in %s: not ready within %s; the log says why", addr, dir, wait)
	}
	return s, nil
}

// A doorman lets two into the server inside the process: the worker, who may do everything, and the requesters.
type doorman struct {
	config     config.Config
	requesters *server.Permissions
}

// Check reports whether the client is let in, and says what it may do. Secrets in files are read again each time.
func (d doorman) Check(c server.ClientAuthentication) bool {
	given, worker, requesters := c.GetOpts(), d.config.NATS, d.config.Requesters
	switch {
	case fits(given, worker.User, worker.Password, worker.Token):
		c.RegisterUser(&server.User{Username: worker.User})
	case fits(given, requesters.User, requesters.Password, requesters.Token):
		c.RegisterUser(&server.User{Username: requesters.User, Permissions: d.requesters})
	default:
		return false
	}
	return true
}

// fits reports whether the client gave the login, which is the token, or the user with password, or none.
func fits(given *server.ClientOpts, user string, password, token config.Secret) bool {
	same := func(given string, secret config.Secret) bool {
		return subtle.ConstantTimeCompare([]byte(given), []byte(secret.Current())) == 1
	}
	if token.IsSet() {
		return same(given.Token, token)
	}
	return user != "" && password.IsSet() && given.Username == user && same(given.Password, password)
}

// requesters returns what those may do who are no workers: what deploy/nats-permissions.conf gives to the users
// producer and person.
func requesters(r config.Requesters, names wire.Names) *server.Permissions {
	events := names.EventStream()
	var deny []string // what is the workers' own consumers'
	for _, consumer := range []string{wire.SlackConsumer, wire.HistoryConsumer} {
		for _, call := range []string{"CONSUMER.CREATE.%s", "CONSUMER.CREATE.%s.>", "CONSUMER.DURABLE.CREATE.%s", "CONSUMER.MSG.NEXT.%s", "CONSUMER.DELETE.%s", "CONSUMER.PAUSE.%s"} {
			deny = append(deny, names.API(fmt.Sprintf(call, events+"."+consumer)))
		}
	}
	inboxes := []string{"_INBOX.>", config.NATS{User: r.User}.InboxPrefix() + ".>"}
	return &server.Permissions{
		Publish: &server.SubjectPermission{
			Allow: []string{
				names.Watch(), names.Service + ".*",
				names.API("STREAM.INFO." + events),
				names.API("CONSUMER.CREATE." + events + ".>"), names.API("CONSUMER.INFO." + events + ".*"), names.API("CONSUMER.MSG.NEXT." + events + ".*"),
				names.API("DIRECT.GET." + events), names.API("DIRECT.GET." + events + ".>"),
			},
			Deny: deny,
		},
		Subscribe: &server.SubjectPermission{Allow: slices.Compact(inboxes)},
	}
}

// natsLog hands on what the server inside the process logs.
type natsLog struct{ log *slog.Logger }

func (l natsLog) say(f func(string, ...any), format string, args []any) {
	f("nats-server", "text", fmt.Sprintf(format, args...))
}

func (l natsLog) Noticef(format string, args ...any) { l.say(l.log.Debug, format, args) }
func (l natsLog) Warnf(format string, args ...any)   { l.say(l.log.Warn, format, args) }
func (l natsLog) Fatalf(format string, args ...any)  { l.say(l.log.Error, format, args) }
func (l natsLog) Errorf(format string, args ...any)  { l.say(l.log.Error, format, args) }
func (l natsLog) Debugf(format string, args ...any)  { l.say(l.log.Debug, format, args) }
func (l natsLog) Tracef(format string, args ...any)  { l.say(l.log.Debug, format, args) }
