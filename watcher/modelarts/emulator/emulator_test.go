package emulator_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *clock { return &clock{now: time.UnixMilli(1744285793000)} }

// get asks for an order without a network.
func get(e *emulator.Emulator, token, project, order string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/v1/"+project+"/orders/"+order, nil)
	r.Header.Set("X-Auth-Token", token)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// The script of the published example, told in every spelling at every stage.
func TestScript(t *testing.T) {
	script := emulator.Order{Items: []emulator.Item{
		{ResourceName: "pool-1", Action: "createPool", EndAfter: 686 * time.Second},
		{ResourceName: "node-1", AppearAfter: 435 * time.Second, EndAfter: 686 * time.Second},
		{ResourceName: "node-2", AppearAfter: 435 * time.Second, EndAfter: 500 * time.Second, Status: "failed", Message: "flavor sold out"},
		{ResourceName: "node-3", AppearAfter: 435 * time.Second, EndAfter: emulator.Never, Running: "paused"},
		{ResourceName: "node-4", AppearAfter: emulator.Never},
	}, NotFoundFor: 10 * time.Second}
	var out bytes.Buffer
	for _, how := range []emulator.Order{
		{},
		{Spelling: emulator.Camel, Timestamps: emulator.Strings, Count: emulator.CountAll},
		{Timestamps: emulator.Missing, Count: emulator.CountMissing},
		{Spelling: emulator.Camel, Timestamps: emulator.Missing, Count: 7},
	} {
		o := script
		o.Spelling, o.Timestamps, o.Count = how.Spelling, how.Timestamps, how.Count
		k := newClock()
		e := emulator.New(emulator.Options{Now: k.Now})
		e.Add("p", "order.x", o)
		fmt.Fprintf(&out, "# spelling %q, timestamps %q, count %d\n", o.Spelling, o.Timestamps, o.Count)
		last := time.Duration(0)
		for _, at := range []time.Duration{0, 10 * time.Second, 435 * time.Second, 500 * time.Second, 686 * time.Second} {
			k.advance(at - last)
			last = at
			w := get(e, "any", "p", "order.x")
			fmt.Fprintf(&out, "%v: %d %s\n", at, w.Code, w.Body)
		}
	}
	golden(t, "testdata/script.golden", out.Bytes())
}

// golden compares with a file, or rewrites it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("differs from %s; -update rewrites it. Got:\n%s", file, got)
	}
}

func TestClockFromFirstPoll(t *testing.T) {
	k := newClock()
	e := emulator.New(emulator.Options{Now: k.Now})
	items := []emulator.Item{{ResourceName: "n", EndAfter: time.Minute}}
	e.Add("p", "added", emulator.Order{Items: items})
	e.Add("p", "polled", emulator.Order{Items: items, FromFirstPoll: true})
	k.advance(time.Hour)
	if body := get(e, "any", "p", "added").Body.String(); !strings.Contains(body, "succeed") {
		t.Errorf("got %s", body)
	}
	if body := get(e, "any", "p", "polled").Body.String(); !strings.Contains(body, "processing") {
		t.Errorf("got %s", body)
	}
	k.advance(time.Minute)
	if body := get(e, "any", "p", "polled").Body.String(); !strings.Contains(body, "succeed") {
		t.Errorf("a minute later: %s", body)
	}
}

func TestRefusals(t *testing.T) {
	e := emulator.New(emulator.Options{Tokens: []string{"good"}})
	e.Add("p", "order.x", emulator.Order{})
	for _, tt := range []struct {
		method, path, token string
		status              int
		want                string
	}{
		{"GET", "/v1/p/orders/order.x", "good", 200, `{"count":0,"items":[]}`},
		{"GET", "/v1/p/orders/order.y", "good", 404, `{"error_code":"ModelArts.50015001","error_msg":"Order order.y not found."}`},
		{"GET", "/v1/q/orders/order.x", "good", 404, `"ModelArts.50015001"`},
		{"GET", "/v1/p/orders/order.x", "", 401, `"APIGW.0301"`},
		{"GET", "/v1/p/orders/order.x", "bad", 401, `"APIGW.0307"`},
		{"GET", "/v2/p/orders/order.x", "good", 404, `"APIGW.0101"`},
		{"GET", "/v1/p/orders/", "good", 404, `"APIGW.0101"`},
		{"POST", "/v1/p/orders/order.x", "good", 404, `"APIGW.0101"`},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Header.Set("X-Auth-Token", tt.token)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s %q: got %d %s", tt.method, tt.path, tt.token, w.Code, w.Body)
		}
	}
	if n := e.Polls("p", "order.x"); n != 3 {
		t.Errorf("%d polls, want 3", n)
	}
}

func TestFates(t *testing.T) {
	for _, tt := range []struct {
		name  string
		at    time.Duration
		wants string
	}{
		{"order.succeed-1", 0, "200 1 processing"},
		{"order.succeed-1", 5 * time.Second, "200 4 processing"},
		{"order.succeed-1", 20 * time.Second, "200 4 succeed"},
		{"order.partial-x", 20 * time.Second, "200 1 failed 3 succeed"},
		{"order.fail-a.b", 20 * time.Second, "200 4 failed"},
		{"order.never-1", time.Hour, "200 1 processing 3 succeed"},
		{"order.slow-1", 434 * time.Second, "200 1 processing"},
		{"order.slow-1", 686 * time.Second, "200 4 succeed"},
		{"order.late-1", 9 * time.Second, "404"},
		{"order.late-1", 10 * time.Second, "200 1 processing"},
		{"order.empty-1", time.Hour, "200"},
		{"order.missing-1", time.Hour, "404"},
		{"order.other-1", time.Hour, "404"},
		{"succeed-1", time.Hour, "404"},
		{"order.succeed", time.Hour, "404"},
	} {
		k := newClock()
		e := emulator.New(emulator.Options{Now: k.Now, AutoOrders: true})
		get(e, "any", "p", tt.name)
		k.advance(tt.at)
		w := get(e, "any", "p", tt.name)
		got := fmt.Sprint(w.Code)
		for _, status := range []string{"failed", "processing", "succeed"} {
			if n := strings.Count(w.Body.String(), `"status":"`+status+`"`); n > 0 {
				got += fmt.Sprintf(" %d %s", n, status)
			}
		}
		if got != tt.wants {
			t.Errorf("%s after %v: got %s, want %s", tt.name, tt.at, got, tt.wants)
		}
	}
	e := emulator.New(emulator.Options{})
	if w := get(e, "any", "p", "order.succeed-1"); w.Code != 404 {
		t.Errorf("without AutoOrders: %d", w.Code)
	}
}

func TestFaultsComeWhenMeant(t *testing.T) {
	k := newClock()
	e := emulator.New(emulator.Options{Now: k.Now, Fault: func(c emulator.Call) *emulator.Fault {
		if c.Order == "c" && c.Poll == 2 {
			return &emulator.Fault{Status: 418}
		}
		return nil
	}})
	e.Add("p", "a", emulator.Order{Faults: []emulator.Fault{
		{FromPoll: 2, ToPoll: 3, Status: 500},
		{FromPoll: 5, Status: 502, Until: 10 * time.Second},
		{After: 20 * time.Second, Until: 30 * time.Second, Status: 503},
	}})
	e.Add("p", "b", emulator.Order{})
	e.Add("p", "c", emulator.Order{})
	statuses := func(order string, polls int) string {
		var s []string
		for range polls {
			s = append(s, fmt.Sprint(get(e, "any", "p", order).Code))
		}
		return strings.Join(s, " ")
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	check("by poll", statuses("a", 6), "200 500 500 200 502 502")
	k.advance(10 * time.Second)
	check("after its window", statuses("a", 1), "200")
	k.advance(10 * time.Second)
	check("in a window", statuses("a", 1), "503")
	e.SetFaults(emulator.Fault{Status: 504, ToPoll: 3})
	check("of all", statuses("a", 1)+" "+statuses("b", 3), "503 504 504 200")
	e.SetFaults(emulator.Fault{Status: 504, Until: time.Second})
	check("of all", statuses("b", 1), "504")
	k.advance(time.Second)
	check("of all, over", statuses("b", 1), "200")
	e.SetFaults(emulator.Fault{Status: 504})
	e.SetFaults()
	check("none", statuses("b", 1), "200")
	check("by function", statuses("c", 3), "200 418 200")
}

func TestFaultsReplaceAnswers(t *testing.T) {
	for _, tt := range []struct {
		fault  emulator.Fault
		status int
		body   string
	}{
		{emulator.Fault{Status: 400, Code: "A.1", Message: "no"}, 400, `{"error_code":"A.1","error_msg":"no"}`},
		{emulator.Fault{Status: 401, Shape: emulator.Nested, Code: "A.1", Message: "no"}, 401, `{"error":{"code":"A.1","message":"no"}}`},
		{emulator.Fault{Status: 401, Shape: emulator.NestedInt, Message: "no"}, 401, `{"error":{"code":401,"message":"no","title":"Unauthorized"}}`},
		{emulator.Fault{Status: 400, Shape: emulator.Plain, Code: "A.1", Message: "no"}, 400, `{"code":"A.1","message":"no"}`},
		{emulator.Fault{Status: 400, Shape: emulator.CamelError, Code: "A.1", Message: "no"}, 400, `{"errorCode":"A.1","errorMessage":"no"}`},
		{emulator.Fault{Status: 502, Shape: emulator.HTML}, 502, "<html>"},
		{emulator.Fault{Status: 504, Shape: emulator.Empty}, 504, ""},
		{emulator.Fault{Body: "{"}, 200, "{"},
		{emulator.Fault{Status: 500, Body: "<p>"}, 500, "<p>"},
		{emulator.Fault{Pad: 3}, 200, `   {"count":0,"items":[]}`},
		{emulator.Fault{Drip: time.Microsecond}, 200, `{"count":0,"items":[]}`},
		{emulator.Fault{Delay: time.Microsecond, Header: map[string]string{"Retry-After": "7"}}, 200, `{"count":0,"items":[]}`},
	} {
		e := emulator.New(emulator.Options{})
		e.Add("p", "x", emulator.Order{Faults: []emulator.Fault{tt.fault}})
		w := get(e, "any", "p", "x")
		if w.Code != tt.status || !strings.HasPrefix(w.Body.String(), tt.body) {
			t.Errorf("%+v: got %d %s", tt.fault, w.Code, w.Body)
		}
		if got := w.Header().Get("Retry-After"); got != tt.fault.Header["Retry-After"] {
			t.Errorf("%+v: Retry-After %q", tt.fault, got)
		}
	}
}

func TestFaultsOfTheConnection(t *testing.T) {
	e := emulator.New(emulator.Options{})
	server := httptest.NewServer(e)
	defer server.Close()
	client := &http.Client{Timeout: 100 * time.Millisecond}
	for _, tt := range []struct {
		name  string
		fault emulator.Fault
		want  string
	}{
		{"hang", emulator.Fault{Hang: true}, "Timeout"},
		{"slow", emulator.Fault{Delay: time.Hour}, "Timeout"},
		{"drip", emulator.Fault{Drip: time.Hour}, "Timeout"},
		{"cut at once", emulator.Fault{Cut: true}, "EOF"},
		{"cut", emulator.Fault{Cut: true, CutAfter: 5}, "unexpected EOF"},
	} {
		e.Add("p", tt.name, emulator.Order{Faults: []emulator.Fault{tt.fault}})
		r, err := http.NewRequest("GET", server.URL+"/v1/p/orders/"+strings.ReplaceAll(tt.name, " ", "%20"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", "any")
		resp, err := client.Do(r)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestCallsAreKept(t *testing.T) {
	k := newClock()
	e := emulator.New(emulator.Options{Now: k.Now, CallsKept: 3})
	e.Add("p", "x", emulator.Order{Faults: []emulator.Fault{{FromPoll: 5, Status: 503}}})
	for range 5 {
		get(e, "any", "p", "x")
	}
	calls := e.Calls()
	if len(calls) != 3 || calls[0].Poll != 3 || calls[2] != (emulator.Call{Time: k.Now(), Kind: emulator.ShowOrder, Project: "p", Order: "x", Poll: 5, Status: 503}) {
		t.Errorf("got %+v", calls)
	}
}

func TestConcurrentUse(t *testing.T) {
	e := emulator.New(emulator.Options{AutoOrders: true})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 200 {
				order := fmt.Sprintf("order.succeed-%d", i%20)
				get(e, "any", "p", order)
				e.Polls("p", order)
				if n == 0 {
					e.SetFaults(emulator.Fault{ToPoll: 1, Status: 500})
					e.Add("p", order, emulator.Order{})
					e.Calls()
				}
			}
		})
	}
	wg.Wait()
	if n := e.Polls("p", "order.succeed-0"); n != 80 {
		t.Errorf("%d polls, want 80", n)
	}
}

func BenchmarkShowOrder(b *testing.B) {
	e := emulator.New(emulator.Options{AutoOrders: true})
	for n := range 100_000 {
		get(e, "any", "p", fmt.Sprintf("order.succeed-%d", n))
	}
	n := 0
	for b.Loop() {
		n++
		get(e, "any", "p", fmt.Sprintf("order.succeed-%d", n%100_000))
	}
}

// An order of two nodes, one of which fails after a minute, watched with a clock that the
// example turns.
func Example() {
	now := time.UnixMilli(1744285793000)
	e := emulator.New(emulator.Options{Tokens: []string{"token"}, Now: func() time.Time { return now }})
	e.Add("my-project", "order.pool-1", emulator.Order{Items: []emulator.Item{
		{ResourceName: "node-1"},
		{ResourceName: "node-2", EndAfter: time.Minute, Status: "failed", Message: "flavor sold out"},
	}})
	server := httptest.NewServer(e)
	defer server.Close()

	for range 2 {
		r, _ := http.NewRequest("GET", server.URL+"/v1/my-project/orders/order.pool-1", nil)
		r.Header.Set("X-Auth-Token", "token")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		var order struct {
			Count int
			Items []struct{ ResourceName, Status, Message string }
		}
		json.NewDecoder(resp.Body).Decode(&order)
		resp.Body.Close()
		fmt.Println(order.Count, order.Items)
		now = now.Add(time.Minute)
	}
	// Output:
	// 2 [{node-1 succeed } {node-2 processing }]
	// 2 [{node-1 succeed } {node-2 failed flavor sold out}]
}
