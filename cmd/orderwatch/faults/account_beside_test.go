package faults_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

var accountRuns = flag.Int("account-runs", 1, "how many runs TestGoodOrderBesideBadOnes makes; with more than one it is strict about time")

// defaults are the settings of the cloud and of polls that serveEnv makes quicker.
var defaults = []string{
	"ORDERWATCH_MODELARTS_TIMEOUT=", "ORDERWATCH_MODELARTS_RATE=",
	"ORDERWATCH_POLL_INITIAL=", "ORDERWATCH_POLL_MAX=", "ORDERWATCH_SETTLE=",
}

// TestGoodOrderBesideBadOnes polls one good order beside twelve that answer 400, 500, nothing that can be
// read, or never, with the default settings, over a restart of the worker: the good one is polled when it
// is due, and the account is never held.
func TestGoodOrderBesideBadOnes(t *testing.T) {
	t.Parallel()
	tolerance := time.Minute // of a machine with much to do; what follows holds that nothing was held
	if *accountRuns > 1 {
		tolerance = 2 * time.Second
	}
	for run := range *accountRuns {
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			t.Parallel()
			besideBadOnes(t, tolerance)
		})
	}
}

func besideBadOnes(t *testing.T, tolerance time.Duration) {
	const bad = 12
	cloud := slowOrders(bad+1, time.Minute)
	for i := range bad {
		fault := []emulator.Fault{
			{Status: http.StatusBadRequest, Code: "ModelArts.50014001"},
			{Status: http.StatusInternalServerError, Code: "ModelArts.50005000"},
			{Body: `{"count":"many"}`},
			{Hang: true},
		}[i%4]
		cloud.Add(rig.Project, orderName(i), emulator.Order{Faults: []emulator.Fault{fault}})
	}
	api := httptest.NewServer(cloud)
	t.Cleanup(api.Close)
	s := startAccount(t, api.URL, cloud, 1, 1, defaults...)
	s.ask(0, bad+1, "") // the good one last
	polls := s.polls(orderName(bad))

	time.Sleep(25 * time.Second) // some have failed more than once; where is left to chance
	stopped, begun := s.restart(0)
	s.awaitCompleted(1)
	c := s.completions()[orderName(bad)]
	if c.Outcome != watcher.Succeeded {
		t.Errorf("the good order: %s, %s", c.Outcome, c.Reason)
	}
	n, latest := 0, time.Duration(0)
	for p := range polls {
		// There was no worker then. A poll that was to be made just before may be up to 2 s late, too.
		if p.planned.After(stopped.Add(-2*time.Second)) && p.planned.Before(begun) && p.made.After(stopped) {
			p.planned = begun
		}
		if late := p.made.Sub(p.planned); late > tolerance {
			t.Errorf("poll %d was made %s late", n+1, late)
		}
		n, latest = n+1, max(latest, p.made.Sub(p.planned))
		if p.last {
			break
		}
	}
	t.Logf("%d polls of the good order, at most %s late; it took %s", n, latest.Round(time.Millisecond), c.CompletedAt.Sub(c.AcceptedAt).Round(time.Second))
	if n < 5 {
		t.Errorf("%d polls", n)
	}
	if n := s.attention("unreachable"); n > 0 {
		t.Errorf("%d events of unreachable", n)
	}
	for _, text := range []string{"account is held", "this worker alone"} {
		if strings.Contains(s.workers[0].Text(), text) {
			t.Errorf("the log says %q", text)
		}
	}
}

// A plannedPoll is a poll and when it was to be made.
type plannedPoll struct {
	planned, made time.Time
	last          bool // the watch ends with it
}

// polls returns the polls of an order from now on, as its record and its wake-ups show them: a poll that changes nothing may
// leave the record as it is. A plan is what the poll before it left, however often the account put it off.
func (s *accountScene) polls(name string) <-chan plannedPoll {
	s.t.Helper()
	records, err := s.js.KeyValue(s.t.Context(), "ORDER_WATCHES")
	if err != nil {
		s.t.Fatal(err)
	}
	key := rig.Project + "." + name
	seen, err := records.Watch(s.t.Context(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	waiting := make(chan *nats.Msg, 1000)
	wakeups, err := s.js.Conn().ChanSubscribe("orders.waiting."+key, waiting)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = wakeups.Unsubscribe() })
	polls := make(chan plannedPoll, 1000)
	go watchPolls(seen, waiting, polls)
	return polls
}

// watchPolls ends with the watch.
func watchPolls(seen jetstream.KeyWatcher, waiting <-chan *nats.Msg, polls chan<- plannedPoll) {
	var planned time.Time
	made := 0
	poll := func(n int, at, next time.Time, last bool) {
		if n > made {
			polls <- plannedPoll{planned: planned, made: at, last: last}
			planned, made = next, n
		}
	}
	for {
		select {
		case m := <-waiting:
			var k struct {
				Polls    int       `json:"polls"`
				PolledAt time.Time `json:"polled_at"`
				At       time.Time `json:"at"`
			}
			if json.Unmarshal(m.Data, &k) == nil {
				poll(k.Polls, k.PolledAt, k.At, false)
			}
		case entry := <-seen.Updates():
			var w watcher.Watch
			if entry == nil || json.Unmarshal(entry.Value(), &w) != nil {
				continue
			}
			if planned.IsZero() {
				planned, made = w.NextPollAt, w.Polls
			}
			ended := w.State != watcher.Watching
			if poll(w.Polls, w.LastPollAt, w.NextPollAt, ended); ended {
				seen.Stop()
				return
			}
		}
	}
}
