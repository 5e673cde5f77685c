package events_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestHintsThroughTheStream lets the list of orders bring polls on that are not due for an hour: first wrongly, then rightly.
// What came of it is counted.
func TestHintsThroughTheStream(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	var statuses atomic.Value // of the order's items
	statuses.Store([]watcher.Status{watcher.Succeed, watcher.Processing})
	changed := time.Now().Add(-time.Second).Truncate(time.Millisecond)
	cloud := &orders{show: func(watcher.Order, int) (watcher.Answer, error) {
		a := answer(statuses.Load().([]watcher.Status)...)
		for i := range a.Items {
			a.Items[i].UpdatedAt = changed
		}
		return a, nil
	}}
	registry := prometheus.NewRegistry()
	w := parts{url: s.ClientURL(), config: quiet(), orders: cloud, registry: registry}.ready(t)
	publish(t, js, request("order.slow"))
	u, order := eventstest.Store(t, nc, eventstest.StoreConfig(), nil), watcher.Order{ProjectID: project, Name: "order.slow"}
	polled := func(times int) watcher.Watch {
		t.Helper()
		var record watcher.Watch
		eventstest.Eventually(t, func() (err error) {
			if record, _, err = u.ReadLatest(t.Context(), order); err == nil && record.Polls != times {
				err = fmt.Errorf("polled %d times; want %d", record.Polls, times)
			}
			return err
		})
		return record
	}
	hint := func(record watcher.Watch) {
		t.Helper()
		k := record.Expected()
		k.At, k.Hint = u.Clock.Now(), new(watcher.Hint)
		if err := u.Schedule(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	hint(polled(1))
	record := polled(2)
	statuses.Store([]watcher.Status{watcher.Succeed, watcher.Succeed})
	hint(record)
	if c := w.next(t); c.Outcome != watcher.Succeeded || c.DetectedBy != watcher.ByList || c.Polls != 4 {
		t.Errorf("%s, by %s, %d polls", c.Outcome, c.DetectedBy, c.Polls)
	}
	eventstest.Eventually(t, func() error {
		for name, found := range map[string]string{"orderwatch_detection_lag_seconds": "swept", "orderwatch_settle_wait_seconds": "swept", "orderwatch_list_disagreements_total": ""} {
			if labels, n := measured(t, registry, name); n != 1 || labels["region"] != "cn-north-4" || labels["found"] != found {
				return fmt.Errorf("%s: %v of %v", name, n, labels)
			}
		}
		return nil
	})
}

// measured returns the labels of the one counter or histogram of that name, and how much was counted.
func measured(t *testing.T, registry *prometheus.Registry, name string) (labels map[string]string, n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels = make(map[string]string)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			counted := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if counted == 0 {
				continue // it is there from the start
			}
			n += counted
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
		}
	}
	return labels, n
}
