package events_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestConditionsAcrossRestarts lets a watch be late, then stalled, then blind, and then end. All workers are stopped,
// and others started, between each two. People are told once of each, and once that two of them are over; get and list
// show how the watch is.
func TestConditionsAcrossRestarts(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	var now atomic.Value // what the cloud answers
	var unreadable watcher.Answer
	now.Store(answer(watcher.Succeed, watcher.Processing))
	cloud := &orders{show: func(watcher.Order, int) (a watcher.Answer, err error) {
		if a = now.Load().(watcher.Answer); a.Count == 0 {
			err = &watcher.PollError{Class: watcher.MayPass, Code: "ModelArts.50005000", Message: "Internal error."}
		}
		return a, err
	}}
	var stop []func() error
	var registries []*prometheus.Registry
	restart := func(patience watcher.Patience) {
		for _, stop := range stop {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		stop = nil
		for range 2 {
			cfg := config()
			cfg.Policy.Patience = patience
			registries = append(registries, prometheus.NewRegistry())
			w := parts{url: s.ClientURL(), config: cfg, orders: cloud, registry: registries[len(registries)-1]}.ready(t)
			stop = append(stop, w.stop)
		}
	}
	told := func(want ...string) {
		t.Helper()
		eventstest.Eventually(t, func() error {
			var got []string
			for _, e := range eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.>") {
				_, rest, _ := strings.Cut(e.ID, ".")
				kind, _, _ := strings.Cut(rest, ".")
				got = append(got, kind)
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("told %v; want %v", got, want)
			}
			return nil
		})
	}
	shown := func(want watcher.AttentionKind) {
		t.Helper()
		eventstest.Eventually(t, func() error {
			_, reply := asked(t, nc, "get", orderBody("order.slow", ""))
			one := read[watcher.Snapshot](t, reply)
			_, reply = asked(t, nc, "list", "{}")
			all := read[wire.ListAnswer](t, reply).Watches
			if one.Condition != want || one.ConditionSince.IsZero() != (want == "") || len(all) != 1 || all[0].Condition != want {
				return fmt.Errorf("get shows %q since %s, list %+v; want %q", one.Condition, one.ConditionSince, all, want)
			}
			return nil
		})
	}

	const day = 24 * time.Hour
	restart(watcher.Patience{Stalled: day, Blind: day})
	r := request("order.slow")
	r["late_after"] = "1s"
	publish(t, js, r)
	told("late")
	shown(watcher.Late)

	restart(watcher.Patience{Stalled: time.Second, Blind: day})
	told("late", "stalled")
	shown(watcher.Stalled)

	now.Store(unreadable)
	restart(watcher.Patience{Stalled: time.Second, Blind: time.Second})
	told("late", "stalled", "blind")
	shown(watcher.Blind)

	now.Store(answer(watcher.Succeed, watcher.Succeed))
	restart(watcher.Patience{Stalled: time.Second, Blind: time.Second})
	eventstest.Eventually(t, func() error {
		if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.completed.succeeded.>"); n != 1 {
			return errors.New("it has not ended")
		}
		return nil
	})
	told("late", "stalled", "blind", "blind_over", "stalled_over")
	shown("")
	for _, kind := range []watcher.AttentionKind{watcher.Late, watcher.Stalled, watcher.Blind} {
		n := 0.
		for _, registry := range registries {
			n += counted(t, registry, "orderwatch_order_attentions_total", string(kind))
		}
		if n != 1 {
			t.Errorf("%v times %s are counted", n, kind)
		}
	}
}

// counted returns the value of a counter that has one label, with that value.
func counted(t *testing.T, registry *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s of %s", name, label)
	return 0
}

// TestWaitingChannels holds which channels and labels are told of a hold, and how many are left out.
func TestWaitingChannels(t *testing.T) {
	t.Parallel()
	watch := func(project string, requests ...watcher.Request) watcher.Watch {
		return watcher.Watch{Order: watcher.Order{ProjectID: project}, Requests: requests, Counts: watcher.Counts{Total: 4, Succeeded: 1, Failed: 2}}
	}
	in := func(channel string, labels ...string) watcher.Request {
		r := watcher.Request{SlackChannel: channel}
		for _, l := range labels {
			r.Labels = map[string]string{"env": l}
		}
		return r
	}
	counts, channels := events.WaitingOf(
		watch("a", in(""), in(""), in("C1", "prod")), watch("a", in("C1", "prod")), watch("a", in("C1", "test")), watch("b", in("C1", "prod")))
	if got, want := fmt.Sprint(counts, channels), "map[a:3 b:1] map["+
		"a:{[{ map[] 1 3 4} {C1 map[env:prod] 2 6 8} {C1 map[env:test] 1 3 4}] 0} b:{[{C1 map[env:prod] 1 3 4}] 0}]"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}

	var many []watcher.Watch
	for i := range 200 {
		many = append(many, watch("a", in("C1", fmt.Sprint(i))), watch("a", in("C1", fmt.Sprint(i))))
	}
	many = append(many, watch("a", in("C2", "last")))
	counts, channels = events.WaitingOf(many...)
	of := channels["a"]
	if last := of.Channels[len(of.Channels)-1]; counts["a"] != 401 || len(of.Channels) != 51 || of.Omitted != 150 || of.Channels[0].Watches != 2 || last.SlackChannel != "C2" {
		t.Errorf("%d watches; %d channels, %d omitted, the last %+v", counts["a"], len(of.Channels), of.Omitted, last)
	}

	many = nil
	for i := range 400 {
		many = append(many, watch(fmt.Sprint("p", i), in("C1", strings.Repeat("x", 256))))
	}
	counts, channels = events.WaitingOf(many...)
	told, omitted := 0, 0
	for _, of := range channels {
		told, omitted = told+len(of.Channels), omitted+of.Omitted
	}
	if len(counts) != 400 || told < 50 || told > 200 || told+omitted != 400 {
		t.Errorf("%d projects: %d channels, %d omitted", len(counts), told, omitted)
	}
}
