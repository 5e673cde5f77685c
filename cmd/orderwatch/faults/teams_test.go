package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// sharedProject is a project of both teams, by the file of teams.
const sharedProject = "7c1e5a90d2f84b6ea3075b1c9d48e2f6"

// teamChannels are as many of Slack's channels as a team may have.
const teamChannels = 100

// teamsFile writes a file of teams, gpu and train, and returns its path.
func teamsFile(t *testing.T) string {
	t.Helper()
	var channels []string
	for i := range teamChannels {
		channels = append(channels, slackChannel(i))
	}
	text := "teams:\n"
	for team, project := range map[string]string{"gpu": rig.Project, "train": trainProject} {
		text += fmt.Sprintf("  %s: {projects: [%q, %q], channels: [%s]}\n", team, sharedProject, project, strings.Join(channels, ", "))
	}
	return cmdtest.File(t, text)
}

// startTeamFleet starts two workers that log in as the user worker of the accounts that ship, with a file of teams. It
// returns them, what the user setup reads the streams by, and the server's URL.
func startTeamFleet(t *testing.T, l *load) (f *fleet, setup jetstream.JetStream, url string) {
	t.Helper()
	server := startAccounts(t, accountsFile(t))
	site := &teamSite{nats: server, modelArts: "http://127.0.0.1:1", teams: teamsFile(t)}
	site.start(t, "setup", "true").Terminate(t)
	f = startFleet(t, server.URL, l, 2, "ORDERWATCH_NATS_USER=worker", "ORDERWATCH_NATS_PASSWORD=planted-worker", "ORDERWATCH_PROVISION=false", "ORDERWATCH_TEAMS_FILE="+site.teams)
	return f, server.JS, server.URL
}

// A teamAsk is a request of a team, and how it must be answered.
type teamAsk struct {
	team     string
	timeout  time.Duration // 0: the default
	expected int           // expected_items
	cancels  bool          // the team cancels its requests for the order, a while after this one is in its watch
	first    bool          // the next is published when this one is in its watch
	outcome  watcher.Outcome
}

// A teamOrder is an order of which one team or both ask.
type teamOrder struct {
	watcher.Order
	id       string // of every request for the order, of both teams
	channel  string
	script   emulator.Order
	asks     []teamAsk
	meddler  string // a team that tries to cancel what is the other's alone; empty for none
	intrudes bool   // it asks for the order, too, although the project is the other's
}

// What a request has that tries to postpone the end for others.
const (
	postponed = 24 * time.Hour
	manyItems = 500
)

// sharedOrder is an order of the project that the teams share. a and b are the teams. Its number says what happens.
func sharedOrder(i int, a, b string) teamOrder {
	never := []emulator.Item{{ResourceName: "node-0", EndAfter: emulator.Never}}
	ends := func(after time.Duration, last string) []emulator.Item {
		return []emulator.Item{{ResourceName: "node-0"}, {ResourceName: "node-1", EndAfter: after, Status: last}}
	}
	o := teamOrder{Order: watcher.Order{ProjectID: sharedProject, Name: fmt.Sprintf("order.shared-%03d", i)}}
	switch i % 6 {
	case 0: // the order succeeds for a; b's join would have postponed that
		o.script.Items = ends(2*time.Second, "succeed")
		o.asks = []teamAsk{{team: a, outcome: watcher.Succeeded}, {team: b, timeout: postponed, expected: manyItems, cancels: true, outcome: watcher.Cancelled}}
	case 1: // a's deadline passes; b's, which came first, is later
		o.script.Items = never
		o.asks = []teamAsk{{team: b, timeout: postponed, expected: manyItems, cancels: true, outcome: watcher.Cancelled}, {team: a, timeout: 4 * time.Second, outcome: watcher.TimedOut}}
	case 2: // a cancels; b goes on until its own deadline
		o.script.Items = never
		o.asks = []teamAsk{{team: a, cancels: true, outcome: watcher.Cancelled}, {team: b, timeout: 6 * time.Second, outcome: watcher.TimedOut}}
	case 3: // b alone asks, and a cancels
		o.script.Items = ends(4*time.Second, "succeed")
		o.asks, o.meddler = []teamAsk{{team: b, first: true, outcome: watcher.Succeeded}}, a
	case 4: // an item fails: both are told at once; but b, where it waits for more items, is not told for a's sake
		o.script.Items = ends(2*time.Second, "failed")
		if i/12%2 == 0 {
			o.asks = []teamAsk{{team: b, timeout: postponed, expected: 2, first: true, outcome: watcher.PartiallyFailed}, {team: a, expected: 2, outcome: watcher.PartiallyFailed}}
			break
		}
		o.asks = []teamAsk{{team: b, timeout: 8 * time.Second, expected: manyItems, first: true, outcome: watcher.TimedOut}, {team: a, outcome: watcher.PartiallyFailed}}
	default: // an item comes late: b alone waits for it
		o.script.Items = append(ends(time.Second, "succeed"), emulator.Item{ResourceName: "node-2", AppearAfter: 5 * time.Second, EndAfter: 6 * time.Second})
		o.asks = []teamAsk{{team: a, outcome: watcher.Succeeded}, {team: b, timeout: postponed, expected: 3, outcome: watcher.Succeeded}}
	}
	return o
}

// ownOrder is an order of the team's own project. The other team asks for it and cancels it.
func ownOrder(i int, team, project, other string) teamOrder {
	o := teamOrder{Order: watcher.Order{ProjectID: project, Name: fmt.Sprintf("order.own-%03d", i)}, meddler: other, intrudes: true}
	status, outcome := "succeed", watcher.Succeeded
	if team == "train" {
		status, outcome = "failed", watcher.AllFailed
	}
	o.script.Items = []emulator.Item{{ResourceName: "node-0", EndAfter: 3 * time.Second, Status: status}}
	o.asks = []teamAsk{{team: team, first: true, outcome: outcome}}
	return o
}

// teamOrders are 300 orders, 200 of which both teams may ask for. Few ids serve all.
func teamOrders() (orders []teamOrder) {
	for i := range 200 {
		a, b := "gpu", "train"
		if i/6%2 == 1 {
			a, b = b, a
		}
		orders = append(orders, sharedOrder(i, a, b))
	}
	for i := range 50 { // each pair of the same name
		orders = append(orders, ownOrder(i, "gpu", rig.Project, "train"), ownOrder(i, "train", trainProject, "gpu"))
	}
	for i := range orders {
		orders[i].id, orders[i].channel = fmt.Sprintf("build-%d", i%7), slackChannel(i%teamChannels)
		orders[i].script.FromFirstPoll = true
	}
	return orders
}

// A teamRun is what the teams do.
type teamRun struct {
	teams    map[string]*client.Client
	refused  atomic.Int64 // cancels of the other's
	intruded atomic.Int64 // requests for the other's projects
	wrong    sync.Map     // what was answered wrongly
}

// play lets the teams ask for the order.
func (r *teamRun) play(ctx context.Context, o *teamOrder, random *rand.Rand) error {
	var cancels []string
	for _, ask := range o.asks {
		if err := r.ask(ctx, o, ask.team, ask); err != nil {
			return err
		}
		if ask.first || ask.cancels {
			if err := r.seen(ctx, o, ask.team); err != nil {
				return err
			}
		}
		if ask.cancels {
			cancels = append(cancels, ask.team)
		}
		pause(ctx, within(random, 500*time.Millisecond))
	}
	if o.intrudes {
		if err := r.ask(ctx, o, o.meddler, teamAsk{timeout: postponed, expected: manyItems}); err != nil {
			return err
		}
		r.intruded.Add(1)
	}
	if o.meddler != "" {
		if err := r.meddle(ctx, o); err != nil {
			return err
		}
	}
	pause(ctx, within(random, 5*time.Second))
	for _, team := range cancels {
		if err := r.cancel(ctx, o, team); err != nil {
			return err
		}
	}
	if random.IntN(3) == 0 { // the same again
		return r.ask(ctx, o, o.asks[0].team, o.asks[0])
	}
	return nil
}

func (r *teamRun) ask(ctx context.Context, o *teamOrder, team string, ask teamAsk) error {
	request := wire.WatchRequest{Order: o.Order, RequestID: o.id, ExpectedItems: ask.expected, SlackChannel: o.channel}
	if ask.timeout > 0 {
		request.Timeout = ask.timeout.String()
	}
	_, err := r.teams[team].Publish(ctx, request)
	return err
}

// seen waits until the team is shown its request.
func (r *teamRun) seen(ctx context.Context, o *teamOrder, team string) error {
	for {
		s, err := r.teams[team].Get(ctx, o.Order)
		if err == nil && len(s.Requests) > 0 {
			if len(s.Requests) > 1 || s.Requests[0].Team != team {
				r.wrong.Store(fmt.Sprintf("team %s is shown %+v", team, s.Requests), true)
			}
			return nil
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("team %s is not shown its request for %s: %w", team, o.Order, errors.Join(err, ctx.Err()))
		}
	}
}

// cancel cancels the team's requests for the order until that is answered.
func (r *teamRun) cancel(ctx context.Context, o *teamOrder, team string) error {
	for {
		_, err := r.teams[team].Cancel(ctx, wire.CancelRequest{Order: o.Order, By: team})
		answer, isAnswer := errors.AsType[*wire.ServiceError](err)
		if err == nil || isAnswer && answer.Code < http.StatusInternalServerError { // an earlier try may have done it
			return nil
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("team %s cancels %s: %w", team, o.Order, err)
		}
	}
}

// meddle lets a team cancel an order for which the other team alone has asked, until that is refused.
func (r *teamRun) meddle(ctx context.Context, o *teamOrder) error {
	for {
		s, err := r.teams[o.meddler].Cancel(ctx, wire.CancelRequest{Order: o.Order, By: o.meddler})
		answer, isAnswer := errors.AsType[*wire.ServiceError](err)
		switch {
		case err == nil:
			r.wrong.Store(fmt.Sprintf("team %s may cancel %s: %+v", o.meddler, o.Order, s), true)
			return nil
		case isAnswer && (answer.Code == http.StatusForbidden || answer.Code == http.StatusNotFound):
			r.refused.Add(1)
			return nil
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("team %s meddles with %s: %w", o.meddler, o.Order, err)
		}
	}
}

// TestTwoTeams lets two teams use one installation while one of two workers is killed again and again: orders that both
// ask for, under the same ids; joins that would postpone the end; cancels of the other's. Each request is named in exactly
// one completion, with its own outcome, on its own terms.
func TestTwoTeams(t *testing.T) {
	t.Parallel()
	orders := teamOrders()
	cloud := emulator.New(emulator.Options{Tokens: []string{modelArtsToken}})
	for _, o := range orders {
		cloud.Add(o.ProjectID, o.Name, o.script)
	}
	f, js, url := startTeamFleet(t, &load{cloud: cloud})
	rig.ShortAckWait(t, js)
	run := &teamRun{teams: make(map[string]*client.Client)}
	for _, team := range []string{"gpu", "train"} {
		person, _ := loginAs(t, url, team+"-person")
		asks, err := client.New(person.Conn(), wire.Names{Subjects: "orders", Streams: "ORDER", Service: "orderwatch"})
		if err != nil {
			t.Fatal(err)
		}
		run.teams[team] = asks
	}

	ctx, cancel := context.WithTimeout(t.Context(), rig.DrainLimit)
	defer cancel()
	var playing sync.WaitGroup
	for i := range orders {
		playing.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 5))
			pause(ctx, within(random, 15*time.Second))
			if err := run.play(ctx, &orders[i], random); err != nil {
				t.Error(err)
			}
		})
	}
	random := rand.New(rand.NewPCG(6, 6))
	for range 10 {
		wait(random, 500, 2500)
		f.restart(t, 0)
	}
	playing.Wait()
	f.awaitReady(t)
	rig.AwaitDrained(t, js)
	run.wrong.Range(func(what, _ any) bool {
		t.Error(what)
		return true
	})
	judgeTeams(t, js, orders, f, run)
}

// TestTeamsWaitUnderOneID lets both teams wait for the same orders under the same id: each gets its own end and exit code.
func TestTeamsWaitUnderOneID(t *testing.T) {
	t.Parallel()
	site := newTeamSite(t, accountsFile(t), 2)
	order := func(project, name, status string) {
		last := emulator.Item{ResourceName: "node-1", Status: status}
		if status == "" {
			last.EndAfter = emulator.Never
		}
		site.cloud.Add(project, name, emulator.Order{Items: []emulator.Item{{ResourceName: "node-0"}, last}})
	}
	for _, c := range []struct {
		name       string
		project    string
		gpu        []string // more of its command
		cancels    bool     // gpu's person cancels
		gpuEnds    int
		end        string // the last item's status, when gpu has ended
		trainEnds  int
		trainShows string
	}{
		{"order.deadline", sharedProject, []string{"--timeout", "4s"}, false, 4, "succeed", 0, "succeeded"},
		{"order.cancelled", sharedProject, nil, true, 6, "failed", 3, "partially_failed"},
		{"order.rejected", trainProject, nil, false, 2, "succeed", 0, "succeeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			order(c.project, c.name, "")
			wait := func(team string, more ...string) *rig.Process {
				args := append([]string{"watch", "--wait", "--request-id", "build-7", "-o", "json"}, more...)
				return rig.Start(t, rig.Build(t, rig.Worker), login(site.nats.URL, team+"-person"), append(args, c.project+"/"+c.name)...)
			}
			shown := func(team string) func() error {
				return func() error {
					got := rig.CarryOut(t, login(site.nats.URL, team+"-person"), "get", "-o", "json", c.project+"/"+c.name)
					if !strings.Contains(got.Out, `"team":"`+team+`"`) {
						return errors.New(got.Out + got.Err)
					}
					return nil
				}
			}
			train := wait("train")
			rig.Eventually(t, rig.Patience, shown("train"))
			gpu := wait("gpu", c.gpu...)
			if c.cancels {
				rig.Eventually(t, rig.Patience, shown("gpu"))
				if got := rig.CarryOut(t, login(site.nats.URL, "gpu-person"), "cancel", c.project+"/"+c.name); got.Code != 0 {
					t.Errorf("cancel: %s", got.Err)
				}
			}
			if code := gpu.Ends(t); code != c.gpuEnds || strings.Contains(gpu.Text(), `"team":"train"`) {
				t.Errorf("gpu: exit code %d; want %d:\n%s", code, c.gpuEnds, gpu.Text())
			}
			rig.Eventually(t, rig.Patience, shown("train"))
			select {
			case <-train.Done:
				t.Errorf("train does not wait any more:\n%s", train.Text())
			default:
			}
			order(c.project, c.name, c.end)
			if code := train.Ends(t); code != c.trainEnds || !strings.Contains(train.Text(), `"outcome":"`+c.trainShows+`"`) || strings.Contains(train.Text(), `"team":"gpu"`) {
				t.Errorf("train: exit code %d; want %d:\n%s", code, c.trainEnds, train.Text())
			}
		})
	}
}
