package modelarts_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
	"github.com/orderwatch/orderwatch/watcher/sweep"
)

// A query is what ListOrders documents, and is signed with the rest.
func TestListAsks(t *testing.T) {
	var path atomic.Value
	e := emulator.New(emulator.Options{Keys: []emulator.Key{{Access: "AK", Secret: secret}}})
	e.Add(project, "order.x", emulator.Order{})
	c := config(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path.Store(r.Method + " " + r.URL.String())
		e.ServeHTTP(w, r)
	})))
	c.Endpoint += "/{region}"
	key, err := login.NewAccessKey("AK", secret, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Credential = key
	client := newClient(t, c)
	since := time.Now().Add(-time.Hour)
	until := since.Add(2 * time.Hour)
	for _, tt := range []struct {
		query sweep.Query
		want  url.Values
	}{
		{sweep.Query{}, url.Values{}},
		{sweep.Query{Phase: "running", Offset: 500, Limit: 500}, url.Values{"phase": {"running"}, "offset": {"500"}, "limit": {"500"}}},
		{sweep.Query{Since: since, Until: until, Limit: 20}, url.Values{"since": {fmt.Sprint(since.UnixMilli())}, "until": {fmt.Sprint(until.UnixMilli())}, "limit": {"20"}}},
	} {
		page, err := client.List(t.Context(), region, project, tt.query)
		if err != nil || page.Count != 1 || (len(page.Rows) == 1) != (tt.query.Offset == 0) {
			t.Errorf("%+v: got %+v, %v", tt.query, page, err)
		}
		want := "GET /cn-north-4/v1/" + project + "/orders"
		if len(tt.want) > 0 {
			want += "?" + tt.want.Encode()
		}
		if path.Load() != want {
			t.Errorf("%+v: asked for %s, want %s", tt.query, path.Load(), want)
		}
	}
	path.Store("")
	for _, bad := range [][2]string{{"nowhere", project}, {region, ""}, {region, "../x"}, {region, "p/q"}} {
		if _, err := client.List(t.Context(), bad[0], bad[1], sweep.Query{}); asError(err) == nil || path.Load() != "" {
			t.Errorf("%s of %s: got %v, asked for %s", bad[1], bad[0], err, path.Load())
		}
	}
}

func asError(err error) *answer.Error {
	e, _ := errors.AsType[*answer.Error](err)
	return e
}

// Each row is read, whatever spelling its times have.
func TestListReadsRows(t *testing.T) {
	k := newClock()
	e := emulator.New(emulator.Options{Now: k.Now})
	client := newClient(t, config(t, serve(t, e)))
	for _, stamps := range []emulator.Timestamps{emulator.Integers, emulator.Strings, emulator.Missing} {
		e.Add(project, "order.x", emulator.Order{Timestamps: stamps, Items: []emulator.Item{{AppearAfter: time.Second, EndAfter: time.Minute}}})
		begin := k.now
		running := sweep.Row{Name: "order.x", Phase: "running", Created: begin}
		ended := sweep.Row{Name: "order.x", Phase: "successed", Created: begin, Began: begin.Add(time.Second), Ended: begin.Add(time.Minute)}
		if stamps == emulator.Missing {
			running.Created, ended.Created, ended.Began, ended.Ended = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		}
		for _, want := range []sweep.Row{running, ended} {
			page, err := client.List(t.Context(), region, project, sweep.Query{})
			if err != nil || page.Count != 1 || len(page.Rows) != 1 || page.Rows[0] != want {
				t.Errorf("%q: got %+v, %v; want %+v", stamps, page, err, want)
			}
			k.now = k.now.Add(time.Hour)
		}
	}
}

// misbehaviours are all that the list is known or feared to do, and what it then shows of a, which goes on for 30 s,
// and of b and c, which have ended; or the status of its error, 0 with none, and a part of its text.
var misbehaviours = []struct {
	name   string
	phase  string // that is asked for
	fault  emulator.Fault
	want   string
	status int
	says   string
}{
	{name: "nothing", want: "c successed, b failed, a running"},
	{name: "out of order", fault: emulator.Fault{Rows: emulator.RowFault{Shuffled: true}}, want: "a running, c successed, b failed"},
	{name: "filters", phase: "running", want: "a running"},
	{name: "ignores the filter", phase: "running", fault: emulator.Fault{Rows: emulator.RowFault{AnyPhase: true}}, want: "c successed, b failed, a running"},
	{name: "ended too early", fault: emulator.Fault{Rows: emulator.RowFault{Early: 30 * time.Second}}, want: "c successed, b failed, a successed"},
	{name: "ended late", fault: emulator.Fault{Rows: emulator.RowFault{Late: time.Hour}}, want: "c running, b running, a running"},
	{name: "never ended", fault: emulator.Fault{Rows: emulator.RowFault{Late: emulator.Never}}, want: "c running, b running, a running"},
	{name: "no end", fault: emulator.Fault{Rows: emulator.RowFault{NoEnd: true}}, want: "c successed at 0, b failed at 0, a running"},
	{name: "empty", fault: emulator.Fault{Body: `{"count":0,"items":[]}`}, want: ""},
	{name: "slow", fault: emulator.Fault{Delay: 50 * time.Millisecond}, want: "c successed, b failed, a running"},
	{name: "too slow", fault: emulator.Fault{Delay: time.Hour}, says: "no whole answer within 2s"},
	{name: "hangs", fault: emulator.Fault{Hang: true}, says: "no whole answer within 2s"},
	{name: "drips", fault: emulator.Fault{Drip: time.Minute}, says: "no whole answer within 2s"},
	{name: "cut at once", fault: emulator.Fault{Cut: true}, says: "EOF"},
	{name: "cut", fault: emulator.Fault{Cut: true, CutAfter: 50}, says: "unexpected EOF"},
	{name: "cut JSON", fault: emulator.Fault{Body: `{"count":3,"items":[`}, status: 200, says: "unexpected end of JSON"},
	{name: "a page", fault: emulator.Fault{Body: "<html>login</html>"}, status: 200, says: "no JSON object"},
	{name: "nonsense", fault: emulator.Fault{Body: `{"items":"none"}`}, status: 200, says: "its items are no list"},
	{name: "another object", fault: emulator.Fault{Body: `{"orders":[]}`}, status: 200, says: "it is no list of orders"},
	{name: "too large", fault: emulator.Fault{Pad: 9 << 20}, status: 200, says: "more than 8 MiB"},
	{name: "400", fault: emulator.Fault{Status: 400, Code: "ModelArts.50004000", Message: "Bad request."}, status: 400, says: "Bad request."},
	{name: "403", fault: emulator.Fault{Status: 403, Code: "APIGW.0302", Message: "denied"}, status: 403, says: "denied"},
	{name: "403 of the project", fault: emulator.Fault{Status: 403, Code: "ModelArts.0210", Message: "differs"}, status: 403, says: "differs"},
	{name: "403 for arrears", fault: emulator.Fault{Status: 403, Code: "ModelArts.4116", Message: "in arrears"}, status: 403, says: "in arrears"},
	{name: "403 in a 200", fault: emulator.Fault{Status: 200, Code: "APIGW.0302", Message: "denied"}, status: 200, says: "denied"},
	{name: "404", fault: emulator.Fault{Status: 404, Code: "APIGW.0101", Message: "The API does not exist"}, status: 404, says: "does not exist"},
	{name: "404 of an order", fault: emulator.Fault{Status: 404, Code: "ModelArts.50015001", Message: "not found"}, status: 404, says: "not found"},
	{name: "500", fault: emulator.Fault{Status: 500, Code: "ModelArts.50005000", Message: "Internal error."}, status: 500, says: "Internal error."},
	{name: "503 of a proxy", fault: emulator.Fault{Status: 503, Shape: emulator.HTML}, status: 503, says: "a proxy answered 503"},
	{name: "redirected", fault: emulator.Fault{Status: 302, Header: map[string]string{"Location": "https://login.example/" + secret}}, status: 302, says: "points to login.example"},
}

// A listScene is a client of an emulator, and what it shares. The emulator's project has the orders a, b and c.
type listScene struct {
	t      *testing.T
	clock  *clock
	cloud  *emulator.Emulator
	bucket *bucket
	client *modelarts.Client
}

func newListScene(t *testing.T, timeout time.Duration) *listScene {
	t.Helper()
	s := &listScene{t: t, clock: newClock(), bucket: newBucket(1)}
	s.cloud = emulator.New(emulator.Options{Now: s.clock.Now})
	c := config(t, serve(t, s.cloud))
	c.Now, c.Accounts, c.Timeout = s.clock.Now, s.bucket, timeout
	s.client = newClient(t, c)
	for _, o := range []struct {
		name string
		item emulator.Item
	}{{"a", emulator.Item{EndAfter: time.Minute}}, {"b", emulator.Item{Status: "failed"}}, {"c", emulator.Item{}}} {
		s.cloud.Add(project, o.name, emulator.Order{Items: []emulator.Item{o.item}})
		s.clock.now = s.clock.now.Add(10 * time.Second)
	}
	if err := s.show(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *listScene) show() error {
	_, err := s.client.Show(s.t.Context(), region, order("a"))
	return err
}

func (s *listScene) list(phase string) (sweep.Page, error) {
	return s.client.List(s.t.Context(), region, project, sweep.Query{Phase: phase, Limit: 500})
}

// shown says in words what a page shows.
func shown(page sweep.Page) string {
	var rows []string
	for _, r := range page.Rows {
		text := r.Name + " " + r.Phase
		if r.Phase != "running" && r.Ended.IsZero() {
			text += " at 0"
		}
		rows = append(rows, text)
	}
	return strings.Join(rows, ", ")
}

// Whatever the list does, it is told as it is, and the account and its orders are asked as before.
func TestListMisbehaves(t *testing.T) {
	for _, tt := range misbehaviours {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if strings.Contains(tt.says, "within 2s") {
				timeout = 2 * time.Second
			}
			s := newListScene(t, timeout)
			tt.fault.Kind = emulator.ListOrders
			s.cloud.SetFaults(tt.fault)
			for range 5 { // as many as make an account unreachable
				page, err := s.list(tt.phase)
				if tt.says == "" {
					if got := shown(page); err != nil || got != tt.want {
						t.Fatalf("got %s, %v; want %s", got, err, tt.want)
					}
					continue
				}
				e := asError(err)
				if e == nil || e.Status != tt.status || !strings.Contains(e.Error(), tt.says) || e.Held != "" || page.Rows != nil {
					t.Fatalf("got %+v, %v; want %d with %q", page, err, tt.status, tt.says)
				}
				if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "/v1/") || strings.Contains(err.Error(), "this order") {
					t.Errorf("%v shows too much", err)
				}
			}
			if held, err := s.bucket.standing(), s.show(); held != nil || err != nil {
				t.Errorf("held are %v; the order: %v", held, err)
			}
			s.cloud.SetFaults(emulator.Fault{Status: 503, Shape: emulator.HTML})
			if err := s.show(); err == nil || s.bucket.standing() != nil {
				t.Errorf("%v; held for one failed call are %v", err, s.bucket.standing())
			}
		})
	}
}

// Pages overlap and leave out rows where orders come between two calls; each is as the API gives it.
func TestListOfPagesThatShift(t *testing.T) {
	s := newListScene(t, time.Minute)
	page := func(offset int) string {
		t.Helper()
		p, err := s.client.List(t.Context(), region, project, sweep.Query{Offset: offset, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		return shown(p)
	}
	first := page(0)
	s.cloud.Add(project, "d", emulator.Order{})
	if second := page(2); first != "c successed, b failed" || second != "b failed, a running" {
		t.Errorf("got %s, then %s", first, second)
	}
	s.cloud.SetFaults(emulator.Fault{Kind: emulator.ListOrders, Rows: emulator.RowFault{Shift: 1}})
	if second := page(2); second != "a running" {
		t.Errorf("got %s", second)
	}
}

// Where the list is throttled or the login refused, the account is held as after any call.
func TestListHolds(t *testing.T) {
	for _, tt := range kinds {
		if tt.calls != 1 || tt.kind == watcher.HeldArrears {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			s := newListScene(t, time.Minute)
			tt.fault.Kind = emulator.ListOrders
			s.cloud.SetFaults(tt.fault)
			_, err := s.list("")
			if e := asError(err); e == nil || e.Held != tt.kind {
				t.Fatalf("got %v, want it held for %s", err, tt.kind)
			}
			leave := s.client.Wait(t.Context(), region, order("a"), s.clock.now, watcher.Turn{})
			if leave.Held != tt.kind || leave.After < tt.min || leave.After > tt.max+time.Second {
				t.Errorf("got %+v, want %s for %v to %v", leave, tt.kind, tt.min, tt.max)
			}
			s.cloud.SetFaults()
			if _, err := s.list(""); err != nil || len(s.bucket.standing()) != 1 { // it stands until a poll shows that it is over
				t.Errorf("%v; held are %v", err, s.bucket.standing())
			}
			s.clock.now = s.clock.now.Add(leave.After + time.Second)
			if leave := s.client.Wait(t.Context(), region, order("a"), s.clock.now, watcher.Turn{}); leave.After != 0 {
				t.Fatalf("got %+v, want that one poll finds out", leave)
			}
			if _, err := s.list(""); err != nil || len(s.bucket.standing()) != 1 {
				t.Errorf("a list has ended the hold: %v; held are %v", err, s.bucket.standing())
			}
			if err := s.show(); err != nil || s.bucket.standing() != nil {
				t.Errorf("%v; held are %v", err, s.bucket.standing())
			}
		})
	}
}

// A project in arrears is held where the list is answered 401 for it.
func TestListHoldsAProject(t *testing.T) {
	s := newListScene(t, time.Minute)
	s.cloud.SetFaults(emulator.Fault{Kind: emulator.ListOrders, Status: 401, Code: "ModelArts.6201", Message: "frozen"})
	_, err := s.list("")
	if e := asError(err); e == nil || e.Held != watcher.HeldArrears || len(s.bucket.standing()) != 1 {
		t.Errorf("%v; held are %v", err, s.bucket.standing())
	}
	other := watcher.Order{ProjectID: "another", Name: "a"}
	if leave := s.client.Wait(t.Context(), region, other, s.clock.now, watcher.Turn{}); leave.After != 0 {
		t.Errorf("another project: %+v", leave)
	}
}

// A caller who goes away has not learned anything.
func TestListOfACallerWhoGoes(t *testing.T) {
	s := newListScene(t, time.Minute)
	s.cloud.SetFaults(emulator.Fault{Hang: true})
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the worker stops")
	go func() {
		for s.cloud.Polls(project, "") == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel(gone)
	}()
	if _, err := s.client.List(ctx, region, project, sweep.Query{}); !errors.Is(err, gone) || asError(err) != nil {
		t.Errorf("got %v", err)
	}
}
