package emulator_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// control switches an emulator and returns the status and the answer.
func control(e *emulator.Emulator, method, path, body string) (int, string) {
	w := httptest.NewRecorder()
	emulator.Control(e).ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// set switches an emulator and fails the test where that is refused.
func set(t *testing.T, e *emulator.Emulator, method, path, body string) {
	t.Helper()
	if status, answer := control(e, method, path, body); status != 200 {
		t.Fatalf("%s %s %s: got %d %s", method, path, body, status, answer)
	}
}

// Every field of a fault, a quota and a script, as text and as set in Go.
func TestControlReadsEveryField(t *testing.T) {
	const fault = `{"region":"r","project":"p","kind":"list","from_poll":1,"to_poll":2,"after":"3s","until":"1m30s","status":429,` +
		`"code":"c","message":"m","shape":"nested","header":{"Retry-After":"7"},"rows":{"shuffled":true,"shift":-2,"any_phase":true,"early":"8s","late":"never","no_end":true},` +
		`"delay":"4ms","drip":"5ms","pad":6,"cut":true,"cut_after":7,"hang":true}`
	var f emulator.Fault
	if err := json.Unmarshal([]byte(fault), &f); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(f); err != nil || string(again) != reordered(t, fault) {
		t.Errorf("got %s, %v", again, err)
	}
	if f.After != 3*time.Second || f.Until != 90*time.Second || f.Delay != 4*time.Millisecond || f.Drip != 5*time.Millisecond ||
		f.Rows != (emulator.RowFault{Shuffled: true, Shift: -2, AnyPhase: true, Early: 8 * time.Second, Late: emulator.Never, NoEnd: true}) {
		t.Errorf("got %+v", f)
	}
	var q emulator.Quota
	if err := json.Unmarshal([]byte(`{"calls":5,"per":"1m","together":true,"count_refused":true,"retry_after":true}`), &q); err != nil {
		t.Fatal(err)
	}
	if want := (emulator.Quota{Calls: 5, Per: time.Minute, Together: true, CountRefused: true, RetryAfter: true}); q != want {
		t.Errorf("got %+v", q)
	}
	var o emulator.Order
	if err := json.Unmarshal([]byte(`{"items":[{"resource_name":"n","action":"a","appear_after":"1s","end_after":"never","status":"s","running":"r","message":"m"}],
		"count":"missing","not_found_for":"2s","from_first_poll":true,"spelling":"camel","timestamps":"string",
		"list":{"phase":"pending","end_phase":"completed","end_after":"never","created_before":"3s","workspace":"w","order_id":"CS1","resource":"r"},"faults":[{"hang":true}]}`), &o); err != nil {
		t.Fatal(err)
	}
	i := emulator.Item{ResourceName: "n", Action: "a", AppearAfter: time.Second, EndAfter: emulator.Never, Status: "s", Running: "r", Message: "m"}
	l := emulator.Listing{Phase: "pending", EndPhase: "completed", EndAfter: emulator.Never, CreatedBefore: 3 * time.Second, Workspace: "w", OrderID: "CS1", Resource: "r"}
	if len(o.Items) != 1 || o.Items[0] != i || o.Count != emulator.CountMissing || o.NotFoundFor != 2*time.Second || !o.FromFirstPoll ||
		o.Spelling != emulator.Camel || o.Timestamps != emulator.Strings || len(o.Faults) != 1 || !o.Faults[0].Hang || o.List != l {
		t.Errorf("got %+v", o)
	}
}

// reordered returns a fault's JSON with its fields in the order of Go's.
func reordered(t *testing.T, text string) string {
	t.Helper()
	var f emulator.Fault
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var fields, again map[string]any
	json.Unmarshal([]byte(text), &fields) // it was read just now
	json.Unmarshal(b, &again)
	for name := range fields {
		if _, ok := again[name]; !ok {
			t.Errorf("%s is lost", name)
		}
	}
	return string(b)
}

// What is wrong is named, and changes nothing.
func TestControlRefuses(t *testing.T) {
	e := emulator.New(emulator.Options{AutoOrders: true})
	set(t, e, "PUT", "/faults", `[{"status":503,"until":"1h"}]`)
	set(t, e, "PUT", "/quota", `{"calls":7,"per":"1m"}`)
	_, before := control(e, "GET", "/", "")
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PUT", "/faults", ``, 400, "not whole"},
		{"PUT", "/faults", `[{"status":503`, 400, "not whole"},
		{"PUT", "/faults", `{"status":503}`, 400, "the faults are no list"},
		{"PUT", "/faults", `[{"status":503},{"staus":503}]`, 400, `fault 2: unknown field "staus"`},
		{"PUT", "/faults", `[{"status":"503"}]`, 400, "fault 1: status: must be a whole number, not string"},
		{"PUT", "/faults", `[{"delay":5}]`, 400, `delay: must be a duration such as "5s", not number`},
		{"PUT", "/faults", `[{"cut":1}]`, 400, "cut: must be true or false, not number"},
		{"PUT", "/faults", `[{"code":1}]`, 400, "code: must be a text, not number"},
		{"PUT", "/faults", `[{"header":[]}]`, 400, "header: must be an object, not array"},
		{"PUT", "/faults", `[{"delay":"5"}]`, 400, `"5" is no duration such as 5s`},
		{"PUT", "/faults", `[{"delay":"-5s"}]`, 400, `"-5s" is no duration such as 5s`},
		{"PUT", "/faults", `[{"status":42}]`, 400, "status: 42 is none of 200 to 599"},
		{"PUT", "/faults", `[{"status":500,"shape":"round"}]`, 400, `shape: "round" is none of`},
		{"PUT", "/faults", `[{"code":"A.1"}]`, 400, "status: is missing"},
		{"PUT", "/faults", `[{"body":"x","status":500,"code":"A.1"}]`, 400, "body: takes the place of code"},
		{"PUT", "/faults", `[{"from_poll":3,"to_poll":2}]`, 400, "to_poll"},
		{"PUT", "/faults", `[{"from_poll":-1}]`, 400, "to_poll"},
		{"PUT", "/faults", `[{"after":"3s","until":"2s"}]`, 400, "until"},
		{"PUT", "/faults", `[{"pad":-1}]`, 400, "pad"},
		{"PUT", "/faults", `[{"cut_after":1}]`, 400, "cut_after"},
		{"PUT", "/faults", `[{"header":{"a b":"c"}}]`, 400, `header: "a b"`},
		{"PUT", "/faults", `[{"header":{"a":"b\r\nc: d"}}]`, 400, `header: "a"`},
		{"PUT", "/faults", `[{"kind":"show"}]`, 400, `kind: "show" is none of "order" and "list"`},
		{"PUT", "/faults", `[{"rows":{"no_end":true}}]`, 400, `rows: needs the kind "list"`},
		{"PUT", "/faults", `[{"kind":"list","rows":{"early":"-5s"}}]`, 400, `"-5s" is no duration`},
		{"PUT", "/faults", `[{"kind":"list","rows":{"lost":true}}]`, 400, `unknown field "lost"`},
		{"PUT", "/faults", `[] []`, 400, "behind the JSON"},
		{"PUT", "/faults", `[` + strings.Repeat(" ", 1<<20) + `]`, 413, "larger than 1 MiB"},
		{"PUT", "/quota", `[]`, 400, "must be an object, not array"},
		{"PUT", "/quota", `{"calls":-1}`, 400, "calls: must not be under 0"},
		{"PUT", "/quota", `{"calls":1,"per":"1500ms"}`, 400, "per: must be whole seconds"},
		{"PUT", "/quota", `{"calls":1,"per":"2h"}`, 400, "per: must be"},
		{"PUT", "/quota", `{"calls":1,"retryafter":true}`, 400, `unknown field "retryafter"`},
		{"PUT", "/orders/p/o", `{"items":[{},{"end_after":"soon"}]}`, 400, `item 2: "soon" is no duration`},
		{"PUT", "/orders/p/o", `{"items":[{"resourcename":"n"}]}`, 400, `item 1: unknown field "resourcename"`},
		{"PUT", "/orders/p/o", `{"faults":[{"status":1}]}`, 400, `fault 1: status: 1`},
		{"PUT", "/orders/p/o", `{"count":"some"}`, 400, `count: "some" is neither`},
		{"PUT", "/orders/p/o", `{"count":-1}`, 400, `count: -1 is neither`},
		{"PUT", "/orders/p/o", `{"spelling":"lower"}`, 400, "spelling"},
		{"PUT", "/orders/p/o", `{"timestamps":"int"}`, 400, "timestamps"},
		{"PUT", "/orders/p/o", `{"list":{"phase":1}}`, 400, "phase: must be a text, not number"},
		{"PUT", "/orders/p/o", `{"list":{"ends_after":"1s"}}`, 400, `unknown field "ends_after"`},
		{"PUT", "/outage", `{}`, 400, "kind: is missing"},
		{"PUT", "/outage", `{"kind":"fire"}`, 400, `"fire" is none of`},
		{"PUT", "/outage", `{"kind":"refused"}`, 400, "serve it with Listen"},
		{"GET", "/calls?since=yesterday", ``, 400, "since: must be a time"},
		{"POST", "/faults", ``, 404, "PUT and DELETE of /faults, "},
		{"GET", "/fault", ``, 404, "PUT and DELETE of /faults, "},
	} {
		status, answer := control(e, tt.method, tt.path, tt.body)
		var complaint struct{ Error string }
		if err := json.Unmarshal([]byte(answer), &complaint); err != nil || status != tt.status || !strings.Contains(complaint.Error, tt.want) {
			t.Errorf("%s %s %.80s: got %d %s, want %d and %q", tt.method, tt.path, tt.body, status, answer, tt.status, tt.want)
		}
	}
	if _, after := control(e, "GET", "/", ""); after != before {
		t.Errorf("set is %s, was %s", after, before)
	}
	if w := get(e, "any", "p", "o"); w.Code != 503 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestControlSwitches(t *testing.T) {
	k := newClock()
	e := emulator.New(emulator.Options{Now: k.Now, AutoOrders: true})
	expect := func(what string, want int) {
		t.Helper()
		if w := get(e, "any", "p", "order.x"); w.Code != want {
			t.Errorf("%s: got %d %s, want %d", what, w.Code, w.Body, want)
		}
		k.advance(time.Second)
	}
	expect("at first", 404)
	set(t, e, "PUT", "/orders/p/order.x", `{"items":[{"resource_name":"n"}]}`)
	expect("scripted", 200)
	set(t, e, "PUT", "/faults", `[{"to_poll":1,"status":502},{"to_poll":2,"status":504}]`)
	expect("with a fault", 502)
	expect("with another", 504)
	expect("after both", 200)
	set(t, e, "PUT", "/faults", `[{"status":500}]`)
	set(t, e, "DELETE", "/faults", "")
	expect("without faults", 200)
	set(t, e, "PUT", "/quota", `{"calls":1,"per":"1m"}`)
	expect("within the quota", 200)
	expect("over the quota", 429)
	set(t, e, "PUT", "/outage", `{"kind":"unavailable"}`)
	expect("in an outage", 503)
	if _, state := control(e, "GET", "/", ""); !strings.Contains(state, `"calls": 9`) || !strings.Contains(state, `"per": "1m0s"`) || !strings.Contains(state, `"outage": "unavailable"`) {
		t.Errorf("set is %s", state)
	}
	set(t, e, "DELETE", "/outage", "")
	set(t, e, "DELETE", "/quota", "")
	expect("after all", 200)
	if _, state := control(e, "GET", "/", ""); !strings.Contains(state, `"faults": []`) || !strings.Contains(state, `"quota": null`) || !strings.Contains(state, `"outage": ""`) {
		t.Errorf("set is %s", state)
	}
	for query, want := range map[string]int{"": 10, "?since=" + k.Now().Add(-2*time.Second).UTC().Format(time.RFC3339Nano): 2, "?since=2100-01-01T00:00:00Z": 0} {
		var calls []emulator.Call
		_, answer := control(e, "GET", "/calls"+query, "")
		if err := json.Unmarshal([]byte(answer), &calls); err != nil || len(calls) != want || calls == nil {
			t.Errorf("calls%s: got %s, %v, want %d", query, answer, err, want)
		}
	}
}

// The examples of Control's comment are carried out.
func TestControlExamples(t *testing.T) {
	source, err := os.ReadFile("control.go")
	if err != nil {
		t.Fatal(err)
	}
	e := emulator.New(emulator.Options{})
	if _, err := e.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	examples := regexp.MustCompile(`//\tcurl (?:-X (\w+) )?127.0.0.1:9091(\S+)(?: -d '(.*)')?\n`).FindAllStringSubmatch(string(source), -1)
	if curls := strings.Count(string(source), "//\tcurl"); len(examples) != curls || curls == 0 {
		t.Fatalf("found %d examples, but curl %d times", len(examples), curls)
	}
	for _, x := range examples {
		set(t, e, cmp.Or(x[1], "GET"), x[2], x[3])
	}
}

// Logins can be broken and tokens made dead.
func TestControlOfLogins(t *testing.T) {
	e := emulator.New(emulator.Options{AutoOrders: true, Users: []emulator.User{{Domain: "d", Name: "u", Password: "secret-of-u"}}})
	logIn := func() (int, string) {
		body := `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"u","password":"secret-of-u","domain":{"name":"d"}}}},"scope":{"project":{"id":"p"}}}}`
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest("POST", "/v3/auth/tokens?nocatalog=true", strings.NewReader(body)))
		return w.Code, w.Header().Get("X-Subject-Token")
	}
	set(t, e, "PUT", "/login-faults", `[{"to_poll":1,"status":503}]`)
	if status, _ := logIn(); status != 503 {
		t.Errorf("with a fault: got %d", status)
	}
	status, token := logIn()
	if w := get(e, token, "p", "order.empty-1"); status != 201 || w.Code != 200 {
		t.Errorf("after it: got %d, and with the token %d", status, w.Code)
	}
	set(t, e, "DELETE", "/tokens", "")
	if w := get(e, token, "p", "order.empty-1"); w.Code != 401 {
		t.Errorf("with a dead token: got %d", w.Code)
	}
	set(t, e, "PUT", "/login-faults", `[{"status":503}]`)
	set(t, e, "DELETE", "/login-faults", "")
	if status, _ := logIn(); status != 201 {
		t.Errorf("without faults: got %d", status)
	}
	set(t, e, "PUT", "/outage", `{"kind":"unavailable"}`)
	if status, _ := logIn(); status != 503 {
		t.Errorf("in an outage: got %d", status)
	}
	_, state := control(e, "GET", "/", "")
	if !strings.Contains(state, `"logins": 3`) || strings.Contains(state, "secret-of-u") || strings.Contains(state, token) {
		t.Errorf("set is %s", state)
	}
}

// An emulator goes away in three ways and comes back at the same address; logins go with it.
func TestOutages(t *testing.T) {
	e := emulator.New(emulator.Options{AutoOrders: true})
	at, err := e.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	ask := func(path string, patience time.Duration) (string, error) {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		r, err := http.NewRequest("GET", "http://"+at.String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", "any")
		resp, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.Status + " " + string(body), err
	}
	for _, o := range []emulator.Outage{emulator.Refused, emulator.BlackHole, emulator.Refused, emulator.Unavailable, emulator.NoOutage} {
		if err := e.SetOutage(o); err != nil {
			t.Fatal(err)
		}
		patience := 30 * time.Second
		if o == emulator.BlackHole {
			patience = 300 * time.Millisecond
		}
		for _, path := range []string{"/v1/p/orders/order.empty-1", "/v3/some/other"} {
			answer, err := ask(path, patience)
			timeout, ok := errors.AsType[net.Error](err)
			good := false
			switch o {
			case emulator.Refused:
				good = errors.Is(err, syscall.ECONNREFUSED)
			case emulator.BlackHole:
				good = ok && timeout.Timeout()
			case emulator.Unavailable:
				good = strings.HasPrefix(answer, "503 Service Unavailable <html>")
			default:
				good = err == nil && !strings.HasPrefix(answer, "503")
			}
			if !good {
				t.Errorf("outage %q: %s was answered %q, %v", o, path, answer, err)
			}
		}
	}
	if n := e.Polls("p", "order.empty-1"); n != 3 { // what was refused never came
		t.Errorf("%d polls, want 3", n)
	}
	if _, err := e.Listen("127.0.0.1:0"); err == nil {
		t.Error("it listens twice")
	}
}

// An outage that is refused because the address was taken meanwhile changes nothing.
func TestOutageThatCannotEnd(t *testing.T) {
	e := emulator.New(emulator.Options{})
	at, err := e.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	set(t, e, "PUT", "/outage", `{"kind":"refused"}`)
	other, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := control(e, "DELETE", "/outage", ""); status != 400 || !strings.Contains(answer, "address already in use") {
		t.Errorf("got %d %s", status, answer)
	}
	if _, state := control(e, "GET", "/", ""); !strings.Contains(state, `"outage": "refused"`) {
		t.Errorf("set is %s", state)
	}
	other.Close()
	set(t, e, "DELETE", "/outage", "")
}
