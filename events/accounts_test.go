package events_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/proxy"
	"github.com/orderwatch/orderwatch/watcher"
)

// sharing returns the settings of workers that notice each other quickly.
func sharing() settings {
	cfg := config()
	cfg.Timing.WorkerSign, cfg.Timing.WorkerGone, cfg.Timing.AccountsEvery = 200*time.Millisecond, 3*time.Second, 100*time.Millisecond
	cfg.Timing.CheckEvery, cfg.Timing.Unreachable = 200*time.Millisecond, time.Minute
	return cfg
}

func workers(want int, all ...*running) func() error {
	return func() error {
		for i, w := range all {
			if got := w.accounts.Workers(); got != want {
				return fmt.Errorf("worker %d knows of %d workers; want %d", i, got, want)
			}
		}
		return nil
	}
}

func TestWorkersKnowEachOther(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	p, err := proxy.Listen("127.0.0.1:0", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	start := func(url string) *running {
		return parts{url: url, config: sharing(), orders: &orders{show: ended(watcher.Succeed)}}.ready(t)
	}
	first, second, third := start(s.ClientURL()), start(s.ClientURL()), start(p.URL())
	eventstest.Eventually(t, workers(3, first, second, third))
	second.stop()
	eventstest.Eventually(t, workers(2, first, third))
	p.Refuse(true)
	p.Cut()
	eventstest.Eventually(t, workers(1, first))
	if err := workers(2, third)(); err != nil { // it cannot see the others, and does not take their share
		t.Error(err)
	}
	p.Refuse(false)
	eventstest.Eventually(t, workers(2, first, third))
}

// A worker that was answered about nothing knows of an order about which another was, as long as that works.
func TestWorkersTellWhatWasAnswered(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	start := func() *running {
		return parts{url: s.ClientURL(), config: sharing(), orders: &orders{show: ended(watcher.Succeed)}}.ready(t)
	}
	first, second := start(), start()
	const key = "ab12.cn-north-4"
	knows := func(w *running, want watcher.Order) func() error {
		return func() error {
			if got, ok := w.accounts.LastAnswered(key); got != want || ok != (want != watcher.Order{}) {
				return fmt.Errorf("%+v, %t; want %+v", got, ok, want)
			}
			return nil
		}
	}
	for _, name := range []string{"order.one", "order.two"} {
		order := watcher.Order{ProjectID: "p", Name: name}
		first.accounts.Answered(key, order)
		eventstest.Eventually(t, knows(second, order))
	}
	if err := knows(first, watcher.Order{})(); err != nil {
		t.Error(err)
	}
	first.stop()
	eventstest.Eventually(t, knows(second, watcher.Order{}))
}

func TestHoldsAreShared(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	start := func() *running {
		return parts{url: s.ClientURL(), config: sharing(), orders: &orders{show: ended(watcher.Succeed)}}.ready(t)
	}
	first, second := start(), start()
	const key = "ab12.cn-north-4"
	hold := watcher.Hold{Kind: watcher.HeldThrottled, Region: "cn-north-4", Reason: "429", Since: time.Now().UTC(), Until: time.Now().UTC().Add(time.Hour)}
	if err := first.accounts.SetHold(t.Context(), key, hold, 0); err != nil {
		t.Fatal(err)
	}
	knows := func(w *running, want watcher.Hold) func() error {
		return func() error {
			if got, _ := w.accounts.Hold(key); !reflect.DeepEqual(got, want) {
				return fmt.Errorf("%+v; want %+v", got, want)
			}
			return nil
		}
	}
	eventstest.Eventually(t, knows(second, hold))
	_, revision := second.accounts.Hold(key)
	later := hold
	later.Tries = 1
	if err := second.accounts.SetHold(t.Context(), key, later, revision); err != nil {
		t.Fatal(err)
	}
	other := hold
	other.Tries = 7
	if err := first.accounts.SetHold(t.Context(), key, other, revision); !errors.Is(err, watcher.ErrConflict) {
		t.Errorf("of two at once the slower one: %v", err)
	}
	eventstest.Eventually(t, knows(first, later))
	eventstest.Eventually(t, knows(start(), later)) // also whoever comes later
}

// A hold that lasts is told once for each project that waits, whoever of the workers does it, and so
// is its end; what it was kept for is then forgotten.
func TestAttention(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	var done atomic.Bool
	cloud := &orders{show: func(o watcher.Order, _ int) (watcher.Answer, error) {
		if done.Load() {
			return answer(watcher.Succeed), nil
		}
		return answer(watcher.Processing), nil
	}}
	cfg := sharing()
	first := parts{url: s.ClientURL(), config: cfg, orders: cloud}.ready(t)
	parts{url: s.ClientURL(), config: cfg, orders: cloud}.ready(t)
	ask := func(project, name, region string) {
		r := request(name)
		r["project_id"], r["region"], r["slack_channel"], r["labels"] = project, region, "C0ONCALL", map[string]string{"team": project}
		publish(t, js, r)
	}
	ask("a", "one", "cn-north-4")
	ask("a", "two", "cn-north-4")
	ask("b", "three", "cn-north-4")
	ask("c", "four", "cn-east-3")
	eventstest.Eventually(t, func() error {
		if n := eventstest.Messages(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>"); n != 4 {
			return fmt.Errorf("%d records", n)
		}
		return nil
	})
	const key = "ab12.cn-north-4"
	now := time.Now().UTC().Truncate(time.Millisecond)
	hold := watcher.Hold{Kind: watcher.HeldUnreachable, Region: "cn-north-4", Reason: "HTTP 503: ModelArts.50005000: down", Code: "ModelArts.50005000", Said: "down", Since: now.Add(-2 * time.Minute), Until: now.Add(time.Hour)}
	if err := first.accounts.SetHold(t.Context(), key, hold, 0); err != nil {
		t.Fatal(err)
	}
	began := hold.Since
	told := func(kind watcher.AttentionKind, want map[string]int) func() error {
		return func() error {
			got := 0
			for _, e := range eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention."+string(kind)+".>") {
				a := e.Attention(t)
				got++
				if of := a.WaitingChannels; len(of.Channels) != 1 || of.Omitted != 0 || of.Channels[0].Watches != a.Waiting || of.Channels[0].SlackChannel != "C0ONCALL" || of.Channels[0].Labels["team"] != a.ProjectID {
					return fmt.Errorf("%s: %+v", e.Subject, a.WaitingChannels)
				}
				if want[a.ProjectID] != a.Waiting || a.WaitingAll != 3 || a.Reason != hold.Reason || a.Code != hold.Code || a.Said != hold.Said || a.Cause != hold.Kind || !a.Since.Equal(began) || a.Kind != kind || a.Account != key || a.Until.IsZero() {
					return fmt.Errorf("%s: %+v", e.Subject, a)
				}
			}
			if got != len(want) {
				return fmt.Errorf("%d events of %s; want %d", got, kind, len(want))
			}
			return nil
		}
	}
	waiting := map[string]int{"a": 2, "b": 1}
	eventstest.Eventually(t, told(watcher.Unreachable, waiting))
	eventstest.Eventually(t, func() error {
		if h, _ := first.accounts.Hold(key); h.ToldAt.IsZero() {
			return fmt.Errorf("not noted: %+v", h)
		}
		return nil
	})
	for order, want := range map[watcher.Order]watcher.AttentionKind{{ProjectID: "a", Name: "one"}: watcher.Blind, {ProjectID: "b", Name: "three"}: watcher.Blind, {ProjectID: "c", Name: "four"}: ""} {
		_, reply := asked(t, first.nc, "get", fmt.Sprintf(`{"project_id":%q,"order_name":%q}`, order.ProjectID, order.Name))
		if got := read[watcher.Snapshot](t, reply); got.Condition != want || want != "" && !got.ConditionSince.Equal(began) {
			t.Errorf("%s is %q since %s; want %q", order, got.Condition, got.ConditionSince, want)
		}
	}
	hold, revision := first.accounts.Hold(key)
	hold.Over = now
	if err := first.accounts.SetHold(t.Context(), key, hold, revision); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, told(watcher.Reachable, waiting))
	eventstest.Eventually(t, func() error {
		if h, _ := first.accounts.Hold(key); h.Kind != "" {
			return fmt.Errorf("still kept: %+v", h)
		}
		return nil
	})

	// What was over before people had to know is told to nobody.
	_, revision = first.accounts.Hold(key)
	hold.ToldAt, hold.ToldTo, hold.Since = time.Time{}, nil, time.Now().UTC()
	hold.Over = hold.Since
	if err := first.accounts.SetHold(t.Context(), key, hold, revision); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error {
		if h, _ := first.accounts.Hold(key); h.Kind != "" {
			return fmt.Errorf("still kept: %+v", h)
		}
		return nil
	})
	if err := told(watcher.Unreachable, waiting)(); err != nil {
		t.Error(err)
	}
	done.Store(true)
	eventstest.Eventually(t, idle(t, js, "ORDER"))
}
