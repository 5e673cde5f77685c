package login_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

// Texts of 401, as the API and what stands before it word them. Each may come for a token that is dead.
var texts401 = []emulator.Fault{
	{Code: "APIG.0307", Message: "The token must be updated."},
	{Code: "APIG.0301", Message: "Incorrect IAM authentication information: decrypt token fail"},
	{Code: "APIG.0301", Message: "Incorrect IAM authentication information: AK access failed to reach the limit,forbidden."},
	{Code: "ModelArts.6620", Message: "Invalid token."},
	{Shape: emulator.NestedInt, Message: "The request you have made requires authentication."},
	{Code: "ModelArts.6201", Message: "The account is in arrears."},
	{Shape: emulator.HTML},
	{Code: "ModelArts.9999", Message: "something else"},
	{Shape: emulator.Empty},
	{Code: "APIG.0301", Message: "Incorrect IAM authentication information: verify aksk signature fail"},
	{Body: `{"errorCode":"X","errorMessage":"who are you?"}`},
	{Body: "Unauthorized"},
}

// A gatekeeper refuses what proves who asks, until it is renewed.
type gatekeeper struct {
	next http.Handler

	mu      sync.Mutex
	fault   emulator.Fault
	refused []string // proofs
	asked   int      // calls about orders
	all     bool     // refuses every proof
}

// calls returns how many asked for orders.
func (g *gatekeeper) calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

// refuseAll refuses every proof from now on.
func (g *gatekeeper) refuseAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = true
}

func (g *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/v1/") {
		g.next.ServeHTTP(w, r)
		return
	}
	proof, _, _ := strings.Cut(r.Header.Get("X-Auth-Token")+r.Header.Get("Authorization"), ", SignedHeaders")
	g.mu.Lock()
	g.asked++
	if len(g.refused) == 0 {
		g.refused = append(g.refused, proof)
	}
	refuse, fault := g.all || g.refused[0] == proof, g.fault
	g.mu.Unlock()
	if refuse {
		fault.Status = http.StatusUnauthorized
		e := emulator.New(emulator.Options{})
		e.SetFaults(fault)
		e.ServeHTTP(w, r)
		return
	}
	g.next.ServeHTTP(w, r)
}

// Whatever the text of a 401, the login is renewed once within the same poll (C12, C13). Where that does not
// help the login is refused, in words of the login that there is.
func TestAny401Renews(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		advice string
		login  func(*testing.T, *httptest.Server, *emulator.Emulator, *sharedClock) login.Credential
		renews func(*emulator.Emulator) int // how often a proof was asked for
	}{
		{"password", "check the user, the password and the domain",
			func(t *testing.T, s *httptest.Server, _ *emulator.Emulator, k *sharedClock) login.Credential {
				return newPassword(t, s, func(c *login.PasswordConfig) { c.Now = k.Now })
			}, (*emulator.Emulator).Logins},
		{"agency", "check this machine's agency",
			func(t *testing.T, s *httptest.Server, e *emulator.Emulator, k *sharedClock) login.Credential {
				return newAgency(t, s, k.Now)
			}, (*emulator.Emulator).MetadataCalls},
	} {
		for _, text := range texts401 {
			t.Run(tt.name+", "+text.Code+text.Message+string(text.Shape)+text.Body, func(t *testing.T) {
				t.Parallel()
				k := newSharedClock()
				e := emulator.New(emulator.Options{Users: []emulator.User{user}, Agency: emulator.NoTokens, AutoOrders: true, Now: k.Now})
				keeper := &gatekeeper{next: e, fault: text}
				server := serve(t, keeper)
				client := newLoginClient(t, server, tt.login(t, server, e, k), k)
				if tt.name == "agency" { // the machine has another key by the time that it is asked again
					keeper.next = rekeyed(e)
				}
				if err := show(t, client); err != nil {
					t.Fatal(err)
				}
				if keeper.calls() != 2 || tt.renews(e) != 2 {
					t.Errorf("%d calls, %d proofs; want 2 and 2", keeper.calls(), tt.renews(e))
				}
				keeper.refuseAll()
				k.advance(2 * time.Minute)
				err := show(t, client)
				if err == nil {
					t.Fatal("a login that is refused is taken")
				}
				if text.Code != "ModelArts.6201" && !strings.Contains(err.Error(), tt.advice) || strings.Contains(strings.ToLower(err.Error()), "access key") {
					t.Errorf("%v", err)
				}
				if keeper.calls() > 4 || tt.renews(e) > 3 {
					t.Errorf("%d calls, %d proofs; want one renewal", keeper.calls(), tt.renews(e))
				}
				for range 20 { // no storm
					show(t, client)
				}
				if tt.name == "password" && tt.renews(e) > 3 {
					t.Errorf("%d logins", tt.renews(e))
				}
			})
		}
	}
}

// rekeyed lets the metadata service answer with another key each time, which the API accepts, whatever it is.
func rekeyed(e *emulator.Emulator) http.Handler {
	var mu sync.Mutex
	keys := 0
	open := emulator.New(emulator.Options{AutoOrders: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "/securitykey") {
			keys++
			answer := httptest.NewRecorder()
			e.ServeHTTP(answer, r)
			body := strings.Replace(answer.Body.String(), `"access":"`, `"access":"K`+strings.Repeat("A", keys), 1)
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(body)) // the client's going away fails the test elsewhere
			return
		}
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			r.Header.Set("X-Auth-Token", "any")
			r.Header.Del("Authorization")
			open.ServeHTTP(w, r)
			return
		}
		e.ServeHTTP(w, r)
	})
}

// The key that the machine had is not tried again: enough wrong calls lock it.
func TestAgencyTriesNoKeyTwice(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	for _, text := range texts401 {
		e := emulator.New(emulator.Options{Agency: emulator.WithToken, AutoOrders: true, Now: k.Now})
		keeper := &gatekeeper{next: e, fault: text, all: true}
		server := serve(t, keeper)
		if err := show(t, newLoginClient(t, server, newAgency(t, server, k.Now), k)); err == nil {
			t.Error("a key that is refused is taken")
		}
		if keeper.calls() != 1 || e.MetadataCalls() != 2 {
			t.Errorf("%+v: %d calls, the machine was asked %d times; want 1 and 2", text, keeper.calls(), e.MetadataCalls())
		}
	}
}

// A token that is replaced in its file is tried at once, whatever the text of the 401; and only another one.
func TestTokenFileAfterAny401(t *testing.T) {
	t.Parallel()
	for _, text := range texts401 {
		path := tokenFile(t, "token-1")
		file, err := login.NewTokenFile(quiet, path)
		if err != nil {
			t.Fatal(err)
		}
		keeper := &gatekeeper{next: emulator.New(emulator.Options{AutoOrders: true}), fault: text}
		server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Auth-Token") == "token-1" && keeper.calls() > 0 {
				if err := os.WriteFile(path, []byte("token-2"), 0o600); err != nil {
					t.Error(err)
				}
			}
			keeper.ServeHTTP(w, r)
		}))
		client := newLoginClient(t, server, file, newSharedClock())
		err = show(t, client)
		if err == nil || text.Code != "ModelArts.6201" && !strings.Contains(err.Error(), "ORDERWATCH_MODELARTS_TOKEN_FILE") {
			t.Errorf("%+v: %v", text, err)
		}
		if err := show(t, client); err != nil || keeper.calls() != 3 {
			t.Errorf("%+v: %d calls, %v", text, keeper.calls(), err)
		}
	}
}

// What a held account's words name is the login that is configured.
func TestWordsOfTheLogin(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	locked := emulator.Fault{Code: "APIG.0301", Message: "AK access failed to reach the limit,forbidden."}
	for want, login := range map[string]func(*httptest.Server) login.Credential{
		"renew the token in ORDERWATCH_MODELARTS_TOKEN)": func(s *httptest.Server) login.Credential { return config(t, s).Credential },
		"check the access key, its secret and this machine's clock": func(*httptest.Server) login.Credential {
			return newKey(t, emulator.Key{Access: "AK1", Secret: "a"}, k.Now)
		},
		"check the user, the password and the domain)": func(s *httptest.Server) login.Credential {
			return newPassword(t, s, func(c *login.PasswordConfig) { c.Now = k.Now })
		},
		"check this machine's agency": func(s *httptest.Server) login.Credential { return newAgency(t, s, k.Now) },
	} {
		e := emulator.New(emulator.Options{Users: []emulator.User{user}, Agency: emulator.WithToken, Now: k.Now})
		server := serve(t, &gatekeeper{next: e, fault: locked, all: true})
		client := newLoginClient(t, server, login(server), k)
		pollError(t, show(t, client), watcher.Credentials)
		leave := client.Wait(t.Context(), region, order("order.x"), k.Now(), watcher.Turn{})
		if leave.Held != watcher.HeldLogin || leave.Code != "APIG.0301" || !strings.Contains(leave.Why, want) {
			t.Errorf("want %q: %+v", want, leave)
		}
		if !strings.Contains(want, "access key") && strings.Contains(leave.Why, "access key") {
			t.Errorf("no key is configured: %s", leave.Why)
		}
	}
}

// A wrong password costs one call of IAM, however many orders there are.
func TestWrongPasswordOfTwentyOrders(t *testing.T) {
	t.Parallel()
	k := newSharedClock()
	e := emulator.New(emulator.Options{Users: []emulator.User{user}, AutoOrders: true, Now: k.Now})
	e.SetPassword(user.Domain, user.Name, "changed-meanwhile")
	server := serve(t, e)
	client := newLoginClient(t, server, newPassword(t, server, func(c *login.PasswordConfig) { c.Now = k.Now }), k)
	var polls sync.WaitGroup
	for n := range 20 {
		polls.Go(func() {
			o := order("order.empty-" + string(rune('a'+n)))
			_, err := client.Show(t.Context(), region, o)
			if e, ok := errors.AsType[*watcher.PollError](err); !ok || e.Class != watcher.Credentials || e.Held != watcher.HeldLogin {
				t.Errorf("got %v", err)
			}
		})
	}
	polls.Wait()
	if e.Logins() != 1 {
		t.Errorf("%d logins", e.Logins())
	}
}
