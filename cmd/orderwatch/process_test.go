package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const project = "6f5da086876d4cd084d36f8bd3346036"

// build builds a package's program once for all tests and returns its path.
func build(t *testing.T, pkg string) string {
	t.Helper()
	path, err := programs(pkg)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	buildDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "orderwatch-test-") })
	programs = func() func(pkg string) (string, error) {
		var mu sync.Mutex
		built := make(map[string]string)
		return func(pkg string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if path, ok := built[pkg]; ok {
				return path, nil
			}
			dir, err := buildDir()
			if err != nil {
				return "", err
			}
			path := filepath.Join(dir, fmt.Sprintf("program-%d", len(built)))
			if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
				return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
			}
			built[pkg] = path
			return path, nil
		}
	}()
)

func TestMain(m *testing.M) {
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
	output  bytes.Buffer
	done    chan struct{} // closed when it has ended
}

// start starts a program and ends it with the test.
func start(t *testing.T, path string, env []string, args ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(path, args...), done: make(chan struct{})}
	p.command.Env = append(bare(), env...)
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
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
			t.Logf("output of %s %v:\n%s", filepath.Base(path), args, tail(p.output.String(), 20000))
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
func (p *process) terminate(t *testing.T) (code int, took time.Duration) {
	t.Helper()
	begin := time.Now()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Fatal("still running 30 s after SIGTERM")
	}
	return p.command.ProcessState.ExitCode(), time.Since(begin)
}

// freeAddr returns an address on which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startNATS starts a nats-server process and returns a connection to it. It wants the token, where
// that is not empty.
func startNATS(t *testing.T, token string) (url string, js jetstream.JetStream) {
	t.Helper()
	host, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	start(t, build(t, natsServer), nil, "-a", host, "-p", port, "-js", "-sd", t.TempDir(), "-auth", token)
	url = "nats://" + net.JoinHostPort(host, port)
	nc, err := nats.Connect(url, nats.Token(token), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	eventually(t, 30*time.Second, func() error {
		if !nc.IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
	js, err = jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return url, js
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
func awaitReady(t *testing.T, addr string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
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

// eventually waits until f returns nil.
func eventually(t *testing.T, limit time.Duration, f func() error) {
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
func shortAckWait(t *testing.T, js jetstream.JetStream) {
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
func stored(t *testing.T, js jetstream.JetStream, stream, subject string, f func(jetstream.Msg)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	left := consumer.CachedInfo().NumPending
	for left > 0 {
		batch, err := consumer.Fetch(int(min(left, 500)), jetstream.FetchMaxWait(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			f(m)
			left--
		}
		if batch.Error() != nil {
			t.Fatal(batch.Error())
		}
	}
}
