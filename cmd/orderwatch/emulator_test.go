package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// emulatorHelp returns what `orderwatch emulator --help` prints.
func emulatorHelp(t *testing.T) string {
	t.Helper()
	help := exec.Command(rig.Build(t, rig.Worker), "emulator", "--help")
	help.Env = rig.Bare()
	out, err := help.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// send makes a call and returns the answer.
func send(method, url, body string) (status int, answer string, err error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("X-Auth-Token", "any")
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, string(b), err
}

// startEmulator runs `orderwatch emulator` with a control port and waits until both answer.
func startEmulator(t *testing.T) (api, control string) {
	t.Helper()
	api, control = rig.FreeAddr(t), rig.FreeAddr(t)
	p := rig.Start(t, rig.Build(t, rig.Worker), nil, "emulator", "--addr", api, "--control", control)
	rig.Eventually(t, rig.Patience, func() error {
		if status, answer, err := send("GET", "http://"+control, ""); status != http.StatusOK {
			return fmt.Errorf("the control port answers %d %s, %v", status, answer, err)
		}
		return nil
	})
	for _, want := range []string{"no production server) on http://" + api, "may do everything) on http://" + control} {
		if !strings.Contains(p.Text(), want) {
			t.Errorf("it does not print %q but:\n%s", want, p.Text())
		}
	}
	return api, control
}

// example is a curl command as the help writes it.
var example = regexp.MustCompile(`curl (?:-X (PUT|DELETE) )?'?127\.0\.0\.1:9091([^\s']*)'?(?: -d '([^']*)')?`)

// TestEmulatorHelp runs every example of the help, and looks whether it did what it is for.
func TestEmulatorHelp(t *testing.T) {
	t.Parallel()
	help := emulatorHelp(t)
	api, control := startEmulator(t)
	effect := map[string]string{ // what an order is answered after an example, or what is listed after one of the list
		`"until":"30s"`:            "429",
		`"nested-int"`:             "401",
		`"cut":true`:               "EOF",
		`"early":"30s"`:            `200 {"count":0,`,
		`"body":`:                  `200 {"count":0,"items":[]}`,
		`{"end_after":"never"}`:    `200 {"count":2,`,
		"DELETE /faults":           "404", // it is scripted later
		`"status":"failed"`:        `200 {"count":2,`,
		`"kind":"refused"`:         "connection refused",
		"DELETE /outage":           "200",
		`"together":true`:          "200",
		"/calls?since=2026-01-02T": "200",
	}
	examples := example.FindAllStringSubmatch(help, -1)
	if curls := strings.Count(help, "curl"); len(examples) != curls {
		t.Fatalf("found %d examples, but curl %d times in:\n%s", len(examples), curls, help)
	}
	for _, e := range examples {
		method, path, body := e[1], e[2], e[3]
		if method == "" {
			method = http.MethodGet
		}
		if status, answer, err := send(method, "http://"+control+path, body); status != http.StatusOK || !json.Valid([]byte(answer)) {
			t.Errorf("%s: got %d %s, %v", e[0], status, answer, err)
		}
		for part, want := range effect {
			if !strings.Contains(method+" "+path+" "+body, part) {
				continue
			}
			delete(effect, part)
			asked := "/v1/p/orders/order.x"
			if strings.Contains(body, `"list"`) {
				asked = "/v1/p/orders"
			}
			status, answer, err := send(http.MethodGet, "http://"+api+asked, "")
			if got := fmt.Sprintf("%d %s %v", status, answer, err); !strings.Contains(got, want) {
				t.Errorf("after %s: got %s, want %s", e[0], got, want)
			}
		}
	}
	for part := range effect {
		t.Errorf("no example with %s in:\n%s", part, help)
	}
}

// TestEmulatorHelpNamesEverything holds the help to the fields and words that the control port reads.
func TestEmulatorHelpNamesEverything(t *testing.T) {
	t.Parallel()
	help := strings.Join(strings.Fields(emulatorHelp(t)), " ")
	names := []string{
		string(emulator.Refused), string(emulator.BlackHole), string(emulator.Unavailable),
		string(emulator.Nested), string(emulator.NestedInt), string(emulator.Plain), string(emulator.CamelError),
		string(emulator.HTML), string(emulator.Empty), string(emulator.Camel), string(emulator.Strings), string(emulator.Missing),
		string(emulator.ShowOrder), string(emulator.ListOrders), "seen", "all", "never", "no production server",
	}
	for _, v := range []any{emulator.Fault{}, emulator.Quota{}, emulator.Order{}, emulator.Item{}, emulator.Listing{}, emulator.RowFault{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" {
				t.Errorf("%T.%s has no name in JSON", v, field.Name)
			}
			names = append(names, name)
		}
	}
	for _, name := range names {
		if found, err := regexp.MatchString(`\b`+regexp.QuoteMeta(name)+`\b`, help); err != nil || !found {
			t.Errorf("the help does not name %s", name)
		}
	}
}

// TestEmulatorLogins logs in with each login that the command line names.
func TestEmulatorLogins(t *testing.T) {
	t.Parallel()
	api := "http://" + rig.FreeAddr(t)
	rig.Start(t, rig.Build(t, rig.Worker), nil, "emulator", "--addr", strings.TrimPrefix(api, "http://"),
		"--token", "token-1", "--token", "token-2", "--access-key", "AK:SK", "--user", "domain/user:pass:word", "--agency")
	ask := func(method, path, body, header, value string) (int, string) {
		request, err := http.NewRequest(method, api+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(header, value)
		var status int
		var answer []byte
		rig.Eventually(t, rig.Patience, func() error {
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			answer, err = io.ReadAll(response.Body)
			status = response.StatusCode
			return err
		})
		return status, string(answer)
	}
	const logIn = `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"user","password":"%s","domain":{"name":"domain"}}}},"scope":{"project":{"id":"p"}}}}`
	for _, tt := range []struct {
		method, path, body, header, value string
		want                              int
	}{
		{"GET", "/v1/p/orders/order.empty-1", "", "X-Auth-Token", "token-2", 200},
		{"GET", "/v1/p/orders/order.empty-1", "", "X-Auth-Token", "any", 401},
		{"POST", "/v3/auth/tokens", fmt.Sprintf(logIn, "pass:word"), "Content-Type", "application/json", 201},
		{"POST", "/v3/auth/tokens", fmt.Sprintf(logIn, "wrong"), "Content-Type", "application/json", 401},
		{"PUT", "/meta-data/latest/api/token", "", "X-Metadata-Token-Ttl-Seconds", "60", 200},
	} {
		if status, answer := ask(tt.method, tt.path, tt.body, tt.header, tt.value); status != tt.want {
			t.Errorf("%s %s as %s: got %d %s, want %d", tt.method, tt.path, tt.value, status, answer, tt.want)
		}
	}
	const signed = "SDK-HMAC-SHA256 Access=%s, SignedHeaders=host;x-sdk-date, Signature=00"
	for key, want := range map[string]string{"AK": "verify aksk signature fail", "other": "ak not exist"} {
		if status, answer := ask("GET", "/v1/p/orders/order.empty-1", "", "Authorization", fmt.Sprintf(signed, key)); status != 401 || !strings.Contains(answer, want) {
			t.Errorf("signed with %s: got %d %s, want %s", key, status, answer, want)
		}
	}
}

// TestEmulatorUsage looks at what wrong flags are answered, and that logins are not shown.
func TestEmulatorUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"--addr nonsense", 1, "start the emulator: "},
		{"--addr 127.0.0.1:0 --control nonsense", 1, "start the emulator's control port: "},
		{"--access-key planted", 2, "--access-key: must be ACCESS:SECRET"},
		{"--user planted:planted", 2, "--user: must be DOMAIN/USER:PASSWORD"},
		{"--user planted/planted", 2, "--user: must be DOMAIN/USER:PASSWORD"},
	} {
		command := exec.Command(rig.Build(t, rig.Worker), append([]string{"emulator"}, strings.Fields(tt.args)...)...)
		command.Env = rig.Bare()
		out, _ := command.CombinedOutput() // the code tells
		if code := command.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.says) || strings.Contains(string(out), "planted") {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", tt.args, code, tt.code, tt.says, out)
		}
	}
}
