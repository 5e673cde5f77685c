package main_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestTLSFirst lets a worker and a person connect to a server that wants the handshake first: with the variable
// both can, without it both say which one is missing. Case N5.
func TestTLSFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, caKey := writeCertificate(t, dir, "ca", nil, nil)
	writeCertificate(t, dir, "server", ca, caKey)
	file := func(name string) string { return filepath.Join(dir, name+".pem") }
	rules := fmt.Sprintf("tls { cert_file: %q, key_file: %q, handshake_first: true }\n", file("server"), file("server-key"))
	g := guarded.Start(t, rules, nats.RootCAs(file("ca")), nats.TLSHandshakeFirst())
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.a", emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{{ResourceName: "node", Status: "succeed"}}})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	const variable = "ORDERWATCH_NATS_TLS_FIRST"
	trusts := "ORDERWATCH_NATS_CA_FILE=" + file("ca")

	without := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(g.URL, modelArts.URL, rig.FreeAddr(t), trusts), "serve")
	without.Says(t, variable+"=true")
	person := []string{"ORDERWATCH_NATS_URL=" + g.URL, trusts, "ORDERWATCH_MODELARTS_PROJECT_ID=" + rig.Project}
	if got := rig.CarryOut(t, person, "list"); got.Code != 1 || !strings.Contains(got.Err, variable+"=true") {
		t.Errorf("list without it: exit code %d, %s", got.Code, got.Err)
	}

	addr := rig.FreeAddr(t)
	rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(g.URL, modelArts.URL, addr, trusts, variable+"=true"), "serve")
	rig.AwaitReady(t, addr)
	if got := rig.CarryOut(t, append(person, variable+"=true"), "watch", "--wait", "order.a"); got.Code != 0 {
		t.Errorf("watch with it: exit code %d, %s%s", got.Code, got.Out, got.Err)
	}
}

// closer accepts connections at the address, ends them at once, and counts them.
func closer(t *testing.T, addr string) *atomic.Int64 {
	t.Helper()
	var listener net.Listener
	rig.Eventually(t, rig.Patience, func() (err error) { // until the one who had it is gone
		listener, err = net.Listen("tcp", addr)
		return err
	})
	t.Cleanup(func() { listener.Close() })
	count := new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
			count.Add(1)
		}
	}()
	return count
}

// TestAllServersAway takes all three servers of a worker away, one of which then ends each connection at once: one
// line of the log tells of each server and cause, and not each try; nothing else is said to be wrong. Case N9.
func TestAllServersAway(t *testing.T) {
	t.Parallel()
	var servers []rig.NATS
	var urls []string
	for range 3 {
		s := rig.StartNATS(t, "")
		servers, urls = append(servers, s), append(urls, s.URL)
	}
	addr := rig.FreeAddr(t)
	w := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(strings.Join(urls, ","), "http://127.0.0.1:1", addr), "serve")
	rig.AwaitReady(t, addr)
	for _, s := range servers {
		s.Command.Process.Kill()
	}
	for _, s := range servers {
		<-s.Done
	}
	begin := time.Now()
	for _, url := range urls {
		w.Says(t, strings.TrimPrefix(url, "nats://")+": connect: connection refused")
	}
	ended := regexp.MustCompile(`msg="cannot connect to NATS.* err=(EOF|"read tcp \S+->` + strings.TrimPrefix(urls[1], "nats://") + `)`)
	tries := closer(t, strings.TrimPrefix(urls[1], "nats://"))
	rig.Eventually(t, rig.Patience, func() error {
		if n := tries.Load(); n < 10 || !ended.MatchString(w.Text()) {
			return fmt.Errorf("after %d tries it says\n%s", n, w.Text())
		}
		return nil
	})
	ownPort := regexp.MustCompile(`\S+:\d+->`)
	cause := regexp.MustCompile(`msg="cannot connect to NATS.* err="?([^"\n]*)`)
	told := make(map[string]int)
	for _, found := range cause.FindAllStringSubmatch(w.Text(), -1) {
		told[ownPort.ReplaceAllString(found[1], "")]++
	}
	most := 1 + int(time.Since(begin)/time.Minute) // each is told again every minute
	for what, n := range told {
		if n > most {
			t.Errorf("%d lines tell of %q; want %d", n, what, most)
		}
	}
	for _, untrue := range []string{"look at its disk", "consumer does not deliver", "cannot be read"} {
		if strings.Contains(w.Text(), untrue) {
			t.Errorf("it says %q:\n%s", untrue, w.Text())
		}
	}
}

// startLeaf starts a nats-server that is a leaf node of another, which has the JetStream domain hub, and returns the
// URLs of both. more is of the leaf node's configuration.
func startLeaf(t *testing.T, more string) (hub, leaf string) {
	t.Helper()
	serve := func(name, text string) string {
		addr, config := rig.FreeAddr(t), filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(config, []byte(fmt.Sprintf("server_name: %s\nlisten: %q\n%s\n", name, addr, text)), 0o600); err != nil {
			t.Fatal(err)
		}
		rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", config)
		return "nats://" + addr
	}
	joined := rig.FreeAddr(t)
	hub = serve("hub", fmt.Sprintf("jetstream { store_dir: %q, domain: hub }\nleafnodes { listen: %q }", t.TempDir(), joined))
	leaf = serve("leaf", fmt.Sprintf("leafnodes { reconnect: 1, remotes: [{url: %q}] }\n%s", "nats-leaf://"+joined, more))
	return hub, leaf
}

// TestWaitAtALeafNode waits at a leaf node for an order that a worker at the hub watches: without the JetStream
// domain of the hub, where the service answers the events, and with it. Case N10.
func TestWaitAtALeafNode(t *testing.T) {
	t.Parallel()
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.a", emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{{ResourceName: "node", Status: "succeed"}}})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	for name, more := range map[string]string{
		"no JetStream":           "",
		"a JetStream of its own": fmt.Sprintf("jetstream { store_dir: %q, domain: leaf }", t.TempDir()),
		"a JetStream, no domain": fmt.Sprintf("jetstream { store_dir: %q }", t.TempDir()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, leaf := startLeaf(t, more)
			addr := rig.FreeAddr(t)
			rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(hub, modelArts.URL, addr), "serve")
			rig.AwaitReady(t, addr)
			person := []string{"ORDERWATCH_NATS_URL=" + leaf, "ORDERWATCH_MODELARTS_PROJECT_ID=" + rig.Project}
			there := append(person, "ORDERWATCH_NATS_JS_DOMAIN=hub")
			rig.Eventually(t, rig.Patience, func() error { // the leaf node has joined
				if got := rig.CarryOut(t, there, "status"); got.Code != 0 {
					return fmt.Errorf("exit code %d: %s", got.Code, got.Err)
				}
				return nil
			})
			for where, env := range map[string][]string{"without": person, "with": there} {
				got := rig.CarryOut(t, env, "watch", "--wait", "order.a")
				if got.Code != 0 || !strings.Contains(got.Out+got.Err, string(watcher.Succeeded)) {
					t.Errorf("%s the domain: exit code %d, %s%s", where, got.Code, got.Out, got.Err)
				}
			}
		})
	}
}
