package main_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const project = "6f5da086876d4cd084d36f8bd3346036"

// build builds a package's program, with build tags where they are given, once for all tests and
// returns its path.
func build(t testing.TB, pkg string, tags ...string) string {
	t.Helper()
	path, err := programs(pkg, strings.Join(tags, ","))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	buildDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "orderwatch-test-") })
	programs = func() func(pkg, tags string) (string, error) {
		var mu sync.Mutex
		built := make(map[[2]string]string)
		return func(pkg, tags string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if path, ok := built[[2]string{pkg, tags}]; ok {
				return path, nil
			}
			dir, err := buildDir()
			if err != nil {
				return "", err
			}
			if err := lookAtSources(); err != nil {
				return "", err
			}
			path := filepath.Join(dir, fmt.Sprintf("program-%d", len(built)))
			if out, err := exec.Command("go", "build", "-tags", tags, "-o", path, pkg).CombinedOutput(); err != nil {
				return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
			}
			built[[2]string{pkg, tags}] = path
			return path, nil
		}
	}()
)

// lookAtSources opens the module's folders. go test takes an old result for good as long as nothing
// changed that the test opened; of what a program is built from it would not know.
func lookAtSources() error {
	return filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
}

// atOnce is how many tests run at the same time where nobody says otherwise (-parallel): most of them
// wait for processes.
const atOnce = 4

func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < atOnce && flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		flag.Set("test.parallel", strconv.Itoa(atOnce)) // it is a number
	}
	code := m.Run()
	if dir, err := buildDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

const (
	worker     = "github.com/orderwatch/orderwatch/cmd/orderwatch"
	natsServer = "github.com/nats-io/nats-server/v2"
)

// A process is a program under test. Its output is kept.
type process struct {
	command *exec.Cmd
	done    chan struct{} // closed when it has ended

	mu     sync.Mutex
	output bytes.Buffer
}

// Write keeps what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

// text returns what the process has printed.
func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// start starts a program and ends it with the test.
func start(t testing.TB, path string, env []string, args ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(path, args...), done: make(chan struct{})}
	p.command.Env = append(bare(), env...)
	p.command.Stdout, p.command.Stderr = p, p
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.command.Wait() // its state says how it ended
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("output of %s %v:\n%s", filepath.Base(path), args, tail(p.text(), 20000))
		}
	})
	return p
}

// bare is this process's environment without what would configure a worker.
func bare() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// kill ends the process with SIGKILL and waits for it.
func (p *process) kill() {
	p.command.Process.Kill() // it may have ended
	<-p.done
}

// terminate ends the process with SIGTERM and returns its exit code and how long it took.
func (p *process) terminate(t testing.TB) (code int, took time.Duration) {
	t.Helper()
	begin := time.Now()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatal("still running 30 s after SIGTERM")
	}
	return p.command.ProcessState.ExitCode(), time.Since(begin)
}

// freeAddr returns an address on which nobody listens. Its port is below those that systems give to connections, so
// that no connection has it while a server that is restarted wants it again.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(20_000)))
		if _, before := addrs.LoadOrStore(addr, true); before {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

var addrs sync.Map // those that freeAddr returned

// A natsProcess is a nats-server and a connection to it.
type natsProcess struct {
	*process
	config string // the path of its configuration
	url    string
	js     jetstream.JetStream
}

// startNATS starts a nats-server that writes to disk every two minutes, as by default. It wants the
// token, where that is not empty.
func startNATS(t testing.TB, token string) natsProcess { return startNATSWith(t, token, "2m") }

// startNATSWith starts a nats-server with this sync_interval.
func startNATSWith(t testing.TB, token, sync string) natsProcess {
	t.Helper()
	n := natsProcess{}
	addr, dir := freeAddr(t), t.TempDir()
	n.config = filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: %q\njetstream { store_dir: %q, sync_interval: %q }\n", addr, dir, sync)
	if token != "" {
		text += fmt.Sprintf("authorization { token: %q }\n", token)
	}
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.process = start(t, build(t, natsServer), nil, "-c", n.config)
	n.url = "nats://" + addr
	nc, err := nats.Connect(n.url, nats.Token(token), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	eventually(t, patience, func() error {
		if !nc.IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
	n.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1000))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// serveEnv is the environment of a worker with short intervals.
func serveEnv(natsURL, modelArtsURL, httpAddr string, more ...string) []string {
	return append([]string{
		"ORDERWATCH_NATS_URL=" + natsURL,
		"ORDERWATCH_MODELARTS_REGIONS=cn-north-4",
		"ORDERWATCH_MODELARTS_ENDPOINT=" + modelArtsURL,
		"ORDERWATCH_MODELARTS_TOKEN=planted-token",
		"ORDERWATCH_MODELARTS_TIMEOUT=1s",
		"ORDERWATCH_MODELARTS_RATE=2000",
		"ORDERWATCH_POLL_INITIAL=300ms",
		"ORDERWATCH_POLL_MAX=1s",
		"ORDERWATCH_SETTLE=300ms",
		"ORDERWATCH_HTTP_ADDR=" + httpAddr,
		"ORDERWATCH_LOG_FORMAT=text",
	}, more...)
}

// awaitReady waits until the worker that listens on addr says that it is ready.
func awaitReady(t testing.TB, addr string) {
	t.Helper()
	eventually(t, patience, func() error {
		answer, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	})
}

// patience is how long a test waits for what must come, where it does not matter how soon: longer
// than the slowest machine under load takes.
const patience = 3 * time.Minute

// eventually waits until f returns nil.
func eventually(t testing.TB, limit time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// shortAckWait sets the workers' consumers to 3 s, the least that a MODELARTS_TIMEOUT of 1s allows.
func shortAckWait(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	for _, c := range [][2]string{{"ORDER_REQUESTS", "intake"}, {"ORDER_WAKEUPS", "poller"}, {"ORDER_EVENTS", "slack"}} {
		consumer, err := js.Consumer(t.Context(), c[0], c[1])
		if err != nil {
			t.Fatal(err)
		}
		config := consumer.CachedInfo().Config
		config.AckWait = 3 * time.Second
		if _, err := js.UpdateConsumer(t.Context(), c[0], config); err != nil {
			t.Fatal(err)
		}
	}
}

// stored hands every message of a stream on the subject to f, oldest first.
func stored(t testing.TB, js jetstream.JetStream, stream, subject string, f func(jetstream.Msg)) {
	t.Helper()
	err := readStream(t.Context(), js, stream, subject, func(m jetstream.Msg) {
		judgeEvent(t, stream, m.Subject(), m.Headers(), m.Data())
		f(m)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// readStream is stored for servers that may not answer.
func readStream(ctx context.Context, js jetstream.JetStream, stream, subject string, f func(jetstream.Msg)) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		return err
	}
	for left := consumer.CachedInfo().NumPending; left > 0; {
		batch, err := consumer.Fetch(int(min(left, 500)), jetstream.FetchMaxWait(10*time.Second))
		if err != nil {
			return err
		}
		for m := range batch.Messages() {
			f(m)
			left--
		}
		if batch.Error() != nil {
			return batch.Error()
		}
	}
	return nil
}
