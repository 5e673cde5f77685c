package events_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

const day = 24 * time.Hour

// idleCloud answers that nothing has ended.
func idleCloud() *orders { return &orders{show: endedAfter(1 << 30)} }

func TestCreated(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	startWorker(t, s, config(), idleCloud())
	eventstest.Contract("orders", "ORDER").Check(t, js)
	for _, bucket := range []string{"ORDER_WATCHES", "ORDER_ACCOUNTS", "ORDER_SLACK"} {
		if _, err := js.KeyValue(t.Context(), bucket); err != nil {
			t.Errorf("%s as a bucket: %v", bucket, err)
		}
	}
}

// What is there stays as it is; what does no harm is a warning that names it.
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	for i, test := range []struct {
		alter    func(*eventstest.Agreed)
		name     string // of the asset, without the prefix
		setting  string
		found    string // empty where there is nothing to say
		wanted   string
		replicas int // wanted; 0 for 1
	}{
		{alter: func(*eventstest.Agreed) {}},
		{alter: func(a *eventstest.Agreed) { a.Requests.MaxMsgs = 100000 }, name: "_REQUESTS", setting: "max_msgs", found: "100000", wanted: "-1"},
		{alter: func(a *eventstest.Agreed) { a.Requests.MaxBytes = 1 << 30 }, name: "_REQUESTS", setting: "max_bytes", found: "1073741824", wanted: "-1"},
		{alter: func(a *eventstest.Agreed) { a.Requests.MaxMsgsPerSubject, a.Requests.DiscardNewPerSubject = 1000, true }, name: "_REQUESTS", setting: "max_msgs_per_subject", found: "1000", wanted: "-1"},
		{alter: func(a *eventstest.Agreed) { a.Requests.MaxMsgSize = 1 << 20 }, name: "_REQUESTS", setting: "max_msg_size", found: "1048576", wanted: "81920"},
		{alter: func(a *eventstest.Agreed) { a.Requests.Duplicates = time.Minute }, name: "_REQUESTS", setting: "duplicate_window", found: "1m0s", wanted: "100ms"},
		{alter: func(a *eventstest.Agreed) { a.Requests.AllowRollup = true }, name: "_REQUESTS", setting: "allow_rollup_hdrs", found: "true", wanted: "false"},
		{alter: func(a *eventstest.Agreed) { a.Requests.AllowMsgTTL = true }, name: "_REQUESTS", setting: "allow_msg_ttl", found: "true", wanted: "false"},
		{alter: func(a *eventstest.Agreed) { a.Requests.AllowAtomicPublish = true }, name: "_REQUESTS", setting: "allow_atomic", found: "true", wanted: "false"},
		{alter: func(a *eventstest.Agreed) { a.Requests.AllowDirect = false }, name: "_REQUESTS", setting: "allow_direct", found: "false", wanted: "true"},
		{alter: func(a *eventstest.Agreed) { a.Requests.Description = "ours" }, name: "_REQUESTS", setting: "description", found: "ours", wanted: "Requests"},
		{alter: func(a *eventstest.Agreed) { a.Events.DenyPurge = false }, name: "_EVENTS", setting: "deny_purge", found: "false", wanted: "true"},
		{alter: func(a *eventstest.Agreed) { a.Events.DenyDelete = false }, name: "_EVENTS", setting: "deny_delete", found: "false", wanted: "true"},
		{alter: func(a *eventstest.Agreed) { a.Events.MaxAge = 30 * day }, name: "_EVENTS", setting: "max_age", found: "720h0m0s", wanted: "2160h0m0s"},
		{alter: func(a *eventstest.Agreed) { a.Records.MaxAge = 0 }, name: "_WATCHES", setting: "max_age", found: "0s", wanted: "2160h0m0s"},
		{alter: func(a *eventstest.Agreed) { a.Poller.MaxAckPending = 5000 }, name: "poller", setting: "max_ack_pending", found: "5000", wanted: "-1"},
		{alter: func(a *eventstest.Agreed) { a.Poller.AckWait = time.Minute }, name: "poller", setting: "ack_wait", found: "1m0s", wanted: "3s"}, // as releases before made it
		{alter: func(a *eventstest.Agreed) { a.Poller.AckWait = 2 * time.Second }, name: "poller", setting: "ack_wait", found: "2s", wanted: "3s"},
		{alter: func(a *eventstest.Agreed) { a.Intake.AckWait = 2 * time.Second }, name: "intake", setting: "ack_wait", found: "2s", wanted: "1m0s"},
		{alter: func(a *eventstest.Agreed) { a.Slack.MaxRequestBatch = 2 }, name: "slack", setting: "max_batch", found: "2", wanted: "0"},
		{alter: func(a *eventstest.Agreed) { a.Slack.DeliverPolicy = jetstream.DeliverAllPolicy }, name: "slack", setting: "deliver_policy", found: "all", wanted: "new"},
		{alter: func(*eventstest.Agreed) {}, replicas: 3, name: "_WAKEUPS", setting: "num_replicas", found: "1", wanted: "3"},
	} {
		t.Run(strings.TrimSpace(test.name+" "+test.setting), func(t *testing.T) {
			t.Parallel()
			subjects, streams := fmt.Sprintf("left%d.orders", i), fmt.Sprintf("LEFT%d", i)
			a := eventstest.Contract(subjects, streams)
			test.alter(a)
			a.Create(t, js)
			cfg := config()
			cfg.Names = wire.Names{Subjects: subjects, Service: "orderwatch", Streams: streams}
			cfg.Replicas = max(1, test.replicas)
			w := startWorker(t, s, cfg, idleCloud())
			a.Check(t, js)
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
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	for i, test := range []struct {
		alter   func(*eventstest.Agreed)
		name    string // of the asset, without the prefix
		setting string
		found   string
		wanted  string
	}{
		{func(a *eventstest.Agreed) { a.Requests.Retention = jetstream.LimitsPolicy }, "_REQUESTS", "retention", "Limits", "WorkQueue"},
		{func(a *eventstest.Agreed) { a.Wakeups.Retention = jetstream.InterestPolicy }, "_WAKEUPS", "retention", "Interest", "WorkQueue"},
		{func(a *eventstest.Agreed) { a.Events.Retention = jetstream.InterestPolicy }, "_EVENTS", "retention", "Interest", "Limits"},
		{func(a *eventstest.Agreed) { a.Requests.Storage = jetstream.MemoryStorage }, "_REQUESTS", "storage", "Memory", "File"},
		{func(a *eventstest.Agreed) { a.Wakeups.Storage = jetstream.MemoryStorage }, "_WAKEUPS", "storage", "Memory", "File"},
		{func(a *eventstest.Agreed) { a.Records.Storage = jetstream.MemoryStorage }, "_WATCHES", "storage", "Memory", "File"},
		{func(a *eventstest.Agreed) { a.Events.Storage = jetstream.MemoryStorage }, "_EVENTS", "storage", "Memory", "File"},

		{func(a *eventstest.Agreed) { a.Wakeups.MaxMsgs = 1000000 }, "_WAKEUPS", "max_msgs", "1000000", "-1"},
		{func(a *eventstest.Agreed) { a.Wakeups.MaxBytes = 1 << 30 }, "_WAKEUPS", "max_bytes", "1073741824", "-1"},
		{func(a *eventstest.Agreed) { a.Wakeups.MaxMsgsPerSubject = 1 }, "_WAKEUPS", "max_msgs_per_subject", "1", "-1"},
		{func(a *eventstest.Agreed) { a.Wakeups.MaxMsgSize = 1 << 10 }, "_WAKEUPS", "max_msg_size", "1024", "-1"},
		{func(a *eventstest.Agreed) { a.Wakeups.MaxAge = 365 * day }, "_WAKEUPS", "max_age", "8760h0m0s", "0s"},
		{func(a *eventstest.Agreed) { a.Records.MaxMsgs = 1000 }, "_WATCHES", "max_msgs", "1000", "-1"},
		{func(a *eventstest.Agreed) { a.Records.MaxBytes = 1 << 30 }, "_WATCHES", "max_bytes", "1073741824", "-1"},
		{func(a *eventstest.Agreed) { a.Records.MaxMsgSize = 1 << 10 }, "_WATCHES", "max_msg_size", "1024", "-1"},
		{func(a *eventstest.Agreed) { a.Records.MaxMsgsPerSubject = 5 }, "_WATCHES", "max_msgs_per_subject", "5", "1"},
		{func(a *eventstest.Agreed) { a.Events.MaxMsgs = 1000 }, "_EVENTS", "max_msgs", "1000", "-1"},
		{func(a *eventstest.Agreed) { a.Events.MaxBytes = 1 << 30 }, "_EVENTS", "max_bytes", "1073741824", "-1"},
		{func(a *eventstest.Agreed) { a.Events.MaxMsgsPerSubject = 1 }, "_EVENTS", "max_msgs_per_subject", "1", "-1"},
		{func(a *eventstest.Agreed) { a.Events.MaxMsgSize = 1 << 10 }, "_EVENTS", "max_msg_size", "1024", "-1"},
		{func(a *eventstest.Agreed) { a.Records.MaxAge = 9*day - time.Second }, "_WATCHES", "max_age", "215h59m59s", "2160h0m0s"}, // 48 h and 7 days are 9
		{func(a *eventstest.Agreed) { a.Events.MaxAge = 9*day - time.Second }, "_EVENTS", "max_age", "215h59m59s", "2160h0m0s"},

		{func(a *eventstest.Agreed) { a.Requests.MaxAge = 365 * day }, "_REQUESTS", "max_age", "8760h0m0s", "0s"},
		{func(a *eventstest.Agreed) { a.Requests.Discard = jetstream.DiscardOld }, "_REQUESTS", "discard", "DiscardOld", "DiscardNew"},
		// All requests have one subject: the server drops the oldest, whatever the discard policy.
		{func(a *eventstest.Agreed) { a.Requests.MaxMsgsPerSubject = 1000 }, "_REQUESTS", "max_msgs_per_subject", "1000", "-1"},

		{func(a *eventstest.Agreed) { a.Wakeups.AllowMsgSchedules = false }, "_WAKEUPS", "allow_msg_schedules", "false", "true"},
		{func(a *eventstest.Agreed) { a.Records.AllowDirect = false }, "_WATCHES", "allow_direct", "false", "true"},
		{func(a *eventstest.Agreed) { a.Events.AllowDirect = false }, "_EVENTS", "allow_direct", "false", "true"},
		{func(a *eventstest.Agreed) { a.Events.Subjects = a.Events.Subjects[:4] }, "_EVENTS", "subjects", "attention", "undelivered"},

		{func(a *eventstest.Agreed) { a.Slack.AckPolicy = jetstream.AckAllPolicy }, "slack", "ack_policy", "AckAll", "AckExplicit"},
		{func(a *eventstest.Agreed) { a.Slack.FilterSubjects = a.Slack.FilterSubjects[:2] }, "slack", "filter_subjects", "progress", "attention"},
		{func(a *eventstest.Agreed) {
			a.Poller.FilterSubject = strings.Replace(a.Poller.FilterSubject, "due", "waiting", 1)
		}, "poller", "filter_subjects", "waiting", "due"},
		{func(a *eventstest.Agreed) { a.Intake.MaxDeliver = 10 }, "intake", "max_deliver", "10", "-1"},
		{func(a *eventstest.Agreed) { a.Poller.MaxDeliver = 10 }, "poller", "max_deliver", "10", "-1"},
		{func(a *eventstest.Agreed) { a.Slack.MaxDeliver = 10 }, "slack", "max_deliver", "10", "-1"},
		{func(a *eventstest.Agreed) {
			a.Poller.PriorityPolicy, a.Poller.PriorityGroups = jetstream.PriorityPolicyOverflow, []string{"a"}
		}, "poller", "priority_policy", "overflow", "none"},
		{func(a *eventstest.Agreed) {
			a.Poller.BackOff, a.Poller.AckWait = []time.Duration{time.Minute}, time.Minute
		}, "poller", "backoff", "1m0s", "none"},
		{func(a *eventstest.Agreed) { a.Intake.HeadersOnly = true }, "intake", "headers_only", "true", "false"},
	} {
		t.Run(test.name+" "+test.setting, func(t *testing.T) {
			t.Parallel()
			subjects, streams := fmt.Sprintf("unfit%d.orders", i), fmt.Sprintf("UNFIT%d", i)
			a := eventstest.Contract(subjects, streams)
			test.alter(a)
			a.Create(t, js)
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
			a.Check(t, js)
		})
	}
}

// A worker that may not provision waits for what is missing, and says what that is.
func TestWithoutProvision(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
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
	a := eventstest.Contract("orders", "ORDER")
	eventstest.Eventually(t, says("ORDER_REQUESTS"))
	checkStreams(t, js)
	for _, stream := range a.Streams() {
		if stream.Name != a.Wakeups.Name {
			eventstest.Eventually(t, says(stream.Name))
		}
		created, err := js.CreateStream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if consumer, ok := a.Consumers()[stream.Name]; ok {
			eventstest.Eventually(t, says(consumer.Durable))
			if _, err := created.CreateConsumer(t.Context(), consumer); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventstest.Eventually(t, w.Ready)
	publish(t, js, request("order.pool"))
	w.next(t)
}

func TestTwoStartAtOnce(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	var workers []*running
	for range 4 {
		workers = append(workers, parts{url: s.ClientURL(), config: config(), orders: idleCloud()}.start(t))
	}
	for _, w := range workers {
		eventstest.Eventually(t, w.Ready)
	}
	eventstest.Contract("orders", "ORDER").Check(t, js)
}

// Two installations share a server, and an order's name.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	team := config()
	team.Names = wire.Names{Subjects: "team.orders", Service: "team", Streams: "TEAM"}
	ours := startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
	theirs := startWorker(t, s, team, &orders{show: ended(watcher.Failed)})
	eventstest.Contract("team.orders", "TEAM").Check(t, js)
	publish(t, js, request("order.pool"))
	publishOn(t, js, "team.orders.watch", request("order.pool"))
	if c := ours.next(t); c.Outcome != watcher.Succeeded {
		t.Errorf("ours: %s", c.Outcome)
	}
	if c := theirs.next(t); c.Outcome != watcher.AllFailed {
		t.Errorf("theirs: %s", c.Outcome)
	}
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	eventstest.Eventually(t, idle(t, js, "TEAM"))
	for stream, subjects := range map[string]string{"ORDER_EVENTS": "orders", "TEAM_EVENTS": "team.orders"} {
		if list := eventstest.Events(t, js, stream, subjects+".completed.>"); len(list) != 1 {
			t.Errorf("%s holds %d completions; want 1", stream, len(list))
		}
	}
}

// A worker behind a leaf node uses the JetStream of the hub by its domain, patrol and all.
func TestDomain(t *testing.T) {
	t.Parallel()
	hub := eventstest.Server(t, server.Options{JetStreamDomain: "hub", LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: -1}})
	ports, err := hub.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	remote := &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports.LeafNode.Port)}
	leaf := eventstest.Server(t, server.Options{JetStreamDomain: "leaf", LeafNode: server.LeafNodeOpts{
		Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{remote}}},
	}})
	_, js := eventstest.Connect(t, hub)
	cfg := config()
	cfg.Names.Domain = "hub"
	cfg.Timing.PatrolSlack = 100 * time.Millisecond
	cfg.Policy.Backoff = watcher.Backoff{Initial: 500 * time.Millisecond, Multiplier: 1, Max: 500 * time.Millisecond}
	cloud := &orders{show: endedAfter(2)}
	w := startWorker(t, leaf, cfg, cloud)
	eventstest.Contract("orders", "ORDER").Check(t, js)
	publish(t, js, request("order.pool"))
	eventstest.Eventually(t, cloud.polled("order.pool", 1))
	purgeWakeups(t, js, "order.pool")
	if c := w.next(t); c.Outcome != watcher.Succeeded {
		t.Errorf("got %s", c.Outcome)
	}
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	if err := w.log.line("level=WARN", "patrol's round"); err == nil {
		t.Error("the patrol cannot read")
	}
}

// purgeWakeups removes an order's scheduled wake-up.
func purgeWakeups(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	subject := "orders.waiting." + project + "." + name
	eventstest.Eventually(t, func() error {
		if eventstest.Messages(t, js, "ORDER_WAKEUPS", subject) == 0 {
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
	small := eventstest.Server(t, server.Options{MaxPayload: watcher.MinPayload - 1})
	for _, test := range []struct {
		name, url string
		words     []string
	}{
		{"old", greet(t, "2.11.9"), []string{"2.11.9", "2.12"}},
		{"small", small.ClientURL(), []string{"max_payload", fmt.Sprint(watcher.MinPayload - 1), fmt.Sprint(watcher.MinPayload)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
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

// TestBeforeTeams starts workers where a release made the stream and the consumer of requests that did not know teams: they
// work, leave both alone, and say how to take requests of teams, too. With a consumer alone that is missing, too.
func TestBeforeTeams(t *testing.T) {
	t.Parallel()
	for _, missing := range []bool{false, true} {
		t.Run(fmt.Sprintf("missing %t", missing), func(t *testing.T) {
			t.Parallel()
			s := eventstest.Server(t)
			_, js := eventstest.Connect(t, s)
			a := eventstest.Contract("orders", "ORDER")
			a.Requests.Subjects, a.Intake.FilterSubjects = []string{"orders.watch"}, []string{"orders.watch"}
			a.Create(t, js)
			if missing {
				if err := js.DeleteConsumer(t.Context(), "ORDER_REQUESTS", "intake"); err != nil {
					t.Fatal(err)
				}
			}
			w := startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
			publish(t, js, request("order.a"))
			if c := w.next(t); c.OrderName != "order.a" {
				t.Errorf("told of %+v", c)
			}
			says := []string{"nats stream edit ORDER_REQUESTS --subjects 'orders.watch' --subjects 'orders.watch.*' --force"}
			if !missing {
				says = append(says, "nats consumer edit ORDER_REQUESTS intake --filter 'orders.watch' --filter 'orders.watch.*' --force")
			}
			for _, command := range says {
				if err := w.log.line("level=WARN", "not as wanted", command); err != nil {
					t.Error(err)
				}
			}
			config := a.Requests
			config.Subjects = []string{"orders.watch", "orders.watch.*"}
			if _, err := js.UpdateStream(t.Context(), config); err != nil { // as that command does
				t.Fatal(err)
			}
			consumer, err := js.Consumer(t.Context(), "ORDER_REQUESTS", "intake")
			if err != nil {
				t.Fatal(err)
			}
			intake := consumer.CachedInfo().Config
			intake.FilterSubject, intake.FilterSubjects = "", config.Subjects
			if _, err := js.UpdateConsumer(t.Context(), "ORDER_REQUESTS", intake); err != nil {
				t.Fatal(err)
			}
			publishOn(t, js, "orders.watch.gpu", request("order.b"))
			if c := w.next(t); c.OrderName != "order.b" {
				t.Errorf("told of %+v", c)
			}
		})
	}
}
