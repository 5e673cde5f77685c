package message_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/notify/slack/slacktest"
	"github.com/orderwatch/orderwatch/watcher"
)

// What the configuration leads to.
var (
	links    = message.Links{Console: "https://console.example/modelarts/?region={region}#/order/{order}"}
	pages    = message.Links{Console: links.Console, Public: "https://orderwatch.example/x/"}
	runbooks = []message.Runbook{{Cause: "sold out", URL: "https://wiki.example/sold-out"}}
)

func cases() map[string]struct {
	completion watcher.Completion
	options    message.Options
} {
	type one = struct {
		completion watcher.Completion
		options    message.Options
	}
	with := func(c watcher.Completion, change func(*watcher.Completion)) watcher.Completion {
		change(&c)
		return c
	}
	here := message.Options{Mention: routes.Mention("here"), Links: links, Env: "env"}
	group := message.Options{Mention: routes.Mention("S0PLATFORM"), Links: links, Env: "env", Runbooks: runbooks}
	return map[string]one{
		"succeeded": {order(watcher.Succeeded, 12), here},
		"succeeded_one_item": {with(order(watcher.Succeeded, 1), func(c *watcher.Completion) {
			c.Requests[0] = watcher.Request{ID: "seq-12-1744285790000"}
		}), message.Options{}},
		"succeeded_late": {order(watcher.Succeeded, 12), message.Options{Now: ended.Add(42*time.Minute + 30*time.Second)}},
		"partially_failed": {order(watcher.PartiallyFailed, 1159,
			failure("flavor modelarts.bm.npu.arm.8snt9b3 sold out in cn-north-4a", "createNode", 40),
			watcher.Failure{Message: "quota exceeded: 0 of 1 pools left", Action: "createPool", Count: 1, ResourceNames: []string{"pool-9495-6f5da086876d4cd084d36f8bd3346036"}}), group},
		"partially_failed_one_item":   {order(watcher.PartiallyFailed, 3, failure("flavor sold out", "createNode", 1)), here},
		"partially_failed_ten_causes": {order(watcher.PartiallyFailed, 70, many(10)...), here},
		"partially_failed_webhook":    {order(watcher.PartiallyFailed, 10, failure("flavor sold out", "createNode", 40)), message.Options{Mention: routes.Mention("here"), NoThread: true}},
		"failed":                      {order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40)), message.Options{Mention: routes.Mention("U012AB3CD")}},
		"failed_one_item":             {order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 1)), here},
		"failed_no_message":           {order(watcher.AllFailed, 0, failure("", "createNode", 4)), here},
		"failed_late":                 {order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40)), message.Options{Mention: routes.Mention("here"), Now: ended.Add(3 * time.Hour)}},
		"failed_5000_items":           {with(order(watcher.PartiallyFailed, 3000, distinct(2000)...), func(c *watcher.Completion) { c.ItemsOmitted = 3000; c.Items = c.Items[3000:] }), here},
		"failed_300_causes":           {order(watcher.AllFailed, 0, many(300)...), here},
		"failed_hostile":              {hostile(), message.Options{Mention: routes.Mention("here"), Secrets: message.HideSecrets(secretKey)}},
		"failed_hostile_page":         {hostile(), message.Options{Mention: routes.Mention("here"), Secrets: message.HideSecrets(secretKey), Links: pages}},
		"partially_failed_page":       {order(watcher.PartiallyFailed, 3, failure("flavor sold out", "createNode", 1)), message.Options{Mention: routes.Mention("here"), Links: pages, Env: "env"}},
		"timed_out": {with(order(watcher.TimedOut, 35, failure("flavor sold out", "createNode", 2)), func(c *watcher.Completion) {
			for i := range 3 {
				c.Items = append(c.Items, item(fmt.Sprintf("os-node-created-p%04d", i), watcher.Processing, i, ""))
			}
			c.Counts.Processing, c.Counts.Total = 3, 40
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
			c.Reason = "after 2h: 37 of 40 items ended, 3 still processing"
		}), here},
		"timed_out_no_item": {with(order(watcher.TimedOut, 0), func(c *watcher.Completion) {
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
			c.Reason = "after 2h: no item ever appeared"
		}), here},
		"timed_out_unreachable": {with(order(watcher.TimedOut, 0), func(c *watcher.Completion) {
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
			c.Error = &watcher.ErrorDetail{Code: "may_pass", Message: "ask ModelArts: 503 Service Unavailable"}
		}), here},
		"timed_out_held": {with(order(watcher.TimedOut, 0), func(c *watcher.Completion) {
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
			c.Error = &watcher.ErrorDetail{Code: "APIG.0307", Held: watcher.HeldLogin,
				Message: "ModelArts refuses the account's login; no call before 2025-04-10T13:55:00Z: HTTP 401: APIG.0307: The token must be updated. (check the user, the password and the domain)"}
		}), here},
		"timed_out_held_before": {with(order(watcher.TimedOut, 0), func(c *watcher.Completion) { // by a worker of the release before
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
			c.Error = &watcher.ErrorDetail{Code: "held", Message: "ModelArts cannot be reached; no call before 2025-04-10T13:55:00Z: dial tcp: connection refused"}
		}), here},
		"timed_out_unknown": {with(order(watcher.TimedOut, 0), func(c *watcher.Completion) { // before the grace was over
			c.CompletedAt = c.AcceptedAt.Add(time.Minute)
			c.Error = &watcher.ErrorDetail{Code: "ModelArts.50015001", Message: "Order order.pool-5ed5-w4l2n not found."}
		}), here},
		"not_found": {with(order(watcher.OrderNotFound, 0), func(c *watcher.Completion) {
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Minute)
			c.Error = &watcher.ErrorDetail{Code: "ModelArts.50015001", Message: "Order order.pool-5ed5-w4l2n not found."}
		}), here},
		"refused": {with(order(watcher.OrderRefused, 0), func(c *watcher.Completion) {
			c.CompletedAt, c.Polls = c.AcceptedAt.Add(time.Second), 1
			c.Error = &watcher.ErrorDetail{Code: "ModelArts.50004000", Message: "Bad request."}
		}), here},
		"cancelled": {with(order(watcher.Cancelled, 3), func(c *watcher.Completion) {
			c.Items = append(c.Items, item("os-node-created-zz", watcher.Processing, 1, ""))
			c.Counts.Processing, c.Counts.Total = 1, 4
			c.Reason = "cancelled by jane@example.com: wrong pool"
		}), here},
		"cancelled_late": {with(order(watcher.Cancelled, 0), func(c *watcher.Completion) {
			c.Reason = "cancelled by jane@example.com"
		}), message.Options{Mention: routes.Mention("here"), Now: ended.Add(10 * time.Minute)}},
		"failed_nine_causes_of_one_shape": {order(watcher.AllFailed, 0, distinct(9)...), here},
		"partially_failed_normalised": {order(watcher.PartiallyFailed, 60, append(distinct(9),
			failure("flavor modelarts.bm.npu.arm.8snt9b3 sold out in cn-north-4a", "createNode", 12),
			watcher.Failure{Message: "quota exceeded: 0 of 1 pools left", Action: "createPool", Count: 1, ResourceNames: []string{"pool-9495"}})...), here},
		"failed_three_requests": {with(order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 2)), func(c *watcher.Completion) {
			c.Requests = []watcher.Request{
				{ID: "build-771", RequestedBy: "gpu-pools", Labels: map[string]string{"env": "prod", "team": "training"}},
				{ID: "build-772", RequestedBy: "jane@example.com", Link: "https://ci.example/job/772", Labels: map[string]string{"env": "test"}},
				{ID: "seq-12-1744285790000", Link: "javascript:alert(1)"},
			}
		}), here},
		"timed_out_many_open_late": {with(order(watcher.TimedOut, 0, failure("", "createNode", 1)), func(c *watcher.Completion) {
			for i := range 1200 {
				c.Items = append(c.Items, item(fmt.Sprintf("os-node-created-with-a-name-that-is-far-too-long-for-a-list-p%04d", i), watcher.Processing, i, ""))
			}
			c.Counts.Processing, c.Counts.Total = 1200, 1210
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
			c.Reason = "after 2h: 1 of 1210 items ended, 1200 still processing"
		}), message.Options{Mention: routes.Mention("here"), Now: accepted.Add(2*time.Hour + 6*time.Minute)}},
		"succeeded_taken_for_deleted": {with(order(watcher.Succeeded, 2), func(c *watcher.Completion) {
			c.Items[0].Action, c.Items[0].Status, c.Items[0].UpdatedAt = "deleteNode", watcher.Processing, time.Time{}
			c.Items[0].MissingSince, c.Items[0].TakenFor = ended.Add(-time.Minute), watcher.TakenForDeleted
			c.Items[1].Replaces = "os-node-created-before"
			c.Counts.Missing = 1
			c.Reason = "2 of 2 items succeeded"
		}), here},
		"partially_failed_no_longer_listed": {with(order(watcher.PartiallyFailed, 2, failure("flavor sold out", "createNode", 1)), func(c *watcher.Completion) { // C4
			c.Items[2].MissingSince, c.Counts.Missing = ended.Add(-2*time.Minute), 1
			c.Reason = "1 of 3 items failed (no longer listed)"
		}), here},
		"timed_out_no_longer_listed": {with(order(watcher.TimedOut, 35, failure("flavor sold out", "createNode", 1)), func(c *watcher.Completion) {
			for i := range 5 {
				c.Items = append(c.Items, item(fmt.Sprintf("os-node-created-p%04d", i), watcher.Processing, i, ""))
			}
			open := c.Items[36:]
			open[2].Replaces = "os-node-created-before"
			open[3].Status, open[3].Message = "canceled", "order was unsubscribed" // C16
			open[4].MissingSince = ended.Add(-time.Minute)
			c.Items[35].MissingSince = ended.Add(-2 * time.Minute)
			c.Counts.Processing, c.Counts.Total, c.Counts.Missing = 5, 41, 2
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
			c.Reason = "after 2h: 36 of 41 items ended, 5 still processing"
		}), here},
		"not_found_gone": {with(order(watcher.OrderNotFound, 1), func(c *watcher.Completion) {
			c.Items = append(c.Items, item("pool-9495", watcher.Processing, 1, ""))
			for i := range c.Items {
				c.Items[i].MissingSince = c.AcceptedAt.Add(20 * time.Second)
			}
			c.Counts.Processing, c.Counts.Total, c.Counts.Missing = 1, 2, 2
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Minute)
			c.Reason = "the order was seen until 11:50:05Z (1 of 2 items ended) and is gone since 11:50:10Z"
			c.Error = &watcher.ErrorDetail{Code: "ModelArts.50015001", Message: "Order order.pool-5ed5-w4l2n not found."}
		}), here},
		"timed_out_gone": {with(order(watcher.TimedOut, 1), func(c *watcher.Completion) { // before the grace was over
			c.Items = append(c.Items, item("pool-9495", watcher.Processing, 1, ""))
			c.Counts.Processing, c.Counts.Total = 1, 2
			c.CompletedAt = c.AcceptedAt.Add(time.Minute)
			c.Error = &watcher.ErrorDetail{Code: "ModelArts.50015001", Message: "Order order.pool-5ed5-w4l2n not found."}
		}), here},
		"timed_out_times_in_seconds": {with(order(watcher.TimedOut, 0), func(c *watcher.Completion) { // C19
			c.Items = append(c.Items, item("os-node-created-p0000", watcher.Processing, 0, ""))
			c.Items[0].BeganAt = time.UnixMilli(1744285793).UTC()
			c.Counts.Processing, c.Counts.Total = 1, 1
			c.CompletedAt = c.AcceptedAt.Add(2 * time.Hour)
		}), here},
		"fifty_requests": {with(order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 2)), func(c *watcher.Completion) {
			c.Requests = nil
			for i := range 50 {
				c.Requests = append(c.Requests, watcher.Request{
					ID: fmt.Sprintf("build-%d", 700+i), RequestedBy: fmt.Sprintf("team-%d", i%20), Link: fmt.Sprintf("https://ci.example/job/%d", 700+i),
					Labels: map[string]string{"env": []string{"prod", "test"}[i%2], "shard": fmt.Sprint(i)},
				})
			}
		}), here},
	}
}

// stored returns the message as Slack would hold it.
func stored(t testing.TB, m message.Message) emulator.Message {
	t.Helper()
	blocks, err := json.Marshal(m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	return emulator.Message{Text: m.Text, Blocks: blocks}
}

// everything returns the message in all its forms, and its replies.
func everything(t testing.TB, m message.Message) []emulator.Message {
	t.Helper()
	all := []emulator.Message{stored(t, m), stored(t, message.Message{Text: m.Text, Blocks: m.Brief}), {Text: m.Text}}
	for _, r := range m.Replies {
		all = append(all, stored(t, r))
	}
	return all
}

func TestSummarize(t *testing.T) {
	for name, tc := range cases() {
		t.Run(name, func(t *testing.T) {
			m := message.Summarize(tc.completion, tc.options)
			keepsLimits(t, m, tc.options)
			var b strings.Builder
			all := everything(t, m)
			fmt.Fprintf(&b, "=== notification\n%s=== message\n%s", emulator.Render(all[2]), emulator.Render(all[0]))
			for i, r := range all[3:] {
				fmt.Fprintf(&b, "=== reply %d\n%s", i+1, emulator.Render(r))
			}
			fmt.Fprintf(&b, "=== brief\n%s=== log\n%s\n", emulator.Render(all[1]), strings.Join(m.Lines(), "\n"))
			slacktest.GoldenSum(t, name+".txt", b.String(), m.Blocks)
		})
	}
}

// keepsLimits checks all that holds for every message.
func keepsLimits(t testing.TB, m message.Message, o message.Options) {
	t.Helper()
	if len(m.Replies) > 3 {
		t.Errorf("%d replies", len(m.Replies))
	}
	for i, e := range everything(t, m) {
		for _, v := range emulator.Check(e, emulator.OwnLimits) {
			t.Errorf("message %d: %v", i, v)
		}
		k := slacktest.Kit{Text: e.Text, Blocks: e.Blocks}
		if m.Mention != "" {
			k.Mention = strings.TrimPrefix(strings.Trim(o.Mention, "<!@>"), "subteam^")
		}
		if len(e.Blocks) == 0 || string(e.Blocks) != "null" {
			for _, fault := range slacktest.Faults(k) {
				t.Errorf("message %d: %s", i, fault)
			}
		}
		for _, found := range emulator.Mentions(e) {
			if routes.Mention(found) != o.Mention || m.Mention == "" {
				t.Errorf("message %d mentions %q, which is not configured", i, found)
			}
		}
		if text := e.Text + string(e.Blocks); o.Secrets.Hide(text) != text {
			t.Errorf("message %d shows a secret", i)
		}
		if shown := emulator.Render(e); !utf8.ValidString(shown) || strings.ContainsAny(shown, "\x00\x1b\u202e\u202c\u2066\u2069") {
			t.Errorf("message %d shows control characters: %q", i, shown)
		}
	}
}

// A watch whose order is gone says so, also where its reason is lost.
func TestGoneWithoutReason(t *testing.T) {
	c := order(watcher.OrderNotFound, 1)
	c.Reason, c.Counts.Total = "", 2
	if text := message.Summarize(c, message.Options{}).Plain(3000); !strings.Contains(text, "The order is gone") || strings.Contains(text, "\ufffd") {
		t.Error(text)
	}
}

func TestMentionOnlyForFailures(t *testing.T) {
	wakes := []watcher.Outcome{watcher.PartiallyFailed, watcher.AllFailed, watcher.TimedOut, watcher.OrderNotFound, watcher.OrderRefused}
	for _, outcome := range watcher.Outcomes {
		for option, want := range map[string]string{"": "", "here": "here", "U0123": "U0123", "W0123": "W0123", "S0123": "S0123", "channel": "", "!channel": "", "C0123": ""} {
			if !slices.Contains(wakes, outcome) {
				want = ""
			}
			m := message.Summarize(order(outcome, 1), message.Options{Mention: routes.Mention(option)})
			got := strings.Join(emulator.Mentions(stored(t, m)), " ")
			if got != want || (m.Mention == "") != (want == "") {
				t.Errorf("%s with mention %q: mentions %q (%q), want %q", outcome, option, got, m.Mention, want)
			}
		}
	}
}

// Every failed item is named in the post or its thread, or counted as not named.
func TestEveryFailedItemIsFound(t *testing.T) {
	for _, n := range []int{1, 3, 4, 40, 200, 600} {
		c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", n))
		m := message.Summarize(c, message.Options{})
		shown := ""
		for _, e := range everything(t, m) {
			shown += emulator.Render(e)
		}
		for _, name := range c.Failures[0].ResourceNames {
			if !strings.Contains(shown, name) {
				t.Errorf("%d failed items: %s is nowhere", n, name)
			}
		}
	}
}

// What is not named anywhere is counted, exactly.
func TestWhatIsNotNamedIsCounted(t *testing.T) {
	for name, c := range map[string]watcher.Completion{
		"one cause":                 order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 2000)),
		"many causes":               order(watcher.AllFailed, 0, many(300)...),
		"similar causes":            order(watcher.AllFailed, 0, distinct(2000)...),
		"causes of 100 items":       order(watcher.AllFailed, 0, big(9, 100)...),
		"causes of 300 items":       order(watcher.AllFailed, 0, big(7, 300)...),
		"names missing in an event": order(watcher.AllFailed, 0, watcher.Failure{Message: "x", Count: 50, ResourceNames: []string{"os-node-a", "os-node-b", "os-node-c", "os-node-d"}}),
		"no names at all":           order(watcher.AllFailed, 0, watcher.Failure{Count: 50}),
	} {
		all := everything(t, message.Summarize(c, message.Options{}))
		shown := emulator.Render(all[0])
		for _, reply := range all[3:] {
			shown += emulator.Render(reply)
		}
		named := map[string]bool{}
		for _, n := range nodeName.FindAllString(shown, -1) {
			named[n] = true
		}
		missing := 0
		if m := notNamed.FindStringSubmatch(shown); m != nil {
			missing, _ = strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		}
		if len(named)+missing != c.Counts.Failed {
			t.Errorf("%s: %d named and %d counted of %d failed items\n%.3000s", name, len(named), missing, c.Counts.Failed, shown)
		}
	}
}

var (
	nodeName = regexp.MustCompile(`os-node-[a-z0-9-]+`)
	notNamed = regexp.MustCompile(`([0-9,]+) more failed items?[^.]*see the completion event`)
)

// big returns n causes of so many items each, all with names of their own.
func big(n, size int) []watcher.Failure {
	var all []watcher.Failure
	for i := range n {
		f := failure("cause "+strings.Repeat(string(rune('a'+i)), 3), "createNode", size)
		for j := range f.ResourceNames {
			f.ResourceNames[j] = fmt.Sprintf("os-node-%d-%04d", i, j)
		}
		all = append(all, f)
	}
	return all
}

func TestSimilarCausesArePutTogether(t *testing.T) {
	m := message.Summarize(order(watcher.AllFailed, 0, distinct(9)...), message.Options{})
	if shown := emulator.Render(stored(t, m)); !strings.Contains(shown, "*9 ×* createNode") {
		t.Errorf("nine messages that differ in ids and times are not put together:\n%s", shown)
	}
}

func TestSummarizeLeavesTheCompletionAlone(t *testing.T) {
	c := hostile()
	before, _ := json.Marshal(c)
	message.Summarize(c, message.Options{Mention: routes.Mention("here"), Secrets: message.HideSecrets(secretKey)})
	if after, _ := json.Marshal(c); string(before) != string(after) {
		t.Error("the completion was changed")
	}
}

// BenchmarkSummarize makes the message, its thread and its file of orders of which half the items failed:
// for a dozen causes, and each for one of its own.
func BenchmarkSummarize(b *testing.B) {
	for _, items := range []int{12, 1000, 5000} {
		for name, c := range map[string]watcher.Completion{
			"few causes":  order(watcher.PartiallyFailed, items/2, big(min(12, items/2), items/2/min(12, items/2))...),
			"many causes": order(watcher.PartiallyFailed, items/2, distinct(items/2)...),
		} {
			b.Run(fmt.Sprintf("%d items, %s", items, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					message.Summarize(c, message.Options{File: true, Secrets: message.HideSecrets(secretKey, "xoxb-planted-token-7d1c")})
				}
			})
		}
	}
}

// How long an order took is not reckoned with times that cannot be true (C19): it is then how long it was
// watched, as where the API gives none.
func TestTookOfTimesThatCannotBeTrue(t *testing.T) {
	inSeconds := time.UnixMilli(1744285793).UTC()
	for name, tc := range map[string]struct {
		spoil func(*watcher.Item)
		want  string
	}{
		"all are true":             {func(*watcher.Item) {}, "took 11 m 26 s"},
		"both in seconds":          {func(it *watcher.Item) { it.BeganAt, it.UpdatedAt = inSeconds, inSeconds.Add(time.Second) }, "watched for 11 m 34 s"},
		"the beginning in seconds": {func(it *watcher.Item) { it.BeganAt = inSeconds }, "watched for 11 m 34 s"},
		"two hours in the future":  {func(it *watcher.Item) { it.UpdatedAt = ended.Add(2 * time.Hour) }, "watched for 11 m 34 s"},
		"changed before it began":  {func(it *watcher.Item) { it.UpdatedAt = it.BeganAt.Add(-time.Hour) }, "watched for 11 m 34 s"},
	} {
		c := order(watcher.Succeeded, 12)
		tc.spoil(&c.Items[3])
		if m := message.Summarize(c, message.Options{}); !strings.Contains(m.Text, tc.want) {
			t.Errorf("%s: %s; want %q", name, m.Text, tc.want)
		}
	}
	c := order(watcher.PartiallyFailed, 12, failure("flavor sold out", "createNode", 1))
	c.Items[3].BeganAt = inSeconds
	if shown := emulator.Render(stored(t, message.Summarize(c, message.Options{}))); strings.Contains(shown, "slowest os-node-created-00003") {
		t.Errorf("the slowest is one that began in 1970:\n%s", shown)
	}
}

func FuzzSummarize(f *testing.F) {
	f.Add("flavor sold out", "os-node-1", "createNode", "gpu-pools", "https://ci.example/1", uint16(40), uint16(3), uint16(1), uint8(1), "here")
	f.Add("<!channel>&&&&", "n|<>&", "`", "<@U1>", "https://x/|<>", uint16(5000), uint16(2000), uint16(256), uint8(2), "S0PLATFORM")
	f.Add(strings.Repeat("&", 4000), strings.Repeat("<", 200), strings.Repeat("&", 90), strings.Repeat("&", 300), "https://x/"+strings.Repeat("&", 1900), uint16(300), uint16(300), uint16(9), uint8(3), "U0")
	f.Add(strings.Repeat("\U0001F600", 999), "\xff\xfe\u202e\x1b[1m", "\x00", "", "http://", uint16(9), uint16(9), uint16(0), uint8(4), "channel")
	f.Fuzz(func(t *testing.T, said, name, action, by, link string, failed, groups, requests uint16, outcome uint8, mention string) {
		o := message.Options{Mention: routes.Mention(mention), Now: ended.Add(time.Hour), Secrets: message.HideSecrets(secretKey), NoThread: outcome >= 128}
		keepsLimits(t, message.Summarize(fuzzed(said, name, action, by, link, failed, groups, requests, outcome), o), o)
	})
}

func fuzzed(said, name, action, by, link string, failed, groups, requests uint16, outcome uint8) watcher.Completion {
	outcomes := append(watcher.Outcomes[:], "other")
	c := order(outcomes[int(outcome)%len(outcomes)], int(failed)%7)
	for i := range groups % 120 {
		n := int(failed) / (int(i) + 1) % 3000
		words := strings.Repeat(string(rune('a'+i%26)), int(i)/26%40)
		f := watcher.Failure{Message: words + said, Action: action, Count: n}
		for j := range n / 2 {
			f.ResourceNames = append(f.ResourceNames, fmt.Sprint(name, j))
		}
		c.Failures = append(c.Failures, f)
		c.Counts.Failed += n
		if int(i)*n > 20000 {
			break
		}
	}
	for i := range requests % 300 {
		c.Requests = append(c.Requests, watcher.Request{ID: fmt.Sprint(by, i), RequestedBy: by, Link: link, Labels: map[string]string{fmt.Sprint(name, i): said}})
	}
	c.Items = append(c.Items, watcher.Item{ResourceName: name, Action: action, Status: watcher.Status(said), BeganAt: began},
		watcher.Item{ResourceName: name, Action: action, Status: watcher.Status(said), MissingSince: ended, Replaces: name + said, TakenFor: by})
	c.Counts.Missing = int(groups)
	c.OrderName, c.Region, c.ProjectID, c.WatchID, c.Reason = name+c.OrderName, by, name, action, said
	c.Counts.Processing = int(failed)
	c.Error = &watcher.ErrorDetail{Code: action, Message: said}
	return c
}
