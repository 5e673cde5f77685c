package faults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestSlackAway lets watches end while Slack cannot be reached, for a minute in which the workers live
// through an hour. Events come out as ever; when Slack is back nothing is lost, and what has a message
// of its own comes in the order in which the watches ended, failures before all others, but for neighbours that
// the workers had in hand at the same time.
func TestSlackAway(t *testing.T) {
	t.Parallel()
	const (
		workers = 2
		before  = 10 // watches that end before it
		during  = 100
		lasts   = time.Minute
	)
	n := rig.StartNATS(t, "")
	w := newSlackWorld(t, n, "away", worldSetting{workers: workers, history: true, speed: 60, cloud: emulator.Options{CallsKept: 1}})
	asked := make(map[string]time.Time)
	ask := func(i int) {
		name := fmt.Sprintf("order.pool-%d", i)
		fate := emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{{ResourceName: "node-0", Status: "succeed"}}}
		if i%2 == 0 { // each for a cause of its own
			fate.Items[0].Status, fate.Items[0].Message = "failed", "no quota for "+strings.Repeat("z", i+1)
		}
		w.cloud.Add(rig.Project, name, fate)
		asked[name] = time.Now()
		if err := w.ask(t.Context(), map[string]any{"order_name": name, "request_id": requestID(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range before {
		ask(i)
	}
	w.awaitTold(t, 30*time.Second)

	addr := w.closeSlack()
	gone := time.Now()
	for i := before; i < before+during; i++ {
		ask(i)
		time.Sleep(time.Until(gone.Add(time.Duration(i-before+1) * lasts / during))) // they end all the time
	}
	completions := w.awaitCompletions(t, before+during)
	calls := w.slack.Calls()
	w.openSlack(t, addr)
	back := time.Now()
	w.awaitTold(t, time.Minute)

	v := &slackVerdict{}
	w.judgePace(v)
	messages := w.slack.Messages(slackRoom[0])
	claimed := make(map[string]bool)
	telling := tellingOf(messages)
	alone, failed := make(map[string]int), make(map[string]bool) // the watch's place among those with a message of their own
	for _, c := range completions {
		if telling[c.WatchID] > 0 || c.Outcome != watcher.Succeeded {
			w.judgeWatch(v, c.Completion, slackRoom[0], messages, claimed)
			key := "watch." + c.WatchID + "." + slackRoom[0]
			alone[key], failed[key] = len(alone), c.Outcome != watcher.Succeeded
		}
	}
	digests, together := digestsOf(messages)
	if len(alone)+together != len(completions) {
		v.violate("of %d watches %d have messages of their own, and %d are told together", len(completions), len(alone), together)
	}
	furthest, latest := 0, make(map[bool]int)
	for _, m := range messages {
		if i, ok := alone[tellsOf(m)]; ok && m.ThreadTS == "" {
			fails := failed[tellsOf(m)]
			furthest, latest[fails] = max(furthest, latest[fails]-i), max(latest[fails], i)
		}
	}
	if furthest > 2*workers*slackSlots {
		v.violate("a message comes %d places too late", furthest)
	}
	for _, violation := range v.violations {
		t.Error(violation)
	}
	took := func(some []storedCompletion) string {
		var all []time.Duration
		for _, c := range some {
			all = append(all, c.at.Sub(asked[c.OrderName]))
		}
		return spread(all)
	}
	t.Logf("events after %s before, %s while Slack was away; %d calls answered before it was back; told %.1f s after that: %d alone, %d in %d digests, none further out of its place than %d",
		took(completions[:before]), took(completions[before:]), calls, time.Since(back).Seconds(), len(alone), together, digests, furthest)
}
