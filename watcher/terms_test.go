package watcher_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// of is a team's request.
func of(team, id string, expected int, timeout time.Duration) watcher.Ask {
	ask := request(id)
	ask.Request.Team, ask.ExpectedItems, ask.Timeout = team, expected, timeout
	return ask
}

// TestTermsOfEach lets requests with their own terms share a watch. Each is answered by its terms.
func TestTermsOfEach(t *testing.T) {
	const hour = time.Hour
	ends := func(after time.Duration, statuses ...watcher.Status) func(time.Duration) (watcher.Answer, error) {
		return func(since time.Duration) (watcher.Answer, error) {
			if since < after {
				return answer(2, succeed, processing), nil
			}
			return answer(len(statuses), statuses...), nil
		}
	}
	tests := []struct {
		name  string
		order func(time.Duration) (watcher.Answer, error)
		asks  []watcher.Ask
		want  []string // completions: outcome, minutes after the beginning, requests, how many are left
	}{
		{"a longer timeout postpones nobody", ends(hour, succeed, succeed),
			[]watcher.Ask{of("", "a", 0, 5*time.Minute), of("", "b", 0, 90*time.Minute)},
			[]string{"timed_out 5 a 1", "succeeded 60 b 0"}},
		{"more expected items postpone nobody", ends(10*time.Minute, succeed, succeed),
			[]watcher.Ask{of("", "a", 2, hour), of("", "b", 5, hour), of("", "c", 0, hour)},
			[]string{"succeeded 10 a 2", "succeeded 10 c 1", "timed_out 60 b 0"}},
		{"what failed answers those whose items are there", ends(10*time.Minute, succeed, failed),
			[]watcher.Ask{of("", "a", 2, hour), of("", "b", 5, hour), of("", "c", 0, hour)},
			[]string{"partially_failed 10 a 2", "partially_failed 10 c 1", "timed_out 60 b 0"}},
		{"a join that expects little brings on nobody's failure", func(since time.Duration) (watcher.Answer, error) {
			if since < 5*time.Minute {
				return answer(1, failed), nil
			}
			return answer(3, failed, succeed, succeed), nil
		},
			[]watcher.Ask{of("x", "a", 3, hour), of("y", "b", 1, hour), of("y", "c", 0, time.Second)},
			[]string{"failed 0 y\tb 2", "failed 0 y\tc 1", "partially_failed 5 x\ta 0"}},
		{"deadlines one after the other", ends(hour, succeed, succeed),
			[]watcher.Ask{of("", "a", 0, 9*time.Minute), of("", "b", 0, 3*time.Minute), of("", "c", 0, 9*time.Minute), of("", "d", 0, 9*time.Minute+time.Second)},
			[]string{"timed_out 3 b 3", "timed_out 9 a,c 1", "timed_out 9 d 0"}},
		{"an unknown order answers all", func(time.Duration) (watcher.Answer, error) { return watcher.Answer{}, notFound },
			[]watcher.Ask{of("", "a", 0, hour), of("", "b", 5, 90*time.Second)},
			[]string{"timed_out 1 b 1", "not_found 2 a 0"}},
		{"one id of two teams", ends(10*time.Minute, succeed, succeed),
			[]watcher.Ask{of("x", "a", 2, hour), of("y", "a", 2, hour), of("", "a", 2, hour), of("x", "a", 2, hour)},
			[]string{"succeeded 10 x\ta,y\ta,a 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newWorld(t)
			m.order = tt.order
			for _, ask := range tt.asks {
				m.ask(ask, 0)
			}
			m.run()
			var got []string
			for _, c := range m.completions {
				var ids []string
				for _, r := range c.Requests {
					ids = append(ids, r.Identity())
				}
				got = append(got, fmt.Sprint(c.Outcome, " ", int(c.CompletedAt.Sub(begin).Minutes()), " ", strings.Join(ids, ","), " ", c.RequestsLeft))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("completions %q; want %q", got, tt.want)
			}
			if w := m.record(); w.State != watcher.Ended || w.Schema != 1 && w.Completion.Requests[0].Team == "" {
				t.Errorf("the record is %s, schema %d", w.State, w.Schema)
			}
		})
	}
}

// TestAShortJoinTellsNobodyAnew lets requests join for a minute, again and again, while an order stands still that people
// were told of: they are not told again of what goes on.
func TestAShortJoinTellsNobodyAnew(t *testing.T) {
	m := newWorld(t)
	m.order = func(time.Duration) (watcher.Answer, error) { return answer(2, succeed, processing), nil }
	m.ask(of("x", "a", 0, 2*time.Hour), 0)
	for i := range 5 {
		m.ask(of("y", fmt.Sprint("b", i), 0, time.Minute), time.Duration(25+10*i)*time.Minute)
	}
	m.run()
	told := make(map[watcher.AttentionKind]int)
	for _, a := range m.attended {
		told[a.Kind]++
	}
	if len(m.completions) != 6 || told[watcher.Stalled] != 1 || told[watcher.DeadlineNear] != 1 || len(told) != 2 {
		t.Errorf("%d watches, people were told %v; want once that it stands still, and once that it ends soon", len(m.completions), told)
	}
}

// ask stores a request in the queue.
func (m *world) ask(ask watcher.Ask, at time.Duration) {
	ask.Request.ReceivedAt = begin.Add(at)
	d := &delivery{request: ask.Request.ID, at: begin.Add(at)}
	d.take = func(attempt int) watcher.Verdict {
		ask.WatchID = fmt.Sprintf("w_%s_%d", m.now.Format("150405.000"), attempt)
		return m.intake().Take(m.t.Context(), ask)
	}
	m.queue = append(m.queue, d)
}

// TestCancelOfATeam cancels what two teams share.
func TestCancelOfATeam(t *testing.T) {
	m := newWorld(t)
	for i, team := range []string{"x", "y", ""} {
		m.ask(of(team, "a", 0, time.Hour), time.Duration(i)*time.Millisecond)
	}
	for range 5 {
		m.runOne()
	}
	cancel := func(team string) (watcher.Watch, error) {
		return m.intake().Cancel(t.Context(), pool, watcher.Wish{Team: team, By: "ada of " + team})
	}
	before := m.record()
	if _, err := cancel("z"); !errors.Is(err, watcher.ErrNoRecord) || m.record().Wish != nil {
		t.Errorf("a team without a request there: %v", err)
	}
	for _, team := range []string{"x", "x", "y"} {
		if w, err := cancel(team); err != nil || w.ID != before.ID || w.Wish.Team != "x" || team == "y" && len(w.Wishes) != 1 {
			t.Errorf("cancel of %s: %v, %+v", team, err, w.Wish)
		}
	}
	if encoded, err := watcher.EncodeWatch(m.record(), 1<<20); err != nil || !strings.HasPrefix(string(encoded), `{"schema":2`) {
		t.Errorf("a worker of the release before would cancel all: %.20s, %v", encoded, err)
	}
	m.run()
	var got []string
	for _, c := range m.completions {
		got = append(got, fmt.Sprint(c.Outcome, " ", len(c.Requests), c.Requests[0].Team, " ", c.Reason))
	}
	if len(got) != 3 || got[0] != "cancelled 1x cancelled by team x, by its own word ada of x" || got[1] != "cancelled 1y cancelled by team y, by its own word ada of y" || !strings.HasPrefix(got[2], "timed_out 1 after 1h") {
		t.Errorf("%q", got)
	}
	if _, err := cancel("z"); !errors.Is(err, watcher.ErrNoRecord) {
		t.Errorf("a team without a request in what has ended: %v", err)
	}
	if _, err := cancel(""); !errors.Is(err, watcher.ErrOver) {
		t.Errorf("what has ended: %v", err)
	}
}

// TestTermsOfTheReleaseBefore reads a record whose requests have no terms: they have the watch's, also when others join.
func TestTermsOfTheReleaseBefore(t *testing.T) {
	p := policy()
	w := joined(t, p, admit(t, p, request("build-1")), request("build-2"))
	for i := range w.Requests {
		w.Requests[i].Deadline, w.Requests[i].ExpectedItems = time.Time{}, 0
	}
	w.ExpectedItems, w.Deadline = 3, begin.Add(time.Hour)
	w = joined(t, p, stored(t, w, p.MaxPayload), of("", "build-3", 1, 4*time.Hour))
	for i, want := range []struct {
		deadline time.Duration
		expected int
	}{{time.Hour, 3}, {time.Hour, 3}, {4 * time.Hour, 1}} {
		if r := w.Requests[i]; r.Deadline.Sub(begin) != want.deadline || r.ExpectedItems != want.expected {
			t.Errorf("%s: deadline after %s, expects %d", r.ID, r.Deadline.Sub(begin), r.ExpectedItems)
		}
	}
	// What a worker of the release before goes by.
	if w.Deadline.Sub(begin) != 4*time.Hour || w.ExpectedItems != 3 || w.Schema != 1 {
		t.Errorf("the watch's deadline after %s, %d items, schema %d", w.Deadline.Sub(begin), w.ExpectedItems, w.Schema)
	}
}

// TestAnEndingRecordFits ends watches of many items, for some of many large requests: the record with the completion
// and what goes on fits into a message, and both keep their requests whole while the server's limit stays.
func TestAnEndingRecordFits(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t) // megabytes of JSON
	for _, payload := range []int{watcher.MinPayload, 1 << 20, 8 << 20} {
		for _, answered := range []int{1, 20, 1000} {
			p := policy()
			p.MaxPayload = payload
			w := admit(t, p, of("", "build-0", 0, time.Hour))
			for i := 1; ; i++ {
				ask := largest(fmt.Sprint("build-", i))
				if ask.Timeout = 2 * time.Hour; i < answered {
					ask.Timeout = time.Hour
				}
				admission, next, _ := p.Admit(&w, ask, begin)
				if admission != watcher.Join {
					break
				}
				w = next
			}
			total := len(w.Requests)
			shown := crowd(20000, processing, "", strings.Repeat("flavor sold out ", 125))
			w, _ = p.Fold(w, shown, nil, begin.Add(time.Minute))
			w = stored(t, w, payload)
			w, _ = p.Fold(w, shown, nil, begin.Add(time.Hour))
			encoded, err := watcher.EncodeWatch(w, payload)
			if err != nil || len(encoded) > payload-4<<10 {
				t.Errorf("max_payload %d, %d answered: %d bytes, %v", payload, answered, len(encoded), err)
			}
			if w.Completion.Outcome != watcher.TimedOut || len(w.Completion.Requests)+len(w.Requests) != total {
				t.Errorf("max_payload %d: %s answers %d, and leaves %d of %d", payload, w.Completion.Outcome, len(w.Completion.Requests), len(w.Requests), total)
			}
			for _, r := range append(slices.Clone(w.Completion.Requests), w.Requests...) {
				if payload <= 1<<20 && r.ID != "build-0" && len(r.Labels) == 0 { // beyond that a record may lose them, see EncodeWatch
					t.Fatalf("max_payload %d, %d answered: %s has lost its labels", payload, answered, r.ID)
				}
			}
			if lowered, err := watcher.EncodeWatch(w, watcher.MinPayload); err != nil || len(lowered) > watcher.MinPayload-4<<10 {
				t.Errorf("max_payload %d lowered to the least: %d bytes, %v", payload, len(lowered), err)
			}
		}
	}
}
