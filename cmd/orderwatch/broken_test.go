package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// records returns the bucket of records.
func (d *desk) records(t *testing.T) jetstream.KeyValue {
	t.Helper()
	bucket, err := d.nats.js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// R1, R2: get says that the record cannot be read, and never that the order was not asked for.
func TestGetBrokenRecord(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for order, damage := range map[string]func(key string) error{
		"order.never": func(key string) error {
			_, err := d.records(t).Put(t.Context(), key, []byte(`{"stream":"ORDER_REQUESTS","seq":1}`))
			return err
		},
		"order.later": func(key string) error { return d.records(t).Delete(t.Context(), key) },
	} {
		if w := carryOut(t, d.env, "watch", order); w.code != 0 {
			t.Fatal(w)
		}
		readRecord(t, d.records(t), order)
		if err := damage(project + "." + order); err != nil {
			t.Fatal(err)
		}
		w := carryOut(t, d.env, "get", order)
		if w.code == 0 || !strings.Contains(w.err, "its record cannot be read") || strings.Contains(w.err, "it was not asked for") {
			t.Errorf("get %s: %d, %s", order, w.code, w.err)
		}
	}
	if testing.Short() {
		return // the patrol leaves what was written within the last minute alone
	}
	eventually(t, patience, func() error {
		list := carryOut(t, d.env, "list")
		if strings.Count(list.out, "broken record") != 2 {
			return fmt.Errorf("list: %s %s", list.out, list.err)
		}
		return nil
	})
	all := carryOut(t, d.env, "events")
	if strings.Count(all.out, "  record  broken record: ") != 2 {
		t.Errorf("events: %s %s", all.out, all.err)
	}
	if doctor := carryOut(t, d.env, "doctor"); strings.Count(doctor.out, "broken record since") != 2 {
		t.Errorf("doctor: %s %s", doctor.out, doctor.err)
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
			readRecord(t, d.records(t), "order.later")
			if err := d.nats.js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			if stream != "ORDER_EVENTS" {
				p.says(t, "it is published again")
			}
			d.finish()
			if code := p.ends(t); code != 4 && code != 3 {
				t.Errorf("code %d: %s", code, p.text())
			}
			if !strings.Contains(p.text(), "partially_failed") {
				t.Errorf("no completion in %s", p.text())
			}
		})
	}
}
