// Package clinic runs orderwatch doctor in tests, and reads what it found. A [Clinic] is a healthy cloud
// and a healthy Slack, beside which a test breaks what doctor is to find.
package clinic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A Finding is what doctor -o json prints of one thing.
type Finding struct{ Check, About, Level, Found, Wanted, Do string }

// Doctor runs orderwatch doctor and returns its exit code and what it printed.
func Doctor(t *testing.T, env []string, args ...string) (code int, out string) {
	t.Helper()
	p := rig.Start(t, rig.Build(t, rig.Worker), env, append([]string{"doctor"}, args...)...)
	select {
	case <-p.Done:
	case <-time.After(rig.Patience):
		t.Fatal("doctor still runs")
	}
	return p.Command.ProcessState.ExitCode(), p.Text()
}

// Findings returns what doctor -o json found.
func Findings(t *testing.T, out string) (all []Finding) {
	t.Helper()
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		var f Finding
		if err := decoder.Decode(&f); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, f)
	}
	return all
}

// Has looks for a finding. Texts fit where they contain what is wanted.
func Has(all []Finding, want Finding) bool {
	return slices.ContainsFunc(all, func(f Finding) bool {
		return f.Check == want.Check && f.Level == want.Level && strings.Contains(f.About, want.About) &&
			strings.Contains(f.Found, want.Found) && strings.Contains(f.Wanted, want.Wanted) && strings.Contains(f.Do, want.Do)
	})
}

// Bad returns the findings that are problems or warnings, for messages of tests.
func Bad(all []Finding) string {
	var b strings.Builder
	for _, f := range all {
		if f.Level == "problem" || f.Level == "warning" {
			fmt.Fprintf(&b, "%+v\n", f)
		}
	}
	return b.String()
}

// A Clinic is what doctor looks at beside NATS.
type Clinic struct {
	Cloud     *emulator.Emulator
	Slack     *slackemulator.Server
	modelArts string
	people    string
}

// The secrets of a clinic.
const (
	SecretKey  = "planted-secret-key-0123"
	SlackToken = "xoxb-planted-7d1c0123"
)

// New starts an emulator of ModelArts and one of Slack, whose channel C0ONCALL takes messages.
func New(t *testing.T) Clinic {
	t.Helper()
	c := Clinic{
		Cloud: emulator.New(emulator.Options{Keys: []emulator.Key{{Access: "PLANTEDACCESS", Secret: SecretKey}}}),
		Slack: slackemulator.New(slackemulator.Options{}),
	}
	c.Slack.AddToken(SlackToken, "chat:write", "channels:read", "groups:read", "channels:history", "groups:history", "files:write")
	c.Slack.AddToken("xoxb-planted-reads", "channels:read")
	c.Slack.AddToken("xoxb-planted-posts", "chat:write")
	c.Slack.AddChannel("C0ONCALL", slackemulator.Open)
	c.Slack.AddChannel("C0OUT", slackemulator.NotMember)
	c.Slack.AddChannel("C0OLD", slackemulator.Archived)
	for handler, url := range map[http.Handler]*string{c.Cloud: &c.modelArts, c.Slack: &c.people} {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		*url = server.URL
	}
	return c
}

// Env is the environment of a worker that lacks nothing.
func (c Clinic) Env(natsURL string, more ...string) []string {
	return rig.ServeEnv(natsURL, c.modelArts, "127.0.0.1:0", append([]string{
		"ORDERWATCH_MODELARTS_TOKEN=", "ORDERWATCH_MODELARTS_ACCESS_KEY=PLANTEDACCESS", "ORDERWATCH_MODELARTS_SECRET_KEY=" + SecretKey,
		"ORDERWATCH_MODELARTS_PROJECT_ID=" + rig.Project,
		"ORDERWATCH_SLACK_TOKEN=" + SlackToken, "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL=" + c.people + "/api/",
	}, more...)...)
}

// Provision lets a worker create what it needs, and ends it.
func Provision(t *testing.T, env []string) {
	t.Helper()
	addr := rig.FreeAddr(t)
	w := rig.Start(t, rig.Build(t, rig.Worker), append(env, "ORDERWATCH_HTTP_ADDR="+addr), "serve")
	rig.AwaitReady(t, addr)
	if code, _ := w.Terminate(t); code != 0 {
		t.Fatalf("the worker exits with %d", code)
	}
}
