package outbox_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// An outage keeps calls from Slack until it is over.
type outage struct {
	clock *clock
	over  time.Time
	calls int
	tried map[string]bool // orders of which a post met the outage
	away  func(*http.Request) (*http.Response, error)
}

func (o *outage) RoundTrip(r *http.Request) (*http.Response, error) {
	if o.clock.Now().Before(o.over) {
		o.calls++
		if body, err := io.ReadAll(r.Body); err == nil {
			o.tried[orderOf(string(body))] = true
		}
		return o.away(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestSlackAwayForAnHour lets watches end, one a minute, while Slack is away for an hour, and some more
// afterwards. When it is back nothing is lost; each message says exactly how late it is; and they come in
// the order in which the watches ended, but for those of which nobody knows whether they were posted.
// Several workers, of which each tries, leave many of these; where Slack could not be reached at all,
// neighbours change places that are in the hands of different ones.
func TestSlackAwayForAnHour(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*clock) func(*http.Request) (*http.Response, error){
		"no connection": func(*clock) func(*http.Request) (*http.Response, error) {
			return func(*http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
			}
		},
		"503": func(*clock) func(*http.Request) (*http.Response, error) {
			return func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: io.NopCloser(strings.NewReader("<html>")), Request: r}, nil
			}
		},
		"no answer": func(c *clock) func(*http.Request) (*http.Response, error) {
			return func(r *http.Request) (*http.Response, error) {
				return nil, errors.Join(os.ErrDeadlineExceeded, c.Sleep(r.Context(), 10*time.Second))
			}
		},
	} {
		for _, workers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d workers", name, workers), func(t *testing.T) {
				t.Parallel()
				slackAway(t, away, workers, name != "no connection")
			})
		}
	}
}

func slackAway(t *testing.T, away func(*clock) func(*http.Request) (*http.Response, error), workers int, ambiguous bool) {
	o := &outage{tried: make(map[string]bool)}
	b := newBench(t, func(c *config) {
		c.HTTPClient, c.Workers = &http.Client{Transport: o}, func() int { return workers }
	})
	b.slack.AddToken(token, "chat:write", "channels:history")
	begin := b.clock.Now()
	o.clock, o.over, o.away = b.clock, begin.Add(time.Hour), away(b.clock)
	c := &consumer{bench: b}
	for i := range workers {
		c.workers = append(c.workers, b)
		if i > 0 {
			c.workers[i] = b.another()
		}
	}
	for i := range 70 { // the last ten when Slack is back
		w := order(watcher.AllFailed, 0, failure("flavor sold out in "+strings.Repeat("z", i+1), "createNode", 3))
		if i%2 == 0 {
			w = order(watcher.Succeeded, 3)
		}
		w.WatchID, w.OrderName, w.CompletedAt = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i), begin.Add(time.Duration(i)*time.Minute)
		c.events = append(c.events, &event{completion: w, due: w.CompletedAt})
	}
	c.run(begin.Add(12 * time.Hour))

	messages := b.slack.Messages("C0ONCALL")
	told, misplaced, furthest, lines, latest := 0, 0, 0, 0, [2]int{-1, -1}
	for _, m := range messages {
		posted := tsTime(t, m)
		if strings.Contains(m.Text, "told together") {
			told += digestCount(t, m)
			continue
		}
		if isLine(m) {
			lines++
			continue
		}
		told++
		var i int
		if _, err := fmt.Sscanf(orderOf(m.Text), "order.pool-%d-x", &i); err != nil {
			t.Fatalf("%q: %v", m.Text, err)
		}
		last := &latest[i%2] // failures and successes, each in their order
		if i < *last && !(ambiguous && o.tried[orderOf(m.Text)]) {
			misplaced++
			furthest = max(furthest, *last-i)
		}
		if !o.tried[orderOf(m.Text)] {
			*last = max(*last, i)
		}
		want := lateNote(posted.Sub(c.events[i].completion.CompletedAt))
		if before := lateNote(posted.Sub(c.events[i].completion.CompletedAt) - 12*time.Second); !strings.Contains(m.Text, want) && !strings.Contains(m.Text, before) || want == "" && before == "" && strings.Contains(m.Text, " late.") {
			t.Errorf("%q was posted at %s; want it %q", m.Text, posted, want)
		}
		if shown := emulator.Render(m); want != "" && !strings.Contains(shown, "delivered ") {
			t.Errorf("not said to be late:\n%s", shown)
		}
	}
	t.Logf("%d messages tell of %d watches; %d not in their place, by %d at most; %d calls while Slack was away; all told %s after it was back, %d deliveries",
		len(messages), told, misplaced, furthest, o.calls, b.clock.Now().Sub(o.over), c.deliveries)
	if told != len(c.events) {
		t.Errorf("%d watches told of, of %d", told, len(c.events))
	}
	if most := 3 * (workers - 1); furthest > most && !(ambiguous && workers > 1) {
		t.Errorf("a message is %d places from its own; want %d at most", furthest, most)
	}
	if lines == 0 || lines > 5 {
		t.Errorf("%d lines wake people for what woke nobody", lines)
	}
	if n := b.slack.OverRate(); n > 0 {
		t.Errorf("%d posts over the rate", n)
	}
}

// TestFailuresComeFirst lets 60 watches end well and 10 fail while Slack is away for six minutes. When it is back the
// failures are told before all others but one, which was perhaps tried when it came back.
func TestFailuresComeFirst(t *testing.T) {
	t.Parallel()
	o := &outage{tried: make(map[string]bool)}
	b := newBench(t, func(c *config) { c.HTTPClient = &http.Client{Transport: o} })
	b.slack.AddToken(token, "chat:write", "channels:history")
	begin := b.clock.Now()
	o.clock, o.over = b.clock, begin.Add(6*time.Minute)
	o.away = func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	c := &consumer{bench: b, workers: []*bench{b, b.another()}}
	for i := range 70 {
		w := order(watcher.Succeeded, 3)
		if i%7 == 6 {
			w = order(watcher.AllFailed, 0, failure("flavor sold out in "+strings.Repeat("z", i+1), "createNode", 3))
		}
		w.WatchID, w.OrderName, w.CompletedAt = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i), begin.Add(time.Duration(i)*5*time.Second)
		c.events = append(c.events, &event{completion: w, due: w.CompletedAt})
	}
	c.run(begin.Add(2 * time.Hour))
	failures, others := 0, 0
	for _, m := range b.slack.Messages("C0ONCALL") {
		switch {
		case m.ThreadTS != "" || isLine(m):
		case strings.HasPrefix(m.Text, "FAILED: "):
			if failures++; others > 1 {
				t.Errorf("%d others are told before %q", others, m.Text)
			}
		default:
			others++
		}
	}
	if failures != 10 || others == 0 {
		t.Errorf("%d failures and %d others are told", failures, others)
	}
}

// orderOf returns the order's name in a text.
func orderOf(text string) string { return poolName.FindString(text) }

var poolName = regexp.MustCompile(`order\.pool-\d+-x`)

// lateNote is what a message is to say that comes so long after the end.
func lateNote(d time.Duration) string {
	if d < 5*time.Minute {
		return ""
	}
	return fmt.Sprintf("Delivered %d min late.", int(d.Minutes()))
}

// digestCount returns of how many watches a digest tells.
func digestCount(t *testing.T, m emulator.Message) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(m.Text, "%d order", &n); err != nil {
		t.Errorf("%q: %v", m.Text, err)
	}
	return n
}

// tsTime returns when the message was posted, which its ts says to the second.
func tsTime(t *testing.T, m emulator.Message) time.Time {
	t.Helper()
	seconds, err := strconv.ParseInt(strings.Split(m.TS, ".")[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0)
}

// A consumer hands events to workers as NATS does: what is put back comes again when its delay is over,
// the oldest first, to any worker.
type consumer struct {
	*bench
	workers    []*bench
	events     []*event // in the order of their sequence
	deliveries int
}

type event struct {
	completion watcher.Completion
	due        time.Time
	done       bool
}

// run delivers until all is done, or it is time.
func (c *consumer) run(until time.Time) {
	c.Helper()
	for c.clock.Now().Before(until) {
		var next *event
		for _, e := range c.events {
			if e.done {
				continue
			}
			if !e.due.After(c.clock.Now()) {
				next = e
				break
			}
			if next == nil || e.due.Before(next.due) {
				next = e
			}
		}
		if next == nil {
			return
		}
		if wait := next.due.Sub(c.clock.Now()); wait > 0 {
			c.clock.Sleep(c.Context(), wait)
		}
		c.deliveries++
		d := c.workers[c.deliveries%len(c.workers)].notify(next.completion)
		next.done, next.due = d == 0, c.clock.Now().Add(d)
	}
}
