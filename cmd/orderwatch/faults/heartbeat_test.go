package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// An outsider is who waits for heartbeats, at a URL whose path is a secret.
type outsider struct {
	url   string
	mu    sync.Mutex
	heard []time.Time
}

const heartbeatSecret = "planted-heartbeat-secret"

func startOutsider(t *testing.T) *outsider {
	t.Helper()
	o := new(outsider)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+heartbeatSecret || r.Method != http.MethodGet {
			http.NotFound(w, r)
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.heard = append(o.heard, time.Now())
	}))
	t.Cleanup(s.Close)
	o.url = s.URL + "/" + heartbeatSecret
	return o
}

// all returns when heartbeats came, oldest first.
func (o *outsider) all() []time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.heard)
}

// A heartbeatTest says how fast heartbeats are made, and stop.
type heartbeatTest struct {
	plain  bool          // the program that is shipped, with its own durations
	env    []string      // of the workers
	quiet  time.Duration // so long without one is silence
	untold time.Duration // people are not told for so long before there is silence
	within time.Duration // silence begins so soon after its reason; 0: that is not judged
}

// TestHeartbeatStops holds, in processes, that heartbeats come while all is well and stop with each reason.
// Durations are shortened, and how soon they stop is not judged: TestHeartbeatStopsLong does that.
func TestHeartbeatStops(t *testing.T) {
	t.Parallel()
	heartbeatStops(t, heartbeatTest{
		env:   []string{`FAULT_TIMING={"AckWait":"3s","PatrolEvery":"500ms","PatrolSlack":"12s","Beat":"1s","Untold":"5s"}`},
		quiet: 6 * time.Second, untold: 5 * time.Second,
	})
}

func heartbeatStops(t *testing.T, h heartbeatTest) {
	for name, stop := range map[string]func(*testing.T, *slackWorld){
		"NATS gone": func(_ *testing.T, w *slackWorld) { w.nats.Kill() },
		"all workers stopped": func(t *testing.T, w *slackWorld) {
			for _, p := range w.workers {
				p.Terminate(t)
			}
		},
		"poller stuck": func(t *testing.T, w *slackWorld) {
			if _, err := w.nats.JS.PauseConsumer(t.Context(), w.stream("WAKEUPS"), "poller", time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		},
		"Slack refuses": func(t *testing.T, w *slackWorld) {
			w.slack.RevokeToken(slackToken)
			w.cloud.Add(rig.Project, "order.ends", emulator.Order{Items: []emulator.Item{{ResourceName: "node-0", Status: "failed"}}})
			if err := w.ask(t.Context(), map[string]any{"order_name": "order.ends"}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := startOutsider(t)
			w := newSlackWorld(t, rig.StartNATS(t, ""), "beat", worldSetting{
				workers: 2, history: true, plain: h.plain, env: append(slices.Clone(h.env), "ORDERWATCH_HEARTBEAT_URL="+o.url),
			})
			w.cloud.Add(rig.Project, "order.goes-on", emulator.Order{Items: []emulator.Item{{ResourceName: "node-0", Status: "processing"}}})
			if err := w.ask(t.Context(), map[string]any{"order_name": "order.goes-on"}); err != nil {
				t.Fatal(err)
			}
			rig.Eventually(t, 2*rig.Patience, func() error { return heardOf(o, 3) })
			begin := time.Now()
			stop(t, w)
			at := time.Now()
			if name == "Slack refuses" {
				pause(context.Background(), h.untold) // heartbeats go on for so long
				at = time.Now()
				if n := len(o.all()); n < 3+int(h.untold/h.quiet) {
					t.Errorf("%d heartbeats %s after Slack began to refuse", n, at.Sub(begin))
				}
			}
			rig.Eventually(t, 2*rig.Patience, func() error {
				heard := o.all()
				if since := time.Since(heard[len(heard)-1]); since < h.quiet {
					return fmt.Errorf("the last of %d heartbeats was %s ago", len(heard), since)
				}
				return nil
			})
			heard := o.all()
			last := heard[len(heard)-1]
			t.Logf("%d heartbeats; the last one %s after the reason of silence", len(heard), last.Sub(at).Round(time.Millisecond))
			if h.within > 0 && last.Sub(at) > h.within {
				t.Errorf("the last heartbeat came %s after the reason of silence; want at most %s", last.Sub(at), h.within)
			}
			for _, p := range w.workers {
				if strings.Contains(p.Text(), heartbeatSecret) {
					t.Error("the log shows the URL")
				}
			}
		})
	}
}

// heardOf returns nil once so many heartbeats came.
func heardOf(o *outsider, n int) error {
	if heard := o.all(); len(heard) < n {
		return fmt.Errorf("%d heartbeats; want %d", len(heard), n)
	}
	return nil
}

// TestHeartbeatIsSecret lets nobody answer at the URL: the log says so once, and neither it nor the metrics show the URL.
func TestHeartbeatIsSecret(t *testing.T) {
	t.Parallel()
	w := newSlackWorld(t, rig.StartNATS(t, ""), "mute", worldSetting{workers: 1, env: []string{
		`FAULT_TIMING={"AckWait":"3s","PatrolEvery":"200ms","Beat":"200ms"}`, "ORDERWATCH_LOG_LEVEL=debug",
		"ORDERWATCH_HEARTBEAT_URL=http://" + rig.FreeAddr(t) + "/" + heartbeatSecret,
	}})
	worker := w.workers[0]
	worker.Says(t, "heartbeat not accepted")
	metrics := fmt.Sprint(rig.MetricsOf(t, healthAddr(t, worker)))
	if !strings.Contains(metrics, "orderwatch_heartbeat_timestamp_seconds:0") {
		t.Errorf("no heartbeat was accepted, but the metrics are %s", metrics)
	}
	worker.Terminate(t)
	if text := worker.Text(); strings.Contains(text+metrics, heartbeatSecret) || strings.Count(text, "heartbeat not accepted") != 1 {
		t.Errorf("the log shows the URL, or the failure more than once:\n%s", text)
	}
}
