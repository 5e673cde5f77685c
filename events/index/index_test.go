package index_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// compare compares the index, which has caught up, with all that the bucket holds.
func compare(t *testing.T, when string, x *index.Index, kept *store.Store) {
	t.Helper()
	type seen struct {
		order    watcher.Order
		text     string
		revision uint64
	}
	bySequence := func(a, b seen) int { return cmp.Compare(a.revision, b.revision) }
	var want, got []seen
	for r, err := range kept.Records(t.Context(), 1) {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Err != nil:
			for _, e := range []error{watcher.ErrNoRecord, watcher.ErrBroken, watcher.ErrNewerSchema} {
				if errors.Is(r.Err, e) {
					want = append(want, seen{r.Order, e.Error(), r.Sequence})
				}
			}
		case r.State != watcher.Ended:
			want = append(want, seen{r.Order, fmt.Sprint(r.ID, r.State, r.Region, r.Wakeup, r.NextPollAt.UnixNano(), r.Stored.UnixNano()), r.Sequence})
		}
	}
	for r := range x.Open() {
		got = append(got, seen{r.Order, fmt.Sprint(r.WatchID, r.State, r.Region, r.Number, r.NextPollAt.UnixNano(), r.Stored.UnixNano()), r.Revision})
	}
	for _, o := range x.Odd(true) {
		for _, e := range []error{watcher.ErrNoRecord, watcher.ErrBroken, watcher.ErrNewerSchema} {
			if errors.Is(o.Err, e) {
				got = append(got, seen{o.Order, e.Error(), o.Revision})
			}
		}
	}
	slices.SortFunc(want, bySequence)
	slices.SortFunc(got, bySequence)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: the index has %d rows, the bucket %d:\n%v\n%v", when, len(got), len(want), got, want)
	}
}

// A scene is a server that can be killed, and an index of what its bucket holds.
type scene struct {
	t       *testing.T
	options server.Options
	server  *server.Server
	js      jetstream.JetStream
	kept    *store.Store
	random  *rand.Rand
	watches map[int]int                       // how often an order was watched anew
	change  func(watcher.Watch) watcher.Watch // what is written; nil: as it is
}

// write stores a record of one of the orders, in any state.
func (s *scene) write() {
	n := s.random.IntN(200)
	state := []watcher.State{watcher.Watching, watcher.Ending, watcher.Ended}[s.random.IntN(3)]
	w := aRecord(n+1000*s.watches[n], state, fmt.Sprint("p", n%3), "prod")
	w.Name, w.Wakeup = fmt.Sprint("order.", n), s.random.Uint64N(100)+1
	if state == watcher.Ended {
		s.watches[n]++
	}
	if s.change != nil {
		w = s.change(w)
	}
	s.put(w.Key(), func() error {
		_, last, err := s.kept.ReadLatest(s.t.Context(), w.Order)
		if err == nil || last != 0 || errors.Is(err, watcher.ErrNoRecord) {
			_, err = s.kept.Write(s.t.Context(), w, last)
		}
		return err
	})
}

// put stores something, again and again while the server is away.
func (s *scene) put(what string, do func() error) {
	s.t.Helper()
	eventstest.Eventually(s.t, func() error {
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// raw stores anything in the place of a record.
func (s *scene) raw(text string) {
	key := fmt.Sprintf("p1.order.%d", s.random.IntN(200))
	s.put(key, func() error {
		_, err := s.js.Publish(s.t.Context(), "$KV.ORDER_WATCHES."+key, []byte(text))
		return err
	})
}

func (s *scene) bucket(do func(jetstream.KeyValue, string) error) {
	key := fmt.Sprintf("p%d.order.%d", s.random.IntN(3), s.random.IntN(200))
	s.put(key, func() error {
		kv, err := s.js.KeyValue(s.t.Context(), "ORDER_WATCHES")
		if err == nil {
			err = do(kv, key)
		}
		return err
	})
}

func (s *scene) stream(do func(jetstream.Stream) error) {
	s.put("stream", func() error {
		stream, err := s.js.Stream(s.t.Context(), "KV_ORDER_WATCHES")
		if err == nil {
			err = do(stream)
		}
		return err
	})
}

// restart kills the server and starts it again with what it has on its disk.
func (s *scene) restart() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	s.server = eventstest.Server(s.t, s.options)
}

// anew deletes the bucket and makes it again.
func (s *scene) anew() {
	s.put("bucket", func() error {
		if err := s.js.DeleteStream(s.t.Context(), "KV_ORDER_WATCHES"); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		return s.kept.Ensure(s.t.Context(), store.Listener{Made: func(string) {}, Differs: func(string, store.Difference) {}}, "")
	})
}

// TestIndexIsTheBucket holds that an index which has caught up has what the bucket holds, whatever was written, deleted,
// purged or made anew meanwhile, however often the server was killed, and wherever the reading was broken off.
func TestIndexIsTheBucket(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := &scene{t: t, random: rand.New(rand.NewPCG(seed, 18)), watches: make(map[int]int), options: server.Options{StoreDir: t.TempDir()}}
			s.server = eventstest.Server(t, s.options)
			s.options.Port = s.server.Addr().(*net.TCPAddr).Port
			nc, js := eventstest.Connect(t, s.server)
			s.js, s.kept = js, eventstest.Provided(t, nc, eventstest.StoreConfig())
			x := index.New(s.kept)
			for step := range 40 {
				s.step(x)
				eventstest.Eventually(t, func() error { return x.CatchUp(t.Context(), time.Time{}) })
				compare(t, fmt.Sprint("step ", step), x, s.kept)
			}
			anew := index.New(s.kept) // of a worker that was killed
			eventstest.Eventually(t, func() error { return anew.CatchUp(t.Context(), time.Time{}) })
			compare(t, "anew", anew, s.kept)
		})
	}
}

// step does some things to the bucket and to the index.
func (s *scene) step(x *index.Index) {
	s.t.Helper()
	for range s.random.IntN(300) {
		switch s.random.IntN(60) {
		case 0:
			s.raw("no record")
		case 1:
			s.raw(`{"schema":99,"state":"watching","watch_id":"w_9"}`)
		case 2:
			s.bucket(func(kv jetstream.KeyValue, key string) error { return kv.Delete(s.t.Context(), key) })
		case 3:
			s.bucket(func(kv jetstream.KeyValue, key string) error { return kv.Purge(s.t.Context(), key) })
		case 4: // a round of the patrol
			eventstest.Eventually(s.t, func() error {
				return x.CatchUp(s.t.Context(), time.Now().Add(-time.Duration(s.random.IntN(1000))*time.Millisecond))
			})
		case 5: // the reading is broken off
			ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(s.random.IntN(2000))*time.Microsecond)
			_ = x.CatchUp(ctx, time.Time{})
			cancel()
		case 6:
			s.put("lease", func() error {
				_, err := s.kept.Put(s.t.Context(), "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.patrol", []byte("{}"), s.lease())
				return err
			})
		default:
			s.write()
		}
	}
	switch s.random.IntN(8) {
	case 0, 1:
		s.restart()
	case 2:
		s.stream(func(stream jetstream.Stream) error { return stream.Purge(s.t.Context()) })
	case 3:
		s.stream(func(stream jetstream.Stream) error { return stream.Purge(s.t.Context(), jetstream.WithPurgeKeep(20)) })
	case 4:
		s.anew()
	}
}

// lease returns the revision of what workers tell each other beside the records.
func (s *scene) lease() uint64 {
	m, err := s.kept.Last(s.t.Context(), "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.patrol")
	if err != nil {
		return 0
	}
	return m.Sequence
}

// TestOlderThanKept lists ended watches of which the index keeps only the newest: the pages go on in the bucket.
func TestOlderThanKept(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	x := index.New(kept)
	x.Keep(30)
	var records []watcher.Watch
	want := make(map[string][]string)
	const watches = 400
	for i := watches - 1; i >= 0; i-- {
		state, project, env := watcher.Ended, "p1", "prod"
		if i%7 == 0 {
			state = watcher.Watching
		}
		if i%3 == 0 {
			project = "p2"
		}
		if i%5 == 0 {
			env = "test"
		}
		w := aRecord(i, state, project, env)
		w.ID = acceptedAt(time.Duration(watches-i) * time.Hour) // ids say when
		records = append(records, w)
		for _, key := range []string{"", string(state), project, "env=" + env, string(state) + " " + project + " env=" + env} {
			want[key] = append(want[key], w.Name)
		}
	}
	keep(t, kept, records)
	for _, test := range []struct {
		query wire.ListQuery
		want  string
	}{
		{wire.ListQuery{Limit: 1000}, ""},
		{wire.ListQuery{Limit: 29}, ""},
		{wire.ListQuery{Limit: 17, State: watcher.Watching}, "watching"},
		{wire.ListQuery{Limit: 40, State: watcher.Ended}, "ended"},
		{wire.ListQuery{Limit: 40, ProjectID: "p1"}, "p1"},
		{wire.ListQuery{Limit: 40, Label: "env=test"}, "env=test"},
		{wire.ListQuery{Limit: 10, State: watcher.Ended, ProjectID: "p2", Label: "env=prod"}, "ended p2 env=prod"},
	} {
		if got, _ := all(t, x, test.query); !slices.Equal(got, want[test.want]) {
			t.Errorf("%+v: %d watches; want %d:\n%v\n%v", test.query, len(got), len(want[test.want]), got, want[test.want])
		}
	}
	if open, ended := x.Kept(); open != 58 || ended > 60 {
		t.Errorf("%d rows of open watches and %d of ended ones are kept; want 58 and 60 at the most", open, ended)
	}
}

// TestManyLabels lists by labels of a watch that has more of them than a row keeps, as teams see them.
func TestManyLabels(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	var records []watcher.Watch
	for i := range 20 {
		w := aRecord(i, watcher.Watching, "p1", "prod")
		for n := range 10 * i {
			w.Requests = append(w.Requests, watcher.Request{ID: fmt.Sprint(n), Team: fmt.Sprint("team", n%3), Labels: map[string]string{"n": fmt.Sprint(n)}})
		}
		records = append(records, w)
	}
	keep(t, kept, records)
	x := index.New(kept)
	for _, test := range []struct {
		query wire.ListQuery
		want  int
	}{
		{wire.ListQuery{Label: "n=0"}, 19}, {wire.ListQuery{Label: "n=95"}, 10}, {wire.ListQuery{Label: "n=189"}, 1}, {wire.ListQuery{Label: "n=190"}, 0},
		{wire.ListQuery{Team: "team2"}, 19}, {wire.ListQuery{Team: "team3"}, 0}, {wire.ListQuery{Team: "team1", Label: "n=95", Limit: 3}, 10},
	} {
		if got, _ := all(t, x, test.query); len(got) != test.want {
			t.Errorf("%+v: %d watches; want %d", test.query, len(got), test.want)
		}
	}
}

// TestLostTail lets the server lose its latest records in a crash, and others be written with the sequences of the lost ones:
// the index has these, also where it reads only a part of the bucket again.
func TestLostTail(t *testing.T) {
	t.Parallel()
	s := &scene{t: t, random: rand.New(rand.NewPCG(7, 18)), watches: make(map[int]int), options: server.Options{StoreDir: t.TempDir()}}
	s.server = eventstest.Server(t, s.options)
	s.options.Port = s.server.Addr().(*net.TCPAddr).Port
	nc, js := eventstest.Connect(t, s.server)
	s.js, s.kept = js, eventstest.Provided(t, nc, eventstest.StoreConfig())
	x := index.New(s.kept)
	many := func(n int) {
		t.Helper()
		for range n {
			s.write()
		}
		eventstest.Eventually(t, func() error { return x.CatchUp(t.Context(), time.Time{}) })
		compare(t, fmt.Sprintf("%d more", n), x, s.kept)
	}
	many(200)
	s.server.Shutdown()
	s.server.WaitForShutdown()
	saved := filepath.Join(t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(s.options.StoreDir)); err != nil {
		t.Fatal(err)
	}
	s.server = eventstest.Server(t, s.options)
	many(100)
	s.server.Shutdown()
	s.server.WaitForShutdown()
	if err := cmp.Or(os.RemoveAll(s.options.StoreDir), os.CopyFS(s.options.StoreDir, os.DirFS(saved))); err != nil {
		t.Fatal(err)
	}
	s.server = eventstest.Server(t, s.options)
	many(200)
}

// TestSeenOutlivesARestart restarts the server: a record that is the same as before counts as seen when it was read first.
func TestSeenOutlivesARestart(t *testing.T) {
	t.Parallel()
	s := &scene{t: t, random: rand.New(rand.NewPCG(7, 18)), watches: make(map[int]int), options: server.Options{StoreDir: t.TempDir()}}
	s.server = eventstest.Server(t, s.options)
	s.options.Port = s.server.Addr().(*net.TCPAddr).Port
	nc, js := eventstest.Connect(t, s.server)
	s.js, s.kept = js, eventstest.Provided(t, nc, eventstest.StoreConfig())
	x := index.New(s.kept)
	keep(t, s.kept, []watcher.Watch{aRecord(1, watcher.Watching, "p1", "prod"), aRecord(2, watcher.Watching, "p1", "prod")})
	seen := func() map[watcher.Order]time.Time {
		eventstest.Eventually(t, func() error { return x.CatchUp(t.Context(), time.Time{}) })
		all := make(map[watcher.Order]time.Time)
		for r := range x.Open() {
			all[r.Order] = r.Seen
		}
		return all
	}
	before := seen()
	for range 2 {
		s.restart()
		eventstest.Eventually(t, func() error { return x.CatchUp(t.Context(), time.Unix(1, 0)) }) // begins anew, and reads no further
		if after := seen(); len(after) != 2 || !maps.Equal(after, before) {
			t.Fatalf("after a restart the records count as seen at %v; want %v", after, before)
		}
	}
	if n := x.Old(); n != 0 {
		t.Errorf("%d rows of before the restart are kept", n)
	}
	var changed watcher.Watch
	for order := range before {
		w, revision, err := s.kept.ReadLatest(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.kept.Write(t.Context(), w, revision); err != nil {
			t.Fatal(err)
		}
		changed = w
		break
	}
	s.restart()
	for order, at := range seen() {
		if same := at.Equal(before[order]); same != (order != changed.Order) {
			t.Errorf("%v counts as seen at %s, before at %s; written anew was %v", order, at, before[order], changed.Order)
		}
	}
}

// TestReconnectReadsNothingAnew loses the connection, and not the server: what was read is not read again. The next reading
// after Anew is from the beginning.
func TestReconnectReadsNothingAnew(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	x := index.New(kept)
	keep(t, kept, []watcher.Watch{aRecord(1, watcher.Watching, "p1", "prod"), aRecord(2, watcher.Watching, "p1", "prod")})
	eventstest.Eventually(t, func() error { return x.CatchUp(t.Context(), time.Time{}) })
	next := x.Next()
	if next <= 1 {
		t.Fatalf("nothing was read: the next sequence is %d", next)
	}
	for range 3 {
		before := nc.Stats().Reconnects
		if err := nc.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		eventstest.Eventually(t, func() error {
			if nc.Stats().Reconnects == before || !nc.IsConnected() {
				return errors.New("not connected again")
			}
			return nil
		})
		eventstest.Eventually(t, func() error { return x.CatchUp(t.Context(), time.Unix(1, 0)) }) // which reads nothing that is there
		if got := x.Next(); got != next {
			t.Fatalf("after a reconnect it reads from %d on; want %d", got, next)
		}
	}
	x.Anew()
	if err := x.CatchUp(t.Context(), time.Unix(1, 0)); err != nil || x.Next() != 1 {
		t.Errorf("anew it reads from %d on, %v; want 1", x.Next(), err)
	}
	if err := x.CatchUp(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	compare(t, "anew", x, kept)
}

// TestRowsThatWereRemovedAreFreed lets one order be watched again and again, while nobody asks for a list.
func TestRowsThatWereRemovedAreFreed(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	x := index.New(eventstest.Provided(t, nc, eventstest.StoreConfig()))
	for i := range 20_000 {
		w := aRecord(1, watcher.Ended, "p1", "prod")
		w.ID = fmt.Sprintf("w_%026d", i)
		x.See(store.Record{Watch: w, Order: w.Order, Sequence: uint64(i + 1), Stored: time.Now()})
	}
	if n := x.Room(); n > 2000 {
		t.Errorf("%d rows are kept for one order", n)
	}
	if open, ended := x.Kept(); open != 0 || ended != 1 {
		t.Errorf("%d open watches and %d that have ended; want 0 and 1", open, ended)
	}
}
