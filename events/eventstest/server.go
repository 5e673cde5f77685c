package eventstest

import (
	"cmp"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Server starts a nats-server with JetStream in this process, on a free port and with a folder of the test's,
// unless the options, of which there is one at most, say otherwise.
func Server(t testing.TB, options ...server.Options) *server.Server {
	t.Helper()
	var o server.Options
	if len(options) > 0 {
		o = options[0]
	}
	o.Host, o.JetStream, o.NoSigs, o.NoLog = "127.0.0.1", true, true, true
	o.Port = cmp.Or(o.Port, server.RANDOM_PORT)
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(Patience) {
		t.Fatal("nats-server does not answer")
	}
	return s
}

// Connect connects to the server, again and again where it goes away. The connection is closed with the test.
func Connect(t testing.TB, s *server.Server) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(30*time.Second)) // of a call: a server on a busy machine may take long
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}
