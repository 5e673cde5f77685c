package faults_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// slackSpeed is by how much the durations of package notify are divided in tests with processes. The
// least that remains, between a worker's death and when others take its call for lost, is far longer
// than a busy machine keeps a process waiting.
const slackSpeed = 10

// slackRoom are the channels of a world; the first is the default.
var slackRoom = []string{"C0ONCALL", "C0TEAM", "C0OPS"}

// A slackWorld is real workers with a cloud and a Slack of their own, on a nats-server that other worlds
// use, too.
type slackWorld struct {
	nats    rig.NATS
	program string
	prefix  string // of subjects, streams and the service
	env     []string
	cloud   *emulator.Emulator
	slack   *slackemulator.Server
	history bool // the bot may read histories
	files   bool // the bot may upload files
	workers []*rig.Process
	dead    []*rig.Process
	kills   int
	door    *httptest.Server // where Slack is reached
}

// A worldSetting says how a world is made.
type worldSetting struct {
	workers  int
	slack    slackemulator.Options
	history  bool
	files    bool
	progress bool
	cloud    emulator.Options
	speed    int  // by which the durations are divided; 0: slackSpeed
	plain    bool // the program that is shipped, at its own speed
	log      bool // no Slack is configured: people are told in the log
	env      []string
}

func newSlackWorld(t testing.TB, n rig.NATS, prefix string, s worldSetting) *slackWorld {
	t.Helper()
	program, speed := rig.Build(t, rig.Worker), []string(nil)
	if s.slack.RateLimit = true; !s.plain {
		s.speed = cmp.Or(s.speed, slackSpeed)
		s.slack.PostEvery = time.Second / time.Duration(s.speed)
		program, speed = rig.Build(t, rig.Worker, "faults"), []string{fmt.Sprintf("FAULT_SPEED=%d", s.speed), `FAULT_TIMING={"AckWait": "3s"}`}
	}
	s.cloud.Tokens = []string{modelArtsToken}
	w := &slackWorld{
		nats: n, program: program, prefix: prefix, history: s.history, files: s.files,
		cloud: emulator.New(s.cloud), slack: slackemulator.New(s.slack),
	}
	scopes := []string{"chat:write"}
	if s.history {
		scopes = append(scopes, "channels:history")
	}
	if s.files {
		scopes = append(scopes, "files:write")
	}
	w.slack.AddToken(slackToken, scopes...)
	for _, channel := range slackRoom {
		w.slack.AddChannel(channel, slackemulator.Open)
	}
	modelArts := httptest.NewServer(w.cloud)
	t.Cleanup(modelArts.Close)
	w.openSlack(t, "127.0.0.1:0")
	t.Cleanup(func() { w.door.Close() })
	w.env = slices.Concat(rig.ServeEnv(n.URL, modelArts.URL, "127.0.0.1:0",
		"ORDERWATCH_SUBJECT_PREFIX="+prefix, "ORDERWATCH_STREAM_PREFIX="+prefix, "ORDERWATCH_SERVICE_PREFIX=service-"+prefix,
		"ORDERWATCH_MODELARTS_NOT_FOUND_GRACE=1s"), speed, s.env)
	if !s.log {
		w.env = append(w.env, "ORDERWATCH_SLACK_TOKEN="+slackToken, "ORDERWATCH_SLACK_API_URL="+w.door.URL+"/api/",
			"ORDERWATCH_SLACK_CHANNEL="+slackRoom[0], "ORDERWATCH_SLACK_CHANNELS_ALLOWED="+strings.Join(slackRoom, ","),
			"ORDERWATCH_SLACK_MENTION_ON_FAILURE=here", fmt.Sprintf("ORDERWATCH_SLACK_PROGRESS=%t", s.progress))
	}
	for range s.workers {
		w.workers = append(w.workers, rig.Start(t, w.program, w.env, "serve"))
	}
	for _, p := range w.workers {
		rig.AwaitReady(t, healthAddr(t, p))
	}
	return w
}

// openSlack lets Slack be reached at the address.
func (w *slackWorld) openSlack(t testing.TB, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	w.door = httptest.NewUnstartedServer(w.slack)
	w.door.Listener.Close()
	w.door.Listener = l
	w.door.Start()
}

// closeSlack lets nobody reach Slack, and returns where it was.
func (w *slackWorld) closeSlack() (addr string) {
	addr = w.door.Listener.Addr().String()
	w.door.CloseClientConnections()
	w.door.Close()
	return addr
}

// kill kills a worker and starts it again.
func (w *slackWorld) kill(t testing.TB, i int) {
	t.Helper()
	w.workers[i].Kill()
	w.dead = append(w.dead, w.workers[i])
	w.workers[i] = rig.Start(t, w.program, w.env, "serve")
	w.kills++
}

func (w *slackWorld) stream(name string) string { return w.prefix + "_" + name }

// ask publishes a request. The fields are those of the contract.
func (w *slackWorld) ask(ctx context.Context, fields map[string]any) error {
	fields["project_id"] = rig.Project
	_, err := w.nats.JS.Publish(ctx, w.prefix+".watch", encoded(fields))
	return err
}

// cancel cancels an order's watch, however often that takes while workers die.
func (w *slackWorld) cancel(ctx context.Context, order string) error {
	body := encoded(map[string]string{"project_id": rig.Project, "order_name": order, "by": "ann"})
	for {
		answer, err := w.nats.JS.Conn().Request("service-"+w.prefix+".cancel", body, time.Second)
		if err == nil {
			if code := answer.Header.Get("Nats-Service-Error-Code"); code == "" || code == "409" { // 409: it has ended
				return nil
			}
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("cancel %s: %w", order, cmp.Or(err, ctx.Err()))
		}
	}
}

// awaitTold waits until all requests led to completions, and people were told of them.
func (w *slackWorld) awaitTold(t testing.TB, limit time.Duration) {
	t.Helper()
	w.awaitEmpty(t, limit, "REQUESTS", "WAKEUPS")
	rig.Eventually(t, limit, func() error { return w.told(t) })
}

// awaitEmpty waits until the streams hold no message.
func (w *slackWorld) awaitEmpty(t testing.TB, limit time.Duration, streams ...string) {
	t.Helper()
	rig.Eventually(t, limit, func() error {
		for _, name := range streams {
			s, err := w.nats.JS.Stream(t.Context(), w.stream(name))
			if err != nil {
				return err
			}
			if n := s.CachedInfo().State.Msgs; n > 0 {
				return fmt.Errorf("%s holds %d messages", name, n)
			}
		}
		return nil
	})
}

// told returns nil if no event waits to be told.
func (w *slackWorld) told(t testing.TB) error {
	return eventstest.Settled(t.Context(), w.nats.JS, w.stream("EVENTS"), "slack")
}

// completions returns what the events say, oldest first.
func (w *slackWorld) completions(t testing.TB) (completions []watcher.Completion) {
	t.Helper()
	for _, m := range w.completionEvents(t) {
		completions = append(completions, m.Completion)
	}
	return completions
}

// A storedCompletion is a completion and when it was stored.
type storedCompletion struct {
	watcher.Completion
	at time.Time
}

func (w *slackWorld) completionEvents(t testing.TB) (completions []storedCompletion) {
	t.Helper()
	for _, m := range wholeStream(t, w.nats.JS, w.stream("EVENTS"), w.prefix+".completed.>") {
		var event struct{ Data watcher.Completion }
		if err := json.Unmarshal(m.body, &event); err != nil {
			t.Fatal(err)
		}
		completions = append(completions, storedCompletion{event.Data, m.at})
	}
	return completions
}

// outputs returns what the workers printed, the dead ones too.
func (w *slackWorld) outputs() []byte {
	var all bytes.Buffer
	for _, p := range slices.Concat(w.dead, w.workers) {
		all.WriteString(p.Text())
	}
	return all.Bytes()
}

// summary returns what people are to be told of a watch.
func (w *slackWorld) summary(c watcher.Completion) message.Message {
	return message.Summarize(c, message.Options{Mention: routes.Mention("here"), File: w.files, Secrets: message.HideSecrets(slackToken, modelArtsToken)})
}
