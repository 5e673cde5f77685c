package faults_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// crashOrder is the order of every scene.
const crashOrder = "order.crash"

// A scene is one order, with streams, a cloud and a Slack of its own, on a server that others use.
type scene struct {
	nats      rig.NATS
	program   string
	prefix    string // of subjects and streams
	env       []string
	timing    string // the workers' FAULT_TIMING
	cloud     *emulator.Emulator
	slack     *slackemulator.Server
	modelArts string
	slackURL  string
	workers   []*rig.Process
	accepted  map[string]bool
	terms     map[string]string // more of a request's body, by its id
	again     string            // that other polls were made again than the crash explains
}

// ended is what has become of the scene's order.
var ended = emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{
	{ResourceName: "node-1", Status: "succeed"},
	{ResourceName: "node-2", Status: "failed", Message: "flavor sold out"},
}}

// running returns the same before anything has ended.
func running() emulator.Order {
	o := ended
	o.Items = slices.Clone(o.Items)
	for i := range o.Items {
		o.Items[i].EndAfter = emulator.Never
	}
	return o
}

func newScene(t *testing.T, n rig.NATS, program, prefix string, c crash) *scene {
	t.Helper()
	s := &scene{
		nats: n, program: program, prefix: prefix, accepted: make(map[string]bool),
		cloud: emulator.New(emulator.Options{Tokens: []string{modelArtsToken}}),
		slack: slackemulator.New(slackemulator.Options{}),
	}
	order := running()
	if c.over {
		order = ended
	}
	if c.hangs {
		order.Faults = []emulator.Fault{{ToPoll: 1, Hang: true}}
	}
	s.cloud.Add(rig.Project, crashOrder, order)
	s.slack.AddToken(slackToken, "chat:write", "channels:history")
	s.slack.AddChannel("C0ONCALL", slackemulator.Open)
	modelArts, slack := httptest.NewServer(s.cloud), httptest.NewServer(s.slack)
	t.Cleanup(modelArts.Close)
	t.Cleanup(slack.Close)
	s.modelArts, s.slackURL = modelArts.URL, slack.URL+"/api/"
	return s
}

// start starts a worker, with more of an environment, and waits until it is ready.
//
// Its polls are 2 s apart, so that a delivery which comes again after 3 s comes between two of them:
// what it sees to would otherwise be done a second time by chance.
func (s *scene) start(t *testing.T, more ...string) *rig.Process {
	t.Helper()
	env := rig.ServeEnv(s.nats.URL, s.modelArts, "127.0.0.1:0",
		"ORDERWATCH_SUBJECT_PREFIX="+s.prefix, "ORDERWATCH_STREAM_PREFIX="+s.prefix, "ORDERWATCH_SERVICE_PREFIX=service-"+s.prefix,
		"ORDERWATCH_SLACK_TOKEN="+slackToken, "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL="+s.slackURL,
		"ORDERWATCH_POLL_INITIAL=2s", "ORDERWATCH_POLL_MAX=2s", "ORDERWATCH_POLL_JITTER=0", "FAULT_TIMING="+s.timing)
	p := rig.Start(t, s.program, slices.Concat(env, s.env, more), "serve")
	s.workers = append(s.workers, p)
	rig.AwaitReady(t, healthAddr(t, p))
	return p
}

var healthAt = regexp.MustCompile(`health=http://(\S+)`)

// healthAddr returns the address on which a worker answers probes, as its log tells.
func healthAddr(t testing.TB, p *rig.Process) string {
	t.Helper()
	var addr string
	rig.Eventually(t, rig.Patience, func() error {
		at := healthAt.FindStringSubmatch(p.Text())
		if at == nil {
			return errors.New("the log does not tell the address of probes")
		}
		addr = at[1]
		return nil
	})
	return addr
}

// strike starts a worker that is to be struck, publishes two requests, one after the other, and
// lets their order be polled. It returns when the fault has struck, and when that was.
func (s *scene) strike(t *testing.T, c crash, action string) (*rig.Process, time.Time) {
	t.Helper()
	victim := s.start(t, "FAULT_POINT="+c.point, "FAULT_ACTION="+action)
	ctx := t.Context()
	if _, err := s.nats.JS.PauseConsumer(ctx, s.stream("WAKEUPS"), "poller", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("fault point %s: %s\n", strings.SplitN(c.point, ":", 2)[0], action)
	struck := func() bool { return strings.Contains(victim.Text(), line) }
	for _, id := range []string{"a", "b"} {
		s.publish(t, id)
		rig.Eventually(t, rig.Patience, func() error {
			if struck() {
				return nil
			}
			return s.named(t, id)
		})
	}
	if c.bad {
		if _, err := s.nats.JS.Publish(ctx, s.prefix+".watch", []byte(`{"order_name":7}`)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.nats.JS.ResumeConsumer(ctx, s.stream("WAKEUPS"), "poller"); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error {
		if !struck() {
			return errors.New("the fault has not struck")
		}
		return nil
	})
	return victim, time.Now()
}

// awaitStopped waits until the process has been stopped: it says so before.
func awaitStopped(t *testing.T, p *rig.Process) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Command.Process.Pid))
		if _, state, ok := strings.Cut(string(stat), ") "); err == nil && (!ok || state[0] != 'T') {
			return fmt.Errorf("the process is not stopped: %s", stat)
		}
		return nil // or there is no /proc
	})
}

// awaitPullsLapsed waits until the server hands no more requests to a worker that was stopped before: that one's
// pulls, which end after a second, have ended.
func awaitPullsLapsed(t *testing.T) {
	t.Helper()
	time.Sleep(pullExpiry + time.Second) // since the worker was stopped; a pull is made before that
}

func (s *scene) stream(name string) string { return s.prefix + "_" + name }

func (s *scene) publish(t *testing.T, id string) {
	t.Helper()
	body := fmt.Appendf(nil, `{"project_id":%q,"order_name":%q,"request_id":%q%s}`, rig.Project, crashOrder, id, s.terms[id])
	if _, err := s.nats.JS.Publish(t.Context(), s.prefix+".watch", body); err != nil {
		t.Fatal(err)
	}
	s.accepted[id] = true
}

// record returns the order's record and its revision.
func (s *scene) record(t *testing.T) (watcher.Watch, uint64, error) {
	bucket, err := s.nats.JS.Stream(t.Context(), "KV_"+s.stream("WATCHES"))
	if err != nil {
		return watcher.Watch{}, 0, err
	}
	m, err := bucket.GetLastMsgForSubject(t.Context(), "$KV."+s.stream("WATCHES")+"."+rig.Project+"."+crashOrder)
	if err != nil {
		return watcher.Watch{}, 0, err
	}
	w, err := watcher.DecodeWatch(m.Data)
	return w, m.Sequence, err
}

// named returns nil if the record names the requests.
func (s *scene) named(t *testing.T, ids ...string) error {
	w, _, err := s.record(t)
	if err != nil {
		return err
	}
	requests := slices.Clone(w.Requests)
	if w.Completion != nil {
		requests = append(requests, w.Completion.Requests...)
	}
	for _, id := range ids {
		if !slices.ContainsFunc(requests, func(r watcher.Request) bool { return r.ID == id }) && !slices.Contains(w.Earlier, id) {
			return fmt.Errorf("the record does not name %s", id)
		}
	}
	return nil
}

// awaitTakenUp waits until another worker has done what the struck one had in its hands, which it
// must within the limit. An order that was running ends then.
func (s *scene) awaitTakenUp(t *testing.T, c crash, at time.Time, limit time.Duration) {
	t.Helper()
	check := s.polledOn
	if c.over {
		check = s.completedAndTold
	}
	if c.over && !strings.HasPrefix(c.point, "slack.") {
		// The struck one may have been about to post, too: others leave that alone for 30 s.
		check = func(t *testing.T, _ time.Time) error { return s.acknowledged(t, "WAKEUPS", "poller") }
	}
	rig.Eventually(t, limit+20*time.Second, func() error { return check(t, at) })
	took := time.Since(at)
	t.Logf("taken up after %.2f s", took.Seconds())
	if took > limit {
		t.Errorf("taken up %s after the fault; want %s at the most", took, limit)
	}
	if !c.over {
		s.cloud.Add(rig.Project, crashOrder, ended)
	}
}

// polledOn returns nil if the order was polled since the fault, with all requests in its record,
// and no delivery waits to come again.
func (s *scene) polledOn(t *testing.T, at time.Time) error {
	if err := s.named(t, slices.Collect(maps.Keys(s.accepted))...); err != nil {
		return err
	}
	polled := func(c emulator.Call) bool { return c.Kind == emulator.ShowOrder && !c.Time.Before(at) }
	if !slices.ContainsFunc(s.cloud.Calls(), polled) {
		return errors.New("not polled since the fault")
	}
	if err := s.empty(t, "REQUESTS"); err != nil {
		return err
	}
	return s.acknowledged(t, "WAKEUPS", "poller")
}

// completedAndTold returns nil if the first watch's completion is published, people know it, and no
// delivery waits to come again.
func (s *scene) completedAndTold(t *testing.T, _ time.Time) error {
	events, err := s.nats.JS.Stream(t.Context(), s.stream("EVENTS"))
	if err != nil {
		return err
	}
	if _, err := events.GetLastMsgForSubject(t.Context(), s.prefix+".completed.>"); err != nil {
		return err
	}
	if len(s.messages()) == 0 {
		return errors.New("people were not told")
	}
	return errors.Join(s.acknowledged(t, "WAKEUPS", "poller"), s.acknowledged(t, "EVENTS", "slack"))
}

// messages returns those that people have got but for rejections.
func (s *scene) messages() []slackemulator.Message {
	return slices.DeleteFunc(s.slack.Messages("C0ONCALL"), func(m slackemulator.Message) bool {
		return strings.HasPrefix(m.Text, "A request was rejected")
	})
}

func (s *scene) empty(t *testing.T, stream string) error {
	found, err := s.nats.JS.Stream(t.Context(), s.stream(stream))
	if err != nil {
		return err
	}
	if n := found.CachedInfo().State.Msgs; n > 0 {
		return fmt.Errorf("%s holds %d messages", stream, n)
	}
	return nil
}

// acknowledged returns nil if no delivery of the consumer is open.
func (s *scene) acknowledged(t *testing.T, stream, consumer string) error {
	found, err := s.nats.JS.Consumer(t.Context(), s.stream(stream), consumer)
	if err != nil {
		return err
	}
	if n := found.CachedInfo().NumAckPending; n > 0 {
		return fmt.Errorf("%d deliveries of %s are open", n, consumer)
	}
	return nil
}

// awaitFinished waits until all requests are in an ended record and nothing is left to do.
func (s *scene) awaitFinished(t *testing.T) {
	t.Helper()
	// Others leave a message alone for 30 s that a worker was about to post when it died.
	rig.Eventually(t, rig.Patience, func() error {
		w, _, err := s.record(t)
		if err == nil && w.State != watcher.Ended {
			err = fmt.Errorf("the record is %s", w.State)
		}
		if err != nil {
			return err
		}
		return errors.Join(s.named(t, slices.Collect(maps.Keys(s.accepted))...),
			s.empty(t, "REQUESTS"), s.empty(t, "WAKEUPS"), eventstest.Settled(t.Context(), s.nats.JS, s.stream("EVENTS"), "slack"))
	})
}

// stands returns the record's revision and the last event's sequence.
func (s *scene) stands(t *testing.T) [2]uint64 {
	t.Helper()
	_, revision, err := s.record(t)
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.nats.JS.Stream(t.Context(), s.stream("EVENTS"))
	if err != nil {
		t.Fatal(err)
	}
	return [2]uint64{revision, events.CachedInfo().State.LastSeq}
}

// check holds what must have come of the fault.
func (s *scene) check(t *testing.T, c crash, action string) {
	t.Helper()
	h, rejected, toldOf := s.history(t)
	v := check(h)
	for _, violation := range v.violations {
		t.Error(violation)
	}
	if c.watches > 0 && v.completions != c.watches {
		t.Errorf("%d completions; want %d", v.completions, c.watches)
	}
	if want := c.repolled[action]; !want.has(v.repeated) {
		s.again = fmt.Sprintf("%d of %d polls were made again; want %d to %d", v.repeated, v.polls, want[0], want[1])
	}
	if len(rejected) > 0 != c.bad || len(rejected) > 2 {
		t.Errorf("%d rejected events", len(rejected))
	}
	if (toldOf == 1) != c.bad || toldOf > 1 {
		t.Errorf("people are told of %d rejections", toldOf)
	}
	for _, r := range rejected {
		if !bytes.Equal(identity(r), identity(rejected[0])) {
			t.Errorf("two rejections of one message:\n%s\n%s", r, rejected[0])
		}
	}
}

var eventTime = regexp.MustCompile(`"time":"[^"]*"`)

// identity returns an event without its time.
func identity(event []byte) []byte { return eventTime.ReplaceAll(event, nil) }

// history returns what went in and what came of it, under the subjects that the checker knows, and
// the rejections, and how many of them people are told of.
func (s *scene) history(t *testing.T) (h history, rejected [][]byte, toldOf int) {
	t.Helper()
	h = history{
		orders:    map[string]scripted{crashOrder: {script: ended, outcome: watcher.PartiallyFailed, counts: watcher.Counts{Total: 2, Succeeded: 1, Failed: 1}}},
		published: make(map[string]string), accepted: s.accepted, calls: s.cloud.Calls(),
		records: wholeStream(t, s.nats.JS, "KV_"+s.stream("WATCHES"), "$KV."+s.stream("WATCHES")+".*.>"),
		told:    newTold(), secrets: []string{modelArtsToken, slackToken}, faults: 1,
		left: make(map[string][]string),
	}
	h.told.add(s.messages())
	for _, name := range []string{"REQUESTS", "WAKEUPS"} {
		stream, err := s.nats.JS.Stream(t.Context(), s.stream(name))
		if err != nil {
			t.Fatal(err)
		}
		h.left["ORDER_"+name] = leftIn(t, stream)
	}
	for _, p := range s.workers {
		h.outputs = append(h.outputs, p.Text())
	}
	for id := range s.accepted {
		h.published[id] = crashOrder
	}
	for _, m := range wholeStream(t, s.nats.JS, s.stream("EVENTS"), s.prefix+".>") {
		if m.subject == s.prefix+".rejected" {
			rejected = append(rejected, m.body)
			continue
		}
		if strings.HasPrefix(m.subject, s.prefix+".attention.rejected.") {
			toldOf++
			continue
		}
		m.subject = "orders" + strings.TrimPrefix(m.subject, s.prefix)
		h.events = append(h.events, m)
	}
	return h, rejected, toldOf
}
