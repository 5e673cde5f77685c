package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/events/teams"
)

// TestTeamsTest holds what people and programs are told of a file of teams.
func TestTeamsTest(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("teams.yaml", `teams:
  gpu:
    projects: [my-project, "gpu-*"]
    channels: [C0GPU, C0ONCALL]
    limits: {open_watches: 100, timeout: 12h, requests_per_minute: 60}
  net: {projects: [my-net]}
`)
	write("bad.yaml", "teams:\n  gpu: {project: [a]}\n  net: {projects: [a_b]}\n")
	write("token", "xoxb-planted-token\n")
	cmdtest.Setenv(t, map[string]string{"TEAMS_FILE": "teams.yaml"})
	for _, tt := range []struct {
		args []string
		code exit.Code
		want string // what is printed, or a part of the error
	}{
		{[]string{"gpu", "gpu-7"}, exit.Done, `gpu and gpu-7

ruling      allowed
why         gpu-* is one of the projects of team gpu (teams.yaml:2)
projects    my-project, gpu-*
channels    its requests may name C0GPU, C0ONCALL
limits      100 open watches; a timeout of 12h0m0s at most; 60 requests a
            minute, over all workers
`},
		{[]string{"orders.watch.net", "my-project"}, exit.Done, `net and my-project

ruling      refused
why         none of the projects of team net is it (teams.yaml:6)
projects    my-net
channels    its requests may name none: they are told where the routes say
limits      none of its own
`},
		{[]string{"orderwatch.list.net"}, exit.Done, `net

ruling      allowed
why         team net begins in line 6 of teams.yaml
projects    my-net
channels    its requests may name none: they are told where the routes say
limits      none of its own
`},
		{[]string{"ops"}, exit.Done, "ops\n\nruling      refused\nwhy         teams.yaml does not name this team\n"},
		{[]string{"orders.watch", "anything"}, exit.Done, `the operator and anything

ruling      allowed
why         a subject that names no team is the operator's, who may all: NATS
            permissions say who may use it
`},
		{nil, exit.Misuse, "name a team or a subject"},
		{[]string{"orders.completed.gpu"}, exit.Misuse, `"orders.completed.gpu" is no subject of requests: those begin with orders.watch or orderwatch.`},
		{[]string{"orders.watch.a.b"}, exit.Misuse, `"a.b" is no team's name`},
		{[]string{""}, exit.Misuse, "an empty text names no team"},
		{[]string{"gpu", "a_b"}, exit.Misuse, `"a_b" is no project's id`},
		{[]string{"gpu", "--file", "bad.yaml"}, exit.Trouble, "bad.yaml:2: team 1: unknown key of a team; there are projects, channels, limits\nbad.yaml:3: team 2: entry 1 of projects must be"},
		{[]string{"gpu", "--file", "token"}, exit.Trouble, "token:1: the file must be keys and values, not a text"},
		{[]string{"gpu", "--file", "/dev/zero"}, exit.Trouble, "is a device, not a file"},
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), append([]string{"teams", "test"}, tt.args...), &out, &errs)
		switch {
		case code != tt.code, strings.Contains(errs.String(), "planted"):
			t.Errorf("%q: code %d, %s%s", tt.args, code, &out, &errs)
		case code == exit.Done && out.String() != tt.want, code != exit.Done && !strings.Contains(errs.String(), tt.want):
			t.Errorf("%q:\n%s%s\nwant\n%s", tt.args, &out, &errs, tt.want)
		}
	}
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"teams", "test", "-o", "json", "--file", filepath.Join(".", "teams.yaml"), "gpu", "my-project"}, &out, &errs)
	var ruling teams.Ruling
	if err := json.Unmarshal(out.Bytes(), &ruling); err != nil || code != exit.Done || !ruling.Allowed || ruling.Line != 2 || ruling.OpenWatches != 100 {
		t.Errorf("code %d, %s%s", code, &out, &errs)
	}
	cmdtest.Setenv(t, nil)
	if code := run(context.Background(), []string{"teams", "test", "gpu"}, &out, &errs); code != exit.Misuse || !strings.Contains(errs.String(), "which file?") {
		t.Errorf("without a file: code %d, %s", code, &errs)
	}
}
