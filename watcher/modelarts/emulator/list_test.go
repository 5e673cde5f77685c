package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A listing is an answer of ListOrders.
type listing struct {
	Count int
	Items []struct {
		OrderName, OrderID, ResourceName, Phase, WorkspaceID string
		CreationTimestamp, BeginTimestamp, EndTimestamp      any
	}
}

// names returns the names of the rows.
func (l listing) names() string {
	var names []string
	for _, i := range l.Items {
		names = append(names, i.OrderName)
	}
	return strings.Join(names, " ")
}

// list asks for the list of project p.
func list(e *emulator.Emulator, query string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/v1/p/orders?"+query, nil)
	r.Header.Set("X-Auth-Token", "any")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// listed returns the list, and fails the test where there is none.
func listed(t *testing.T, e *emulator.Emulator, query string) (l listing) {
	t.Helper()
	w := list(e, query)
	if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil || w.Code != http.StatusOK || l.Items == nil {
		t.Fatalf("%s: got %d %s, %v", query, w.Code, w.Body, err)
	}
	return l
}

// An order is listed as it goes on: it runs until its last item has ended, and ended then.
func TestListFollowsTheScript(t *testing.T) {
	k := newClock()
	e := emulator.New(emulator.Options{Now: k.Now})
	begin := k.Now()
	ms := func(after time.Duration) float64 { return float64(begin.Add(after).UnixMilli()) }
	e.Add("p", "order.x", emulator.Order{NotFoundFor: 5 * time.Second, Items: []emulator.Item{
		{ResourceName: "pool-1", AppearAfter: 10 * time.Second, EndAfter: 20 * time.Second},
		{ResourceName: "node-1", AppearAfter: 15 * time.Second, EndAfter: 30 * time.Second, Status: "failed"},
		{ResourceName: "node-2", AppearAfter: emulator.Never, EndAfter: emulator.Never},
	}})
	if l := listed(t, e, ""); l.Count != 0 {
		t.Errorf("listed before ShowOrder knows it: %+v", l)
	}
	for _, tt := range []struct {
		at         time.Duration
		phase      string
		began, end float64
	}{
		{5 * time.Second, "running", 0, 0},
		{10 * time.Second, "running", ms(10 * time.Second), 0},
		{30*time.Second - time.Nanosecond, "running", ms(10 * time.Second), 0},
		{30 * time.Second, "partialSuccessed", ms(10 * time.Second), ms(30 * time.Second)},
		{time.Hour, "partialSuccessed", ms(10 * time.Second), ms(30 * time.Second)},
	} {
		k.advance(begin.Add(tt.at).Sub(k.Now()))
		l := listed(t, e, "")
		if l.Count != 1 || len(l.Items) != 1 {
			t.Fatalf("after %v: got %+v", tt.at, l)
		}
		i := l.Items[0]
		if i.OrderName != "order.x" || i.ResourceName != "pool-1" || i.WorkspaceID != "0" || !strings.HasPrefix(i.OrderID, "CS") ||
			i.Phase != tt.phase || i.CreationTimestamp != ms(0) || i.BeginTimestamp != tt.began || i.EndTimestamp != tt.end {
			t.Errorf("after %v: got %+v, want %+v", tt.at, i, tt)
		}
	}
	if shown := get(e, "any", "p", "order.x").Body.String(); strings.Contains(shown, "processing") || !strings.Contains(shown, fmt.Sprintf(`"updatetimestamp":%.0f`, ms(30*time.Second))) {
		t.Errorf("the list says that it ended, and it is %s", shown)
	}
}

// The phase at the end follows from how the items end, or is the script's.
func TestListedPhases(t *testing.T) {
	item := func(status string) emulator.Item { return emulator.Item{Status: status} }
	for name, tt := range map[string]struct {
		order emulator.Order
		want  string
	}{
		"all succeed":        {emulator.Order{Items: []emulator.Item{item(""), item("succeed")}}, "successed"},
		"all fail":           {emulator.Order{Items: []emulator.Item{item("failed")}}, "failed"},
		"some fail":          {emulator.Order{Items: []emulator.Item{item("failed"), item("")}}, "partialSuccessed"},
		"an unknown status":  {emulator.Order{Items: []emulator.Item{item("paused"), item("")}}, "running"},
		"one never ends":     {emulator.Order{Items: []emulator.Item{{EndAfter: emulator.Never}, item("")}}, "running"},
		"no items":           {emulator.Order{}, "running"},
		"scripted":           {emulator.Order{List: emulator.Listing{Phase: "pending"}}, "pending"},
		"scripted at an end": {emulator.Order{Items: []emulator.Item{item("")}, List: emulator.Listing{Phase: "processing", EndPhase: "completed"}}, "completed"},
		"ended too early":    {emulator.Order{Items: []emulator.Item{{EndAfter: time.Hour}}, List: emulator.Listing{EndAfter: time.Nanosecond}}, "successed"},
		"ended late":         {emulator.Order{Items: []emulator.Item{item("")}, List: emulator.Listing{EndAfter: time.Hour}}, "running"},
		"ended never":        {emulator.Order{Items: []emulator.Item{item("")}, List: emulator.Listing{EndAfter: emulator.Never}}, "running"},
	} {
		k := newClock()
		e := emulator.New(emulator.Options{Now: k.Now})
		e.Add("p", "order.x", tt.order)
		k.advance(time.Second)
		if l := listed(t, e, ""); len(l.Items) != 1 || l.Items[0].Phase != tt.want || (l.Items[0].EndTimestamp != 0.0) != (tt.want != "running" && tt.want != "pending") {
			t.Errorf("%s: got %+v, want %s", name, l, tt.want)
		}
	}
}

// newProject returns an emulator with orders of project p, one minute apart; the oldest is a.
func newProject(t *testing.T) (*emulator.Emulator, *clock) {
	t.Helper()
	k := newClock()
	e := emulator.New(emulator.Options{Now: k.Now})
	runs, ends := []emulator.Item{{ResourceName: "pool-1", EndAfter: time.Hour}}, []emulator.Item{{ResourceName: "pool-2"}}
	for _, o := range []struct {
		name string
		emulator.Order
	}{
		{"a", emulator.Order{Items: runs}},
		{"b", emulator.Order{Items: ends}},
		{"c", emulator.Order{Items: runs, List: emulator.Listing{Phase: "processing"}}},
		{"d", emulator.Order{Items: ends, List: emulator.Listing{EndPhase: "completed"}}},
		{"e", emulator.Order{List: emulator.Listing{Phase: "pending", Resource: "pool-3"}}},
		{"f", emulator.Order{Items: []emulator.Item{{Status: "failed"}}}},
		{"elsewhere", emulator.Order{Items: runs, List: emulator.Listing{Workspace: "w"}}},
		{"old", emulator.Order{Items: runs, List: emulator.Listing{CreatedBefore: 31 * 24 * time.Hour}}},
		{"unpolled", emulator.Order{Items: runs, FromFirstPoll: true}},
	} {
		e.Add("p", o.name, o.Order)
		k.advance(time.Minute)
	}
	e.Add("q", "of another project", emulator.Order{})
	return e, k
}

func TestListQueries(t *testing.T) {
	begin := newClock().Now()
	e, k := newProject(t)
	at := func(minutes int) string {
		return fmt.Sprint(begin.Add(time.Duration(minutes) * time.Minute).UnixMilli())
	}
	for _, tt := range []struct {
		query string
		count int
		names string
	}{
		{"", 6, "f e d c b a"},
		{"limit=&offset=&phase=&since=&until=&workspaceId=&involvedName=&resource=pools", 6, "f e d c b a"},
		{"limit=0", 6, "f e d c b a"},
		{"limit=2", 6, "f e"},
		{"limit=2&offset=2", 6, "d c"},
		{"limit=500&offset=5", 6, "a"},
		{"offset=500", 6, ""},
		{"phase=running", 2, "c a"},
		{"phase=processing", 2, "c a"},
		{"phase=running&limit=1&offset=1", 2, "a"},
		{"phase=pending", 1, "e"},
		{"phase=successed", 2, "d b"},
		{"phase=completed", 2, "d b"},
		{"phase=failed", 1, "f"},
		{"phase=partialSuccessed", 0, ""},
		{"involvedName=pool-1", 2, "c a"},
		{"involvedName=pool-3", 1, "e"},
		{"workspaceId=0&phase=failed", 1, "f"},
		{"workspaceId=w", 1, "elsewhere"},
		{"since=" + at(3), 3, "f e d"},
		{"until=" + at(1), 2, "b a"},
		{"since=" + at(1) + "&until=" + at(4), 4, "e d c b"},
		{"since=" + at(1) + "&until=" + at(4) + "&phase=running", 1, "c"},
		{"since=0&until=0", 6, "f e d c b a"},
		{"since=" + at(9), 0, ""},
	} {
		if l := listed(t, e, tt.query); l.Count != tt.count || l.names() != tt.names {
			t.Errorf("%s: got %d: %s; want %d: %s", tt.query, l.Count, l.names(), tt.count, tt.names)
		}
	}
	for _, query := range []string{
		"limit=501", "limit=-1", "limit=ten", "limit=1e2", "offset=501", "offset=-1", "offset=x", "since=now", "until=-1",
		"until=99999999999999999", "phase=done", "phase=Running", "resource=nodes",
	} {
		if w := list(e, query); w.Code != 400 || w.Body.String() != `{"error_code":"ModelArts.50004000","error_msg":"Bad request."}` {
			t.Errorf("%s: got %d %s", query, w.Code, w.Body)
		}
	}
	get(e, "any", "p", "unpolled")
	e.Add("p", "a", emulator.Order{})
	e.Add("p", "b", emulator.Order{FromFirstPoll: true})
	k.advance(time.Second)
	if got := listed(t, e, "").names(); got != "unpolled a f e d c" {
		t.Errorf("after orders were scripted anew: got %s", got)
	}
	k.advance(500 * time.Microsecond)
	e.Add("p", "within a millisecond", emulator.Order{})
	shown := k.Now().UnixMilli() // as the list shows it, too
	if got := listed(t, e, fmt.Sprintf("since=%d&until=%d", shown, shown)).names(); got != "within a millisecond" {
		t.Errorf("created within a millisecond: got %q", got)
	}
	k.advance(30*24*time.Hour + time.Second)
	if got := listed(t, e, "").Count; got != 0 {
		t.Errorf("after a month: got %d", got)
	}
}

// Rows may be wrong in every way that was heard of.
func TestListMisbehaves(t *testing.T) {
	e, _ := newProject(t)
	for _, tt := range []struct {
		fault, query, want string // the rows by name, phase, and whether they have a time of their end
	}{
		{``, "limit=3", "f failed true, e pending false, d completed true"},
		{`,"rows":{"any_phase":true}`, "limit=2&phase=running", "f failed true, e pending false"},
		{`,"rows":{"no_end":true}`, "limit=3", "f failed false, e pending false, d completed false"},
		{`,"rows":{"early":"1h"}`, "phase=successed", "d completed true, c successed true, b successed true, a successed true"},
		{`,"rows":{"late":"1h"}`, "limit=3", "f running false, e pending false, d running false"},
		{`,"rows":{"late":"never"}`, "phase=running", "f running false, d running false, c processing false, b running false, a running false"},
		{`,"rows":{"shift":1}`, "limit=2", "f failed true, e pending false"},
		{`,"rows":{"shift":1}`, "limit=2&offset=2", "c processing false, b successed true"},
		{`,"rows":{"shift":-1}`, "limit=2&offset=2", "e pending false, d completed true"},
		{`,"rows":{"shift":-9}`, "limit=1&offset=2", "f failed true"},
		{`,"rows":{"shift":9}`, "limit=2&offset=2", ""},
		{`,"body":"{\"count\":0,\"items\":[]}"`, "", ""},
	} {
		set(t, e, "PUT", "/faults", `[{"kind":"list"`+tt.fault+`}]`)
		var rows []string
		for _, i := range listed(t, e, tt.query).Items {
			rows = append(rows, fmt.Sprint(i.OrderName, " ", i.Phase, " ", i.EndTimestamp != 0.0))
		}
		if got := strings.Join(rows, ", "); got != tt.want {
			t.Errorf("%s, %s: got %s, want %s", tt.fault, tt.query, got, tt.want)
		}
	}
	set(t, e, "PUT", "/faults", `[{"kind":"list","rows":{"shuffled":true}}]`)
	l := listed(t, e, "")
	if got := strings.Fields(l.names()); len(got) != 6 || l.names() == "f e d c b a" {
		t.Errorf("shuffled: got %s", l.names())
	}
	if again := listed(t, e, "limit=3").names() + " " + listed(t, e, "limit=3&offset=3").names(); again != l.names() {
		t.Errorf("in pages: got %s, want %s", again, l.names())
	}
}

// Lists are refused, faulty, limited and counted as other calls are, but by themselves.
func TestListBesideOrders(t *testing.T) {
	e := emulator.New(emulator.Options{Tokens: []string{"good"}, ListFault: func(c emulator.Call) *emulator.Fault {
		if c.Project == "p" && c.Poll == 8 {
			return &emulator.Fault{Status: 418}
		}
		return nil
	}})
	e.Add("p", "x", emulator.Order{Timestamps: emulator.Strings})
	ask := func(path, token string, want int) string {
		t.Helper()
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("X-Auth-Token", token)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s with token %q: got %d %s, want %d", path, token, w.Code, w.Body, want)
		}
		return w.Body.String()
	}
	if body := ask("/v1/p/orders", "good", 200); !strings.Contains(body, `"creationTimestamp":"1`) || !strings.Contains(body, `"endTimestamp":"0"`) {
		t.Errorf("got %s", body)
	}
	ask("/v1/p/orders", "", 401)
	ask("/v1/p/orders?limit=x", "bad", 401)
	set(t, e, "PUT", "/faults", `[{"to_poll":1,"status":502},{"kind":"list","to_poll":2,"status":503},{"kind":"order","to_poll":2,"status":504}]`)
	ask("/v1/p/orders", "good", 502)
	ask("/v1/p/orders/x", "good", 502)
	ask("/cn-north-4/v1/p/orders", "good", 503)
	ask("/cn-north-4/v1/p/orders/x", "good", 504)
	ask("/v1/p/orders", "good", 200)
	ask("/v1/p/orders/x", "good", 200)
	set(t, e, "PUT", "/outage", `{"kind":"unavailable"}`)
	ask("/v1/p/orders", "good", 503)
	set(t, e, "DELETE", "/outage", "")
	ask("/v1/p/orders", "good", 418)
	set(t, e, "PUT", "/quota", `{"calls":1,"per":"1h"}`)
	ask("/v1/p/orders/x", "good", 200)
	ask("/v1/p/orders", "good", 429)
	if e.Polls("p", "") != 9 || e.Polls("p", "x") != 4 {
		t.Errorf("%d lists and %d polls", e.Polls("p", ""), e.Polls("p", "x"))
	}
	if _, state := control(e, "GET", "/", ""); !strings.Contains(state, `"calls": 4`) || !strings.Contains(state, `"lists": 9`) {
		t.Errorf("set is %s", state)
	}
	calls := e.Calls()
	if len(calls) != 13 || calls[5].Kind != emulator.ListOrders || calls[5].Region != "cn-north-4" || calls[5].Order != "" || calls[5].Poll != 5 || calls[5].Status != 503 || calls[6].Kind != emulator.ShowOrder {
		t.Errorf("got %+v", calls)
	}
	for _, path := range []string{"/v1/p/orders/", "/v2/p/orders", "/v1/orders"} {
		ask(path, "good", 404)
	}
}

// Orders that start, end and are scripted anew while many ask for the list.
func TestListIsConcurrent(t *testing.T) {
	e := emulator.New(emulator.Options{AutoOrders: true})
	done := make(chan bool)
	for n := range 4 {
		go func() {
			for i := range 200 {
				name := fmt.Sprintf("order.succeed-%d-%d", n, i%50)
				get(e, "any", "p", name)
				list(e, "phase=running&limit=500")
				e.Add("p", name, emulator.Order{})
			}
			done <- true
		}()
	}
	for range 4 {
		<-done
	}
	if l := listed(t, e, "phase=running&limit=500"); l.Count != 200 || len(l.Items) != 200 {
		t.Errorf("got %d of %d", len(l.Items), l.Count)
	}
}

// A sweep of 10,000 orders that run, beside as many that have ended: 20 pages.
func BenchmarkSweep(b *testing.B) {
	k := newClock()
	e := emulator.New(emulator.Options{Now: k.Now})
	for n := range 20_000 {
		end := time.Duration(0)
		if n%2 == 0 {
			end = 1000 * time.Hour
		}
		e.Add("p", fmt.Sprintf("order.pool-%d", n), emulator.Order{Items: []emulator.Item{{ResourceName: "pool-1", EndAfter: end}}})
		k.advance(time.Millisecond)
	}
	begin := k.Now().Add(-20_000 * time.Millisecond)
	for _, windows := range []bool{true, false} {
		b.Run(fmt.Sprintf("windows=%t", windows), func(b *testing.B) {
			for b.Loop() {
				for n := range 10 {
					query := "phase=running&limit=500"
					if windows {
						from := begin.Add(time.Duration(n) * 2000 * time.Millisecond)
						query += fmt.Sprintf("&since=%d&until=%d", from.UnixMilli(), from.Add(1999*time.Millisecond).UnixMilli())
					}
					for _, offset := range []string{"0", "500"} {
						if w := list(e, query+"&offset="+offset); w.Code != 200 || w.Body.Len() < 50_000 {
							b.Fatalf("got %d %s", w.Code, w.Body)
						}
					}
				}
			}
		})
	}
}
