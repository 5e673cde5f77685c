package events_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

const day = 24 * time.Hour

// agreed are the streams and consumers as the contract's table says, for any prefixes. What it
// leaves to the program is what the program chose.
type agreed struct {
	requests, wakeups, records, accounts, notes, events jetstream.StreamConfig
	intake, poller, slack                               jetstream.ConsumerConfig
}

func contract(subjects, streams string) *agreed {
	stream := jetstream.StreamConfig{
		Storage: jetstream.FileStorage, Replicas: 1, AllowDirect: true,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1,
		Duplicates: 2 * time.Minute, // the server's default
	}
	consumer := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxDeliver: -1, MaxAckPending: -1,
		MaxWaiting: 512, // the server's default
	}
	a := &agreed{stream, stream, stream, stream, stream, stream, consumer, consumer, consumer}
	a.poller.AckWait = 3 * time.Second // twice config's PollTimeout and a second

	a.requests.Name, a.requests.Subjects = streams+"_REQUESTS", []string{subjects + ".watch"}
	a.requests.Description = "Requests to watch ModelArts orders"
	a.requests.Retention, a.requests.Discard = jetstream.WorkQueuePolicy, jetstream.DiscardNew
	a.requests.MaxMsgSize, a.requests.Duplicates = 81920, 100*time.Millisecond

	a.wakeups.Name, a.wakeups.Subjects = streams+"_WAKEUPS", []string{subjects + ".waiting.>", subjects + ".due.>"}
	a.wakeups.Description = "Wake-ups of orderwatch: scheduled and due"
	a.wakeups.Retention, a.wakeups.AllowMsgSchedules, a.wakeups.AllowRollup = jetstream.WorkQueuePolicy, true, true

	a.records.Name, a.records.Subjects = "KV_"+streams+"_WATCHES", []string{"$KV." + streams + "_WATCHES.>"}
	a.records.Description = "One record for each watch of orderwatch"
	a.records.MaxMsgsPerSubject, a.records.MaxAge = 1, 90*day
	a.records.Discard, a.records.AllowRollup, a.records.DenyDelete = jetstream.DiscardNew, true, true // as every bucket

	a.accounts, a.notes = a.records, a.records
	a.accounts.Name, a.accounts.Subjects = "KV_"+streams+"_ACCOUNTS", []string{"$KV." + streams + "_ACCOUNTS.>"}
	a.accounts.Description, a.accounts.MaxAge = "What the workers of orderwatch tell each other", time.Hour
	a.notes.Name, a.notes.Subjects = "KV_"+streams+"_SLACK", []string{"$KV." + streams + "_SLACK.>"}
	a.notes.Description = "What orderwatch posted where"

	a.events.Name, a.events.Description = streams+"_EVENTS", "What became of watches"
	for _, kind := range []string{".completed.>", ".progress.>", ".rejected", ".attention.>", ".undelivered.>"} {
		a.events.Subjects = append(a.events.Subjects, subjects+kind)
	}
	a.events.MaxAge, a.events.DenyDelete, a.events.DenyPurge = 90*day, true, true

	a.intake.Durable, a.intake.FilterSubject = "intake", subjects+".watch"
	a.poller.Durable, a.poller.FilterSubject = "poller", subjects+".due.>"
	a.slack.Durable, a.slack.DeliverPolicy = "slack", jetstream.DeliverNewPolicy
	a.slack.FilterSubjects = []string{subjects + ".completed.>", subjects + ".progress.>", subjects + ".attention.>"}
	return a
}

func (a *agreed) streams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{a.requests, a.records, a.accounts, a.notes, a.events, a.wakeups}
}

func (a *agreed) consumers() map[string]jetstream.ConsumerConfig {
	return map[string]jetstream.ConsumerConfig{a.requests.Name: a.intake, a.wakeups.Name: a.poller, a.events.Name: a.slack}
}

// create creates them.
func (a *agreed) create(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, stream := range a.streams() {
		s, err := js.CreateStream(t.Context(), stream)
		if err != nil {
			t.Fatalf("create %s: %v", stream.Name, err)
		}
		if consumer, ok := a.consumers()[stream.Name]; ok {
			if _, err := s.CreateConsumer(t.Context(), consumer); err != nil {
				t.Fatalf("create %s: %v", consumer.Durable, err)
			}
		}
	}
}

// check checks that the server has them like this, setting by setting.
func (a *agreed) check(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, want := range a.streams() {
		s, err := js.Stream(t.Context(), want.Name)
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		checkFields(t, "stream "+want.Name, s.CachedInfo().Config, want, "Metadata")
		consumer, ok := a.consumers()[want.Name]
		if !ok {
			continue
		}
		c, err := s.Consumer(t.Context(), consumer.Durable)
		if err != nil {
			t.Fatalf("%s: %v", consumer.Durable, err)
		}
		got := c.CachedInfo().Config
		if len(got.FilterSubjects) == 1 { // the other way to say the same
			got.FilterSubject, got.FilterSubjects = got.FilterSubjects[0], nil
		}
		checkFields(t, "consumer "+consumer.Durable, got, consumer, "Name", "Metadata")
	}
}

// checkFields compares structs field by field, but for some.
func checkFields(t *testing.T, what string, got, want any, but ...string) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		if strings.Contains(strings.Join(but, " "), name) {
			continue
		}
		if got, want := g.Field(i).Interface(), w.Field(i).Interface(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s is %v; the contract says %v", what, name, got, want)
		}
	}
}

// idleCloud answers that nothing has ended.
func idleCloud() *orders { return &orders{show: endedAfter(1 << 30)} }

func TestCreated(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), -1)
	_, js := connect(t, s)
	startWorker(t, s, config(), idleCloud())
	contract("orders", "ORDER").check(t, js)
	for _, bucket := range []string{"ORDER_WATCHES", "ORDER_ACCOUNTS", "ORDER_SLACK"} {
		if _, err := js.KeyValue(t.Context(), bucket); err != nil {
			t.Errorf("%s as a bucket: %v", bucket, err)
		}
	}
}

// What is there stays as it is; what does no harm is a warning that names it.
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), -1)
	_, js := connect(t, s)
	for i, test := range []struct {
		alter    func(*agreed)
		name     string // of the asset, without the prefix
		setting  string
		found    string // empty where there is nothing to say
		wanted   string
		replicas int // wanted; 0 for 1
	}{
		{alter: func(*agreed) {}},
		{alter: func(a *agreed) { a.requests.MaxMsgs = 100000 }, name: "_REQUESTS", setting: "max_msgs", found: "100000", wanted: "-1"},
		{alter: func(a *agreed) { a.requests.MaxBytes = 1 << 30 }, name: "_REQUESTS", setting: "max_bytes", found: "1073741824", wanted: "-1"},
		{alter: func(a *agreed) { a.requests.MaxMsgsPerSubject, a.requests.DiscardNewPerSubject = 1000, true }, name: "_REQUESTS", setting: "max_msgs_per_subject", found: "1000", wanted: "-1"},
		{alter: func(a *agreed) { a.requests.MaxMsgSize = 1 << 20 }, name: "_REQUESTS", setting: "max_msg_size", found: "1048576", wanted: "81920"},
		{alter: func(a *agreed) { a.requests.Duplicates = time.Minute }, name: "_REQUESTS", setting: "duplicate_window", found: "1m0s", wanted: "100ms"},
		{alter: func(a *agreed) { a.requests.AllowRollup = true }, name: "_REQUESTS", setting: "allow_rollup_hdrs", found: "true", wanted: "false"},
		{alter: func(a *agreed) { a.requests.AllowMsgTTL = true }, name: "_REQUESTS", setting: "allow_msg_ttl", found: "true", wanted: "false"},
		{alter: func(a *agreed) { a.requests.AllowAtomicPublish = true }, name: "_REQUESTS", setting: "allow_atomic", found: "true", wanted: "false"},
		{alter: func(a *agreed) { a.requests.AllowDirect = false }, name: "_REQUESTS", setting: "allow_direct", found: "false", wanted: "true"},
		{alter: func(a *agreed) { a.requests.Description = "ours" }, name: "_REQUESTS", setting: "description", found: "ours", wanted: "Requests"},
		{alter: func(a *agreed) { a.events.DenyPurge = false }, name: "_EVENTS", setting: "deny_purge", found: "false", wanted: "true"},
		{alter: func(a *agreed) { a.events.DenyDelete = false }, name: "_EVENTS", setting: "deny_delete", found: "false", wanted: "true"},
		{alter: func(a *agreed) { a.events.MaxAge = 30 * day }, name: "_EVENTS", setting: "max_age", found: "720h0m0s", wanted: "2160h0m0s"},
		{alter: func(a *agreed) { a.records.MaxAge = 0 }, name: "_WATCHES", setting: "max_age", found: "0s", wanted: "2160h0m0s"},
		{alter: func(a *agreed) { a.poller.MaxAckPending = 5000 }, name: "poller", setting: "max_ack_pending", found: "5000", wanted: "-1"},
		{alter: func(a *agreed) { a.poller.AckWait = time.Minute }, name: "poller", setting: "ack_wait", found: "1m0s", wanted: "3s"}, // as releases before made it
		{alter: func(a *agreed) { a.poller.AckWait = 2 * time.Second }, name: "poller", setting: "ack_wait", found: "2s", wanted: "3s"},
		{alter: func(a *agreed) { a.intake.AckWait = 2 * time.Second }, name: "intake", setting: "ack_wait", found: "2s", wanted: "1m0s"},
		{alter: func(a *agreed) { a.slack.MaxRequestBatch = 2 }, name: "slack", setting: "max_batch", found: "2", wanted: "0"},
		{alter: func(a *agreed) { a.slack.DeliverPolicy = jetstream.DeliverAllPolicy }, name: "slack", setting: "deliver_policy", found: "all", wanted: "new"},
		{alter: func(*agreed) {}, replicas: 3, name: "_WAKEUPS", setting: "num_replicas", found: "1", wanted: "3"},
	} {
		t.Run(strings.TrimSpace(test.name+" "+test.setting), func(t *testing.T) {
			subjects, streams := fmt.Sprintf("left%d.orders", i), fmt.Sprintf("LEFT%d", i)
			a := contract(subjects, streams)
			test.alter(a)
			a.create(t, js)
			cfg := config()
			cfg.Names = wire.Names{Subjects: subjects, Service: "orderwatch", Streams: streams}
			cfg.Replicas = max(1, test.replicas)
			w := startWorker(t, s, cfg, idleCloud())
			a.check(t, js)
			if test.found == "" {
				if err := w.log.line("setting is not as wanted"); err == nil {
					t.Error("a warning although all is as agreed")
				}
				return
			}
			if err := w.log.line("level=WARN", "setting is not as wanted", test.name, "setting="+test.setting, test.found, test.wanted); err != nil {
				t.Error(err)
			}
		})
	}
}

// What would lose or repeat work is refused, with the names of asset and setting, what was found
// and what is wanted. It is left alone too.
func TestUnfit(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), -1)
	_, js := connect(t, s)
	for i, test := range []struct {
		alter   func(*agreed)
		name    string // of the asset, without the prefix
		setting string
		found   string
		wanted  string
	}{
		{func(a *agreed) { a.requests.Retention = jetstream.LimitsPolicy }, "_REQUESTS", "retention", "Limits", "WorkQueue"},
		{func(a *agreed) { a.wakeups.Retention = jetstream.InterestPolicy }, "_WAKEUPS", "retention", "Interest", "WorkQueue"},
		{func(a *agreed) { a.events.Retention = jetstream.InterestPolicy }, "_EVENTS", "retention", "Interest", "Limits"},
		{func(a *agreed) { a.requests.Storage = jetstream.MemoryStorage }, "_REQUESTS", "storage", "Memory", "File"},
		{func(a *agreed) { a.wakeups.Storage = jetstream.MemoryStorage }, "_WAKEUPS", "storage", "Memory", "File"},
		{func(a *agreed) { a.records.Storage = jetstream.MemoryStorage }, "_WATCHES", "storage", "Memory", "File"},
		{func(a *agreed) { a.events.Storage = jetstream.MemoryStorage }, "_EVENTS", "storage", "Memory", "File"},

		{func(a *agreed) { a.wakeups.MaxMsgs = 1000000 }, "_WAKEUPS", "max_msgs", "1000000", "-1"},
		{func(a *agreed) { a.wakeups.MaxBytes = 1 << 30 }, "_WAKEUPS", "max_bytes", "1073741824", "-1"},
		{func(a *agreed) { a.wakeups.MaxMsgsPerSubject = 1 }, "_WAKEUPS", "max_msgs_per_subject", "1", "-1"},
		{func(a *agreed) { a.wakeups.MaxMsgSize = 1 << 10 }, "_WAKEUPS", "max_msg_size", "1024", "-1"},
		{func(a *agreed) { a.wakeups.MaxAge = 365 * day }, "_WAKEUPS", "max_age", "8760h0m0s", "0s"},
		{func(a *agreed) { a.records.MaxMsgs = 1000 }, "_WATCHES", "max_msgs", "1000", "-1"},
		{func(a *agreed) { a.records.MaxBytes = 1 << 30 }, "_WATCHES", "max_bytes", "1073741824", "-1"},
		{func(a *agreed) { a.records.MaxMsgSize = 1 << 10 }, "_WATCHES", "max_msg_size", "1024", "-1"},
		{func(a *agreed) { a.records.MaxMsgsPerSubject = 5 }, "_WATCHES", "max_msgs_per_subject", "5", "1"},
		{func(a *agreed) { a.events.MaxMsgs = 1000 }, "_EVENTS", "max_msgs", "1000", "-1"},
		{func(a *agreed) { a.events.MaxBytes = 1 << 30 }, "_EVENTS", "max_bytes", "1073741824", "-1"},
		{func(a *agreed) { a.events.MaxMsgsPerSubject = 1 }, "_EVENTS", "max_msgs_per_subject", "1", "-1"},
		{func(a *agreed) { a.events.MaxMsgSize = 1 << 10 }, "_EVENTS", "max_msg_size", "1024", "-1"},
		{func(a *agreed) { a.records.MaxAge = 9*day - time.Second }, "_WATCHES", "max_age", "215h59m59s", "2160h0m0s"}, // 48 h and 7 days are 9
		{func(a *agreed) { a.events.MaxAge = 9*day - time.Second }, "_EVENTS", "max_age", "215h59m59s", "2160h0m0s"},

		{func(a *agreed) { a.requests.MaxAge = 365 * day }, "_REQUESTS", "max_age", "8760h0m0s", "0s"},
		{func(a *agreed) { a.requests.Discard = jetstream.DiscardOld }, "_REQUESTS", "discard", "DiscardOld", "DiscardNew"},
		// All requests have one subject: the server drops the oldest, whatever the discard policy.
		{func(a *agreed) { a.requests.MaxMsgsPerSubject = 1000 }, "_REQUESTS", "max_msgs_per_subject", "1000", "-1"},

		{func(a *agreed) { a.wakeups.AllowMsgSchedules = false }, "_WAKEUPS", "allow_msg_schedules", "false", "true"},
		{func(a *agreed) { a.records.AllowDirect = false }, "_WATCHES", "allow_direct", "false", "true"},
		{func(a *agreed) { a.events.AllowDirect = false }, "_EVENTS", "allow_direct", "false", "true"},
		{func(a *agreed) { a.events.Subjects = a.events.Subjects[:4] }, "_EVENTS", "subjects", "attention", "undelivered"},

		{func(a *agreed) { a.slack.AckPolicy = jetstream.AckAllPolicy }, "slack", "ack_policy", "AckAll", "AckExplicit"},
		{func(a *agreed) { a.slack.FilterSubjects = a.slack.FilterSubjects[:2] }, "slack", "filter_subjects", "progress", "attention"},
		{func(a *agreed) { a.poller.FilterSubject = strings.Replace(a.poller.FilterSubject, "due", "waiting", 1) }, "poller", "filter_subjects", "waiting", "due"},
		{func(a *agreed) { a.intake.MaxDeliver = 10 }, "intake", "max_deliver", "10", "-1"},
		{func(a *agreed) { a.poller.MaxDeliver = 10 }, "poller", "max_deliver", "10", "-1"},
		{func(a *agreed) { a.slack.MaxDeliver = 10 }, "slack", "max_deliver", "10", "-1"},
		{func(a *agreed) {
			a.poller.PriorityPolicy, a.poller.PriorityGroups = jetstream.PriorityPolicyOverflow, []string{"a"}
		}, "poller", "priority_policy", "overflow", "none"},
		{func(a *agreed) { a.poller.BackOff, a.poller.AckWait = []time.Duration{time.Minute}, time.Minute }, "poller", "backoff", "1m0s", "none"},
		{func(a *agreed) { a.intake.HeadersOnly = true }, "intake", "headers_only", "true", "false"},
	} {
		t.Run(test.name+" "+test.setting, func(t *testing.T) {
			subjects, streams := fmt.Sprintf("unfit%d.orders", i), fmt.Sprintf("UNFIT%d", i)
			a := contract(subjects, streams)
			test.alter(a)
			a.create(t, js)
			cfg := config()
			cfg.Names = wire.Names{Subjects: subjects, Service: "orderwatch", Streams: streams}
			cfg.PollTimeout = 15 * time.Second
			err := parts{url: s.ClientURL(), config: cfg, orders: idleCloud()}.unfit(t)
			if !errors.Is(err, store.ErrUnfit) {
				t.Fatalf("Run returned %v; want an ErrUnfit", err)
			}
			for _, word := range []string{test.name, test.setting + " is ", test.found, "wanted is ", test.wanted} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not hold %q", err, word)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one difference: %v", err)
			}
			a.check(t, js)
		})
	}
}

// A worker that may not provision waits for what is missing, and says what that is.
func TestWithoutProvision(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), -1)
	_, js := connect(t, s)
	cfg := config()
	cfg.Provision = false
	cfg.Timing.Rebind.Max = 500 * time.Millisecond
	w := parts{url: s.ClientURL(), config: cfg, orders: &orders{show: ended(watcher.Succeed)}}.start(t)
	says := func(missing string) func() error {
		return func() error {
			err := w.Ready()
			if err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "not found") {
				return fmt.Errorf("ready: %v; want that %s is not found", err, missing)
			}
			return w.log.line("level=WARN", missing, "not found")
		}
	}
	a := contract("orders", "ORDER")
	within(t, resumeLimit, says("ORDER_REQUESTS"))
	checkStreams(t, js)
	for _, stream := range a.streams() {
		if stream.Name != a.wakeups.Name {
			within(t, resumeLimit, says(stream.Name))
		}
		created, err := js.CreateStream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if consumer, ok := a.consumers()[stream.Name]; ok {
			within(t, resumeLimit, says(consumer.Durable))
			if _, err := created.CreateConsumer(t.Context(), consumer); err != nil {
				t.Fatal(err)
			}
		}
	}
	within(t, resumeLimit, w.Ready)
	publish(t, js, request("order.pool"))
	w.next(t)
}

func TestTwoStartAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), -1)
	_, js := connect(t, s)
	var workers []*running
	for range 4 {
		workers = append(workers, parts{url: s.ClientURL(), config: config(), orders: idleCloud()}.start(t))
	}
	for _, w := range workers {
		eventually(t, w.Ready)
	}
	contract("orders", "ORDER").check(t, js)
}

// Two installations share a server, and an order's name.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), -1)
	_, js := connect(t, s)
	team := config()
	team.Names = wire.Names{Subjects: "team.orders", Service: "team", Streams: "TEAM"}
	ours := startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
	theirs := startWorker(t, s, team, &orders{show: ended(watcher.Failed)})
	contract("team.orders", "TEAM").check(t, js)
	publish(t, js, request("order.pool"))
	publishOn(t, js, "team.orders.watch", request("order.pool"))
	if c := ours.next(t); c.Outcome != watcher.Succeeded {
		t.Errorf("ours: %s", c.Outcome)
	}
	if c := theirs.next(t); c.Outcome != watcher.AllFailed {
		t.Errorf("theirs: %s", c.Outcome)
	}
	eventually(t, idle(t, js, "ORDER"))
	eventually(t, idle(t, js, "TEAM"))
	for stream, subjects := range map[string]string{"ORDER_EVENTS": "orders", "TEAM_EVENTS": "team.orders"} {
		if list := readEvents(t, js, stream, subjects+".completed."); len(list) != 1 {
			t.Errorf("%s holds %d completions; want 1", stream, len(list))
		}
	}
}

// A worker behind a leaf node uses the JetStream of the hub by its domain, patrol and all.
func TestDomain(t *testing.T) {
	t.Parallel()
	hub := startServerAs(t, server.Options{Port: -1, StoreDir: t.TempDir(), JetStreamDomain: "hub", LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: -1}})
	ports, err := hub.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	remote := &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports.LeafNode.Port)}
	leaf := startServerAs(t, server.Options{Port: -1, StoreDir: t.TempDir(), JetStreamDomain: "leaf", LeafNode: server.LeafNodeOpts{
		Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{remote}}},
	}})
	_, js := connect(t, hub)
	cfg := config()
	cfg.Names.Domain = "hub"
	cfg.Timing.PatrolSlack = 100 * time.Millisecond
	cfg.Policy.Backoff = watcher.Backoff{Initial: 500 * time.Millisecond, Multiplier: 1, Max: 500 * time.Millisecond}
	cloud := &orders{show: endedAfter(2)}
	w := startWorker(t, leaf, cfg, cloud)
	contract("orders", "ORDER").check(t, js)
	publish(t, js, request("order.pool"))
	eventually(t, cloud.polled("order.pool", 1))
	purgeWakeups(t, js, "order.pool")
	if c := w.next(t); c.Outcome != watcher.Succeeded {
		t.Errorf("got %s", c.Outcome)
	}
	eventually(t, idle(t, js, "ORDER"))
	if err := w.log.line("level=WARN", "patrol's round"); err == nil {
		t.Error("the patrol cannot read")
	}
}

// purgeWakeups removes an order's scheduled wake-up.
func purgeWakeups(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	subject := "orders.waiting." + project + "." + name
	eventually(t, func() error {
		if messages(t, js, "ORDER_WAKEUPS", subject) == 0 {
			return fmt.Errorf("no wake-up on %s", subject)
		}
		return nil
	})
	s, err := js.Stream(t.Context(), "ORDER_WAKEUPS")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSubject(subject)); err != nil {
		t.Fatal(err)
	}
}

// A server that has no scheduled messages, or takes too little, is refused.
func TestUnfitServer(t *testing.T) {
	t.Parallel()
	small := startServerAs(t, server.Options{Port: -1, StoreDir: t.TempDir(), MaxPayload: watcher.MinPayload - 1})
	for _, test := range []struct {
		name, url string
		words     []string
	}{
		{"old", greet(t, "2.11.9"), []string{"2.11.9", "2.12"}},
		{"small", small.ClientURL(), []string{"max_payload", fmt.Sprint(watcher.MinPayload - 1), fmt.Sprint(watcher.MinPayload)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := parts{url: test.url, config: config(), orders: idleCloud()}.unfit(t)
			if !errors.Is(err, store.ErrUnfit) {
				t.Fatalf("Run returned %v; want an ErrUnfit", err)
			}
			for _, word := range test.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not hold %q", err, word)
				}
			}
		})
	}
}

// greet listens as a server of the version, which knows no more than how to greet.
func greet(t *testing.T, version string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	info, err := json.Marshal(map[string]any{"server_id": "X", "version": version, "proto": 1, "headers": true, "max_payload": 1 << 20, "jetstream": true})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fmt.Fprintf(conn, "INFO %s\r\n", info)
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if lines.Text() == "PING" {
						fmt.Fprint(conn, "PONG\r\n")
					}
				}
			}()
		}
	}()
	return "nats://" + listener.Addr().String()
}

func TestAtLeast(t *testing.T) {
	for _, test := range []struct {
		version string
		want    bool
	}{
		{"2.12.0", true}, {"2.12.0-RC.3", true}, {"2.15.2", true}, {"2.100.0", true}, {"3.0.0", true}, {"3", true},
		{"2.11.99", false}, {"2.9.25", false}, {"1.13.0", false}, {"2", false}, {"", false}, {"dev", false},
	} {
		if got := store.AtLeast(test.version, "2.12"); got != test.want {
			t.Errorf("%q is at least 2.12: %t; want %t", test.version, got, test.want)
		}
	}
}
