package login_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

var user = emulator.User{Name: "poller", Password: "planted-password-1", Domain: "our-company"}

// A sharedClock is set by the test and read by many.
type sharedClock struct {
	mu  sync.Mutex
	now time.Time
}

func newSharedClock() *sharedClock {
	return &sharedClock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (c *sharedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *sharedClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A logbook keeps what was logged.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// newPassword returns the login of the user at the server.
func newPassword(t *testing.T, server *httptest.Server, change func(*login.PasswordConfig), log ...*slog.Logger) *login.Password {
	t.Helper()
	c := login.PasswordConfig{User: user.Name, Password: user.Password, Domain: user.Domain, Endpoint: server.URL, Regions: []string{region}}
	if change != nil {
		change(&c)
	}
	p, err := login.NewPassword(append(log, quiet)[0], c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newAgency returns the login of a machine with the server's metadata service.
func newAgency(t *testing.T, server *httptest.Server, now func() time.Time, log ...*slog.Logger) *login.Agency {
	t.Helper()
	a, err := login.NewAgency(append(log, quiet)[0], login.AgencyConfig{Endpoint: server.URL, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T, k emulator.Key, now func() time.Time) *login.AccessKey {
	t.Helper()
	key, err := login.NewAccessKey(k.Access, k.Secret, k.SecurityToken, now)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newLoginClient returns a client of the server with this login and clock.
func newLoginClient(t *testing.T, server *httptest.Server, login login.Credential, k *sharedClock) *modelarts.Client {
	t.Helper()
	c := config(t, server)
	c.Credential, c.Now, c.Timeout = login, k.Now, 10*time.Second
	return newClient(t, c)
}

func show(t *testing.T, c *modelarts.Client) error {
	t.Helper()
	_, err := c.Show(t.Context(), region, order("order.empty-1"))
	return err
}

// pollError fails unless the error is of the class.
func pollError(t *testing.T, err error, class watcher.Class) *watcher.PollError {
	t.Helper()
	e, ok := errors.AsType[*watcher.PollError](err)
	if !ok || e.Class != class {
		t.Fatalf("got %v, want class %s", err, class)
	}
	return e
}

// The published example of a signature, and one that was compared with the cloud's own kit.
func TestSignature(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		access, secret, date, url, contentType, project string
		signed, signature                               string
	}{
		{
			"QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc", "20191115T033655Z",
			"https://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
			"application/json", "",
			"content-type;host;x-sdk-date", "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
		},
		{
			"AKEXAMPLE", "SKEXAMPLE", "20260101T000000Z",
			"https://modelarts.cn-north-4.myhuaweicloud.com/v1/6f5da086876d4cd084d36f8bd3346036/orders/order.pool-5ed5-w4l2n",
			"", project,
			"host;x-project-id;x-sdk-date", "183970830fd2b28f91d56b5b4606bbad58b400d700fc5dc94b5c32c1821eed11",
		},
	} {
		key, err := login.NewAccessKey(tt.access, tt.secret, "", func() time.Time {
			date, err := time.Parse("20060102T150405Z", tt.date)
			if err != nil {
				t.Fatal(err)
			}
			return date.In(time.FixedZone("east", 8*3600))
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, tt.url, nil)
		if tt.contentType != "" {
			r.Header.Set("Content-Type", tt.contentType)
		}
		if err := key.Authorize(r, region, tt.project); err != nil {
			t.Fatal(err)
		}
		want := "SDK-HMAC-SHA256 Access=" + tt.access + ", SignedHeaders=" + tt.signed + ", Signature=" + tt.signature
		if got := r.Header.Get("Authorization"); got != want || r.Header.Get("X-Sdk-Date") != tt.date || r.Header.Get("X-Project-Id") != tt.project {
			t.Errorf("got\n%s\nwant\n%s\nin %v", got, want, r.Header)
		}
	}
}

// Each login asks an emulator that knows that login alone, on a machine whose clock is years off:
// only the clock that is given counts.
func TestLogins(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	permanent := emulator.Key{Access: "AKPERMANENT000000001", Secret: "planted-permanent-secret"}
	temporary := emulator.Key{Access: "AKTEMPORARY000000001", Secret: "planted-temporary-secret", SecurityToken: "planted-security-token"}
	for _, tt := range []struct {
		name    string
		options emulator.Options
		login   func(*testing.T, *httptest.Server) login.Credential
	}{
		{"token", emulator.Options{Tokens: []string{secret}}, func(t *testing.T, s *httptest.Server) login.Credential {
			return config(t, s).Credential
		}},
		{"token file", emulator.Options{Tokens: []string{secret}}, func(t *testing.T, s *httptest.Server) login.Credential {
			f, err := login.NewTokenFile(quiet, tokenFile(t, secret+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			return f
		}},
		{"key", emulator.Options{Keys: []emulator.Key{permanent}}, func(t *testing.T, s *httptest.Server) login.Credential {
			return newKey(t, permanent, k.Now)
		}},
		{"temporary key", emulator.Options{Keys: []emulator.Key{temporary}}, func(t *testing.T, s *httptest.Server) login.Credential {
			return newKey(t, temporary, k.Now)
		}},
		{"password", emulator.Options{Users: []emulator.User{user}}, func(t *testing.T, s *httptest.Server) login.Credential {
			return newPassword(t, s, func(c *login.PasswordConfig) { c.Now = k.Now })
		}},
		{"agency", emulator.Options{Agency: emulator.WithToken}, func(t *testing.T, s *httptest.Server) login.Credential {
			return newAgency(t, s, k.Now)
		}},
		{"agency without tokens", emulator.Options{Agency: emulator.NoTokens}, func(t *testing.T, s *httptest.Server) login.Credential {
			return newAgency(t, s, k.Now)
		}},
		{"agency whose tokens are gone", emulator.Options{Agency: emulator.TokensGone}, func(t *testing.T, s *httptest.Server) login.Credential {
			return newAgency(t, s, k.Now)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.AutoOrders, tt.options.Now = true, k.Now
			server := serve(t, emulator.New(tt.options))
			login := tt.login(t, server)
			client := newLoginClient(t, server, login, k)
			for _, name := range []string{"order.empty-1", "order.empty-a=b_c"} {
				if _, err := client.Show(t.Context(), region, order(name)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if again := tt.login(t, server).Login(); again != login.Login() || strings.Trim(again, "0123456789abcdef") != "" || len(again) != 12 {
				t.Errorf("logins %q and %q", login.Login(), again)
			}
		})
	}
}

// Who logs in as somebody else has another name; who has a new token or key secret has not.
func TestLoginNames(t *testing.T) {
	t.Parallel()
	server := serve(t, http.NotFoundHandler())
	other, err := login.NewToken("another-token")
	if err != nil {
		t.Fatal(err)
	}
	same := [][]login.Credential{
		{config(t, server).Credential, other},
		{newKey(t, emulator.Key{Access: "AK1", Secret: "a"}, nil), newKey(t, emulator.Key{Access: "AK1", Secret: "b"}, nil)},
		{newKey(t, emulator.Key{Access: "AK2", Secret: "a"}, nil)},
		{newPassword(t, server, nil), newPassword(t, server, func(c *login.PasswordConfig) { c.Password = "new" })},
		{newPassword(t, server, func(c *login.PasswordConfig) { c.User = "other" })},
		{newPassword(t, server, func(c *login.PasswordConfig) { c.Domain = "other" })},
		{newAgency(t, server, nil), newAgency(t, server, nil)},
	}
	names := make(map[string]bool)
	for _, logins := range same {
		if names[logins[0].Login()] {
			t.Errorf("%T has the name of another", logins[0])
		}
		names[logins[0].Login()] = true
		for _, login := range logins {
			if login.Login() != logins[0].Login() {
				t.Errorf("%T: two names", login)
			}
		}
	}
}

// A clock that is off is refused as such; a wrong key is, too, and is locked after more than five calls.
func TestSignatureRefused(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	good := emulator.Key{Access: "AKPERMANENT000000001", Secret: "planted-permanent-secret"}
	server := serve(t, emulator.New(emulator.Options{Keys: []emulator.Key{good}, AutoOrders: true, Now: k.Now}))
	late := newLoginClient(t, server, newKey(t, good, func() time.Time { return k.Now().Add(-16 * time.Minute) }), k)
	if e := pollError(t, show(t, late), watcher.Credentials); !strings.Contains(e.Message, "signature expired") {
		t.Errorf("got %v", e)
	}
	client := newLoginClient(t, server, newKey(t, good, k.Now), k)
	if err := show(t, client); err != nil {
		t.Fatal(err)
	}
	bad := good
	bad.Secret = "another-planted-secret"
	wrong := newLoginClient(t, server, newKey(t, bad, k.Now), k)
	for n := range 6 {
		e := pollError(t, show(t, wrong), watcher.Credentials)
		if want := n == 5; strings.Contains(e.Message, "reach the limit") != want {
			t.Errorf("call %d: got %v", n+1, e)
		}
		if strings.Contains(e.Message, bad.Secret) || strings.Contains(e.Message, bad.Access) {
			t.Errorf("%v shows the key", e)
		}
	}
	pollError(t, show(t, client), watcher.Credentials) // locked, whoever signs
	k.advance(5 * time.Minute)
	if err := show(t, client); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

// Many polls of several projects need one login for each project, and one more when the time comes,
// before the tokens end; no poll fails.
func TestPasswordRenews(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	e := emulator.New(emulator.Options{Users: []emulator.User{user}, AutoOrders: true, Now: k.Now})
	server := serve(t, e)
	client := newLoginClient(t, server, newPassword(t, server, func(c *login.PasswordConfig) { c.Now = k.Now }), k)
	const projects = 4
	for round, tt := range []struct {
		after  time.Duration
		logins int
	}{
		{0, projects},
		{22 * time.Hour, projects},                 // 2 h are left
		{time.Hour + time.Minute, 2 * projects},    // under an hour
		{24*time.Hour + time.Minute, 3 * projects}, // they have ended
	} {
		k.advance(tt.after)
		var polls sync.WaitGroup
		for n := range 40 {
			polls.Go(func() {
				o := watcher.Order{ProjectID: fmt.Sprintf("project-%d", n%projects), Name: "order.empty-1"}
				if _, err := client.Show(t.Context(), region, o); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		polls.Wait()
		if got := e.Logins(); got != tt.logins {
			t.Errorf("round %d: %d logins, want %d", round, got, tt.logins)
		}
	}
}

// A token that is dead before its time costs one login and no poll.
func TestPasswordDeadToken(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	e := emulator.New(emulator.Options{Users: []emulator.User{user}, AutoOrders: true, Now: k.Now})
	server := serve(t, e)
	client := newLoginClient(t, server, newPassword(t, server, func(c *login.PasswordConfig) { c.Now = k.Now }), k)
	if err := show(t, client); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		e.RevokeTokens()
		var polls sync.WaitGroup
		for range 20 {
			polls.Go(func() {
				if err := show(t, client); err != nil {
					t.Error(err)
				}
			})
		}
		polls.Wait()
		if got, want := e.Logins(), 2+round; got != want {
			t.Errorf("%d logins, want %d", got, want)
		}
		k.advance(time.Minute)
	}
	// Where new tokens do not help there is no storm of logins.
	e.SetFaults(emulator.Fault{Status: http.StatusUnauthorized, Code: "APIGW.0307", Message: "The token must be updated."})
	for range 10 {
		pollError(t, show(t, client), watcher.Credentials)
	}
	if got := e.Logins(); got != 4 {
		t.Errorf("%d logins, want one more", got)
	}
}

// A wrong password is tried once in five minutes, however many projects and polls there are.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	e := emulator.New(emulator.Options{Users: []emulator.User{user}, AutoOrders: true, Now: k.Now})
	e.SetPassword(user.Domain, user.Name, "changed-meanwhile")
	server := serve(t, e)
	client := newLoginClient(t, server, newPassword(t, server, func(c *login.PasswordConfig) { c.Now = k.Now }), k)
	pollAll := func(want watcher.Class) {
		var polls sync.WaitGroup
		for n := range 30 {
			polls.Go(func() {
				_, err := client.Show(t.Context(), region, watcher.Order{ProjectID: fmt.Sprintf("project-%d", n%10), Name: "order.empty-1"})
				p, ok := errors.AsType[*watcher.PollError](err)
				switch {
				case want == "" && err == nil:
				case !ok || p.Class != want || p.RetryAfter <= 0 || p.RetryAfter > 5*time.Minute || !strings.Contains(p.Message, "username or password is wrong"):
					t.Errorf("got %v", err)
				case strings.Contains(err.Error(), user.Password):
					t.Errorf("%v shows the password", err)
				}
			})
		}
		polls.Wait()
	}
	pollAll(watcher.Credentials)
	k.advance(5*time.Minute - time.Second)
	pollAll(watcher.Credentials)
	if got := e.Logins(); got != 1 {
		t.Errorf("%d logins, want 1", got)
	}
	k.advance(time.Second)
	pollAll(watcher.Credentials)
	if got := e.Logins(); got != 2 {
		t.Errorf("%d logins, want 2", got)
	}
	e.SetPassword(user.Domain, user.Name, user.Password)
	k.advance(5 * time.Minute)
	pollAll("")
}

// A login that fails is not tried again at once, however many polls there are; and one that is
// refused for a project does not keep the other projects waiting.
func TestLoginPauses(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	one := user
	one.Projects = []string{project}
	e := emulator.New(emulator.Options{Users: []emulator.User{one}, AutoOrders: true, Now: k.Now})
	server := serve(t, e)
	client := newLoginClient(t, server, newPassword(t, server, func(c *login.PasswordConfig) { c.Now = k.Now }), k)
	logins := 0
	poll := func(project string, class watcher.Class, more int) {
		t.Helper()
		var polls sync.WaitGroup
		for range 20 {
			polls.Go(func() {
				_, err := client.Show(t.Context(), region, watcher.Order{ProjectID: project, Name: "order.empty-1"})
				if p, ok := errors.AsType[*watcher.PollError](err); class == "" && err != nil || class != "" && (!ok || p.Class != class) {
					t.Errorf("got %v, want class %q", err, class)
				}
			})
		}
		polls.Wait()
		if logins += more; e.Logins() != logins {
			t.Errorf("%d logins, want %d", e.Logins(), logins)
		}
	}
	e.SetLoginFaults(emulator.Fault{Status: http.StatusServiceUnavailable, Shape: emulator.HTML})
	poll(project, watcher.MayPass, 1)
	k.advance(time.Second)
	poll(project, watcher.MayPass, 1)
	e.SetLoginFaults(emulator.Fault{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "60"}})
	k.advance(time.Second)
	poll(project, watcher.MayPass, 1)
	e.SetLoginFaults()
	k.advance(59 * time.Second)
	poll(project, watcher.MayPass, 0)
	k.advance(time.Second)
	poll(project, "", 1)
	poll("another-project", watcher.Forbidden, 1)
	poll(project, "", 0)
	k.advance(59 * time.Second)
	poll("another-project", watcher.Forbidden, 0)
	k.advance(time.Second)
	poll("another-project", watcher.Forbidden, 1)
}

// Tokens of projects that nobody asks for any more are forgotten.
func TestPasswordForgets(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	e := emulator.New(emulator.Options{Users: []emulator.User{user}, AutoOrders: true, Now: k.Now})
	server := serve(t, e)
	login := newPassword(t, server, func(c *login.PasswordConfig) { c.Now = k.Now })
	authorize := func(project string) {
		if err := login.Authorize(httptest.NewRequest(http.MethodGet, "/", nil), region, project); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 1000 {
		authorize(fmt.Sprintf("project-%d", n))
	}
	k.advance(25 * time.Hour)
	authorize("project-1")
	authorize("another")
	if n := login.Projects(); n != 2 {
		t.Errorf("%d projects are kept, want 2", n)
	}
}

// What IAM answers decides what a failed login means.
func TestIAMErrors(t *testing.T) {
	t.Parallel()
	const minutes = time.Minute
	for _, tt := range []struct {
		fault emulator.Fault
		class watcher.Class
		want  string
		wait  time.Duration
	}{
		{emulator.Fault{Status: 401, Shape: emulator.NestedInt, Message: "The username or password is wrong."}, watcher.Credentials, "check user, password and domain", 5 * minutes},
		{emulator.Fault{Status: 401, Shape: emulator.NestedInt, Message: "The account is locked."}, watcher.Credentials, "locked", 15 * minutes},
		{emulator.Fault{Status: 401, Shape: emulator.HTML}, watcher.Credentials, "web page", 5 * minutes},
		{emulator.Fault{Status: 401, Shape: emulator.NestedInt, Message: "The user has no role in the project."}, watcher.Forbidden, "no role", 0},
		{emulator.Fault{Status: 403, Shape: emulator.NestedInt, Message: "You are not authorized"}, watcher.Forbidden, "not authorized", 0},
		{emulator.Fault{Status: 404, Shape: emulator.NestedInt, Message: "Could not find project: x"}, watcher.Forbidden, "Could not find project", 0},
		{emulator.Fault{Status: 400, Shape: emulator.NestedInt, Message: "bad"}, watcher.Forbidden, "check the project", 0},
		{emulator.Fault{Status: 404, Shape: emulator.HTML}, watcher.MayPass, "check the IAM endpoint", 0},
		{emulator.Fault{Status: 200, Shape: emulator.HTML}, watcher.MayPass, "check the IAM endpoint", 0},
		{emulator.Fault{Status: 302, Shape: emulator.Empty}, watcher.MayPass, "check the IAM endpoint", 0},
		{emulator.Fault{Status: 201, Body: `{}`}, watcher.MayPass, "without a token", 0},
		{emulator.Fault{Status: 201, Body: `{}`, Header: map[string]string{"X-Subject-Token": "a b"}}, watcher.MayPass, "without a token", 0},
		{emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}}, watcher.MayPass, "429", 7 * time.Second},
		{emulator.Fault{Status: 500, Shape: emulator.NestedInt, Message: "An unexpected error"}, watcher.MayPass, "An unexpected error", 0},
		{emulator.Fault{Status: 503, Shape: emulator.HTML}, watcher.MayPass, "503", 0},
		{emulator.Fault{Status: 503, Body: user.Password}, watcher.MayPass, "[redacted]", 0},
		{emulator.Fault{Cut: true}, watcher.MayPass, "EOF", 0},
		{emulator.Fault{Header: map[string]string{"X-Long": strings.Repeat("x", 100_000)}}, watcher.MayPass, "exceeded 65536 bytes", 0},
		{emulator.Fault{Hang: true}, watcher.MayPass, "no whole answer within", 0},
	} {
		e := emulator.New(emulator.Options{Users: []emulator.User{user}, AutoOrders: true})
		e.SetLoginFaults(tt.fault)
		server := serve(t, e)
		c := config(t, server)
		c.Credential, c.Timeout = newPassword(t, server, nil), 10*time.Second
		if tt.fault.Hang {
			c.Timeout = 200 * time.Millisecond
		}
		err := show(t, newClient(t, c))
		p := pollError(t, err, tt.class)
		if !strings.HasPrefix(p.Message, "log in: ") || !strings.Contains(p.Message, tt.want) || p.RetryAfter != tt.wait && p.Class != watcher.Forbidden || strings.Contains(p.Message, user.Password) {
			t.Errorf("%+v: got %v, wait %v; want %q, %v", tt.fault, err, p.RetryAfter, tt.want, tt.wait)
		}
	}
	// A token whose end is not said is a token.
	e := emulator.New(emulator.Options{AutoOrders: true})
	e.SetLoginFaults(emulator.Fault{Status: 201, Body: `{"token":{"expires_at":"soon"}}`, Header: map[string]string{"X-Subject-Token": secret}})
	server := serve(t, e)
	client := newLoginClient(t, server, newPassword(t, server, nil), newSharedClock())
	for range 3 {
		if err := show(t, client); err != nil {
			t.Error(err)
		}
	}
	if got := e.Logins(); got != 1 {
		t.Errorf("%d logins, want 1", got)
	}
}

// While a login cannot be renewed the old proof serves until its end, people are told once, and the
// service is asked again only now and then.
func TestRenewalFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		life  time.Duration
		early time.Duration
		calls func(*emulator.Emulator) int
		login func(*testing.T, *httptest.Server, *sharedClock, *slog.Logger) login.Credential
	}{
		{"password", 24 * time.Hour, time.Hour, (*emulator.Emulator).Logins, func(t *testing.T, s *httptest.Server, k *sharedClock, l *slog.Logger) login.Credential {
			return newPassword(t, s, func(c *login.PasswordConfig) { c.Now = k.Now }, l)
		}},
		{"agency", time.Hour, 10 * time.Minute, (*emulator.Emulator).MetadataCalls, func(t *testing.T, s *httptest.Server, k *sharedClock, l *slog.Logger) login.Credential {
			return newAgency(t, s, k.Now, l)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k, log := newSharedClock(), new(logbook)
			e := emulator.New(emulator.Options{Users: []emulator.User{user}, Agency: emulator.WithToken, AutoOrders: true, Now: k.Now})
			server := serve(t, e)
			c := config(t, server)
			c.Credential, c.Now, c.Timeout = tt.login(t, server, k, log.logger()), k.Now, 6*time.Second
			client := newClient(t, c)
			if err := show(t, client); err != nil {
				t.Fatal(err)
			}
			k.advance(tt.life - tt.early + time.Second)
			for _, fault := range []emulator.Fault{{Status: 503, Shape: emulator.HTML}, {Hang: true}, {Cut: true}} {
				e.SetLoginFaults(fault)
				before := tt.calls(e)
				for range 3 {
					if err := show(t, client); err != nil {
						t.Errorf("%+v: %v", fault, err)
					}
				}
				if got := tt.calls(e) - before; got != 1 {
					t.Errorf("%+v: asked %d times, want once", fault, got)
				}
				k.advance(time.Minute)
			}
			if n := strings.Count(log.String(), "cannot be renewed"); n != 1 {
				t.Errorf("told %d times:\n%s", n, log)
			}
			k.advance(tt.early)
			pollError(t, show(t, client), watcher.MayPass)
			e.SetLoginFaults()
			k.advance(time.Minute)
			if err := show(t, client); err != nil {
				t.Errorf("after the fault: %v", err)
			}
			for _, s := range append(e.HandedOut(), user.Password) {
				if strings.Contains(log.String(), s) {
					t.Errorf("the log shows %s", s)
				}
			}
		})
	}
}

// The key of the machine is asked for once, however many polls there are, and again ten minutes
// before its end, when the service has replaced it.
func TestAgencyRenews(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	e := emulator.New(emulator.Options{Agency: emulator.WithToken, AutoOrders: true, Now: k.Now})
	server := serve(t, e)
	client := newLoginClient(t, server, newAgency(t, server, k.Now), k)
	for round, tt := range []struct {
		after time.Duration
		calls int
	}{{0, 1}, {49 * time.Minute, 1}, {time.Minute, 2}, {49 * time.Minute, 2}, {time.Hour, 3}} {
		k.advance(tt.after)
		var polls sync.WaitGroup
		for range 30 {
			polls.Go(func() {
				if err := show(t, client); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		polls.Wait()
		if got := e.MetadataCalls(); got != tt.calls {
			t.Errorf("round %d: asked %d times, want %d", round, got, tt.calls)
		}
	}
}

// A key that the API does not know is asked for anew, within the same poll.
func TestAgencyLostKey(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	old := emulator.New(emulator.Options{Agency: emulator.WithToken, AutoOrders: true, Now: k.Now})
	e := emulator.New(emulator.Options{Agency: emulator.WithToken, AutoOrders: true, Now: k.Now})
	var moved atomic.Bool
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if moved.Load() {
			e.ServeHTTP(w, r)
		} else {
			old.ServeHTTP(w, r)
		}
	}))
	client := newLoginClient(t, server, newAgency(t, server, k.Now), k)
	if err := show(t, client); err != nil {
		t.Fatal(err)
	}
	moved.Store(true)
	if err := show(t, client); err != nil {
		t.Error(err)
	}
	if got := e.MetadataCalls(); got != 1 {
		t.Errorf("asked %d times, want once", got)
	}
}

func TestAgencyErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		agency emulator.Agency
		fault  emulator.Fault
		class  watcher.Class
		want   string
	}{
		{emulator.NoAgency, emulator.Fault{}, watcher.Credentials, "does this machine have an agency"},
		{emulator.NoTokens, emulator.Fault{Status: 500, Shape: emulator.Empty}, watcher.MayPass, "500"},
		{emulator.WithToken, emulator.Fault{Body: "<html>"}, watcher.MayPass, "without a key"},
		{emulator.WithToken, emulator.Fault{Body: `{"credential":{"access":"a b","secret":"planted-secret","securitytoken":"x"}}`}, watcher.MayPass, "without a key"},
		{emulator.WithToken, emulator.Fault{Body: `{"credential":{"access":"a","secret":"planted-secret"}}`}, watcher.MayPass, "without a key"},
		{emulator.WithToken, emulator.Fault{Body: `{"credential":{"access":"a","secret":"planted-secret","securitytoken":"x","expires_at":"soon"}}`}, watcher.Credentials, "ak not exist"},
		{emulator.WithToken, emulator.Fault{Cut: true}, watcher.MayPass, "EOF"},
		{emulator.WithToken, emulator.Fault{Hang: true}, watcher.MayPass, "no whole answer within"},
	} {
		e := emulator.New(emulator.Options{Agency: tt.agency, AutoOrders: true})
		e.SetLoginFaults(tt.fault)
		server := serve(t, e)
		c := config(t, server)
		c.Credential, c.Timeout = newAgency(t, server, nil), 10*time.Second
		if tt.fault.Hang {
			c.Timeout = 200 * time.Millisecond
		}
		err := show(t, newClient(t, c))
		if p := pollError(t, err, tt.class); !strings.Contains(p.Message, tt.want) || strings.Contains(p.Message, "planted") {
			t.Errorf("%+v: got %v, want %q", tt.fault, err, tt.want)
		}
	}
}

// A login that another one is at ends with the poll's context.
func TestLoginEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := emulator.New(emulator.Options{Users: []emulator.User{user}, AutoOrders: true})
	e.SetLoginFaults(emulator.Fault{Hang: true})
	server := serve(t, e)
	c := config(t, server)
	c.Credential, c.Timeout = newPassword(t, server, nil), time.Minute
	client := newClient(t, c)
	cause := errors.New("the worker stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	var polls sync.WaitGroup
	for range 5 {
		polls.Go(func() {
			if _, err := client.Show(ctx, region, order("order.empty-1")); !errors.Is(err, cause) {
				t.Errorf("got %v, want the context's cause", err)
			}
		})
	}
	for deadline := time.Now().Add(30 * time.Second); e.Logins() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel(cause)
	polls.Wait()
	e.SetLoginFaults()
	if err := show(t, client); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// The file may be replaced in any way, and be gone for a while.
func TestTokenFile(t *testing.T) {
	t.Parallel()
	e := emulator.New(emulator.Options{Tokens: []string{"token-1", "token-2", "token-3", "token-4"}, AutoOrders: true})
	server, log, dir := serve(t, e), new(logbook), t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// As Kubernetes does: the file is a link through a link that is replaced.
	link := func(to string) {
		next := filepath.Join(dir, "next")
		if err := errors.Join(os.Symlink(to, next), os.Rename(next, filepath.Join(dir, "current"))); err != nil {
			t.Fatal(err)
		}
	}
	link(write("a", "token-1\n"))
	path := filepath.Join(dir, "token")
	if err := os.Symlink("current", path); err != nil {
		t.Fatal(err)
	}
	file, err := login.NewTokenFile(log.logger(), path)
	if err != nil {
		t.Fatal(err)
	}
	client := newLoginClient(t, server, file, newSharedClock())
	sent := func() string {
		t.Helper()
		if err := show(t, client); err != nil {
			t.Error(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		file.Authorize(r, region, project) // Show has shown that it can
		return r.Header.Get("X-Auth-Token")
	}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "token-1"},
		{func() { link(write("b", "token-2")) }, "token-2"},
		{func() { write("b", "") }, "token-2"},
		{func() { write("b", " \n") }, "token-2"},
		{func() { os.Remove(path) }, "token-2"},
		{func() { write("token", strings.Repeat("x", 100_000)) }, "token-2"},
		{func() { write("token", "token-3\r\n") }, "token-3"},
		{func() { os.Rename(write("c", "token-4"), path) }, "token-4"},
	} {
		step.do()
		if got := sent(); got != step.want {
			t.Errorf("sent %s, want %s", got, step.want)
		}
	}
	if warned, well := strings.Count(log.String(), "holds no token"), strings.Count(log.String(), "readable again"); warned != 1 || well != 1 {
		t.Errorf("warned %d times, well %d times:\n%s", warned, well, log)
	}
	for _, bad := range []string{"", "two words"} {
		if _, err := login.NewTokenFile(quiet, write("bad", bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := login.NewTokenFile(quiet, secret); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a token for a path: %v", err)
	}
}

// A token that is replaced between two looks is tried at once, when the API takes the old one for dead.
func TestTokenFileAfterDeadToken(t *testing.T) {
	t.Parallel()
	path := tokenFile(t, "token-1")
	file, err := login.NewTokenFile(quiet, path)
	if err != nil {
		t.Fatal(err)
	}
	e := emulator.New(emulator.Options{Tokens: []string{"token-2"}, AutoOrders: true})
	var calls atomic.Int32
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			if err := os.WriteFile(path, []byte("token-2"), 0o600); err != nil {
				t.Error(err)
			}
		}
		e.ServeHTTP(w, r)
	}))
	if err := show(t, newLoginClient(t, server, file, newSharedClock())); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("token-3"), 0o600); err != nil {
		t.Fatal(err)
	}
	pollError(t, show(t, newLoginClient(t, server, file, newSharedClock())), watcher.Credentials)
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

// Whatever is in use may come back in an answer, and is not shown.
func TestLoginsEchoed(t *testing.T) {
	t.Parallel()
	key := emulator.Key{Access: "AKPERMANENT000000001", Secret: "planted-permanent-secret", SecurityToken: "planted-security-token"}
	e := emulator.New(emulator.Options{Users: []emulator.User{user}, Agency: emulator.NoTokens, Keys: []emulator.Key{key}, AutoOrders: true})
	var secrets []string // of the call under way
	var before int       // what was handed out to others
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			e.ServeHTTP(w, r)
			return
		}
		_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
		text := strings.Join(append(secrets, e.HandedOut()[before:]...), " ") + " " + signature
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"error_code":"X.1","error_msg":%q}`, text)
	}))
	for _, tt := range []struct {
		login   login.Credential
		secrets []string
	}{
		{newKey(t, key, nil), []string{key.Access, key.Secret, key.SecurityToken}},
		{newPassword(t, server, nil), []string{user.Password}},
		{newAgency(t, server, nil), nil},
	} {
		before = len(e.HandedOut())
		secrets = tt.secrets
		_, err := newLoginClient(t, server, tt.login, newSharedClock()).Show(t.Context(), region, order("order.x"))
		pollError(t, err, watcher.Credentials)
		text, _, _ := strings.Cut(err.Error(), " (")
		if text = strings.TrimSpace(strings.ReplaceAll(text, "[redacted]", "")); text != "HTTP 403: X.1:" {
			t.Errorf("%T: %v shows %q", tt.login, err, text)
		}
	}
}

func TestLoginsRefuseSettings(t *testing.T) {
	t.Parallel()
	for _, bad := range [][3]string{{"", "s", ""}, {"a", "", ""}, {"a b", "s", ""}, {"a", "s\n", ""}, {"a", "s", "t t"}} {
		if _, err := login.NewAccessKey(bad[0], bad[1], bad[2], nil); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	good := login.PasswordConfig{User: "u", Password: secret, Domain: "d", Regions: []string{region}}
	for want, change := range map[string]func(*login.PasswordConfig){
		"":               func(*login.PasswordConfig) {},
		"user: ":         func(c *login.PasswordConfig) { c.User = "" },
		"password: ":     func(c *login.PasswordConfig) { c.Password = "" },
		"domain: ":       func(c *login.PasswordConfig) { c.Domain = "" },
		"IAM endpoint: ": func(c *login.PasswordConfig) { c.Endpoint = "ftp://" + secret },
	} {
		c := good
		change(&c)
		_, err := login.NewPassword(quiet, c)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), secret)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := login.NewAgency(quiet, login.AgencyConfig{Endpoint: "169.254.169.254"}); err == nil {
		t.Error("an endpoint without a scheme is taken")
	}
}

// TestTokenFileNoFile holds that nothing but a file is read for a token, and that nothing waits for it.
func TestTokenFileNoFile(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/dev/zero", pipe, t.TempDir()} {
		if _, err := login.NewTokenFile(quiet, path); err == nil || !strings.Contains(err.Error(), "not a file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
