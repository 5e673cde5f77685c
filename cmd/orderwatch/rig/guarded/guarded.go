// Package guarded has nats-servers that want a login, for tests: with users and passwords (guarded.go),
// or with an operator, accounts and credentials (authority.go).
package guarded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// A Server is a nats-server that wants a login, which a reload changes.
type Server struct {
	*rig.Process
	URL    string
	config string // the path of its configuration
	basis  string // what of it stays
	JS     jetstream.JetStream
}

// Start starts a nats-server with these rules of who may log in, and connects to it.
func Start(t *testing.T, rules string, admin ...nats.Option) *Server {
	t.Helper()
	addr, dir := rig.FreeAddr(t), t.TempDir()
	g := &Server{
		URL: "nats://" + addr, config: filepath.Join(dir, "nats.conf"),
		basis: fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\n", addr, dir),
	}
	g.write(t, rules)
	g.Process = rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", g.config)
	nc, err := nats.Connect(g.URL, append(admin, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.IgnoreAuthErrorAbort())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	rig.Eventually(t, rig.Patience, func() error {
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

func (g *Server) write(t *testing.T, rules string) {
	t.Helper()
	if err := os.WriteFile(g.config, []byte(g.basis+rules), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Reload gives the running server other rules.
func (g *Server) Reload(t *testing.T, rules string) {
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

var passwordVariable = regexp.MustCompile(`\$(NATS_([A-Z_]+)_PASSWORD)`)

// Shipped returns the rules of a file of deploy, with the password planted-NAME for each user NAME of it.
func Shipped(t *testing.T, path string) string {
	t.Helper()
	rules, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	passwords := ""
	for _, variable := range passwordVariable.FindAllStringSubmatch(string(rules), -1) {
		passwords += variable[1] + ": planted-" + strings.ReplaceAll(strings.ToLower(variable[2]), "_", "-") + "\n"
	}
	return passwords + string(rules)
}
