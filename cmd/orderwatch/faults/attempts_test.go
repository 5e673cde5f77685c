package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
)

// attemptMark is in the body of every attempt, so that what came of one is found.
const attemptMark = "planted-attempt"

// allStreams are those of an installation, with their consumers.
var allStreams = map[string]string{
	"ORDER_REQUESTS": "intake", "ORDER_WAKEUPS": "poller", "ORDER_EVENTS": "slack", "KV_ORDER_WATCHES": "", "KV_ORDER_ACCOUNTS": "", "KV_ORDER_SLACK": "", "KV_ORDER_HISTORY": "",
}

// An attacker is a user of a team who tries what is not its own.
type attacker struct {
	user, team, project string
	victim, theirs      string   // another team, and its project
	may                 []string // what it may publish on
	nc                  *nats.Conn
	tried               int
	asked               map[string]string // the subject of each question, by where its answer comes
	heard               []*nats.Msg       // what came back to its inbox, or to what it subscribed to
	inbox               *nats.Subscription
	subscriptions       []*nats.Subscription
}

func attackers() (all []*attacker) {
	for _, team := range [][4]string{{"gpu", rig.Project, "train", trainProject}, {"train", trainProject, "gpu", rig.Project}} {
		api := "js.orderwatch.API.CONSUMER."
		at := "ORDER_EVENTS." + team[0]
		service := []string{"orders.watch"}
		for _, endpoint := range []string{"get", "list", "status", "poll", "cancel", "renotify", "events", "history", "watch", "why"} {
			service = append(service, "orderwatch."+endpoint)
		}
		for kind, may := range map[string][]string{
			"producer": {"orders.watch"}, "person": service,
			"events": {api + "INFO." + at, api + "MSG.NEXT." + at, "$JS.ACK." + at + ".1.1.1.1.0"},
		} {
			all = append(all, &attacker{user: team[0] + "-" + kind, team: team[0], project: team[1], victim: team[2], theirs: team[3], may: may, asked: make(map[string]string)})
		}
	}
	return all
}

// connect logs in, and listens below its own inbox.
func (a *attacker) connect(t *testing.T, url string) {
	t.Helper()
	var err error
	a.nc, err = nats.Connect(url, nats.UserInfo(a.user, "planted-"+a.user), nats.CustomInboxPrefix("_INBOX_"+a.user),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // what is denied is meant to be
	if err == nil {
		t.Cleanup(a.nc.Close)
		a.inbox, err = a.nc.SubscribeSync("_INBOX_" + a.user + ".attempt.>")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// publish tries to publish the body, with answers to its own inbox, or to the reply.
func (a *attacker) publish(t *testing.T, subject, reply, body string, headers ...string) {
	t.Helper()
	a.tried++
	m := nats.NewMsg(subject)
	if m.Reply = reply; reply == "" {
		m.Reply = fmt.Sprintf("_INBOX_%s.attempt.%d", a.user, a.tried)
	}
	a.asked[m.Reply] = subject
	m.Data = []byte(body)
	for i := 0; i < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	if err := a.nc.PublishMsg(m); err != nil && !errors.Is(err, nats.ErrMaxPayload) {
		t.Fatalf("%s: %v", subject, err)
	}
}

// others are subjects that are not a team's to write to.
func (a *attacker) others() []string {
	key := a.theirs + ".order.never"
	return []string{
		"$KV.ORDER_WATCHES." + key, "$KV.ORDER_WATCHES." + a.project + ".order.never", "$KV.ORDER_WATCHES.patrol", "$KV.ORDER_WATCHES.store", "$KV.ORDER_WATCHES.broken",
		"$KV.ORDER_ACCOUNTS.hold.planted", "$KV.ORDER_ACCOUNTS.worker.planted", "$KV.ORDER_SLACK.settled", "$KV.ORDER_SLACK.store", "$KV.ORDER_SLACK.planted", "$KV.ORDER_HISTORY.cn-north-4", "$KV.ORDER_HISTORY.planted",
		"orders.completed.succeeded." + key, "orders.progress." + key, "orders.attention.blind." + key, "orders.attention.held." + a.theirs, "orders.attention.lost.all",
		"orders.undelivered.slack", "orders.listed.cn-north-4." + a.theirs, "orders.listed.cn-north-4." + a.project, "orders.waiting." + key, "orders.due." + key, "orders.rejected",
		"orders.watch." + a.victim, "orders.watch." + a.team, "orderwatch.cancel." + a.victim, "orderwatch.list." + a.victim,
		"$JS.API.STREAM.PURGE.ORDER_EVENTS", "$JS.API.STREAM.DELETE.KV_ORDER_WATCHES", "$JS.API.CONSUMER.DELETE.ORDER_EVENTS.slack", "$JS.API.CONSUMER.DELETE.ORDER_EVENTS.history", "$JS.API.STREAM.PURGE.KV_ORDER_HISTORY",
		"$JS.ACK.ORDER_EVENTS.slack.1.1.1.1.0", "$JS.ACK.ORDER_EVENTS.history.1.1.1.1.0", "$JS.ACK.ORDER_EVENTS." + a.victim + ".1.1.1.1.0", "_R_.planted.planted", "_INBOX_orderwatch.planted", "_INBOX_worker.planted", "_INBOX_" + a.victim + "-person.planted",
	}
}

// direct publishes on everything that is not the team's, and asks JetStream for all that it can do, under each of its
// names.
func (a *attacker) direct(t *testing.T) {
	body := fmt.Sprintf(`{"by":%q,"project_id":%q,"order_name":"order.never"}`, attemptMark, a.theirs)
	for _, subject := range a.others() {
		a.publish(t, subject, "", body)
		a.publish(t, subject, "", "") // on a key, a deletion
	}
	for _, api := range []string{"$JS.API.", "js.orderwatch.API.", "$JS.hub.API."} {
		a.publish(t, api+"INFO", "", "")
		a.publish(t, api+"STREAM.NAMES", "", "")
		a.publish(t, api+"STREAM.LIST", "", "")
		for stream, consumer := range allStreams {
			for _, call := range []string{"CREATE", "UPDATE", "DELETE", "INFO", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN", "PEER.REMOVE"} {
				a.publish(t, api+"STREAM."+call+"."+stream, "", fmt.Sprintf(`{"name":%q,"seq":1,"subjects":["planted.>"],"config":{"name":%q},"deliver_subject":"_INBOX_%s.attempt.x"}`, stream, stream, a.user))
			}
			a.publish(t, api+"STREAM.MSG.GET."+stream, "", `{"seq":1}`)
			a.publish(t, api+"DIRECT.GET."+stream, "", `{"seq":1}`)
			a.publish(t, api+"DIRECT.GET."+stream+".$KV.ORDER_WATCHES."+a.theirs+".order.never", "", "")
			for _, name := range []string{consumer, a.victim, "history"} {
				if name == "" {
					continue
				}
				for _, call := range []string{"CREATE", "DURABLE.CREATE", "DELETE", "INFO", "MSG.NEXT", "PAUSE", "UNPIN", "RESET", "LEADER.STEPDOWN"} {
					a.publish(t, api+"CONSUMER."+call+"."+stream+"."+name, "",
						fmt.Sprintf(`{"batch":1,"no_wait":true,"pause_until":"2099-01-01T00:00:00Z","stream_name":%q,"config":{"durable_name":%q,"ack_policy":"explicit"}}`, stream, name))
				}
			}
		}
	}
	for _, subject := range []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.ORDERWATCH.CONNZ", "$SYS.REQ.SERVER.RELOAD", "$SRV.INFO.orderwatch", "$SRV.STATS", "orderwatch.get.x.y"} {
		a.publish(t, subject, "", "")
	}
}

// subscribe listens on everything, as one of the workers, too.
func (a *attacker) subscribe(t *testing.T) {
	subjects := []string{
		">", "*.>", "orders.>", "orders.watch", "orders.watch.*", "orders.rejected", "orders.completed.>", "orders.progress.>", "orders.attention.>", "orders.due.>", "orders.waiting.>", "orders.listed.>",
		"orderwatch.>", "orderwatch.*", "orderwatch.get", "orderwatch.get.*", "$KV.>", "$KV.ORDER_ACCOUNTS.hold.>", "$JS.>", "$JS.ACK.>", "$JS.EVENT.>", "$SYS.>", "$SRV.>",
		"_INBOX.>", "_INBOX_orderwatch.>", "_INBOX_worker.>", "_INBOX_operator.>", "_INBOX_" + a.victim + "-person.>", "_R_.>", "js.>",
	}
	for _, subject := range subjects {
		for _, queue := range []string{"", "q"} {
			a.tried++
			var s *nats.Subscription
			var err error
			if queue == "" {
				s, err = a.nc.SubscribeSync(subject)
			} else {
				s, err = a.nc.QueueSubscribeSync(subject, queue)
			}
			if err != nil {
				t.Fatal(err)
			}
			a.subscriptions = append(a.subscriptions, s)
		}
	}
}

// replies names the subjects of others as where the answers to permitted requests are to go.
func (a *attacker) replies(t *testing.T) {
	bodies := []string{
		fmt.Sprintf(`{"by":%q,"project_id":%q,"order_name":"order.never"}`, attemptMark, a.project),
		`{"batch":1,"no_wait":true}`, "+NXT", "",
	}
	for _, subject := range a.may {
		for _, reply := range a.others() {
			for _, body := range bodies {
				if strings.HasSuffix(subject, "cancel") || subject == "orders.watch" && body == bodies[0] || strings.HasSuffix(subject, ".watch") && body == bodies[0] {
					body = fmt.Sprintf(`{"by":%q}`, attemptMark) // nothing of the team's own is to change
				}
				a.publish(t, subject, reply, body)
			}
		}
	}
}

// consumers asks for consumers of events of every kind.
func (a *attacker) consumers(t *testing.T) {
	for _, config := range []string{
		`{"ack_policy":"none"}`, `{"ack_policy":"none","deliver_subject":"$KV.ORDER_WATCHES.planted"}`, `{"ack_policy":"none","deliver_subject":"orders.watch"}`,
		`{"durable_name":"slack","ack_policy":"explicit","filter_subject":"planted.>"}`, `{"durable_name":"slack","ack_policy":"explicit","pause_until":"2099-01-01T00:00:00Z"}`,
		`{"durable_name":"` + a.victim + `","ack_policy":"explicit","deliver_policy":"all"}`, `{"durable_name":"planted","ack_policy":"explicit","inactive_threshold":1}`,
		`{"ack_policy":"none","headers_only":true}`, `{"ack_policy":"all","max_deliver":1}`, `{"ack_policy":"none","mem_storage":true,"num_replicas":5}`,
	} {
		for _, api := range []string{"$JS.API.", "js.orderwatch.API."} {
			for _, name := range []string{"planted", "slack", a.victim, a.team} {
				a.publish(t, api+"CONSUMER.CREATE.ORDER_EVENTS."+name, "", `{"stream_name":"ORDER_EVENTS","config":`+config+`}`)
				a.publish(t, api+"CONSUMER.CREATE.ORDER_EVENTS."+name+".orders.completed.>", "", `{"stream_name":"ORDER_EVENTS","config":`+config+`}`)
			}
		}
	}
}

// oddRequests sends what a server or a worker may take for more than a request: headers, status lines, bodies.
func (a *attacker) oddRequests(t *testing.T) {
	bad := fmt.Sprintf(`{"planted":%q}`, attemptMark)
	for _, h := range [][2]string{
		{"Nats-Rollup", "all"}, {"Nats-Rollup", "sub"}, {"Nats-TTL", "1s"}, {"Nats-Schedule", "@at 2030-01-01T00:00:00Z"}, {"Nats-Schedule-Target", "orders.due.x"}, {"Nats-Schedule-Next", "purge"},
		{"Nats-Batch-Id", "planted"}, {"Nats-Batch-Sequence", "1"}, {"Nats-Batch-Commit", "1"}, {"Nats-Incr", "1"}, {"Nats-Expected-Stream", "ORDER_EVENTS"}, {"Nats-Expected-Last-Sequence", "1"},
		{"Nats-Expected-Last-Subject-Sequence", "0"}, {"Nats-Expected-Last-Subject-Sequence-Subject", "orders.>"}, {"Nats-Msg-Id", "planted"}, {"Nats-Required-Api-Level", "99"},
		{"Nats-Request-Info", `{"acc":"ORDERWATCH"}`}, {"Nats-Service-Error", "planted"}, {"Orderwatch-Record", "0"}, {"Orderwatch-Key", "$KV.ORDER_SLACK.settled"}, {"KV-Operation", "DEL"}, {"KV-Operation", "PURGE"}, {"Status", "503"}, {"Description", "planted"},
		{"ce-source", "/planted"}, {"Team", a.victim}, {"Nats-Marker-Reason", "Purge"}, {"Nats-Stream-Source", "planted"}, {"Nats-Sequence", "1"}, {"Nats-Subject", "orders.completed.x"},
	} {
		a.publish(t, "orders.watch", "", bad, h[0], h[1])
		a.publish(t, "orderwatch.get", "", bad, h[0], h[1])
	}
	deep := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	for _, body := range []string{
		"", "{", "[]", "null", "0", `"x"`, deep, strings.Repeat("[", 100_000), `{"project_id":"*","order_name":">"}`, `{"project_id":"a.b","order_name":"c"}`, `{"project_id":"","order_name":""}`,
		`{"order_name":"` + strings.Repeat("x", 200_000) + `"}`, `{"project_id":"p","project_id":"q"}`, "\x00\x01", "\xff\xfe", `{"team":"` + a.victim + `"}`, `{"labels":{"a":1}}`, `{"subjects":[">"],"limit":99999}`,
		`{"cursor":"1.18446744073709551615","wait":"25s"}`, `{"cursor":"-1.1"}`, `{"after_sequence":18446744073709551615}`, `{"wait":"9999h"}`,
	} {
		a.publish(t, "orders.watch", "", body)
		for _, endpoint := range []string{"get", "why", "list", "watch", "cancel", "poll", "renotify", "history", "status"} {
			a.publish(t, "orderwatch."+endpoint, "", body)
		}
	}
	for range 200 { // one reply subject many times
		a.publish(t, "orderwatch.status", "_INBOX_"+a.user+".attempt.same", "{}")
	}
}

// otherTeam asks the service about the other team's watches and events. Workers must know which projects are whose.
func (a *attacker) otherTeam(t *testing.T) {
	about := fmt.Sprintf(`"project_id":%q,"order_name":"order.never"`, a.theirs)
	for endpoint, bodies := range map[string][]string{
		"get": {"{" + about + "}"}, "why": {"{" + about + "}"}, "poll": {"{" + about + "}"}, "cancel": {`{"by":"` + attemptMark + `",` + about + "}"}, "renotify": {`{"by":"` + attemptMark + `",` + about + "}"},
		"watch": {"{" + about + "}", `{"timeout":"48h","request_id":"` + attemptMark + `",` + about + "}"}, "list": {"{}", `{"project_id":"` + a.theirs + `"}`},
		"history": {"{}", `{"forget":"cn-north-4"}`, `{"forget":"cn-north-4.createNode"}`},
		"events":  {"{}", `{"subjects":[">"]}`, `{"subjects":["orders.*.*.` + a.theirs + `.>"]}`, `{"after_sequence":1}`},
	} {
		for _, body := range bodies {
			a.publish(t, "orderwatch."+endpoint, "", body)
		}
	}
	a.publish(t, "orders.watch", "", `{"expected_items":10000,`+about+"}")
}

// collect waits until all was handled, and reads what came back.
func (a *attacker) collect(t *testing.T) {
	t.Helper()
	if err := a.nc.FlushTimeout(rig.Patience); err != nil {
		t.Fatal(err)
	}
	for _, s := range append(a.subscriptions, a.inbox) {
		for {
			m, err := s.NextMsg(100 * time.Millisecond)
			if err != nil {
				break
			}
			a.heard = append(a.heard, m)
		}
	}
}

// A belongings is all that the streams of an installation hold, and how streams and consumers are set.
type belongings map[string]string

// belong reads it. What workers write again and again is there with its name alone.
func belong(t *testing.T, js jetstream.JetStream) belongings {
	t.Helper()
	b := make(belongings)
	for stream := range allStreams {
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		b["stream "+stream] = fmt.Sprintf("%+v", s.CachedInfo().Config)
		for c := range s.ListConsumers(t.Context()).Info() {
			if c.Config.MemoryStorage && c.Config.FilterSubject == ">" { // this test's own
				continue
			}
			b["consumer "+c.Name+" of "+stream] = fmt.Sprintf("%+v %t", c.Config, c.Paused)
			if c.Name == "gpu" || c.Name == "train" {
				b["place of "+c.Name] = fmt.Sprint(c.AckFloor.Stream)
			}
		}
		err = rig.ReadStream(t.Context(), js, stream, ">", func(m jetstream.Msg) {
			meta, err := m.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			at := fmt.Sprintf("%s %d", m.Subject(), meta.Sequence.Stream)
			if stream == "ORDER_WAKEUPS" || strings.HasPrefix(stream, "KV_") {
				at = m.Subject()
			}
			text := fmt.Sprint(m.Headers(), string(m.Data()))
			if rewritten(m.Subject()) && m.Headers().Get(store.KeyHeader) == m.Subject() && json.Valid(m.Data()) && !bytes.Contains(m.Data(), []byte(`"stream":`)) {
				text = ""
			}
			b[at] = text
		})
		if err != nil && stream != "ORDER_REQUESTS" && stream != "ORDER_WAKEUPS" { // no other consumer reads a work queue
			t.Fatal(err)
		}
	}
	return b
}

// rewritten reports whether workers write the key again and again.
func rewritten(subject string) bool {
	for _, prefix := range []string{"$KV.ORDER_ACCOUNTS.worker.", "$KV.ORDER_WATCHES.patrol", "$KV.ORDER_WATCHES.store", "$KV.ORDER_SLACK.store", "$KV.ORDER_SLACK.settled", "$KV.ORDER_HISTORY."} {
		if strings.HasPrefix(subject, prefix) {
			return true
		}
	}
	return false
}

// TestAttempts starts nats-server with the shipped accounts, and lets every kind of user of two teams try what was tried
// against the permissions of one account: to write what is not its own, directly, by a reply subject, by headers, by
// consumers; and to read what is another team's.
func TestAttempts(t *testing.T) {
	t.Parallel()
	site := newTeamSite(t, accountsFile(t), 0)
	addr := rig.FreeAddr(t)
	worker := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(site.nats.URL, site.modelArts, addr, "ORDERWATCH_NATS_USER=worker",
		"ORDERWATCH_NATS_PASSWORD=planted-worker", "ORDERWATCH_PROVISION=false", "ORDERWATCH_POLL_INITIAL=1h", "ORDERWATCH_POLL_MAX=1h", "ORDERWATCH_TEAMS_FILE="+site.teams), "serve")
	rig.AwaitReady(t, addr)
	for team, project := range map[string]string{"gpu": rig.Project, "train": trainProject} {
		env := login(site.nats.URL, team+"-person")
		if got := rig.CarryOut(t, env, "watch", "--wait", project+"/order.succeeded"); got.Code != 0 {
			t.Fatalf("%s%s", got.Out, got.Err)
		}
		if got := rig.CarryOut(t, env, "watch", project+"/order.never"); got.Code != 0 {
			t.Fatalf("%s%s", got.Out, got.Err)
		}
		rig.Eventually(t, rig.Patience, func() error {
			if got := rig.CarryOut(t, env, "get", "-o", "json", project+"/order.never"); got.Code != 0 || !strings.Contains(got.Out, `"polls":1`) {
				return fmt.Errorf("%s%s", got.Out, got.Err)
			}
			return nil
		})
	}
	all := attackers()
	before := belong(t, site.nats.JS)
	for _, a := range all {
		a.connect(t, site.nats.URL)
		a.subscribe(t)
	}
	tried := 0
	for _, a := range all {
		for _, try := range []func(*testing.T){a.direct, a.replies, a.consumers, a.oddRequests, a.otherTeam} {
			try(t)
		}
		if err := a.nc.FlushTimeout(rig.Patience); err != nil {
			t.Fatal(err)
		}
		tried += a.tried
	}
	settled(t, site.nats.JS)
	for _, team := range []string{"gpu", "train"} { // what is to be heard by its own team alone
		project := map[string]string{"gpu": rig.Project, "train": trainProject}[team]
		rig.CarryOut(t, login(site.nats.URL, team+"-person"), "get", project+"/order.never")
	}
	through := 0
	got := func(format string, args ...any) {
		through++
		t.Errorf(format, args...)
	}
	after := belong(t, site.nats.JS)
	for _, at := range slices.Sorted(maps.Keys(before)) {
		if is, ok := after[at]; !ok || is != before[at] {
			got("%s was changed:\n%.500s\nis now\n%.500s", at, before[at], is)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[at]; ok || rewritten(at) && after[at] == "" { // a worker wrote it meanwhile
			continue
		}
		if !strings.HasPrefix(at, "orders.rejected ") && !strings.HasPrefix(at, "orders.attention.rejected.by_") {
			got("%s is new: %.500s", at, after[at])
		}
	}
	err := rig.ReadStream(t.Context(), site.nats.JS, "ORDER_EVENTS", ">", func(m jetstream.Msg) {
		if err := schematest.Event(m.Subject(), m.Headers(), m.Data()); err != nil {
			got("what is stored on %s was not written by a worker: %v", m.Subject(), err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		a.collect(t)
		if strings.HasSuffix(a.user, "-person") && len(a.heard) == 0 {
			t.Errorf("%s heard no answer: were the attempts made?", a.user)
		}
		for _, m := range a.heard {
			if !a.mayHear(m) {
				got("%s heard on %s: %.300s", a.user, m.Subject, m.Data)
			}
		}
	}
	rig.AwaitReady(t, addr)
	for _, bad := range []string{"panic", "denies a permission"} {
		if strings.Contains(worker.Text(), bad) {
			got("the worker's log says %q:\n%s", bad, rig.Tail(worker.Text(), 3000))
		}
	}
	t.Logf("%d attempts of %d users: %d got through", tried, len(all), through)
}

// settled waits until the worker has taken all requests.
func settled(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return eventstest.Settled(ctx, js, "ORDER_REQUESTS", "intake")
	})
}

// mayHear reports whether a message may come to the attacker: an answer to its own inbox, or what comes where its team's
// events come, with nothing of another team's but what its own rejected messages say.
func (a *attacker) mayHear(m *nats.Msg) bool {
	answer := strings.HasPrefix(m.Subject, "_INBOX_"+a.user+".")
	here := strings.HasSuffix(a.user, "-events") && strings.HasPrefix(m.Subject, "orders.")
	if !answer && !here {
		return false
	}
	var events wire.EventsAnswer
	if json.Unmarshal(m.Data, &events) != nil || len(events.Events) == 0 {
		return !a.tells(m.Data)
	}
	return !slices.ContainsFunc(events.Events, func(e wire.StoredEvent) bool { return a.tells(e.Event) && !a.isRejected(e) })
}

// tells reports whether the data has something of another team's, or of the workers' buckets.
func (a *attacker) tells(data []byte) bool {
	return bytes.Contains(data, []byte(a.theirs)) || bytes.Contains(data, []byte("KV_ORDER_"))
}

// isRejected reports whether the event is about a rejected message of the attacker's team.
func (a *attacker) isRejected(e wire.StoredEvent) bool {
	var event struct {
		Data struct {
			Team string `json:"team"`
		} `json:"data"`
	}
	of := e.Subject == "orders.rejected" || strings.HasPrefix(e.Subject, "orders.attention.rejected.")
	return of && json.Unmarshal(e.Event, &event) == nil && event.Data.Team == a.team
}
