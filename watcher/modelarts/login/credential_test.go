package login_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

// No login prints its secrets, in whatever format and wherever it lies.
func TestLoginsPrintRedacted(t *testing.T) {
	token, err := login.NewToken(secret)
	if err != nil {
		t.Fatal(err)
	}
	file, err := login.NewTokenFile(quiet, tokenFile(t, secret))
	if err != nil {
		t.Fatal(err)
	}
	key, err := login.NewAccessKey("AKplanted-access-key", "planted-secret-key", "planted-security-token", nil)
	if err != nil {
		t.Fatal(err)
	}
	e := emulator.New(emulator.Options{AutoOrders: true, Users: []emulator.User{user}, Agency: emulator.WithToken})
	server := serve(t, e)
	password, agency := newPassword(t, server, nil), newAgency(t, server, nil)
	secrets := []string{secret, "AKplanted-access-key", "planted-secret-key", "planted-security-token", user.Password}
	for _, login := range []login.Credential{token, file, key, password, agency} {
		c := config(t, server)
		c.Credential = login
		newClient(t, c).Show(t.Context(), region, order("order.empty-1")) // for the proofs
	}
	if secrets = append(secrets, e.HandedOut()...); len(secrets) < 10 {
		t.Fatalf("handed out: %v", e.HandedOut())
	}
	type holder struct{ hidden login.Credential }
	var out bytes.Buffer
	for _, login := range []login.Credential{token, file, key, password, agency} {
		values := []any{login, &login, modelarts.Config{Credential: login}, holder{login}, &holder{login}, []any{login}, map[string]any{"t": login}}
		for _, v := range values {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
			if got := fmt.Sprintf(verb, login); got != "[redacted]" {
				t.Errorf("%T, %s prints %s", login, verb, got)
			}
		}
		if b, err := json.Marshal(login); string(b) != `"[redacted]"` || err != nil {
			t.Errorf("%T: JSON %s, %v", login, b, err)
		}
		fmt.Fprintln(&out, login.Login())
	}
	for _, s := range secrets {
		for _, shown := range []string{s, fmt.Sprintf("%x", s), fmt.Sprint([]byte(s))} {
			if strings.Contains(out.String(), shown) {
				t.Errorf("shows %s", s)
			}
		}
	}
}

func TestNewTokenRefuses(t *testing.T) {
	for _, bad := range []string{"", " ", "a b", "a\r\nX-Evil: 1", "a\n", "é"} {
		if _, err := login.NewToken(bad); err == nil || strings.Contains(err.Error(), "Evil") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

type credentialFunc func(*http.Request, string) error

func (f credentialFunc) Authorize(r *http.Request, _, project string) error { return f(r, project) }

func (credentialFunc) Login() string { return "func" }

// What the account's login says decides what the error means.
func TestLoginErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want watcher.Class
	}{
		{errors.New("the password is wrong"), watcher.Credentials},
		{fmt.Errorf("ask IAM: %w", &watcher.PollError{Class: watcher.MayPass, Message: "timeout"}), watcher.MayPass},
	} {
		client := newClient(t, modelarts.Config{Regions: []string{region}, Credential: credentialFunc(func(r *http.Request, p string) error {
			if p != project {
				t.Errorf("asked for project %s", p)
			}
			return tt.err
		})})
		_, err := client.Show(t.Context(), region, order("order.x"))
		if e, ok := errors.AsType[*watcher.PollError](err); !ok || e.Class != tt.want || !strings.Contains(e.Message, "log in: ") {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	client := newClient(t, modelarts.Config{Regions: []string{region}, Credential: login.Token{}})
	if _, err := client.Show(t.Context(), region, order("order.x")); err == nil || !strings.Contains(err.Error(), "no token") {
		t.Errorf("zero token: got %v", err)
	}
}
