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

// records returns the bucket of records.
func (d *desk) records(t *testing.T) jetstream.KeyValue {
	t.Helper()
	bucket, err := d.nats.JS.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// R1, R2: get says that the record cannot be read, and never that the order was not asked for.
func TestGetBrokenRecord(t *testing.T) {
	t.Parallel()
	// The patrol leaves alone what was written within the slack.
	d := newDesk(t, `FAULT_TIMING={"PatrolEvery": "1s", "PatrolSlack": "5s"}`)
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
	for name, stream := range map[string]string{"records": "KV_ORDER_WATCHES", "events": "ORDER_EVENTS"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			p := d.wait(t, "order.later")
			rig.ReadRecord(t, d.records(t), "order.later")
			if err := d.nats.JS.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			if stream != "ORDER_EVENTS" {
				p.Says(t, "it is published again")
			}
			d.finish()
			if code := p.Ends(t); code != 4 && code != 3 {
				t.Errorf("code %d: %s", code, p.Text())
			}
			if !strings.Contains(p.Text(), "partially_failed") {
				t.Errorf("no completion in %s", p.Text())
			}
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
