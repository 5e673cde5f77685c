package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// twoTeams is a file of two teams that share some projects.
const twoTeams = `teams:
  gpu:
    projects: [p-gpu, shared-*]
    channels: [C0GPU]
    limits: {timeout: 30m}
  net:
    projects: [p-net, shared-*]
    channels: [C0NET]
`

// withTeams returns settings with the file of teams, under which nothing is polled between what a test asks.
func withTeams(t *testing.T, file string) settings {
	t.Helper()
	cfg := quiet()
	var err error
	if cfg.Teams, err = teams.Parse("teams.yaml", []byte(file)); err != nil {
		t.Fatal(err)
	}
	cfg.Requests.SlackChannels = append(cfg.Requests.SlackChannels, cfg.Teams.Channels()...)
	return cfg
}

// wanted returns a request of this project and order.
func wanted(project, name, id string, more ...any) map[string]any {
	r := map[string]any{"project_id": project, "order_name": name, "request_id": id}
	for i := 0; i < len(more); i += 2 {
		r[more[i].(string)] = more[i+1]
	}
	return r
}

// askAs asks the service as the team, empty for the operator.
func askAs(t *testing.T, nc *nats.Conn, endpoint, team string, request any) (code int, reply *nats.Msg) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if team != "" {
		endpoint += "." + team
	}
	return asked(t, nc, endpoint, string(body))
}

// recordIn returns the order's record, read as any client of the bucket would.
func recordIn(t *testing.T, js jetstream.JetStream, project, name string) (watcher.Watch, error) {
	t.Helper()
	bucket, err := js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bucket.Get(t.Context(), project+"."+name)
	if err != nil {
		return watcher.Watch{}, err
	}
	return watcher.DecodeWatch(entry.Value())
}

// isWatched waits until the order is watched for the request.
func isWatched(t *testing.T, js jetstream.JetStream, project, name, team, id string) watcher.Watch {
	t.Helper()
	var w watcher.Watch
	eventstest.Eventually(t, func() (err error) {
		w, err = recordIn(t, js, project, name)
		if err == nil && !slices.ContainsFunc(w.Requests, func(r watcher.Request) bool { return r.Team == team && r.ID == id }) {
			err = fmt.Errorf("the requests are %+v; want %s of %q", w.Requests, id, team)
		}
		return err
	})
	return w
}

// rejections waits for so many events on orders.rejected, and returns them by the requests' ids.
func rejections(t *testing.T, js jetstream.JetStream, n uint64) map[string]wire.Rejection {
	t.Helper()
	eventstest.Eventually(t, func() error {
		if got := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.rejected"); got < n {
			return fmt.Errorf("%d rejected events of %d", got, n)
		}
		return nil
	})
	all := make(map[string]wire.Rejection)
	for _, m := range eventsOn(t, js, "orders.rejected") {
		r, err := wire.Decode[wire.Rejection](m.Data)
		if err != nil {
			t.Fatal(err)
		}
		all[r.RequestID] = r
	}
	return all
}

// TestTeamsRequests holds that a request's team is its subject's, and what a team may ask.
func TestTeamsRequests(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	startWorker(t, s, withTeams(t, twoTeams), &orders{show: never})

	refused := []struct {
		team, id, says string
		code           int
		request        map[string]any
	}{
		{"gpu", "other project", "project_id: is no project of team gpu", 403, wanted("p-net", "order.x", "other project")},
		{"gpu", "prefix of one", "project_id: is no project of team gpu", 403, wanted("p-gpu-2", "order.x", "prefix of one")},
		{"gpu", "other channel", "slack_channel: must be a channel of team gpu", 403, wanted("p-gpu", "order.x", "other channel", "slack_channel", "C0NET")},
		{"gpu", "operator's channel", "slack_channel: must be a channel of team gpu", 403, wanted("p-gpu", "order.x", "operator's channel", "slack_channel", "C0ONCALL")},
		{"gpu", "too long", "timeout: must be at most 30m0s for team gpu", 403, wanted("p-gpu", "order.x", "too long", "timeout", "31m")},
		{"gpu", "another by its body", "team: is no field of a request", 400, wanted("p-net", "order.x", "another by its body", "team", "net")},
		{"ops", "nobody", "team ops may nothing here", 403, wanted("p-gpu", "order.x", "nobody")},
		{"g~pu", "no name", "the last token of the subject is no team's name", 400, wanted("p-gpu", "order.x", "no name")},
	}
	for _, r := range refused {
		publishOn(t, js, "orders.watch."+r.team, r.request)
		code, reply := askAs(t, nc, "watch", r.team, r.request)
		if why := read[wire.ServiceError](t, reply); code != r.code || !strings.Contains(why.Reason, r.says) {
			t.Errorf("%s: the service answers %d %+v", r.id, code, why)
		}
	}
	told := rejections(t, js, uint64(len(refused)))
	for _, r := range refused {
		if got := told[r.id]; !strings.HasPrefix(got.Reason, r.says) || got.Team != r.team {
			t.Errorf("%s: rejected as %+v", r.id, got)
		}
	}
	if n := eventstest.Messages(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>"); n != 0 {
		t.Errorf("%d records of what was rejected", n)
	}

	m := nats.NewMsg("orders.watch.gpu")
	m.Header.Set("Team", "net")
	m.Data, _ = json.Marshal(wanted("p-gpu", "order.a", "build-1", "slack_channel", "C0GPU"))
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	w := isWatched(t, js, "p-gpu", "order.a", "gpu", "build-1")
	if got := w.Deadline.Sub(w.AcceptedAt); got != 30*time.Minute {
		t.Errorf("without a timeout the watch lasts %s", got)
	}
	publishOn(t, js, "orders.watch", wanted("p-none", "order.a", "operator's", "slack_channel", "C0NET", "timeout", "40h"))
	isWatched(t, js, "p-none", "order.a", "", "operator's")
	if code, reply := askAs(t, nc, "watch", "net", wanted("shared-1", "order.a", "build-1")); code != 200 {
		t.Errorf("%d %s", code, reply.Data)
	}
	isWatched(t, js, "shared-1", "order.a", "net", "build-1")
}

// TestTeamsWithoutFile holds that without a file a team's request is taken as everybody's, with the team noted.
func TestTeamsWithoutFile(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	startWorker(t, s, quiet(), &orders{show: never})
	publishOn(t, js, "orders.watch.gpu", wanted("p-any", "order.a", "build-1", "slack_channel", "C0ONCALL"))
	isWatched(t, js, "p-any", "order.a", "gpu", "build-1")
	if code, reply := askAs(t, nc, "get", "net", wanted("p-any", "order.a", "")); code != 400 {
		t.Errorf("%d %s", code, reply.Data)
	}
	code, reply := askAs(t, nc, "get", "net", of2("p-any", "order.a"))
	if got := read[watcher.Snapshot](t, reply); code != 200 || len(got.Requests) != 1 {
		t.Errorf("%d %s", code, reply.Data)
	}
}

func of2(project, name string) watcher.Order { return watcher.Order{ProjectID: project, Name: name} }

// TestTeamsSeeTheirOwn lets two teams, whose requests have the same ids, look at and touch each other's watches.
func TestTeamsSeeTheirOwn(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	cloud := &orders{show: never}
	for range 2 {
		startWorker(t, s, withTeams(t, twoTeams), cloud)
	}
	const each = 20
	for i := range each {
		name, id := fmt.Sprint("order.", i), fmt.Sprint("build-", i)
		publishOn(t, js, "orders.watch.gpu", wanted("p-gpu", name, id))
		publishOn(t, js, "orders.watch.net", wanted("p-net", name, id, "labels", map[string]string{"of": "net"}))
	}
	publishOn(t, js, "orders.watch.gpu", wanted("shared-1", "order.s", "of-gpu", "requested_by", "by-ann"))
	publishOn(t, js, "orders.watch.net", wanted("shared-1", "order.s", "of-net", "requested_by", "by-bob", "labels", map[string]string{"team": "net"}))
	publishOn(t, js, "orders.watch", wanted("p-gpu", "order.o", "of-operator", "requested_by", "ops"))
	publishOn(t, js, "orders.watch", wanted("p-none", "order.o", "of-operator"))
	for i := range each {
		name, id := fmt.Sprint("order.", i), fmt.Sprint("build-", i)
		isWatched(t, js, "p-gpu", name, "gpu", id)
		isWatched(t, js, "p-net", name, "net", id)
	}
	isWatched(t, js, "shared-1", "order.s", "gpu", "of-gpu")
	isWatched(t, js, "shared-1", "order.s", "net", "of-net")
	isWatched(t, js, "p-gpu", "order.o", "", "of-operator")
	isWatched(t, js, "p-none", "order.o", "", "of-operator")
	eventstest.Eventually(t, func() error { // each was polled once, and nothing more is due for an hour
		if n := eventstest.Messages(t, js, "ORDER_REQUESTS", ">"); n != 0 {
			return fmt.Errorf("%d requests left", n)
		}
		for i := range each {
			if cloud.count(of2("p-net", fmt.Sprint("order.", i))) != 1 {
				return errors.New("not polled")
			}
		}
		return nil
	})

	touched := 0
	for i := range each {
		order := of2("p-net", fmt.Sprint("order.", i))
		before, _ := recordIn(t, js, order.ProjectID, order.Name)
		for _, endpoint := range []string{"get", "why", "poll", "cancel", "renotify"} {
			request := map[string]any{"project_id": order.ProjectID, "order_name": order.Name}
			if endpoint == "cancel" || endpoint == "renotify" {
				request["by"] = "net" // which is their word
			}
			if code, reply := askAs(t, nc, endpoint, "gpu", request); code != 404 || strings.Contains(string(reply.Data), before.ID) {
				t.Errorf("%s of another team's: %d %s", endpoint, code, reply.Data)
				touched++
			}
			none := map[string]any{"project_id": order.ProjectID, "order_name": "order.none"}
			if request["by"] != nil {
				none["by"] = "net"
			}
			if _, reply := askAs(t, nc, endpoint, "gpu", none); endpoint != "renotify" {
				_, same := askAs(t, nc, endpoint, "gpu", request)
				if string(reply.Data) != string(same.Data) {
					t.Errorf("%s tells whether another team's order is watched: %s, %s", endpoint, reply.Data, same.Data)
				}
			}
		}
		if code, _ := askAs(t, nc, "renotify", "gpu", map[string]any{"watch_id": before.ID, "by": "net"}); code != 404 {
			t.Errorf("renotify by the watch's id: %d", code)
			touched++
		}
		after, err := recordIn(t, js, order.ProjectID, order.Name)
		if err != nil || after.Wish != nil || after.Wakeup != before.Wakeup || cloud.count(order) != 1 {
			t.Errorf("%s was touched: %+v", order, after)
			touched++
		}
	}
	t.Logf("%d of %d attempts touched another team's", touched, 6*each)

	listed := func(team string, q wire.ListQuery) (all []watcher.Snapshot) {
		t.Helper()
		for {
			code, reply := askAs(t, nc, "list", team, q)
			if code != 200 {
				t.Fatalf("list: %d %s", code, reply.Data)
			}
			page := read[wire.ListAnswer](t, reply)
			if all = append(all, page.Watches...); page.Cursor == "" {
				return all
			}
			q.Cursor = page.Cursor
		}
	}
	for _, test := range []struct {
		team string
		q    wire.ListQuery
		want int
	}{
		{"gpu", wire.ListQuery{Limit: 7}, each + 2}, {"net", wire.ListQuery{}, each + 1}, {"", wire.ListQuery{}, 2*each + 3},
		{"gpu", wire.ListQuery{ProjectID: "p-net"}, 0}, {"gpu", wire.ListQuery{Label: "of=net"}, 0}, {"gpu", wire.ListQuery{Label: "team=net"}, 0}, {"net", wire.ListQuery{Label: "team=net"}, 1}, {"gpu", wire.ListQuery{Team: "net"}, 1},
		{"", wire.ListQuery{Team: "net"}, each + 1}, {"", wire.ListQuery{Team: "gpu"}, each + 1},
	} {
		all := listed(test.team, test.q)
		if len(all) != test.want {
			t.Errorf("%s lists %d watches for %+v; want %d", test.team, len(all), test.q, test.want)
		}
		for _, w := range all {
			for _, r := range w.Requests {
				if test.team != "" && r.Team != test.team {
					t.Errorf("%s is shown the request %+v", test.team, r)
				}
			}
		}
	}
	for team, id := range map[string]string{"gpu": "of-gpu", "net": "of-net"} {
		_, reply := askAs(t, nc, "get", team, of2("shared-1", "order.s"))
		if got := read[watcher.Snapshot](t, reply); len(got.Requests) != 1 || got.Requests[0].ID != id || strings.Contains(string(reply.Data), map[string]string{"gpu": "by-bob", "net": "by-ann"}[team]) {
			t.Errorf("%s is shown %s of a shared watch", team, reply.Data)
		}
	}
	if _, reply := askAs(t, nc, "get", "gpu", of2("p-gpu", "order.o")); strings.Contains(string(reply.Data), "of-operator") || !strings.Contains(string(reply.Data), `"watching"`) {
		t.Errorf("the operator's request in the team's project is shown as %s", reply.Data)
	}
	if code, reply := askAs(t, nc, "cancel", "net", map[string]any{"project_id": "p-net", "order_name": "order.0", "by": "bob"}); code != 200 {
		t.Errorf("a team's own is not cancelled: %d %s", code, reply.Data)
	}
	if code, _ := askAs(t, nc, "poll", "gpu", of2("p-gpu", "order.1")); code != 200 {
		t.Errorf("a team's own is not polled: %d", code)
	}
	for _, endpoint := range []string{"list", "get", "status"} {
		if code, _ := askAs(t, nc, endpoint, "ops", map[string]any{}); code != 403 {
			t.Errorf("a team that the file does not name: %s answers %d", endpoint, code)
		}
	}
}

// TestTeamsRenotify holds in which channels a team may have people told again.
func TestTeamsRenotify(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	cfg := withTeams(t, twoTeams)
	cfg.Policy.Backoff = config().Policy.Backoff
	w := startWorker(t, s, cfg, &orders{show: endedAfter(5)})
	for team, name := range map[string]string{"gpu": "order.own", "net": "order.theirs"} {
		publishOn(t, js, "orders.watch."+team, wanted("p-"+team, name, "build-1"))
	}
	publishOn(t, js, "orders.watch.gpu", wanted("shared-1", "order.s", "of-gpu"))
	publishOn(t, js, "orders.watch.net", wanted("shared-1", "order.s", "of-net"))
	for range 3 {
		w.next(t)
	}
	for _, test := range []struct {
		name, project string
		channels      []string
		code          int
	}{
		{"order.own", "p-gpu", nil, 200}, {"order.own", "p-gpu", []string{"C0GPU"}, 200}, {"order.own", "p-gpu", []string{"C0NET"}, 403},
		{"order.own", "p-gpu", []string{"C0ROUTED"}, 403}, {"order.theirs", "p-net", nil, 404}, {"order.theirs", "p-net", []string{"C0GPU"}, 404},
	} {
		request := map[string]any{"project_id": test.project, "order_name": test.name, "by": "ann"}
		if test.channels != nil {
			request["slack_channels"] = test.channels
		}
		if code, reply := askAs(t, nc, "renotify", "gpu", request); code != test.code {
			t.Errorf("%s in %q: %d %s; want %d", test.name, test.channels, code, reply.Data, test.code)
		}
	}
	if c, _, err := w.store.FindCompletion(t.Context(), wire.RenotifyRequest{Order: of2("shared-1", "order.s")}, cfg.Teams.View("gpu")); err != nil || !cfg.Teams.View("gpu").Others(c.Requests) {
		return // the requests ended in watches of their own
	}
	if code, reply := askAs(t, nc, "renotify", "gpu", map[string]any{"project_id": "shared-1", "order_name": "order.s", "by": "ann"}); code != 403 {
		t.Errorf("a shared watch in everybody's channels: %d %s", code, reply.Data)
	}
}

// TestTeamsLimits holds how much a team may have watched, over all workers.
func TestTeamsLimits(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	const limits = `teams:
  few: {projects: [p-few], limits: {open_watches: 3}}
  slow: {projects: [p-slow], limits: {requests_per_minute: 5}}
  free: {projects: [p-free]}
`
	cfg := withTeams(t, limits)
	for range 2 {
		startWorker(t, s, cfg, &orders{show: never})
	}
	ask := func(team, name, id string) (int, wire.ServiceError) {
		t.Helper()
		code, reply := askAs(t, nc, "watch", team, wanted("p-"+team, name, id))
		return code, read[wire.ServiceError](t, reply)
	}
	for i := range 8 {
		name := fmt.Sprint("order.", i)
		if code, why := ask("few", name, "build-1"); (code == 200) != (i < 3) || code != 200 && (code != 429 || !strings.Contains(why.Reason, "has 3 open watches")) {
			t.Errorf("watch %d of 3 answered %d %s", i+1, code, why.Reason)
		}
		if code, why := ask("slow", name, "build-1"); (code == 200) != (i < 5) || code != 200 && (code != 429 || !strings.Contains(why.Reason, "ask again, with a new request, in ")) {
			t.Errorf("request %d of 5 a minute answered %d %s", i+1, code, why.Reason)
		}
		if code, why := ask("free", name, "build-1"); code != 200 {
			t.Errorf("a team without limits is answered %d %s", code, why.Reason)
		}
	}
	for _, team := range []string{"few", "slow"} { // what is watched already takes no more
		if code, why := ask(team, "order.0", "build-1"); code != 200 {
			t.Errorf("the same request again: %d %s", code, why.Reason)
		}
	}
	if code, why := ask("few", "order.0", "build-2"); code != 200 {
		t.Errorf("another request for a watch of the team's own: %d %s", code, why.Reason)
	}
	check := func(name, id string, refused bool) { // to be checked alone: nothing is counted
		t.Helper()
		body, _ := json.Marshal(wanted("p-few", name, id))
		m := &nats.Msg{Subject: "orderwatch.watch.few", Data: body, Header: nats.Header{wire.CheckOnly: {"true"}}}
		reply, err := nc.RequestMsg(m, eventstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if got := reply.Header.Get(micro.ErrorCodeHeader) == "429"; got != refused {
			t.Errorf("%s of %s is checked: %s", id, name, reply.Data)
		}
	}
	check("order.9", "checked", true)
	check("order.9", "checked", true)
	check("order.0", "checked", false)
	publishOn(t, js, "orders.watch.few", wanted("p-few", "order.9", "told"))
	if r := rejections(t, js, 1)["told"]; !strings.Contains(r.Reason, "has 3 open watches") || r.Team != "few" {
		t.Errorf("rejected as %+v", r)
	}
	if code, reply := askAs(t, nc, "cancel", "few", map[string]any{"project_id": "p-few", "order_name": "order.1", "by": "ann"}); code != 200 {
		t.Fatalf("%d %s", code, reply.Data)
	}
	eventstest.Eventually(t, func() error {
		if code, why := ask("few", "order.9", "later"); code != 200 {
			return fmt.Errorf("after one has ended: %d %s", code, why.Reason)
		}
		return nil
	})
	if code, why := ask("few", "order.1", "build-1"); code != 200 {
		t.Errorf("the same request again, of a watch that ended: %d %s", code, why.Reason)
	}
	check("order.1", "build-1", false)
	check("order.1", "build-2", true)
}

// TestTeamsLimitsCountAll holds that a team's requests a minute are all that makes work: to watch, poll, cancel and tell
// again, and that each worker counts what the others did.
func TestTeamsLimitsCountAll(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	cfg := withTeams(t, "teams:\n  slow: {projects: [p-slow], limits: {requests_per_minute: 6}}\n  free: {projects: [p-free]}\n")
	w := startWorker(t, s, cfg, &orders{show: func(o watcher.Order, _ int) (watcher.Answer, error) {
		if o.Name == "order.over" {
			return answer(watcher.Succeed), nil
		}
		return answer(watcher.Processing), nil
	}})
	for _, team := range []string{"slow", "free"} {
		publishOn(t, js, "orders.watch."+team, wanted("p-"+team, "order.over", "build-1", "expected_items", 1))
		w.next(t)
		publishOn(t, js, "orders.watch."+team, wanted("p-"+team, "order.open", "build-1"))
		isWatched(t, js, "p-"+team, "order.open", team, "build-1")
	}
	ask := func(team, endpoint, name string) (int, string) {
		t.Helper()
		request := map[string]any{"project_id": "p-" + team, "order_name": name}
		if endpoint == "renotify" || endpoint == "cancel" {
			request["by"] = "ann"
		}
		code, reply := askAs(t, nc, endpoint, team, request)
		return code, string(reply.Data)
	}
	for _, test := range []struct {
		team, endpoint, name string
		code                 int
	}{
		{"slow", "poll", "order.none", 404}, {"slow", "poll", "order.open", 200}, {"slow", "renotify", "order.over", 200}, // two were stored
		{"slow", "poll", "order.open", 200}, {"slow", "poll", "order.open", 429},
		{"slow", "renotify", "order.over", 429}, {"slow", "cancel", "order.open", 429}, {"slow", "get", "order.open", 200},
	} {
		if code, said := ask(test.team, test.endpoint, test.name); code != test.code || code == 429 && !strings.Contains(said, "team slow has made 6 requests within a minute") {
			t.Errorf("%+v: %d %s", test, code, said)
		}
	}
	if code, reply := askAs(t, nc, "watch", "slow", wanted("p-slow", "order.more", "build-1")); code != 429 {
		t.Errorf("another request: %d %s", code, reply.Data)
	}
	for range 10 {
		if code, said := ask("free", "poll", "order.open"); code != 200 {
			t.Errorf("a team without limits: %d %s", code, said)
		}
	}
	second := startWorker(t, s, cfg, &orders{show: never})
	eventstest.Eventually(t, func() error {
		if err := w.store.ReserveDeed(t.Context(), "told", func([]time.Time) error { return nil }); err != nil {
			return err
		}
		return second.store.ReserveDeed(t.Context(), "told", func(stored []time.Time) error {
			if len(stored) == 0 {
				return errors.New("another worker counts none")
			}
			return nil
		})
	})
}

// TestTeamsLimitsTogether floods two workers at once: what is beyond a limit is rejected, each with an event.
func TestTeamsLimitsTogether(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := withTeams(t, "teams:\n  few: {projects: [p-few], limits: {open_watches: 50}}\n  slow: {projects: [p-slow], limits: {requests_per_minute: 50}}\n")
	for range 2 {
		startWorker(t, s, cfg, &orders{show: never})
	}
	const each = 200
	for i := range each {
		for _, team := range []string{"few", "slow"} {
			body, _ := json.Marshal(wanted("p-"+team, fmt.Sprint("order.", i), "build-1"))
			if _, err := js.PublishAsync("orders.watch."+team, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-js.PublishAsyncComplete()
	eventstest.Eventually(t, func() error {
		if n := eventstest.Messages(t, js, "ORDER_REQUESTS", ">"); n != 0 {
			return fmt.Errorf("%d requests left", n)
		}
		return nil
	})
	for _, team := range []string{"few", "slow"} {
		taken := eventstest.Messages(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.p-"+team+".>")
		rejected := 0
		for _, m := range eventsOn(t, js, "orders.rejected") {
			if r, err := wire.Decode[wire.Rejection](m.Data); err == nil && r.Team == team {
				rejected++
			}
		}
		t.Logf("%s: %d taken of 50, %d rejected", team, taken, rejected)
		if taken < 50 || taken > 50+uint64(cfg.Concurrency) || int(taken)+rejected != each {
			t.Errorf("%s: %d taken and %d rejected of %d; want 50 taken, or a few more", team, taken, rejected, each)
		}
	}
}

// TestRejectionsAreSummedUp holds that a sender's rejected messages fill no stream, and that each is counted.
func TestRejectionsAreSummedUp(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := withTeams(t, twoTeams)
	cfg.Timing.Beat = time.Second
	startWorker(t, s, cfg, &orders{show: never})
	const sent = 1500
	for i := range sent {
		if _, err := js.PublishAsync("orders.watch.gpu", fmt.Appendf(nil, `{"request_id":"bad-%d"}`, i)); err != nil {
			t.Fatal(err)
		}
		if i%500 == 0 {
			<-js.PublishAsyncComplete()
		}
	}
	<-js.PublishAsyncComplete()
	publishOn(t, js, "orders.watch.net", map[string]any{"request_id": "bad of net"})
	publishOn(t, js, "orders.watch", map[string]any{"request_id": "bad of the operator"})
	var all []wire.Rejection
	eventstest.Eventually(t, func() error {
		all = nil
		of, told := make(map[string]int), 0
		for _, m := range eventsOn(t, js, "orders.rejected") {
			r, err := wire.Decode[wire.Rejection](m.Data)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
			of[r.Team] += 1 + r.Count
			told++
		}
		if of["gpu"] != sent || of["net"] != 1 || of[""] != 1 || told > 1100 {
			return fmt.Errorf("%d events tell of %v", told, of)
		}
		return nil
	})
	summed := slices.IndexFunc(all, func(r wire.Rejection) bool { return r.Count > 0 })
	if summed < 0 || all[summed].Since.IsZero() || all[summed].Reason == "" || all[summed].Since.After(all[summed].Received) {
		t.Errorf("no event sums up what is not told one by one")
	}
}

// TestTeamsSeeNoRates holds that how many polls are wanted, which is of all watches, is shown to the operator alone.
func TestTeamsSeeNoRates(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, _ := eventstest.Connect(t, s)
	cfg := withTeams(t, twoTeams)
	cfg.Loads = func() []watcher.Load {
		return []watcher.Load{{Region: "cn-north-4", Workers: 1, Wanted: 3, Allowed: 20}}
	}
	startWorker(t, s, cfg, &orders{show: never})
	for team, want := range map[string]int{"": 1, "gpu": 0} {
		code, reply := askAs(t, nc, "status", team, map[string]any{})
		if code != 200 {
			t.Fatalf("%q is answered %d %s", team, code, reply.Data)
		}
		if got := read[wire.Status](t, reply).Rates; len(got) != want {
			t.Errorf("%q is shown the rates %+v; want %d", team, got, want)
		}
	}
}
