package page_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/page"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

func TestMain(m *testing.M) { os.Exit(eventstest.Main(m, 8)) }

// A world is a server, a worker with a stand-in for ModelArts, and a page.
type world struct {
	t      *testing.T
	nats   *server.Server
	cloud  *emulator.Emulator
	config config.Config // of the worker
	client *client.Client
	log    *logs
}

// logs keeps what was logged. It is safe for concurrent use.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const token = "planted-token"

// alone returns a world without a worker.
func alone(t *testing.T, s *server.Server) *world {
	c := config.Default()
	c.NATS.URL = s.ClientURL()
	return &world{t: t, nats: s, config: c, log: &logs{}}
}

// begin begins a world with a worker. set changes the worker's configuration.
func begin(t *testing.T, set func(*config.Config)) *world {
	t.Helper()
	return beginOn(t, eventstest.Server(t), set)
}

// beginOn is begin with a server.
func beginOn(t *testing.T, s *server.Server, set func(*config.Config)) *world {
	t.Helper()
	w := &world{t: t, nats: s, cloud: emulator.New(emulator.Options{AutoOrders: true}), log: &logs{}}
	modelArts := httptest.NewServer(w.cloud)
	t.Cleanup(modelArts.Close)
	c := config.Default()
	c.NATS.URL, c.HTTP.Addr = w.nats.ClientURL(), "127.0.0.1:0"
	c.ModelArts.Regions, c.ModelArts.Endpoint, c.ModelArts.Token = []string{"cn-north-4"}, modelArts.URL, config.NewSecret(token)
	c.Poll.Initial, c.Poll.Max, c.Watch.Settle = 500*time.Millisecond, time.Second, 100*time.Millisecond
	if set != nil {
		set(&c)
	}
	w.config = c
	nc, err := nats.Connect(w.nats.ClientURL(), nats.MaxReconnects(-1), nats.UserInfo(c.NATS.User, c.NATS.Password.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	asking, err := client.New(nc, serve.Names(c))
	if err != nil {
		t.Fatal(err)
	}
	w.client = asking
	w.background("worker", func(ctx context.Context, log *slog.Logger) error {
		return serve.Run(ctx, log, c, serve.DefaultTiming())
	})
	eventstest.Eventually(t, func() error {
		_, err := asking.List(t.Context(), wire.ListQuery{Limit: 1})
		return err
	})
	return w
}

// background runs until the test ends.
func (w *world) background(what string, run func(context.Context, *slog.Logger) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, slog.New(slog.NewTextHandler(w.log, nil))) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(w.log.String(), "planted") {
			w.t.Error("the log shows a secret")
		}
	})
}

// page serves a page of the world, and returns its address without the slash at the end. set changes its configuration.
func (w *world) page(set func(*config.Config)) string {
	w.t.Helper()
	c := w.config
	c.Page.Addr = "127.0.0.1:0"
	if set != nil {
		set(&c)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // whatever the configuration says: servers of tests are for this machine
	if err != nil {
		w.t.Fatal(err)
	}
	served := make(chan string, 1)
	w.background("page", func(ctx context.Context, log *slog.Logger) error {
		return page.Serve(ctx, log, c, serve.DefaultTiming(), listener, func(url string) { served <- url })
	})
	return strings.TrimSuffix(<-served, "/")
}

// watch has an order watched, and waits until its watch is there.
func (w *world) watch(order watcher.Order, request string) {
	w.t.Helper()
	if _, err := w.client.Publish(w.t.Context(), wire.WatchRequest{Order: order, RequestID: request, RequestedBy: "tests"}); err != nil {
		w.t.Fatal(err)
	}
	eventstest.Eventually(w.t, func() error {
		_, err := w.client.Get(w.t.Context(), order)
		return err
	})
}

// An answer is what came of a request.
type answer struct {
	*http.Response
	text string
}

var plain = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// ask sends a request; change changes it.
func ask(t *testing.T, method, url string, change func(*http.Request)) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	response, err := plain.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(text)}
}

// get asks until the answer has all these texts.
func get(t *testing.T, url string, change func(*http.Request), texts ...string) (a answer) {
	t.Helper()
	eventstest.Eventually(t, func() error {
		a = ask(t, http.MethodGet, url, change)
		for _, text := range texts {
			if !strings.Contains(a.text, text) {
				return fmt.Errorf("no %q in the answer %d:\n%s", text, a.StatusCode, a.text)
			}
		}
		return nil
	})
	return a
}

// A live is a stream that is read.
type live struct {
	t      *testing.T
	lines  chan string // closed when the stream has ended
	ended  chan error
	cancel context.CancelFunc
}

// listen opens the stream that a screen names.
func listen(t *testing.T, base, screen string, change func(*http.Request)) *live {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+screen, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" || response.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("the stream is %s: %v", kind, response.Header)
	}
	l := &live{t: t, lines: make(chan string, 10_000), ended: make(chan error, 1), cancel: cancel}
	t.Cleanup(cancel)
	go func() {
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			l.lines <- lines.Text()
		}
		l.ended <- cmp.Or(lines.Err(), io.EOF)
		close(l.lines)
	}()
	return l
}

// until reads the stream until a line has the text, and returns what was read.
func (l *live) until(text string) (read string) {
	l.t.Helper()
	limit := time.After(eventstest.Patience)
	for {
		select {
		case line, ok := <-l.lines:
			if !ok {
				l.t.Fatalf("the stream ended without %q\n%s", text, read)
			}
			read += line + "\n"
			if strings.Contains(line, text) {
				return read
			}
		case <-limit:
			l.t.Fatalf("the stream does not say %q:\n%s", text, read)
		}
	}
}

// end waits until the stream has ended.
func (l *live) end() {
	l.t.Helper()
	select {
	case err := <-l.ended:
		if !errors.Is(err, io.EOF) {
			l.t.Fatal(err)
		}
	case <-time.After(eventstest.Patience):
		l.t.Fatal("the stream goes on")
	}
}

var errNotYet = errors.New("not yet")

// prefixes reads a network.
func prefixes(t *testing.T, text string) []netip.Prefix {
	t.Helper()
	network, err := netip.ParsePrefix(text)
	if err != nil {
		t.Fatal(err)
	}
	return []netip.Prefix{network}
}
