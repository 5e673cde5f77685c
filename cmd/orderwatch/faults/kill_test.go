package faults_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
)

// soonTold lets a worker take over after 10 s, and not after 30 s as in production, what a killed one was about to
// post. TestKillAndSleep and TestKillServer have the durations of production.
const soonTold = "FAULT_SPEED=3"

// TestKill kills the only worker again and again.
func TestKill(t *testing.T) {
	t.Parallel()
	l := newLoad(300, 15*time.Second, 1)
	n := rig.StartNATS(t, "")
	f := startFleet(t, n.URL, l, 1, soonTold)
	rig.ShortAckWait(t, n.JS)
	f.run(t, n.JS, l, func(random *rand.Rand) {
		for range 12 {
			wait(random, 200, 1400)
			l.aim(random)
			f.restart(t, 0)
		}
	})
}

// TestKillAndSleep kills one of two workers again and again, and lets the other one sleep for
// longer than AckWait while its polls are under way.
func TestKillAndSleep(t *testing.T) {
	t.Parallel()
	killAndSleep(t, workerFaults{requests: 400, span: 20 * time.Second, kills: 12, sleeps: 2, ackWait: 3 * time.Second})
}

// TestKillTeam does so with the accounts that ship: the workers log in as the user worker and create nothing, and the
// requests come from a team's account.
func TestKillTeam(t *testing.T) {
	t.Parallel()
	killAndSleep(t, workerFaults{requests: 300, span: 15 * time.Second, kills: 10, sleeps: 1, ackWait: 3 * time.Second, accounts: true})
}

// workerFaults say what happens while so many requests are published over the span.
type workerFaults struct {
	requests int
	span     time.Duration
	kills    int           // of one worker
	sleeps   int           // of the other one, each for 1.5 times ackWait
	ackWait  time.Duration // 3 s, or the 60 s of the product
	accounts bool          // those of deploy/nats-accounts.conf
}

func killAndSleep(t *testing.T, faults workerFaults) {
	l := newLoad(faults.requests, faults.span, 2)
	var (
		f  *fleet
		js jetstream.JetStream
	)
	if faults.accounts {
		for i, order := range slices.Sorted(maps.Keys(l.channels)) {
			l.channels[order] = slackChannel(i % teamChannels)
		}
		var url string
		f, js, url = startTeamFleet(t, l)
		f.producer, _ = loginAs(t, url, "gpu-producer")
	} else {
		n := rig.StartNATS(t, "")
		f, js = startFleet(t, n.URL, l, 2), n.JS
	}
	if faults.ackWait == 3*time.Second {
		rig.ShortAckWait(t, js)
	}
	f.run(t, js, l, func(random *rand.Rand) {
		slept := make(chan error, 1)
		sleeper := rand.New(rand.NewPCG(random.Uint64(), 0))
		go func() {
			for range faults.sleeps {
				wait(sleeper, 500, 3000)
				l.aim(sleeper)
				if err := f.sleep(1, faults.ackWait*3/2); err != nil {
					slept <- err
					return
				}
			}
			slept <- nil
		}()
		for range faults.kills {
			wait(random, 200, 1400)
			l.aim(random)
			f.restart(t, 0)
		}
		if err := <-slept; err != nil {
			t.Error(err)
		}
	})
}

// TestKillServer kills the nats-server three times while two workers work. It acknowledges what is
// on disk alone.
func TestKillServer(t *testing.T) {
	t.Parallel()
	killServer(t, serverDeaths{requests: 200, span: 18 * time.Second, kills: 3, seed: 3})
}

// serverDeaths say what happens while so many requests are published over the span.
type serverDeaths struct {
	requests int
	span     time.Duration
	kills    int    // of the server
	ghosts   ghosts // what is planted first
	seed     uint64 // of the requests, and of when the kills come
}

func killServer(t *testing.T, faults serverDeaths, more ...string) {
	l := newLoad(faults.requests, faults.span, faults.seed)
	n := rig.StartNATSWith(t, "", "always")
	f := startFleet(t, n.URL, l, 2, more...)
	rig.ShortAckWait(t, n.JS)
	if faults.ghosts != noGhosts {
		f.plantGhosts(t, &n, l, faults.ghosts)
	}
	f.run(t, n.JS, l, func(*rand.Rand) {
		random := rand.New(rand.NewPCG(faults.seed, 4))
		for range faults.kills {
			wait(random, 1500, 4500)
			l.aim(random)
			n.Kill()
			f.serverKills.Add(1)
			wait(random, 0, 1000)
			n.Process = rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", n.Config)
		}
	})
}

// wait waits for a random number of milliseconds: when a fault comes is left to chance.
func wait(random *rand.Rand, least, most int) {
	time.Sleep(time.Duration(least+random.IntN(most-least)) * time.Millisecond)
}

// A fleet is the workers under test.
type fleet struct {
	program string
	envs    [][]string
	addrs   []string
	workers []*rig.Process
	killed  []*rig.Process
	slack   *slackemulator.Server
	// producer publishes the load; nil: who reads the streams does.
	producer jetstream.JetStream
	// recorded is called with the history that run checks; it may be nil.
	recorded func(history)

	workerKills, serverKills, sleeps atomic.Int64

	ghosts int // watches that only the patrol can wake
}

// startFleet starts so many workers on the cloud of the load, and waits until they are ready.
func startFleet(t *testing.T, natsURL string, l *load, workers int, more ...string) *fleet {
	t.Helper()
	var tags []string
	if slices.ContainsFunc(more, func(v string) bool { return strings.HasPrefix(v, "FAULT_") }) {
		tags = append(tags, "faults")
	}
	return startFleetOf(t, rig.Build(t, rig.Worker, tags...), natsURL, l, workers, more...)
}

// startFleetOf does so with workers of another program.
func startFleetOf(t *testing.T, program, natsURL string, l *load, workers int, more ...string) *fleet {
	t.Helper()
	modelArts := httptest.NewServer(l.cloud)
	t.Cleanup(modelArts.Close)
	f := &fleet{program: program, slack: slackemulator.New(slackemulator.Options{RateLimit: true})}
	f.slack.AddToken(slackToken, "chat:write", "channels:history")
	var channels []string
	for i := range slackChannels {
		channels = append(channels, slackChannel(i))
		f.slack.AddChannel(channels[i], slackemulator.Open)
	}
	slack := httptest.NewServer(f.slack)
	t.Cleanup(slack.Close)
	more = append(more, "ORDERWATCH_SLACK_TOKEN="+slackToken, "ORDERWATCH_SLACK_API_URL="+slack.URL+"/api/",
		"ORDERWATCH_SLACK_CHANNEL="+channels[0], "ORDERWATCH_SLACK_CHANNELS_ALLOWED="+strings.Join(channels, ","))
	for range workers {
		addr := rig.FreeAddr(t)
		env := rig.ServeEnv(natsURL, modelArts.URL, addr, more...)
		f.addrs, f.envs = append(f.addrs, addr), append(f.envs, env)
		f.workers = append(f.workers, rig.Start(t, f.program, env, "serve"))
	}
	f.awaitReady(t)
	return f
}

func (f *fleet) awaitReady(t *testing.T) {
	t.Helper()
	for _, addr := range f.addrs {
		rig.AwaitReady(t, addr)
	}
}

// restart kills a worker and starts it again.
func (f *fleet) restart(t *testing.T, i int) {
	t.Helper()
	f.workers[i].Kill()
	f.killed = append(f.killed, f.workers[i])
	f.workerKills.Add(1)
	f.workers[i] = rig.Start(t, f.program, f.envs[i], "serve")
}

// replace ends a worker as a rolling upgrade does, and starts a program in its place. It returns how long the worker took to
// end.
func (f *fleet) replace(t *testing.T, i int, program string) (took time.Duration) {
	t.Helper()
	code, took := f.workers[i].Terminate(t)
	if code != 0 {
		t.Errorf("worker %d ended with %d", i, code)
	}
	f.killed = append(f.killed, f.workers[i])
	f.workerKills.Add(1)
	f.workers[i] = rig.Start(t, program, f.envs[i], "serve")
	rig.AwaitReady(t, f.addrs[i])
	return took
}

// sleep pauses a worker and wakes it.
func (f *fleet) sleep(i int, d time.Duration) error {
	p := f.workers[i].Command.Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause worker %d: %w", i, err)
	}
	time.Sleep(d)
	f.sleeps.Add(1)
	return p.Signal(syscall.SIGCONT)
}

// run publishes the load while faults happen, waits until all is finished, and checks the history.
func (f *fleet) run(t *testing.T, js jetstream.JetStream, l *load, faults func(*rand.Rand)) {
	t.Helper()
	f.finish(t, js, l, f.suffering(t, js, l, l.requests, faults))
}

// suffering publishes these requests of the load while faults happen, and returns when the last of them was over.
func (f *fleet) suffering(t *testing.T, js jetstream.JetStream, l *load, requests []plannedRequest, faults func(*rand.Rand)) (faultless time.Time) {
	t.Helper()
	const seed = 4
	published := make(chan error, 1)
	producer := js
	if f.producer != nil {
		producer = f.producer
	}
	go func() { published <- l.publish(t.Context(), producer, requests) }()
	faults(rand.New(rand.NewPCG(seed, seed)))
	faultless = time.Now()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	return faultless
}

// finish waits until all is finished after the last fault and the last request, and checks the history.
func (f *fleet) finish(t *testing.T, js jetstream.JetStream, l *load, faultless time.Time) {
	t.Helper()
	f.awaitReady(t)
	rig.AwaitDrained(t, js)
	drained := time.Now()

	f.awaitTold(t, js)
	told := time.Now()

	h := recordHistory(t, js, l, f)
	if f.recorded != nil {
		f.recorded(h)
	}
	v := check(h)
	for i, violation := range v.violations {
		if i == 20 {
			t.Errorf("and %d more", len(v.violations)-i)
			break
		}
		t.Error(violation)
	}
	t.Logf("%d requests for %d orders; %d worker kills, %d sleeps, %d server kills; %d completions: %d requests joined, %d watches were not their order's first; %d polls, %d of them thrown away; missing %d, doubled %d; in Slack %d messages, %d rows, %d watches in digests; the patrol woke %d, and removed %d dead wake-ups; drained %.1f s after the last fault, %.1f s after the last PubAck, people told %.1f s later",
		len(h.accepted), len(h.orders), f.workerKills.Load(), f.sleeps.Load(), f.serverKills.Load(), v.completions, v.joined, v.later, v.polls, v.repeated,
		v.missing, v.doubled, v.told, v.listed, h.told.together, v.patrolled, v.dead, drained.Sub(faultless).Seconds(), drained.Sub(l.lastAck).Seconds(), told.Sub(drained).Seconds())
	t.Logf("the last fault was over at %s; what the patrol did:\n%s", faultless.Format(time.RFC3339Nano), f.patrolled())
	if drained.Sub(faultless) > rig.DrainLimit && drained.Sub(l.lastAck) > rig.DrainLimit {
		t.Errorf("not drained within %s", rig.DrainLimit)
	}
}

// countedWithin is how long it takes at the most until the groups and digests of all channels say how many there are: Slack
// allows the workspace so few edits, one in 2 s for such messages, of which each worker uses its share alone.
const countedWithin = 9 * slackChannels * 2 * time.Second

// awaitTold waits until people have been told of all.
func (f *fleet) awaitTold(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	rig.Eventually(t, rig.DrainLimit+countedWithin, func() error { return eventstest.Settled(t.Context(), js, "ORDER_EVENTS", "slack") })
}

// told returns what the channels say.
func (f *fleet) told() told {
	t := newTold()
	for i := range slackChannels {
		t.add(f.slack.Messages(slackChannel(i)))
	}
	return t
}

// usages asks each worker what it needs.
func (f *fleet) usages(t *testing.T) (usages []workerUsage) {
	t.Helper()
	for _, addr := range f.addrs {
		m := rig.MetricsOf(t, addr)
		usages = append(usages, workerUsage{
			goroutines: m["go_goroutines"], descriptors: m["process_open_fds"], memory: m["process_resident_memory_bytes"] / (1 << 20),
		})
	}
	return usages
}

// outputs returns what each worker printed.
func (f *fleet) outputs() (outputs []string) {
	for _, p := range slices.Concat(f.killed, f.workers) {
		outputs = append(outputs, p.Text())
	}
	return outputs
}

// patrolled returns the lines about what the patrol did.
func (f *fleet) patrolled() string {
	var lines strings.Builder
	for _, output := range f.outputs() {
		for line := range strings.Lines(output) {
			if strings.Contains(line, "wake-up was overdue") || strings.Contains(line, "dead wake-up removed") || strings.Contains(line, "patrol's round not finished") {
				lines.WriteString(line)
			}
		}
	}
	return lines.String()
}

// What the workers are given and must not show.
const (
	modelArtsToken = "planted-token"
	slackToken     = "xoxb-planted"
)

var planted = []string{modelArtsToken, slackToken, "planted-worker"}

func orderName(i int) string { return fmt.Sprintf("order.pool-%03d", i) }
func requestID(i int) string { return fmt.Sprintf("build-%03d", i) }
