package serve

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

// TestLogIn gives serve every way to log in, whole, by halves and together.
func TestLogIn(t *testing.T) {
	key := map[string]string{"HW_ACCESS_KEY": "planted-ak", "HW_SECRET_KEY": "planted-sk"}
	password := map[string]string{"HW_USER_NAME": "planted-user", "HW_USER_PASSWORD": "planted-pw", "HW_DOMAIN_NAME": "planted-domain"}
	tests := []struct {
		name string
		vars map[string]string
		want string // the login, or how a line of the error begins
	}{
		{"token", cmdtest.With(nil, "MODELARTS_TOKEN", "planted"), "token planted"},
		{"key", cmdtest.With(nil, "MODELARTS_ACCESS_KEY", "planted-ak", "MODELARTS_SECRET_KEY", "planted-sk"), "key planted-ak planted-sk "},
		{"temporary key", cmdtest.With(nil, "MODELARTS_ACCESS_KEY", "planted-ak", "MODELARTS_SECRET_KEY", "planted-sk", "MODELARTS_SECURITY_TOKEN", "planted-st"), "key planted-ak planted-sk planted-st"},
		{"password", cmdtest.With(nil, "MODELARTS_USER", "u", "MODELARTS_PASSWORD", "planted", "MODELARTS_DOMAIN", "d"), "password u planted d"},
		{"agency", cmdtest.With(nil, "MODELARTS_ECS_AGENCY", "true"), "agency"},

		{"none", nil, "ORDERWATCH_MODELARTS_TOKEN: is not set: set it, or ORDERWATCH_MODELARTS_ACCESS_KEY"},
		{"no agency", cmdtest.With(nil, "MODELARTS_ECS_AGENCY", "false"), "ORDERWATCH_MODELARTS_TOKEN: is not set"},
		{"no secret key", cmdtest.With(nil, "MODELARTS_ACCESS_KEY", "planted"), "ORDERWATCH_MODELARTS_SECRET_KEY: is not set, but ORDERWATCH_MODELARTS_ACCESS_KEY is"},
		{"no access key", cmdtest.With(nil, "MODELARTS_SECRET_KEY", "planted"), "ORDERWATCH_MODELARTS_ACCESS_KEY: is not set, but ORDERWATCH_MODELARTS_SECRET_KEY is"},
		{"security token alone", cmdtest.With(nil, "MODELARTS_SECURITY_TOKEN", "planted"), "ORDERWATCH_MODELARTS_ACCESS_KEY: is not set, but ORDERWATCH_MODELARTS_SECURITY_TOKEN is"},
		{"no user", cmdtest.With(nil, "MODELARTS_PASSWORD", "planted", "MODELARTS_DOMAIN", "planted"), "ORDERWATCH_MODELARTS_USER: is not set, but ORDERWATCH_MODELARTS_PASSWORD is"},
		{"no password", cmdtest.With(nil, "MODELARTS_USER", "planted", "MODELARTS_DOMAIN", "planted"), "ORDERWATCH_MODELARTS_PASSWORD: is not set, but ORDERWATCH_MODELARTS_USER is"},
		{"no domain", cmdtest.With(nil, "MODELARTS_USER", "planted", "MODELARTS_PASSWORD", "planted"), "ORDERWATCH_MODELARTS_DOMAIN: is not set, but ORDERWATCH_MODELARTS_USER is"},
		{"token and agency", cmdtest.With(nil, "MODELARTS_TOKEN", "planted", "MODELARTS_ECS_AGENCY", "true"), "ORDERWATCH_MODELARTS_ECS_AGENCY: is set together with ORDERWATCH_MODELARTS_TOKEN: keep one"},
		{"key and half a password", cmdtest.With(nil, "MODELARTS_ACCESS_KEY", "planted", "MODELARTS_SECRET_KEY", "planted", "MODELARTS_DOMAIN", "planted"), "ORDERWATCH_MODELARTS_DOMAIN: is set together with ORDERWATCH_MODELARTS_ACCESS_KEY: keep one"},

		{"HW: token", cmdtest.With(nil, "HW_AUTH_TOKEN", "planted"), "token planted"},
		{"HW: key", key, "key planted-ak planted-sk "},
		{"HW: temporary key", cmdtest.With(key, "HW_SECURITY_TOKEN", "planted-st"), "key planted-ak planted-sk planted-st"},
		{"HW: password", password, "password planted-user planted-pw planted-domain"},
		{"HW: key, token, password", cmdtest.With(cmdtest.With(key, "HW_AUTH_TOKEN", "planted"), "HW_USER_NAME", "u", "HW_USER_PASSWORD", "p", "HW_DOMAIN_NAME", "d"), "key planted-ak planted-sk "},
		{"HW: half a key, token", cmdtest.With(nil, "HW_ACCESS_KEY", "planted", "HW_AUTH_TOKEN", "hw"), "token hw"},
		{"HW: token, password", cmdtest.With(password, "HW_AUTH_TOKEN", "hw"), "token hw"},
		{"HW: half a key", cmdtest.With(nil, "HW_ACCESS_KEY", "planted"), "HW_SECRET_KEY: is not set, but HW_ACCESS_KEY is"},
		{"HW: half a password", cmdtest.With(nil, "HW_USER_NAME", "planted", "HW_USER_PASSWORD", "planted"), "HW_DOMAIN_NAME: is not set, but HW_USER_NAME is"},
		{"ours and HW", cmdtest.With(key, "MODELARTS_TOKEN", "ours"), "token ours"},
		{"half of ours and HW", cmdtest.With(nil, "MODELARTS_ACCESS_KEY", "planted", "HW_AUTH_TOKEN", "planted"), "ORDERWATCH_MODELARTS_SECRET_KEY: is not set"},
		{"no agency and HW", cmdtest.With(nil, "MODELARTS_ECS_AGENCY", "false", "HW_AUTH_TOKEN", "hw"), "token hw"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmdtest.Setenv(t, cmdtest.With(test.vars, "NATS_URL", "host", "MODELARTS_REGIONS", "cn-north-4"))
			c, err := config.LoadServe()
			if strings.Contains(test.want, ": ") {
				wantProblem(t, err, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := loginOf(c.ModelArts); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			login, err := modelArtsLogin(slog.New(slog.DiscardHandler), c, nil, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			kind, _, _ := strings.Cut(test.want, " ")
			if want := map[string]string{"token": "login.Token", "key": "*login.AccessKey", "password": "*login.Password", "agency": "*login.Agency"}[kind]; fmt.Sprintf("%T", login) != want {
				t.Errorf("got a %T, want a %s", login, want)
			}
		})
	}
}

// loginOf returns the logins that are set.
func loginOf(m config.ModelArts) string {
	var all []string
	if m.Token.IsSet() {
		all = append(all, "token "+m.Token.Reveal())
	}
	if m.AccessKey.IsSet() || m.SecretKey.IsSet() || m.SecurityToken.IsSet() {
		all = append(all, "key "+m.AccessKey.Reveal()+" "+m.SecretKey.Reveal()+" "+m.SecurityToken.Reveal())
	}
	if m.User != "" || m.Password.IsSet() || m.Domain != "" {
		all = append(all, "password "+m.User+" "+m.Password.Reveal()+" "+m.Domain)
	}
	if m.ECSAgency {
		all = append(all, "agency")
	}
	return strings.Join(all, ", ")
}

// A token from a file is read from that file again and again.
func TestLogInWithTokenFile(t *testing.T) {
	path := cmdtest.File(t, "planted-token\n")
	cmdtest.Setenv(t, map[string]string{"NATS_URL": "host", "MODELARTS_REGIONS": "cn-north-4", "MODELARTS_TOKEN_FILE": path})
	c, err := config.LoadServe()
	if err != nil {
		t.Fatal(err)
	}
	credential, err := modelArtsLogin(slog.New(slog.DiscardHandler), c, nil, time.Now)
	if _, ok := credential.(*login.TokenFile); !ok || err != nil || c.ModelArts.Token.File() != path {
		t.Errorf("got a %T of %q, %v", credential, c.ModelArts.Token.File(), err)
	}
}

// wantProblem fails unless a line of err begins like this, and where err shows what was planted.
func wantProblem(t *testing.T, err error, begin string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", begin)
	}
	if !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool { return strings.HasPrefix(line, begin) }) {
		t.Errorf("want a line that begins %q:\n%v", begin, err)
	}
	if strings.Contains(err.Error(), "planted") {
		t.Errorf("shows a value: %v", err)
	}
}
