package watchertest

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// OutageBegan is when every outage begins.
var OutageBegan = time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)

// Attention returns the event of one project.
func Attention(kind watcher.AttentionKind, cause watcher.HoldKind) watcher.Attention {
	a := watcher.Attention{
		Kind: kind, Account: "5f2c91d0a7.cn-north-4", Region: "cn-north-4", ProjectID: "6f5da086876d4cd084d36f8bd3346036",
		Cause: cause, Reason: Reasons[cause], Since: OutageBegan, Waiting: 12, WaitingAll: 1200,
	}
	if code, said, ok := strings.Cut(a.Reason, ": "); ok && cause != watcher.HeldUnreachable {
		a.Reason, a.Code, a.Said = "HTTP 403: "+a.Reason+" (renew the token in ORDERWATCH_MODELARTS_TOKEN) (request id 0a1b)", code, said
	}
	if kind == watcher.Reachable {
		a.Until = a.Since.Add(17*time.Minute + 3*time.Second)
	}
	return a
}

// Reasons are what calls met, for each kind of hold.
var Reasons = map[watcher.HoldKind]string{
	watcher.HeldThrottled:   "APIG.0308: The throttling threshold has been reached: policy user over ratelimit,limit:200,time:1 minute",
	watcher.HeldLogin:       "APIG.0301: Incorrect IAM authentication information: verify aksk signature fail",
	watcher.HeldPermission:  "ModelArts.0108: The user has no permission.",
	watcher.HeldArrears:     "ModelArts.4116: The account is in arrears.",
	watcher.HeldUnreachable: "dial tcp 192.0.2.7:443: connect: connection refused",
}

// HostileAttention is one whose every text tries to do harm.
func HostileAttention(kind watcher.AttentionKind) watcher.Attention {
	return watcher.Attention{
		Kind: kind, Account: "<!channel> " + strings.Repeat("&", 300), Region: "`<!here>` *x*\n" + Bidi, ProjectID: "<@U0VICTIM>" + Secret,
		Cause: "<!everyone>", Reason: "<!channel> ``` " + Bidi + "\x1b[31m " + Secret + strings.Repeat(" & long", 3000) + " the end \xff",
		Code: "*code* <!channel> " + Secret, Said: "<!channel> ``` " + Bidi + Secret + strings.Repeat(" & long", 3000),
	}
}

// UnlistedSince is since when the orders of these tests are as they are.
var UnlistedSince = time.Date(2025, 4, 10, 12, 3, 5, 0, time.UTC)

// OrderAttention returns what people should look at in one watch: 12 of its 20 items have ended. Where the kind ends
// in _over, it is over.
func OrderAttention(kind watcher.AttentionKind) watcher.OrderAttention {
	if began, ok := strings.CutSuffix(string(kind), "_over"); ok {
		return over(OrderAttention(watcher.AttentionKind(began)))
	}
	c := Completion(watcher.TimedOut, 12)
	for i := range 8 {
		c.Items = append(c.Items, Item(fmt.Sprintf("os-node-%d", i+1), watcher.Processing, i, ""))
	}
	c.Counts.Processing, c.Counts.Total = 8, 20
	a := watcher.OrderAttention{Report: c.Report, Kind: kind, Since: UnlistedSince}
	switch it := &a.Items[13]; kind {
	case watcher.BrokenRecord:
		a.Reason, a.Items, a.Counts = "its record cannot be read (it is none that a worker wrote); the watch is over, and its outcome is not known", nil, watcher.Counts{}
	case watcher.Blind:
		a.Reason = "the order cannot be read"
		a.Error = &watcher.ErrorDetail{Code: "ModelArts.50005000", Message: "Internal server error, request id 3f0c7f5e"}
	case watcher.Late, watcher.Stalled:
		if a.Reason = "the order is " + string(kind); kind == watcher.Late {
			a.Requests[0].LateAt = a.Since
		}
	case watcher.DeadlineNear:
		a.Reason, a.Requests[0].Deadline = "the order is "+string(kind), UnlistedSince.Add(UnlistedSince.Sub(Accepted)/4) // 80 % are over
	case watcher.Vanished:
		a.Reason, a.Counts.Missing, it.MissingSince = "an item is no longer listed", 1, UnlistedSince
	case watcher.UnknownStatus:
		a.Reason, it.Status, it.Message = "an item has the status canceled", "canceled", "order was unsubscribed"
	}
	return a
}

// OrderAttentionKinds are all kinds of order attentions.
var OrderAttentionKinds = []watcher.AttentionKind{watcher.Blind, watcher.Vanished, watcher.UnknownStatus, watcher.BrokenRecord, watcher.Late, watcher.Stalled, watcher.DeadlineNear}

// over returns the event that tells that it is over, 26 minutes after it began.
func over(a watcher.OrderAttention) watcher.OrderAttention {
	a.Until, a.Error = a.Since.Add(26*time.Minute), nil
	a.Polls += 10
	return a
}

// HostileOrderAttention is one whose every text tries to do harm.
func HostileOrderAttention(kind watcher.AttentionKind) watcher.OrderAttention {
	if began, ok := strings.CutSuffix(string(kind), "_over"); ok {
		return over(HostileOrderAttention(watcher.AttentionKind(began)))
	}
	evil := "<!channel> ``` *x* " + Bidi + "\x1b[31m " + Secret + " " + strings.Repeat("& long", 300) + " \xff"
	a := watcher.OrderAttention{Report: Hostile().Report, Kind: kind, Since: UnlistedSince}
	a.Reason, a.OrderName, a.ProjectID, a.Region, a.WatchID = evil, "`"+evil, "<@U0VICTIM>`"+Secret, evil, evil
	const password = " password=Zx81Kq92Lm43 "
	a.Reason += password
	a.Error = &watcher.ErrorDetail{Code: evil, Message: password + strings.Repeat(evil, 20) + password, Held: "<!here>"}
	for i := range 30 {
		a.Items = append(a.Items, watcher.Item{
			ResourceName: "`" + evil, Action: password, Status: watcher.Status(password + "stuck" + fmt.Sprint(i%3) + evil), Message: evil + password,
			MissingSince: UnlistedSince, Replaces: evil, TakenFor: []string{"", evil}[i%2],
		})
	}
	a.Counts = watcher.Counts{Total: 30, Processing: 30, Missing: 30}
	if kind == watcher.Late {
		a.Requests[0].LateAt = a.Since
	}
	return a
}
