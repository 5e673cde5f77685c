package watcher_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

const (
	processing = watcher.Processing
	succeed    = watcher.Succeed
	failed     = watcher.Failed
)

var (
	errDown   = errors.New("connection reset by peer")
	notFound  = &watcher.PollError{Class: watcher.NotFound, Code: "ModelArts.50015001", Message: "Order not found."}
	refused   = &watcher.PollError{Class: watcher.Refused, Code: "ModelArts.50004000", Message: "Bad request."}
	throttled = &watcher.PollError{Class: watcher.Throttled, Code: "APIG.0308", Message: "over ratelimit", RetryAfter: 3 * time.Minute}
	badKey    = &watcher.PollError{Class: watcher.Credentials, Code: "APIG.0301", Message: "ak not exist"}
)

// A wakeup is what happens when a watch is woken: a poll that brings answer or err, or a hold.
type wakeup struct {
	answer watcher.Answer
	err    error
	hold   time.Duration // the account may not be asked for this long
	wish   bool          // somebody cancelled the watch before
	hint   *watcher.Hint // of the list of orders
	late   time.Duration // how long after it was due
	want   time.Duration // the time to the next wake-up; 0 is not looked at
}

func shows(count int, statuses ...watcher.Status) wakeup {
	return wakeup{answer: answer(count, statuses...)}
}

func fails(err error) wakeup { return wakeup{err: err} }

// then adds what the next wake-up's distance must be.
func (k wakeup) then(want time.Duration) wakeup {
	k.want = want
	return k
}

// wake makes one step as a poller does, on the record as the store gives it back.
func wake(t testing.TB, p watcher.Policy, w watcher.Watch, k wakeup) watcher.Watch {
	t.Helper()
	if k.wish {
		w.Wish = &watcher.Wish{By: "ada", Reason: "wrong pool", At: w.NextPollAt}
	}
	if k.hint != nil {
		w.Hint, w.Hinted = k.hint, w.Wakeup
	}
	now := w.NextPollAt.Add(k.late)
	next, decided := p.Before(w, watcher.Leave{After: k.hold, Why: "held until noon"}, now)
	if !decided {
		next, _ = p.Fold(w, k.answer, k.err, now)
	}
	if next.State == watcher.Watching {
		if got := next.NextPollAt.Sub(now).Round(time.Millisecond); k.want != 0 && got != k.want {
			t.Errorf("after poll %d the next wake-up is due in %s, want %s", next.Polls, got, k.want)
		}
		if next.Wakeup != w.Wakeup+1 {
			t.Errorf("wake-up %d is followed by %d", w.Wakeup, next.Wakeup)
		}
	}
	return stored(t, next, p.MaxPayload)
}

func TestFoldEnds(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	timeout := func(d time.Duration) func(*watcher.Ask) { return func(a *watcher.Ask) { a.Timeout = d } }
	expect := func(n int) func(*watcher.Ask) { return func(a *watcher.Ask) { a.ExpectedItems = n } }
	tests := []struct {
		name    string
		ask     func(*watcher.Ask)
		wakeups []wakeup
		outcome watcher.Outcome // empty: not ended
		reason  string
		after   time.Duration // from the request to the end
		code    string        // of the error
	}{
		// The outcome of every mix, once the order has settled.
		{"all succeed", nil, []wakeup{shows(2, succeed, succeed).then(10 * s), shows(2, succeed, succeed)},
			watcher.Succeeded, "2 of 2 nodes succeeded", 10 * s, ""},
		{"all failed", nil, []wakeup{shows(2, failed, failed), shows(2, failed, failed)},
			watcher.AllFailed, "2 of 2 nodes failed", 10 * s, ""},
		{"some of each", nil, []wakeup{shows(3, succeed, failed, succeed), shows(3, succeed, failed, succeed)},
			watcher.PartiallyFailed, "1 of 3 nodes failed", 10 * s, ""},
		{"one item", nil, []wakeup{shows(1, succeed), shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 10 * s, ""},
		{"more items than count", nil, []wakeup{shows(1, succeed, failed), shows(1, succeed, failed)},
			watcher.PartiallyFailed, "1 of 2 nodes failed", 10 * s, ""},

		// What has not ended.
		{"no items", nil, []wakeup{shows(0).then(5 * s), shows(0).then(7500 * ms), shows(0).then(11250 * ms)}, "", "", 0, ""},
		{"no items of four", nil, []wakeup{shows(4), shows(4), shows(4)}, "", "", 0, ""},
		{"fewer items than count", nil, []wakeup{shows(3, succeed, succeed), shows(3, succeed, succeed), shows(3, succeed, succeed)}, "", "", 0, ""},
		{"fewer items than expected", expect(3), []wakeup{shows(2, succeed, succeed), shows(2, succeed, succeed), shows(2, succeed, succeed)}, "", "", 0, ""},
		{"an unknown status", nil, []wakeup{shows(2, succeed, "pausing"), shows(2, succeed, "pausing"), shows(2, succeed, "pausing")}, "", "", 0, ""},
		{"a status without a word", nil, []wakeup{shows(1, ""), shows(1, ""), shows(1, "")}, "", "", 0, ""},
		{"a known status in other letters", nil, []wakeup{shows(1, "SUCCEED"), shows(1, "SUCCEED"), shows(1, "SUCCEED")}, "", "", 0, ""},

		// Settling.
		{"expected items need no second look", expect(2), []wakeup{shows(2, succeed, succeed)},
			watcher.Succeeded, "2 of 2 nodes succeeded", 0, ""},
		{"more items than expected need none either", expect(1), []wakeup{shows(2, succeed, failed)},
			watcher.PartiallyFailed, "1 of 2 nodes failed", 0, ""},
		{"settling starts anew when an item appears", nil, []wakeup{shows(1, succeed).then(10 * s), shows(2, succeed, succeed).then(10 * s), shows(2, succeed, succeed)},
			watcher.Succeeded, "2 of 2 nodes succeeded", 20 * s, ""},
		{"settling starts anew when an item vanishes", nil, []wakeup{shows(2, succeed, succeed), shows(1, succeed).then(10 * s), shows(1, succeed)},
			watcher.Succeeded, "2 of 2 nodes succeeded (1 no longer listed)", 20 * s, ""},
		{"settling starts anew when a status changes", nil, []wakeup{shows(1, succeed), shows(1, failed).then(10 * s), shows(1, failed)},
			watcher.AllFailed, "1 of 1 node failed", 20 * s, ""},
		{"an item runs again", nil, []wakeup{shows(1, failed), shows(1, processing).then(5 * s), shows(1, succeed).then(10 * s), shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 25 * s, ""},
		{"count grows while it settles", nil, []wakeup{shows(1, succeed), shows(2, succeed).then(7500 * ms), shows(2, succeed, succeed), shows(2, succeed, succeed)},
			watcher.Succeeded, "2 of 2 nodes succeeded", 27500 * ms, ""},
		{"count grows and shrinks while it settles", nil, []wakeup{shows(1, succeed), shows(2, succeed), shows(1, succeed).then(10 * s), shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 27500 * ms, ""},
		{"every item vanishes", nil, []wakeup{shows(1, succeed), shows(0).then(5 * s), shows(0)}, "", "", 0, ""},
		{"an early wake-up does not cut the settling short", nil, []wakeup{shows(1, succeed), {answer: answer(1, succeed), late: -20 * ms, want: 20 * ms}, shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 10 * s, ""},
		{"an error while it settles", nil, []wakeup{shows(1, succeed), fails(errDown).then(7500 * ms), shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 17500 * ms, ""},

		// The deadline.
		{"nothing ever appears", timeout(20 * s), []wakeup{shows(0), shows(0), shows(0).then(7500 * ms), shows(0)},
			watcher.TimedOut, "after 20s: no item ever appeared", 20 * s, ""},
		{"count without items", timeout(5 * s), []wakeup{shows(4), shows(4)},
			watcher.TimedOut, "after 5s: no item ever appeared", 5 * s, ""},
		{"some still open", timeout(6 * s), []wakeup{shows(4, succeed, failed, processing).then(5 * s), shows(4, succeed, failed, processing).then(s), shows(4, succeed, failed, processing)},
			watcher.TimedOut, "after 6s: 2 of 4 items ended, 1 still processing, 1 not created yet", 6 * s, ""},
		{"fewer than expected at the deadline", func(a *watcher.Ask) { a.ExpectedItems, a.Timeout = 3, 5*s }, []wakeup{shows(1, succeed), shows(1, succeed)},
			watcher.TimedOut, "after 5s: 1 of 1 item ended, 2 not created yet", 5 * s, ""},
		{"an unknown status at the deadline", timeout(5 * s), []wakeup{shows(1, "pausing"), shows(1, "pausing")},
			watcher.TimedOut, `after 5s: 0 of 1 node ended, 1 with a status that ModelArts does not document: createNode node-0 has the status "pausing"`, 5 * s, ""},
		{"the last poll is made at the deadline", timeout(12 * s), []wakeup{shows(1, processing), shows(1, processing).then(7 * s), shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 12 * s, ""},
		{"a deadline while it settles", timeout(8 * s), []wakeup{shows(1, succeed).then(8 * s), shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 8 * s, ""},
		{"a deadline while it settles, unreachable", timeout(8 * s), []wakeup{shows(1, failed), fails(errDown)},
			watcher.AllFailed, "1 of 1 node failed", 8 * s, ""},
		{"a deadline while it settles, in a hold", timeout(8 * s), []wakeup{shows(1, failed), {hold: time.Minute}},
			watcher.AllFailed, "1 of 1 node failed", 8 * s, ""},
		{"an item ran again before the deadline, unreachable", timeout(14 * s), []wakeup{shows(1, succeed), shows(1, processing).then(4 * s), fails(errDown)},
			watcher.TimedOut, "after 14s: polling did not work (may_pass: connection reset by peer); when the order was last seen, 0 of 1 node ended, 1 still processing", 14 * s, "may_pass"},
		{"unreachable from the first", timeout(5 * s), []wakeup{fails(errDown), fails(errDown)},
			watcher.TimedOut, "after 5s: polling did not work (may_pass: connection reset by peer)", 5 * s, "may_pass"},
		{"a hold is cut at the deadline", timeout(30 * s), []wakeup{{hold: 4 * s, want: 4 * s}, {hold: time.Hour, want: 26 * s}, {hold: time.Hour}},
			watcher.TimedOut, "after 30s: polling did not work (held: held until noon)", 30 * s, "held"},
		{"a short wait at the deadline is not its end", timeout(30 * s), []wakeup{{hold: time.Hour, want: 30 * s}, {hold: s, want: s}, {answer: answer(1, succeed)}},
			watcher.Succeeded, "1 of 1 node succeeded", 31 * s, ""},
		{"a hold after an error keeps the error", timeout(30 * s), []wakeup{fails(badKey), {hold: time.Hour}, {hold: time.Hour}},
			watcher.TimedOut, "after 30s: polling did not work (APIG.0301: ak not exist)", 30 * s, "APIG.0301"},
		{"a request that waited longer than its timeout is asked for once", timeout(s), []wakeup{{answer: answer(1, succeed), late: time.Hour}},
			watcher.Succeeded, "1 of 1 node succeeded", time.Hour, ""},

		// Errors.
		{"throttled as long as the API asks", nil, []wakeup{fails(throttled).then(3 * time.Minute), shows(1, succeed), shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 190 * s, ""},
		{"throttled beyond the deadline", timeout(time.Minute), []wakeup{fails(throttled).then(time.Minute), fails(throttled)},
			watcher.TimedOut, "after 1m: polling did not work (APIG.0308: over ratelimit)", time.Minute, "APIG.0308"},
		{"a maintenance that says how long", nil, []wakeup{fails(&watcher.PollError{Class: watcher.MayPass, Code: "503", RetryAfter: time.Minute}).then(time.Minute)}, "", "", 0, ""},
		{"refused", nil, []wakeup{fails(fmt.Errorf("show order: %w", refused))},
			watcher.OrderRefused, "the API refuses this order", 0, "ModelArts.50004000"},
		{"credentials may be mended", nil, []wakeup{fails(badKey).then(5 * s), fails(badKey).then(7500 * ms), shows(1, succeed), shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 22500 * ms, ""},

		// The grace of an order that the API does not know.
		{"not found until the grace ends", nil,
			[]wakeup{fails(notFound).then(5 * s), fails(notFound).then(7500 * ms), fails(notFound).then(11250 * ms), fails(notFound), fails(notFound), fails(notFound).then(37969 * ms), fails(notFound).then(16094 * ms), fails(notFound)},
			watcher.OrderNotFound, "the API did not know the order for 2m", 2 * time.Minute, "ModelArts.50015001"},
		{"found within the grace", nil, []wakeup{fails(notFound), fails(notFound), shows(1, succeed), shows(1, succeed)},
			watcher.Succeeded, "1 of 1 node succeeded", 22500 * ms, ""},
		{"not found, interrupted by an error that passes", nil, []wakeup{fails(notFound), {err: errDown, late: 2 * time.Minute}, fails(notFound)},
			watcher.OrderNotFound, "the API did not know the order for 2m13s", 132500 * ms, "ModelArts.50015001"},
		{"an error that passes ends no grace", nil, []wakeup{fails(notFound), {err: errDown, late: 10 * time.Minute}}, "", "", 0, ""},
		{"an answer starts the grace anew", nil, []wakeup{fails(notFound), shows(0), {err: notFound, late: 10 * time.Minute}}, "", "", 0, ""},
		{"the deadline within the grace", timeout(30 * s), []wakeup{fails(notFound), {err: notFound, late: 25 * s}},
			watcher.TimedOut, "after 30s: polling did not work (ModelArts.50015001: Order not found.)", 30 * s, "ModelArts.50015001"},

		// A wish.
		{"cancelled", nil, []wakeup{shows(2, succeed, processing), {wish: true}},
			watcher.Cancelled, "cancelled by ada: wrong pool", 5 * s, ""},
		{"cancelled in a hold", nil, []wakeup{{hold: time.Minute}, {wish: true, hold: time.Hour}},
			watcher.Cancelled, "cancelled by ada: wrong pool", time.Minute, ""},
		{"cancelled at the deadline", timeout(5 * s), []wakeup{shows(1, processing), {wish: true}},
			watcher.Cancelled, "cancelled by ada: wrong pool", 5 * s, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ask := request("build-1")
			if tt.ask != nil {
				tt.ask(&ask)
			}
			w := admit(t, policy(), ask)
			for i, k := range tt.wakeups {
				if w.State != watcher.Watching {
					t.Fatalf("ended before wake-up %d: %s, %s", i, w.Completion.Outcome, w.Completion.Reason)
				}
				w = wake(t, policy(), w, k)
			}
			checkEnd(t, w, tt.outcome, tt.reason, tt.after, tt.code)
		})
	}
}

func checkEnd(t *testing.T, w watcher.Watch, outcome watcher.Outcome, reason string, after time.Duration, code string) {
	t.Helper()
	c := w.Completion
	if outcome == "" {
		if w.State != watcher.Watching || c != nil {
			t.Fatalf("ended: %+v", c)
		}
		return
	}
	if w.State != watcher.Ending || c == nil {
		t.Fatalf("not ended; next wake-up %s", w.NextPollAt)
	}
	if c.Outcome != outcome || c.Reason != reason {
		t.Errorf("got  %s: %s\nwant %s: %s", c.Outcome, c.Reason, outcome, reason)
	}
	if got := c.CompletedAt.Sub(c.AcceptedAt); got != after.Truncate(time.Millisecond) {
		t.Errorf("ended after %s, want %s", got, after)
	}
	if got := ""; c.Error != nil || code != "" {
		if c.Error != nil {
			got = c.Error.Code
		}
		if got != code {
			t.Errorf("error code %q, want %q", got, code)
		}
	}
	if c.Polls != w.Polls || len(c.Requests) != 1 || c.WatchID != w.ID || c.Order() != w.Order {
		t.Errorf("completion does not agree with its record: %+v", c)
	}
}

func TestFoldStartsTheBackoffAnewWhenAnItemChanges(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	w := admit(t, policy(), request("build-1"))
	for _, k := range []wakeup{
		shows(2).then(5 * s),
		shows(2).then(7500 * ms),
		shows(2, processing).then(5 * s), // appeared
		shows(2, processing).then(7500 * ms),
		shows(2, processing).then(11250 * ms),
		shows(2, failed).then(16875 * ms), // changed, before the interval was at its longest
		fails(errDown).then(25313 * ms),
		shows(2, failed, processing).then(37969 * ms), // appeared
		shows(2, failed, processing).then(56953 * ms),
		shows(2, failed).then(5 * s), // vanished
		shows(3, failed).then(7500 * ms),
		{hold: 40 * s, want: 40 * s}, // no poll, no step
		shows(3, failed).then(11250 * ms),
	} {
		w = wake(t, policy(), w, k)
	}
}

func TestFoldTellsWhatChanged(t *testing.T) {
	p := policy()
	w := admit(t, p, request("build-1"))
	first := answer(3, processing, failed)
	first.Items[1].Message = "flavor sold out"
	w, changes := p.Fold(w, first, nil, w.NextPollAt)
	want := []watcher.Change{
		{ResourceName: "node-0", Action: "createNode", To: processing},
		{ResourceName: "node-1", Action: "createNode", To: failed, Message: "flavor sold out"},
	}
	if !slices.Equal(changes, want) || w.Progressed != 1 {
		t.Errorf("progress %d: %+v", w.Progressed, changes)
	}
	second := first
	second.Items = slices.Clone(first.Items)
	slices.Reverse(second.Items)
	w, changes = p.Fold(stored(t, w, p.MaxPayload), second, nil, w.NextPollAt)
	if len(changes) != 0 || w.Progressed != 1 {
		t.Errorf("another sequence of the same items is a change: %+v", changes)
	}
	w, changes = p.Fold(stored(t, w, p.MaxPayload), answer(3, "pausing"), nil, w.NextPollAt)
	want = []watcher.Change{{ResourceName: "node-0", Action: "createNode", From: processing, To: "pausing"}}
	if !slices.Equal(changes, want) || w.Progressed != 2 {
		t.Errorf("progress %d: %+v", w.Progressed, changes)
	}
	w, changes = p.Fold(stored(t, w, p.MaxPayload), answer(3), nil, w.NextPollAt)
	if len(changes) != 0 || w.Progressed != 2 {
		t.Errorf("progress %d for an item that vanished: %+v", w.Progressed, changes)
	}
}

func TestFoldTakesItemsThatShareAName(t *testing.T) {
	p := policy()
	a := answer(3, succeed, succeed, failed)
	for i := range a.Items {
		a.Items[i].ResourceName = ""
	}
	w := wake(t, p, admit(t, p, request("build-1")), wakeup{answer: a})
	w, changes := p.Fold(w, a, nil, w.NextPollAt)
	if len(changes) != 0 || w.State != watcher.Ending || w.Completion.Counts != (watcher.Counts{Total: 3, Succeeded: 2, Failed: 1}) {
		t.Errorf("state %s, changes %+v", w.State, changes)
	}
}

// A record that is read back must tell the same items, whatever the cloud put into them.
func TestFoldTakesHostileItems(t *testing.T) {
	p := policy()
	a := answer(3, succeed, succeed, succeed)
	a.Items[0].ResourceName = "node-\xff\xfe"
	a.Items[0].Message = "\xc3\x28 <b>&\u2028\x00"
	a.Items[1].BeganAt = time.UnixMilli(1744285793000000) // µs taken for ms: the year 57243
	a.Items[1].UpdatedAt = time.UnixMilli(-1 << 62)
	a.Items[2].ResourceName = strings.Repeat("ü", 4000)
	a.Items[2].Action = strings.Repeat("\x01", 4000)
	w := wake(t, p, admit(t, p, request("build-1")), wakeup{answer: a})
	p.Progress(w, nil, a.Items)
	w, changes := p.Fold(w, a, nil, w.NextPollAt)
	if len(changes) != 0 || w.State != watcher.Ending {
		t.Fatalf("state %s, changes %+v", w.State, changes)
	}
	if got := w.Completion.Items[1]; !got.BeganAt.IsZero() {
		t.Errorf("a time beyond the year 9999 is shown as %v", got.BeganAt)
	}
}

// A cancel that meets a poll in flight lost its wake-up to that poll.
func TestFoldIsFollowedAtOnceByAWish(t *testing.T) {
	p := policy()
	for name, err := range map[string]error{"answer": nil, "throttled": throttled} {
		w := admit(t, p, request("build-1"))
		w.Wish = &watcher.Wish{By: "ada", At: begin}
		now := w.NextPollAt
		if w, _ = p.Fold(w, answer(1, processing), err, now); w.NextPollAt.After(now) || w.Wakeup != 2 {
			t.Errorf("%s: wake-up %d is due %s later", name, w.Wakeup, w.NextPollAt.Sub(now))
		}
	}
}

func TestFoldCountsErrorsInARow(t *testing.T) {
	w := admit(t, policy(), request("build-1"))
	for i, k := range []wakeup{fails(errDown), fails(throttled), fails(errDown)} {
		if w = wake(t, policy(), w, k); w.Errors != i+1 || w.LastError == nil {
			t.Errorf("errors %d, last %v", w.Errors, w.LastError)
		}
	}
	if w = wake(t, policy(), w, shows(0)); w.Errors != 0 || w.LastError != nil || w.Polls != 4 {
		t.Errorf("errors %d, last %v, polls %d", w.Errors, w.LastError, w.Polls)
	}
}

func TestSettleZeroTrustsTheFirstLook(t *testing.T) {
	p := policy()
	p.Settle = 0
	if w := wake(t, p, admit(t, p, request("build-1")), shows(1, succeed)); w.State != watcher.Ending {
		t.Errorf("state %s", w.State)
	}
}

func TestEarlierAnswersFillAnEndWithoutOne(t *testing.T) {
	p := policy()
	a := answer(3, succeed, failed, processing)
	a.Items[1].Message = "flavor sold out"
	w := wake(t, p, admit(t, p, request("build-1")), wakeup{answer: a})
	c := wake(t, p, w, wakeup{wish: true}).Completion
	if !slices.Equal(c.Items, a.Items) || c.ItemsOmitted != 0 || c.Counts != (watcher.Counts{Total: 3, Succeeded: 1, Failed: 1, Processing: 1}) {
		t.Errorf("items %+v, counts %+v", c.Items, c.Counts)
	}
	if len(c.Failures) != 1 || c.Failures[0].Message != "flavor sold out" || c.Failures[0].Count != 1 {
		t.Errorf("failures %+v", c.Failures)
	}
}

// lists is a poll that shows items, each as "name action status [seconds since begin of its update]".
func lists(count int, items ...string) wakeup {
	a := watcher.Answer{Count: count}
	for _, text := range items {
		fields := strings.Fields(text)
		it := watcher.Item{ResourceName: fields[0], Action: fields[1], Status: watcher.Status(fields[2])}
		if len(fields) > 3 {
			seconds, _ := strconv.Atoi(fields[3])
			it.UpdatedAt = begin.Add(time.Duration(seconds) * time.Second)
		}
		it.ResourceName = strings.Trim(it.ResourceName, "-")
		a.Items = append(a.Items, it)
	}
	return wakeup{answer: a}
}

// times repeats a wake-up.
func times(n int, k wakeup) []wakeup { return slices.Repeat([]wakeup{k}, n) }

func TestWhatWasSeenIsNotForgotten(t *testing.T) {
	const s, m = time.Second, time.Minute
	ask := func(change func(*watcher.Ask)) func(*watcher.Ask) { return change }
	gone := fails(notFound)
	none := lists(0)
	tests := []struct {
		name    string
		ask     func(*watcher.Ask)
		wakeups [][]wakeup
		outcome watcher.Outcome
		reason  string
		after   time.Duration
		counts  watcher.Counts
	}{
		// Items that ended and vanished.
		{"C4: a failed item is not forgotten", nil, [][]wakeup{{
			lists(3, "a createNode succeed", "b createNode processing", "c createNode processing"),
			lists(3, "a createNode succeed", "b createNode failed", "c createNode processing"),
			lists(2, "a createNode succeed", "c createNode processing"),
			lists(2, "a createNode succeed", "c createNode succeed"), lists(2, "a createNode succeed", "c createNode succeed")}},
			watcher.PartiallyFailed, "1 of 3 nodes failed (no longer listed)", 27500 * time.Millisecond, watcher.Counts{Total: 3, Succeeded: 2, Failed: 1, Missing: 1}},
		{"a failed item is never replaced", nil, [][]wakeup{{
			lists(2, "a createNode succeed", "b createNode failed"),
			lists(2, "a createNode succeed", "c createNode succeed"), lists(2, "a createNode succeed", "c createNode succeed")}},
			watcher.PartiallyFailed, "1 of 3 nodes failed (no longer listed)", 20 * s, watcher.Counts{Total: 3, Succeeded: 2, Failed: 1, Missing: 1}},
		{"one of two failed items vanishes", nil, [][]wakeup{{
			lists(2, "a createNode failed", "b createNode failed"), lists(1, "a createNode failed"), lists(1, "a createNode failed")}},
			watcher.AllFailed, "2 of 2 nodes failed (1 no longer listed)", 20 * s, watcher.Counts{Total: 2, Failed: 2, Missing: 1}},
		{"a failed item that is tried again under its name", nil, [][]wakeup{{
			lists(1, "a createNode failed"), lists(1, "a createNode processing"), lists(1, "a createNode succeed"), lists(1, "a createNode succeed")}},
			watcher.Succeeded, "1 of 1 node succeeded", 25 * s, watcher.Counts{Total: 1, Succeeded: 1}},
		{"a failed item comes back as succeeded", nil, [][]wakeup{{
			lists(2, "a createNode succeed", "b createNode failed"), lists(1, "a createNode succeed"),
			lists(2, "a createNode succeed", "b createNode succeed"), lists(2, "a createNode succeed", "b createNode succeed")}},
			watcher.Succeeded, "2 of 2 nodes succeeded", 30 * s, watcher.Counts{Total: 2, Succeeded: 2}},
		{"an item of another action is another", nil, [][]wakeup{{
			lists(1, "a createNode failed"), lists(1, "a deleteNode succeed"), lists(1, "a deleteNode succeed")}},
			watcher.PartiallyFailed, "1 of 2 nodes failed (no longer listed)", 20 * s, watcher.Counts{Total: 2, Succeeded: 1, Failed: 1, Missing: 1}},
		{"an item without its action, once", nil, [][]wakeup{{
			lists(2, "a createNode failed", "b createNode processing"), {answer: watcher.Answer{Count: 1, Items: []watcher.Item{{ResourceName: "b", Status: processing}}}},
			lists(2, "a createNode failed", "b createNode succeed"), lists(2, "a createNode failed", "b createNode succeed")}},
			watcher.PartiallyFailed, "1 of 2 nodes failed", 20 * s, watcher.Counts{Total: 2, Succeeded: 1, Failed: 1}},
		{"two items share a name, and the failed one vanishes", nil, [][]wakeup{{
			lists(2, "a createNode failed", "a createNode succeed"), lists(1, "a createNode succeed"), lists(1, "a createNode succeed")}},
			watcher.PartiallyFailed, "1 of 2 nodes failed (no longer listed)", 20 * s, watcher.Counts{Total: 2, Succeeded: 1, Failed: 1, Missing: 1}},
		{"two items share a name, and change places", nil, [][]wakeup{{
			lists(2, "a createNode failed 10", "a createNode succeed 20"), lists(2, "a createNode succeed 20", "a createNode failed 10")}},
			watcher.PartiallyFailed, "1 of 2 nodes failed", 10 * s, watcher.Counts{Total: 2, Succeeded: 1, Failed: 1}},
		{"two items share a name, and one ends", nil, [][]wakeup{{
			lists(3, "a createNode failed 10", "a createNode processing", "b createNode processing"),
			lists(3, "a createNode succeed 30", "a createNode failed 10", "b createNode succeed 30"), lists(3, "a createNode succeed 30", "a createNode failed 10", "b createNode succeed 30")}},
			watcher.PartiallyFailed, "1 of 3 nodes failed", 15 * s, watcher.Counts{Total: 3, Succeeded: 2, Failed: 1}},
		{"an item without its action is none of two that share its name", ask(func(a *watcher.Ask) { a.Timeout = m }), [][]wakeup{
			{lists(2, "a createNode failed", "a deleteNode processing")}, times(7, wakeup{answer: watcher.Answer{Count: 1, Items: []watcher.Item{{ResourceName: "a", Status: succeed}}}})},
			watcher.TimedOut, "after 1m: 2 of 3 items ended (1 no longer listed), 1 no longer listed: deleteNode a, last seen processing, missing since 2025-04-10T11:49:55Z", m,
			watcher.Counts{Total: 3, Succeeded: 1, Failed: 1, Processing: 1, Missing: 2}},
		{"items without a name", nil, [][]wakeup{{
			lists(2, "- createNode failed", "- createNode processing"),
			lists(2, "- createNode succeed", "- createNode succeed"), lists(2, "- createNode succeed", "- createNode succeed")}},
			watcher.PartiallyFailed, "1 of 3 nodes failed (no longer listed)", 15 * s, watcher.Counts{Total: 3, Succeeded: 2, Failed: 1, Missing: 1}},

		// Items that had not ended.
		{"C5: the list shrinks to what has ended", ask(func(a *watcher.Ask) { a.Timeout = 20 * m }), [][]wakeup{
			{lists(4, "a createNode succeed", "b createNode processing", "c createNode processing", "d createNode processing")},
			times(27, lists(1, "a createNode succeed"))},
			watcher.TimedOut, "after 20m: 1 of 4 nodes ended, 3 no longer listed: createNode b, last seen processing, missing since 2025-04-10T11:49:55Z; createNode c, last seen processing, missing since 2025-04-10T11:49:55Z; createNode d, last seen processing, missing since 2025-04-10T11:49:55Z",
			20 * m, watcher.Counts{Total: 4, Succeeded: 1, Processing: 3, Missing: 3}},
		{"an item is renamed", nil, [][]wakeup{{
			lists(2, "a createNode succeed", "b createNode processing"),
			lists(2, "a createNode succeed", "b-1 createNode processing"),
			lists(2, "a createNode succeed", "b-1 createNode succeed"), lists(2, "a createNode succeed", "b-1 createNode succeed")}},
			watcher.Succeeded, "2 of 2 nodes succeeded", 22500 * time.Millisecond, watcher.Counts{Total: 2, Succeeded: 2}},
		{"an item is replaced later", nil, [][]wakeup{{
			lists(2, "a createNode succeed", "b createNode processing"), lists(1, "a createNode succeed"), lists(1, "a createNode succeed"),
			lists(2, "a createNode succeed", "b-1 createNode succeed"), lists(2, "a createNode succeed", "b-1 createNode succeed")}},
			watcher.Succeeded, "2 of 2 nodes succeeded", 27500 * time.Millisecond, watcher.Counts{Total: 2, Succeeded: 2}},
		{"count grew: another item, not the same", ask(func(a *watcher.Ask) { a.Timeout = m }), [][]wakeup{
			{lists(2, "a createNode succeed", "b createNode processing")},
			times(7, lists(3, "a createNode succeed", "c createNode succeed"))},
			watcher.TimedOut, "after 1m: 2 of 3 nodes ended, 1 no longer listed: createNode b, last seen processing, missing since 2025-04-10T11:49:55Z", m,
			watcher.Counts{Total: 3, Succeeded: 2, Processing: 1, Missing: 1}},
		{"what was still to be listed takes no place", ask(func(a *watcher.Ask) { a.Timeout = m }), [][]wakeup{
			{lists(2, "a createNode processing"), lists(2, "b createNode succeed")}, times(7, lists(1, "b createNode succeed"))},
			watcher.TimedOut, "after 1m: 1 of 2 nodes ended, 1 no longer listed: createNode a, last seen processing, missing since 2025-04-10T11:49:55Z", m,
			watcher.Counts{Total: 2, Succeeded: 1, Processing: 1, Missing: 1}},
		{"an item of another action takes no place", ask(func(a *watcher.Ask) { a.Timeout = m }), [][]wakeup{
			{lists(1, "b createNode processing")}, times(7, lists(1, "b createPool succeed"))},
			watcher.TimedOut, "after 1m: 1 of 2 items ended, 1 no longer listed: createNode b, last seen processing, missing since 2025-04-10T11:49:55Z", m,
			watcher.Counts{Total: 2, Succeeded: 1, Processing: 1, Missing: 1}},
		{"one takes the place of one", ask(func(a *watcher.Ask) { a.Timeout = m }), [][]wakeup{
			{lists(2, "a createNode processing", "b createNode processing")}, times(7, lists(1, "c createNode succeed"))},
			watcher.TimedOut, "after 1m: 1 of 2 nodes ended, 1 no longer listed: createNode b, last seen processing, missing since 2025-04-10T11:49:55Z", m,
			watcher.Counts{Total: 2, Succeeded: 1, Processing: 1, Missing: 1}},
		{"a node that is deleted", nil, [][]wakeup{
			{lists(2, "a deleteNode processing", "b deleteNode processing"), lists(1, "b deleteNode succeed")},
			times(20, lists(1, "b deleteNode succeed"))},
			watcher.Succeeded, "2 of 2 nodes deleted (1 no longer listed since 2025-04-10T11:49:55Z, taken for deleted)", 0,
			watcher.Counts{Total: 2, Succeeded: 2, Missing: 1}},
		{"expected items are not met by one that vanished", ask(func(a *watcher.Ask) { a.Timeout, a.ExpectedItems = m, 2 }), [][]wakeup{
			{lists(2, "a createNode succeed", "b createNode processing")}, times(7, lists(1, "a createNode succeed"))},
			watcher.TimedOut, "after 1m: 1 of 2 nodes ended, 1 no longer listed: createNode b, last seen processing, missing since 2025-04-10T11:49:55Z", m,
			watcher.Counts{Total: 2, Succeeded: 1, Processing: 1, Missing: 1}},
		{"expected items are met by one that ended and vanished", ask(func(a *watcher.Ask) { a.ExpectedItems = 2 }), [][]wakeup{
			{lists(3, "a createNode succeed"), lists(1, "b createNode succeed")}},
			watcher.Succeeded, "2 of 2 nodes succeeded (1 no longer listed)", 5 * s, watcher.Counts{Total: 2, Succeeded: 2, Missing: 1}},

		// Orders that are gone.
		{"C9: the list becomes empty", nil, [][]wakeup{{lists(2, "a createNode succeed", "b createNode succeed")}, times(8, none)},
			watcher.Succeeded, "2 of 2 nodes succeeded (no longer listed; ModelArts lists none since 2025-04-10T11:50:00Z)", 2*m + 10*s, watcher.Counts{Total: 2, Succeeded: 2, Missing: 2}},
		{"C10: it had looked ended, and is not known", nil, [][]wakeup{{lists(1, "a createNode succeed")}, times(8, gone)},
			watcher.Succeeded, "1 of 1 node succeeded (no longer listed; ModelArts lists none since 2025-04-10T11:50:00Z)", 2*m + 10*s, watcher.Counts{Total: 1, Succeeded: 1, Missing: 1}},
		{"C11: a pool is deleted, and with it the order", nil, [][]wakeup{{lists(1, "a deletePool processing")}, times(8, gone)},
			watcher.Succeeded, "1 of 1 pool deleted (no longer listed since 2025-04-10T11:49:55Z, taken for deleted)", 2*m + 5*s, watcher.Counts{Total: 1, Succeeded: 1, Missing: 1}},
		{"errors at the look that settles are tried again", nil, [][]wakeup{{lists(1, "a createNode succeed"), fails(errDown), fails(throttled), fails(errDown), lists(1, "a createNode succeed")}},
			watcher.Succeeded, "1 of 1 node succeeded", 0, watcher.Counts{Total: 1, Succeeded: 1}},
		{"seen open, and then not known", nil, [][]wakeup{{lists(2, "a createNode succeed", "b createNode processing")}, times(8, gone)},
			watcher.OrderNotFound, "the order was seen until 2025-04-10T11:49:50Z and is gone since 2025-04-10T11:49:55Z: 1 of 2 nodes ended (1 no longer listed), 1 no longer listed: createNode b, last seen processing, missing since 2025-04-10T11:49:55Z", 2*m + 5*s,
			watcher.Counts{Total: 2, Succeeded: 1, Processing: 1, Missing: 2}},
		{"seen in part, and then not known", nil, [][]wakeup{{lists(3, "a createNode succeed")}, times(8, gone)},
			watcher.OrderNotFound, "the order was seen until 2025-04-10T11:49:50Z and is gone since 2025-04-10T11:49:55Z: 1 of 3 items ended (1 no longer listed), 2 not created yet", 2*m + 5*s,
			watcher.Counts{Total: 3, Succeeded: 1, Missing: 1}},
		{"an order with a failed item is gone", nil, [][]wakeup{{lists(2, "a deleteNode failed", "b deleteNode processing")}, times(8, gone)},
			watcher.PartiallyFailed, "1 of 2 nodes not deleted (no longer listed; 1 no longer listed since 2025-04-10T11:49:55Z, taken for deleted)", 2*m + 5*s,
			watcher.Counts{Total: 2, Succeeded: 1, Failed: 1, Missing: 2}},
		{"it is not known once", nil, [][]wakeup{{lists(2, "a createNode succeed", "b createNode processing"), gone, lists(2, "a createNode succeed", "b createNode succeed"), lists(2, "a createNode succeed", "b createNode succeed")}},
			watcher.Succeeded, "2 of 2 nodes succeeded", 20 * s, watcher.Counts{Total: 2, Succeeded: 2}},
		{"count is there, the list is empty", ask(func(a *watcher.Ask) { a.Timeout = m }), [][]wakeup{{lists(2, "a createNode succeed")}, times(7, none)},
			watcher.TimedOut, "after 1m: 1 of 2 items ended (1 no longer listed), 1 not created yet", m, watcher.Counts{Total: 2, Succeeded: 1, Missing: 1}},
		{"the deadline comes while an order that had ended is gone", ask(func(a *watcher.Ask) { a.Timeout = 30 * s }), [][]wakeup{{lists(1, "a createNode failed"), gone, gone, gone, gone}},
			watcher.AllFailed, "1 of 1 node failed (no longer listed; ModelArts lists none since 2025-04-10T11:50:00Z)", 30 * s, watcher.Counts{Total: 1, Failed: 1, Missing: 1}},

		// Answers that are behind.
		{"an older answer changes no item", nil, [][]wakeup{{
			lists(2, "a createNode failed 60", "b createNode processing 10"), lists(2, "a createNode processing 30", "b createNode succeed 70"), lists(2, "a createNode processing 30", "b createNode succeed 70")}},
			watcher.PartiallyFailed, "1 of 2 nodes failed", 15 * s, watcher.Counts{Total: 2, Succeeded: 1, Failed: 1}},
		{"a renamed item under its earlier name, once", nil, [][]wakeup{{
			lists(1, "a createNode processing"), lists(1, "b createNode succeed"), lists(1, "a createNode processing"), lists(1, "b createNode succeed"), lists(1, "b createNode succeed")}},
			watcher.Succeeded, "1 of 1 node succeeded", 0, watcher.Counts{Total: 1, Succeeded: 1}},
		{"a renamed item that gets its earlier name back", nil, [][]wakeup{{
			lists(1, "a createNode processing"), lists(1, "b createNode processing"), lists(1, "a createNode succeed"), lists(1, "a createNode succeed"), lists(1, "a createNode succeed")}},
			watcher.Succeeded, "1 of 1 node succeeded", 0, watcher.Counts{Total: 1, Succeeded: 1}},
		{"the API's clock is ahead, once", nil, [][]wakeup{{
			lists(1, "a createNode processing 3500"), lists(1, "a createNode succeed 60"), lists(1, "a createNode succeed 60")}},
			watcher.Succeeded, "1 of 1 node succeeded", 15 * s, watcher.Counts{Total: 1, Succeeded: 1}},
		{"refused at the look that settles", nil, [][]wakeup{{lists(1, "a createNode succeed"), fails(refused)}},
			watcher.Succeeded, "1 of 1 node succeeded", 10 * s, watcher.Counts{Total: 1, Succeeded: 1}},
		{"a time that cannot be true proves nothing", nil, [][]wakeup{{
			lists(1, "a createNode processing 90000"), lists(1, "a createNode succeed 30"), lists(1, "a createNode succeed 30")}},
			watcher.Succeeded, "1 of 1 node succeeded", 15 * s, watcher.Counts{Total: 1, Succeeded: 1}},
		{"one answer of a server that is behind", nil, [][]wakeup{{
			lists(2, "a createNode succeed 10", "b createNode processing 20"), lists(1, "a createNode processing 5"),
			lists(2, "a createNode succeed 10", "b createNode succeed 40"), lists(2, "a createNode succeed 10", "b createNode succeed 40")}},
			watcher.Succeeded, "2 of 2 nodes succeeded", 20 * s, watcher.Counts{Total: 2, Succeeded: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := request("build-1")
			if tt.ask != nil {
				tt.ask(&asked)
			}
			w := admit(t, policy(), asked)
			for _, k := range slices.Concat(tt.wakeups...) {
				if w.State != watcher.Watching {
					break
				}
				w = wake(t, policy(), w, k)
			}
			c := w.Completion
			if c == nil {
				t.Fatalf("goes on: counts %+v, missing %+v", w.Counts, w.Missing)
			}
			if c.Outcome != tt.outcome || c.Reason != tt.reason || c.Counts != tt.counts {
				t.Errorf("got  %s: %s %+v\nwant %s: %s %+v", c.Outcome, c.Reason, c.Counts, tt.outcome, tt.reason, tt.counts)
			}
			if got := c.CompletedAt.Sub(c.AcceptedAt); tt.after > 0 && got != tt.after {
				t.Errorf("ended after %s, want %s", got, tt.after)
			}
			if len(c.Items) != c.Counts.Succeeded+c.Counts.Failed+c.Counts.Processing {
				t.Errorf("%d items of %+v", len(c.Items), c.Counts)
			}
		})
	}
}

// A worker of the release before keeps what it does not know, and lists what the order shows: what it found
// listed again is not missing, also where it was missing before.
func TestAWorkerOfTheReleaseBeforePolled(t *testing.T) {
	p := policy()
	w := admit(t, p, request("build-1"))
	for _, k := range []wakeup{lists(2, "a createNode succeed", "b createNode processing"), lists(1, "a createNode succeed"), lists(1, "a createNode succeed")} {
		w = wake(t, p, w, k)
	}
	if len(w.Missing) != 1 {
		t.Fatalf("missing %+v", w.Missing)
	}
	w.Polls++ // what that release does with an answer that lists both
	w.Wakeup++
	w.Items = append(w.Items, watcher.SeenItem{ResourceName: "b", Action: "createNode", Status: processing})
	w.Counts = watcher.Counts{Total: 2, Succeeded: 1, Processing: 1}
	w = wake(t, p, stored(t, w, p.MaxPayload), lists(2, "a createNode succeed", "b createNode succeed"))
	w = wake(t, p, w, lists(2, "a createNode succeed", "b createNode succeed"))
	if w.State != watcher.Ending || w.Completion.Outcome != watcher.Succeeded || w.Completion.Counts != (watcher.Counts{Total: 2, Succeeded: 2}) {
		t.Errorf("state %s, missing %+v, counts %+v", w.State, w.Missing, w.Counts)
	}
}

// A worker may be a little behind the server's clock, by which requests are received. A watch does not end
// before any of its requests was received.
func TestCompletedAtIsNotBeforeReceivedAt(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name          string
		first, second time.Duration // when the requests were received, after the worker's time of the end
		completed     time.Duration
	}{
		{"both before", -2 * time.Second, -time.Second, 0},
		{"the first is that of an order that had ended", 2 * ms, -time.Second, 2 * ms},
		{"the second joined just now", -time.Second, 2 * ms, 2 * ms},
		{"within the same millisecond", -time.Second, ms / 2, ms},
		{"both", 3 * ms, 1500 * time.Microsecond, 3 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, end := policy(), begin.Add(time.Minute)
			w := admit(t, p, request("build-1"))
			w.Requests = []watcher.Request{{ID: "build-1", ReceivedAt: end.Add(tt.first)}, {ID: "build-2", ReceivedAt: end.Add(tt.second)}}
			w.Wish = &watcher.Wish{By: "ada", At: end}
			w, ok := p.Before(w, watcher.Leave{}, end)
			if !ok || w.Completion == nil {
				t.Fatal("not ended")
			}
			if got := w.Completion.CompletedAt.Sub(end); got != tt.completed {
				t.Errorf("completed %s after the worker's time; want %s", got, tt.completed)
			}
		})
	}
}
