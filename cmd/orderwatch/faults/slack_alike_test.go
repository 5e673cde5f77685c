package faults_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestSlackAlike lets many watches fail at once, at the product's own speed. Each failed watch has one message, or one
// row in a group's thread; there are few messages, fewer of them wake people, and what failed for another cause comes
// first.
func TestSlackAlike(t *testing.T) {
	t.Parallel()
	const alike = "flavor sold out"
	other := func(i int) string { return "no quota for " + strings.Repeat("z", i+1) }
	for name, c := range map[string]struct {
		orders   int
		cause    func(i int) string // empty: it succeeds
		messages int                // top-level ones of failures, at most
		pings    int                // at most
	}{
		"200 alike": {200, func(int) string { return alike }, 8, 7},
		"150 alike and another": {151, func(i int) string {
			if i == 100 {
				return other(i)
			}
			return alike
		}, 9, 8},
		"30 causes": {30, other, 32, 3},
		"3 failures among 200": {203, func(i int) string {
			if i%80 == 40 {
				return other(i)
			}
			return ""
		}, 4, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := rig.StartNATS(t, "")
			w := newSlackWorld(t, n, "alike", worldSetting{workers: 2, history: true, files: true, plain: true, cloud: stormCloud()})
			causes := make(map[string]string)
			for i := range c.orders {
				order := fmt.Sprintf("order.pool-%d", i)
				item := emulator.Item{ResourceName: "node-0", Status: "succeed"}
				if causes[order] = c.cause(i); causes[order] != "" {
					item.Status, item.Message = "failed", causes[order]
				}
				w.cloud.Add(rig.Project, order, emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{item}})
				if err := w.ask(t.Context(), map[string]any{"order_name": order, "request_id": requestID(i)}); err != nil {
					t.Fatal(err)
				}
			}
			completions := w.awaitCompletions(t, uint64(c.orders))
			w.awaitTold(t, 4*time.Minute)

			v := &slackVerdict{}
			w.judgePace(v)
			messages := w.slack.Messages(slackRoom[0])
			claimed := make(map[string]bool)
			for _, done := range completions {
				if done.Outcome != watcher.Succeeded {
					w.judgeWatch(v, done.Completion, slackRoom[0], messages, claimed)
				}
				if cause := causes[done.OrderName]; cause == "" || cause == alike {
					continue
				}
				if late := postedAt(t, messages, "watch."+done.WatchID+".").Sub(done.at); c.orders != 30 && late > 15*time.Second {
					v.violate("%s is told %s after its end", done.OrderName, late)
				}
			}
			failures, pings := 0, 0
			for _, m := range messages {
				w.judgeText(v, slackRoom[0], m)
				if group := strings.HasPrefix(tellsOf(m), "alike."); m.ThreadTS == "" && (claimed[m.TS] || tellsOfMany(m)) {
					failures++
					if group || len(slackemulator.Mentions(m)) > 0 { // perhaps it woke people before it was edited
						pings++
					}
				}
			}
			if failures > c.messages || pings > c.pings || pings == 0 {
				v.violate("%d messages tell of failures, %d wake people; want %d and %d at most", failures, pings, c.messages, c.pings)
			}
			for _, violation := range v.violations[:min(len(v.violations), 20)] {
				t.Error(violation)
			}
			t.Logf("%d messages tell of failures, %d of them wake people; %d watches are listed", failures, pings, v.listed)
		})
	}
}

// postedAt returns when the message was posted whose metadata name what it tells of so.
func postedAt(t *testing.T, messages []slackemulator.Message, key string) time.Time {
	t.Helper()
	for _, m := range messages {
		if strings.HasPrefix(tellsOf(m), key) && m.ThreadTS == "" {
			return timeOf(t, m)
		}
	}
	t.Errorf("nothing tells of %s", key)
	return time.Time{}
}

// timeOf returns when the message was posted.
func timeOf(t *testing.T, m slackemulator.Message) time.Time {
	t.Helper()
	seconds, err := strconv.ParseFloat(m.TS, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMilli(int64(seconds * 1000))
}
