package faults_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

var (
	benchOrders   = flag.Int("bench-orders", 2000, "how many orders BenchmarkPeers has watched")
	benchShortest = flag.Duration("bench-shortest", 20*time.Second, "how long the shortest of them runs; the longest runs three times as long")
)

// BenchmarkPeers measures what it costs to watch orders of 20 to 60 s to their ends, and how late the ends are seen: with
// orderwatch, without and with the list of orders, and with the plain worker jetNaive. One worker and one nats-server,
// each a process, and the emulator in this process. The requests come within 20 s. Intervals are 1 s × 1.5 up to 10 s,
// the jitter is 0.2, there is no SETTLE. Each of the six runs takes a minute and a half, whatever the number of orders:
//
//	go test -run '^$' -bench Peers -benchtime 1x -timeout 30m ./cmd/orderwatch/faults
//
// At the end of the command line, -bench-orders=10000 has more orders watched, -bench-shortest=10ms shows what a watch
// costs whose first polls find the end, -program=PATH measures another orderwatch, such as one built from an older
// commit, and -profiles=DIR leaves CPU profiles of the first minute.
//
// Polls are counted by the cloud, which counts lists apart. The lag is from an order's end to when its completion was
// stored. The CPU is what worker and server used from before the first request until after the last completion; others-%
// is the part of the machine that was used neither by them nor by this process. Memory is the most that was used.
func BenchmarkPeers(b *testing.B) {
	for _, items := range []int{1, 4} {
		for _, p := range benchPeers {
			b.Run(fmt.Sprintf("%s/items=%d", p.name, items), func(b *testing.B) {
				for range b.N {
					l := newFleeting(*benchOrders, items, *benchShortest)
					r := newBenchRig(b, l.cloud, "2m")
					subjects := p.start(b, r)
					profiled := r.profile(b, time.Minute)
					run := l.run(b, r, subjects, 20*time.Second)
					<-profiled
					run.report(b, float64(*benchOrders))
				}
			})
		}
	}
}

// TestPeers has each program that BenchmarkPeers measures watch a few short orders to their ends.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, p := range benchPeers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			l := newFleeting(10, 4, time.Second)
			r := newBenchRig(t, l.cloud, "2m")
			run := l.run(t, r, p.start(t, r), time.Second)
			if run.worker <= 0 || run.server <= 0 || run.polls < 10 {
				t.Errorf("%s of CPU, and %s of the server, for %.0f polls", run.worker, run.server, run.polls)
			}
		})
	}
}

// benchPeers are the programs that are measured.
var benchPeers = []struct {
	name  string
	start func(testing.TB, *benchRig) peerSubjects
}{
	{"orderwatch/sweep=0", orderwatchPeer("0")},
	{"orderwatch/sweep=5s", orderwatchPeer("5s")},
	{"jetnaive", startJetNaive},
}

// The intervals of all programs. An interval varies by so much of itself.
const (
	peerInitial    = time.Second
	peerMultiplier = 1.5
	peerMax        = 10 * time.Second
	peerJitter     = 0.2
)

// peerSubjects are where a program takes requests, and where it stores ends: the stream, and what the order's name
// follows in the subject.
type peerSubjects struct{ requests, stream, completed string }

// orderwatchPeer returns how orderwatch is started that lists orders so often; 0: never.
func orderwatchPeer(sweep string) func(testing.TB, *benchRig) peerSubjects {
	return func(t testing.TB, r *benchRig) peerSubjects {
		t.Helper()
		r.serve(t, rig.ServeEnv(r.nats.URL, r.cloudURL, r.addr,
			"ORDERWATCH_MODELARTS_RATE=10000", "ORDERWATCH_MODELARTS_TIMEOUT=15s", "ORDERWATCH_SETTLE=0",
			"ORDERWATCH_POLL_INITIAL="+peerInitial.String(), "ORDERWATCH_POLL_MAX="+peerMax.String(),
			fmt.Sprint("ORDERWATCH_POLL_MULTIPLIER=", peerMultiplier), fmt.Sprint("ORDERWATCH_POLL_JITTER=", peerJitter),
			"ORDERWATCH_SWEEP_EVERY="+sweep,
		))
		return peerSubjects{"orders.watch", "ORDER_EVENTS", "orders.completed.succeeded." + rig.Project + "."}
	}
}

// A fleeting load is orders that soon end.
type fleeting struct {
	cloud *emulator.Emulator
	runs  []time.Duration // how long each order runs, the same in each load
	items int             // of an order; one ends after each equal part of its time
}

// newFleeting returns a load of so many orders, which run for once to three times as long as the shortest.
func newFleeting(orders, items int, shortest time.Duration) *fleeting {
	l := &fleeting{cloud: emulator.New(emulator.Options{CallsKept: 1}), runs: make([]time.Duration, orders), items: items}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range l.runs {
		l.runs[i] = shortest + time.Duration(random.Int64N(int64(2*shortest)))
	}
	return l
}

// A peerRun is what a load took. CPU and memory are the worker's and the server's.
type peerRun struct {
	polls, lists         float64
	worker, server       time.Duration
	workerMiB, serverMiB float64
	others               float64 // the part of the machine that others used
	lags                 []time.Duration
}

// run has all orders watched, whose requests come within a time, and waits for their ends.
func (l *fleeting) run(t testing.TB, r *benchRig, subjects peerSubjects, within time.Duration) peerRun {
	t.Helper()
	machine := machineNow(t)
	workerBefore, serverBefore := r.usages(t)
	ends := l.publish(t, r.nats.JS, subjects.requests, within)
	time.Sleep(time.Until(lastOf(ends)))
	awaitStored(t, r.nats.JS, subjects, len(ends))
	worker, server := r.usages(t)

	run := peerRun{workerMiB: worker.peak, serverMiB: server.peak}
	run.worker, run.server = worker.cpu-workerBefore.cpu, server.cpu-serverBefore.cpu
	run.others = machineNow(t).others(machine, run.worker+run.server)
	run.polls, run.lists = float64(r.polls.Load()), float64(r.lists.Load())
	run.lags = lagsOf(t, r.nats.JS, subjects, ends)
	return run
}

// publish starts the orders, publishes a request for each, evenly over the time, and returns when each will end.
func (l *fleeting) publish(t testing.TB, js jetstream.JetStream, subject string, over time.Duration) map[string]time.Time {
	t.Helper()
	ends := make(map[string]time.Time)
	begin := time.Now()
	for i, runs := range l.runs {
		time.Sleep(time.Until(begin.Add(over * time.Duration(i) / time.Duration(len(l.runs)))))
		order := emulator.Order{Count: emulator.CountAll}
		for item := 1; item <= l.items; item++ {
			order.Items = append(order.Items, emulator.Item{
				ResourceName: fmt.Sprintf("os-node-created-%05d", item), EndAfter: runs * time.Duration(item) / time.Duration(l.items),
			})
		}
		ends[orderName(i)] = time.Now().Add(runs)
		l.cloud.Add(rig.Project, orderName(i), order)
		body := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q}`, rig.Project, orderName(i), requestID(i))
		if _, err := js.PublishAsync(subject, []byte(body), jetstream.WithStallWait(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	return ends
}

func lastOf(times map[string]time.Time) (last time.Time) {
	for _, at := range times {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// awaitStored waits until so many ends are stored. It does not read them, which would cost the server more.
func awaitStored(t testing.TB, js jetstream.JetStream, subjects peerSubjects, n int) {
	t.Helper()
	consumer, err := js.CreateConsumer(t.Context(), subjects.stream, jetstream.ConsumerConfig{
		FilterSubject: subjects.completed + ">", AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, InactiveThreshold: rig.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error {
		state, err := consumer.Info(t.Context())
		if err != nil {
			return err
		}
		if state.NumPending < uint64(n) {
			return fmt.Errorf("%d of %d orders have a completion", state.NumPending, n)
		}
		return nil
	})
}

// lagsOf returns how long after its end each order's first completion was stored.
func lagsOf(t testing.TB, js jetstream.JetStream, subjects peerSubjects, ends map[string]time.Time) (lags []time.Duration) {
	t.Helper()
	stored := make(map[string]bool)
	err := rig.ReadStream(t.Context(), js, subjects.stream, subjects.completed+">", func(m jetstream.Msg) {
		name := strings.TrimPrefix(m.Subject(), subjects.completed)
		meta, err := m.Metadata()
		if err != nil {
			t.Error(err)
			return
		}
		if end, ok := ends[name]; ok && !stored[name] {
			stored[name], lags = true, append(lags, meta.Timestamp.Sub(end))
		}
	})
	if len(lags) < len(ends) {
		err = errors.Join(err, fmt.Errorf("%d of %d orders have a completion", len(lags), len(ends)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return lags
}

// report prints what so many orders took.
func (run peerRun) report(b *testing.B, orders float64) {
	b.Helper()
	cpu := run.worker + run.server
	b.ReportMetric(0, "ns/op") // means nothing here
	b.ReportMetric(run.polls/orders, "polls/order")
	b.ReportMetric(run.lists, "lists")
	b.ReportMetric(quantile(run.lags, .5), "lag-p50-s")
	b.ReportMetric(quantile(run.lags, .99), "lag-p99-s")
	b.ReportMetric(run.worker.Seconds()*1e6/run.polls, "worker-µs/poll")
	b.ReportMetric(run.server.Seconds()*1e6/run.polls, "nats-µs/poll")
	b.ReportMetric(cpu.Seconds()*1e6/run.polls, "µs/poll")
	b.ReportMetric(cpu.Seconds()*1000/orders, "CPU-s/1000-watches")
	b.ReportMetric(run.workerMiB, "worker-MiB")
	b.ReportMetric(run.serverMiB, "nats-MiB")
	b.ReportMetric(100*run.others, "others-%")
}
