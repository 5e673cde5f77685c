package modelarts_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
	"github.com/orderwatch/orderwatch/watcher/modelarts/rig"
)

const (
	project = rig.Project
	region  = rig.Region
	secret  = rig.Secret
)

var (
	quiet     = slog.New(slog.DiscardHandler)
	config    = rig.Config
	newClient = rig.New
	serve     = rig.Serve
	order     = rig.Order
)

func TestShow(t *testing.T) {
	e := emulator.New(emulator.Options{Tokens: []string{secret}})
	client := newClient(t, config(t, serve(t, e)))
	for _, spelling := range []emulator.Spelling{emulator.Lower, emulator.Camel} {
		for _, stamps := range []emulator.Timestamps{emulator.Integers, emulator.Strings, emulator.Missing} {
			e.Add(project, "order.pool-1", emulator.Order{Spelling: spelling, Timestamps: stamps, Items: []emulator.Item{
				{ResourceName: "pool-1", Action: "createPool"},
				{ResourceName: "node-1", Status: "failed", Message: "flavor sold out"},
				{ResourceName: "node-2", EndAfter: emulator.Never},
			}})
			answer, err := client.Show(t.Context(), region, order("order.pool-1"))
			if err != nil {
				t.Fatal(err)
			}
			if answer.Count != 3 || len(answer.Items) != 3 {
				t.Fatalf("%q, %q: got %+v", spelling, stamps, answer)
			}
			i := answer.Items[1]
			if i.ResourceName != "node-1" || i.Action != "createNode" || i.Status != watcher.Failed || i.Message != "flavor sold out" {
				t.Errorf("%q, %q: got item %+v", spelling, stamps, i)
			}
			if i.BeganAt.IsZero() != (stamps == emulator.Missing) || i.UpdatedAt.IsZero() != (stamps == emulator.Missing) {
				t.Errorf("%q, %q: got times %v and %v", spelling, stamps, i.BeganAt, i.UpdatedAt)
			}
			if answer.Items[2].Status != watcher.Processing {
				t.Errorf("node-2 is %s", answer.Items[2].Status)
			}
		}
	}
}

// The request as the API's page describes it, whatever the order is called.
func TestShowAsksOnlyForTheOrder(t *testing.T) {
	var path, agent, token atomic.Value
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path.Store(r.Method + " " + r.RequestURI)
		agent.Store(r.UserAgent())
		token.Store(r.Header.Get("X-Auth-Token"))
		io.WriteString(w, `{"count":0}`)
	}))
	c := config(t, server)
	c.Endpoint += "/proxied/{region}/"
	c.UserAgent = "orderwatch/1"
	client := newClient(t, c)
	if _, err := client.Show(t.Context(), region, order("order.a-b_c=d")); err != nil {
		t.Fatal(err)
	}
	if want := "GET /proxied/cn-north-4/v1/" + project + "/orders/order.a-b_c=d"; path.Load() != want {
		t.Errorf("asked for %s, want %s", path.Load(), want)
	}
	if agent.Load() != "orderwatch/1" || token.Load() != secret {
		t.Errorf("sent agent %q and token %q", agent.Load(), token.Load())
	}
	path.Store("")
	for _, bad := range []watcher.Order{
		{ProjectID: project}, {Name: "o"}, {ProjectID: "../x", Name: "o"}, {ProjectID: project, Name: ".."},
		{ProjectID: project, Name: "a/../../b"}, {ProjectID: project, Name: "a%2fb"}, {ProjectID: project, Name: "a?b"},
		{ProjectID: project, Name: "a\nb"}, {ProjectID: project, Name: "@evil.example"},
	} {
		_, err := client.Show(t.Context(), region, bad)
		if e, ok := errors.AsType[*watcher.PollError](err); !ok || e.Class != watcher.Refused {
			t.Errorf("%q: got %v, want it refused", bad, err)
		}
	}
	if _, err := client.Show(t.Context(), "evil.example/", order("o")); err == nil || !strings.Contains(err.Error(), "not configured") {
		t.Errorf("unknown region: got %v", err)
	}
	if path.Load() != "" {
		t.Errorf("asked for %s", path.Load())
	}
}

func TestShowOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(emulator.New(emulator.Options{AutoOrders: true}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // refused handshakes
	server.StartTLS()
	t.Cleanup(server.Close)
	c := config(t, server)
	if _, err := newClient(t, c).Show(t.Context(), region, order("order.empty-1")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: got %v", err)
	}
	c.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
	c.TLS.RootCAs.AddCert(server.Certificate())
	if _, err := newClient(t, c).Show(t.Context(), region, order("order.empty-1")); err != nil {
		t.Errorf("a known authority: %v", err)
	}
}

func TestShowOnABadNetwork(t *testing.T) {
	e := emulator.New(emulator.Options{})
	c := config(t, serve(t, e))
	patient := newClient(t, c)
	c.Timeout = 200 * time.Millisecond
	impatient := newClient(t, c)
	const late = "no whole answer within 200ms"
	for _, tt := range []struct {
		name  string
		fault emulator.Fault
		want  string
	}{
		{"hang", emulator.Fault{Hang: true}, late},
		{"slow", emulator.Fault{Delay: time.Minute}, late},
		{"drip", emulator.Fault{Drip: 150 * time.Millisecond}, late},
		{"cut header", emulator.Fault{Cut: true, Status: 200, Shape: emulator.Empty}, "EOF"},
		{"cut body", emulator.Fault{Cut: true, CutAfter: 10}, "unexpected EOF"},
		{"page", emulator.Fault{Body: "<html>login</html>"}, "no JSON object"},
		{"empty", emulator.Fault{Status: 200, Shape: emulator.Empty}, "no JSON object"},
		{"cut JSON", emulator.Fault{Body: `{"count":1,"items":[`}, "unexpected end of JSON"},
		{"trailing", emulator.Fault{Body: `{"count":1}{}`}, "after top-level value"},
		{"redirect", emulator.Fault{Status: 302, Header: map[string]string{"Location": "https://user:pass@login.example/" + secret}}, "points to login.example, and redirects are not followed"},
		{"redirect to nowhere", emulator.Fault{Status: 301}, "points elsewhere"},
		{"no content", emulator.Fault{Status: 203, Shape: emulator.Plain, Message: "cached"}, "cached"},
		{"much header", emulator.Fault{Header: map[string]string{"X-Long": strings.Repeat("x", 100_000)}}, "exceeded 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e.Add(project, "order.x", emulator.Order{Faults: []emulator.Fault{tt.fault}})
			client := patient
			if tt.want == late {
				client = impatient
			}
			_, err := client.Show(t.Context(), region, order("order.x"))
			p, ok := errors.AsType[*watcher.PollError](err)
			if !ok || p.Class != watcher.MayPass || !strings.Contains(p.Message, tt.want) {
				t.Errorf("got %v, want one that may pass with %q in it", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "/v1/")) {
				t.Errorf("%v shows too much", err)
			}
		})
	}
}

func TestShowBoundsTheBody(t *testing.T) {
	e := emulator.New(emulator.Options{})
	client := newClient(t, config(t, serve(t, e)))
	e.Add(project, "order.x", emulator.Order{Faults: []emulator.Fault{{Pad: 1 << 30}}})
	if _, err := client.Show(t.Context(), region, order("order.x")); err == nil || !strings.Contains(err.Error(), "more than 8 MiB") {
		t.Errorf("got %v", err)
	}
	e.Add(project, "order.y", emulator.Order{Faults: []emulator.Fault{{Pad: 7 << 20}}})
	if _, err := client.Show(t.Context(), region, order("order.y")); err != nil {
		t.Errorf("7 MiB: %v", err)
	}
}

func TestShowWithNobodyThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := newClient(t, config(t, server)).Show(t.Context(), region, order("order.x"))
	if e, ok := errors.AsType[*answer.Error](err); !ok || e.Status != 0 || !strings.Contains(e.Message, "connection refused") {
		t.Errorf("got %v", err)
	}
}

// A proxy that makes no connection is named. Which proxy is used is read from the environment once, so a
// process of its own asks.
func TestProxyRefuses(t *testing.T) {
	if os.Getenv("TEST_PROXY_REFUSES") != "" {
		token, err := login.NewToken(secret)
		if err != nil {
			t.Fatal(err)
		}
		client := newClient(t, modelarts.Config{Endpoint: "https://modelarts.example", Regions: []string{region}, Credential: token})
		_, err = client.Show(t.Context(), region, order("order.x"))
		fmt.Println(err)
		return
	}
	for status, want := range map[int]string{
		http.StatusBadGateway:        "a proxy answered 502 Bad Gateway (if this lasts, check the proxy and the endpoint)",
		http.StatusProxyAuthRequired: "a proxy answered 407 Proxy Authentication Required (check the proxy's login)",
	} {
		proxy := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		again := exec.Command(os.Args[0], "-test.run=^TestProxyRefuses$")
		again.Env = append(os.Environ(), "TEST_PROXY_REFUSES=1", "HTTPS_PROXY="+proxy.URL, "https_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
		out, err := again.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %s; want %q", err, out, want)
		}
	}
}

func TestShowEndsWithItsContext(t *testing.T) {
	e := emulator.New(emulator.Options{})
	client := newClient(t, config(t, serve(t, e)))
	e.Add(project, "order.x", emulator.Order{Faults: []emulator.Fault{{Hang: true}}})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, io.ErrClosedPipe)
	defer cancel()
	if _, err := client.Show(ctx, region, order("order.x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

func TestShowReusesConnections(t *testing.T) {
	var opened atomic.Int32
	e := emulator.New(emulator.Options{AutoOrders: true})
	server := httptest.NewUnstartedServer(e)
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { opened.Add(1); return ctx }
	server.Start()
	t.Cleanup(server.Close)
	client := newClient(t, config(t, server))
	for range 3 {
		done := make(chan error)
		for range 20 {
			go func() {
				_, err := client.Show(t.Context(), region, order("order.empty-1"))
				done <- err
			}()
		}
		for range 20 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	if n := opened.Load(); n > 40 {
		t.Errorf("opened %d connections for 60 calls, 20 at a time", n)
	}
}

func TestNewNamesTheWrongSetting(t *testing.T) {
	token, err := login.NewToken(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		want   string
		change func(*modelarts.Config)
	}{
		{"", func(c *modelarts.Config) {}},
		{"", func(c *modelarts.Config) { c.Endpoint = "http://127.0.0.1:9090/a/b/" }},
		{"regions", func(c *modelarts.Config) { c.Regions = nil }},
		{"regions", func(c *modelarts.Config) { c.Regions = []string{"evil.example/"} }},
		{"regions", func(c *modelarts.Config) { c.Regions = []string{""} }},
		{"credential", func(c *modelarts.Config) { c.Credential = nil }},
		{"timeout", func(c *modelarts.Config) { c.Timeout = -1 }},
		{"rate", func(c *modelarts.Config) { c.Rate = -1 }},
		{"rate", func(c *modelarts.Config) { c.Rate = 1e9 }},
		{"concurrency", func(c *modelarts.Config) { c.Concurrency = -1 }},
		{"endpoint", func(c *modelarts.Config) { c.Endpoint = "modelarts.example" }},
		{"endpoint", func(c *modelarts.Config) { c.Endpoint = "ftp://modelarts.example" }},
		{"endpoint", func(c *modelarts.Config) { c.Endpoint = "https://user:" + secret + "@modelarts.example" }},
		{"endpoint", func(c *modelarts.Config) { c.Endpoint = "https://modelarts.example/?k=" + secret }},
		{"endpoint", func(c *modelarts.Config) { c.Endpoint = "https://modelarts.example/a/../b" }},
		{"endpoint", func(c *modelarts.Config) { c.Endpoint = "https://modelarts.{Region}.example" }},
		{"endpoint", func(c *modelarts.Config) { c.Endpoint = "https://\x7f" + secret }},
	} {
		c := modelarts.Config{Regions: []string{region}, Credential: token}
		tt.change(&c)
		_, err := modelarts.New(quiet, c)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want+": ") || strings.Contains(err.Error(), secret) {
			t.Errorf("got %v, want an error about %s", err, tt.want)
		}
	}
}
