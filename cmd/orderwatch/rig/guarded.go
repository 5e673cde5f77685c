package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Guarded server is a nats-server that wants a login, which a reload changes.
type Guarded struct {
	*Process
	URL    string
	config string // the path of its configuration
	basis  string // what of it stays
	JS     jetstream.JetStream
}

// StartGuarded starts a nats-server with these rules of who may log in, and connects to it.
func StartGuarded(t *testing.T, rules string, admin ...nats.Option) *Guarded {
	t.Helper()
	addr, dir := FreeAddr(t), t.TempDir()
	g := &Guarded{
		URL: "nats://" + addr, config: filepath.Join(dir, "nats.conf"),
		basis: fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\n", addr, dir),
	}
	g.write(t, rules)
	g.Process = Start(t, Build(t, NATSServer), nil, "-c", g.config)
	nc, err := nats.Connect(g.URL, append(admin, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.IgnoreAuthErrorAbort())...)
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
	if g.JS, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *Guarded) write(t *testing.T, rules string) {
	t.Helper()
	if err := os.WriteFile(g.config, []byte(g.basis+rules), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Reload gives the running server other rules.
func (g *Guarded) Reload(t *testing.T, rules string) {
	t.Helper()
	g.write(t, rules)
	if err := g.Command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// Users are the rules for an administrator and, where there are any, for a worker.
func Users(worker string) string {
	return "authorization { users: [ { user: admin, password: planted-admin }\n" + worker + " ] }\n"
}
