package faults_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// An accountScene is workers that share an account, and what they ask.
type accountScene struct {
	t       *testing.T
	nats    string // its URL
	js      jetstream.JetStream
	cloud   *emulator.Emulator
	slack   *slackemulator.Server
	workers []*rig.Process
	addrs   []string
	envs    [][]string // of the workers
}

// startAccount starts so many workers of a test build, whose durations are divided by speed, on the
// API at the address.
func startAccount(t *testing.T, api string, cloud *emulator.Emulator, workers, speed int, more ...string) *accountScene {
	t.Helper()
	n := rig.StartNATS(t, "")
	s := &accountScene{t: t, nats: n.URL, js: n.JS, cloud: cloud, slack: slackemulator.New(slackemulator.Options{})}
	s.slack.AddToken(slackToken, "chat:write")
	s.slack.AddChannel("C0ONCALL", slackemulator.Open)
	slack := httptest.NewServer(s.slack)
	t.Cleanup(slack.Close)
	program := rig.Build(t, rig.Worker, "faults")
	for range workers {
		addr := rig.FreeAddr(t)
		env := rig.ServeEnv(n.URL, api, addr, append([]string{
			"FAULT_SPEED=" + strconv.Itoa(speed),
			"ORDERWATCH_SLACK_TOKEN=" + slackToken, "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL=" + slack.URL + "/api/",
		}, more...)...)
		s.addrs, s.envs = append(s.addrs, addr), append(s.envs, env)
		s.workers = append(s.workers, rig.Start(t, program, env, "serve"))
	}
	for _, addr := range s.addrs {
		rig.AwaitReady(t, addr)
	}
	rig.Eventually(t, rig.Patience, func() error {
		for _, addr := range s.addrs {
			if known := rig.MetricsOf(t, addr)["orderwatch_workers"]; known != float64(workers) {
				return fmt.Errorf("a worker knows of %g workers", known)
			}
		}
		return nil
	})
	return s
}

// restart stops a worker, starts it anew, and returns when it was told to stop and when the new one began.
func (s *accountScene) restart(n int) (stopped, begun time.Time) {
	s.t.Helper()
	stopped = time.Now()
	s.workers[n].Terminate(s.t)
	begun = time.Now()
	s.workers[n] = rig.Start(s.t, rig.Build(s.t, rig.Worker, "faults"), s.envs[n], "serve")
	rig.AwaitReady(s.t, s.addrs[n])
	return stopped, begun
}

// ask publishes a request for each of the orders.
func (s *accountScene) ask(first, n int, more string) {
	s.t.Helper()
	for i := first; i < first+n; i++ {
		body := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q%s}`, rig.Project, orderName(i), requestID(i), more)
		if _, err := s.js.PublishAsync("orders.watch", []byte(body), jetstream.WithStallWait(time.Minute)); err != nil {
			s.t.Fatal(err)
		}
	}
	<-s.js.PublishAsyncComplete()
}

// completions returns the completions by order; each order has one.
func (s *accountScene) completions() map[string]watcher.Completion {
	s.t.Helper()
	all := make(map[string]watcher.Completion)
	rig.Stored(s.t, s.js, "ORDER_EVENTS", "orders.completed.>", func(m jetstream.Msg) {
		c := rig.Completion(s.t, m)
		if _, twice := all[c.OrderName]; twice {
			s.t.Errorf("%s was completed twice", c.OrderName)
		}
		all[c.OrderName] = c
	})
	return all
}

// awaitCompleted waits until so many watches have ended.
func (s *accountScene) awaitCompleted(n int) {
	s.t.Helper()
	rig.Eventually(s.t, 3*time.Minute, func() error {
		stream, err := s.js.Stream(s.t.Context(), "ORDER_EVENTS")
		if err != nil {
			return err
		}
		info, err := stream.Info(s.t.Context(), jetstream.WithSubjectFilter("orders.completed.>"))
		if err != nil {
			return err
		}
		if got := len(info.State.Subjects); got < n {
			return fmt.Errorf("%d of %d watches have ended", got, n)
		}
		return nil
	})
}

// attention returns how many events of the kind there are.
func (s *accountScene) attention(kind string) (n uint64) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), "ORDER_EVENTS")
	if err != nil {
		s.t.Fatal(err)
	}
	info, err := stream.Info(s.t.Context(), jetstream.WithSubjectFilter("orders.attention."+kind+".>"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, count := range info.State.Subjects {
		n += count
	}
	return n
}

// times returns when the cloud was called since begin, in order.
func (s *accountScene) times(begin time.Time) (times []time.Duration) {
	for _, c := range s.cloud.Calls() {
		if at := c.Time.Sub(begin); at >= 0 {
			times = append(times, at)
		}
	}
	slices.Sort(times)
	return times
}

// busiest returns the most calls in any such span from a time on; times are sorted.
func busiest(times []time.Duration, from, span time.Duration) int {
	most, first := 0, 0
	for last, at := range times {
		if at < from {
			first = last + 1
			continue
		}
		for at-times[first] >= span {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func between(times []time.Duration, from, to time.Duration) (n int) {
	for _, at := range times {
		if at >= from && at < to {
			n++
		}
	}
	return n
}

// slowOrders returns an emulator with so many orders that end after a time.
func slowOrders(n int, end time.Duration) *emulator.Emulator {
	cloud := emulator.New(emulator.Options{CallsKept: 1_000_000, Tokens: []string{modelArtsToken}})
	for i := range n {
		cloud.Add(rig.Project, orderName(i), emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{{ResourceName: "pool", EndAfter: end}}})
	}
	return cloud
}

// TestSharedRate lets three workers share 50 calls a second, and kills one of them. No other test of this package runs
// beside it.
func TestSharedRate(t *testing.T) { sharedRate(t, 500, 30*time.Second) }

// sharedRate measures up to three times: what else the machine does makes a measurement worse, and never better.
func sharedRate(t *testing.T, watches int, span time.Duration) {
	var wrong []string
	for range 3 {
		if wrong = measureRate(t, watches, span); len(wrong) == 0 {
			return
		}
		t.Log(strings.Join(wrong, "; "))
	}
	t.Error(strings.Join(wrong, "; "))
}

// measureRate returns what is not as it must be.
func measureRate(t *testing.T, watches int, span time.Duration) (wrong []string) {
	const perSecond = 50
	cloud := slowOrders(watches, emulator.Never)
	api := httptest.NewServer(cloud)
	defer api.Close()
	// Nothing is listed: a list stretches the intervals, and what is measured is how those of a second share the rate.
	s := startAccount(t, api.URL, cloud, 3, 1, "ORDERWATCH_MODELARTS_RATE=50", "ORDERWATCH_POLL_INITIAL=1s", "ORDERWATCH_TIMEOUT=48h", "ORDERWATCH_SWEEP_EVERY=0")
	begin := time.Now()
	s.ask(0, watches, "")
	const warm = 10 * time.Second
	time.Sleep(warm + span) // the span of the measurement
	killed := time.Since(begin)
	s.workers[2].Kill()
	time.Sleep(warm + span/2)
	end := time.Since(begin)
	for _, w := range s.workers[:2] {
		w.Kill()
	}

	times := s.times(begin)
	second, five := busiest(times, warm, time.Second), busiest(times, warm, 5*time.Second)
	before, after := float64(between(times, warm, killed))/span.Seconds(), float64(between(times, killed+warm, end))/(span/2).Seconds()
	longest, mean := waits(cloud, begin.Add(warm), begin.Add(killed))
	t.Logf("%d watches: at most %d calls in a second, %d in five; %.1f a second, and %.1f from 10 s after a kill on; a watch waited %s in the mean and %s at most",
		watches, second, five, before, after, mean.Round(time.Millisecond), longest.Round(time.Millisecond))
	if second > perSecond*3/2 || five > perSecond*5*11/10 {
		wrong = append(wrong, fmt.Sprintf("%d calls in a second, %d in five", second, five))
	}
	if before < 0.85*perSecond || after < 0.85*perSecond {
		wrong = append(wrong, fmt.Sprintf("%.1f calls a second before the kill, %.1f after", before, after))
	}
	if longest > 2*mean {
		wrong = append(wrong, fmt.Sprintf("a watch waited %s; the mean is %s", longest, mean))
	}
	return wrong
}

// waits returns the longest and the mean time between two polls of a watch.
func waits(cloud *emulator.Emulator, from, to time.Time) (longest, mean time.Duration) {
	last := make(map[string]time.Time)
	var sum time.Duration
	n := 0
	for _, c := range cloud.Calls() {
		if c.Kind != emulator.ShowOrder || c.Time.Before(from) || c.Time.After(to) {
			continue
		}
		if before, ok := last[c.Order]; ok {
			wait := c.Time.Sub(before)
			longest, sum, n = max(longest, wait), sum+wait, n+1
		}
		last[c.Order] = c.Time
	}
	return longest, sum / time.Duration(max(1, n))
}

// TestThrottled answers 429 for a while: nothing ends because of it.
func TestThrottled(t *testing.T) {
	t.Parallel()
	throttled(t, 10)
}

// throttled answers 429 for 30 s, divided by speed.
func throttled(t *testing.T, speed int) {
	const watches, perSecond = 100, 20
	span := 30 * time.Second / time.Duration(speed)
	cloud := slowOrders(watches, 5*time.Second+2*span)
	api := httptest.NewServer(cloud)
	t.Cleanup(api.Close)
	s := startAccount(t, api.URL, cloud, 3, speed, "ORDERWATCH_MODELARTS_RATE="+strconv.Itoa(perSecond))
	s.ask(0, watches, "")
	time.Sleep(5 * time.Second) // polls are under way; how far is left to chance
	begin := time.Now()
	cloud.SetFaults(emulator.Fault{Status: http.StatusTooManyRequests, Code: "APIG.0308", Message: "The throttling threshold has been reached", Until: span})
	s.awaitCompleted(watches)

	times := s.times(begin)
	const known = time.Second // calls that were begun before a worker knew
	probes := between(times, known, span)
	burst := busiest(times, known, time.Second)
	t.Logf("429 for %s: %d calls in the first second, %d after it; then at most %d in a second at a rate of %d", span, between(times, 0, known), probes, burst, perSecond)
	if probes > 3 {
		t.Errorf("%d probes by three workers", probes)
	}
	if burst > perSecond*3/2 {
		t.Errorf("%d calls in a second afterwards", burst)
	}
	for name, c := range s.completions() {
		if c.Outcome != watcher.Succeeded {
			t.Errorf("%s: %s, %s", name, c.Outcome, c.Reason)
		}
	}
}

// A gate is the API's address, behind which it can be gone.
type gate struct {
	t      *testing.T
	addr   string
	cloud  http.Handler
	mu     sync.Mutex
	server *http.Server
}

func startGate(t *testing.T, cloud http.Handler) *gate {
	t.Helper()
	g := &gate{t: t, addr: rig.FreeAddr(t), cloud: cloud}
	g.open(cloud)
	t.Cleanup(g.refuse)
	return g
}

// refuse refuses connections.
func (g *gate) refuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server != nil {
		g.server.Close()
	}
	g.server = nil
}

// open answers by the handler.
func (g *gate) open(h http.Handler) {
	g.t.Helper()
	g.refuse()
	listener, err := net.Listen("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.server = &http.Server{Handler: h}
	go g.server.Serve(listener) // until it is closed
}

// TestUnreachable lets the API be gone for a while: one notice, and nothing ends because of it but
// watches whose deadline comes meanwhile.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	unreachable(t, 20)
}

// unreachable lets the API be gone for 5 minutes, divided by speed: connections are refused, then
// swallowed, then answered by a proxy.
func unreachable(t *testing.T, speed int) {
	const watches, late = 60, 5
	span := 5 * time.Minute / time.Duration(speed)
	cloud := slowOrders(watches+late, 6*time.Second+span)
	g := startGate(t, cloud)
	s := startAccount(t, "http://"+g.addr, cloud, 2, speed)
	s.ask(0, watches, "")
	s.ask(watches, late, fmt.Sprintf(`,"timeout":%q`, 5*time.Second+span/2))
	time.Sleep(5 * time.Second) // polls are under way; how far is left to chance
	begin := time.Now()
	g.refuse()
	time.Sleep(span / 3) // the length of the outage is what is tested
	g.open(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	time.Sleep(span / 3)
	g.open(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "<html>maintenance</html>")
	}))
	time.Sleep(span - 2*(span/3))
	g.open(cloud)
	over := time.Now()
	s.awaitCompleted(watches + late)
	t.Logf("gone for %s; all had ended %s after it", over.Sub(begin).Round(time.Millisecond), time.Since(over).Round(time.Millisecond))

	for name, c := range s.completions() {
		i, _ := strconv.Atoi(strings.TrimPrefix(name, "order.pool-"))
		switch {
		case i < watches && c.Outcome != watcher.Succeeded:
			t.Errorf("%s: %s, %s", name, c.Outcome, c.Reason)
		case i >= watches && (c.Outcome != watcher.TimedOut || !strings.Contains(c.Reason, "polling did not work")):
			t.Errorf("%s, whose deadline came meanwhile: %s, %s", name, c.Outcome, c.Reason)
		}
	}
	rig.Eventually(t, rig.Patience, func() error {
		if n := s.attention("reachable"); n != 1 {
			return fmt.Errorf("%d events of reachable", n)
		}
		return nil
	})
	if n := s.attention("unreachable"); n != 1 {
		t.Errorf("%d events of unreachable", n)
	}
	rig.Eventually(t, rig.Patience, func() error {
		var notices []string
		for _, m := range s.slack.Messages("C0ONCALL") {
			if strings.Contains(m.Text, "ModelArts") && !strings.Contains(m.Text, "order.pool") {
				notices = append(notices, m.Text)
			}
		}
		if len(notices) != 1 || !strings.Contains(notices[0], "again") {
			return fmt.Errorf("notices: %q", notices)
		}
		return nil
	})
}

// TestWrongKey gives three workers a key with the wrong secret: they try it so seldom that it is
// never locked, and people are told what to do.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	wrongKey(t, 20)
}

// wrongKey counts the calls of 5 minutes, divided by speed.
func wrongKey(t *testing.T, speed int) {
	const watches = 100
	span := 5 * time.Minute / time.Duration(speed)
	cloud := emulator.New(emulator.Options{CallsKept: 10_000, Keys: []emulator.Key{{Access: "AKPLANTED00000000001", Secret: "the-right-secret"}}})
	api := httptest.NewServer(cloud)
	t.Cleanup(api.Close)
	s := startAccount(t, api.URL, cloud, 3, speed, "ORDERWATCH_MODELARTS_TOKEN=",
		"ORDERWATCH_MODELARTS_ACCESS_KEY=AKPLANTED00000000001", "ORDERWATCH_MODELARTS_SECRET_KEY=a-wrong-secret")
	begin := time.Now()
	s.ask(0, watches, "")
	time.Sleep(time.Until(begin.Add(span))) // the span of the measurement
	calls := len(s.times(begin))
	t.Logf("%d calls of three workers in %s", calls, span)
	if calls == 0 || calls > 4 {
		t.Errorf("%d calls; want 1 to 4", calls)
	}
	rig.Eventually(t, rig.Patience, func() error {
		if n := s.attention("credentials"); n != 1 {
			return fmt.Errorf("%d events of credentials", n)
		}
		for _, m := range s.slack.Messages("C0ONCALL") {
			if strings.Contains(m.Text, "login") {
				return nil
			}
		}
		return fmt.Errorf("nobody was told of the login")
	})
	if n := len(s.completions()); n > 0 {
		t.Errorf("%d watches ended", n)
	}
}
