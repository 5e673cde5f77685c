package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

func TestLeast(t *testing.T) {
	cmdtest.Setenv(t, cmdtest.Least())
	c, err := LoadServe()
	if err != nil {
		t.Fatal(err)
	}
	if c.Poll.Initial != 5*time.Second || c.Poll.Multiplier != 1.5 || c.Watch.TimeoutMax != 48*time.Hour || !c.Assets.Provision || c.Log.Level != slog.LevelInfo {
		t.Errorf("defaults: %+v", c)
	}
	cmdtest.Setenv(t, nil)
	if _, err := Load(); err != nil {
		t.Errorf("empty environment: %v", err)
	}
	for most, swept := range map[string]time.Duration{"": 5 * time.Minute, "10s": 50 * time.Second, "1h": time.Hour} { // nobody has to set both
		cmdtest.Setenv(t, map[string]string{"POLL_MAX": most})
		if c, err := Load(); err != nil || c.Poll.MaxSwept != swept {
			t.Errorf("POLL_MAX %q: POLL_MAX_SWEPT is %s (%v); want %s", most, c.Poll.MaxSwept, err, swept)
		}
	}
}

// TestEachVariable sets every variable of the contract to something else than its default and
// looks for it in the config.
func TestEachVariable(t *testing.T) {
	path := cmdtest.File(t, "x")
	routes := cmdtest.File(t, "rules: [{channels: [C0TEAM]}]")
	ofTeams := cmdtest.File(t, "teams: {gpu: {projects: [p-*], channels: [C0GPU]}}")
	tests := []struct {
		name, value string
		got         func(Config) any
		want        any
	}{
		{"NATS_URL", "nats://a:4222,b:4222", func(c Config) any { return c.NATS.URL }, "nats://a:4222,b:4222"},
		{"EMBEDDED_NATS_DIR", "/data", func(c Config) any { return c.NATS.EmbeddedDir }, "/data"},
		{"EMBEDDED_NATS_ADDR", ":4333", func(c Config) any { return c.NATS.EmbeddedAddr }, ":4333"},
		{"NATS_CREDS_FILE", path, func(c Config) any { return c.NATS.CredsFile }, path},
		{"NATS_NKEY_FILE", path, func(c Config) any { return c.NATS.NKeyFile }, path},
		{"NATS_USER", "u", func(c Config) any { return c.NATS.User }, "u"},
		{"NATS_PASSWORD", "s", func(c Config) any { return c.NATS.Password.Reveal() }, "s"},
		{"NATS_TOKEN", "s", func(c Config) any { return c.NATS.Token.Reveal() }, "s"},
		{"NATS_CA_FILE", path, func(c Config) any { return c.NATS.CAFile }, path},
		{"NATS_CERT_FILE", path, func(c Config) any { return c.NATS.CertFile }, path},
		{"NATS_KEY_FILE", path, func(c Config) any { return c.NATS.KeyFile }, path},
		{"NATS_TLS_FIRST", "true", func(c Config) any { return c.NATS.TLSFirst }, true},
		{"NATS_JS_DOMAIN", "hub", func(c Config) any { return c.NATS.JSDomain }, "hub"},
		{"NATS_JS_API_PREFIX", "js.orderwatch.API", func(c Config) any { return c.NATS.JSAPIPrefix }, "js.orderwatch.API"},
		{"EMBEDDED_NATS_REQUESTER_USER", "u", func(c Config) any { return c.Requesters.User }, "u"},
		{"EMBEDDED_NATS_REQUESTER_PASSWORD", "s", func(c Config) any { return c.Requesters.Password.Reveal() }, "s"},
		{"EMBEDDED_NATS_REQUESTER_TOKEN", "s", func(c Config) any { return c.Requesters.Token.Reveal() }, "s"},
		{"SUBJECT_PREFIX", "team.orders", func(c Config) any { return c.Assets.SubjectPrefix }, "team.orders"},
		{"SERVICE_PREFIX", "ow", func(c Config) any { return c.Assets.ServicePrefix }, "ow"},
		{"INBOX_PREFIXES", "inbox.ann, team", func(c Config) any { return c.Assets.InboxPrefixes }, []string{"inbox.ann", "team"}},
		{"STREAM_PREFIX", "TEAM", func(c Config) any { return c.Assets.StreamPrefix }, "TEAM"},
		{"STREAM_REPLICAS", "3", func(c Config) any { return c.Assets.StreamReplicas }, 3},
		{"EVENTS_MAX_AGE", "240h", func(c Config) any { return c.Assets.EventsMaxAge }, 240 * time.Hour},
		{"PROVISION", "false", func(c Config) any { return c.Assets.Provision }, false},
		{"MODELARTS_REGIONS", "cn-north-4, cn-southwest-2", func(c Config) any { return c.ModelArts.Regions }, []string{"cn-north-4", "cn-southwest-2"}},
		{"MODELARTS_ENDPOINT", "http://127.0.0.1:9090/{region}", func(c Config) any { return c.ModelArts.Endpoint }, "http://127.0.0.1:9090/{region}"},
		{"MODELARTS_PROJECT_ID", "6f5d", func(c Config) any { return c.ModelArts.ProjectID }, "6f5d"},
		{"MODELARTS_IAM_ENDPOINT", "https://iam", func(c Config) any { return c.ModelArts.IAMEndpoint }, "https://iam"},
		{"MODELARTS_METADATA_ENDPOINT", "http://meta", func(c Config) any { return c.ModelArts.MetadataEndpoint }, "http://meta"},
		{"MODELARTS_CA_FILE", path, func(c Config) any { return c.ModelArts.CAFile }, path},
		{"MODELARTS_TOKEN", "s", func(c Config) any { return c.ModelArts.Token.Reveal() }, "s"},
		{"MODELARTS_ACCESS_KEY", "s", func(c Config) any { return c.ModelArts.AccessKey.Reveal() }, "s"},
		{"MODELARTS_SECRET_KEY", "s", func(c Config) any { return c.ModelArts.SecretKey.Reveal() }, "s"},
		{"MODELARTS_SECURITY_TOKEN", "s", func(c Config) any { return c.ModelArts.SecurityToken.Reveal() }, "s"},
		{"MODELARTS_USER", "u", func(c Config) any { return c.ModelArts.User }, "u"},
		{"MODELARTS_PASSWORD", "s", func(c Config) any { return c.ModelArts.Password.Reveal() }, "s"},
		{"MODELARTS_DOMAIN", "d", func(c Config) any { return c.ModelArts.Domain }, "d"},
		{"MODELARTS_ECS_AGENCY", "true", func(c Config) any { return c.ModelArts.ECSAgency }, true},
		{"MODELARTS_TIMEOUT", "29.5s", func(c Config) any { return c.ModelArts.Timeout }, 29500 * time.Millisecond},
		{"MODELARTS_RATE", "0.5", func(c Config) any { return c.ModelArts.Rate }, 0.5},
		{"MODELARTS_NOT_FOUND_GRACE", "1m", func(c Config) any { return c.ModelArts.NotFoundGrace }, time.Minute},
		{"POLL_INITIAL", "1s", func(c Config) any { return c.Poll.Initial }, time.Second},
		{"POLL_MULTIPLIER", "2", func(c Config) any { return c.Poll.Multiplier }, 2.0},
		{"POLL_MAX", "5m", func(c Config) any { return c.Poll.Max }, 5 * time.Minute},
		{"POLL_JITTER", "0", func(c Config) any { return c.Poll.Jitter }, 0.0},
		{"POLL_MAX_SWEPT", "2m", func(c Config) any { return c.Poll.MaxSwept }, 2 * time.Minute},
		{"SWEEP_EVERY", "0", func(c Config) any { return c.Poll.SweepEvery }, time.Duration(0)},
		{"SETTLE", "0s", func(c Config) any { return c.Watch.Settle }, time.Duration(0)},
		{"TIMEOUT", "3h", func(c Config) any { return c.Watch.Timeout }, 3 * time.Hour},
		{"TIMEOUT_MAX", "24h", func(c Config) any { return c.Watch.TimeoutMax }, 24 * time.Hour},
		{"LATE_BY_USUAL", "false", func(c Config) any { return c.Watch.LateByUsual }, false},
		{"CONCURRENCY", "8", func(c Config) any { return c.Watch.Concurrency }, 8},
		{"TEAMS_FILE", ofTeams, func(c Config) any { return c.Watch.TeamsFile }, ofTeams},
		{"SLACK_TOKEN", "s", func(c Config) any { return c.Slack.Token.Reveal() }, "s"},
		{"SLACK_CHANNEL", "C01", func(c Config) any { return c.Slack.Channel }, "C01"},
		{"SLACK_CHANNELS_ALLOWED", "C02,G03", func(c Config) any { return c.Slack.ChannelsAllowed }, []string{"C02", "G03"}},
		{"SLACK_MENTION_ON_FAILURE", "here", func(c Config) any { return c.Slack.MentionOnFailure }, "here"},
		{"SLACK_WEBHOOK_URL", "https://hooks.example/x", func(c Config) any { return c.Slack.WebhookURL.Reveal() }, "https://hooks.example/x"},
		{"SLACK_API_URL", "http://127.0.0.1:9091/api", func(c Config) any { return c.Slack.APIURL }, "http://127.0.0.1:9091/api/"},
		{"SLACK_PROGRESS", "true", func(c Config) any { return c.Slack.Progress }, true},
		{"SLACK_ROUTES_FILE", routes, func(c Config) any { return c.Slack.RoutesFile }, routes},
		{"CONSOLE_URL", "https://{region}.console.example/{project}/{order}#/{watch}", func(c Config) any { return c.Links.Console }, "https://{region}.console.example/{project}/{order}#/{watch}"},
		{"PUBLIC_URL", "http://[::1]:8080/w?id={watch}&again={watch}", func(c Config) any { return c.Links.Public }, "http://[::1]:8080/w?id={watch}&again={watch}"},
		{"HTTP_ADDR", ":8080", func(c Config) any { return c.HTTP.Addr }, ":8080"},
		{"PPROF_ADDR", "127.0.0.1:6060", func(c Config) any { return c.HTTP.PprofAddr }, "127.0.0.1:6060"},
		{"ALLOW_INSECURE", "true", func(c Config) any { return c.HTTP.Insecure }, true},
		{"HEARTBEAT_URL", "https://hc.example/a?b=c", func(c Config) any { return c.HTTP.HeartbeatURL.Reveal() }, "https://hc.example/a?b=c"},
		{"PAGE_ADDR", ":8090", func(c Config) any { return c.Page.Addr }, ":8090"},
		{"PAGE_AUTH", "proxy", func(c Config) any { return c.Page.Auth }, "proxy"},
		{"PAGE_USERS_FILE", path, func(c Config) any { return c.Page.UsersFile }, path},
		{"PAGE_USER_HEADER", "X-Forwarded-User", func(c Config) any { return c.Page.UserHeader }, "X-Forwarded-User"},
		{"PAGE_TEAM_HEADER", "X-Team", func(c Config) any { return c.Page.TeamHeader }, "X-Team"},
		{"PAGE_TRUSTED_PROXIES", "10.0.0.7, 10.1.0.0/16", func(c Config) any { return c.Page.TrustedProxies }, []string{"10.0.0.7", "10.1.0.0/16"}},
		{"PAGE_ACTIONS", "true", func(c Config) any { return c.Page.Actions }, true},
		{"PAGE_ACTIONS_NATS_USER", "u", func(c Config) any { return c.Page.ActionsUser }, "u"},
		{"PAGE_ACTIONS_NATS_PASSWORD", "s", func(c Config) any { return c.Page.ActionsSecret.Reveal() }, "s"},
		{"PAGE_ACTIONS_NATS_CREDS_FILE", path, func(c Config) any { return c.Page.ActionsCreds }, path},
		{"PAGE_METRICS_ADDR", ":9", func(c Config) any { return c.Page.MetricsAddr }, ":9"},
		{"LOG_LEVEL", "debug", func(c Config) any { return c.Log.Level }, slog.LevelDebug},
		{"LOG_FORMAT", "json", func(c Config) any { return c.Log.Format }, "json"},
	}
	// What some variables cannot be set without.
	besides := map[string][]string{
		"NATS_USER":      {"NATS_PASSWORD", "x"},
		"NATS_PASSWORD":  {"NATS_USER", "x"},
		"NATS_CERT_FILE": {"NATS_KEY_FILE", path},

		"EMBEDDED_NATS_REQUESTER_USER":     {"EMBEDDED_NATS_REQUESTER_PASSWORD", "x"},
		"EMBEDDED_NATS_REQUESTER_PASSWORD": {"EMBEDDED_NATS_REQUESTER_USER", "x"},
		"NATS_KEY_FILE":                    {"NATS_CERT_FILE", path},
		"SLACK_TOKEN":                      {"SLACK_CHANNEL", "C01"},

		"SLACK_ROUTES_FILE": {"SLACK_TOKEN", "x", "SLACK_CHANNEL", "C01"},
	}
	var tested []string
	for _, test := range tests {
		tested = append(tested, test.name)
		t.Run(test.name, func(t *testing.T) {
			cmdtest.Setenv(t, cmdtest.With(nil, append(besides[test.name], test.name, test.value)...))
			c, err := Load()
			if err != nil {
				t.Fatal(err)
			}
			if got := test.got(c); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			// The same name without the prefix is never read.
			cmdtest.Setenv(t, nil)
			t.Setenv(test.name, test.value)
			c, err = Load()
			if err != nil {
				t.Fatalf("unprefixed: %v", err)
			}
			if got := test.got(c); reflect.DeepEqual(got, test.want) {
				t.Error("read without the prefix")
			}
		})
	}
	if want := contractNames(t); !slices.Equal(tested, want) {
		t.Errorf("tested\n%v\nthe contract has\n%v", tested, want)
	}
}

// contractRows returns the names and defaults of each row of the contract's table; none where the
// default is described in words.
func contractRows(t *testing.T) (rows [][2][]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	name, remark := regexp.MustCompile(`[A-Z][A-Z0-9_]+`), regexp.MustCompile(` \([^)]*\)`)
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[2:] {
		cells := strings.Split(line, "|")
		names := name.FindAllString(cells[1], -1)
		defaults := strings.Split(remark.ReplaceAllString(strings.TrimSpace(cells[2]), ""), ", ")
		if len(defaults) == 1 {
			defaults = slices.Repeat(defaults, len(names))
		}
		for i, text := range defaults {
			if text == "–" || strings.Contains(text, " ") {
				defaults[i] = ""
			}
		}
		rows = append(rows, [2][]string{names, defaults})
	}
	return rows
}

func contractNames(t *testing.T) (all []string) {
	for _, row := range contractRows(t) {
		all = append(all, row[0]...)
	}
	return all
}

// TestContract holds names, order and defaults against the contract's table.
func TestContract(t *testing.T) {
	var want, got []string
	for _, row := range contractRows(t) {
		for i, name := range row[0] {
			want = append(want, name+"="+row[1][i])
		}
	}
	for _, v := range variables(new(Config)) {
		got = append(got, v.name+"="+v.tag.Get("default"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEmptyIsUnset(t *testing.T) {
	vars := map[string]string{}
	for _, name := range names(new(Config)) {
		vars[name] = ""
	}
	vars["NO_SUCH"] = ""
	cmdtest.Setenv(t, vars)
	got, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	cmdtest.Setenv(t, nil)
	want, _ := Load()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestBad gives each check something to refuse. A value holds "planted", which no error may show.
func TestBad(t *testing.T) {
	wrong := cmdtest.File(t, "rules: [{channel: C0TEAM}]")
	const requester = "EMBEDDED_NATS_REQUESTER"
	closed := func(vars ...string) []string {
		return append([]string{"NATS_URL", "", "EMBEDDED_NATS_DIR", "/planted", "EMBEDDED_NATS_ADDR", "0.0.0.0:4222"}, vars...)
	}
	tests := []struct {
		vars []string
		want string // how a line of the error begins, without [Prefix]
	}{
		{[]string{"NATS_URL", "http://planted"}, "NATS_URL: must be servers"},
		{[]string{"NATS_URL", "nats://planted:planted@host"}, "NATS_URL: must not hold a login"},
		{[]string{"NATS_URL", "nats://host,"}, "NATS_URL: must be servers"},
		{[]string{"EMBEDDED_NATS_DIR", "/planted"}, "NATS_URL: is set together with ORDERWATCH_EMBEDDED_NATS_DIR"},
		{[]string{"EMBEDDED_NATS_ADDR", "planted"}, "EMBEDDED_NATS_ADDR: must be host:port"},
		{closed("NATS_CREDS_FILE", wrong), "NATS_CREDS_FILE: is of no use to the server inside the process"},
		{closed("NATS_USER", "u", "NATS_PASSWORD", "planted", requester+"_USER", "r"), requester + "_USER: must be set together"},
		{closed("NATS_USER", "u", "NATS_PASSWORD", "planted", requester+"_PASSWORD", "planted"), requester + "_USER: must be set together"},
		{closed("NATS_USER", "u", "NATS_PASSWORD", "planted", requester+"_USER", "u", requester+"_PASSWORD", "planted"), requester + "_USER: must not be ORDERWATCH_NATS_USER"},
		{closed("NATS_TOKEN", "planted", requester+"_TOKEN", "planted"), requester + "_TOKEN: must not be that of ORDERWATCH_NATS_TOKEN"},
		{closed("NATS_TOKEN", "planted", requester+"_USER", "orderwatch.x", requester+"_PASSWORD", "planted"), requester + "_USER: must not begin with ORDERWATCH_SERVICE_PREFIX"},
		{closed("NATS_TOKEN", "planted", requester+"_USER", "r", requester+"_PASSWORD", "planted", requester+"_TOKEN", "planted2"), requester + "_USER: is set together"},
		{[]string{"NATS_USER", "planted"}, "NATS_USER: must be set together"},
		{[]string{"NATS_PASSWORD", "planted"}, "NATS_USER: must be set together"},
		{[]string{"NATS_USER", "planted", "NATS_PASSWORD", "planted", "NATS_TOKEN", "planted"}, "NATS_USER: is set together with ORDERWATCH_NATS_TOKEN: keep one way"},
		{[]string{"NATS_CERT_FILE", "planted"}, "NATS_CERT_FILE: must be set together"},
		{[]string{"NATS_CREDS_FILE", "planted"}, "NATS_CREDS_FILE: no such file or directory: give the path"},
		{[]string{"NATS_JS_DOMAIN", "planted.>"}, "NATS_JS_DOMAIN: must be"},
		{[]string{"NATS_JS_API_PREFIX", "planted.>"}, "NATS_JS_API_PREFIX: must be"},
		{[]string{"NATS_JS_API_PREFIX", "planted", "NATS_JS_DOMAIN", "planted"}, "NATS_JS_API_PREFIX: is set together"},
		{[]string{"SUBJECT_PREFIX", "planted..a"}, "SUBJECT_PREFIX: must be"},
		{[]string{"SUBJECT_PREFIX", "planted.*"}, "SUBJECT_PREFIX: must be"},
		{[]string{"SUBJECT_PREFIX", strings.Repeat("planted", 10)}, "SUBJECT_PREFIX: must be"},
		{[]string{"SERVICE_PREFIX", "planted.a"}, "SERVICE_PREFIX: must be"},
		{[]string{"SERVICE_PREFIX", "orders"}, "SERVICE_PREFIX: must differ"},
		{[]string{"STREAM_PREFIX", "planted "}, "STREAM_PREFIX: must be"},
		{[]string{"STREAM_REPLICAS", "2"}, "STREAM_REPLICAS: must be 1, 3 or 5"},
		{[]string{"STREAM_REPLICAS", "planted"}, "STREAM_REPLICAS: must be a whole number"},
		{[]string{"EVENTS_MAX_AGE", "215h"}, "EVENTS_MAX_AGE: must be at least"},
		{[]string{"EVENTS_MAX_AGE", "90planted"}, "EVENTS_MAX_AGE: must be a duration"},
		{[]string{"PROVISION", "planted"}, "PROVISION: must be true or false"},
		{[]string{"MODELARTS_REGIONS", "cn-north-4,,planted"}, "MODELARTS_REGIONS: must be"},
		{[]string{"MODELARTS_REGIONS", "planted_4"}, "MODELARTS_REGIONS: must be"},
		{[]string{"MODELARTS_ENDPOINT", "ftp://planted"}, "MODELARTS_ENDPOINT: must be"},
		{[]string{"MODELARTS_ENDPOINT", "https://{region}.{region}.planted"}, "MODELARTS_ENDPOINT: must be"},
		{[]string{"MODELARTS_ENDPOINT", "https://planted@host"}, "MODELARTS_ENDPOINT: must be"},
		{[]string{"MODELARTS_ENDPOINT", "https://host/?planted"}, "MODELARTS_ENDPOINT: must be"},
		{[]string{"MODELARTS_ENDPOINT", "https://host/{planted}"}, "MODELARTS_ENDPOINT: must be"},
		{[]string{"MODELARTS_PROJECT_ID", "planted/.."}, "MODELARTS_PROJECT_ID: must be"},
		{[]string{"MODELARTS_IAM_ENDPOINT", "https://host/{planted}"}, "MODELARTS_IAM_ENDPOINT: must be"},
		{[]string{"MODELARTS_METADATA_ENDPOINT", "http://{region}.planted"}, "MODELARTS_METADATA_ENDPOINT: must be"},
		{[]string{"MODELARTS_CA_FILE", "planted"}, "MODELARTS_CA_FILE: no such file"},
		{[]string{"MODELARTS_TIMEOUT", "30s"}, "MODELARTS_TIMEOUT: must be"},
		{[]string{"MODELARTS_TIMEOUT", "0"}, "MODELARTS_TIMEOUT: must be"},
		{[]string{"MODELARTS_RATE", "0"}, "MODELARTS_RATE: must be"},
		{[]string{"MODELARTS_RATE", "10001"}, "MODELARTS_RATE: must be"},
		{[]string{"MODELARTS_RATE", "NaN"}, "MODELARTS_RATE: must be"},
		{[]string{"MODELARTS_RATE", "Inf"}, "MODELARTS_RATE: must be"},
		{[]string{"MODELARTS_RATE", "planted"}, "MODELARTS_RATE: must be a number"},
		{[]string{"MODELARTS_NOT_FOUND_GRACE", "-1s"}, "MODELARTS_NOT_FOUND_GRACE: must be"},
		{[]string{"POLL_INITIAL", "2m"}, "POLL_INITIAL: must be"},
		{[]string{"POLL_INITIAL", "0s"}, "POLL_INITIAL: must be"},
		{[]string{"POLL_MULTIPLIER", "0.9"}, "POLL_MULTIPLIER: must be"},
		{[]string{"POLL_MAX", "-1s"}, "POLL_MAX: must be"},
		{[]string{"POLL_JITTER", "1.1"}, "POLL_JITTER: must be"},
		{[]string{"POLL_MAX_SWEPT", "59s"}, "POLL_MAX_SWEPT: must be at least ORDERWATCH_POLL_MAX"},
		{[]string{"SWEEP_EVERY", "99ms"}, "SWEEP_EVERY: must be at least 100ms, or 0"},
		{[]string{"SWEEP_EVERY", "-1s"}, "SWEEP_EVERY: must be at least 100ms, or 0"},
		{[]string{"POLL_JITTER", "NaN"}, "POLL_JITTER: must be"},
		{[]string{"SETTLE", "-1s"}, "SETTLE: must be"},
		{[]string{"TIMEOUT", "49h"}, "TIMEOUT: must be"},
		{[]string{"TIMEOUT", "0s"}, "TIMEOUT: must be"},
		{[]string{"TIMEOUT_MAX", "0s"}, "TIMEOUT_MAX: must be"},
		{[]string{"CONCURRENCY", "0"}, "CONCURRENCY: must be"},
		{[]string{"CONCURRENCY", "10001"}, "CONCURRENCY: must be"},
		{[]string{"SLACK_TOKEN", "planted"}, "SLACK_CHANNEL: is not set"},
		{[]string{"SLACK_TOKEN", "planted ", "SLACK_CHANNEL", "C01"}, "SLACK_TOKEN: begins or ends with a blank"},
		{[]string{"SLACK_CHANNEL", "#planted"}, "SLACK_CHANNEL: must be"},
		{[]string{"SLACK_CHANNELS_ALLOWED", "C01,planted"}, "SLACK_CHANNELS_ALLOWED: must be"},
		{[]string{"SLACK_MENTION_ON_FAILURE", "U1"}, "SLACK_MENTION_ON_FAILURE: must be"},
		{[]string{"SLACK_MENTION_ON_FAILURE", "@planted"}, "SLACK_MENTION_ON_FAILURE: must be"},
		{[]string{"SLACK_MENTION_ON_FAILURE", "channel"}, "SLACK_MENTION_ON_FAILURE: must be"},
		{[]string{"SLACK_WEBHOOK_URL", "planted"}, "SLACK_WEBHOOK_URL: must be"},
		{[]string{"SLACK_API_URL", "planted"}, "SLACK_API_URL: must be"},
		{[]string{"SLACK_ROUTES_FILE", "/no/such/file", "SLACK_TOKEN", "x", "SLACK_CHANNEL", "C01"}, `SLACK_ROUTES_FILE: "/no/such/file": no such file`},
		{[]string{"TEAMS_FILE", "/no/such/file"}, `TEAMS_FILE: "/no/such/file": no such file`},
		{[]string{"TEAMS_FILE", "planted"}, `TEAMS_FILE: no such file or directory: give the path of a file`},
		{[]string{"TEAMS_FILE", wrong}, "TEAMS_FILE: " + wrong + ":1: unknown key; there is only teams"},
		{[]string{"SLACK_ROUTES_FILE", wrong, "SLACK_TOKEN", "x", "SLACK_CHANNEL", "C01"}, "SLACK_ROUTES_FILE: " + wrong + ":1: rule 1: "},
		{[]string{"SLACK_ROUTES_FILE", cmdtest.File(t, "rules: [{channels: [C0TEAM]}]")}, "SLACK_ROUTES_FILE: needs ORDERWATCH_SLACK_TOKEN"},
		{[]string{"CONSOLE_URL", "planted"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "http://planted.example/{order}"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://planted@host/{order}"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://host/{planted}"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://host/{Order}/planted"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://host/{{order}}/planted"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://host/planted}"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://{order}.planted.example/"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://planted:{order}/"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "{order}://planted/"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://{watch}@planted/"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://host/planted {order}"}, "CONSOLE_URL: must be"},
		{[]string{"CONSOLE_URL", "https://host/planted|{order}"}, "CONSOLE_URL: must be"},
		{[]string{"PUBLIC_URL", "https://host/planted/" + strings.Repeat("x", 1980)}, "PUBLIC_URL: must be"},
		{[]string{"PUBLIC_URL", "https://host/planted\u202e"}, "PUBLIC_URL: must be"},
		{[]string{"PUBLIC_URL", "//planted/{watch}"}, "PUBLIC_URL: must be"},
		{[]string{"PUBLIC_URL", "http://planted.example"}, "PUBLIC_URL: must be an https URL (http only on localhost)"},
		{[]string{"PUBLIC_URL", "https://host/planted?a"}, "PUBLIC_URL: is where orderwatch page is found, unless"},
		{[]string{"PUBLIC_URL", "https://host/planted#a"}, "PUBLIC_URL: is where orderwatch page is found, unless"},
		{[]string{"PUBLIC_URL", "https://host/planted" + strings.Repeat("x", 240)}, "PUBLIC_URL: is where orderwatch page is found, unless"},
		{[]string{"HTTP_ADDR", "planted:http"}, "HTTP_ADDR: must be"},
		{[]string{"PPROF_ADDR", "6060"}, "PPROF_ADDR: must be"},
		{[]string{"INBOX_PREFIXES", "$KV"}, "INBOX_PREFIXES: must be"},
		{[]string{"INBOX_PREFIXES", "team,planted.>"}, "INBOX_PREFIXES: must be"},
		{[]string{"INBOX_PREFIXES", "orders.completed"}, "INBOX_PREFIXES: must be"},
		{[]string{"INBOX_PREFIXES", "a", "SERVICE_PREFIX", "ow", "SUBJECT_PREFIX", "a.b"}, "INBOX_PREFIXES: must be"},
		{[]string{"PPROF_ADDR", ":6060"}, "PPROF_ADDR: shows the process's memory"},
		{[]string{"PPROF_ADDR", "planted.example:6060"}, "PPROF_ADDR: shows"},
		{[]string{"MODELARTS_ENDPOINT", "http://planted.example/{region}"}, "MODELARTS_ENDPOINT: is plain http"},
		{[]string{"MODELARTS_ENDPOINT", "HTTP://127.0.0.1.planted.example"}, "MODELARTS_ENDPOINT: is plain http"},
		{[]string{"MODELARTS_IAM_ENDPOINT", "http://iam.{region}.planted.example"}, "MODELARTS_IAM_ENDPOINT: is plain http"},
		{[]string{"SLACK_WEBHOOK_URL", "http://hooks.example/planted"}, "SLACK_WEBHOOK_URL: is plain http"},
		{[]string{"SLACK_API_URL", "http://planted.example/api/"}, "SLACK_API_URL: is plain http"},
		{[]string{"HEARTBEAT_URL", "http://hc.planted/x"}, "HEARTBEAT_URL: must be an https URL"},
		{[]string{"HEARTBEAT_URL", "http://127.0.0.1.planted/x"}, "HEARTBEAT_URL: must be"},
		{[]string{"HEARTBEAT_URL", "https://a:planted@hc.example/x"}, "HEARTBEAT_URL: must be"},
		{[]string{"HEARTBEAT_URL", "https://hc.example/pl anted"}, "HEARTBEAT_URL: must be"},
		{[]string{"HEARTBEAT_URL", "https:///planted"}, "HEARTBEAT_URL: must be"},
		{[]string{"HEARTBEAT_URL", "hc.planted/x"}, "HEARTBEAT_URL: must be"},
		{[]string{"LOG_LEVEL", "planted"}, "LOG_LEVEL: must be"},
		{[]string{"LOG_LEVEL", "info+2"}, "LOG_LEVEL: must be"},
		{[]string{"LOG_FORMAT", "planted"}, "LOG_FORMAT: must be"},
		// What serve needs.
		{[]string{"NATS_URL", ""}, "NATS_URL: is not set"},
		{[]string{"SLACK_PROGRESS", "true", "SLACK_WEBHOOK_URL", "https://hooks.example/planted"}, "SLACK_PROGRESS: needs ORDERWATCH_SLACK_TOKEN"},
		{[]string{"MODELARTS_REGIONS", ""}, "MODELARTS_REGIONS: is not set"},
		{[]string{"MODELARTS_TOKEN", ""}, "MODELARTS_TOKEN: is not set"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.vars, " "), func(t *testing.T) {
			cmdtest.Setenv(t, cmdtest.With(cmdtest.Least(), test.vars...))
			_, err := LoadServe()
			wantLine(t, err, Prefix+test.want)
		})
	}
}

// TestInsecure holds that one variable lets all of that pass, and that this machine needs none.
func TestInsecure(t *testing.T) {
	open := []string{
		"PPROF_ADDR", "0.0.0.0:6060", "MODELARTS_ENDPOINT", "http://cloud", "MODELARTS_IAM_ENDPOINT", "http://iam",
		"SLACK_WEBHOOK_URL", "http://hooks", "SLACK_API_URL", "http://slack",
	}
	cmdtest.Setenv(t, cmdtest.With(cmdtest.Least(), open...))
	if _, err := LoadServe(); err == nil || strings.Count(err.Error(), "ORDERWATCH_ALLOW_INSECURE=true") != 5 {
		t.Errorf("got %v; want five problems that name the variable", err)
	}
	cmdtest.Setenv(t, cmdtest.With(cmdtest.Least(), append(open, "ALLOW_INSECURE", "true")...))
	if _, err := LoadServe(); err != nil {
		t.Errorf("although it is allowed: %v", err)
	}
	here := []string{
		"PPROF_ADDR", "[::1]:6060", "MODELARTS_ENDPOINT", "http://127.8.9.1:1/{region}", "MODELARTS_IAM_ENDPOINT", "http://localhost:1",
		"SLACK_WEBHOOK_URL", "http://[::1]:1", "SLACK_API_URL", "http://[::ffff:127.0.0.1]:1",
	}
	cmdtest.Setenv(t, cmdtest.With(cmdtest.Least(), here...))
	if _, err := LoadServe(); err != nil {
		t.Errorf("on this machine: %v", err)
	}
}

// wantLine fails unless a line of err begins like this, and where err shows what was planted.
func wantLine(t *testing.T, err error, begin string) {
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

func TestAllFoundAtOnce(t *testing.T) {
	cmdtest.Setenv(t, map[string]string{"POLL_MAX": "fast", "CONCURRENCY": "many", "NATS_ULR": "x", "HTTP_ADDR": "8080"})
	_, err := LoadServe()
	want := `ORDERWATCH_NATS_ULR: no such variable: did you mean ORDERWATCH_NATS_URL?
ORDERWATCH_POLL_MAX: must be a duration such as 90s or 1h30m
ORDERWATCH_CONCURRENCY: must be a whole number
ORDERWATCH_HTTP_ADDR: must be host:port
ORDERWATCH_NATS_URL: is not set: set it, or ORDERWATCH_EMBEDDED_NATS_DIR
ORDERWATCH_MODELARTS_REGIONS: is not set: name at least one region, such as cn-north-4
ORDERWATCH_MODELARTS_TOKEN: is not set: set it, or ORDERWATCH_MODELARTS_ACCESS_KEY and _SECRET_KEY, or ORDERWATCH_MODELARTS_USER, _PASSWORD and _DOMAIN, or ORDERWATCH_MODELARTS_ECS_AGENCY=true`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// TestProblems holds that what is wrong comes as values: nobody has to read it out of a text.
func TestProblems(t *testing.T) {
	routes := cmdtest.File(t, "rules:\n- is not set: x\n- channels: y\n")
	cmdtest.Setenv(t, map[string]string{
		"NATS_ULR": "x", "POLL_MAX": "fast", "MODELARTS_USER": "u", "MODELARTS_DOMAIN": "d",
		"SLACK_TOKEN": "xoxb-1", "SLACK_ROUTES_FILE": routes, "MODELARTS_REGIONS": "cn-north-4",
	})
	_, err := LoadServe()
	got, _ := errors.AsType[Problems](err)
	for i := range got {
		if !strings.HasPrefix(got[i].Variable, Prefix) || strings.Contains(got[i].What, "\n") {
			t.Errorf("%+v", got[i])
		}
		got[i].What = ""
	}
	want := Problems{
		{Variable: "ORDERWATCH_NATS_ULR", Unknown: true},
		{Variable: "ORDERWATCH_POLL_MAX"},
		{Variable: "ORDERWATCH_SLACK_CHANNEL", Missing: true},
		{Variable: "ORDERWATCH_SLACK_ROUTES_FILE"}, // a line of the file each
		{Variable: "ORDERWATCH_SLACK_ROUTES_FILE"},
		{Variable: "ORDERWATCH_NATS_URL", Missing: true},
		{Variable: "ORDERWATCH_MODELARTS_PASSWORD"}, // its other half is there
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v from:\n%v", got, err)
	}
}

func TestSecretFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, v := range variables(new(Config)) {
		if !v.secret() {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			read := func() (Secret, error) {
				c, err := Load()
				i := slices.IndexFunc(variables(&c), func(w variable) bool { return w.name == v.name })
				return variables(&c)[i].value.Interface().(Secret), err
			}
			base := cmdtest.With(nil, "SLACK_CHANNEL", "C01")
			switch v.name {
			case "NATS_PASSWORD":
				base["NATS_USER"] = "u"
			case "EMBEDDED_NATS_REQUESTER_PASSWORD":
				base["EMBEDDED_NATS_REQUESTER_USER"] = "u"
			}
			for _, end := range []string{"", "\n", "\r\n"} {
				cmdtest.Setenv(t, cmdtest.With(base, v.name+"_FILE", cmdtest.File(t, "https://secret"+end)))
				if s, err := read(); err != nil || s.Reveal() != "https://secret" {
					t.Errorf("file ending in %q: %v, %q", end, err, s.Reveal())
				}
			}
			name := Prefix + v.name
			for _, test := range []struct{ vars, path, want string }{
				{"", missing, name + `_FILE: "` + missing + `": no such file or directory: give the path of a file`},
				{"", "planted", name + "_FILE: no such file or directory: give the path of a file"},
				{"", cmdtest.File(t, "\n"), name + "_FILE: names an empty file"},
				{"https://planted", cmdtest.File(t, "https://planted"), name + ": is set twice"},
			} {
				cmdtest.Setenv(t, cmdtest.With(base, v.name, test.vars, v.name+"_FILE", test.path))
				_, err := read()
				wantLine(t, err, test.want)
				if n := strings.Count(err.Error(), "\n"); n > 0 {
					t.Errorf("more than one error: %v", err)
				}
			}
		})
	}
}

// TestMisspelt makes every slip of one letter in every variable's name.
func TestMisspelt(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	known := names(new(Config))
	n := 0
	for _, name := range known {
		name = Prefix + name
		slipped := map[string]bool{}
		for i := range len(name) + 1 {
			for _, letter := range letters {
				slipped[name[:i]+string(letter)+name[i:]] = true
				if i < len(name) {
					slipped[name[:i]+string(letter)+name[i+1:]] = true
				}
			}
			if i < len(name) {
				slipped[name[:i]+name[i+1:]] = true
			}
			if i+1 < len(name) {
				slipped[name[:i]+name[i+1:i+2]+name[i:i+1]+name[i+2:]] = true
			}
		}
		var environ []string
		for misspelt := range slipped {
			if short, ours := strings.CutPrefix(misspelt, Prefix); !ours || !slices.Contains(known, short) {
				environ = append(environ, misspelt+"=planted")
			}
		}
		n += len(environ)
		var p Problems
		p.misspelt(environ)
		if len(p) != len(environ) {
			t.Errorf("%s: %d of %d slips refused", name, len(p), len(environ))
		}
		for _, one := range p {
			if !one.Unknown || !slipped[one.Variable] || !strings.HasPrefix(one.What, "no such variable: did you mean ORDERWATCH_") || strings.Contains(one.What, "planted") {
				t.Errorf("for %s: %v", name, one)
			}
		}
	}
	t.Logf("%d misspelt names refused", n)
}

func TestUnknownNames(t *testing.T) {
	tests := []struct{ name, want string }{
		{"ORDERWATCH_SERVICE_HOST", ""},
		{"ORDERWATCH_SERVICE_PORT", ""},
		{"ORDERWATCH_SERVICE_PORT_HTTP", ""},
		{"ORDERWATCH_PORT", ""},
		{"ORDERWATCH_PORT_8080_TCP_ADDR", ""},
		{"NATS_URL", ""},
		{"PATH", ""},
		{"ORDERWATCH_NATS_CREDS", "did you mean ORDERWATCH_NATS_CREDS_FILE?"},
		{"ORDERWATCH_NATS_ULR", "did you mean ORDERWATCH_NATS_URL?"},
		{"ORDERWATCH_HTTP_ADRESS", "did you mean ORDERWATCH_HTTP_ADDR?"},
		{"orderwatch_nats_url", "did you mean ORDERWATCH_NATS_URL?"},
		{"ORDERWACH_NATS_URL", "did you mean ORDERWATCH_NATS_URL?"},
		{"ORDERWATCHNATS_URL", "did you mean ORDERWATCH_NATS_URL?"},
		{"ORDERWATCH_HTTP_ADDR_FILE", "unset it"},
		{"ORDERWATCH_", "unset it"},
		{"ORDERWATCH_METRICS_SERVICE_HOST", "unset it"},
	}
	for _, test := range tests {
		var p Problems
		p.misspelt([]string{test.name + "=x"})
		switch {
		case test.want == "" && len(p) != 0:
			t.Errorf("%s: %v", test.name, p[0])
		case test.want != "" && (len(p) != 1 || !strings.Contains(p[0].Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.name, p, test.want)
		}
	}
}

func TestSecretPrintsRedacted(t *testing.T) {
	secret := NewSecret("planted")
	hidden := struct{ s Secret }{secret}
	c := Config{Slack: Slack{Token: secret}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08.3f"} {
		for _, arg := range []any{secret, &secret, hidden, &hidden, c, &c, []Secret{secret}, map[Secret]Secret{secret: secret}, fmt.Errorf("a "+verb, secret)} {
			fmt.Fprintf(&out, verb+"\n", arg)
		}
		if got := fmt.Sprintf(verb, secret); got != "[redacted]" {
			t.Errorf("%s: %s", verb, got)
		}
	}
	fmt.Fprintln(&out, secret, c)
	for _, v := range []any{secret, hidden, c, map[Secret]string{secret: ""}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(text)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("m", "secret", secret, "config", c, "hidden", hidden, slog.Any("p", &c))
	}
	for _, planted := range []string{"planted", "706c616e746564", "706C616E746564"} {
		if strings.Contains(out.String(), planted) {
			t.Errorf("shows the secret:\n%s", out.String())
		}
	}
	if secret.Reveal() != "planted" || !secret.IsSet() || NewSecret("").IsSet() || (Secret{}).Reveal() != "" {
		t.Error("Reveal or IsSet")
	}
}

func TestConfigTable(t *testing.T) {
	cmdtest.Golden(t, "testdata/configuration.txt", Table())
}

// TestConfigurationPage holds the table of deploy/CONFIGURATION.md against the code.
func TestConfigurationPage(t *testing.T) {
	cmdtest.GoldenPart(t, "../../../deploy/CONFIGURATION.md", "configuration", markdown())
}

// markdown returns what [Table] says as a Markdown table.
func markdown() string {
	var b strings.Builder
	b.WriteString(tableIntro)
	b.WriteString("\n| variable | default | meaning |\n|---|---|---|\n")
	for _, v := range variables(new(Config)) {
		b.WriteString("| " + strings.Join(v.row(), " | ") + " |\n")
	}
	return b.String()
}

// FuzzValues sets any variable to anything: it is read or refused, and never shown.
func FuzzValues(f *testing.F) {
	for i := range names(new(Config)) {
		for _, value := range []string{"", "1", "nats://u:p@h:1,", "https://{region}/", ":1", "-1h", "NaN", "\xff\n", "/"} {
			f.Add(i, value)
		}
	}
	f.Fuzz(func(t *testing.T, i int, value string) {
		all := names(new(Config))
		if i < 0 || i >= len(all) || strings.Contains(value, "\x00") || filepath.IsAbs(value) {
			t.Skip()
		}
		cmdtest.Setenv(t, cmdtest.With(nil, all[i], value+"planted"))
		if _, err := LoadServe(); err == nil {
			t.Error("serve starts with one variable")
		} else if strings.Contains(err.Error(), "planted") {
			t.Errorf("shows the value: %v", err)
		}
	})
}
