package faults_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/clinic"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// allScopes are those that deploy/slack-manifest.yaml asks for.
var allScopes = []string{"chat:write", "channels:read", "groups:read", "channels:history", "groups:history", "files:write"}

func without(scope string) []string {
	return slices.DeleteFunc(slices.Clone(allScopes), func(s string) bool { return s == scope })
}

// A slackFlaw is something that is wrong with Slack or with what workers know of it, and what people
// see of it.
type slackFlaw struct {
	name   string
	wrong  func(s *slackScene) // from the beginning
	midway func(s *slackScene) // after a message was taken
	env    func(s *slackScene) []string
	asks   string // more fields of the requests

	channel, class, code string   // of the metric, and of all else
	says                 []string // what the one line of the log says
	doctor               clinic.Finding
	exit                 int // of doctor

	mend    func(s *slackScene)
	restart func(s *slackScene) []string // the environment of another worker, where that mends it
}

// slackFlaws are what can be wrong. All but the last lines are from issue 6.
var slackFlaws = []slackFlaw{
	{
		name:  "wrong token",
		env:   func(*slackScene) []string { return []string{"ORDERWATCH_SLACK_TOKEN=xoxb-planted-wrong"} },
		class: "token", code: "invalid_auth",
		says:    []string{"slack takes no message, all wait until it does", "set ORDERWATCH_SLACK_TOKEN to the bot token (xoxb-…)", "restart the workers"},
		doctor:  clinic.Finding{Check: "slack.token", Level: "problem", Found: "Slack refuses it: invalid_auth", Do: "ORDERWATCH_SLACK_TOKEN"},
		exit:    1,
		restart: func(*slackScene) []string { return nil },
	}, {
		name:   "token revoked midway",
		midway: func(s *slackScene) { s.slack.RevokeToken(slackToken) },
		class:  "token", code: "token_revoked",
		says:   []string{"slack takes no message, all wait until it does", "set ORDERWATCH_SLACK_TOKEN to the bot token (xoxb-…)"},
		doctor: clinic.Finding{Check: "slack.token", Level: "problem", Found: "Slack refuses it: token_revoked", Do: "ORDERWATCH_SLACK_TOKEN"},
		exit:   1,
		restart: func(s *slackScene) []string {
			s.slack.AddToken("xoxb-planted-new", allScopes...)
			return []string{"ORDERWATCH_SLACK_TOKEN=xoxb-planted-new"}
		},
	}, {
		name:  "no scope to post",
		wrong: func(s *slackScene) { s.slack.AddToken(slackToken, without("chat:write")...) },
		class: "token", code: "missing_scope",
		says:   []string{"slack takes no message, all wait until it does", "needs the scope chat:write", "give the Slack app the bot scope chat:write and install it again"},
		doctor: clinic.Finding{Check: "slack.scope", About: "chat:write", Level: "problem", Found: "nothing can be posted", Do: "install it again"},
		exit:   1,
		mend:   func(s *slackScene) { s.slack.AddToken(slackToken, allScopes...) },
	}, {
		name:    "archived channel",
		wrong:   func(s *slackScene) { s.slack.AddChannel("C0ONCALL", slackemulator.Archived) },
		channel: "C0ONCALL", class: "channel", code: "is_archived",
		says:   []string{"slack refuses the channel", "unarchive the channel, or configure another"},
		doctor: clinic.Finding{Check: "slack.channel", About: "C0ONCALL", Level: "problem", Found: "is_archived", Do: "Unarchive the channel"},
		exit:   1,
		mend:   func(s *slackScene) { s.slack.AddChannel("C0ONCALL", slackemulator.Open) },
	}, {
		name:    "bot not a member, and then invited",
		wrong:   func(s *slackScene) { s.slack.AddChannel("C0ONCALL", slackemulator.NotMember) },
		channel: "C0ONCALL", class: "channel", code: "not_in_channel",
		says:   []string{"slack refuses the channel", "/invite the app into the channel"},
		doctor: clinic.Finding{Check: "slack.channel", About: "C0ONCALL", Level: "problem", Found: "not_in_channel", Do: "/invite the app into the channel"},
		exit:   1,
		mend:   func(s *slackScene) { s.slack.AddChannel("C0ONCALL", slackemulator.Open) },
	}, {
		name: "bot not a member, and may not look",
		wrong: func(s *slackScene) {
			s.slack.AddToken(slackToken, without("channels:read")...)
			s.slack.AddChannel("C0ONCALL", slackemulator.NotMember)
		},
		channel: "C0ONCALL", class: "channel", code: "not_in_channel",
		says:   []string{"slack refuses the channel", "/invite the app into the channel"},
		doctor: clinic.Finding{Check: "slack.channel", About: "C0ONCALL", Level: "note", Found: "cannot be seen: missing_scope, needs the scope channels:read"},
		mend:   func(s *slackScene) { s.slack.AddChannel("C0ONCALL", slackemulator.Open) },
	}, {
		name:    "unknown channel",
		env:     func(*slackScene) []string { return []string{"ORDERWATCH_SLACK_CHANNEL=C0LATER"} },
		channel: "C0LATER", class: "channel", code: "channel_not_found",
		says:   []string{"slack refuses the channel", "check the channel's ID", "/invite the app there"},
		doctor: clinic.Finding{Check: "slack.channel", About: "C0LATER", Level: "problem", Found: "channel_not_found", Do: "Check the channel's ID"},
		exit:   1,
		mend:   func(s *slackScene) { s.slack.AddChannel("C0LATER", slackemulator.Open) },
	}, {
		name:    "another channel of requests",
		wrong:   func(s *slackScene) { s.slack.AddChannel("C0TEAM", slackemulator.NotMember) },
		env:     func(*slackScene) []string { return []string{"ORDERWATCH_SLACK_CHANNELS_ALLOWED=C0TEAM"} },
		asks:    `,"slack_channel":"C0TEAM"`,
		channel: "C0TEAM", class: "channel", code: "not_in_channel",
		says:   []string{"slack refuses the channel", "/invite the app into the channel"},
		doctor: clinic.Finding{Check: "slack.channel", About: "C0TEAM", Level: "warning", Found: "not_in_channel", Do: "ORDERWATCH_SLACK_CHANNELS_ALLOWED"},
		mend:   func(s *slackScene) { s.slack.AddChannel("C0TEAM", slackemulator.Open) },
	}, {
		name:  "webhook that was deleted",
		env:   func(s *slackScene) []string { return s.webhook("/services/T0/B0/planted-gone") },
		class: "token", code: "no_service",
		says:   []string{"slack takes no message, all wait until it does", "make a new webhook and set ORDERWATCH_SLACK_WEBHOOK_URL"},
		doctor: clinic.Finding{Check: "assets.redelivered", Level: "note", About: "slack of S", Found: "3 of 3", Do: "/readyz"},
		restart: func(s *slackScene) []string {
			s.slack.AddWebhook("/services/T0/B0/planted-new", "C0ONCALL")
			return s.webhook("/services/T0/B0/planted-new")
		},
	}, {
		name: "webhook of an archived channel",
		wrong: func(s *slackScene) {
			s.slack.AddWebhook("/services/T0/B0/planted-hook", "C0ONCALL")
			s.slack.AddChannel("C0ONCALL", slackemulator.Archived)
		},
		env:     func(s *slackScene) []string { return s.webhook("/services/T0/B0/planted-hook") },
		channel: "webhook", class: "channel", code: "channel_is_archived",
		says:   []string{"slack refuses the channel", "unarchive the webhook's channel"},
		doctor: clinic.Finding{Check: "assets.redelivered", Level: "note", About: "slack of S", Found: "3 of 3", Do: "/readyz"},
		mend:   func(s *slackScene) { s.slack.AddChannel("C0ONCALL", slackemulator.Open) },
	},
}

// A slackScene is a worker and its Slack, with streams of their own.
type slackScene struct {
	t       *testing.T
	nats    rig.NATS
	prefix  string
	slack   *slackemulator.Server
	url     string // of the Slack
	env     []string
	worker  *rig.Process
	addr    string // of its probes
	channel string // where messages come to stand
}

// webhook returns what makes a worker post through the webhook alone.
func (s *slackScene) webhook(path string) []string {
	return []string{"ORDERWATCH_SLACK_TOKEN=", "ORDERWATCH_SLACK_CHANNEL=", "ORDERWATCH_SLACK_WEBHOOK_URL=" + s.url + path}
}

func newSlackScene(t *testing.T, n rig.NATS, prefix string) *slackScene {
	t.Helper()
	s := &slackScene{t: t, nats: n, prefix: prefix, slack: slackemulator.New(slackemulator.Options{}), channel: "C0ONCALL"}
	s.slack.AddToken(slackToken, allScopes...)
	s.slack.AddChannel("C0ONCALL", slackemulator.Open)
	cloud := emulator.New(emulator.Options{Tokens: []string{modelArtsToken}})
	for i := range 4 {
		cloud.Add(rig.Project, orderName(i), emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{{ResourceName: "node-1", Status: "succeed"}}})
	}
	modelArts, people := httptest.NewServer(cloud), httptest.NewServer(s.slack)
	t.Cleanup(modelArts.Close)
	t.Cleanup(people.Close)
	s.url = people.URL
	s.env = rig.ServeEnv(n.URL, modelArts.URL, "127.0.0.1:0",
		"ORDERWATCH_SUBJECT_PREFIX="+prefix, "ORDERWATCH_STREAM_PREFIX="+prefix, "ORDERWATCH_SERVICE_PREFIX=service-"+prefix,
		"ORDERWATCH_SLACK_TOKEN="+slackToken, "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL="+s.url+"/api/")
	return s
}

// start starts a worker with more of an environment: a minute lasts 1.5 s for its Slack.
func (s *slackScene) start(more ...string) {
	s.t.Helper()
	faults := []string{"FAULT_SPEED=40", `FAULT_TIMING={"CheckEvery":"300ms"}`}
	s.worker = rig.Start(s.t, rig.Build(s.t, rig.Worker, "faults"), slices.Concat(s.env, more, faults), "serve")
	s.addr = healthAddr(s.t, s.worker)
	rig.AwaitReady(s.t, s.addr)
}

// ask publishes requests for orders that have ended.
func (s *slackScene) ask(more string, orders ...int) {
	s.t.Helper()
	for _, i := range orders {
		body := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q%s}`, rig.Project, orderName(i), requestID(i), more)
		if _, err := s.nats.JS.Publish(s.t.Context(), s.prefix+".watch", []byte(body)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// awaitTold waits until Slack has one message for each of the orders, and nothing else.
func (s *slackScene) awaitTold(orders ...int) {
	s.t.Helper()
	rig.Eventually(s.t, time.Minute, func() error {
		var got []string
		for _, m := range s.slack.Messages(s.channel) {
			got = append(got, toldOrder.FindString(m.Text))
		}
		var want []string
		for _, i := range orders {
			want = append(want, orderName(i))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("slack has messages for %v; want %v", got, want)
		}
		return nil
	})
}

var toldOrder = regexp.MustCompile(`order\.[-a-z0-9]+`)

// ready returns what /readyz answers, which must be that the worker is ready.
func (s *slackScene) ready() string {
	s.t.Helper()
	answer, err := http.Get("http://" + s.addr + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		s.t.Errorf("/readyz answers %s %s %v: a worker that polls is ready, whatever Slack does", answer.Status, body, err)
	}
	return string(body)
}

// refused returns the seconds of the metric, by its labels.
func (s *slackScene) refused() map[string]float64 {
	s.t.Helper()
	found := make(map[string]float64)
	for name, value := range rig.MetricsOf(s.t, s.addr) {
		if labels, ok := strings.CutPrefix(name, "orderwatch_slack_refused_seconds"); ok {
			found[labels] = value
		}
	}
	return found
}

// errors returns the lines of the log that a person should look at.
func (s *slackScene) errors() (lines []string) {
	for line := range strings.Lines(s.worker.Text()) {
		if strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestSlackSettings holds what people see when Slack takes no messages: one line in the log that says
// what to do, a metric to alert on, a worker that is ready and says what is wrong, and the same from
// doctor; and that when it is mended every order is told, once.
func TestSlackSettings(t *testing.T) {
	t.Parallel()
	n := rig.StartNATS(t, "")
	for i, flaw := range slackFlaws {
		t.Run(flaw.name, func(t *testing.T) {
			t.Parallel()
			s := newSlackScene(t, n, fmt.Sprintf("S%d", i))
			if flaw.wrong != nil {
				flaw.wrong(s)
			}
			if flaw.env != nil {
				s.env = append(s.env, flaw.env(s)...)
			}
			if strings.HasPrefix(flaw.channel, "C0") {
				s.channel = flaw.channel
			}
			s.start()
			told := []int{1, 2, 3}
			if flaw.midway != nil {
				s.ask("", 0)
				s.awaitTold(0)
				flaw.midway(s)
				told = []int{0, 1, 2, 3}
			}
			s.ask(flaw.asks, 1, 2, 3)
			flaw.see(t, s)
			if flaw.mend != nil {
				flaw.mend(s)
			} else {
				if code, _ := s.worker.Terminate(t); code != 0 {
					t.Errorf("exit code %d", code)
				}
				s.env = append(s.env, "ORDERWATCH_SLACK_TOKEN="+slackToken)
				s.env = append(s.env, flaw.restart(s)...)
				s.start()
			}
			s.awaitTold(told...)
			s.wantCalm()
		})
	}
}

// see looks at all that people have, while the messages of three orders wait.
func (flaw slackFlaw) see(t *testing.T, s *slackScene) {
	t.Helper()
	labels := fmt.Sprintf(`{channel="%s",class="%s",code="%s"}`, flaw.channel, flaw.class, flaw.code)
	rig.Eventually(t, rig.Patience, func() error {
		m := rig.MetricsOf(t, s.addr)
		if put := m[`orderwatch_deliveries_total{action="put_back",consumer="slack"}`]; put < 3 {
			return fmt.Errorf("%g deliveries put back", put) // each was tried
		}
		if m["orderwatch_untold_events"] != 3 || m["orderwatch_untold_oldest_seconds"] <= 0 {
			return fmt.Errorf("%g events wait, the oldest for %g s", m["orderwatch_untold_events"], m["orderwatch_untold_oldest_seconds"])
		}
		if refused := s.refused(); len(refused) != 1 || refused[labels] <= 0 {
			return fmt.Errorf("refused are %v; want %s alone", refused, labels)
		}
		if n := m[fmt.Sprintf(`orderwatch_slack_errors_total{class="%s",code="%s"}`, flaw.class, flaw.code)]; n < 1 {
			return errors.New("no error is counted")
		}
		return nil
	})
	if ready := s.ready(); !strings.HasPrefix(ready, "ok\nslack takes no messages") || strings.Count(ready, "\n") != 2 || !strings.Contains(ready, ": "+flaw.code+"; ") {
		t.Errorf("/readyz says %q", ready)
	}
	lines := s.errors()
	if len(lines) != 1 {
		t.Fatalf("%d errors in the log; want one for all messages:\n%s", len(lines), strings.Join(lines, ""))
	}
	for _, want := range append(flaw.says, "code="+flaw.code, flaw.channel) {
		if !strings.Contains(lines[0], want) {
			t.Errorf("the log does not say %q: %s", want, lines[0])
		}
	}
	if flaw.doctor.Check == "assets.redelivered" {
		rig.Eventually(t, rig.Patience, s.redelivered)
	}
	code, out := clinic.Doctor(t, s.env, "-o", "json")
	if code != flaw.exit || !clinic.Has(clinic.Findings(t, out), flaw.doctor) {
		t.Errorf("doctor: exit code %d; want %d and %+v in\n%s", code, flaw.exit, flaw.doctor, out)
	}
	if all := s.worker.Text() + out; strings.Contains(all, "planted-") || strings.Contains(all, slackToken) {
		t.Error("the log or doctor shows a secret")
	}
}

// redelivered returns nil if all that waits was tried more than once.
func (s *slackScene) redelivered() error {
	consumer, err := s.nats.JS.Consumer(s.t.Context(), s.prefix+"_EVENTS", "slack")
	if err != nil {
		return err
	}
	if n := consumer.CachedInfo().NumRedelivered; n != 3 {
		return fmt.Errorf("%d events were delivered more than once", n)
	}
	return nil
}

// wantCalm waits until nothing is said of a trouble.
func (s *slackScene) wantCalm() {
	s.t.Helper()
	rig.Eventually(s.t, time.Minute, func() error {
		if refused := s.refused(); len(refused) > 0 {
			return fmt.Errorf("refused are %v", refused)
		}
		if ready := s.ready(); ready != "ok\n" {
			return fmt.Errorf("/readyz says %q", ready)
		}
		if m := rig.MetricsOf(s.t, s.addr); m["orderwatch_untold_events"] != 0 || m["orderwatch_untold_oldest_seconds"] != 0 {
			return fmt.Errorf("%g events wait", m["orderwatch_untold_events"])
		}
		return nil
	})
	kept := 0
	rig.Stored(s.t, s.nats.JS, s.prefix+"_EVENTS", s.prefix+".undelivered.>", func(jetstream.Msg) { kept++ })
	if kept > 0 {
		s.t.Errorf("%d messages were given up", kept)
	}
}

// TestSlackScopes holds what people see where Slack takes messages, but not all that belongs to them: a
// warning once, a finding of doctor, and nothing that wakes anybody.
func TestSlackScopes(t *testing.T) {
	t.Parallel()
	n := rig.StartNATS(t, "")
	for i, tt := range []struct {
		scope  string
		doctor clinic.Finding
	}{
		{"channels:history", clinic.Finding{Check: "slack.scope", Level: "warning", Found: "may be doubled", Do: "install it again"}},
		{"files:write", clinic.Finding{Check: "slack.scope", Level: "note", Found: "not attached as a file", Do: "install it again"}},
	} {
		t.Run(tt.scope, func(t *testing.T) {
			t.Parallel()
			s := newSlackScene(t, n, fmt.Sprintf("W%d", i))
			s.slack.AddToken(slackToken, without(tt.scope)...)
			s.start()
			s.ask("", 1, 2, 3)
			s.awaitTold(1, 2, 3)
			s.wantCalm()
			rig.Eventually(t, rig.Patience, func() error {
				if n := strings.Count(s.worker.Text(), "scopes="+tt.scope+" "); n != 1 {
					return fmt.Errorf("the log names the scope %d times", n)
				}
				return nil
			})
			if lines := s.errors(); len(lines) > 0 {
				t.Errorf("errors in the log: %v", lines)
			}
			code, out := clinic.Doctor(t, s.env, "-o", "json")
			tt.doctor.About = tt.scope
			if code != 0 || !clinic.Has(clinic.Findings(t, out), tt.doctor) {
				t.Errorf("doctor: exit code %d; want 0 and %+v in\n%s", code, tt.doctor, out)
			}
		})
	}
}

// TestSlackManifest holds that the app which deploy/ tells people to make has the scopes that the tests
// run with, and that SLACK.md says of each what it costs to leave it out.
func TestSlackManifest(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../deploy/slack-manifest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		OAuth struct {
			Scopes struct{ Bot []string }
		} `yaml:"oauth_config"`
		Settings map[string]bool
	}
	if err := yaml.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	got, want := slices.Sorted(slices.Values(manifest.OAuth.Scopes.Bot)), slices.Sorted(slices.Values(allScopes))
	if !slices.Equal(got, want) {
		t.Errorf("the manifest asks for %v; want %v", got, want)
	}
	if rotates, said := manifest.Settings["token_rotation_enabled"]; rotates || !said {
		t.Error("the token would expire")
	}
	readme, err := os.ReadFile("../../../deploy/SLACK.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "| scope | without it |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, scope := range want {
		if !strings.Contains(table, "`"+scope+"`") {
			t.Errorf("deploy/SLACK.md does not say what it costs to leave out %s", scope)
		}
	}
}
