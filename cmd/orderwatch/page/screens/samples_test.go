package screens_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/events/tally"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// asOf is when the samples are.
var asOf = time.Date(2026, 6, 30, 12, 1, 0, 0, time.UTC)

// hostileTexts are texts that others may send: none may do anything, or hide what stands beside it.
var hostileTexts = []string{
	`<img src=x onerror=alert(1)>`, `<script>alert(1)</script>`, `"><svg onload=alert(1)>`, `javascript:alert(1)`, `' onmouseover='alert(1)`,
	"right \u202e to left", "zero\u200bwidth", "a\nb\r\nc", "{{.Base}}", "</title></table></details>", strings.Repeat("n", 128), "資源池已被釋放，請重新建立節點",
}

// sampleHistory returns a history of so many days, kinds of orders and causes.
func sampleHistory(days, kinds, causes int) screens.HistoryView {
	r := rand.New(rand.NewPCG(1, 1))
	v := screens.HistoryView{Common: screens.Common{Title: "History", Tab: screens.TabHistory, AsOf: asOf, Connected: true, Live: "/live?of=%2Fhistory"}}
	for n := days - 1; n >= 0; n-- {
		d := tally.Day{Date: asOf.Truncate(24*time.Hour).AddDate(0, 0, -n)}
		if kinds > 0 {
			d.Ended[0], d.Ended[1], d.Ended[2], d.Ended[3], d.Ended[6] = 20+r.IntN(60), r.IntN(4), r.IntN(3), r.IntN(6)/4, r.IntN(3)
		}
		v.Days = append(v.Days, d)
	}
	if kinds > 0 {
		v.Since = asOf.AddDate(0, 0, -90)
	}
	for n := range kinds {
		k := tally.Kind{Region: "cn-north-4", Actions: []string{[]string{"createPool", "createNode", "deleteNode", "resizePool"}[n%4]}}
		if n >= 4 {
			k.Region, k.Actions = hostileTexts[n%len(hostileTexts)], []string{hostileTexts[(n+3)%len(hostileTexts)], "createNode"}
		}
		half := time.Duration(4+r.IntN(60)) * time.Minute
		took := func(half time.Duration) tally.Took {
			return tally.Took{Ended: 40 + r.IntN(300), P10: half * 6 / 10, P50: half, P90: half * 17 / 10, P95: half * 22 / 10}
		}
		k.Now, k.Before = took(half), took(half*time.Duration(70+r.IntN(60))/100)
		switch n % 5 {
		case 3:
			k.Before = tally.Took{Ended: 3}
		case 4:
			k.Now = tally.Took{Ended: 7}
			k.Before = tally.Took{}
		}
		v.Kinds = append(v.Kinds, k)
	}
	texts := append([]string{
		"ModelArts.0211: quota of 8 for resource type modelarts.vm.gpu.p100 exceeded in cn-north-4, request 0a1b2c3d", "insufficient capacity of flavor in the availability zone",
		"", "the subnet 10.0.4.0/24 has no free addresses", strings.Repeat("Caused by: a very long message that goes on; ", 9),
	}, hostileTexts...)
	for n := range causes {
		at := asOf.Add(-time.Duration(n*n) * 20 * time.Minute)
		c := tally.Cause{Text: texts[n%len(texts)], Outcome: watcher.Outcomes[1+n%5], Count: 1 + r.IntN(40), Last: tally.Occurrence{At: at, ProjectID: "6f5da086876d4cd084d36f8bd3346036", OrderName: fmt.Sprintf("order.%d", n), WatchID: "w_1"}}
		c.First = c.Last
		if n%3 > 0 {
			c.First.At = at.AddDate(0, 0, -n-8)
		}
		if n%4 == 3 {
			c.Last.OrderName = strings.Repeat("o-", 64)
		}
		v.Causes = append(v.Causes, c)
	}
	return v
}

// sampleHealth returns how it is: well, or with everything that may be wrong.
func sampleHealth(wrong bool) screens.HealthView {
	v := screens.HealthView{Common: screens.Common{Title: "Health", Tab: screens.TabHealth, AsOf: asOf, Connected: true, Live: "/live?of=%2Fhealth"}, Answered: asOf.Add(-2 * time.Second)}
	v.Status = wire.Status{
		Workers: &wire.WorkerCount{Present: 3, Versions: map[string]int{"2.4.0": 3}}, Watches: &wire.WatchCount{Watching: 214, Ending: 1, All: true},
		People: &wire.Untold{}, Rates: []wire.Rate{{Region: "cn-north-4", Wanted: 6.2, Allowed: 10}, {Region: "cn-east-3", Wanted: 0.4, Allowed: 10}},
	}
	v.Lag = tally.Lag{Ended: 318, ByList: 290, P50: 2300 * time.Millisecond, P95: 6100 * time.Millisecond}
	for _, name := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS", "ORDER_EVENTS", "KV_ORDER_WATCHES", "KV_ORDER_ACCOUNTS", "KV_ORDER_SLACK"} {
		v.Streams = append(v.Streams, screens.Stream{Name: "stream " + name, Messages: 12431, Bytes: 48 << 20})
	}
	v.Streams = append(v.Streams, screens.Stream{Name: "consumer slack of ORDER_EVENTS", Consumer: true, Waiting: 2})
	if !wrong {
		return v
	}
	v.Status.Workers = &wire.WorkerCount{Present: 3, Versions: map[string]int{"2.4.0": 1, hostileTexts[0]: 1}}
	v.Status.Watches = &wire.WatchCount{Watching: 5230, Ending: 4, Overdue: 12, Stuck: 1, Unreadable: 3, Newer: 40, All: true}
	v.Status.People = &wire.Untold{Waiting: 31, Since: asOf.Add(-17 * time.Minute), Undelivered: 4, Troubles: []string{"channel C0123 is archived: " + hostileTexts[1]}}
	v.Status.Rates[0] = wire.Rate{Region: "cn-north-4", Wanted: 24.1, Allowed: 10, UsedUpSince: asOf.Add(-9 * time.Minute), Late: "1m20s"}
	v.Status.NotLookedAt = []string{"the watches: " + hostileTexts[2]}
	v.Status.Unlisted = []wire.Unlisted{{Region: "cn-north-4", ProjectID: hostileTexts[10], Why: hostileTexts[5], Until: asOf.Add(time.Hour)}}
	for n, text := range hostileTexts {
		o := watcher.Order{ProjectID: hostileTexts[(n+1)%len(hostileTexts)], Name: text}
		v.Status.Held = append(v.Status.Held, wire.HeldAccount{Kind: watcher.HeldThrottled, Region: "cn-north-4", ProjectID: text, Why: "ModelArts answers 429: " + text, Code: "APIGW.0308", Since: asOf.Add(-time.Minute), Until: asOf.Add(6 * time.Minute)})
		v.Worst = append(v.Worst, screens.LateWatch{Order: o, By: time.Duration(n+2) * 3 * time.Minute})
		v.Broken = append(v.Broken, wire.BrokenRecord{Order: o, Reason: text, Since: asOf.Add(-49 * time.Hour), Requests: []string{text, "build-772"}})
		v.Unseen = append(v.Unseen, "consumer x: "+text)
	}
	v.Streams[0].Wrong = "it has no leader: nobody writes; " + hostileTexts[0]
	v.Away = hostileTexts[3]
	return v
}
