package index_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
)

// aPolicy is what boards judge by.
var aPolicy = watcher.Policy{MaxPayload: 1 << 20, LateByUsual: true}

// lively makes the record one that has something to show.
func lively(random *rand.Rand, w watcher.Watch) watcher.Watch {
	now := time.Now().UTC().Truncate(time.Second)
	ago := func(most time.Duration) time.Time {
		return now.Add(-time.Duration(random.Int64N(int64(most)))).Truncate(time.Second)
	}
	w.Schema = watcher.SchemaVersion
	w.AcceptedAt, w.Deadline, w.LastPollAt = ago(48*time.Hour), now.Add(time.Duration(random.IntN(5000))*time.Second), now
	w.NextPollAt = now.Add(time.Hour)
	w.Counts = watcher.Counts{Total: 4, Succeeded: random.IntN(2), Failed: random.IntN(2), Processing: 2}
	w.ChangedAt = ago(time.Hour)
	if random.IntN(3) == 0 {
		w.LastError, w.Blind = &watcher.ErrorDetail{Code: "ModelArts.1", Message: "no"}, ago(20*time.Minute)
	}
	if random.IntN(3) == 0 {
		w.UsualKind, w.UsualLateAt = "k", ago(time.Hour)
	}
	if w.Completion != nil {
		w.Completion.Outcome = []watcher.Outcome{watcher.Succeeded, watcher.AllFailed, watcher.TimedOut}[random.IntN(3)]
		w.Completion.CompletedAt, w.Completion.Counts, w.Completion.AcceptedAt = ago(48*time.Hour), w.Counts, w.AcceptedAt
	}
	return w
}

// shownBy returns what a board that judges by the clock is to show of what the bucket holds, by order.
func shownBy(ctx context.Context, kept *store.Store, now time.Time) (map[watcher.Order]string, error) {
	want := make(map[watcher.Order]string)
	for r, err := range kept.Records(ctx, 1) {
		switch {
		case err != nil:
			return nil, err
		case r.Err != nil, r.State == watcher.Ended && r.Completion.CompletedAt.Before(now.Add(-24*time.Hour)):
			continue
		}
		s := aPolicy.Snapshot(r.Watch, watcher.Hold{}, now)
		var code string
		if s.LastError != nil {
			code = s.LastError.Code
		}
		outcome := s.Outcome
		if r.State == watcher.Ending {
			outcome = r.Completion.Outcome
		}
		want[r.Order] = fmt.Sprint(r.Sequence, r.ID, r.State, r.Region, outcome, s.Condition, s.ConditionSince.Unix(), s.Counts, s.Deadline.Unix(), s.AcceptedAt.Unix(), s.CompletedAt.Unix(), code)
	}
	return want, nil
}

// shows returns what the board shows, by order, page by page.
func shows(t *testing.T, b *index.Board, q index.Query) map[watcher.Order]string {
	t.Helper()
	got := make(map[watcher.Order]string)
	for q.Limit = 37; ; {
		a, err := b.Query(q, teams.View{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range a.Rows {
			_, twice := got[r.Order]
			if r.State == watcher.Ending { // it waits for a worker
				r.Condition, r.Since = "", time.Time{}
			}
			got[r.Order] = fmt.Sprint(r.Revision, r.WatchID, r.State, r.Region, r.Outcome, r.Condition, r.Since.Unix(), r.Counts, r.Deadline.Unix(), r.Accepted.Unix(), r.Ended.Unix(), r.Code)
			if twice { // while it moved
				got[r.Order] = "on two pages"
			}
		}
		if q.Cursor = a.Cursor; q.Cursor == "" {
			return got
		}
	}
}

// same says what the board does not show as the bucket has it.
func same(got, want map[watcher.Order]string) error {
	var all []error
	for order, text := range want {
		if got[order] != text {
			all = append(all, fmt.Errorf("%s: shown as %q; want %q", order, got[order], text))
		}
	}
	for order := range got {
		if want[order] == "" {
			all = append(all, fmt.Errorf("%s is shown: %s", order, got[order]))
		}
	}
	return errors.Join(all[:min(len(all), 5)]...)
}

// TestBoardIsTheBucket holds that a board which is followed shows all open watches and those that ended within a day, as the
// bucket has them, whatever was written, deleted, purged or made anew, and however often the server was killed.
func TestBoardIsTheBucket(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := &scene{t: t, random: rand.New(rand.NewPCG(seed, 19)), watches: make(map[int]int), options: server.Options{StoreDir: t.TempDir()}}
			s.change = func(w watcher.Watch) watcher.Watch { return lively(s.random, w) }
			s.server = eventstest.Server(t, s.options)
			s.options.Port = s.server.Addr().(*net.TCPAddr).Port
			nc, js := eventstest.Connect(t, s.server)
			s.js, s.kept = js, eventstest.Provided(t, nc, eventstest.StoreConfig())
			b := follow(t, s.kept)
			worker := index.New(s.kept)
			for step := range 25 {
				s.step(worker)
				eventstest.Eventually(t, func() error {
					want, err := shownBy(t.Context(), s.kept, time.Now())
					return cmp.Or(err, same(shows(t, b, index.Query{}), want))
				})
				if t.Failed() {
					t.Fatalf("step %d", step)
				}
			}
		})
	}
}

// follow returns a board that is kept up to date until the test ends.
func follow(t testing.TB, kept *store.Store) *index.Board {
	t.Helper()
	b := index.NewBoard(kept, aPolicy)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	eventstest.Eventually(t, func() error {
		if s := b.Status(); !s.Ready || !s.Connected {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	return b
}

// TestBoardAfterAKill kills a nats-server, which writes to its disk every two minutes, while records are written, and starts it
// again: the board shows what the bucket has then. Meanwhile it shows what it knew, and since when.
func TestBoardAfterAKill(t *testing.T) {
	t.Parallel()
	n := rig.StartNATS(t, "")
	s := &scene{t: t, js: n.JS, random: rand.New(rand.NewPCG(3, 19)), watches: make(map[int]int)}
	s.kept = eventstest.Provided(t, n.JS.Conn(), eventstest.StoreConfig())
	s.change = func(w watcher.Watch) watcher.Watch { return lively(s.random, w) }
	b := follow(t, s.kept)
	equal := func() error {
		want, err := shownBy(t.Context(), s.kept, time.Now())
		if status := b.Status(); err == nil && !status.Connected {
			err = fmt.Errorf("not connected: %+v", status)
		}
		return cmp.Or(err, same(shows(t, b, index.Query{}), want))
	}
	for round := range 4 {
		for range 150 {
			s.write()
		}
		if round%2 == 1 { // what it shows is all that was written
			eventstest.Eventually(t, equal)
		}
		n.Kill()
		eventstest.Eventually(t, func() error {
			if b.Status().Connected {
				return errors.New("the board takes itself for connected")
			}
			return nil
		})
		before := b.Status()
		if shown := shows(t, b, index.Query{}); round > 0 && len(shown) < 50 || before.AsOf.IsZero() || !before.Ready {
			t.Errorf("while the server is away %d rows are shown, %+v", len(shown), before)
		}
		n.Again(t)
		eventstest.Eventually(t, equal)
		if after := b.Status(); !after.AsOf.After(before.AsOf) {
			t.Errorf("the board is as of %s still", after.AsOf)
		}
	}
}

// TestBoardWithoutAServer lets time pass while the server is away: no watch is taken for one that nobody polls, or that is late,
// since the board does not know.
func TestBoardWithoutAServer(t *testing.T) {
	t.Parallel()
	nats := eventstest.Server(t)
	nc, _ := eventstest.Connect(t, nats)
	var passed atomic.Int64
	clock := store.NewClock(func() time.Time { return time.Now().Add(time.Duration(passed.Load())) })
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	for i := range 20 {
		w := aRecord(i, watcher.Watching, "p1", "prod")
		w.Schema, w.AcceptedAt, w.NextPollAt, w.Deadline = watcher.SchemaVersion, time.Now(), time.Now().Add(time.Minute), time.Now().Add(time.Hour)
		if _, err := kept.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
	}
	b := follow(t, eventstest.Store(t, nc, eventstest.StoreConfig(), clock))
	nats.Shutdown()
	nats.WaitForShutdown()
	eventstest.Eventually(t, func() error {
		if b.Status().Connected {
			return errors.New("connected")
		}
		return nil
	})
	passed.Store(int64(2 * time.Hour))
	eventstest.Eventually(t, func() error { // also in a frame that was made since
		a, err := b.Query(index.Query{Limit: 100}, teams.View{})
		if err != nil || len(a.Rows) != 20 || a.Strip.Open != 20 {
			return fmt.Errorf("%d rows, %+v, %w", len(a.Rows), a.Strip, err)
		}
		return nil
	})
	a, err := b.Query(index.Query{Condition: index.AnyCondition, Limit: 100}, teams.View{})
	if err != nil || len(a.Rows) != 0 || len(a.Strip.With) != 0 {
		t.Errorf("%d watches have a condition that nobody knows of: %+v, %v", len(a.Rows), a.Strip, err)
	}
}

// TestBoardWithoutHolds takes the bucket with the holds away, while records can be read: after a while the board is not up to date,
// and says of when it is, and why.
func TestBoardWithoutHolds(t *testing.T) {
	t.Parallel()
	nc, js := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	var passed atomic.Int64
	clock := store.NewClock(func() time.Time { return time.Now().Add(time.Duration(passed.Load())) })
	b := follow(t, eventstest.Store(t, nc, eventstest.StoreConfig(), clock))
	if err := js.DeleteStream(t.Context(), kept.Names.AccountStream()); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	passed.Store(int64(time.Minute))
	eventstest.Eventually(t, func() error {
		if s := b.Status(); s.Connected || s.Err == nil || s.AsOf.After(gone.Add(time.Second)) {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	again := kept.Streams()
	at := slices.IndexFunc(again, func(s jetstream.StreamConfig) bool { return s.Name == kept.Names.AccountStream() })
	if _, err := js.CreateStream(t.Context(), again[at]); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error {
		if s := b.Status(); !s.Connected || s.Err != nil {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

// TestBoardForTeams asks as teams do: each is shown the watches of its projects, and of its requests, and finds nothing by what
// others asked for.
func TestBoardForTeams(t *testing.T) {
	t.Parallel()
	all, err := teams.Parse("teams.yaml", []byte("teams:\n  red:\n    projects: [p1]\n  blue:\n    projects: [p2]\n"))
	if err != nil {
		t.Fatal(err)
	}
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	for i, project := range []string{"p1", "p2", "p2", "p3"} {
		w := lively(rand.New(rand.NewPCG(1, 1)), aRecord(i, watcher.Watching, project, "prod"))
		w.Requests = []watcher.Request{{ID: "bbb", Team: "blue", Labels: map[string]string{"whose": "blue"}}}
		if i == 2 {
			w.Requests = append(w.Requests, watcher.Request{ID: "rrr", Team: "red", Labels: map[string]string{"whose": "red"}})
		}
		if _, err := kept.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
	}
	b := follow(t, kept)
	for _, test := range []struct {
		team  string
		query index.Query
		want  int
	}{
		{"", index.Query{}, 4}, {"", index.Query{Text: "BBB"}, 4}, {"", index.Query{Text: "blue"}, 0}, {"", index.Query{Team: "red"}, 1}, {"", index.Query{Label: "whose=blue"}, 4},
		{"red", index.Query{}, 2}, {"red", index.Query{Text: "bbb"}, 0}, {"red", index.Query{Text: "rr"}, 1}, {"red", index.Query{Label: "whose=blue"}, 0},
		{"red", index.Query{Label: "whose=red"}, 1}, {"red", index.Query{Team: "blue"}, 0}, {"red", index.Query{Team: "red"}, 1}, {"blue", index.Query{}, 4},
	} {
		test.query.Limit = 10
		a, err := b.Query(test.query, all.View(test.team))
		if err != nil || len(a.Rows) != test.want {
			t.Errorf("%s %+v: %d rows, %v; want %d", test.team, test.query, len(a.Rows), err, test.want)
		}
		for _, r := range a.Rows {
			if test.team != "" && slices.Contains(r.Labels, "whose=red") != (test.team == "red" && r.WatchID == "w_00000000000000000000000002") {
				t.Errorf("%s is shown the labels %q of %s", test.team, r.Labels, r.WatchID)
			}
		}
		if test.team == "red" && (a.Strip.Open != 2 || !slices.Equal(a.Strip.Projects, []string{"p1", "p2"})) {
			t.Errorf("red's strip is %+v", a.Strip)
		}
	}
	for i, want := range []bool{true, false, true, false} {
		w := aRecord(i, watcher.Watching, []string{"p1", "p2", "p2", "p3"}[i], "")
		if _, found := b.Find(w.Order, all.View("red")); found != want {
			t.Errorf("red finds watch %d: %v; want %v", i, found, want)
		}
		if order, found := b.FindWatch(w.ID, all.View("red")); found != want || found && order != w.Order {
			t.Errorf("red finds watch %d by its id: %v, %v; want %v", i, order, found, want)
		}
	}
}

// TestBoardTellsOfChanges waits for changes.
func TestBoardTellsOfChanges(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	b := follow(t, kept)
	w := lively(rand.New(rand.NewPCG(1, 1)), aRecord(1, watcher.Watching, "p1", "prod"))
	revision := watcher.Revision(0)
	for range 3 {
		n, next := b.Changes()
		var err error
		if revision, err = kept.Write(t.Context(), w, revision); err != nil {
			t.Fatal(err)
		}
		select {
		case <-next:
		case <-time.After(eventstest.Patience):
			t.Fatal("no change is told of")
		}
		if after, _ := b.Changes(); after != n+1 {
			t.Errorf("%d changes; want 1", after-n)
		}
		eventstest.Eventually(t, func() error {
			if r, ok := b.Find(w.Order, teams.View{}); !ok || r.Revision != uint64(revision) {
				return fmt.Errorf("%v, revision %d; want %d", ok, r.Revision, revision)
			}
			return nil
		})
	}
}

// TestBoardAfterADay lets a day pass: what ended before is dropped, by a board that had it and by one that begins then. An open
// watch that nobody wrote for a day stays.
func TestBoardAfterADay(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	random := rand.New(rand.NewPCG(1, 19))
	for i := range 300 {
		state := []watcher.State{watcher.Watching, watcher.Ending, watcher.Ended}[i%3]
		w := lively(random, aRecord(i, state, "p1", "prod"))
		if _, err := kept.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
	}
	var passed atomic.Int64
	stays := follow(t, eventstest.Store(t, nc, eventstest.StoreConfig(), store.NewClock(func() time.Time { return time.Now().Add(time.Duration(passed.Load())) })))
	for _, ahead := range []time.Duration{0, 23 * time.Hour, 26 * time.Hour, 500 * time.Hour} {
		clock := store.NewClock(func() time.Time { return time.Now().Add(ahead) })
		b := follow(t, eventstest.Store(t, nc, eventstest.StoreConfig(), clock))
		passed.Store(int64(ahead))
		eventstest.Eventually(t, func() error { return same(shows(t, stays, index.Query{}), shows(t, b, index.Query{})) })
		stays.Drop()
		if shown, kept := len(shows(t, stays, index.Query{})), stays.Rows(); shown != kept {
			t.Errorf("%s later %d rows are kept, and %d shown", ahead, kept, shown)
		}
		got := shows(t, b, index.Query{})
		want, err := shownBy(t.Context(), kept, time.Now().Add(ahead))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) || len(want) < 200 {
			t.Errorf("%s later %d watches are shown; want %d", ahead, len(got), len(want))
		}
		if ended := shows(t, b, index.Query{State: watcher.Ended}); len(ended) != len(want)-200 {
			t.Errorf("%s later %d ended watches are shown; want %d", ahead, len(ended), len(want)-200)
		}
	}
}

// TestQueries asks a board for some of its rows.
func TestQueries(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	now := time.Now()
	names := make(map[string]string) // by id
	add := func(i int, name string, change func(*watcher.Watch)) {
		w := aRecord(i, watcher.Watching, "p1", "prod")
		if change == nil || i >= 6 {
			w = aRecord(i, watcher.Ended, "p1", "prod")
			w.Completion.CompletedAt = now.Add(-time.Duration(i) * time.Minute)
		}
		w.Schema, w.NextPollAt, w.Deadline, w.LastPollAt, w.AcceptedAt = watcher.SchemaVersion, now.Add(time.Hour), now.Add(time.Hour), now, now
		if change != nil {
			change(&w)
		}
		names[w.ID] = name
		if _, err := kept.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
	}
	add(0, "plain", func(w *watcher.Watch) {})
	add(1, "stalled", func(w *watcher.Watch) { w.ChangedAt = now.Add(-time.Hour) })
	add(2, "late", func(w *watcher.Watch) { w.Requests[0].LateAt = now.Add(-time.Minute) })
	add(3, "blind", func(w *watcher.Watch) {
		w.Blind, w.LastError = now.Add(-time.Hour), &watcher.ErrorDetail{Code: "X"}
	})
	add(4, "newer", func(w *watcher.Watch) { w.Region = "other"; w.ProjectID = "p2" })
	add(5, "late too", func(w *watcher.Watch) {
		w.Requests[0].LateAt, w.Requests[0].ID, w.Requests[0].Team = now.Add(-time.Minute), "Build-77", "red"
		w.Requests = append(w.Requests, watcher.Request{ID: "blue-1", Team: "blue", Labels: map[string]string{"env": "secret"}})
	})
	add(6, "ended", nil)
	add(7, "failed", func(w *watcher.Watch) { w.Completion.Outcome = watcher.AllFailed })
	b := follow(t, kept)
	for _, test := range []struct {
		query index.Query
		want  []string
	}{
		{index.Query{}, []string{"blind", "stalled", "late too", "late", "newer", "plain", "ended", "failed"}},
		{index.Query{Oldest: true}, []string{"blind", "stalled", "late", "late too", "plain", "newer", "failed", "ended"}},
		{index.Query{ByAge: true, Oldest: true}, []string{"plain", "stalled", "late", "blind", "newer", "late too", "ended", "failed"}},
		{index.Query{State: watcher.Watching, ByAge: true}, []string{"late too", "newer", "blind", "late", "stalled", "plain"}},
		{index.Query{State: watcher.Ended}, []string{"ended", "failed"}},
		{index.Query{Outcome: watcher.AllFailed}, []string{"failed"}},
		{index.Query{Condition: watcher.Late}, []string{"late too", "late"}},
		{index.Query{Condition: index.AnyCondition}, []string{"blind", "stalled", "late too", "late"}},
		{index.Query{Region: "other"}, []string{"newer"}},
		{index.Query{ProjectID: "p2"}, []string{"newer"}},
		{index.Query{Team: "red"}, []string{"late too"}},
		{index.Query{Label: "env=secret"}, []string{"late too"}},
		{index.Query{Text: "build-77"}, []string{"late too"}},
		{index.Query{Text: "POOL-3"}, []string{"blind"}},
		{index.Query{Text: "none"}, nil},
	} {
		for _, limit := range []int{1, 3, 100} {
			var got []string
			for q := test.query; ; {
				q.Limit = limit
				a, err := b.Query(q, teams.View{})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range a.Rows {
					got = append(got, names[r.WatchID])
				}
				if q.Cursor = a.Cursor; q.Cursor == "" {
					break
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%+v, %d at a time: %q; want %q", test.query, limit, got, test.want)
			}
		}
	}
	a, err := b.Query(index.Query{Limit: 1}, teams.View{})
	if err != nil {
		t.Fatal(err)
	}
	s := a.Strip
	if s.Open != 6 || s.With[watcher.Late] != 2 || s.With[watcher.Blind] != 1 || s.With[watcher.Stalled] != 1 || s.Ended[watcher.Succeeded] != 1 || s.Ended[watcher.AllFailed] != 1 || len(s.Regions) != 2 || len(s.Projects) != 2 {
		t.Errorf("the strip is %+v", s)
	}
	if _, err := b.Query(index.Query{Cursor: "x"}, teams.View{}); err == nil {
		t.Error("a cursor that no answer had is taken")
	}
}
