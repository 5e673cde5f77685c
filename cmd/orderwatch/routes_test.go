package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

// testRoutes is a file with a rule for each thing that a rule can say.
const testRoutes = `rules:
  - match:
      projects: [my-project]
      labels: {team: gpu, env: [prod, staging]}
    channels: [C0GPU, C0ONCALL]
    mention: S0GPUONCALL
    mention_on: [late, deadline]
    fallback: C0OPS
    quiet_successes: true
    progress: true
  - match: {labels: {team: storage}}
    channels: [C0STORE]
    mention: none
  - match: {labels: {team: net}}
    mention: here
    quiet_successes: true
  - match: {labels: {team: guided}}
    mention: none
    runbook:
      - {cause: Sold "out" in *, url: https://wiki.example/sold-out}
      - {cause: "*", url: "https://wiki.example/a-page-with-a-long-address/that-does-not-fit-into-one-line#on-call"}
    env: stage
`

// routesFile writes a file of routes, and returns its directory, where a command is to be run to see its
// short name.
func routesFile(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "routes.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
}

// routesTest runs the command, and returns what it printed.
func routesTest(t *testing.T, args ...string) (code exit.Code, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), append([]string{"routes", "test"}, args...), &stdout, &stderr)
	for line := range strings.Lines(stdout.String()) {
		if n := output.Width(strings.TrimSuffix(line, "\n")); n > helpWidth && !strings.HasPrefix(line, "{") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	return code, stdout.String(), stderr.String()
}

// TestRoutesTest holds what people read of where an order's messages go.
func TestRoutesTest(t *testing.T) {
	slack := map[string]string{"SLACK_CHANNEL": "C0DEFAULT", "SLACK_MENTION_ON_FAILURE": "U0ANN", "SLACK_CHANNELS_ALLOWED": "C0ASKED"}
	for _, tt := range []struct {
		name string
		env  map[string]string
		args string
		want string
	}{
		{"all is said", nil, "my-project/order.a team=gpu env=prod", `my-project/order.a with env=prod, team=gpu

a failure   goes to C0GPU and C0ONCALL; it wakes the group S0GPUONCALL
a success   only ends the message that shows how far the order was, and so does
            a watch that was cancelled (quiet_successes)
meanwhile   a message there shows how far the order is, after a minute
            (progress), and whether it is late, stalled, blind or near its
            deadline; it wakes the group S0GPUONCALL for late, deadline
            (mention_on)
refused     what a channel finally refuses goes to C0OPS, then to the default
            channel (ORDERWATCH_SLACK_CHANNEL is not set here)
why         rule 1 matches (routes.yaml:2): project my-project, label team=gpu,
            label env=prod
`},
		{"as the environment says", slack, "p/order.a team=storage", `p/order.a with team=storage

a failure   goes to C0STORE; it wakes nobody
a success   goes there, too, and wakes nobody
meanwhile   a message there says whether the order is late, stalled, blind or
            near its deadline; it wakes nobody
refused     what a channel finally refuses goes to C0DEFAULT
why         rule 2 matches (routes.yaml:11): label team=storage
            rule 1 (line 2) does not match: the project is p, not my-project
`},
		{"by default", cmdtest.With(slack, "SLACK_PROGRESS", "true"), "my-project/order.a", `my-project/order.a

a failure   goes to C0DEFAULT, the default channel; it wakes the user U0ANN
a success   goes there, too, and wakes nobody
meanwhile   a message there shows how far the order is, after a minute
            (progress), and whether it is late, stalled, blind or near its
            deadline; it wakes nobody
refused     what the channel finally refuses is kept as an event: orderwatch
            events --kind undelivered
why         no rule matches, so the defaults decide
            rule 1 (line 2) does not match: there is no label team
            rule 2 (line 11) does not match: there is no label team
            rule 3 (line 14) does not match: there is no label team
            rule 4 (line 17) does not match: there is no label team
`},
		{"runbooks and the environment", slack, "p/order.a team=guided stage=prod", `p/order.a with stage=prod, team=guided

a failure   goes to C0DEFAULT, the default channel; it wakes nobody
a success   goes there, too, and wakes nobody
meanwhile   a message there says whether the order is late, stalled, blind or
            near its deadline; it wakes nobody
refused     what the channel finally refuses is kept as an event: orderwatch
            events --kind undelivered
runbook     "Sold \"out\" in *": https://wiki.example/sold-out
            "*":
            https://wiki.example/a-page-with-a-long-address/that-does-not-fit-in
            to-one-line#on-call
env         prod, by the label stage
why         rule 4 matches (routes.yaml:17): label team=guided
            rule 1 (line 2) does not match: the project is p, not my-project
            rule 2 (line 11) does not match: label team is guided, not storage
            rule 3 (line 14) does not match: label team is guided, not net
`},
		{"the default channel is one of two", cmdtest.With(slack, "SLACK_CHANNEL", "C0ONCALL"), "my-project/order.a team=gpu env=prod", `my-project/order.a with env=prod, team=gpu

a failure   goes to C0GPU and C0ONCALL; it wakes the group S0GPUONCALL
a success   only ends the message that shows how far the order was, and so does
            a watch that was cancelled (quiet_successes)
meanwhile   a message there shows how far the order is, after a minute
            (progress), and whether it is late, stalled, blind or near its
            deadline; it wakes the group S0GPUONCALL for late, deadline
            (mention_on)
refused     what C0GPU finally refuses goes to C0OPS, then to C0ONCALL
            what C0ONCALL finally refuses goes to C0OPS
why         rule 1 matches (routes.yaml:2): project my-project, label team=gpu,
            label env=prod
`},
		{"the request names the fallback", cmdtest.With(slack, "SLACK_CHANNEL", "C0OPS"), "--channel C0OPS my-project/order.a team=gpu env=prod", `my-project/order.a with env=prod, team=gpu

a failure   goes to C0OPS; it wakes the group S0GPUONCALL
a success   only ends the message that shows how far the order was, and so does
            a watch that was cancelled (quiet_successes)
meanwhile   a message there shows how far the order is, after a minute
            (progress), and whether it is late, stalled, blind or near its
            deadline; it wakes the group S0GPUONCALL for late, deadline
            (mention_on)
refused     what the channel finally refuses is kept as an event: orderwatch
            events --kind undelivered
why         rule 1 matches (routes.yaml:2): project my-project, label team=gpu,
            label env=prod; the request names the channel itself
`},
		{"a default that is not known", nil, "p/order.a team=net", `p/order.a with team=net

a failure   goes to the default channel (ORDERWATCH_SLACK_CHANNEL is not set
            here); it wakes everybody who is active there (@here)
a success   only ends a message that stands there already, and so does a watch
            that was cancelled (quiet_successes)
meanwhile   a message there says whether the order is late, stalled, blind or
            near its deadline; it wakes nobody
refused     what the channel finally refuses is kept as an event: orderwatch
            events --kind undelivered
why         rule 3 matches (routes.yaml:14): label team=net
            rule 1 (line 2) does not match: the project is p, not my-project
            rule 2 (line 11) does not match: label team is net, not storage
note        what no rule says of whom it wakes and what comes meanwhile is as
            _MENTION_ON_FAILURE and _PROGRESS are set here, and may be otherwise
            where the workers run
`},
		{"a channel that the request names", slack, "--channel C0ASKED p/order.a team=storage", `p/order.a with team=storage

a failure   goes to C0ASKED; it wakes nobody
a success   goes there, too, and wakes nobody
meanwhile   a message there says whether the order is late, stalled, blind or
            near its deadline; it wakes nobody
refused     what a channel finally refuses goes to C0DEFAULT
why         rule 2 matches (routes.yaml:11): label team=storage; the request
            names the channel itself
            rule 1 (line 2) does not match: the project is p, not my-project
`},
		{"a channel that is not allowed", cmdtest.With(slack, "SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/planted"), "--channel C0ELSE p/order.a team=storage", `p/order.a with team=storage

a failure   goes to C0ELSE; it wakes nobody
a success   goes there, too, and wakes nobody
meanwhile   a message there says whether the order is late, stalled, blind or
            near its deadline; it wakes nobody
refused     what a channel finally refuses goes to C0DEFAULT, then to the
            webhook
why         rule 2 matches (routes.yaml:11): label team=storage; the request
            names the channel itself
            rule 1 (line 2) does not match: the project is p, not my-project
note        a webhook is configured here, and no token: everything goes to the
            webhook's own channel, whatever rules and requests name
            workers refuse a request that names C0ELSE, unless their
            ORDERWATCH_SLACK_CHANNELS_ALLOWED has it
`},
		{"the project that is configured", cmdtest.With(slack, "MODELARTS_PROJECT_ID", "my-project"), "order.a team=gpu env=\x1b[31m", "label \"env\": must hold no control or invisible characters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmdtest.Setenv(t, cmdtest.With(tt.env, "SLACK_ROUTES_FILE", "routes.yaml"))
			routesFile(t, testRoutes)
			code, out, errs := routesTest(t, strings.Fields(tt.args)...)
			if code == exit.Misuse && strings.Contains(errs, tt.want) {
				return
			}
			if code != 0 || out != tt.want || errs != "" {
				t.Errorf("exit code %d, stderr %q, got\n%s\nwant\n%s", code, errs, out, tt.want)
			}
		})
	}
}

// TestRoutesTestManyRules holds that many rules that do not match are summed up.
func TestRoutesTestManyRules(t *testing.T) {
	cmdtest.Setenv(t, map[string]string{"SLACK_CHANNEL": "C0DEFAULT"})
	text := "rules:\n"
	for _, name := range "abcdefghijklmno" {
		text += "  - {match: {labels: {team: " + string(name) + "}}, mention: none}\n"
	}
	routesFile(t, text)
	code, out, errs := routesTest(t, "--file", "routes.yaml", "p/order.a", "team=z")
	if code != 0 || errs != "" || strings.Count(out, "does not match") != 10 || !strings.HasSuffix(out, "            nor do 5 rules after these\n") {
		t.Errorf("exit code %d, stderr %q:\n%s", code, errs, out)
	}
}

// TestRoutesTestJSON holds what programs read.
func TestRoutesTestJSON(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		args string
		want map[string]any
	}{
		{"all is said", nil, "my-project/order.a team=gpu env=prod", map[string]any{
			"project_id": "my-project", "order_name": "order.a", "labels": map[string]any{"team": "gpu", "env": "prod"},
			"channels": []any{"C0GPU", "C0ONCALL"}, "channels_from": "rule", "mention": "S0GPUONCALL", "mention_on": []any{"late", "deadline"}, "fallbacks": []any{"C0OPS"},
			"quiet_successes": true, "progress": true,
			"why": map[string]any{"file": "routes.yaml", "rule": 1.0, "line": 2.0, "matched": []any{"project my-project", "label team=gpu", "label env=prod"}},
		}},
		{"a default that is not known", nil, "p/order.a team=storage --channel C0ASKED", map[string]any{
			"project_id": "p", "order_name": "order.a", "labels": map[string]any{"team": "storage"}, "slack_channel": "C0ASKED",
			"channels": []any{"C0ASKED"}, "channels_from": "request", "mention": "", "fallbacks": []any{}, "quiet_successes": false, "progress": false,
			"why":      map[string]any{"file": "routes.yaml", "rule": 2.0, "line": 11.0, "matched": []any{"label team=storage"}, "asked": true},
			"no_match": []any{map[string]any{"rule": 1.0, "line": 2.0, "reason": "the project is p, not my-project"}},
			"notes": []any{
				"workers refuse a request that names C0ASKED, unless their ORDERWATCH_SLACK_CHANNELS_ALLOWED has it",
				"what no rule says of whom it wakes and what comes meanwhile is as _MENTION_ON_FAILURE and _PROGRESS are set here, and may be otherwise where the workers run",
			},
		}},
		{"by default", map[string]string{"SLACK_CHANNEL": "C0DEFAULT"}, "p/order.a team=x", map[string]any{
			"project_id": "p", "order_name": "order.a", "labels": map[string]any{"team": "x"},
			"channels": []any{"C0DEFAULT"}, "channels_from": "default", "mention": "", "fallbacks": []any{}, "quiet_successes": false, "progress": false,
			"why": map[string]any{"file": "routes.yaml"},
			"no_match": []any{
				map[string]any{"rule": 1.0, "line": 2.0, "reason": "the project is p, not my-project"},
				map[string]any{"rule": 2.0, "line": 11.0, "reason": "label team is x, not storage"},
				map[string]any{"rule": 3.0, "line": 14.0, "reason": "label team is x, not net"},
				map[string]any{"rule": 4.0, "line": 17.0, "reason": "label team is x, not guided"},
			},
		}},
		{"runbooks and the environment", map[string]string{"SLACK_CHANNEL": "C0DEFAULT"}, "p/order.a team=guided", map[string]any{
			"project_id": "p", "order_name": "order.a", "labels": map[string]any{"team": "guided"},
			"channels": []any{"C0DEFAULT"}, "channels_from": "default", "mention": "", "fallbacks": []any{}, "quiet_successes": false, "progress": false,
			"runbooks": []any{
				map[string]any{"cause": `Sold "out" in *`, "url": "https://wiki.example/sold-out"},
				map[string]any{"cause": "*", "url": "https://wiki.example/a-page-with-a-long-address/that-does-not-fit-into-one-line#on-call"},
			},
			"env_label": "stage",
			"why":       map[string]any{"file": "routes.yaml", "rule": 4.0, "line": 17.0, "matched": []any{"label team=guided"}},
			"no_match": []any{
				map[string]any{"rule": 1.0, "line": 2.0, "reason": "the project is p, not my-project"},
				map[string]any{"rule": 2.0, "line": 11.0, "reason": "label team is guided, not storage"},
				map[string]any{"rule": 3.0, "line": 14.0, "reason": "label team is guided, not net"},
			},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmdtest.Setenv(t, tt.env)
			routesFile(t, testRoutes)
			code, out, errs := routesTest(t, append(strings.Fields(tt.args), "--file", "routes.yaml", "-o", "json")...)
			var got map[string]any
			if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || strings.Count(out, "\n") != 1 {
				t.Fatalf("exit code %d, %v, %q, %q", code, err, out, errs)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

// TestRoutesTestRefuses holds what is said of a command line, an environment or a file that is wrong.
func TestRoutesTestRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		code exit.Code
		want string
	}{
		{"no order", nil, nil, exit.Misuse, "no order is named: orderwatch routes test PROJECT/ORDER [LABEL=VALUE]..."},
		{"no project", nil, []string{"order.a"}, exit.Misuse, `"order.a" names no project: write PROJECT/ORDER`},
		{"no order's name", nil, []string{"p/order..a"}, exit.Misuse, `"p/order..a" is no order: the order's name must be`},
		{"two orders", nil, []string{"p/order.a", "p/order.b"}, exit.Misuse, `label "p/order.b": write it as key=value`},
		{"label without a key", nil, []string{"p/o", "=gpu"}, exit.Misuse, `label "=gpu": write it as key=value`},
		{"label twice", nil, []string{"p/o", "team=a", "team=b"}, exit.Misuse, `label "team=b": this key comes twice`},
		{"long value", nil, []string{"p/o", "team=" + strings.Repeat("x", 257)}, exit.Misuse, `label "team": has 257 characters; at most 256 are taken`},
		{"channel's name", nil, []string{"--channel", "#gpu", "p/o"}, exit.Misuse, `--channel: "#gpu" must be a channel's ID such as C0123456789, not its name`},
		{"no file", nil, []string{"p/o"}, exit.Misuse, "which file? Name it with --file PATH, or set ORDERWATCH_SLACK_ROUTES_FILE"},
		{"no such file", nil, []string{"--file", "nowhere.yaml", "p/o"}, exit.Trouble, "open nowhere.yaml: no such file or directory"},
		{"a directory", nil, []string{"--file", ".", "p/o"}, exit.Trouble, "read .: is a directory"},
		{"no default channel", map[string]string{"SLACK_CHANNEL": "gpu"}, []string{"--file", "routes.yaml", "p/o"}, exit.Trouble, "ORDERWATCH_SLACK_CHANNEL: must be a channel's ID"},
		{"misspelt", map[string]string{"SLACK_CHANEL": "C0A"}, []string{"--file", "routes.yaml", "p/o"}, exit.Trouble, "ORDERWATCH_SLACK_CHANEL: no such variable: did you mean ORDERWATCH_SLACK_CHANNEL?"},
		{"bad file", map[string]string{"SLACK_ROUTES_FILE": "bad.yaml"}, []string{"p/o"}, exit.Trouble, "orderwatch: bad.yaml:2: rule 1: channels must be a list, such as [C0123456789], not a text\n" +
			"bad.yaml:3: rule 1: unknown key; there are match, channels, mention, mention_on, fallback, quiet_successes, progress, runbook, env\n"},
		{"unknown command", nil, nil, exit.Misuse, `unknown command "tset": did you mean test?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmdtest.Setenv(t, tt.env)
			routesFile(t, testRoutes)
			if err := os.WriteFile("bad.yaml", []byte("rules:\n  - channels: C0A\n    mentions: here\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			args := append([]string{"routes", "test"}, tt.args...)
			if tt.name == "unknown command" {
				args[1] = "tset"
			}
			if code := run(context.Background(), args, &stdout, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.want) || stdout.Len() > 0 {
				t.Errorf("exit code %d; want %d and %q in:\n%s%s", code, tt.code, tt.want, &stderr, &stdout)
			}
		})
	}
}

// TestRoutesTestElsewhere holds that a bad environment is no obstacle where routes do not depend on it:
// the file is tried on any machine.
func TestRoutesTestElsewhere(t *testing.T) {
	cmdtest.Setenv(t, map[string]string{
		"NATS_CREDS_FILE": "/nowhere", "SLACK_TOKEN_FILE": "/nowhere", "POLL_INITIAL": "soon", "SLACK_ROUTES_FILE": "/nowhere/routes.yaml", "SLACK_CHANNEL": "C0DEFAULT",
	})
	routesFile(t, testRoutes)
	if code, out, errs := routesTest(t, "--file", "routes.yaml", "p/o"); code != 0 || errs != "" || !strings.Contains(out, "C0DEFAULT, the default channel") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}

// TestRoutesHelp holds that the command alone tells of the file, with an example that can be read.
func TestRoutesHelp(t *testing.T) {
	cmdtest.Setenv(t, nil)
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{"routes"}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	var example []string
	for line := range strings.Lines(stdout.String()) {
		if strings.HasPrefix(line, "  rules:") || len(example) > 0 && strings.HasPrefix(line, "    ") {
			example = append(example, line)
		} else if len(example) > 0 {
			break
		}
	}
	routesFile(t, strings.Join(example, ""))
	code, out, errs := routesTest(t, "--file", "routes.yaml", "my-project/order.a", "team=gpu", "env=staging")
	if code != 0 || !strings.Contains(out, "goes to C0GPU and C0ONCALL; it wakes the group S0GPUONCALL") || !strings.Contains(out, `runbook     "sold out": https://wiki.example/sold-out`) || !strings.Contains(out, "env         staging, by the label env\n") {
		t.Errorf("the example of the help: exit code %d, %s%s", code, out, errs)
	}
	if !slices.Contains(strings.Fields(stdout.String()), "test") {
		t.Errorf("the help does not list test:\n%s", &stdout)
	}
}
