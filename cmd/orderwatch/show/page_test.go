package show

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// night is when the pages of these tests are drawn.
var night = time.Date(2025, 4, 10, 3, 2, 10, 0, time.UTC)

// minutes returns a time so many minutes before the night.
func minutes(before float64) time.Time {
	return night.Add(-time.Duration(before * float64(time.Minute)))
}

// shownWatch returns a watch with items, ten minutes old.
func shownWatch(items ...watcher.Item) watcher.Snapshot {
	w := watcher.Snapshot{
		State: watcher.Watching,
		Report: watcher.Report{
			WatchID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", Region: "cn-north-4",
			ProjectID: "6f5da086876d4cd084d36f8bd3346036", OrderName: "order.pool-5ed5-w4l2n",
			Items: items, AcceptedAt: minutes(10), Polls: 19,
			Requests: []watcher.Request{{
				ID: "build-771", RequestedBy: "gpu-pools", Link: "https://ci.example/771",
				Labels: map[string]string{"env": "prod", "team": "vision"}, ReceivedAt: minutes(10),
			}},
		},
		Deadline: minutes(-110), LastPollAt: minutes(0.2), NextPollAt: minutes(-0.3),
	}
	for _, it := range items {
		w.Counts.Total++
		switch it.Status {
		case watcher.Succeed:
			w.Counts.Succeeded++
		case watcher.Failed:
			w.Counts.Failed++
		default:
			w.Counts.Processing++
		}
	}
	w.Reason = fmt.Sprintf("%d of %s ended, %d still processing", w.Counts.Succeeded+w.Counts.Failed, words.Count(w.Counts.Total, "item"), w.Counts.Processing)
	return w
}

func shownItem(name, action string, status watcher.Status, began, updated float64, message string) watcher.Item {
	return watcher.Item{ResourceName: name, Action: action, Status: status, BeganAt: minutes(began), UpdatedAt: minutes(updated), Message: message}
}

func fourItems() []watcher.Item {
	return []watcher.Item{
		shownItem("pool-9495-6f5da086876d4cd084d36f8bd3346036", "createPool", watcher.Succeed, 9.5, 7, ""),
		shownItem("os-node-created-8jsnk", "createNode", watcher.Failed, 7, 2.5, "flavor modelarts.bm.gpu.8v100 is sold out in cn-north-4a"),
		shownItem("os-node-created-lq4f8", "createNode", watcher.Processing, 7, 1, ""),
		shownItem("os-node-created-ggthb", "createNode", watcher.Processing, 4, 1, ""),
	}
}

// Ended returns the watch when it has ended.
func ended(w watcher.Snapshot, outcome watcher.Outcome, reason string, before float64) watcher.Snapshot {
	w.State, w.Outcome, w.Reason, w.CompletedAt, w.NextPollAt = watcher.Ended, outcome, reason, minutes(before), time.Time{}
	w.LastPollAt = minutes(before)
	return w
}

// shownWatches are what get has to show.
func shownWatches() map[string]watcher.Snapshot {
	soldOut := watcher.Failure{Message: "flavor modelarts.bm.gpu.8v100 is sold out in cn-north-4a", Action: "createNode", Count: 1, ResourceNames: []string{"os-node-created-8jsnk"}}

	processing := shownWatch(fourItems()...)
	processing.ExpectedItems = 6
	processing.Failures = []watcher.Failure{soldOut}

	items := fourItems()
	items[2].Status, items[2].UpdatedAt = watcher.Succeed, minutes(2.2)
	items[3].Status, items[3].UpdatedAt = watcher.Failed, minutes(2)
	items[3].Message = "The instance could not be created: the subnet 2b1f… has no free address. Request id 3f0c7f5e-7c1e-4dd8-9ff2-58f2a1d9c6de."
	failed := ended(shownWatch(items...), watcher.PartiallyFailed, "2 of 4 items failed", 1.5)
	failed.Failures = []watcher.Failure{soldOut, {Message: items[3].Message, Action: "createNode", Count: 1, ResourceNames: []string{"os-node-created-ggthb"}}}

	fresh := shownWatch()
	fresh.Reason, fresh.Polls, fresh.AcceptedAt, fresh.LastPollAt, fresh.NextPollAt = "0 of 0 items ended", 0, minutes(0.01), time.Time{}, minutes(0.01)
	fresh.Requests = []watcher.Request{{ID: "seq-12-1744254130000"}}

	held := shownWatch(fourItems()[0], fourItems()[2])
	held.LastError = &watcher.ErrorDetail{Code: "held", Message: "ModelArts throttles the account; no call before 2025-04-10T03:02:40Z: 429 APIG.0308: The throttling threshold has been reached: policy user over ratelimit"}
	held.NextPollAt = minutes(-0.5)

	missing := shownWatch()
	missing.Reason, missing.Polls, missing.ErrorsInARow = "0 of 0 items ended", 4, 4
	missing.LastError = &watcher.ErrorDetail{Code: "ModelArts.50015001", Message: "Order order.pool-5ed5-w4l2n not found."}
	missing.GivesUpAt = night.Add(17 * time.Second)

	cancelled := ended(shownWatch(fourItems()...), watcher.Cancelled, "cancelled by ann: wrong flavor, ordered anew", 1)
	cancelled.Failures = []watcher.Failure{soldOut}
	cancelled.Wish = &watcher.Wish{By: "ann", Reason: "wrong flavor, ordered anew", At: minutes(1)}

	wished := shownWatch(fourItems()...)
	wished.Wish = &watcher.Wish{By: "ann", Reason: "wrong flavor", At: minutes(0.02)}
	wished.Failures = []watcher.Failure{soldOut}

	late := shownWatch(fourItems()[0])
	late.NextPollAt, late.LastPollAt, late.ErrorsInARow = minutes(3), minutes(4), 7
	late.LastError = &watcher.ErrorDetail{Code: "may_pass", Message: "Get \"https://modelarts.cn-north-4.myhuaweicloud.com/v1/…\": context deadline exceeded"}
	late.AcceptedAt = night.Add(-29 * time.Hour)

	likely, few := shownWatch(fourItems()...), shownWatch(fourItems()...)
	likely.ETA = &history.Estimate{From: minutes(-4.5), To: minutes(-11), Samples: 43}
	few.ETA = &history.Estimate{Samples: 3}

	frozen := shownWatch(fourItems()[0], fourItems()[2])
	frozen.LastError = &watcher.ErrorDetail{Code: "ModelArts.4116", Message: "the project is frozen or in arrears; no call before 2025-04-10T03:02:40Z: ModelArts.4116: The account is in arrears.", Held: watcher.HeldArrears}

	condition := func(kind watcher.AttentionKind, since float64) watcher.Snapshot {
		w := shownWatch(fourItems()[0], fourItems()[2])
		w.Condition, w.ConditionSince = kind, minutes(since)
		return w
	}
	all := map[string]watcher.Snapshot{
		"blind": condition(watcher.Blind, 6), "stalled": condition(watcher.Stalled, 9), "late": condition(watcher.Late, 2),
		"near-deadline": condition(watcher.DeadlineNear, 1), "condition-of-later": condition("\x1b[31mof_a_later_version", 1),
		"unlisted": unlistedWatch(), "unlisted-timed-out": ended(unlistedWatch(), watcher.TimedOut, "after 2h: 3 of 6 items ended, 3 still processing", 0.5),
		"likely-ready": likely, "few-known": few,
		"gone": goneWatch(), "in-seconds": inSeconds(), "frozen": frozen,
		"processing": processing, "failed": failed, "fresh": fresh, "held": held, "missing": missing, "cancelled": cancelled,
		"cancelling": wished, "overdue": late, "many": manyItems(), "hostile": hostileWatch(),
	}
	maps.Copy(all, otherActions())
	return all
}

// otherActions are watches of orders that do not create alone, and of one that does and has succeeded.
func otherActions() map[string]watcher.Snapshot {
	two := func(outcome watcher.Outcome, reason string, first, second watcher.Item) watcher.Snapshot {
		w := ended(shownWatch(first, second), outcome, reason, 1)
		for _, it := range w.Items {
			if it.Status == watcher.Failed {
				w.Failures = append(w.Failures, watcher.Failure{Message: it.Message, Action: it.Action, Count: 1, ResourceNames: []string{it.ResourceName}})
			}
		}
		return w
	}
	item := func(name, action string, status watcher.Status, message string) watcher.Item {
		return shownItem(name, action, status, 9, 2, message)
	}
	const done, failed, open = watcher.Succeed, watcher.Failed, watcher.Processing
	created := ended(shownWatch(fourItems()[0], fourItems()[1]), watcher.Succeeded, "2 of 2 items succeeded", 1)
	created.Items[1].Status, created.Items[1].Message, created.Counts = done, "", watcher.Counts{Total: 2, Succeeded: 2}
	timedOut := two(watcher.TimedOut, "after 2h: 1 of 2 nodes ended, 1 still processing", item("os-node-1", "deleteNode", done, ""), item("os-node-2", "deleteNode", open, ""))
	timedOut.Deadline = timedOut.AcceptedAt.Add(2 * time.Hour)
	untimed := two(watcher.AllFailed, "2 of 2 nodes failed", item("os-node-1", "createNode", failed, "quota exceeded"), item("os-node-2", "createNode", failed, "quota exceeded"))
	for i := range untimed.Items {
		untimed.Items[i].BeganAt, untimed.Items[i].UpdatedAt = time.Time{}, time.Time{}
	}
	return map[string]watcher.Snapshot{
		"created": created, "created-none-untimed": untimed,
		"deleted":            two(watcher.Succeeded, "2 of 2 items deleted", item("pool-1", "deletePool", done, ""), item("os-node-1", "deleteNode", done, "")),
		"deleted-part":       two(watcher.PartiallyFailed, "1 of 2 nodes not deleted", item("os-node-1", "deleteNode", done, ""), item("os-node-2", "deleteNode", failed, "node is locked")),
		"deleted-timed-out":  timedOut,
		"renewed-none":       two(watcher.AllFailed, "2 of 2 items not renewed", item("os-node-1", "renew", failed, "the balance is insufficient"), item("os-node-2", "renew", failed, "the balance is insufficient")),
		"periodic-cancelled": two(watcher.Cancelled, "cancelled by ann", item("pool-1", "toPeriodic", failed, "the balance is insufficient"), item("pool-2", "toPeriodic", open, "")),
		"mixed-part":         two(watcher.PartiallyFailed, "1 of 2 nodes failed", item("os-node-old", "deleteNode", failed, "node is locked"), item("os-node-new", "createNode", done, "")),
		"unknown-action":     two(watcher.PartiallyFailed, "1 of 2 items failed", item("os-node-1", "rebootNode", failed, "node is locked"), item("os-node-2", "rebootNode", done, "")),
	}
}

// unlistedWatch returns a watch with items that ModelArts no longer lists.
func unlistedWatch() watcher.Snapshot {
	items := fourItems()
	items[1].MissingSince = minutes(1.5) // failed
	items[2].MissingSince = minutes(3)
	items[3].Replaces = "os-node-created-before"
	items = append(items,
		shownItem("os-node-old", "deleteNode", watcher.Processing, 6, 5, ""),
		shownItem("os-node-created-c4nce", "createNode", "canceled", 7, 2, "order was unsubscribed"))
	items[4].MissingSince, items[4].TakenFor = minutes(4), watcher.TakenForDeleted
	w := shownWatch(items...)
	w.Counts = watcher.Counts{Total: 6, Succeeded: 2, Failed: 1, Processing: 3, Missing: 3}
	w.Failures = []watcher.Failure{{Message: items[1].Message, Action: "createNode", Count: 1, ResourceNames: []string{items[1].ResourceName}}}
	w.Reason = "3 of 6 items ended, 3 still processing"
	return w
}

// goneWatch returns the watch of an order that ModelArts knew and knows no longer.
func goneWatch() watcher.Snapshot {
	items := []watcher.Item{fourItems()[0], fourItems()[2]}
	items[0].MissingSince, items[1].MissingSince = minutes(3), minutes(3)
	w := ended(shownWatch(items...), watcher.OrderNotFound, "the order was seen until 02:59:05Z (1 of 2 items ended) and is gone since 02:59:10Z", 1)
	w.Counts.Missing = 2
	w.LastError = &watcher.ErrorDetail{Code: "ModelArts.50015001", Message: "Order order.pool-5ed5-w4l2n not found."}
	return w
}

// inSeconds returns a watch of whose items the times cannot be true (C19).
func inSeconds() watcher.Snapshot {
	items := fourItems()
	items[0].BeganAt, items[0].UpdatedAt = time.UnixMilli(items[0].BeganAt.Unix()).UTC(), time.UnixMilli(items[0].UpdatedAt.Unix()).UTC()
	items[1].UpdatedAt = night.Add(3 * time.Hour)
	items[2].BeganAt = time.UnixMilli(items[2].BeganAt.Unix()).UTC()
	return shownWatch(items...)
}

// manyItems returns a watch of 300 items and 256 requests.
func manyItems() watcher.Snapshot {
	var items []watcher.Item
	var names []string
	for i := range 300 {
		began := 9 - float64(i)/60
		it := shownItem(fmt.Sprintf("os-node-created-%03d", i), "createNode", watcher.Succeed, began, began-2-float64(i%7)/10, "")
		switch {
		case i%30 == 7:
			it.Status, it.Message = watcher.Failed, "flavor modelarts.bm.gpu.8v100 is sold out in cn-north-4a"
			names = append(names, it.ResourceName)
		case i >= 280:
			it.Status = watcher.Processing
		}
		items = append(items, it)
	}
	w := shownWatch(items...)
	w.Failures = []watcher.Failure{{Message: items[7].Message, Action: "createNode", Count: len(names), ResourceNames: names}}
	for i := range 255 {
		w.Requests = append(w.Requests, watcher.Request{ID: fmt.Sprintf("job-%d", i), RequestedBy: fmt.Sprintf("team-%d", i*i%9)})
	}
	return w
}

// hostileWatch returns a watch whose texts try to harm the terminal.
func hostileWatch() watcher.Snapshot {
	const escapes = "\x1b[2J\x1b]0;owned\x07\x1b[31mred\r\nline\u202egnp.exe\u2066\u200b\x9b31m\xff"
	w := shownWatch(
		shownItem(escapes, escapes, watcher.Status(escapes), 9, 8, escapes),
		shownItem(strings.Repeat("very-long-name-", 17), strings.Repeat("act", 20), "succeed", 9, 3, ""),
		shownItem("节点-创建-北京四-資源池", "创建节点", "处理中", 8, 3, strings.Repeat("配额不足", 60)),
		shownItem("🧑‍🚀👩‍👩‍👧‍👦 e\u0301\u0301\u0301"+strings.Repeat("\u0301", 200), "", watcher.Failed, -5, 8, ""),
	)
	w.Reason = "cancelled by " + escapes
	w.Region, w.WatchID = escapes, escapes
	w.Failures = []watcher.Failure{{Message: escapes + strings.Repeat("失败", 400), Action: escapes, Count: 1, ResourceNames: []string{escapes, strings.Repeat("n", 256)}}}
	w.Requests = []watcher.Request{{ID: escapes, RequestedBy: escapes, Link: "https://x/" + escapes, Labels: map[string]string{escapes: escapes}}}
	w.LastError = &watcher.ErrorDetail{Code: escapes, Message: escapes + strings.Repeat("x", 500)}
	w.Wish = &watcher.Wish{By: escapes, Reason: escapes, At: minutes(1)}
	return w
}

func TestPage(t *testing.T) {
	for name, w := range shownWatches() {
		for _, columns := range []int{80, 120} {
			p := Page{Now: night, Width: columns}
			text := p.Watch(w)
			cmdtest.Golden(t, filepath.Join("testdata", "get", fmt.Sprintf("%s-%d.txt", name, columns)), text)
			fits(t, name, text, columns)
		}
	}
	ofTeams := shownWatch(fourItems()...)
	ofTeams.Requests = []watcher.Request{{ID: "build-7", Team: "gpu", RequestedBy: "ann"}, {ID: "build-7", Team: "net"}, {ID: "build-8", RequestedBy: "bob"}, {ID: "build-9", Team: "gpu", RequestedBy: "ann"}}
	ofTeams.Wish = &watcher.Wish{By: "bob", Team: "net", At: minutes(1)}
	cmdtest.Golden(t, filepath.Join("testdata", "get", "teams-120.txt"), Page{Now: night, Width: 120}.Watch(ofTeams))
	ofTeams.Requests, ofTeams.OtherRequests = ofTeams.Requests[:1], 3 // as the team is shown it
	cmdtest.Golden(t, filepath.Join("testdata", "get", "others-120.txt"), Page{Now: night, Width: 120}.Watch(ofTeams))
	many := Page{Now: night, Width: 120, All: true}
	cmdtest.Golden(t, filepath.Join("testdata", "get", "many-all-120.txt"), many.Watch(manyItems()))
	colours := Page{Now: night, Width: 80, Paint: true}
	cmdtest.Golden(t, filepath.Join("testdata", "get", "failed-colours-80.txt"), colours.Watch(shownWatches()["failed"]))
}

// fits holds that no line is wider than the page, but one with an order's whole name, and that nothing in it could harm a terminal.
func fits(t *testing.T, name, text string, columns int) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if w := output.Width(line); w > columns && !strings.Contains(line, "/order.pool-5ed5-w4l2n") {
			t.Errorf("%s: a line takes %d of %d columns: %s", name, w, columns, line)
		}
		if output.Clean(line) != line {
			t.Errorf("%s: not clean: %q", name, line)
		}
	}
}

// FuzzPage shows any texts at any width: nothing gets to the terminal that could harm it, and
// from 66 columns on each line fits.
func FuzzPage(f *testing.F) {
	for name, w := range shownWatches() {
		f.Add(name, "message of "+name, w.Reason, 80, int64(90))
	}
	f.Add("\x1b[2J", "\u202e\xff\r\n", strings.Repeat("订", 300), 0, int64(-1))
	f.Add("\u0301", strings.Repeat("\u200d", 3000), "\u2028", 66, int64(1)<<40)
	f.Fuzz(func(t *testing.T, name, message, word string, columns int, seconds int64) {
		columns = min(max(columns, -1), 300)
		w := shownWatch(append(fourItems(), watcher.Item{
			ResourceName: name, Action: word, Status: watcher.Status(word), Message: message, BeganAt: night.Add(-time.Duration(seconds)),
		}, watcher.Item{
			ResourceName: name, Status: watcher.Status(word), MissingSince: night.Add(-time.Duration(seconds)), Replaces: message, TakenFor: word, BeganAt: minutes(5),
		})...)
		w.Reason, w.LastError = word, &watcher.ErrorDetail{Code: word, Message: message}
		w.Failures = []watcher.Failure{{Message: message, Action: word, Count: columns, ResourceNames: []string{name, word}}}
		w.Requests[0].RequestedBy, w.Requests[0].Link, w.NextPollAt = name, message, night.Add(time.Duration(seconds))
		text := Page{Now: night, Width: columns}.Watch(w) + Table{Now: night, Width: columns}.Watches([]watcher.Snapshot{w, w})
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if output.Clean(line) != line {
				t.Errorf("not clean: %q", line)
			}
			if n := output.Width(line); columns >= 66 && n > columns && !strings.Contains(line, "/order.pool-5ed5-w4l2n") {
				t.Errorf("%d of %d columns: %q", n, columns, line)
			}
		}
	})
}
