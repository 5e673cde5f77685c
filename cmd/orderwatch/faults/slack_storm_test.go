package faults_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A storm is so many orders that all have ended when they are asked for, in one channel.
const (
	stormOrders  = 1000
	stormFailing = 10 // every so many fail, with a thread
	stormNever   = 50 // every so many never end, and are cancelled
)

// TestSlackStorm lets 1,000 watches end at once. Their messages never come faster than the channel
// takes them, each failure has a message of its own with all its items or is listed in a group's thread, and the
// others are told together or one by one.
func TestSlackStorm(t *testing.T) {
	t.Parallel()
	n := rig.StartNATS(t, "")
	w := newSlackWorld(t, n, "storm", worldSetting{workers: 2, history: true, files: true, cloud: stormCloud()})
	begin := time.Now()
	w.askStorm(t)
	completions := w.awaitCompletions(t, stormOrders)
	events := time.Since(begin)
	w.awaitTold(t, 4*time.Minute)
	took := time.Since(begin)

	v := &slackVerdict{}
	w.judgePace(v)
	messages := w.slack.Messages(slackRoom[0])
	alone, together := 0, 0
	claimed := make(map[string]bool)
	telling, listed := tellingOf(messages), listedIn(messages)
	for _, c := range completions {
		switch told := telling[c.WatchID]; {
		case listed[c.OrderName] == 1 && told == 0:
			v.listed++
		case told == 1:
			alone++
			w.judgeWatch(v, c.Completion, slackRoom[0], messages, claimed)
		case told > 1 || c.Outcome != watcher.Succeeded && c.Outcome != watcher.Cancelled:
			v.violate("watch %s of %s, %s, has %d messages of its own", c.WatchID, c.OrderName, c.Outcome, told)
		default:
			together++
		}
	}
	digests, told := digestsOf(messages)
	if told != together || digests == 0 || digests > 4 {
		v.violate("%d watches have no message of their own; %d digests tell of %d", together, digests, told)
	}
	for _, violation := range v.violations[:min(len(v.violations), 20)] {
		t.Error(violation)
	}
	t.Logf("%d events after %.1f s; people told after %.1f s: %d alone, %d listed as alike, %d in %d digests; %d calls of Slack, %d replies, %d over the rate, %d in a penalty",
		len(completions), events.Seconds(), took.Seconds(), alone, v.listed, told, digests, w.slack.Calls(), v.replies, w.slack.OverRate(), w.slack.PenaltyCalls())
}

func stormCloud() emulator.Options { return emulator.Options{CallsKept: 1} }

// askStorm asks for all orders of a storm at once.
func (w *slackWorld) askStorm(t testing.TB) {
	t.Helper()
	for i := range stormOrders {
		name := fmt.Sprintf("order.pool-%d", i)
		fate := emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{{ResourceName: "node-0", Status: "succeed"}}}
		switch {
		case i%stormNever == 1:
			fate.Items[0].EndAfter = emulator.Never
		case i%stormFailing == 0:
			for n := range 20 {
				fate.Items = append(fate.Items, emulator.Item{ResourceName: fmt.Sprintf("node-%d-%d", i, n+1), Status: "failed", Message: "flavor sold out"})
			}
		}
		w.cloud.Add(rig.Project, name, fate)
		request := map[string]any{"project_id": rig.Project, "order_name": name, "request_id": requestID(i)}
		if _, err := w.nats.JS.PublishAsync(w.prefix+".watch", encoded(request), jetstream.WithStallWait(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	<-w.nats.JS.PublishAsyncComplete()
	for i := 1; i < stormOrders; i += stormNever {
		if err := w.cancel(t.Context(), fmt.Sprintf("order.pool-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitCompletions waits until so many watches have ended, and returns how.
func (w *slackWorld) awaitCompletions(t testing.TB, want uint64) []storedCompletion {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		s, err := w.nats.JS.Stream(t.Context(), w.stream("EVENTS"))
		if err != nil {
			return err
		}
		info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(w.prefix+".completed.>"))
		if err != nil {
			return err
		}
		if n := uint64(len(info.State.Subjects)); n < want {
			return fmt.Errorf("%d of %d watches have ended", n, want)
		}
		return nil
	})
	return w.completionEvents(t)
}

// tellingOf returns how many messages are a watch's own, by its id.
func tellingOf(messages []slackemulator.Message) map[string]int {
	telling := make(map[string]int)
	for _, m := range messages {
		if key, ok := strings.CutPrefix(tellsOf(m), "watch."); ok && m.ThreadTS == "" {
			id, _, _ := strings.Cut(key, ".")
			telling[id]++
		}
	}
	return telling
}

var digestCounts = regexp.MustCompile(`([\d,]+) (?:order|watch)`)

// digestsOf returns how many digests there are, and of how many watches they tell.
func digestsOf(messages []slackemulator.Message) (digests, watches int) {
	for _, m := range messages {
		if !strings.HasPrefix(tellsOf(m), "digest.") {
			continue
		}
		digests++
		for _, count := range digestCounts.FindAllStringSubmatch(m.Text, -1) {
			n, err := strconv.Atoi(strings.ReplaceAll(count[1], ",", ""))
			if err == nil {
				watches += n
			}
		}
	}
	return digests, watches
}

// BenchmarkSlackStorm measures how long it takes until the 1,000 completion events of a storm are
// out, with Slack and without, at the product's own speed, by turns:
//
//	go test -run '^$' -bench SlackStorm -benchtime 5x -timeout 30m ./cmd/orderwatch/faults
//
// The ratio is that of the medians.
func BenchmarkSlackStorm(b *testing.B) {
	n := rig.StartNATS(b, "")
	var with, without []time.Duration
	for i := range b.N {
		for _, log := range []bool{i%2 == 0, i%2 != 0} {
			took := benchmarkStorm(b, n, fmt.Sprintf("storm%d%t", i, log), log)
			if log {
				without = append(without, took)
			} else {
				with = append(with, took)
			}
		}
	}
	slices.Sort(with)
	slices.Sort(without)
	b.Logf("with Slack %v, without %v", with, without)
	median := func(d []time.Duration) float64 { return d[len(d)/2].Seconds() }
	b.ReportMetric(0, "ns/op") // means nothing here
	b.ReportMetric(median(with), "with-s")
	b.ReportMetric(median(without), "without-s")
	b.ReportMetric(median(with)/median(without), "ratio")
}

// benchmarkStorm returns how long after the first request the last event was stored.
func benchmarkStorm(b *testing.B, n rig.NATS, prefix string, log bool) time.Duration {
	w := newSlackWorld(b, n, prefix, worldSetting{workers: 2, history: true, plain: true, log: log, cloud: stormCloud()})
	begin := time.Now()
	w.askStorm(b)
	completions := w.awaitCompletions(b, stormOrders)
	for _, p := range w.workers {
		p.Kill()
	}
	last := slices.MaxFunc(completions, func(x, y storedCompletion) int { return x.at.Compare(y.at) })
	return last.at.Sub(begin)
}
