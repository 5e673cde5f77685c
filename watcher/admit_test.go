package watcher_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// cancelled returns the record of a watch that was ended without a poll.
func cancelled(t testing.TB, p watcher.Policy, w watcher.Watch, state watcher.State) watcher.Watch {
	t.Helper()
	w.Wish = &watcher.Wish{By: "ada"}
	w, ok := p.Before(w, watcher.Leave{}, w.NextPollAt)
	if !ok {
		t.Fatal("a wish did not end the watch")
	}
	w.State = state
	return stored(t, w, p.MaxPayload)
}

func TestAdmitStarts(t *testing.T) {
	p := policy()
	ask := request("build-1")
	ask.ExpectedItems, ask.Region = 4, "cn-east-3"
	now := begin.Add(time.Minute)
	admission, w, err := p.Admit(nil, ask, now)
	if admission != watcher.Start || err != nil {
		t.Fatalf("admission %d, %v", admission, err)
	}
	if w.State != watcher.Watching || w.Schema != 1 || w.ID != "w_1" || w.Order != pool || w.Region != "cn-east-3" || w.ExpectedItems != 4 {
		t.Errorf("record %+v", w)
	}
	if !w.AcceptedAt.Equal(begin) || !w.Deadline.Equal(begin.Add(2*time.Hour)) {
		t.Errorf("accepted %s, deadline %s: both are counted from when the request was stored", w.AcceptedAt, w.Deadline)
	}
	if w.Wakeup != 1 || !w.NextPollAt.Equal(now) {
		t.Errorf("wake-up %d due %s", w.Wakeup, w.NextPollAt)
	}
	if w := admit(t, p, request("build-1")); w.Region != p.DefaultRegion {
		t.Errorf("region %q of a request that names none", w.Region)
	}
}

func TestAdmitJoins(t *testing.T) {
	p := policy()
	tests := []struct {
		name     string
		ask      func(*watcher.Ask)
		deadline time.Duration // from begin
		expected int
	}{
		{"nothing asked", func(*watcher.Ask) {}, 2 * time.Hour, 3},
		{"stored later", func(a *watcher.Ask) { a.Request.ReceivedAt = begin.Add(time.Minute) }, 2*time.Hour + time.Minute, 3},
		{"a longer timeout", func(a *watcher.Ask) { a.Timeout = 3 * time.Hour }, 3 * time.Hour, 3},
		{"a shorter timeout", func(a *watcher.Ask) { a.Timeout = time.Second }, 2 * time.Hour, 3},
		{"more items", func(a *watcher.Ask) { a.ExpectedItems = 5 }, 2 * time.Hour, 5},
		{"fewer items", func(a *watcher.Ask) { a.ExpectedItems = 1 }, 2 * time.Hour, 3},
		{"the watch's region", func(a *watcher.Ask) { a.Region = p.DefaultRegion }, 2 * time.Hour, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first := request("build-1")
			first.ExpectedItems = 3
			record := admit(t, p, first)
			second := request("build-2")
			second.WatchID = "w_2"
			tt.ask(&second)
			admission, w, err := p.Admit(&record, second, begin)
			if admission != watcher.Join || err != nil {
				t.Fatalf("admission %d, %v", admission, err)
			}
			if got := w.Deadline.Sub(begin); got != tt.deadline || w.ExpectedItems != tt.expected {
				t.Errorf("deadline after %s, %d items expected", got, w.ExpectedItems)
			}
			if w.ID != "w_1" || len(w.Requests) != 2 || w.Requests[1].ID != "build-2" || w.Wakeup != record.Wakeup {
				t.Errorf("record %+v", w)
			}
			if len(record.Requests) != 1 {
				t.Error("the record given was changed")
			}
		})
	}
}

// A join during the settling may ask for items that are not there.
func TestAdmitRaisesExpectedItemsWhileItSettles(t *testing.T) {
	p := policy()
	w := wake(t, p, admit(t, p, request("build-1")), shows(1, succeed))
	ask := request("build-2")
	ask.ExpectedItems = 2
	_, w, _ = p.Admit(&w, ask, begin)
	w = wake(t, p, w, shows(1, succeed))
	w = wake(t, p, w, wakeup{answer: answer(1, succeed), late: 3 * time.Hour})
	if w.State != watcher.Ending || w.Completion.Outcome != watcher.TimedOut {
		t.Errorf("state %s", w.State)
	}
}

func TestAdmitRepeats(t *testing.T) {
	p := policy()
	again := request("build-1")
	again.WatchID, again.Region, again.Request.ReceivedAt = "w_9", "cn-east-3", begin.Add(time.Hour)

	watching := admit(t, p, request("build-1"))
	ended := cancelled(t, p, watching, watcher.Ended)
	second := request("build-2")
	second.WatchID = "w_2"
	_, next, _ := p.Admit(&ended, second, begin)
	nextEnded := cancelled(t, p, next, watcher.Ended)
	third := request("build-3")
	third.WatchID = "w_3"
	_, twoLater, _ := p.Admit(&nextEnded, third, begin)

	for name, record := range map[string]watcher.Watch{
		"its own watch":                   watching,
		"its own watch, ending":           cancelled(t, p, watching, watcher.Ending),
		"its own watch, ended":            ended,
		"the next watch":                  next,
		"the next watch, ending":          cancelled(t, p, next, watcher.Ending),
		"the next watch, ended":           nextEnded,
		"the watch after the next":        twoLater,
		"the watch after the next, ended": cancelled(t, p, twoLater, watcher.Ended),
	} {
		admission, w, err := p.Admit(&record, again, begin)
		if admission != watcher.Repeat || err != nil || w.ID != record.ID || w.Wakeup != record.Wakeup {
			t.Errorf("%s: admission %d, %v, watch %s", name, admission, err, w.ID)
		}
	}
}

func TestAdmitStartsAnewAfterTheEnd(t *testing.T) {
	p := policy()
	old := wake(t, p, admit(t, p, request("build-1")), shows(2, succeed, failed))
	ended := cancelled(t, p, old, watcher.Ended)
	ask := request("build-2")
	ask.WatchID = "w_2"
	admission, w, err := p.Admit(&ended, ask, begin)
	if admission != watcher.Start || err != nil {
		t.Fatalf("admission %d, %v", admission, err)
	}
	if w.ID != "w_2" || w.State != watcher.Watching || w.Completion != nil || w.Wish != nil || len(w.Items) != 0 || w.Polls != 0 || w.Counts != (watcher.Counts{}) || w.After != 0 {
		t.Errorf("the new watch has something of the old: %+v", w)
	}
	if w.Wakeup != ended.Wakeup+1 {
		t.Errorf("wake-up %d after %d: a wake-up of the old watch must not look newer", w.Wakeup, ended.Wakeup)
	}
	if !slices.Equal(w.Earlier, []string{"build-1"}) || len(w.Requests) != 1 {
		t.Errorf("requests %+v, earlier %v", w.Requests, w.Earlier)
	}
}

func TestAdmitDefersWhileEnding(t *testing.T) {
	p := policy()
	record := cancelled(t, p, admit(t, p, request("build-1")), watcher.Ending)
	ask := request("build-2")
	ask.Region = "elsewhere"
	if admission, w, err := p.Admit(&record, ask, begin); admission != watcher.Defer || err != nil || w.State != watcher.Ending {
		t.Errorf("admission %d, %v, state %s", admission, err, w.State)
	}
}

func TestAdmitDefersTheRequestAfterTheLast(t *testing.T) {
	watchertest.Unraced(t)
	p := policy()
	w := admit(t, p, request("build-0"))
	for i := 1; i < 1000; i++ {
		w = joined(t, p, w, request(fmt.Sprint("build-", i)))
	}
	if admission, same, err := p.Admit(&w, request("build-1000"), begin); admission != watcher.Defer || err != nil || len(same.Requests) != 1000 {
		t.Errorf("request 1001: admission %d, %v, %d requests", admission, err, len(same.Requests))
	}
	if admission, _, _ := p.Admit(&w, request("build-999"), begin); admission != watcher.Repeat {
		t.Errorf("request 1000 again: admission %d", admission)
	}
	ended := cancelled(t, p, w, watcher.Ended)
	if admission, _, _ := p.Admit(&ended, request("build-1000"), begin); admission != watcher.Start {
		t.Errorf("request 1001 after the end: admission %d", admission)
	}
}

func joined(t testing.TB, p watcher.Policy, w watcher.Watch, ask watcher.Ask) watcher.Watch {
	t.Helper()
	admission, w, err := p.Admit(&w, ask, begin)
	if admission != watcher.Join || err != nil {
		t.Fatalf("admission %d, %v", admission, err)
	}
	return w
}

// TestAdmitLeavesRoomForOtherTeams lets teams ask for one order as often as the watch takes: each leaves as much as it has
// for others. Who is no team may take all.
func TestAdmitLeavesRoomForOtherTeams(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	fill := func(p watcher.Policy, w watcher.Watch, team string, ask func(string) watcher.Ask) (watcher.Watch, int) {
		for i := 0; ; i++ {
			one := ask(fmt.Sprint("of-", team, "-", len(w.Requests)))
			one.Request.Team = team
			admission, next, err := p.Admit(&w, one, begin)
			switch {
			case err != nil || admission != watcher.Join && admission != watcher.Defer:
				t.Fatalf("admission %d, %v", admission, err)
			case admission == watcher.Defer:
				return w, i
			}
			w = next
		}
	}
	p := policy()
	w := admit(t, p, request("build-0"))
	for _, team := range []struct {
		name string
		want int
	}{{"a", 499}, {"b", 250}, {"a", 0}, {"c", 125}, {"", 125}, {"d", 0}} {
		var n int
		if w, n = fill(p, w, team.name, request); n != team.want {
			t.Errorf("team %q has %d requests let in; want %d", team.name, n, team.want)
		}
	}
	// By their size.
	for _, payload := range []int{1 << 20, 4 << 20} {
		p.MaxPayload = payload
		w, n := fill(p, admit(t, p, request("build-0")), "a", largest)
		if _, other := fill(p, w, "b", largest); n == 0 || other == 0 || other > n {
			t.Errorf("max_payload %d: %d large requests of a team, then %d of another", payload, n, other)
		}
	}
}

func TestAdmitDefersWhatIsTooLarge(t *testing.T) {
	p := policy()
	p.MaxPayload = watcher.MinPayload
	w := admit(t, p, largest("build-0"))
	for i := 1; ; i++ {
		admission, next, err := p.Admit(&w, largest(fmt.Sprint("build-", i)), begin)
		if err != nil || admission != watcher.Join && admission != watcher.Defer {
			t.Fatalf("admission %d, %v", admission, err)
		}
		encoded, err := json.Marshal(next.Requests)
		if err != nil || len(encoded) > p.MaxPayload/2 {
			t.Fatalf("%d requests have %d bytes, over half of %d (%v)", len(next.Requests), len(encoded), p.MaxPayload, err)
		}
		if admission == watcher.Defer {
			break
		}
		w = next
	}
	if len(w.Requests) == 1000 {
		t.Error("nothing was too large")
	}
}

// largest is a request of about the greatest size: each byte takes six in JSON.
func largest(id string) watcher.Ask {
	ask := request(id)
	ask.Request.Link = "https://ci.example/" + strings.Repeat("&", 1981)
	ask.Request.RequestedBy = strings.Repeat("<", 200)
	ask.Request.Labels = make(map[string]string)
	for i := range 32 {
		ask.Request.Labels[fmt.Sprint(i, strings.Repeat("\x01", 62))] = strings.Repeat("\x02", 256)
	}
	return ask
}

func TestAdmitRejectsAnotherRegion(t *testing.T) {
	p := policy()
	record := admit(t, p, request("build-1"))
	ask := request("build-2")
	ask.Region = "cn-east-3"
	admission, w, err := p.Admit(&record, ask, begin)
	field, ok := errors.AsType[*watcher.FieldError](err)
	if admission != watcher.Reject || !ok || field.Field != "region" || !strings.Contains(field.Reason, "cn-north-4") {
		t.Errorf("admission %d, %v", admission, err)
	}
	if len(w.Requests) != 1 {
		t.Errorf("requests %+v", w.Requests)
	}
}

func TestEarlierRequestsAreBounded(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	for _, maxPayload := range []int{watcher.MinPayload, 1 << 20, 8 << 20} {
		p := policy()
		p.MaxPayload = maxPayload
		id := func(watch, n int) string { return fmt.Sprint(watch, "-", n, strings.Repeat("\x01", 120)) }
		w := admit(t, p, request(id(0, 0)))
		for watch := range 3 {
			for n := 1; n < 180; n++ {
				if admission, next, _ := p.Admit(&w, request(id(watch, n)), begin); admission == watcher.Join {
					w = next
				}
			}
			ended := cancelled(t, p, w, watcher.Ended)
			ask := request(id(watch+1, 0))
			ask.WatchID = fmt.Sprint("w_", watch+2)
			last := ended.Completion.Requests[len(ended.Completion.Requests)-1].ID
			if _, w, _ = p.Admit(&ended, ask, begin); w.Earlier[len(w.Earlier)-1] != last {
				t.Error("the newest of the earlier requests is not the last")
			}
		}
		encoded, err := json.Marshal(w.Earlier)
		if err != nil || len(w.Earlier) > 2000 || len(encoded) > maxPayload/8 {
			t.Errorf("max_payload %d: %d ids in %d bytes (%v)", maxPayload, len(w.Earlier), len(encoded), err)
		}
		if len(w.Earlier) < 30 {
			t.Errorf("max_payload %d: only %d ids are remembered", maxPayload, len(w.Earlier))
		}
	}
}
