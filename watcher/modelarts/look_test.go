package modelarts_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestLook asks once, tells the server's time and holds no account, whatever comes of it.
func TestLook(t *testing.T) {
	t.Parallel()
	date := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	for name, test := range map[string]struct {
		fault  emulator.Fault
		status int
		class  watcher.Class
		dated  bool
	}{
		"answered":      {emulator.Fault{}, 0, "", true},
		"unknown":       {emulator.Fault{Status: 404, Code: "ModelArts.50015001"}, 404, watcher.NotFound, true},
		"wrong login":   {emulator.Fault{Status: 401, Code: "APIGW.0301", Message: "ak not exist"}, 401, watcher.Credentials, true},
		"throttled":     {emulator.Fault{Status: 429}, 429, watcher.Throttled, true},
		"cut":           {emulator.Fault{Cut: true}, 0, watcher.MayPass, false},
		"no valid date": {emulator.Fault{Header: map[string]string{"Date": "yesterday"}}, 0, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.dated {
				test.fault.Header = map[string]string{"Date": date.Format(http.TimeFormat)}
			}
			e := emulator.New(emulator.Options{Tokens: []string{secret}})
			e.Add(project, "order.pool-1", emulator.Order{Items: []emulator.Item{{ResourceName: "pool-1"}}, Faults: []emulator.Fault{test.fault}})
			client := newClient(t, config(t, serve(t, e)))
			for range 10 { // as many as would lock a login, or count as an outage
				look, err := client.Look(t.Context(), region, order("order.pool-1"))
				refusal, _ := errors.AsType[*answer.Error](err)
				switch {
				case test.class == "" && (err != nil || len(look.Answer.Items) != 1):
					t.Fatalf("got %+v, %v", look, err)
				case test.class != "" && (refusal == nil || refusal.Class != test.class || refusal.Status != test.status):
					t.Fatalf("got %v", err)
				case test.dated && (!look.Date.Equal(date) || time.Since(look.Middle) > time.Minute):
					t.Fatalf("dated %s at %s; want %s", look.Date, look.Middle, date)
				case !test.dated && !look.Date.IsZero():
					t.Fatalf("dated %s", look.Date)
				}
			}
			if leave := client.Wait(t.Context(), region, order("order.pool-1"), time.Now(), watcher.Turn{}); leave.Held != "" {
				t.Errorf("the account is held: %s", leave.Why)
			}
			if n := e.Polls(project, "order.pool-1"); n != 10 {
				t.Errorf("%d calls were made; want 10", n)
			}
		})
	}
}

func TestLookRefuses(t *testing.T) {
	t.Parallel()
	client := newClient(t, config(t, serve(t, emulator.New(emulator.Options{}))))
	if _, err := client.Look(t.Context(), region, order("../order")); err == nil {
		t.Error("a name that is none was asked for")
	}
	if _, err := client.Look(t.Context(), "eu-nowhere-1", order("order.pool-1")); err == nil {
		t.Error("a region that is not configured was asked")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Look(ctx, region, order("order.pool-1")); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}
