package inspect_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// inspector returns an inspector that logs in so.
func inspector(t *testing.T, s *server.Server, cfg store.Config, login ...nats.Option) *inspect.Inspector {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), append(login, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	i, err := inspect.New(cfg, nc, store.NewClock(nil))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// ask publishes a request for the order.
func ask(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	if _, err := js.Publish(t.Context(), "orders.watch", fmt.Appendf(nil, `{"project_id":%q,"order_name":%q}`, eventstest.Project, name)); err != nil {
		t.Fatal(err)
	}
}

// configured starts a server that is configured by a text.
func configured(t *testing.T, text string) *server.Server {
	t.Helper()
	options := options(t, text)
	options.Port, options.StoreDir = -1, t.TempDir()
	return eventstest.Server(t, *options)
}

func options(t *testing.T, text string) *server.Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return options
}

// everything returns the state of all that is in JetStream, as JSON without what changes by itself.
func everything(t *testing.T, js jetstream.JetStream) map[string]string {
	t.Helper()
	all := make(map[string]string)
	note := func(name string, values ...any) {
		encoded, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(encoded)
	}
	streams := js.ListStreams(t.Context())
	for s := range streams.Info() {
		state := s.State
		note(s.Config.Name, s.Config, state.Msgs, state.Bytes, state.FirstSeq, state.LastSeq, state.NumDeleted, state.Consumers)
		stream, err := js.Stream(t.Context(), s.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		consumers := stream.ListConsumers(t.Context())
		for c := range consumers.Info() {
			note(s.Config.Name+" "+c.Name, c.Config, c.Delivered, c.AckFloor, c.NumAckPending, c.NumRedelivered, c.NumWaiting, c.NumPending)
		}
		if consumers.Err() != nil {
			t.Fatal(consumers.Err())
		}
	}
	if streams.Err() != nil {
		t.Fatal(streams.Err())
	}
	return all
}

// TestPermissionsChangeNothing tries all permissions while messages are stored, scheduled and in flight, as a
// user who may do everything: nothing is stored, made, acknowledged or asked for. The streams did
// get what was published, and refused it.
func TestPermissionsChangeNothing(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	cfg := eventstest.StoreConfig()
	a := eventstest.Contract("orders", "ORDER")
	a.Create(t, js)
	ask(t, js, "order.in-flight")
	ask(t, js, "order.waits")
	for _, subject := range []string{"orders.due.p.o", "orders.completed.succeeded.p.o", "$KV.ORDER_WATCHES.p.o", "$KV.ORDER_ACCOUNTS.hold.ab12", "$KV.ORDER_SLACK.n"} {
		if _, err := js.Publish(t.Context(), subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	intake, err := js.Consumer(t.Context(), "ORDER_REQUESTS", "intake")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := intake.Next(); err != nil { // it is never acknowledged
		t.Fatal(err)
	}
	var refused []string // by which stream
	asked := make(chan *nats.Msg, 1000)
	if _, err := nc.ChanSubscribe("orders.>", asked); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	before := everything(t, js)

	list, err := inspector(t, s, cfg).Permissions(t.Context(), s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Grant != inspect.Granted {
			t.Errorf("%s %s: %s; want %s", p.Verb, p.Subject, p.Grant, inspect.Granted)
		}
	}
	if after := everything(t, js); !reflect.DeepEqual(after, before) {
		for name := range after {
			if after[name] != before[name] {
				t.Errorf("%s became\n%s, was\n%s", name, after[name], before[name])
			}
		}
	}

	// The same messages once more, as something that asks for an answer.
	eventstest.Eventually(t, func() error {
		if len(asked) < 7 {
			return fmt.Errorf("%d messages below orders were heard of; want 7", len(asked))
		}
		return nil
	})
	for range len(asked) {
		m := <-asked
		if strings.HasPrefix(m.Subject, "orders.listed.") { // no stream has it
			continue
		}
		if len(m.Data) > 0 {
			t.Errorf("%s was published with content", m.Subject)
		}
		reply, err := nc.RequestMsg(&nats.Msg{Subject: m.Subject, Header: m.Header}, eventstest.Patience)
		if err != nil {
			t.Errorf("%s: %v", m.Subject, err)
			continue
		}
		var ack struct {
			Stream string
			Error  *jetstream.APIError
		}
		if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Error == nil || ack.Error.ErrorCode != 10060 {
			t.Errorf("%s is answered %s; want the stream's error 10060", m.Subject, reply.Data)
		}
		refused = append(refused, ack.Stream)
	}
	slices.Sort(refused)
	if got := slices.Compact(refused); !slices.Equal(got, []string{"ORDER_EVENTS", "ORDER_WAKEUPS"}) {
		t.Errorf("refused by %v", got)
	}
}

// workerRules returns what nats-permissions.conf allows the worker.
func workerRules(t *testing.T) *server.Permissions {
	t.Helper()
	rules, err := os.ReadFile("../../deploy/nats-permissions.conf")
	if err != nil {
		t.Fatal(err)
	}
	passwords := ""
	for _, user := range []string{"WORKER", "PRODUCER", "PERSON", "CONSUMER", "SETUP", "PAGE", "PAGE_ACTIONS"} {
		passwords += "NATS_" + user + "_PASSWORD: planted\n"
	}
	for _, user := range options(t, passwords+string(rules)).Users {
		if user.Username == "worker" {
			return user.Permissions
		}
	}
	t.Fatal("nats-permissions.conf has no worker")
	return nil
}

// TestPermissionsFound logs in as the worker of nats-permissions.conf, and as one from whom one of
// its permissions was taken, for each: what is denied is exactly that.
func TestPermissionsFound(t *testing.T) {
	t.Parallel()
	rules := workerRules(t)
	users := []*server.User{{Username: "worker", Password: "planted", Permissions: rules}}
	type taken struct {
		verb    inspect.Verb
		subject string
	}
	var all []taken
	without := func(verb inspect.Verb, subject string, change func(*server.Permissions)) {
		less := &server.Permissions{Publish: &server.SubjectPermission{Allow: slices.Clone(rules.Publish.Allow)}, Subscribe: &server.SubjectPermission{Allow: slices.Clone(rules.Subscribe.Allow)}, Response: rules.Response}
		change(less)
		users = append(users, &server.User{Username: fmt.Sprintf("without-%d", len(all)), Password: "planted", Permissions: less})
		all = append(all, taken{verb, subject})
	}
	for n, subject := range rules.Publish.Allow {
		without(inspect.Publishes, subject, func(p *server.Permissions) { p.Publish.Allow = slices.Delete(p.Publish.Allow, n, n+1) })
	}
	for n, subject := range rules.Subscribe.Allow {
		without(inspect.Subscribes, subject, func(p *server.Permissions) { p.Subscribe.Allow = slices.Delete(p.Subscribe.Allow, n, n+1) })
	}
	without(inspect.Responds, "", func(p *server.Permissions) { p.Response = nil })
	s := eventstest.Server(t, server.Options{Users: users})

	cfg := eventstest.StoreConfig()
	cfg.Provision = false
	as := func(user string) []inspect.Permission {
		login := []nats.Option{nats.UserInfo(user, "planted"), nats.CustomInboxPrefix("_INBOX_orderwatch")}
		list, err := inspector(t, s, cfg, login...).Permissions(t.Context(), s.ClientURL(), login...)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	page, err := os.ReadFile("../../deploy/NATS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, forDoctor, _ := strings.Cut(string(page), "for `orderwatch doctor` alone ") // in the table of permissions
	forDoctor, _, _ = strings.Cut(forDoctor, " |")
	var listed []taken
	for _, p := range as("worker") {
		if p.Grant != inspect.Granted {
			t.Errorf("the worker's permission to %s %s is %s; want %s", p.Verb, p.Subject, p.Grant, inspect.Granted)
		}
		listed = append(listed, taken{p.Verb, p.Subject})
		if p.Need == inspect.NeedDoctor && !strings.Contains(forDoctor, "`"+p.Subject+"`") {
			t.Errorf("deploy/NATS.md does not name %s for orderwatch doctor: %s", p.Subject, forDoctor)
		}
	}
	compare := func(a, b taken) int { return strings.Compare(string(a.verb)+a.subject, string(b.verb)+b.subject) }
	if want := slices.SortedFunc(slices.Values(all), compare); !slices.Equal(slices.SortedFunc(slices.Values(listed), compare), want) {
		t.Errorf("tried are\n%v\nand nats-permissions.conf has\n%v", listed, want)
	}
	for n, missing := range all {
		for _, p := range as(fmt.Sprintf("without-%d", n)) {
			want := inspect.Granted
			switch {
			case taken{p.Verb, p.Subject} == missing:
				want = inspect.Denied
			case p.Verb == inspect.Responds && (missing == taken{inspect.Publishes, "$KV.ORDER_ACCOUNTS.>"} || missing == taken{inspect.Subscribes, "$KV.ORDER_ACCOUNTS.hold.>"}):
				want = inspect.NotTried
			}
			if p.Grant != want {
				t.Errorf("without %v: %s %s is %s; want %s", missing, p.Verb, p.Subject, p.Grant, want)
			}
		}
	}
}

// TestInspectWatches judges records by the server's clock.
func TestInspectWatches(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	cfg := eventstest.StoreConfig()
	cfg.Timing.PatrolSlack = 0
	eventstest.Contract("orders", "ORDER").Create(t, js)
	records := eventstest.Store(t, nc, cfg, nil)
	now := time.Now()
	write := func(name string, state watcher.State, next time.Time) {
		w := watcher.Watch{Schema: watcher.SchemaVersion, State: state, ID: "w_" + name, Order: watcher.Order{ProjectID: eventstest.Project, Name: name}, Region: "cn-north-4", Wakeup: 1, NextPollAt: next, Requests: []watcher.Request{{ID: "build-1"}}}
		if state != watcher.Watching {
			w.Completion = &watcher.Completion{Outcome: watcher.Succeeded}
		}
		if _, err := records.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
	}
	write("order.late", watcher.Watching, now.Add(-time.Hour))
	write("order.later", watcher.Watching, now.Add(-2*time.Hour))
	write("order.waits", watcher.Watching, now.Add(time.Hour))
	write("order.ending", watcher.Ending, now)
	write("order.ended", watcher.Ended, now.Add(-time.Hour))
	write("order.recent", watcher.Watching, now.Add(time.Hour))

	i := inspector(t, s, cfg)
	if _, _, err := i.Clock(t.Context()); err != nil {
		t.Fatal(err)
	}
	w, err := i.Watches(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var worst []string
	for _, late := range w.Worst {
		worst = append(worst, late.Name)
	}
	if !slices.Equal(worst, []string{"order.later", "order.late", "order.ending"}) {
		t.Errorf("the worst are %v", worst)
	}
	w.Worst = nil
	want := inspect.Watches{WatchCount: wire.WatchCount{Watching: 4, Ending: 1, Stuck: 1, Overdue: 2, All: true}, Projects: map[string]string{"cn-north-4": eventstest.Project}}
	if !reflect.DeepEqual(w, want) {
		t.Errorf("got %+v\nwant %+v", w, want)
	}
	write("order.pool", watcher.Watching, time.Now().Add(-time.Minute))
	if _, err := js.Publish(t.Context(), "$KV.ORDER_WATCHES."+eventstest.Project+".order.broken", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "ORDER_WAKEUPS"); err != nil {
		t.Fatal(err)
	}
	w, err = i.Watches(t.Context())
	if err != nil || w.LateErr == nil || w.Watching != 5 || w.Unreadable != 1 || w.Overdue != 3 {
		t.Errorf("where wake-ups cannot be read: %+v, %v; want all that the records say", w, err)
	}
}

// TestInspectLimits reads the limits of an account, and what is said where it has none, or no JetStream.
func TestInspectLimits(t *testing.T) {
	t.Parallel()
	s := configured(t, `
jetstream: enabled
accounts: {
	LIMITED: {users: [{user: limited, password: planted}], jetstream: {max_mem: 1M, max_file: 100M, max_streams: 10, max_consumers: 20, max_ack_pending: 1000}}
	FREE: {users: [{user: free, password: planted}], jetstream: enabled}
	NONE: {users: [{user: none, password: planted}]}
}`)
	as := func(user string) *inspect.Inspector {
		return inspector(t, s, eventstest.StoreConfig(), nats.UserInfo(user, "planted"))
	}
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("limited", "planted"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	limits, err := as("limited").Limits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []inspect.Limit{
		{Name: "max_ack_pending", Most: 1000, Each: true},
		{Name: "max_consumers", Most: 20},
		{Name: "max_memory", Most: 1e6},
		{Name: "max_storage", Most: 100e6},
		{Name: "max_streams", Most: 10, Used: 1},
	}
	if !reflect.DeepEqual(limits, want) {
		t.Errorf("got %+v\nwant %+v", limits, want)
	}
	if limits, err := as("free").Limits(t.Context()); err != nil || len(limits) > 0 {
		t.Errorf("where there are none: %+v, %v", limits, err)
	}
	if _, err := as("none").Limits(t.Context()); !errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		t.Errorf("without JetStream: %v", err)
	}
}

// TestInspectSyncing asks as the system account, and as another.
func TestInspectSyncing(t *testing.T) {
	t.Parallel()
	s := configured(t, `
server_name: one
jetstream: {sync_interval: always}
system_account: SYS
accounts: {
	SYS: {users: [{user: sys, password: planted}]}
	APP: {users: [{user: app, password: planted}], jetstream: enabled}
}`)
	got := inspector(t, s, eventstest.StoreConfig(), nats.UserInfo("sys", "planted")).Syncing(t.Context())
	if len(got) != 1 || got[0].Server != "one" || !got[0].Always {
		t.Errorf("the system account sees %+v", got)
	}
	if got := inspector(t, s, eventstest.StoreConfig(), nats.UserInfo("app", "planted")).Syncing(t.Context()); len(got) > 0 {
		t.Errorf("another account sees %+v", got)
	}
}

// TestInspectAssets finds what is missing, differs, is paused, or waits, and repairs nothing.
func TestInspectAssets(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := eventstest.StoreConfig()
	cfg.PollTimeout = 15 * time.Second
	a := eventstest.Contract("orders", "ORDER")
	a.Wakeups.MaxMsgs = 1000
	a.Requests.Description = "ours"
	a.Poller.MaxDeliver, a.Poller.AckWait = 5, 30*time.Second
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	a.Intake.PauseUntil = &until
	a.Create(t, js)
	ask(t, js, "order.waits")
	if err := js.DeleteStream(t.Context(), "KV_ORDER_SLACK"); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), "ORDER_EVENTS", "slack"); err != nil {
		t.Fatal(err)
	}
	before := everything(t, js)
	got := make(map[string]inspect.Asset)
	for _, asset := range inspector(t, s, cfg).Assets(t.Context()) {
		got[asset.Name()] = asset
	}
	differs := func(name string, want ...inspect.Difference) {
		if !reflect.DeepEqual(got[name].Differences, want) {
			t.Errorf("%s: got %+v; want %+v", name, got[name].Differences, want)
		}
	}
	differs("stream ORDER_WAKEUPS", inspect.Difference{Setting: "max_msgs", Found: "1000", Wanted: "-1", Fatal: true})
	differs("stream ORDER_REQUESTS", inspect.Difference{Setting: "description", Found: "ours", Wanted: "Requests to watch ModelArts orders"})
	differs("consumer poller of ORDER_WAKEUPS",
		inspect.Difference{Setting: "max_deliver", Found: "5", Wanted: "-1; delete the consumer, or what it gave up never comes again", Fatal: true},
		inspect.Difference{Setting: "ack_wait", Found: "30s", Wanted: "31s"})
	differs("stream KV_ORDER_WATCHES")
	if intake := got["consumer intake of ORDER_REQUESTS"]; !intake.Paused || !intake.PausedUntil.Equal(until) || intake.Pending != 1 {
		t.Errorf("intake: %+v", intake)
	}
	for name, asset := range got {
		optional := name == "stream KV_ORDER_HISTORY" || name == "consumer history of ORDER_EVENTS"
		if missing := optional || name == "stream KV_ORDER_SLACK" || name == "consumer slack of ORDER_EVENTS"; asset.Optional != optional || asset.Missing != missing || missing != (asset.Err != nil) {
			t.Errorf("%s: missing %v, %v", name, asset.Missing, asset.Err)
		}
	}
	if len(got) != 11 {
		t.Errorf("%d assets were looked at", len(got))
	}
	if after := everything(t, js); !reflect.DeepEqual(after, before) {
		t.Error("something was changed")
	}
}

// TestStrict asks a server that reads calls of its API strictly, as by default, and one that does not. Nothing changes.
func TestStrict(t *testing.T) {
	t.Parallel()
	for _, lax := range []bool{false, true} {
		s := eventstest.Server(t, server.Options{NoJetStreamStrict: lax})
		nc, _ := eventstest.Connect(t, s)
		kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
		if strict, err := inspect.Over(kept).Strict(t.Context()); err != nil || strict == lax {
			t.Errorf("strict: false is %t: strict %t, %v", lax, strict, err)
		}
	}
}
