package main_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestLogins lets a worker log in, in each way there is, to an emulator that knows that login alone.
// Tokens and keys live for seconds: they are renewed while a watch is under way, and no poll fails for
// it. The API tells in its answers what it was sent, and nothing of that comes out.
func TestLogins(t *testing.T) {
	t.Parallel()
	permanent := emulator.Key{Access: "AKPLANTED00000000001", Secret: "planted-secret-key-1"}
	temporary := emulator.Key{Access: "AKPLANTED00000000002", Secret: "planted-secret-key-2", SecurityToken: "planted-security-token"}
	user := emulator.User{Name: "poller", Password: "planted-password-1", Domain: "our-company"}
	// A renewal comes a tenth of its life before a token's end, and half its life before a key's.
	const tokenLife, keyLife, end = 4 * time.Second, 8 * time.Second, 9 * time.Second
	tokenFile := filepath.Join(t.TempDir(), "token")
	writeToken := func(t *testing.T, token string) {
		t.Helper()
		next := tokenFile + ".next"
		if err := os.WriteFile(next, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, tokenFile); err != nil {
			t.Fatal(err)
		}
	}
	writeToken(t, "planted-file-token-1")
	const url, anyURL = "<url>", "<any url>" // in a variable, stand for the emulator's
	for _, tt := range []struct {
		name    string
		options emulator.Options
		env     []string
		secrets []string
		midway  func(*testing.T, *emulator.Emulator)           // happens while the watch is under way
		renewed func(e *emulator.Emulator, sent []string) bool // nil: there is nothing to renew
	}{
		{
			name:    "token file",
			options: emulator.Options{Tokens: []string{"planted-file-token-1", "planted-file-token-2"}},
			env:     []string{"ORDERWATCH_MODELARTS_TOKEN_FILE=" + tokenFile},
			secrets: []string{"planted-file-token-1", "planted-file-token-2"},
			midway:  func(t *testing.T, _ *emulator.Emulator) { writeToken(t, "planted-file-token-2") },
			renewed: func(_ *emulator.Emulator, sent []string) bool {
				return slices.Contains(sent, "planted-file-token-1") && slices.Contains(sent, "planted-file-token-2")
			},
		},
		{
			name:    "key",
			options: emulator.Options{Keys: []emulator.Key{permanent}},
			env:     []string{"ORDERWATCH_MODELARTS_ACCESS_KEY=" + permanent.Access, "ORDERWATCH_MODELARTS_SECRET_KEY=" + permanent.Secret},
			secrets: []string{permanent.Access, permanent.Secret},
		},
		{
			name:    "temporary key, from HW_ variables",
			options: emulator.Options{Keys: []emulator.Key{temporary}},
			env:     []string{"HW_ACCESS_KEY=" + temporary.Access, "HW_SECRET_KEY=" + temporary.Secret, "HW_SECURITY_TOKEN=" + temporary.SecurityToken},
			secrets: []string{temporary.Access, temporary.Secret, temporary.SecurityToken},
		},
		{
			name:    "password",
			options: emulator.Options{Users: []emulator.User{user}, TokenLife: tokenLife},
			env: []string{"ORDERWATCH_MODELARTS_USER=" + user.Name, "ORDERWATCH_MODELARTS_PASSWORD=" + user.Password,
				"ORDERWATCH_MODELARTS_DOMAIN=" + user.Domain, "ORDERWATCH_MODELARTS_IAM_ENDPOINT=" + url},
			secrets: []string{user.Password},
			midway:  func(_ *testing.T, e *emulator.Emulator) { e.RevokeTokens() },
			renewed: func(e *emulator.Emulator, _ []string) bool { return len(e.HandedOut()) >= 3 },
		},
		{
			// No proxy may be asked for the metadata service. 127.0.0.1 never has one; this address
			// would, and leads to the same place.
			name:    "agency",
			options: emulator.Options{Agency: emulator.WithToken, KeyLife: keyLife},
			env: []string{"ORDERWATCH_MODELARTS_ECS_AGENCY=true", "HTTP_PROXY=http://127.0.0.1:1",
				"ORDERWATCH_MODELARTS_METADATA_ENDPOINT=" + anyURL},
			renewed: func(e *emulator.Emulator, _ []string) bool { return len(e.HandedOut()) >= 2*4 },
		},
		{
			name:    "agency without tokens",
			options: emulator.Options{Agency: emulator.NoTokens, KeyLife: keyLife},
			env:     []string{"ORDERWATCH_MODELARTS_ECS_AGENCY=true", "ORDERWATCH_MODELARTS_METADATA_ENDPOINT=" + url},
			renewed: func(e *emulator.Emulator, _ []string) bool { return len(e.HandedOut()) >= 2*3 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cloud := emulator.New(tt.options)
			end := end
			if tt.renewed == nil {
				end = time.Second
			}
			cloud.Add(rig.Project, "order.pool-1", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{
				{ResourceName: "node-1", EndAfter: end, Status: "failed", Message: "you sent ECHO"},
				{ResourceName: "node-2"},
			}})
			echo := &echo{handler: cloud}
			modelArts := httptest.NewServer(echo)
			defer modelArts.Close()
			slack, shown := startSlack(t)
			nats := rig.StartNATS(t, "")
			addr := rig.FreeAddr(t)
			env := rig.ServeEnv(nats.URL, modelArts.URL, addr, "ORDERWATCH_MODELARTS_TIMEOUT=10s", "ORDERWATCH_POLL_MAX=500ms",
				"ORDERWATCH_SLACK_TOKEN=xoxb-planted-slack-secret", "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL="+slack+"/api/",
				"ORDERWATCH_LOG_LEVEL=debug", "ORDERWATCH_MODELARTS_TOKEN=")
			for _, variable := range tt.env {
				env = append(env, strings.NewReplacer(url, modelArts.URL, anyURL, strings.Replace(modelArts.URL, "127.0.0.1", "0.0.0.0", 1)).Replace(variable))
			}
			w := rig.Start(t, rig.Build(t, rig.Worker), env, "serve")
			rig.AwaitReady(t, addr)
			rig.Publish(t, nats.JS, fmt.Sprintf(`{"project_id":%q,"order_name":"order.pool-1"}`, rig.Project))
			rig.Eventually(t, rig.Patience, func() error {
				if cloud.Polls(rig.Project, "order.pool-1") < 2 {
					return fmt.Errorf("%d polls", cloud.Polls(rig.Project, "order.pool-1"))
				}
				return nil
			})
			if tt.midway != nil {
				tt.midway(t, cloud)
			}

			c := rig.AwaitCompletions(t, nats.JS, 1)[0]
			if c.Outcome != watcher.PartiallyFailed || c.Error != nil {
				t.Errorf("outcome %s, error %v", c.Outcome, c.Error)
			}
			if tt.renewed != nil && !tt.renewed(cloud, echo.all()) {
				t.Errorf("not renewed: handed out %q, sent %q", cloud.HandedOut(), echo.all())
			}
			rig.Eventually(t, rig.Patience, func() error {
				if !strings.Contains(shown.String(), "you sent") {
					return fmt.Errorf("Slack shows %q", shown)
				}
				return nil
			})
			w.Terminate(t)
			shown.add(t, nats.JS, w)
			for _, failure := range []string{"poll failed", "last_error", "account is held", "cannot be renewed"} {
				if strings.Contains(shown.String(), failure) {
					t.Errorf("%q came out", failure)
				}
			}
			shown.lacks(t, slices.Concat(tt.secrets, cloud.HandedOut(), echo.all()))
		})
	}
}

// TestRefusedLogins lets a worker log in wrongly: the service is not asked again and again, the watch
// says at its deadline what is wrong, and the wrong secrets do not come out either, though the services
// repeat them.
func TestRefusedLogins(t *testing.T) {
	t.Parallel()
	const password, access, secretKey = "planted-password-1", "AKPLANTED00000000001", "planted-secret-key-1"
	for _, tt := range []struct {
		name    string
		options emulator.Options
		fault   emulator.Fault // of IAM and the metadata service
		env     []string
		calls   func(*emulator.Emulator) int
		want    string // in the event's error
	}{
		{
			name:    "password",
			options: emulator.Options{Users: []emulator.User{{Name: "poller", Password: "another", Domain: "our-company"}}},
			fault:   emulator.Fault{Status: http.StatusUnauthorized, Shape: emulator.NestedInt, Message: "The username or password is wrong: " + password},
			env:     []string{"ORDERWATCH_MODELARTS_USER=poller", "ORDERWATCH_MODELARTS_PASSWORD=" + password, "ORDERWATCH_MODELARTS_DOMAIN=our-company"},
			calls:   (*emulator.Emulator).Logins,
			want:    "check user, password and domain",
		},
		{
			name:    "key",
			options: emulator.Options{Keys: []emulator.Key{{Access: access, Secret: "another"}}},
			env:     []string{"ORDERWATCH_MODELARTS_ACCESS_KEY=" + access, "ORDERWATCH_MODELARTS_SECRET_KEY=" + secretKey},
			calls:   func(e *emulator.Emulator) int { return len(e.Calls()) },
			want:    "check the access key",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cloud := emulator.New(tt.options)
			cloud.SetLoginFaults(tt.fault)
			echo := &echo{handler: cloud}
			modelArts := httptest.NewServer(echo)
			defer modelArts.Close()
			slack, shown := startSlack(t)
			nats := rig.StartNATS(t, "")
			addr := rig.FreeAddr(t)
			env := rig.ServeEnv(nats.URL, modelArts.URL, addr, "ORDERWATCH_MODELARTS_TIMEOUT=10s", "ORDERWATCH_MODELARTS_IAM_ENDPOINT="+modelArts.URL,
				"ORDERWATCH_SLACK_TOKEN=xoxb-planted-slack-secret", "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL="+slack+"/api/",
				"ORDERWATCH_LOG_LEVEL=debug", "ORDERWATCH_MODELARTS_TOKEN=")
			w := rig.Start(t, rig.Build(t, rig.Worker), append(env, tt.env...), "serve")
			rig.AwaitReady(t, addr)
			for n := range 5 {
				rig.Publish(t, nats.JS, fmt.Sprintf(`{"project_id":%q,"order_name":"order.pool-%d","timeout":"3s"}`, rig.Project, n))
			}
			for _, c := range rig.AwaitCompletions(t, nats.JS, 5) {
				if c.Outcome != watcher.TimedOut {
					t.Errorf("outcome %s, %s", c.Outcome, c.Reason)
				}
			}
			if n := tt.calls(cloud); n == 0 || n > 5 {
				t.Errorf("%d calls, want one for each watch at most", n)
			}
			w.Terminate(t)
			shown.add(t, nats.JS, w)
			if !strings.Contains(shown.String(), tt.want) {
				t.Errorf("%q is nowhere", tt.want)
			}
			shown.lacks(t, append(echo.all(), password, access, secretKey))
		})
	}
}

// An echo stands before an emulator: where an answer says ECHO, it puts what proved who asks.
type echo struct {
	handler http.Handler

	mu   sync.Mutex
	sent []string
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	e.handler.ServeHTTP(answer, r)
	var proofs []string
	for _, name := range []string{"X-Auth-Token", "X-Security-Token", "Authorization"} {
		if v := r.Header.Get(name); v != "" {
			proofs = append(proofs, v)
		}
	}
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		e.mu.Lock()
		e.sent = append(e.sent, proofs...)
		e.mu.Unlock()
	}
	h := answer.Header()
	h.Del("Content-Length")
	for name, values := range h {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	w.Write(bytes.ReplaceAll(answer.Body.Bytes(), []byte("ECHO"), []byte(strings.Join(proofs, " ")))) // an error is the client's
}

// all returns every proof that was sent.
func (e *echo) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sent)
}

// A screen is what people see.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// add adds what a worker logged and stored.
func (s *screen) add(t *testing.T, js jetstream.JetStream, w *rig.Process) {
	t.Helper()
	for _, stream := range []string{"ORDER_EVENTS", "KV_ORDER_WATCHES", "KV_ORDER_ACCOUNTS"} {
		rig.Stored(t, js, stream, ">", func(m jetstream.Msg) { fmt.Fprintf(s, "%s %s\n", m.Subject(), m.Data()) })
	}
	fmt.Fprintln(s, w.Text())
}

// lacks fails if one of the secrets is seen.
func (s *screen) lacks(t *testing.T, secrets []string) {
	t.Helper()
	text := s.String()
	for _, secret := range secrets {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("the secret %s came out: …%s…", secret, text[max(0, at-200):at+len(secret)])
		}
	}
}

// startSlack returns the URL of a Slack emulator and what is posted there.
func startSlack(t *testing.T) (string, *screen) {
	t.Helper()
	shown := new(screen)
	slack := slackemulator.New(slackemulator.Options{OnPost: func(m slackemulator.Message) {
		fmt.Fprintf(shown, "%s %s\n%s\n", m.Text, m.Blocks, slackemulator.Render(m))
	}})
	slack.AddToken("xoxb-planted-slack-secret", "chat:write")
	slack.AddChannel("C0ONCALL", slackemulator.Open)
	server := httptest.NewServer(slack)
	t.Cleanup(server.Close)
	return server.URL, shown
}
