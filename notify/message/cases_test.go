package message_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/notify/slack/slacktest"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
	"github.com/slack-go/slack"
)

// A did is an item of an order: what was done to which resource, how that ended, and why.
type did struct{ action, name, status, why string }

// orderOf returns a completion of an order with these items.
func orderOf(outcome watcher.Outcome, items ...did) watcher.Completion {
	c := order(outcome, 0)
	for i, d := range items {
		it := item(d.name, watcher.Status(d.status), i, d.why)
		it.Action = d.action
		c.Items = append(c.Items, it)
		c.Counts.Total++
		switch it.Status {
		case watcher.Succeed:
			c.Counts.Succeeded++
		case watcher.Failed:
			c.Counts.Failed++
			at := slices.IndexFunc(c.Failures, func(f watcher.Failure) bool { return f.Message == d.why && f.Action == d.action })
			if at < 0 {
				at, c.Failures = len(c.Failures), append(c.Failures, watcher.Failure{Message: d.why, Action: d.action})
			}
			c.Failures[at].Count++
			c.Failures[at].ResourceNames = append(c.Failures[at].ResourceNames, d.name)
		default:
			c.Counts.Processing++
		}
	}
	return c
}

// orders are what the goldens of each outcome are of.
var orders = map[string][]did{
	"creation": {{"createPool", "pool-9495", "", ""}, {"createNode", "os-node-1", "", ""}, {"createNode", "os-node-2", "", ""}, {"createNode", "os-node-3", "", ""}},
	"nodes":    {{"createNode", "os-node-1", "", ""}, {"createNode", "os-node-2", "", ""}, {"createNode", "os-node-3", "", ""}},
	"deletion": {{"deleteNode", "os-node-1", "", ""}, {"deleteNode", "os-node-2", "", ""}},
	"pool":     {{"deletePool", "pool-9495", "", ""}},
	"renewal":  {{"renew", "os-node-1", "", ""}, {"renew", "os-node-2", "", ""}},
	"periodic": {{"toPeriodic", "os-node-1", "", ""}, {"toPeriodic", "os-node-2", "", ""}},
	"mixed":    {{"deleteNode", "os-node-1", "", ""}, {"deleteNode", "os-node-2", "", ""}, {"createNode", "os-node-3", "", ""}, {"createNode", "os-node-4", "", ""}},
}

var whys = map[string]string{
	"createPool": "quota exceeded: 0 of 1 pools left", "createNode": "flavor modelarts.bm.npu.arm.8snt9b3 is sold out in cn-north-4a", "deletePool": "the pool has running jobs",
	"deleteNode": "node is locked", "renew": "the balance is insufficient", "toPeriodic": "the account may not buy yearly packages",
}

// endedAs returns the order with this outcome. Of those that end in part every second item is as the outcome says.
func endedAs(outcome watcher.Outcome, items []did) watcher.Completion {
	items = slices.Clone(items)
	for i := range items {
		d := &items[i]
		switch odd := i%2 == 1 || len(items) == 1; {
		case outcome == watcher.AllFailed || outcome == watcher.PartiallyFailed && odd:
			d.status, d.why = "failed", whys[d.action]
		case (outcome == watcher.TimedOut || outcome == watcher.Cancelled) && odd:
			d.status = "processing"
		default:
			d.status = "succeed"
		}
	}
	if outcome == watcher.OrderNotFound || outcome == watcher.OrderRefused {
		items = nil
	}
	c := orderOf(outcome, items...)
	switch outcome {
	case watcher.TimedOut:
		c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
	case watcher.Cancelled:
		c.Reason = "cancelled by jane@example.com: wrong pool"
	case watcher.OrderNotFound:
		c.Error = &watcher.ErrorDetail{Code: "ModelArts.50015001", Message: "Order order.x not found. (check the order's name)", Said: "Order order.x not found."}
	case watcher.OrderRefused:
		c.Error = &watcher.ErrorDetail{Code: "ModelArts.50004000", Message: "Bad request. (check the order's name and project)", Said: "Bad request."}
	}
	return c
}

var asProd = message.Options{Mention: routes.Mention("here"), Links: links, Env: "env", Runbooks: runbooks}

// TestEachOutcomeOfEachOrder holds what a woken person reads of each kind of order and each outcome.
func TestEachOutcomeOfEachOrder(t *testing.T) {
	for kind, items := range orders {
		for _, outcome := range watcher.Outcomes {
			if len(items) == 1 && outcome == watcher.PartiallyFailed {
				continue
			}
			m := message.Summarize(endedAs(outcome, items), asProd)
			keepsLimits(t, m, asProd)
			shown := fmt.Sprintf("=== notification\n%s\n=== message\n%s", m.Text, emulator.Render(stored(t, m)))
			slacktest.Golden(t, fmt.Sprintf("order_%s_%s.txt", kind, outcome), shown)
		}
	}
}

// shownOf returns all that people see of a message: its sentence, its blocks and its replies.
func shownOf(t testing.TB, m message.Message) string {
	t.Helper()
	text := m.Text + "\n"
	for _, e := range everything(t, m) {
		text += emulator.Render(e)
	}
	return text
}

// TestFieldCases holds, for what was seen to be told wrong, how it is told now. Each is held by whole messages.
func TestFieldCases(t *testing.T) {
	type order = watcher.Completion
	long := strings.Repeat("n", 60) + "-" + strings.Repeat("m", 67)
	for _, tt := range []struct {
		name     string
		c        order
		o        message.Options
		begins   string   // the sentence
		has, not []string // what people see
	}{
		{"M1 one of two nodes is not deleted", orderOf(watcher.PartiallyFailed, did{"deleteNode", "os-node-1", "succeed", ""}, did{"deleteNode", "os-node-2", "failed", "node is locked"}), asProd,
			"NOT DELETED: 1 of 2 nodes, node is locked - order.pool-5ed5-w4l2n, prod.",
			[]string{"*NOT DELETED - 1 of 2 nodes*", "os-node-2 still exists and costs money.", "The other node is deleted", "delete again what still exists"},
			[]string{"order anew", "order again", "use it or release it", "order it again"}},
		{"M2 a renewal fails", endedAs(watcher.AllFailed, orders["renewal"]), asProd, "FAILED: all 2 items, the balance is insufficient -",
			[]string{"expire as before unless they are renewed", "renew again what is not renewed"}, []string{"order anew", "order it again", "costs money", "was created"}},
		{"M2 toPeriodic fails", endedAs(watcher.AllFailed, orders["periodic"]), asProd, "FAILED: all 2 items, the account may not buy yearly packages -",
			[]string{"still paid by use", "repeat what failed"}, []string{"order anew", "order it again", "created"}},
		{"M2 a pool is deleted", endedAs(watcher.Succeeded, orders["pool"]), asProd, "DONE: 1 pool deleted - order.pool-5ed5-w4l2n, prod,", []string{"*DONE - 1 pool deleted*"}, []string{"succeeded"}},
		{"a pool is there, and no node", orderOf(watcher.PartiallyFailed, did{"createPool", "p", "succeed", ""}, did{"createNode", "n", "failed", "sold out"}), asProd, "PARTLY FAILED: its only node, sold out -",
			[]string{"n was not created.", "The pool is there and costs money: use it or release it.", "would make a second pool"}, nil},
		{"M3 the order's own time", failedNodes(watcher.AllFailed, 5000, 11*time.Minute+27*time.Second), asProd, "FAILED: all 5,000 nodes, sold out -", []string{"took 11 m 27 s"}, []string{"took 10 s"}},
		{"M3 items without times", func() order {
			c := endedAs(watcher.Succeeded, orders["nodes"])
			for i := range c.Items {
				c.Items[i].BeganAt, c.Items[i].UpdatedAt = time.Time{}, time.Time{}
			}
			return c
		}(), asProd, "DONE: 3 nodes created -", []string{"watched for 11 m 34 s"}, []string{"took "}},
		{"M5 a name of 128 characters", func() order { c := endedAs(watcher.AllFailed, orders["nodes"]); c.OrderName = long; return c }(), asProd,
			"FAILED: all 3 nodes, flavor modelarts.bm.npu.arm.8snt9b3 is", []string{long, " - nnnnnnnnnnnnnnnnnnnnnnn…mmm"}, nil},
		{"M10 a deadline while ModelArts cannot be reached", func() order {
			c := failedNodes(watcher.TimedOut, 0, 0)
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
			c.Error = &watcher.ErrorDetail{Code: "held", Held: watcher.HeldUnreachable, Message: "ModelArts cannot be reached; no call before 2026-01-02T03:04:05Z: ask modelarts.cn-north-4.myhuaweicloud.com: EOF"}
			return c
		}(), asProd, "NOT KNOWN: ModelArts in cn-north-4 could not be reached - order.pool-5ed5-w4l2n, prod, deadline passed.",
			[]string{"*NOT KNOWN - the deadline passed while ModelArts in cn-north-4 could not be reached*", "ModelArts said nothing. The network:\n    ask modelarts.cn-north-4.myhuaweicloud.com: EOF\n",
				"\n    orderwatch watch --region cn-north-4 --timeout 2h 6f5da086876d4cd084d36f8bd3346036/order.pool-5ed5-w4l2n\n"},
			[]string{"The last error of ModelArts", "no call before", "ModelArts said:"}},
		{"M10 what ModelArts said", func() order {
			c := failedNodes(watcher.TimedOut, 0, 0)
			c.Error = &watcher.ErrorDetail{Code: "APIG.0307", Held: watcher.HeldLogin, Said: "The token must be updated.",
				Message: "ModelArts refuses the account's login; no call before 2025-04-10T13:55:00Z: HTTP 401: APIG.0307: The token must be updated. (renew the account's login)"}
			return c
		}(), asProd, "NOT KNOWN: ModelArts in cn-north-4 refused orderwatch's login -", []string{"ModelArts said:\n    APIG.0307: The token must be updated.\n"}, []string{"HTTP 401", "renew the account's login"}},
		{"M10 what a proxy said", func() order {
			c := failedNodes(watcher.TimedOut, 0, 0)
			c.Error = &watcher.ErrorDetail{Code: "may_pass", Message: "a proxy answered 502: Bad Gateway (if this lasts, check the proxy and the endpoint)"}
			return c
		}(), asProd, "NOT KNOWN: ModelArts in cn-north-4 could not be reached -", []string{"ModelArts said nothing: a proxy did.\n    a proxy answered 502"}, []string{"ModelArts said:"}},
		{"M12 two items whose messages differ in an id", orderOf(watcher.AllFailed, did{"createNode", "a", "failed", "Create ECS 7f3c0000 failed: out of stock"}, did{"createNode", "b", "failed", "Create ECS 9a1d0001 failed: out of stock"}), asProd,
			"FAILED: all 2 nodes, Create ECS … failed: out of stock -", []string{"*2 ×* createNode · a, b · similar messages, one of them:"}, []string{"different", "1 ×"}},
		{"M12 twelve whose messages differ in letters", orderOf(watcher.AllFailed, lettered(12)...), asProd, "FAILED: all 12 nodes, Create ECS … failed: out of stock -", []string{"*12 ×* createNode"}, []string{"different"}},
		{"M12 nine causes", orderOf(watcher.AllFailed, nine()...), asProd, "FAILED: all 9 nodes, 9 different causes -", []string{"*FAILED - all 9 nodes, 9 different causes*"}, []string{"1 with"}},
		{"M14 fewer came than are expected", func() order {
			c := endedAs(watcher.TimedOut, orders["nodes"])
			c.ExpectedItems = 5
			return c
		}(), asProd, "NOT DONE: 1 of 3 items open after 2 h, 5 expected, 3 came -", []string{"--expected-items 5 "}, nil},
		{"the cause of a stack trace", orderOf(watcher.AllFailed, did{"createNode", "a", "failed", "java.lang.RuntimeException: wrapped\n\tat a.b.C(C.java:1)\nCaused by: java.io.IOException: inner\n\tat d.E(E.java:2)\nCaused by: disk is full\n\t... 7 more"}), asProd,
			"FAILED: its only node, disk is full -", []string{"java.lang.RuntimeException: wrapped"}, nil},
		{"a consequence is no cause", orderOf(watcher.AllFailed, did{"createPool", "p", "failed", "the pool was not created"}, did{"createNode", "n", "failed", "flavor sold out"}), asProd,
			"FAILED: all 2 items, flavor sold out -", []string{"*1 ×* createPool · p · in consequence:"}, []string{"different"}},
		{"no cause at all", orderOf(watcher.AllFailed, did{"createPool", "p", "failed", "the pool was not created"}), asProd, "FAILED: its only pool, the pool was not created -", nil, []string{"in consequence"}},
		{"nothing was said", orderOf(watcher.AllFailed, did{"createNode", "n", "failed", ""}), asProd, "FAILED: its only node, no failure message given -", []string{"ModelArts did not say why"}, nil},
		{"a trace of Python", orderOf(watcher.AllFailed, did{"createNode", "a", "failed", "Traceback (most recent call last):\n  File \"x.py\", line 3, in f\n    g()\nValueError: no capacity in az1\n"}), asProd,
			"FAILED: its only node, ValueError: no capacity in az1 -", []string{"Traceback (most recent call last):"}, nil},
		{"a trace without causes", orderOf(watcher.AllFailed, did{"createNode", "a", "failed", "java.io.IOException: disk is full\n\tat d.E(E.java:2)\n\tat d.F(F.java:7)"}), asProd,
			"FAILED: its only node, java.io.IOException: disk is full -", []string{"at d.F(F.java:7)"}, nil},
		{"one cause of a pool and its nodes", orderOf(watcher.AllFailed, did{"createPool", "p", "failed", "quota exceeded"}, did{"createNode", "n", "failed", "quota exceeded"}), asProd,
			"FAILED: all 2 items, quota exceeded -", nil, []string{"(1 of 2)", "different"}},
		{"created, and one not deleted", orderOf(watcher.PartiallyFailed, did{"createNode", "a", "succeed", ""}, did{"createNode", "b", "succeed", ""}, did{"deleteNode", "c", "failed", "node is locked"}), asProd,
			"PARTLY FAILED: 1 node not deleted, node is locked -", []string{"c still exists and costs money."}, []string{"1 of 1"}},
		{"two actions that are not known", orderOf(watcher.Succeeded, did{"rebootNode", "a", "succeed", ""}, did{"resizePool", "b", "succeed", ""}), asProd, "DONE: 2 items done -", nil, []string{"1 item"}},
		{"a deadline between", orderOf(watcher.TimedOut, did{"createPool", "p", "succeed", ""}, did{"createNode", "a", "succeed", ""}, did{"createNode", "b", "failed", "sold out"}, did{"createNode", "c", "processing", ""}), asProd, "NOT DONE: 1 of 4 items open",
			[]string{"*1 node may still be created and cost money:*", "*b was not created.*\nThe pool and 1 node are there and cost money.\n", "stopped watching "}, []string{"release", "ended 2025"}},
		{"a watch that is cancelled", orderOf(watcher.Cancelled, did{"deleteNode", "a", "succeed", ""}, did{"deleteNode", "b", "processing", ""}), asProd, "CANCELLED: ",
			[]string{"1 node may still exist and cost money: only the watching was cancelled.", "1 node is deleted."}, []string{"may still be running"}},
		{"a pool and nodes are there", orderOf(watcher.PartiallyFailed, did{"createPool", "p", "succeed", ""}, did{"createNode", "a", "succeed", ""}, did{"createNode", "b", "failed", "sold out"}), asProd, "PARTLY FAILED: 1 of 2 nodes,",
			[]string{"The pool and the other node are there and cost money: use them or release them."}, nil},
		{"held for arrears", func() order {
			c := failedNodes(watcher.TimedOut, 0, 0)
			c.Error = &watcher.ErrorDetail{Code: "held", Held: watcher.HeldArrears, Message: "ModelArts refuses the project: the account is frozen or in arrears; no call before 2025-04-10T13:55:00Z: HTTP 403: frozen"}
			return c
		}(), asProd, "NOT KNOWN: the account was frozen or in arrears -", []string{"orderwatch noted:\n    frozen\n"}, []string{"no call before"}},
		{"M12 ids in a script without blanks", orderOf(watcher.AllFailed, did{"createNode", "a", "failed", "创建节点7f3c0000失败：库存不足"}, did{"createNode", "b", "failed", "创建节点9a1d0001失败：库存不足"}), asProd,
			"FAILED: all 2 nodes, 创建节点 … 失败：库存不足 -", []string{"*2 ×* createNode"}, []string{"different"}},
		{"M12 causes in a script without blanks", orderOf(watcher.AllFailed, did{"createNode", "a", "failed", "创建节点7f3c0000失败库存不足"}, did{"createNode", "b", "failed", "创建节点9a1d0001失败配额不足"}, did{"createNode", "c", "failed", "创建节点1失败镜像不存在"}), asProd,
			"FAILED: all 3 nodes, 3 different causes -", []string{"库存不足", "配额不足", "镜像不存在"}, nil},
		{"consequences of several words", orderOf(watcher.AllFailed, did{"createPool", "p", "failed", "resource pool creation failed because node creation failed"}, did{"createNode", "a", "failed", "flavor sold out"}, did{"createNode", "b", "failed", "rolled back"}), asProd,
			"FAILED: all 3 items, flavor sold out -", []string{"*1 ×* createPool · p · in consequence:", "*1 ×* createNode · b · in consequence:"}, []string{"different"}},
		{"a cause on the line after", orderOf(watcher.AllFailed, did{"createNode", "a", "failed", "create failed\nCaused by:\n  disk is full\n"}), asProd, "FAILED: its only node, disk is full -", nil, nil},
		{"an error in JSON", orderOf(watcher.AllFailed, did{"createNode", "a", "failed", `{"error_code":"ECS.0319","error_msg":"Insufficient capacity","request_id":"7f3c0000"}`}, did{"createNode", "b", "failed", `{"error_code":"ECS.0319","error_msg":"Insufficient capacity","request_id":"9a1d0001"}`}), asProd,
			"FAILED: all 2 nodes, Insufficient capacity -", []string{"similar messages, one of them:\n    {\"error_code\":\"ECS.0319\""}, nil},
		{"a deletion that goes on", orderOf(watcher.TimedOut, did{"deleteNode", "a", "failed", "locked"}, did{"deleteNode", "b", "processing", ""}), asProd, "NOT DONE: 1 of 2 nodes open after 11 m 34 s, 1 not deleted -", nil, []string{"1 failed"}},
		{"an action that is not known", orderOf(watcher.AllFailed, did{"rebootNode", "n", "failed", "busy"}), asProd, "FAILED: its only item, busy -", []string{"n failed.", "repeat what failed"}, []string{"money", "created"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := message.Summarize(tt.c, tt.o)
			keepsLimits(t, m, tt.o)
			shown := shownOf(t, m)
			if !strings.HasPrefix(m.Text, tt.begins) {
				t.Errorf("the sentence is\n%s\nand not\n%s", m.Text, tt.begins)
			}
			for _, want := range tt.has {
				if !strings.Contains(shown, want) {
					t.Errorf("no %q in\n%s", want, shown)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(shown, not) {
					t.Errorf("%q in\n%s", not, shown)
				}
			}
		})
	}
}

// failedNodes returns a completion whose n nodes failed and ran so long.
func failedNodes(outcome watcher.Outcome, n int, ran time.Duration) watcher.Completion {
	c := order(outcome, 0)
	if n == 0 {
		return c
	}
	c = order(outcome, 0, failure("sold out", "createNode", n))
	c.Items, c.ItemsOmitted = c.Items[:10], n-10
	c.OrderBegan, c.OrderEnded = began, began.Add(ran)
	c.CompletedAt = c.OrderEnded.Add(5 * time.Second)
	c.Actions = []watcher.ActionCounts{{Action: "createNode", Total: n, Failed: n}}
	return c
}

func lettered(n int) (items []did) {
	for i := range n {
		id := strings.Map(func(r rune) rune { return 'h' + (r-'0')*7%19 }, fmt.Sprintf("%08d", 12345678+i*7654321))
		items = append(items, did{"createNode", fmt.Sprint("n", i), "failed", "Create ECS " + id + " failed: out of stock"})
	}
	return items
}

func nine() (items []did) {
	for i, why := range []string{"flavor sold out", "quota exceeded", "disk is full", "network unreachable", "image not found", "login refused", "node is locked", "no free address", "agent does not start"} {
		items = append(items, did{"createNode", fmt.Sprint("n", i), "failed", why})
	}
	return items
}

// M6: nothing foreign is formatted, and nothing is an emoji that looks like an outcome.
func TestForeignTextIsInert(t *testing.T) {
	c := orderOf(watcher.AllFailed, did{"createNode", "n", "failed", ":white_check_mark: *succeeded*: all 4 items are ready"})
	c.Requests[0].RequestedBy = "*ops* :tada:"
	m := message.Summarize(c, asProd)
	for _, b := range m.Blocks {
		if s, ok := b.(*slack.SectionBlock); ok && (strings.Contains(s.Text.Text, "succeeded") || strings.Contains(s.Text.Text, "ops")) {
			t.Errorf("formatted: %s", s.Text.Text)
		}
	}
	shown := emulator.Render(stored(t, m))
	if !strings.Contains(shown, ":white_check_mark: *succeeded*: all 4 items are ready") || !strings.Contains(shown, "Asked for by *ops* :tada: (") {
		t.Error(shown)
	}
}

// M7, M11: each channel's own requests come first, with their links, however long they are.
func TestOwnRequestsComeFirst(t *testing.T) {
	c := endedAs(watcher.AllFailed, orders["nodes"])
	far := "https://ci.example/" + strings.Repeat("b", 1981)
	c.Requests = []watcher.Request{
		{ID: "a-1", RequestedBy: "team-a", Link: "https://ci.example/a", SlackChannel: "C0A", Labels: map[string]string{"env": "test"}},
		{ID: "b-1", RequestedBy: "team-b", Link: far, SlackChannel: "C0B", Labels: map[string]string{"env": "prod"}},
	}
	for own, want := range map[string][]string{
		"a-1": {"Pipeline (https://ci.example/a) · ", "Asked for by team-a (a-1), team-b (b-1, pipeline (" + far + "))", "· test/prod\n"},
		"b-1": {"Pipeline (" + far + ") · ", "Asked for by team-b (b-1), team-a (a-1, pipeline (https://ci.example/a))", "· prod/test\n"},
	} {
		o := asProd
		o.Own = []string{own}
		m := message.Summarize(c, o)
		keepsLimits(t, m, o)
		for _, text := range want {
			if shown := emulator.Render(stored(t, m)); !strings.Contains(shown, text) {
				t.Errorf("%s: no %.80q in\n%s", own, text, shown)
			}
		}
	}
	if c.Requests[0].ID != "a-1" {
		t.Error("the completion was changed")
	}
}

// M7: every link of 2,000 characters is shown as far as there is room, and it is said where it is not.
func TestLongLinks(t *testing.T) {
	far := func(start string, n int) string { return start + strings.Repeat("x", n-len(start)) }
	long := message.Options{Mention: routes.Mention("here"), Links: message.Links{Public: far("https://watch.example/{watch}", 462), Console: far("https://console.example/", 490)},
		Runbooks: []message.Runbook{{"locked", far("https://wiki.example/locked/", 500)}, {"sold out", far("https://wiki.example/sold/", 500)}}}
	request := func(id, link string) watcher.Request {
		return watcher.Request{ID: id, RequestedBy: "team-" + id, Link: link}
	}
	for _, tt := range []struct {
		name     string
		o        message.Options
		requests []watcher.Request
		has      []string
	}{
		{"one", message.Options{}, []watcher.Request{request("a", far("https://ci.example/a", 2000))}, []string{"Pipeline (" + far("https://ci.example/a", 2000) + ")\n"}},
		{"one beside all others", long, []watcher.Request{request("a", far("https://ci.example/a", 2000))},
			[]string{"Pipeline (" + far("https://ci.example/a", 2000) + ") · Order's page (", " · no room for a link: Runbook\n"}},
		{"two", message.Options{}, []watcher.Request{request("a", far("https://ci.example/a", 2000)), request("b", far("https://ci.example/b", 2000))},
			[]string{"Pipeline (" + far("https://ci.example/a", 2000) + ")\n", "Asked for by team-a (a), team-b (b, its link is too long to stand here)"}},
		{"one that is longer for Slack", message.Options{}, []watcher.Request{request("a", "https://ci.example/?"+strings.Repeat("&", 1900))}, []string{"Asked for by team-a (a, its link is too long to stand here)"}},
		{"one that is no link", message.Options{}, []watcher.Request{request("a", "javascript:alert(1)")}, []string{"Asked for by team-a (a) · "}},
	} {
		c := endedAs(watcher.PartiallyFailed, orders["mixed"])
		c.Requests = tt.requests
		m := message.Summarize(c, tt.o)
		keepsLimits(t, m, tt.o)
		shown := emulator.Render(stored(t, m))
		for _, want := range append(tt.has, "node is locked", "os-node-2 still exists") {
			if !strings.Contains(shown, want) {
				t.Errorf("%s: no %.80q in\n%s", tt.name, want, shown)
			}
		}
	}
}

// The team is what the server vouches for, and who asked the requester's own word.
func TestTeamsAreNamed(t *testing.T) {
	c := endedAs(watcher.AllFailed, orders["nodes"])
	c.Requests = []watcher.Request{{ID: "a-1", Team: "gpu", RequestedBy: "<!here> net"}, {ID: "a-1", Team: "net"}}
	o := asProd
	o.Again = watcher.Again{ID: "again", WatchID: c.WatchID, At: c.CompletedAt, Team: "gpu", By: "ann"}
	m := message.Summarize(c, o)
	keepsLimits(t, m, o)
	shown := emulator.Render(stored(t, m))
	for _, text := range []string{"Asked for by team gpu, by its own word ", "(a-1), team net (a-1)", "team gpu, by its own word ann"} {
		if !strings.Contains(shown, text) {
			t.Errorf("no %q in\n%s", text, shown)
		}
	}
}

// M8: a progress message says as of when it speaks.
func TestRunningSaysAsOfWhen(t *testing.T) {
	c := endedAs(watcher.TimedOut, orders["deletion"])
	g := watcher.Progress{Report: c.Report, Number: 1, At: ended}
	m := message.Running(g, asProd)
	keepsLimits(t, m, asProd)
	if shown := emulator.Render(stored(t, m)); !strings.Contains(m.Text, "RUNNING: 1 of 2 nodes ended, 1 still processing - order.pool-5ed5-w4l2n, prod, as of 12:01 UTC.") || !strings.Contains(shown, "as of 2025-04-10 12:01:19 UTC") {
		t.Errorf("%s\n%s", m.Text, shown)
	}
}

// M16: what replies have no room for is in the file, and then in the file alone.
func TestFileOrReplies(t *testing.T) {
	c := failedNodes(watcher.AllFailed, 5000, time.Minute)
	m := message.Summarize(c, message.Options{File: true})
	if len(m.Replies) > 0 || m.File == nil {
		t.Errorf("%d replies beside the file", len(m.Replies))
	}
	few := message.Summarize(order(watcher.AllFailed, 0, failure("sold out", "createNode", 40)), message.Options{File: true})
	if len(few.Replies) != 1 || few.File != nil {
		t.Errorf("%d replies and %v", len(few.Replies), few.File)
	}
	if shown := shownOf(t, few); !strings.Contains(shown, "To copy:\n    os-node-created-f0003\n    os-node-created-f0004\n") {
		t.Errorf("no names to copy:\n%s", shown)
	}
}

// A failure of which a quiet message told before is told in one line; the message that is edited wakes nobody.
func TestAfterQuiet(t *testing.T) {
	whole := message.Summarize(endedAs(watcher.PartiallyFailed, orders["deletion"]), asProd)
	m := whole.AfterQuiet(watcher.PartiallyFailed)
	if got := emulator.Mentions(stored(t, m)); len(got) > 0 || m.Mention != "" {
		t.Errorf("the message mentions %q, %q", got, m.Mention)
	}
	reply := m.Replies[0]
	if got := emulator.Render(stored(t, reply)); got != strings.ReplaceAll(whole.Text, "&", "")+"\n@here All of it: in the message above.\n" || !reply.Broadcast || reply.Mention == "" {
		t.Errorf("the reply is\n%s", got)
	}
	if got := emulator.Mentions(stored(t, whole)); len(got) != 1 {
		t.Errorf("the first one is changed: it mentions %q", got)
	}
	if succeeded := message.Summarize(endedAs(watcher.Succeeded, orders["nodes"]), asProd); len(succeeded.AfterQuiet(watcher.Succeeded).Replies) > 0 {
		t.Error("a success is told twice")
	}
}

// A command works when it is pasted, whatever the order is called.
func TestCommandsAreQuoted(t *testing.T) {
	c := endedAs(watcher.TimedOut, orders["nodes"])
	c.OrderName, c.Region = "it's; rm -rf $HOME", "-x"
	c.Requests[0].SlackChannel = "C0TEAM"
	want := `orderwatch watch --region -x --timeout 2h --slack-channel C0TEAM '6f5da086876d4cd084d36f8bd3346036/it'\''s; rm -rf $HOME'`
	if shown := emulator.Render(stored(t, message.Summarize(c, asProd))); !strings.Contains(shown, want+"\n") {
		t.Errorf("no %s in\n%s", want, shown)
	}
	out, err := exec.Command("sh", "-c", `orderwatch() { printf '%s\n' "$@"; }; `+want).Output()
	if got := strings.Split(strings.TrimSpace(string(out)), "\n"); err != nil || got[len(got)-1] != c.ProjectID+"/"+c.OrderName || len(got) != 8 {
		t.Errorf("a shell reads %q (%v)", got, err)
	}
}

// Runbooks are those of the causes, the largest cause's first.
func TestRunbooks(t *testing.T) {
	c := orderOf(watcher.AllFailed, did{"createNode", "a", "failed", "quota exceeded in zone 1"}, did{"createNode", "b", "failed", "Flavor x is SOLD OUT"}, did{"createNode", "c", "failed", "Flavor x is SOLD OUT"})
	o := message.Options{Runbooks: []message.Runbook{{"quota*zone", "https://wiki.example/quota"}, {"sold out", "https://wiki.example/sold-out"}, {"", "https://wiki.example/all"}, {"zone*quota", "https://wiki.example/never"}}}
	if shown := emulator.Render(stored(t, message.Summarize(c, o))); !strings.Contains(shown, "Runbook (https://wiki.example/sold-out) · Runbook (https://wiki.example/quota)\n") {
		t.Error(shown)
	}
	o = message.Options{Runbooks: []message.Runbook{{"sold out", "javascript:alert(1)"}, {"sold out", "https://wiki.example/" + strings.Repeat("x", 600)}}}
	if shown := emulator.Render(stored(t, message.Summarize(c, o))); strings.Contains(shown, "Runbook") {
		t.Error(shown)
	}
}

// A digest names its orders, each with its link, failures first, and takes over what the release before noted.
func TestTogether(t *testing.T) {
	var g message.Together
	for i := range 60 {
		c := endedAs([]watcher.Outcome{watcher.Succeeded, watcher.AllFailed, watcher.Cancelled}[max(0, i%10-7)], orders["deletion"])
		c.OrderName = fmt.Sprintf("order.%02d-*bold*", i)
		g.Add(c, asProd)
	}
	m := g.Message(ended.Add(time.Hour))
	keepsLimits(t, m, message.Options{})
	shown := emulator.Render(stored(t, m))
	slacktest.Golden(t, "together.txt", m.Text+"\n"+shown)
	if first, success := strings.Index(shown, "NOT DELETED - "), strings.Index(shown, "DONE - "); first < 0 || success < first || strings.LastIndex(shown, "NOT DELETED - ") > success {
		t.Errorf("failures are not first:\n%s", shown)
	}
	before := message.Together{Names: []string{"order.a", "order.b (cancelled)"}, Succeeded: 1, Cancelled: 1, First: ended}
	if shown := emulator.Render(stored(t, before.Message(ended))); !strings.Contains(shown, "order.a\norder.b (cancelled)\n") {
		t.Error(shown)
	}
}

// firstWords are those that a sentence may begin with.
var firstWords = []string{"DONE: ", "PARTLY FAILED: ", "FAILED: ", "NOT DELETED: ", "NOT DONE: ", "NOT KNOWN: ", "NOT FOUND: ", "REFUSED: ", "CANCELLED: ", "ENDED: "}

// evils are what hostile texts are made of.
var evils = []string{"<!channel>", "<@U0VICTIM>", "<https://evil.example|click>", "*bold*", "_slanted_", "~struck~", "`code`", "```", ":tada:", "&amp;", "&", "\u202e", "\u200b", "\U000E0041", "\x1b[31m",
	"\x00", "\n> quote\n", "\r\n", "\xff", "@here", "#general", "https://evil.example/x", "0", "a", " ", "DONE: ", "电腦", "😀", "Caused by: ", "'", "\"", "{order}", strings.Repeat("long ", 100), strings.Repeat("&", 300)}

func evil(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(evils[r.IntN(len(evils))])
	}
	return b.String()
}

// TestHostileTexts draws completions with hostile texts in every field: the sentence begins with the outcome's word,
// nothing is mentioned, and nothing foreign stands where Slack formats.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	statuses := []watcher.Status{watcher.Succeed, watcher.Failed, watcher.Processing}
	actions := []string{"createPool", "createNode", "deletePool", "deleteNode", "renew", "toPeriodic"}
	for seed := range uint64(watchertest.Rounds(10_000)) {
		r := rand.New(rand.NewPCG(seed, 15))
		var items []did
		for range r.IntN(8) {
			d := did{actions[r.IntN(len(actions))], evil(r), string(statuses[r.IntN(3)]), evil(r)}
			if r.IntN(4) == 0 {
				d.action = evil(r)
			}
			if r.IntN(9) == 0 {
				d.status = evil(r)
			}
			items = append(items, d)
		}
		c := orderOf(watcher.Outcomes[r.IntN(len(watcher.Outcomes))], items...)
		c.OrderName, c.Region, c.ProjectID, c.WatchID, c.Reason, c.ExpectedItems = evil(r), evil(r), evil(r), evil(r), evil(r), r.IntN(9)
		if r.IntN(20) == 0 {
			c.Outcome = watcher.Outcome(evil(r))
		}
		if r.IntN(2) == 0 {
			c.Error = &watcher.ErrorDetail{Code: []string{evil(r), "held", "ModelArts.50015001", "may_pass"}[r.IntN(4)], Message: evil(r), Said: evil(r), Held: watcher.HoldKind([]string{"", "login", "unreachable", evil(r)}[r.IntN(4)])}
		}
		for i := range c.Requests {
			c.Requests[i] = watcher.Request{ID: evil(r), RequestedBy: evil(r), Link: "https://ci.example/" + evil(r), SlackChannel: evil(r), Labels: map[string]string{"env": evil(r), evil(r): evil(r)}}
		}
		o := asProd
		o.NoThread, o.File, o.Now = r.IntN(2) == 0, r.IntN(2) == 0, ended.Add(time.Duration(r.IntN(3))*time.Hour)
		if r.IntN(5) == 0 {
			o.Again, o.Refusal = watcher.Again{By: evil(r), At: ended}, message.Refusal{Channel: evil(r), Code: evil(r), Remedy: "x"}
		}
		m := message.Summarize(c, o)
		keepsLimits(t, m, o)
		inert(t, m)
		inert(t, m.AfterQuiet(c.Outcome))
		if t.Failed() {
			t.Fatalf("seed %d: %+v", seed, c)
		}
	}
}

// inert holds that the sentence begins with the outcome's word, and that no text of others stands in mrkdwn.
func inert(t testing.TB, m message.Message) {
	t.Helper()
	if !slices.ContainsFunc(firstWords, func(w string) bool { return strings.HasPrefix(m.Text, w) }) {
		t.Errorf("the sentence is %q", m.Text)
	}
	for _, part := range append([]message.Message{m}, m.Replies...) {
		for _, b := range part.Blocks {
			s, ok := b.(*slack.SectionBlock)
			if !ok {
				continue
			}
			for _, e := range evils {
				if len(strings.TrimSpace(e)) > 3 && strings.Contains(s.Text.Text, e) && e != "&amp;" && e != "@here" {
					t.Errorf("%q stands in mrkdwn: %s", e, s.Text.Text)
				}
			}
		}
		for _, l := range part.Lines() {
			if !utf8.ValidString(l) || strings.ContainsFunc(l, func(r rune) bool { return r != '\t' && !foreign.Visible(r) }) {
				t.Errorf("it shows what nobody can see: %q", l)
			}
		}
	}
}
