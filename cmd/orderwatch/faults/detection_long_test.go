//go:build long

package faults_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// Times run ten times as fast as in production, but for those of NATS: 250 ms until a timer fires count as 2.5 s.
const (
	fast       = 10
	fastRate   = 20 * fast // calls a second
	fastOrders = 11 * time.Minute / fast
)

// TestDetection measures how late completions come after the last item's end, with so many orders at a time of one project:
// each that ends is followed by another one. Durations are log-normal, mean 11 minutes, sigma 0.35. It takes 15 minutes.
func TestDetection(t *testing.T) {
	for _, tt := range []struct {
		orders int
		warm   time.Duration // until all are known
		p95    time.Duration // of the lag, as it is in production
		kill   bool          // the worker that sweeps, once
	}{
		{20, 20 * time.Second, 8 * time.Second, false},
		{200, 20 * time.Second, 8 * time.Second, false},
		{1000, 30 * time.Second, 8 * time.Second, false},
		{1000, 30 * time.Second, 8 * time.Second, true},
		{5000, 60 * time.Second, 8 * time.Second, false},
		{10000, 90 * time.Second, 12 * time.Second, false},
	} {
		t.Run(fmt.Sprintf("%d/kill=%v", tt.orders, tt.kill), func(t *testing.T) {
			d := startDetection(t)
			d.run(t, tt.orders, tt.warm, time.Minute, tt.kill)
			d.check(t, tt.p95, tt.kill)
		})
	}
}

// A detection is three workers on a cloud in which orders end all the time.
type detection struct {
	cloud *emulator.Emulator
	nats  rig.NATS
	fleet *fleet

	mu      sync.Mutex
	random  *rand.Rand
	ends    map[string]time.Time // by order
	orders  int
	stopped bool

	from, killed time.Time
}

func startDetection(t *testing.T) *detection {
	t.Helper()
	d := &detection{
		cloud: emulator.New(emulator.Options{Tokens: []string{modelArtsToken}, CallsKept: 1 << 20}), nats: rig.StartNATSWith(t, "", "2m"),
		random: rand.New(rand.NewPCG(17, 17)), ends: make(map[string]time.Time),
	}
	modelArts := httptest.NewServer(d.cloud)
	t.Cleanup(modelArts.Close)
	d.fleet = &fleet{program: rig.Build(t, rig.Worker)}
	for range 3 {
		addr := rig.FreeAddr(t)
		d.fleet.addrs = append(d.fleet.addrs, addr)
		d.fleet.envs = append(d.fleet.envs, rig.ServeEnv(d.nats.URL, modelArts.URL, addr,
			fmt.Sprint("ORDERWATCH_MODELARTS_RATE=", fastRate), "ORDERWATCH_MODELARTS_TIMEOUT=15s", "ORDERWATCH_SWEEP_EVERY=500ms", "ORDERWATCH_SETTLE=0",
			"ORDERWATCH_POLL_INITIAL=500ms", "ORDERWATCH_POLL_MAX=6s", "ORDERWATCH_POLL_MAX_SWEPT=30s", "ORDERWATCH_LOG_LEVEL=warn"))
		d.fleet.workers = append(d.fleet.workers, rig.Start(t, d.fleet.program, d.fleet.envs[len(d.fleet.envs)-1], "serve"))
	}
	d.fleet.awaitReady(t)
	return d
}

// run keeps so many orders running, until the lag was measured for the span after the warm-up.
func (d *detection) run(t *testing.T, orders int, warm, span time.Duration, kill bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range orders {
		d.add(ctx, t, d.random.Float64())
	}
	time.Sleep(warm)
	d.mu.Lock()
	d.from = time.Now()
	d.mu.Unlock()
	if kill {
		time.Sleep(span / 3)
		d.killSweeper(t)
		time.Sleep(span * 2 / 3)
	} else {
		time.Sleep(span)
	}
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
}

// add starts an order that has still the part of its time to run, and asks for it. When it ends another one follows.
func (d *detection) add(ctx context.Context, t *testing.T, part float64) {
	const sigma = 0.35
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped || ctx.Err() != nil {
		return
	}
	takes := time.Duration(part * float64(fastOrders) * math.Exp(sigma*d.random.NormFloat64()-sigma*sigma/2))
	name := orderName(d.orders)
	d.orders++
	d.cloud.Add(rig.Project, name, emulator.Order{Items: []emulator.Item{{ResourceName: "pool", Action: "createPool", EndAfter: takes}}})
	d.ends[name] = time.Now().Add(takes)
	time.AfterFunc(takes, func() { d.add(ctx, t, 1) })
	body := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q}`, rig.Project, name, "of "+name)
	if _, err := d.nats.JS.PublishAsync("orders.watch", []byte(body), jetstream.WithStallWait(time.Minute)); err != nil {
		t.Error(err)
	}
}

// killSweeper kills the worker that sweeps the project.
func (d *detection) killSweeper(t *testing.T) {
	t.Helper()
	sweeper, most := -1, 0.0
	for i, addr := range d.fleet.addrs {
		if n := rig.MetricsOf(t, addr)[`orderwatch_sweeps_total{region="cn-north-4",result="complete"}`]; n > most {
			sweeper, most = i, n
		}
	}
	if sweeper < 0 {
		t.Fatal("no worker sweeps")
	}
	d.killed = time.Now()
	d.fleet.workers[sweeper].Kill()
}

// check prints and holds how late the ends were known, and how many calls were made.
func (d *detection) check(t *testing.T, p95 time.Duration, killed bool) {
	t.Helper()
	stored := completedAt(t, d.nats.JS, d.ends)
	until := time.Now()
	var lags, between []time.Duration
	for name, end := range d.ends {
		lag := fast * stored[name].Sub(end)
		switch {
		case end.Before(d.from) || end.After(until):
		case killed && end.After(d.killed.Add(-time.Second)) && end.Before(d.killed.Add(15*time.Second)):
			between = append(between, stored[name].Sub(end))
		default:
			lags = append(lags, lag)
		}
	}
	polls, lists, most := d.calls()
	seconds := until.Sub(d.from).Seconds()
	t.Logf("%d ends: lag p50 %.1f s, p95 %.1f s, p99 %.1f s, the longest %.1f s; %.1f polls and %.1f lists a second, at most %d calls in 5 s; beside a kill %d ends, the longest lag %.1f s on the wall",
		len(lags), quantile(lags, .5), quantile(lags, .95), quantile(lags, .99), quantile(lags, 1), float64(polls)/seconds/fast, float64(lists)/seconds/fast, most, len(between), quantile(between, 1))
	if got := quantile(lags, .95); got > p95.Seconds() {
		t.Errorf("p95 of the lag is %.1f s, over %s", got, p95)
	}
	if most > fastRate*5*11/10 {
		t.Errorf("%d calls in 5 s: more than 110 %% of the rate", most)
	}
	if killed && (len(between) == 0 || quantile(between, 1) > 30) {
		t.Errorf("beside the kill %d orders ended, and the longest lag is %.1f s", len(between), quantile(between, 1))
	}
}

// calls counts the calls since the warm-up, and the most in any 5 s.
func (d *detection) calls() (polls, lists, most int) {
	var times []time.Time
	for _, c := range d.cloud.Calls() {
		if c.Time.Before(d.from) {
			continue
		}
		if times = append(times, c.Time); c.Kind == emulator.ListOrders {
			lists++
		} else {
			polls++
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	first := 0
	for i, at := range times {
		for at.Sub(times[first]) > 5*time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return polls, lists, most
}
