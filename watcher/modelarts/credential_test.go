package modelarts_test

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
)

func TestTokenPrintsRedacted(t *testing.T) {
	token, err := modelarts.NewToken(secret)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ hidden modelarts.Token }
	values := []any{token, &token, modelarts.Config{Credential: token}, holder{token}, []any{token}, map[string]any{"t": token}}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
	}
	for _, shown := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret))} {
		if strings.Contains(out.String(), shown) {
			t.Errorf("%s shows the token", out.String())
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if got := fmt.Sprintf(verb, token); got != "[redacted]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if b, err := json.Marshal(token); string(b) != `"[redacted]"` || err != nil {
		t.Errorf("JSON %s, %v", b, err)
	}
}

func TestNewTokenRefuses(t *testing.T) {
	for _, bad := range []string{"", " ", "a b", "a\r\nX-Evil: 1", "a\n", "é"} {
		if _, err := modelarts.NewToken(bad); err == nil || strings.Contains(err.Error(), "Evil") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

type credentialFunc func(*http.Request, string) error

func (f credentialFunc) Authorize(r *http.Request, project string) error { return f(r, project) }

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
	client := newClient(t, modelarts.Config{Regions: []string{region}, Credential: modelarts.Token{}})
	if _, err := client.Show(t.Context(), region, order("order.x")); err == nil || !strings.Contains(err.Error(), "no token") {
		t.Errorf("zero token: got %v", err)
	}
}
