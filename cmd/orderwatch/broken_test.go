package main_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
)

// quickPatrol lets the patrol find within seconds what it leaves alone for a minute in production.
const quickPatrol = `FAULT_TIMING={"PatrolEvery": "1s", "PatrolSlack": "5s"}`

// records returns the bucket of records.
func (d *desk) records(t *testing.T) jetstream.KeyValue {
	t.Helper()
	bucket, err := d.nats.JS.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// awaitAttention waits until workers told of what the end of the subject names. Asking a command for it again and
// again would cost more.
func (d *desk) awaitAttention(t *testing.T, what string) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		events, err := d.nats.JS.Stream(t.Context(), "ORDER_EVENTS")
		if err == nil {
			_, err = events.GetLastMsgForSubject(t.Context(), "orders.attention."+what)
		}
		return err
	})
}

// R1, R2: get says that the record cannot be read, and never that the order was not asked for.
func TestGetBrokenRecord(t *testing.T) {
	t.Parallel()
	d := newDesk(t, quickPatrol)
	for order, damage := range map[string]func(key string) error{
		"order.never": func(key string) error {
			_, err := d.records(t).Put(t.Context(), key, []byte(`{"stream":"ORDER_REQUESTS","seq":1}`))
			return err
		},
		"order.later": func(key string) error { return d.records(t).Delete(t.Context(), key) },
	} {
		if w := rig.CarryOut(t, d.env, "watch", order); w.Code != 0 {
			t.Fatal(w)
		}
		rig.ReadRecord(t, d.records(t), order)
		if err := damage(rig.Project + "." + order); err != nil {
			t.Fatal(err)
		}
		w := rig.CarryOut(t, d.env, "get", order)
		if w.Code == 0 || !strings.Contains(w.Err, "its record cannot be read") || strings.Contains(w.Err, "it was not asked for") {
			t.Errorf("get %s: %d, %s", order, w.Code, w.Err)
		}
	}
	for _, order := range []string{"order.never", "order.later"} {
		d.awaitAttention(t, "record."+rig.Project+"."+order)
	}
	rig.Eventually(t, rig.Patience, func() error {
		list := rig.CarryOut(t, d.env, "list")
		if strings.Count(list.Out, "broken record") != 2 {
			return fmt.Errorf("list: %s %s", list.Out, list.Err)
		}
		return nil
	})
	all := rig.CarryOut(t, d.env, "events")
	if strings.Count(all.Out, "  record  broken record: ") != 2 {
		t.Errorf("events: %s %s", all.Out, all.Err)
	}
	if doctor := rig.CarryOut(t, d.env, "doctor"); strings.Count(doctor.Out, "broken record since") != 2 {
		t.Errorf("doctor: %s %s", doctor.Out, doctor.Err)
	}
}

// R5: watch --wait publishes its request again when the store was lost, and gets its completion.
func TestWaitThroughALostStore(t *testing.T) {
	t.Parallel()
	all := []string{"ORDER_REQUESTS", "ORDER_WAKEUPS", "KV_ORDER_WATCHES", "ORDER_EVENTS", "KV_ORDER_SLACK", "KV_ORDER_ACCOUNTS"}
	for name, tc := range map[string]struct {
		streams []string
		purge   bool
		says    string // of the waiting
		told    string // of doctor
	}{
		"records":          {[]string{"KV_ORDER_WATCHES"}, false, "it is published again", "what was watched before"},
		"records, purged":  {[]string{"KV_ORDER_WATCHES"}, true, "it is published again", "what was watched before"},
		"events":           {[]string{"ORDER_EVENTS"}, false, "", "events from before"},
		"requests":         {[]string{"ORDER_REQUESTS"}, false, "", "requests that were published before"},
		"requests, purged": {[]string{"ORDER_REQUESTS"}, true, "", ""},
		"wake-ups":         {[]string{"ORDER_WAKEUPS"}, false, "", ""},
		"wake-ups, purged": {[]string{"ORDER_WAKEUPS"}, true, "", ""},
		"all":              {all, false, "it is published again", "what was watched before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var timing []string
			if strings.HasPrefix(name, "wake-ups") {
				timing = append(timing, quickPatrol) // only the patrol finds a watch without a wake-up
			}
			d := newDesk(t, timing...)
			p := d.wait(t, "order.later")
			rig.ReadRecord(t, d.records(t), "order.later")
			rig.Eventually(t, rig.Patience, func() error {
				_, err := d.records(t).Get(t.Context(), "store")
				return err
			})
			for _, name := range tc.streams {
				stream, err := d.nats.JS.Stream(t.Context(), name)
				switch {
				case err == nil && tc.purge:
					err = stream.Purge(t.Context())
				case err == nil:
					err = d.nats.JS.DeleteStream(t.Context(), name)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if tc.says != "" {
				p.Says(t, tc.says)
			}
			d.finish()
			if code := p.Ends(t); code != 4 && code != 3 {
				t.Errorf("code %d: %s", code, p.Text())
			}
			if !strings.Contains(p.Text(), "partially_failed") {
				t.Errorf("no completion in %s", p.Text())
			}
			if tc.told != "" {
				d.awaitAttention(t, "lost.all")
			}
			rig.Eventually(t, rig.Patience, func() error {
				doctor := strings.Join(strings.Fields(rig.CarryOut(t, d.env, "doctor").Out), " ") // it breaks lines
				if n := strings.Count(doctor, "what workers had stored is gone since"); n != min(len(tc.told), 1) || !strings.Contains(doctor, tc.told) {
					return fmt.Errorf("%d losses: %s", n, doctor)
				}
				return nil
			})
		})
	}
}

// R5: where the completion event is gone, watch --wait ends by the record, with the same code and event.
func TestWaitEndsByTheRecord(t *testing.T) {
	t.Parallel()
	for order, code := range map[string]int{"order.succeeds": 0, "order.parts": 3, "order.refused": 5} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			first := rig.CarryOut(t, d.env, "watch", "--wait", "-o", "json", "--request-id", "build-1", order)
			if first.Code != code {
				t.Fatal(first)
			}
			if err := d.nats.JS.DeleteStream(t.Context(), "ORDER_EVENTS"); err != nil {
				t.Fatal(err)
			}
			rig.Eventually(t, rig.Patience, func() error {
				_, err := d.nats.JS.Stream(t.Context(), "ORDER_EVENTS")
				return err
			})
			again := rig.CarryOut(t, d.env, "watch", "--wait", "-o", "json", "--request-id", "build-1", order)
			if again.Code != code || !strings.Contains(again.Err, "no completion event came") {
				t.Errorf("%d %s %s", again.Code, again.Out, again.Err)
			}
			var before, after struct {
				ID, Type, Time, Subject string
				Data                    watcher.Completion
			}
			for out, e := range map[string]any{first.Out: &before, again.Out: &after} {
				lines := strings.Split(strings.TrimSpace(out), "\n")
				if err := json.Unmarshal([]byte(lines[len(lines)-1]), e); err != nil {
					t.Fatal(err)
				}
			}
			before.Data.Requests, after.Data.Requests = nil, nil // when they were stored differs in its form
			if !reflect.DeepEqual(before, after) {
				t.Errorf("event:\n%+v\nby the record:\n%+v", before, after)
			}
		})
	}
}
