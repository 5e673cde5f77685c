package faults_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

var (
	profiles = flag.String("profiles", "", "the directory where benchmarks leave CPU profiles of worker and nats-server")
	program  = flag.String("program", "", "the path of the orderwatch that benchmarks measure; empty: this one")
)

// A benchRig is what is measured: a worker and a nats-server, each a process. The cloud is in this one.
type benchRig struct {
	worker   *rig.Process
	addr     string       // where the worker's metrics are
	nats     rig.NATS     // the first server
	cluster  *natsCluster // all three of them; nil: there is one
	cloudURL string

	polls, lists atomic.Int64 // calls of the cloud

	workerProfiles, natsProfiles string // addresses
}

// newBenchRig starts the cloud, and a nats-server that writes to disk at such intervals.
func newBenchRig(t testing.TB, cloud http.Handler, sync string) *benchRig {
	t.Helper()
	r := newCloudRig(t, cloud)
	r.nats = rig.StartNATSWith(t, "", sync)
	if *profiles != "" {
		r.profileNATS(t)
	}
	return r
}

// newClusterRig starts the cloud, and three nats-servers, of which none is profiled.
func newClusterRig(t testing.TB, cloud http.Handler) *benchRig {
	t.Helper()
	r := newCloudRig(t, cloud)
	r.cluster, r.natsProfiles = startCluster(t), ""
	first := r.cluster.servers[0]
	r.nats = rig.NATS{Process: first.Process, Config: first.config, URL: r.cluster.url, JS: r.cluster.js}
	return r
}

// newCloudRig starts the cloud.
func newCloudRig(t testing.TB, cloud http.Handler) *benchRig {
	t.Helper()
	r := &benchRig{addr: rig.FreeAddr(t), workerProfiles: rig.FreeAddr(t), natsProfiles: rig.FreeAddr(t)}
	modelArts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.HasSuffix(q.URL.Path, "/orders") {
			r.lists.Add(1)
		} else {
			r.polls.Add(1)
		}
		cloud.ServeHTTP(w, q)
	}))
	t.Cleanup(modelArts.Close)
	r.cloudURL = modelArts.URL
	return r
}

// serve starts the worker and waits until it is ready.
func (r *benchRig) serve(t testing.TB, env []string) {
	t.Helper()
	path := *program
	if path == "" {
		path = rig.Build(t, rig.Worker)
	}
	if *profiles != "" {
		env = append(env, "ORDERWATCH_PPROF_ADDR="+r.workerProfiles)
	}
	r.worker = rig.Start(t, path, env, "serve")
	rig.AwaitReady(t, r.addr)
}

// startRig starts a rig for so many watches: with one server, or with three that have a copy each. Intervals are uniform
// over 0.5 to 1.5 of the mean. Three servers write to disk every two minutes, whatever sync says.
func startRig(b *testing.B, watches int, mean time.Duration, sync string, servers int) *benchRig {
	b.Helper()
	cloud := unending(watches, emulator.Options{CallsKept: 1})
	var r *benchRig
	if servers == 1 {
		r = newBenchRig(b, cloud, sync)
	} else {
		r = newClusterRig(b, cloud)
	}
	r.serve(b, steadyEnv(r.nats.URL, r.cloudURL, r.addr, mean, "ORDERWATCH_MODELARTS_TIMEOUT=15s", fmt.Sprintf("ORDERWATCH_STREAM_REPLICAS=%d", servers)))
	return r
}

// steadyEnv is the environment of a worker that asks when it is due, and lists no orders, which would stretch the
// intervals; these are uniform over 0.5 to 1.5 of the mean.
func steadyEnv(natsURL, modelArtsURL, httpAddr string, mean time.Duration, more ...string) []string {
	return rig.ServeEnv(natsURL, modelArtsURL, httpAddr, append(steady(mean), more...)...)
}

// steady are the variables by which intervals are uniform over 0.5 to 1.5 of the mean, and nothing else asks for polls.
func steady(mean time.Duration) []string {
	return []string{
		"ORDERWATCH_MODELARTS_RATE=10000", "ORDERWATCH_TIMEOUT=48h",
		"ORDERWATCH_POLL_INITIAL=" + mean.String(), "ORDERWATCH_POLL_MAX=" + mean.String(),
		"ORDERWATCH_POLL_MULTIPLIER=1", "ORDERWATCH_POLL_JITTER=0.5", "ORDERWATCH_SWEEP_EVERY=0",
	}
}

// unending returns a cloud with so many orders to which nothing happens.
func unending(orders int, o emulator.Options) *emulator.Emulator {
	cloud := emulator.New(o)
	for i := range orders {
		cloud.Add(rig.Project, orderName(i), unendingOrder(4))
	}
	return cloud
}

// fill publishes a request for each of so many orders from the first on, and waits until all were
// taken.
func fill(t testing.TB, js jetstream.JetStream, first, orders int) {
	t.Helper()
	for i := first; i < first+orders; i++ {
		body := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q}`, rig.Project, orderName(i), requestID(i))
		if _, err := js.PublishAsync("orders.watch", []byte(body), jetstream.WithStallWait(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	rig.Eventually(t, 10*time.Minute, func() error {
		s, err := js.Stream(t.Context(), "ORDER_REQUESTS")
		if err != nil {
			return err
		}
		if n := s.CachedInfo().State.Msgs; n > 0 {
			return fmt.Errorf("%d requests wait", n)
		}
		return nil
	})
}

// profileNATS starts the nats-server anew, so that it can be profiled.
func (r *benchRig) profileNATS(t testing.TB) {
	t.Helper()
	_, port, err := net.SplitHostPort(r.natsProfiles)
	if err != nil {
		t.Fatal(err)
	}
	r.nats.Kill()
	r.nats.Process = rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", r.nats.Config, "-profile", port)
	rig.Eventually(t, 30*time.Second, func() error {
		if !r.nats.JS.Conn().IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
}

// profile profiles worker and server for as long, where that is asked for, into files that are named for the run. What
// it returns is closed when that is done.
func (r *benchRig) profile(b *testing.B, span time.Duration) <-chan struct{} {
	done := make(chan struct{})
	var both sync.WaitGroup
	if *profiles != "" {
		run := strings.NewReplacer("/", "-", "=", "-").Replace(strings.TrimPrefix(b.Name(), "Benchmark"))
		for name, addr := range map[string]string{"worker": r.workerProfiles, "nats": r.natsProfiles} {
			if addr == "" {
				continue
			}
			both.Go(func() {
				path := filepath.Join(*profiles, run+"-"+name+".pprof")
				if err := saveProfile(b.Context(), addr, span, path); err != nil {
					b.Error(err)
				}
			})
		}
	}
	go func() { both.Wait(); close(done) }()
	return done
}

func saveProfile(ctx context.Context, addr string, span time.Duration, path string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", addr, span.Seconds())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	profile, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(path, profile, 0o600)
}
