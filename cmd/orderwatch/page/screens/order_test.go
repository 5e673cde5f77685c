package screens_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

var noon = time.Date(2025, 4, 10, 12, 0, 0, 0, time.Local)

func after(minutes float64) time.Time { return noon.Add(time.Duration(minutes * float64(time.Minute))) }

// orderOf returns an order that began at noon, ten minutes later.
func orderOf(items ...watcher.Item) screens.OrderView {
	w := watcher.Snapshot{
		State: watcher.Watching, Deadline: after(120), LastPollAt: after(9.8), NextPollAt: after(10.3),
		ETA: &history.Estimate{From: after(12), To: after(17), Samples: 43},
		Report: watcher.Report{
			WatchID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", Region: "cn-north-4", ProjectID: "6f5da086876d4cd084d36f8bd3346036", OrderName: "order.pool-5ed5-w4l2n",
			Items: items, AcceptedAt: noon, Polls: 19,
			Requests: []watcher.Request{{ID: "build-771", RequestedBy: "gpu-pools", Link: "https://ci.example/771", Labels: map[string]string{"env": "prod"}, ReceivedAt: noon}},
		},
	}
	failed := map[string]int{}
	for _, it := range items {
		w.Counts.Total++
		switch it.Status {
		case watcher.Succeed:
			w.Counts.Succeeded++
		case watcher.Failed:
			w.Counts.Failed++
			if i, ok := failed[it.Message]; ok {
				w.Failures[i].Count++
				w.Failures[i].ResourceNames = append(w.Failures[i].ResourceNames, it.ResourceName)
				continue
			}
			failed[it.Message] = len(w.Failures)
			w.Failures = append(w.Failures, watcher.Failure{Message: it.Message, Action: it.Action, Count: 1, ResourceNames: []string{it.ResourceName}})
		default:
			w.Counts.Processing++
		}
	}
	return screens.OrderView{
		Common:   screens.Common{Title: w.OrderName, AsOf: after(10), Connected: true},
		Snapshot: w,
		Story: wire.Story{Lines: []wire.StoryLine{
			{At: noon, Kind: "asked", Text: "asked by gpu-pools (request build-771)", Link: "https://ci.example/771"},
			{At: after(0.5), Kind: "appeared", Text: "ModelArts shows the order: 4 items (pool, …) processing · 0 of 4 items ended, 4 still processing"},
			{At: after(4), Until: after(4.1), Kind: "held", Text: "the account is throttled for 6s: 429 APIG.0308: too often"},
			{At: after(7), Kind: "changed", Text: "os-node-created-8jsnk failed: flavor sold out · 2 of 4 items ended, 2 still processing"},
			{At: after(7.1), Kind: "told", Text: "told on Slack in C0ONCALL that the order is watched"},
		}},
		Cause: screens.Cause{Known: true, New: true, Since: after(-90 * 24 * 60)},
	}
}

func item(name, action string, status watcher.Status, began, updated float64, message string) watcher.Item {
	return watcher.Item{ResourceName: name, Action: action, Status: status, BeganAt: after(began), UpdatedAt: after(updated), Message: message}
}

func fourItems() []watcher.Item {
	return []watcher.Item{
		item("pool-9495-6f5da086876d4cd084d36f8bd3346036", "createPool", watcher.Succeed, 0.5, 3, ""),
		item("os-node-created-8jsnk", "createNode", watcher.Failed, 3, 7, "flavor modelarts.bm.gpu.8v100 is sold out in cn-north-4a"),
		item("os-node-created-lq4f8", "createNode", watcher.Processing, 3, 9, ""),
		item("os-node-created-ggthb", "createNode", watcher.Succeed, 6, 9, ""),
	}
}

func manyItems(n int) (items []watcher.Item) {
	for i := range n {
		status, message := watcher.Succeed, ""
		switch {
		case i%100 == 7:
			status, message = watcher.Failed, fmt.Sprintf("flavor %d is sold out", i%300)
		case i%3 == 0:
			status = watcher.Processing
		}
		items = append(items, item(fmt.Sprintf("os-node-created-%05d", i), "createNode", status, float64(i%50)/10, 5+float64(i%40)/10, message))
	}
	return items
}

const hostileText = `<img src=x onerror=alert(1)><script>alert(2)</script>"'` + "`\u202egnp.exe\u2066\u200b\x1b[31m</pre></details>--><!--"

// ended returns the order when it has ended.
func ended(v screens.OrderView, outcome watcher.Outcome, reason string) screens.OrderView {
	v.Snapshot.State, v.Snapshot.Outcome, v.Snapshot.Reason, v.Snapshot.CompletedAt = watcher.Ended, outcome, reason, after(11)
	v.AsOf, v.Snapshot.ETA, v.Snapshot.NextPollAt = after(30), nil, time.Time{}
	v.Story.Lines = append(v.Story.Lines, wire.StoryLine{At: after(11), Kind: "ended", Text: string(outcome) + ": " + reason}, wire.StoryLine{At: after(11.1), Kind: "told", Text: "told on Slack in C0ONCALL how it ended"})
	return v
}

// orders are orders of all kinds.
func orders() map[string]screens.OrderView {
	hostileView := orderOf(item(hostileText, hostileText, watcher.Failed, 1, 2, hostileText), item(hostileText, "createNode", watcher.Status(hostileText), 1, 2, hostileText))
	w := &hostileView.Snapshot
	w.OrderName, w.ProjectID, w.Reason, w.LastError = hostileText, hostileText, hostileText, &watcher.ErrorDetail{Code: hostileText, Message: hostileText}
	w.Requests[0] = watcher.Request{ID: hostileText, RequestedBy: hostileText, Team: hostileText, Link: "javascript:alert(3)", Labels: map[string]string{hostileText: hostileText}, ReceivedAt: noon}
	w.Requests = append(w.Requests, watcher.Request{ID: "a", Link: "https://user@evil.example/\"><script>"}, watcher.Request{ID: "b", Link: "https://evil.example/\"><script>"})
	hostileView.Story.Lines = append(hostileView.Story.Lines, wire.StoryLine{At: after(8), Kind: "told", Text: hostileText, Link: "javascript:alert(4)"})
	hostileView.Title, hostileView.User, hostileView.Team = hostileText, hostileText, hostileText

	long := strings.Repeat("order-", 21) + "ab"
	longView := orderOf(item(long, "createNode", watcher.Failed, 1, 5, strings.Repeat("資源不足のため作成できません。", 20)), item(strings.Repeat("節点", 60), "createNode", watcher.Processing, 1, 5, ""))
	longView.Snapshot.OrderName, longView.Title = long, long
	longView.Snapshot.Requests[0].RequestedBy = strings.Repeat("山田", 100)

	none := orderOf()
	none.Snapshot.ETA, none.Snapshot.LastPollAt, none.Snapshot.Polls = nil, time.Time{}, 0
	none.Story.Lines = none.Story.Lines[:1]

	held := orderOf(fourItems()...)
	held.Snapshot.LastError = &watcher.ErrorDetail{Code: "ModelArts.0108", Held: watcher.HeldPermission, Message: "ModelArts refuses the account for lack of a permission; no call before 2025-04-10T12:30:00Z: 403 ModelArts.0108 (check the account's permissions, the endpoint and the proxy)"}
	held.Snapshot.Condition, held.Snapshot.ConditionSince = watcher.Blind, after(8)

	gone := orderOf(fourItems()...)
	gone.Connected, gone.NoStory = false, "NATS is not connected"

	actions := orderOf(fourItems()...)
	actions.Acts, actions.Base, actions.Live = &screens.Acts{Order: actions.Order(), Open: true}, "/x/y", "/live?of=1"
	known := ended(orderOf(fourItems()[:2]...), watcher.PartiallyFailed, "1 of 2 items failed")
	known.Cause = screens.Cause{Known: true, Count: 15, Before: 14, First: after(-7 * 24 * 60), Last: after(-300), Since: after(-90 * 24 * 60)}
	longer := orderOf(fourItems()...)
	longer.Since, longer.Usual = after(4), history.Usual{P10: history.Span(6 * time.Second), P90: history.Span(23 * time.Second), Samples: 21}
	unknown := ended(orderOf(), watcher.OrderNotFound, "the API did not know the order for 4s")
	unknown.Story.Lines = unknown.Story.Lines[:1]
	return map[string]screens.OrderView{
		"none": none, "one": orderOf(fourItems()[2]), "four": orderOf(fourItems()...), "twelve": orderOf(manyItems(12)...), "300": orderOf(manyItems(300)...), "5000": orderOf(manyItems(5000)...),
		"hostileText": hostileView, "long": longView, "held": held, "gone": gone, "actions": actions, "failed": known,
		"succeeded": ended(orderOf(fourItems()[:1]...), watcher.Succeeded, "1 of 1 item succeeded"),
		"longer":    longer, "cancelled": ended(orderOf(fourItems()[2]), watcher.Cancelled, "cancelled by ann: not needed"), "unknown": unknown,
		"timed-out": ended(orderOf(fourItems()[2]), watcher.TimedOut, "after 2h: 0 of 1 item ended, 1 still processing"),
	}
}

func pageOf(t *testing.T, v screens.OrderView) string {
	t.Helper()
	var b bytes.Buffer
	if err := screens.Order(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	tag       = regexp.MustCompile(`<[a-zA-Z][^>]*>`)
	questions = []string{"When is it ready?", "What failed, and why?", "Was anybody told, and when?", "Is anything stuck?", "Is this cause new?"}
	handlers  = regexp.MustCompile(`(?i)\s(style|on[a-z]+)\s*=`)
)

// TestOrderScreens holds what is so of every order: that the questions are answered, that nothing of others is obeyed, that the
// screen is of bounded size, and that its fragments are what the screen shows.
func TestOrderScreens(t *testing.T) {
	for name, v := range orders() {
		t.Run(name, func(t *testing.T) {
			page := pageOf(t, v)
			if to := os.Getenv("ORDERWATCH_TEST_SCREENS"); to != "" { // for eyes
				if err := os.WriteFile(filepath.Join(to, name+".html"), []byte(page), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			at := 0
			for _, q := range questions {
				if next := strings.Index(page, q); next < at {
					t.Errorf("%q is not answered in its place", q)
				} else {
					at = next
				}
			}
			for _, tag := range tag.FindAllString(page, -1) {
				if strings.HasPrefix(tag, "<img") || handlers.MatchString(tag) || strings.HasPrefix(tag, "<script") && !strings.Contains(tag, "src=\"") {
					t.Errorf("the screen has %s", tag)
				}
			}
			if strings.ContainsAny(page, "\u202e\u2066\u200b\x1b") || strings.Contains(page, `="javascript:`) || strings.Contains(page, "ZgotmplZ") {
				t.Error("a text of others is not inert")
			}
			if n := strings.Count(page, "<rect"); n > 2*50+10 {
				t.Errorf("%d rectangles", n)
			}
			if len(page) > 700<<10 {
				t.Errorf("%d bytes", len(page))
			}
			parts, err := screens.OrderBody(v)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range parts {
				if !strings.Contains(page, `id="`+part.Name+`"`) || !strings.Contains(page, string(part.HTML)) {
					t.Errorf("the screen does not show its fragment %s", part.Name)
				}
				if part.Name != "actions" && strings.Contains(string(part.HTML), "<details") { // those change when the watch ends
					t.Errorf("%s would close what the viewer opened", part.Name)
				}
			}
		})
	}
}

// TestOrderSays holds what the screens say first.
func TestOrderSays(t *testing.T) {
	all := orders()
	for name, want := range map[string][]string{
		"four":   {"3 of 4 items ended, 1 failed. Likely ready 12:12–12:17.", "1 of 4 items", "1 × flavor modelarts.bm.gpu.8v100 is sold out in cn-north-4a (createNode): os-node-created-8jsnk", "not seen before; records begin 10 Jan 12:00", "ModelArts was asked 12:09:48, and is asked again 12:10:18"},
		"none":   {"ModelArts shows no item yet.", "nothing failed", "not asked yet", "not known"},
		"held":   {"The order cannot be seen now. Seen last: 3 of 4 items ended, 1 failed.", "the account lacks a permission (ModelArts.0108): ModelArts refuses the account", "check the account&#39;s permissions"},
		"failed": {"Partly failed: 1 of 2 items failed.", "15 orders failed for it, the first at 3 Apr 12:00, the one before this at 07:00", "yes, 12:11:06", "told on Slack in C0ONCALL how it ended"},
		"timed-out": {
			"Not done: after 2h: 0 of 1 item ended, 1 still processing.", "the order itself may still be running; 1 node may still be created and cost money", "<code>orderwatch watch --region cn-north-4 6f5da086876d4cd084d36f8bd3346036/order.pool-5ed5-w4l2n</code>",
			"the watch ended 12:11:00", "nothing so far", "came first", "os-node-created-lq4f8 was still processing when the watch stopped. Nobody looks any more.",
		},
		"longer":    {"not known</strong>", "it has run 6 m; 21 orders like it took 6 to 23 s"},
		"cancelled": {"Cancelled by ann: not needed.", "Only the watching has stopped"},
		"unknown":   {"Not found: ModelArts did not know the order for 4s.", "no item had been seen when the watch stopped", "no Slack message is known; programs have the completion event since 12:11:00"},
		"gone":      {"not connected", "NATS is not connected"},
		"5000":      {"3,349 of 5,000 nodes ended, 50 failed.", "and 1,651 processing, 3,299 succeeded"},
		"actions":   {`action="/x/y/orders/6f5da086876d4cd084d36f8bd3346036/order.pool-5ed5-w4l2n/cancel"`},
		"succeeded": {"Done: 1 of 1 item succeeded."},
	} {
		page := pageOf(t, all[name])
		for _, text := range want {
			if !strings.Contains(page, text) {
				t.Errorf("%s does not say %q", name, text)
			}
		}
	}
	if page := pageOf(t, all["hostileText"]); strings.Count(page, `rel="noopener noreferrer nofollow"`) != 1 || !strings.Contains(page, "link to evil.example") {
		t.Error("a link of others is not as it should be")
	}
}
