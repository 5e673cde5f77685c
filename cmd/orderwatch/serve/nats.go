package serve

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
)

// Login returns how to log in to NATS. Each installation has its own prefix of inboxes, so
// that permissions can keep others from reading its replies.
func Login(c config.Config) ([]nats.Option, error) {
	n := c.NATS
	options := []nats.Option{nats.CustomInboxPrefix("_INBOX_" + c.Assets.ServicePrefix)}
	switch {
	case n.CredsFile != "":
		options = append(options, nats.UserCredentials(n.CredsFile)) // read again at each reconnect
	case n.NKeyFile != "":
		nkey, err := nats.NkeyOptionFromSeed(n.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("ORDERWATCH_NATS_NKEY_FILE: holds no seed of a user's nkey")
		}
		options = append(options, nkey)
	case n.User != "":
		options = append(options, nats.UserInfoHandler(func() (user, password string) { return n.User, n.Password.Current() }))
	case n.Token.IsSet():
		options = append(options, nats.TokenHandler(n.Token.Current))
	}
	if n.TLSFirst {
		options = append(options, nats.TLSHandshakeFirst())
	}
	if n.CAFile != "" {
		options = append(options, nats.RootCAs(n.CAFile))
	}
	if n.CertFile != "" {
		options = append(options, nats.ClientCert(n.CertFile, n.KeyFile))
	}
	return options, nil
}

// StartNATS starts a JetStream server inside the process. Every message is on disk before it is
// acknowledged. The caller shuts it down.
func StartNATS(log *slog.Logger, dir, addr string) (*server.Server, error) {
	options := &server.Options{ServerName: "orderwatch", JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true}
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
