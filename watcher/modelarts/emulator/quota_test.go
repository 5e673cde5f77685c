package emulator_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// call asks for an order of a region as a login, and says how that was answered.
func call(e *emulator.Emulator, path string, login ...string) string {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set(login[0], login[1])
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	text := fmt.Sprint(w.Code)
	if after := w.Header().Get("Retry-After"); after != "" {
		text += " after " + after
	}
	return text
}

func TestQuota(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name  string
		quota emulator.Quota
		at    []time.Duration // of calls
		want  string
	}{
		{"none", emulator.Quota{}, []time.Duration{0, 0, 0}, "200 200 200"},
		{"a second", emulator.Quota{Calls: 2}, []time.Duration{0, 0, 0, s - 1, s, s, s}, "200 200 429 429 200 200 429"},
		{"no span holds more", emulator.Quota{Calls: 2}, []time.Duration{s / 2, s / 2, s, 3*s/2 - 1, 3 * s / 2}, "200 200 429 429 200"},
		{"a minute", emulator.Quota{Calls: 1, Per: time.Minute}, []time.Duration{0, s, 59 * s, 60 * s}, "200 429 429 200"},
		{"Retry-After", emulator.Quota{Calls: 1, Per: time.Minute, RetryAfter: true}, []time.Duration{0, s, 59*s + 1}, "200 429 after 59 429 after 1"},
		{"refused calls count", emulator.Quota{Calls: 1, CountRefused: true, RetryAfter: true},
			[]time.Duration{0, s / 2, s, 3 * s / 2, 5 * s / 2}, "200 429 after 1 429 after 1 429 after 1 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newClock()
			e := limited(t, emulator.Options{Now: k.Now, AutoOrders: true}, tt.quota)
			start := k.Now()
			var got []string
			for _, at := range tt.at {
				k.advance(start.Add(at).Sub(k.Now()))
				got = append(got, call(e, "/v1/p/orders/order.empty-1", "X-Auth-Token", "any"))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %s, want %s", strings.Join(got, " "), tt.want)
			}
		})
	}
}

// The text of the published page.
func TestQuotaText(t *testing.T) {
	for _, tt := range []struct {
		per  time.Duration
		want string
	}{
		{0, "limit:1,time:1 second"},
		{time.Second, "limit:1,time:1 second"},
		{90 * time.Second, "limit:1,time:90 second"},
		{time.Minute, "limit:1,time:1 minute"},
		{time.Hour, "limit:1,time:60 minute"},
	} {
		e := limited(t, emulator.Options{AutoOrders: true}, emulator.Quota{Calls: 1, Per: tt.per})
		get(e, "any", "p", "order.empty-1")
		want := `{"error_code":"APIGW.0308","error_msg":"The throttling threshold has been reached: policy user over ratelimit,` + tt.want + `"}`
		if body := get(e, "any", "p", "order.empty-1").Body.String(); body != want {
			t.Errorf("got %s, want %s", body, want)
		}
	}
}

func TestQuotasOfLogins(t *testing.T) {
	for _, tt := range []struct {
		together bool
		want     string
	}{
		{false, "200 429 200 200 200 429 200"},
		{true, "200 429 429 429 429 429 429"},
	} {
		k := newClock()
		e := limited(t, emulator.Options{Now: k.Now, AutoOrders: true}, emulator.Quota{Calls: 1, Together: tt.together})
		got := []string{
			call(e, "/v1/p/orders/order.empty-1", "X-Auth-Token", "a"),
			call(e, "/v1/q/orders/order.empty-2", "X-Auth-Token", "a"),
			call(e, "/v1/p/orders/order.empty-1", "X-Auth-Token", "b"),
			call(e, "/cn-north-4/v1/p/orders/order.empty-1", "X-Auth-Token", "a"),
			call(e, "/eu-west-101/v1/p/orders/order.empty-1", "X-Auth-Token", "a"),
			call(e, "/eu-west-101/v1/p/orders/order.empty-1", "X-Auth-Token", "a"),
			call(e, "/eu-west-101/v1/p/orders/order.empty-1", "X-Auth-Token", "c"),
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("together %t: got %s, want %s", tt.together, strings.Join(got, " "), tt.want)
		}
		if calls := e.Calls(); calls[1].Region != "" || calls[4].Region != "eu-west-101" {
			t.Errorf("got %+v", calls)
		}
	}
}

// A fault goes before the quota, and its calls count all the same.
func TestQuotaBesideFaults(t *testing.T) {
	k := newClock()
	e := limited(t, emulator.Options{Now: k.Now, AutoOrders: true}, emulator.Quota{Calls: 2})
	e.SetFaults(emulator.Fault{ToPoll: 1, Status: 503}, emulator.Fault{Region: "r", Project: "p", Status: 502})
	got := []string{}
	for _, path := range []string{"/v1/p", "/v1/p", "/v1/p", "/r/v1/q", "/r/v1/p", "/r/v1/q"} {
		got = append(got, call(e, path+"/orders/order.empty-1", "X-Auth-Token", "a"))
	}
	if want := "503 200 429 200 502 429"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, " "), want)
	}
}

// limited returns an emulator with a quota.
func limited(t *testing.T, o emulator.Options, q emulator.Quota) *emulator.Emulator {
	t.Helper()
	e := emulator.New(o)
	if err := e.SetQuota(q); err != nil {
		t.Fatal(err)
	}
	return e
}
