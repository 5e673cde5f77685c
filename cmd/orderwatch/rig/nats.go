package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The packages of the programs under test, for [Build].
const (
	Worker     = "github.com/orderwatch/orderwatch/cmd/orderwatch"
	NATSServer = "github.com/nats-io/nats-server/v2"
)

// A NATS is a nats-server and a connection to it.
type NATS struct {
	*Process
	Config string // the path of its configuration
	URL    string
	JS     jetstream.JetStream
}

// StartNATS starts a nats-server that writes to disk every two minutes, as by default. It wants the
// token, where that is not empty.
func StartNATS(t testing.TB, token string) NATS { return StartNATSWith(t, token, "2m") }

// StartNATSWith starts a nats-server with this sync_interval.
func StartNATSWith(t testing.TB, token, sync string) NATS {
	t.Helper()
	n := NATS{}
	addr, dir := FreeAddr(t), t.TempDir()
	n.Config = filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: %q\njetstream { store_dir: %q, sync_interval: %q }\n", addr, dir, sync)
	if token != "" {
		text += fmt.Sprintf("authorization { token: %q }\n", token)
	}
	if err := os.WriteFile(n.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Process = Start(t, Build(t, NATSServer), nil, "-c", n.Config)
	n.URL = "nats://" + addr
	nc, err := nats.Connect(n.URL, nats.Token(token), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	Eventually(t, Patience, func() error {
		if !nc.IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
	n.JS, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1000))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Again starts the nats-server again, with its data.
func (n *NATS) Again(t testing.TB) {
	t.Helper()
	n.Process = Start(t, Build(t, NATSServer), nil, "-c", n.Config)
}
