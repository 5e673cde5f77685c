package sweeper_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/sweeper"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/sweep"
)

func TestMain(m *testing.M) { os.Exit(eventstest.Main(m, 6)) }

const region = "cn-north-4"

var place = store.Place{Region: region, ProjectID: eventstest.Project}

// A cloud is a list of orders, and polls that are answered that the order runs.
type cloud struct {
	waits bool // for a poll
	mu    sync.Mutex
	rows  map[string]sweep.Row
	fails error
	calls int
}

func (c *cloud) WaitList(context.Context, string, string, time.Time) watcher.Leave {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits {
		return watcher.Leave{After: 100 * time.Millisecond, Why: "a poll is to show whether the login is accepted"}
	}
	return watcher.Leave{}
}

func (c *cloud) List(_ context.Context, _, _ string, q sweep.Query) (p sweep.Page, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.fails != nil {
		return p, c.fails
	}
	for _, r := range c.rows {
		in := (q.Since.IsZero() || !r.Created.Before(q.Since)) && (q.Until.IsZero() || !r.Created.After(q.Until))
		if in && (q.Phase == "" || q.Phase == r.Phase) {
			p.Rows = append(p.Rows, r)
		}
	}
	p.Count = len(p.Rows)
	p.Rows = p.Rows[min(q.Offset, p.Count):min(q.Offset+q.Limit, p.Count)]
	return p, nil
}

func (c *cloud) Wait(context.Context, string, watcher.Order, time.Time, watcher.Turn) watcher.Leave {
	return watcher.Leave{}
}

func (*cloud) Book(_ string, _ watcher.Order, _ time.Time, turn watcher.Turn) time.Time {
	return turn.At
}

func (c *cloud) Show(_ context.Context, _ string, order watcher.Order) (watcher.Answer, error) {
	return watcher.Answer{Count: 1, Items: []watcher.Item{{ResourceName: "node", Status: watcher.Processing}}}, nil
}

// set lists the orders as running.
func (c *cloud) set(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil {
		c.rows = make(map[string]sweep.Row)
	}
	for _, name := range names {
		now := time.Now().UTC().Truncate(time.Millisecond)
		c.rows[name] = sweep.Row{Name: name, Phase: "running", Created: now.Add(-time.Minute), Began: now.Add(-time.Minute)}
	}
}

// drop lets orders leave the list.
func (c *cloud) drop(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		delete(c.rows, name)
	}
}

func (c *cloud) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = err
}

func (c *cloud) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// A logbook keeps what was logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
	also io.Writer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	return b.also.Write(p)
}

// lines returns how many lines hold the text.
func (b *logbook) lines(text string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// A worker is what sweeps of one: without loops, so that wake-ups stay where they are published.
type worker struct {
	*sweeper.Sweeper
	store    *store.Store
	log      *logbook
	registry *prometheus.Registry
	stop     func()
}

func start(t *testing.T, url string, c *cloud) *worker {
	t.Helper()
	w := &worker{log: &logbook{also: t.Output()}, registry: prometheus.NewRegistry()}
	nc, err := nats.Connect(url, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if strings.Contains(err.Error(), "orders.listed.") {
			w.Denied()
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	config := eventstest.StoreConfig()
	config.Timing.AccountsEvery, config.Timing.WorkerSign, config.Timing.CheckEvery = 50*time.Millisecond, 200*time.Millisecond, 100*time.Millisecond
	w.store = eventstest.Provided(t, nc, config)
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.Sweeper = sweeper.New(log, sweeper.Config{Cloud: c, Every: time.Second, Rate: 100, Regions: []string{region}}, w.store, w.registry)
	ctx, cancel := context.WithCancel(context.Background())
	if err := w.store.Accounts().Begin(ctx); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	running.Go(func() { w.store.Accounts().Run(ctx) })
	w.stop = func() { cancel(); running.Wait() }
	t.Cleanup(w.stop)
	return w
}

// polls lets the worker poll the orders.
func (w *worker) polls(t *testing.T, c *cloud, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := w.Orders(c).Show(t.Context(), region, watcher.Order{ProjectID: eventstest.Project, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
}

// sweeps returns nil once the worker has the lease.
func (w *worker) sweeps() error {
	if l := w.store.Accounts().Lease(place); l.Worker != w.store.Accounts().ID() {
		return fmt.Errorf("the lease is %+v", l)
	}
	return nil
}

// watch stores the record of an open watch of the order, and its next wake-up, which is far away.
func watch(t *testing.T, s *store.Store, name string) watcher.Watch {
	t.Helper()
	p := watcher.Policy{
		Backoff: watcher.Backoff{Initial: time.Hour, Multiplier: 1, Max: time.Hour}, Timeout: 48 * time.Hour,
		DefaultRegion: region, MaxPayload: 1 << 20,
	}
	now := time.Now().UTC()
	ask := watcher.Ask{Order: watcher.Order{ProjectID: eventstest.Project, Name: name}, WatchID: "w_" + name, Request: watcher.Request{ID: "r", ReceivedAt: now}}
	_, w, err := p.Admit(nil, ask, now)
	if err != nil {
		t.Fatal(err)
	}
	w.Wakeup, w.NextPollAt = 7, now.Add(time.Hour)
	if _, err = s.Write(t.Context(), w, 0); err == nil {
		err = s.Schedule(t.Context(), w.Expected())
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// end writes that the watch has ended. Its wake-up stays, as it does where people want a poll at once.
func end(t *testing.T, s *store.Store, name string) {
	t.Helper()
	w, revision, err := s.ReadLatest(t.Context(), watcher.Order{ProjectID: eventstest.Project, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	w.State, w.Completion = watcher.Ended, &watcher.Completion{Outcome: watcher.Succeeded, CompletedAt: time.Now()}
	w.Completion.Requests, w.Requests = w.Requests, nil
	if _, err := s.Write(t.Context(), w, revision); err != nil {
		t.Fatal(err)
	}
}

// due returns the wake-up that is due for the order; the zero one where none is.
func due(t *testing.T, s *store.Store, name string) watcher.Wakeup {
	t.Helper()
	m, err := s.Last(t.Context(), s.Names.WakeupStream(), s.Names.Due(eventstest.Project+"."+name))
	if err != nil {
		t.Fatal(err)
	}
	if m.Sequence == 0 {
		return watcher.Wakeup{}
	}
	k, err := store.DecodeWakeup(m.Subject, s.Names.Due(""), m.Data)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// hinted returns nil once the order's expected wake-up is due, with a hint that says when the order ended.
func hinted(t *testing.T, w watcher.Watch, s *store.Store, ended time.Time) func() error {
	return func() error {
		k := due(t, s, w.Name)
		if k.Number == 0 {
			return fmt.Errorf("%s is not due", w.Name)
		}
		if k.Number != w.Wakeup || k.WatchID != w.ID || k.Hint == nil || !k.Hint.Ended.Equal(ended) || time.Since(k.At) > time.Minute {
			t.Fatalf("%+v with the hint %+v; want one that says %s, for %+v", k, k.Hint, ended, w.Expected())
		}
		return nil
	}
}

// listed returns nil once each worker knows that the orders are listed, or that they are not.
func listed(want bool, names []string, workers ...*worker) func() error {
	return func() error {
		for i, w := range workers {
			for _, name := range names {
				if got := w.Swept(region, watcher.Order{ProjectID: eventstest.Project, Name: name}); got != want {
					return fmt.Errorf("worker %d: %s is listed: %t", i, name, got)
				}
			}
		}
		return nil
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	c := new(cloud)
	first, second := start(t, s.ClientURL(), c), start(t, s.ClientURL(), c)
	names := []string{"order.a", "order.b", "order.c", "order.over", "order.others", "order.stays"}
	watches := make(map[string]watcher.Watch)
	for _, name := range names {
		if name != "order.others" { // nobody here watches it
			watches[name] = watch(t, first.store, name)
		}
	}
	end(t, first.store, "order.over")
	elsewhere := watch(t, first.store, "order.elsewhere")
	elsewhere.Region = "cn-east-3"
	_, revision, err := first.store.ReadLatest(t.Context(), elsewhere.Order)
	if err == nil {
		_, err = first.store.Write(t.Context(), elsewhere, revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.set(append(names, "order.elsewhere")...)
	if second.polls(t, c, "order.a"); second.sweeps() == nil {
		t.Error("swept after a poll of one order")
	}
	first.polls(t, c, "order.a", "order.b")
	eventstest.Eventually(t, first.sweeps)
	eventstest.Eventually(t, listed(true, names, first, second))
	if err := listed(false, []string{"order.z"}, first, second)(); err != nil {
		t.Error(err)
	}
	for _, name := range append(names, "order.elsewhere") {
		if k := due(t, first.store, name); k.Number != 0 {
			t.Errorf("%s is due although it runs: %+v", name, k)
		}
	}

	// One leaves the list, another one is shown as ended. What is not watched here leaves it, too.
	c.drop("order.a", "order.over", "order.others", "order.elsewhere")
	c.mu.Lock()
	ended := c.rows["order.b"]
	ended.Phase, ended.Ended = "successed", time.Now().UTC().Truncate(time.Millisecond)
	c.rows["order.b"] = ended
	c.mu.Unlock()
	eventstest.Eventually(t, hinted(t, watches["order.a"], first.store, time.Time{}))
	eventstest.Eventually(t, func() error {
		if k := due(t, first.store, "order.b"); k.Hint == nil {
			return fmt.Errorf("%+v", k)
		}
		return nil
	})
	eventstest.Eventually(t, listed(false, []string{"order.a", "order.b", "order.over", "order.others"}, first, second))
	for _, name := range []string{"order.over", "order.others", "order.elsewhere", "order.c", "order.stays"} {
		if k := due(t, first.store, name); k.Number != 0 {
			t.Errorf("%s is due: %+v", name, k)
		}
	}

	// The sweeper ends: the other one takes over, and misses nothing.
	first.stop()
	c.drop("order.c")
	eventstest.Eventually(t, second.sweeps)
	eventstest.Eventually(t, hinted(t, watches["order.c"], second.store, time.Time{}))
	eventstest.Eventually(t, listed(true, []string{"order.stays"}, second))
}

// A lease is given back when no watch is open, whatever the list shows, and what was listed is forgotten.
func TestGivenBack(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	c := new(cloud)
	w := start(t, s.ClientURL(), c)
	names := []string{"order.a", "order.b", "order.c"}
	for _, name := range names {
		watch(t, w.store, name)
	}
	c.set(names...)
	w.polls(t, c, names...)
	eventstest.Eventually(t, w.sweeps)
	eventstest.Eventually(t, listed(true, names, w))
	end(t, w.store, "order.a")
	end(t, w.store, "order.b")
	lists := c.count()
	eventstest.Eventually(t, func() error { // the list has let the polls of the last one be far apart
		if n := c.count(); n < lists+20 {
			return fmt.Errorf("%d lists since one watch alone is open", n-lists)
		}
		return w.sweeps()
	})
	end(t, w.store, "order.c")
	eventstest.Eventually(t, func() error {
		if l := w.store.Accounts().Lease(place); l.Worker != "" {
			return fmt.Errorf("%+v", l)
		}
		return nil
	})
	calls := c.count()
	eventstest.Eventually(t, listed(false, names, w)) // that takes longer than a sweep takes to come
	if now := c.count(); now > calls+1 {
		t.Errorf("%d calls after the lease was given back", now-calls)
	}
	watch(t, w.store, "order.d")
	watch(t, w.store, "order.e")
	w.polls(t, c, "order.d", "order.e")
	eventstest.Eventually(t, w.sweeps)
}

// While the list waits for a poll, an open watch is polled: by the list's doing no other poll may come soon.
func TestTheListWaitsForAPoll(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	c := &cloud{waits: true}
	w := start(t, s.ClientURL(), c)
	names := []string{"order.a", "order.b"}
	for _, name := range names {
		watch(t, w.store, name)
	}
	c.set(names...)
	w.polls(t, c, names...)
	eventstest.Eventually(t, w.sweeps)
	eventstest.Eventually(t, func() error {
		if due(t, w.store, "order.a").Number == 0 && due(t, w.store, "order.b").Number == 0 {
			return errors.New("no watch is to be polled")
		}
		return nil
	})
	c.mu.Lock()
	c.waits = false
	c.mu.Unlock()
	eventstest.Eventually(t, listed(true, names, w))
}

// A list that is refused is not asked again, by no worker, and that is said once.
func TestOff(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	c := new(cloud)
	c.fail(&watcher.PollError{Class: watcher.Forbidden, Message: "HTTP 403: not permitted to list"})
	first, second := start(t, s.ClientURL(), c), start(t, s.ClientURL(), c)
	for _, name := range []string{"order.a", "order.b"} {
		watch(t, first.store, name)
	}
	first.polls(t, c, "order.a", "order.b")
	off := func(w *worker) func() error {
		return func() error {
			l := w.store.Accounts().Lease(place)
			if left := time.Until(l.OffUntil); !l.Valid || left < 30*time.Minute || left > 2*time.Hour || !strings.Contains(l.Why, "not permitted to list") {
				return fmt.Errorf("%+v", l)
			}
			families, err := w.registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() == "orderwatch_sweep_off" && f.GetMetric()[0].GetGauge().GetValue() == 1 {
					return nil
				}
			}
			return fmt.Errorf("no metric says it")
		}
	}
	eventstest.Eventually(t, off(first))
	eventstest.Eventually(t, off(second))
	calls := c.count()
	first.stop()
	eventstest.Eventually(t, second.sweeps)
	eventstest.Eventually(t, off(second))
	if now := c.count(); now != calls || now > 3 {
		t.Errorf("%d calls, and %d by the worker that took over", calls, now-calls)
	}
	if n := first.log.lines("is of no use") + second.log.lines("is of no use"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if reserved := second.store.Accounts().Reserved(region); reserved != 0 {
		t.Errorf("%v calls a second are reserved", reserved)
	}
}

// What somebody else sends on the subject is not believed.
func TestForgedListing(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, _ := eventstest.Connect(t, s)
	c := new(cloud)
	w := start(t, s.ClientURL(), c)
	for _, name := range []string{"order.a", "order.b"} {
		watch(t, w.store, name)
	}
	c.set("order.a", "order.b")
	w.polls(t, c, "order.a", "order.b")
	eventstest.Eventually(t, listed(true, []string{"order.a"}, w))
	heard, err := nc.SubscribeSync("orders.listed.>")
	if err != nil {
		t.Fatal(err)
	}
	m, err := heard.NextMsg(eventstest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	var told map[string]any
	if err := json.Unmarshal(m.Data, &told); err != nil || told["worker"] != w.store.Accounts().ID() {
		t.Fatalf("%s: %v", m.Data, err)
	}
	forge := func(change func(m *nats.Msg, told map[string]any)) {
		t.Helper()
		forged := nats.NewMsg(m.Subject)
		forged.Header.Set(store.KeyHeader, m.Subject)
		of := make(map[string]any)
		for key, value := range told {
			of[key] = value
		}
		hash := fnv.New64a()
		hash.Write([]byte("order.z"))
		of["at"], of["part"], of["parts"], of["names"] = time.Now(), 1, 1, hash.Sum(nil)
		change(forged, of)
		if forged.Data == nil {
			forged.Data, _ = json.Marshal(of)
		}
		if err := nc.PublishMsg(forged); err != nil {
			t.Fatal(err)
		}
	}
	forge(func(m *nats.Msg, _ map[string]any) { m.Header.Del(store.KeyHeader) })
	forge(func(_ *nats.Msg, of map[string]any) { of["worker"] = "somebody" })
	forge(func(_ *nats.Msg, of map[string]any) { of["every"] = "soon" })
	forge(func(_ *nats.Msg, of map[string]any) { of["part"] = 2 })
	forge(func(_ *nats.Msg, of map[string]any) { of["names"] = "AAAA" })
	forge(func(m *nats.Msg, _ map[string]any) { m.Data = []byte(`{"stream":"ORDER_EVENTS","seq":1}`) })
	forge(func(m *nats.Msg, _ map[string]any) { m.Data = []byte{} })
	if _, err := heard.NextMsg(eventstest.Patience); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error {
		m, err := heard.NextMsg(eventstest.Patience)
		if err == nil && !bytes.Contains(m.Data, []byte(w.store.Accounts().ID())) {
			err = fmt.Errorf("%s", m.Data)
		}
		return err
	})
	for _, err := range []error{listed(true, []string{"order.a", "order.b"}, w)(), listed(false, []string{"order.z"}, w)()} {
		if err != nil {
			t.Error(err)
		}
	}
}

// Where NATS does not permit the subject, the worker works as without it, and says so once.
func TestSubjectDenied(t *testing.T) {
	t.Parallel()
	before := &server.User{Username: "w", Password: "p", Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{"$JS.>", "$KV.>", "orders.waiting.>", "orders.due.>"}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>", "$KV.>"}},
	}}
	s := eventstest.Server(t, server.Options{Users: []*server.User{before}})
	c := new(cloud)
	w := start(t, strings.Replace(s.ClientURL(), "://", "://w:p@", 1), c)
	watches := make(map[string]watcher.Watch)
	for _, name := range []string{"order.a", "order.b", "order.c"} {
		watches[name] = watch(t, w.store, name)
	}
	c.set("order.a", "order.b", "order.c")
	w.polls(t, c, "order.a", "order.b")
	eventstest.Eventually(t, w.sweeps)
	begun := c.count()
	eventstest.Eventually(t, func() error {
		if n := c.count(); n < begun+4 {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
	c.drop("order.a")
	eventstest.Eventually(t, hinted(t, watches["order.a"], w.store, time.Time{}))
	if err := listed(false, []string{"order.b"}, w)(); err != nil {
		t.Error(err)
	}
	if n := w.log.lines("does not permit"); n != 1 {
		t.Errorf("said %d times", n)
	}
}
