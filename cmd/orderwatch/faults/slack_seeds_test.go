package faults_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

var (
	slackSeeds = flag.Int("slack-seeds", 6, "how many seeds TestSlackSeeds runs")
	slackSeed  = flag.Int("slack-seed", -1, "the one seed to run")
)

// slackSeedsAtOnce bounds the processes; a seed mostly waits.
const slackSeedsAtOnce = 3

// TestSlackSeeds lets workers be killed while Slack fails, each seed in a world of its own.
func TestSlackSeeds(t *testing.T) {
	t.Parallel()
	first, last := 0, *slackSeeds
	if *slackSeed >= 0 {
		first, last = *slackSeed, *slackSeed+1
	}
	n := rig.StartNATS(t, "")
	rig.Build(t, rig.Worker, "faults")
	var (
		running                                         sync.WaitGroup
		kills, faults, calls, messages, replies, doubts atomic.Int64
		begin                                           = time.Now()
		slots                                           = make(chan struct{}, slackSeedsAtOnce)
	)
	for seed := first; seed < last; seed++ {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				w, v := playSlackSeed(t, n, seed)
				kills.Add(int64(w.kills))
				faults.Add(int64(w.slack.Faults()))
				calls.Add(int64(w.slack.Calls()))
				messages.Add(int64(v.messages))
				replies.Add(int64(v.replies))
				doubts.Add(int64(v.doubles))
			})
		})
	}
	running.Wait()
	t.Logf("%d seeds in %s: %d kills; %d calls of Slack, %d faults; %d messages and %d replies, %d doubled without the history",
		last-first, time.Since(begin).Round(time.Second), kills.Load(), calls.Load(), faults.Load(), messages.Load(), replies.Load(), doubts.Load())
}

func playSlackSeed(t *testing.T, n rig.NATS, seed int) (*slackWorld, *slackVerdict) {
	random := rand.New(rand.NewPCG(uint64(seed), 60))
	chance := &slackChance{random: rand.New(rand.NewPCG(uint64(seed), 61)), share: []float64{0.05, 0.15, 0.3}[random.IntN(3)]}
	setting := worldSetting{
		workers: 2 + random.IntN(2), history: random.IntN(4) > 0, files: random.IntN(2) == 0, progress: random.IntN(2) == 0,
		slack: slackemulator.Options{
			Fault: chance.fault, HistoryLag: time.Duration(random.IntN(3)) * 10 * time.Second / slackSpeed,
			ClientIDs: []slackemulator.ClientIDs{slackemulator.Ignored, slackemulator.SameAnswer, slackemulator.Duplicate}[random.IntN(3)],
		},
	}
	w := newSlackWorld(t, n, fmt.Sprintf("seed%d", seed), setting)
	var asking sync.WaitGroup
	orders := w.planOrders(random)
	for _, o := range orders {
		asking.Go(func() {
			if err := o.play(t.Context(), w); err != nil {
				t.Error(err)
			}
		})
	}
	const stormy = 12 * time.Second
	begin := time.Now()
	for range 3 + random.IntN(4) {
		time.Sleep(within(random, stormy/4)) // when a worker dies is left to chance
		w.kill(t, random.IntN(len(w.workers)))
	}
	time.Sleep(time.Until(begin.Add(stormy)))
	asking.Wait()
	chance.calm.Store(true)
	calm := time.Now()
	w.awaitEmpty(t, rig.Patience, "REQUESTS")
	for _, o := range orders { // a request that its worker's death kept back began another watch after the first was cancelled
		if o.cancel > 0 {
			if err := w.cancel(t.Context(), o.name); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.awaitTold(t, rig.Patience)
	v := w.judge(w.completions(t))
	for _, violation := range v.violations {
		t.Error(violation)
	}
	t.Logf("%d workers, history %t, progress %t, %.0f %% faults: %d kills, %d orders, %d messages, %d replies, %d doubled (%d said so); %d calls, %d faults, %d over the rate, %d in a penalty; told %.1f s after the last fault",
		setting.workers, setting.history, setting.progress, 100*chance.share, w.kills, len(orders), v.messages, v.replies, v.doubles, v.possible,
		w.slack.Calls(), w.slack.Faults(), w.slack.OverRate(), w.slack.PenaltyCalls(), time.Since(calm).Seconds())
	if t.Failed() {
		t.Logf("replay: go test ./cmd/orderwatch -v -run TestSlackSeeds -slack-seed=%d (when workers die is drawn again; how they run is not)", seed)
	}
	return w, v
}

// A plannedOrder is one order, and who asks for it.
type plannedOrder struct {
	name     string
	requests []map[string]any
	after    []time.Duration // by request
	cancel   time.Duration   // 0: not
}

// planOrders plans some orders of all fates.
func (w *slackWorld) planOrders(random *rand.Rand) (orders []plannedOrder) {
	for i := range 10 + random.IntN(10) {
		o := plannedOrder{name: fmt.Sprintf("order.pool-%d", i)}
		for r := range 1 + random.IntN(2) {
			request := map[string]any{"order_name": o.name, "request_id": fmt.Sprintf("build-%d-%d", i, r), "requested_by": "<!channel> " + slackToken}
			if channel := random.IntN(len(slackRoom)); channel > 0 {
				request["slack_channel"] = slackRoom[channel]
			}
			o.requests, o.after = append(o.requests, request), append(o.after, within(random, time.Second))
		}
		fate := emulator.Order{Count: emulator.CountAll, FromFirstPoll: true}
		item := func(n int, status string, end time.Duration) {
			fate.Items = append(fate.Items, emulator.Item{ResourceName: fmt.Sprintf("node-%d", n), Status: status, EndAfter: end,
				Message: map[string]string{"failed": fmt.Sprintf("<!channel> flavor %d sold out, token %s", n%3, slackToken)}[status]})
		}
		switch random.IntN(8) {
		case 0: // succeeds
			for n := range 3 {
				item(n, "succeed", within(random, 10*time.Second))
			}
		case 1: // fails partly
			for n := range 4 {
				item(n, []string{"failed", "succeed"}[n%2], within(random, 10*time.Second))
			}
		case 2, 3: // fails, with a thread
			for n := range 60 {
				item(n, "failed", within(random, 5*time.Second))
			}
		case 4: // fails, with a thread and a file
			for n := range 900 {
				item(n, "failed", time.Second)
			}
		case 5: // ends never
			item(0, "succeed", emulator.Never)
			for _, r := range o.requests {
				r["timeout"] = "3s"
			}
		case 6: // is cancelled
			item(0, "succeed", emulator.Never)
			o.cancel = time.Second + within(random, 4*time.Second)
		case 7: // is refused, or not found
			if random.IntN(2) == 0 {
				fate.Faults = []emulator.Fault{{Status: http.StatusBadRequest, Code: "ModelArts.50004000", Message: "Bad request."}}
			} else {
				fate.NotFoundFor = time.Hour
			}
		}
		w.cloud.Add(rig.Project, o.name, fate)
		orders = append(orders, o)
	}
	return orders
}

// play asks for the order.
func (o plannedOrder) play(ctx context.Context, w *slackWorld) error {
	begin := time.Now()
	for i, r := range o.requests {
		pause(ctx, time.Until(begin.Add(o.after[i])))
		if err := w.ask(ctx, r); err != nil {
			return err
		}
	}
	if o.cancel == 0 {
		return nil
	}
	pause(ctx, time.Until(begin.Add(o.cancel)))
	return w.cancel(ctx, o.name)
}
