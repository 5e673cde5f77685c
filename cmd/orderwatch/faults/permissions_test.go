package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// loginAs connects as one of the users of nats-permissions.conf. What the server denies goes to
// the channel.
func loginAs(t *testing.T, url, user string) (jetstream.JetStream, <-chan error) {
	t.Helper()
	denied := make(chan error, 100)
	nc, err := nats.Connect(url, nats.UserInfo(user, "planted-"+user), nats.CustomInboxPrefix("_INBOX_"+user),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js, denied
}

// TestPermissions gives a real server the rules of deploy/nats-permissions.conf, and lets each of
// its users do all that it is there for, and something that it must not.
func TestPermissions(t *testing.T) {
	t.Parallel()
	g := guarded.Start(t, guarded.Shipped(t, "../../../deploy/nats-permissions.conf"), nats.UserInfo("setup", "planted-setup"))
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.pool-1", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node-1", Status: "succeed"}}})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	slack := slackemulator.New(slackemulator.Options{})
	slack.AddToken("xoxb-planted", "chat:write")
	slack.AddChannel("C0ONCALL", slackemulator.Open)
	people := httptest.NewServer(slack)
	t.Cleanup(people.Close)

	addr := rig.FreeAddr(t)
	setup := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(g.URL, modelArts.URL, addr, "ORDERWATCH_NATS_USER=setup", "ORDERWATCH_NATS_PASSWORD=planted-setup"), "serve")
	rig.AwaitReady(t, addr)
	setup.Terminate(t)

	var workers []*rig.Process
	for range 2 { // they tell each other of accounts
		addr := rig.FreeAddr(t)
		workers = append(workers, rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(g.URL, modelArts.URL, addr,
			"ORDERWATCH_NATS_USER=worker", "ORDERWATCH_NATS_PASSWORD=planted-worker", "ORDERWATCH_PROVISION=false",
			"ORDERWATCH_SLACK_TOKEN=xoxb-planted", "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL="+people.URL+"/api/"), "serve"))
		rig.AwaitReady(t, addr)
	}

	producer, denied := loginAs(t, g.URL, "producer")
	rig.Publish(t, producer, fmt.Sprintf(`{"project_id":%q,"order_name":"order.pool-1"}`, rig.Project))
	rig.Publish(t, producer, `{"no":"request"}`)
	mustNot(t, producer, denied, "orders.completed.succeeded.p.order.forged")

	person, denied := loginAs(t, g.URL, "person")
	if subject := firstCompletion(t, person); !strings.HasSuffix(subject, ".order.pool-1") {
		t.Errorf("the person sees %s", subject)
	}
	mustNot(t, person, denied, "$KV.ORDER_WATCHES.p.order.forged")
	leavesAlone(t, g.JS, person, "slack")
	leavesAlone(t, g.JS, person, "history")
	follower, _ := loginAs(t, g.URL, "consumer")
	followsAsConsumer(t, g.JS, follower)

	// The worker's own events need minutes; the administrator makes one, which leads to a note.
	since := time.Now().UTC().Truncate(time.Second)
	event := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/orderwatch","type":"io.orderwatch.attention.v1","datacontenttype":"application/json",
		"data":{"account":"ab12","kind":"credentials","region":"cn-north-4","project_id":%q,"cause":"login","reason":"401","since":%q,"waiting":1,"waiting_all":1}}`,
		rig.Project, since.Format(time.RFC3339))
	if _, err := g.JS.Publish(t.Context(), "orders.attention.credentials."+rig.Project, []byte(event)); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error {
		if m := slack.Messages("C0ONCALL"); len(m) != 3 { // the summary, the notice, and the message of the rejected request
			return fmt.Errorf("%d messages in Slack", len(m))
		}
		bucket, err := g.JS.KeyValue(t.Context(), "ORDER_SLACK")
		if err != nil {
			return err
		}
		_, err = bucket.Get(t.Context(), fmt.Sprintf("outage.ab12_%d.C0ONCALL", since.UnixMilli()))
		return err
	})
	for _, w := range workers {
		if code, _ := w.Terminate(t); code != 0 {
			t.Errorf("a worker exits with %d", code)
		}
		for _, bad := range []string{"denies a permission", "level=ERROR", "is not as wanted", "not read", "how long orders usually take"} {
			if strings.Contains(w.Text(), bad) {
				t.Errorf("a worker's log says %q:\n%s", bad, rig.Tail(w.Text(), 3000))
			}
		}
	}
}

// leavesAlone lets a person try to take, pause, make anew or delete a consumer of the workers, in each form that the API
// has. The consumer stays as it is.
func leavesAlone(t *testing.T, admin, person jetstream.JetStream, name string) {
	t.Helper()
	look := func() string {
		consumer, err := admin.Consumer(t.Context(), "ORDER_EVENTS", name)
		if err != nil {
			t.Fatal(err)
		}
		info := consumer.CachedInfo()
		config, err := json.Marshal(info.Config)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("made %s, paused %t, %s", info.Created, info.Paused, config)
	}
	before := look()
	const (
		made = `{"stream_name":"ORDER_EVENTS","action":"%s","config":{"durable_name":"%s","name":"%[2]s","filter_subject":"orders.none","ack_policy":"explicit","deliver_policy":"new"}}`
		next = `{"batch":100,"expires":1000000000}`
	)
	attempts := [][2]string{
		{"CONSUMER.MSG.NEXT.ORDER_EVENTS." + name, next},
		{"CONSUMER.PAUSE.ORDER_EVENTS." + name, `{"pause_until":"2099-01-01T00:00:00Z"}`},
		{"CONSUMER.DELETE.ORDER_EVENTS." + name, ""},
		{"CONSUMER.UNPIN.ORDER_EVENTS." + name, `{"group":"g"}`},
		{"CONSUMER.RESET.ORDER_EVENTS." + name, `{"seq":1}`},
		{"CONSUMER.LEADER.STEPDOWN.ORDER_EVENTS." + name, ""},
	}
	for _, action := range []string{"", "create", "update"} {
		for _, call := range []string{
			"CONSUMER.CREATE.ORDER_EVENTS." + name, "CONSUMER.CREATE.ORDER_EVENTS." + name + ".orders.none", "CONSUMER.DURABLE.CREATE.ORDER_EVENTS." + name,
			"CONSUMER.CREATE.ORDER_EVENTS", "CONSUMER.CREATE.ORDER_EVENTS.mine", "CONSUMER.CREATE.ORDER_EVENTS.mine.orders.none", "CONSUMER.CREATE.ORDER_EVENTS.*", "CONSUMER.CREATE.ORDER_EVENTS.>",
		} {
			attempts = append(attempts, [2]string{call, fmt.Sprintf(made, action, name)})
		}
	}
	inbox := person.Conn().NewRespInbox()
	answers, err := person.Conn().SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attempts {
		if err := person.Conn().PublishRequest("$JS.API."+a[0], inbox, []byte(a[1])); err != nil {
			t.Fatal(err)
		}
	}
	// The server carries out the calls of one connection one after the other: the answer to the last one comes last.
	info, err := person.Stream(t.Context(), "ORDER_EVENTS")
	if err != nil || info == nil {
		t.Fatal(err)
	}
	for {
		m, err := answers.NextMsg(time.Second)
		if err != nil {
			break
		}
		if !strings.Contains(string(m.Data), `"error"`) {
			t.Errorf("answered: %.300s", m.Data)
		}
	}
	if after := look(); after != before {
		t.Errorf("the consumer %s was\n%s\nand is after %d attempts\n%s", name, before, len(attempts), after)
	}
	t.Logf("%d attempts at the consumer %s", len(attempts), name)
}

// followsAsConsumer lets the user consumer take a completion from the consumer that was made for it.
func followsAsConsumer(t *testing.T, admin, follower jetstream.JetStream) {
	t.Helper()
	_, err := admin.CreateConsumer(t.Context(), "ORDER_EVENTS", jetstream.ConsumerConfig{Durable: "pools", FilterSubject: "orders.completed.>", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	pools, err := follower.Consumer(t.Context(), "ORDER_EVENTS", "pools")
	if err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error {
		m, err := pools.Next(jetstream.FetchMaxWait(2 * time.Second))
		if err != nil {
			return err
		}
		return m.DoubleAck(t.Context())
	})
}

// mustNot publishes what the server must deny.
func mustNot(t *testing.T, js jetstream.JetStream, denied <-chan error, subject string) {
	t.Helper()
	if err := js.Conn().Publish(subject, []byte("forged")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-denied:
		if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), subject) {
			t.Errorf("got %v", err)
		}
	case <-time.After(rig.Patience):
		t.Errorf("%s was not denied", subject)
	}
}

// firstCompletion follows events, as a person would, up to the first completion, and returns its
// subject.
func firstCompletion(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	consumer, err := js.CreateConsumer(t.Context(), "ORDER_EVENTS", jetstream.ConsumerConfig{
		FilterSubject: "orders.completed.>", AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	subject := ""
	rig.Eventually(t, rig.Patience, func() error {
		m, err := consumer.Next(jetstream.FetchMaxWait(2 * time.Second))
		if err == nil {
			subject = m.Subject()
		}
		return err
	})
	return subject
}
