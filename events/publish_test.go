package events_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire/wiretest"
	"github.com/orderwatch/orderwatch/watcher"
)

var watchIDs = regexp.MustCompile(`\Aw_[0-9A-HJKMNP-TV-Z]{26}\z`)

var update = flag.Bool("update", false, "write the golden files of events")

// TestEvents compares one event of each type with its golden file.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	w := startWorker(t, s, config(), &orders{show: func(_ watcher.Order, poll int) (watcher.Answer, error) {
		began := time.Date(2025, 4, 10, 11, 57, 8, 0, time.UTC)
		items := []watcher.Item{
			{ResourceName: "pool-5ed5", Action: "createPool", Status: watcher.Processing, BeganAt: began},
			{ResourceName: "os-node-created-8jsnk", Action: "createNode", Status: watcher.Processing, BeganAt: began},
		}
		if poll > 1 {
			items[0].Status, items[0].UpdatedAt = watcher.Succeed, began.Add(time.Minute)
		}
		if poll > 2 {
			items[1].Status, items[1].UpdatedAt, items[1].Message = watcher.Failed, began.Add(251*time.Second), `flavor <sold out> & "gone" 库存不足`
		}
		return watcher.Answer{Count: 2, Items: items}, nil
	}})
	publish(t, js, map[string]any{
		"project_id": project, "order_name": "order.pool-5ed5-w4l2n", "request_id": "build-771", "requested_by": "gpu-pools",
		"link": "https://ci.example/771", "labels": map[string]string{"env": "prod"}, "expected_items": 2, "slack_channel": "C0ONCALL",
	})
	w.next(t)
	publish(t, js, map[string]any{"project_id": project, "order_name": "order.pool-5ed5-w4l2n", "timeout": "-5m"})
	eventstest.Eventually(t, func() error {
		if eventstest.Messages(t, js, "ORDER_EVENTS", "orders.rejected") != 1 {
			return fmt.Errorf("no rejected event")
		}
		return nil
	})

	for _, one := range []struct {
		golden  string
		subject string
		number  int // of how many events on the subject
	}{
		{"completed.json", "orders.completed.partially_failed." + project + ".order.pool-5ed5-w4l2n", 1},
		{"progressed.json", "orders.progress." + project + ".order.pool-5ed5-w4l2n", 2},
		{"rejected.json", "orders.rejected", 1},
	} {
		t.Run(one.golden, func(t *testing.T) {
			list := eventsOn(t, js, one.subject)
			if len(list) != one.number {
				t.Fatalf("%d events on %s; want %d", len(list), one.subject, one.number)
			}
			m := list[len(list)-1]
			checkEnvelope(t, m)
			compareGolden(t, filepath.Join("testdata", one.golden), steady(t, m.Data))
		})
	}
}

// steady returns an event with fixed values in place of those that no two runs share.
func steady(t *testing.T, encoded []byte) []byte {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(encoded, &e); err != nil {
		t.Fatal(err)
	}
	at := func(object map[string]any, name string) {
		if text, ok := object[name].(string); ok {
			if _, err := time.Parse(time.RFC3339Nano, text); err != nil || !strings.HasSuffix(text, "Z") {
				t.Errorf("%s is %q; want a time in UTC", name, text)
			}
			object[name] = "2025-04-10T11:49:50Z"
		}
	}
	data := e["data"].(map[string]any)
	id := e["id"].(string)
	if watch, ok := data["watch_id"].(string); ok {
		if !watchIDs.MatchString(watch) {
			t.Errorf("watch_id is %q", watch)
		}
		id = strings.Replace(id, watch, "w_0", 1)
		data["watch_id"] = "w_0"
		for _, r := range data["requests"].([]any) {
			at(r.(map[string]any), "received_at")
			at(r.(map[string]any), "deadline")
		}
	} else {
		id, data["request_id"] = "r_2-0", "seq-2-0"
	}
	e["id"] = id
	at(e, "time")
	at(data, "received_at")
	at(data, "accepted_at")
	at(data, "completed_at")
	for _, name := range []string{"detected_after", "settled_after"} {
		if text, ok := data[name].(string); ok {
			if _, err := time.ParseDuration(text); err != nil {
				t.Errorf("%s is %q; want a duration", name, text)
			}
			data[name] = "1.5s"
		}
	}

	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(e); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it); got\n%s", path, got)
	}
}

// TestContractExample reads the completion of contract.md and writes it again.
func TestContractExample(t *testing.T) {
	t.Parallel()
	encoded, err := os.ReadFile(filepath.Join("testdata", "contract_completion.json"))
	if err != nil {
		t.Fatal(err)
	}
	var e cloudevent.Event
	if err := json.Unmarshal(encoded, &e); err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	var c watcher.Completion
	strict := json.NewDecoder(bytes.NewReader(e.Data()))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if err := e.SetData(cloudevent.ApplicationJSON, c); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := decoded(t, again), decoded(t, encoded); !reflect.DeepEqual(got, want) {
		t.Errorf("the example became\n%s\nwant\n%s", again, encoded)
	}
}

func decoded(t *testing.T, encoded []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(encoded, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestLargeOrder watches an order whose failures alone would fill six events.
func TestLargeOrder(t *testing.T) {
	t.Parallel()
	for _, maxPayload := range []int32{1 << 20, 256 << 10} {
		t.Run(fmt.Sprintf("max_payload %d", maxPayload), func(t *testing.T) {
			t.Parallel()
			message := strings.Repeat("the flavor <modelarts.vm.gpu> is sold out & \"gone\"; ", 60*int(maxPayload)>>20)
			s := eventstest.Server(t, server.Options{MaxPayload: maxPayload})
			_, js := eventstest.Connect(t, s)
			w := startWorker(t, s, config(), &orders{show: func(_ watcher.Order, poll int) (watcher.Answer, error) {
				a := manyItems(5000, 2000, message)
				if poll == 1 {
					for i := range a.Items {
						a.Items[i].Status = watcher.Processing
					}
				}
				return a, nil
			}})
			publish(t, js, map[string]any{"project_id": project, "order_name": "order.large", "labels": wiretest.LongLabels})
			c := w.next(t)
			checkLarge(t, c)

			limit := int(maxPayload)
			for _, m := range append(eventsOn(t, js, "orders.completed.>"), eventsOn(t, js, "orders.progress.>")...) {
				checkEnvelope(t, m)
				checkFits(t, m, limit)
			}
			if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.completed.>"); n != 1 {
				t.Errorf("%d completions; want 1", n)
			}
			if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.progress.>"); int(n)+w.log.late("order.large") != 2 {
				t.Errorf("%d progress events, and %d that came too late; want 2: the items appeared, and they ended", n, w.log.late("order.large"))
			}
			var record *jetstream.RawStreamMsg
			eventstest.Eventually(t, func() error {
				record = eventstest.Last(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES."+of("order.large").Key())
				if ended, err := watcher.DecodeWatch(record.Data); err != nil || ended.State != watcher.Ended {
					return fmt.Errorf("the record is %s (%v)", ended.State, err)
				}
				return nil
			})
			checkFits(t, record, limit)
		})
	}
}

func checkLarge(t *testing.T, c watcher.Completion) {
	t.Helper()
	if want := (watcher.Counts{Total: 5000, Succeeded: 3000, Failed: 2000}); c.Counts != want || c.Outcome != watcher.PartiallyFailed || c.Reason != "2000 of 5000 nodes failed" {
		t.Errorf("outcome %s, counts %+v, reason %q", c.Outcome, c.Counts, c.Reason)
	}
	if len(c.Items)+c.ItemsOmitted != 5000 || c.ItemsOmitted < 3000 {
		t.Errorf("%d items, %d omitted; want 5000 in all, the 3000 succeeded ones omitted", len(c.Items), c.ItemsOmitted)
	}
	for _, it := range c.Items {
		if it.Status != watcher.Failed {
			t.Fatalf("%+v was kept; failed ones were to be kept first", it)
		}
	}
	failed := 0
	for _, f := range c.Failures {
		failed += f.Count
	}
	if failed != 2000 {
		t.Errorf("failures count %d; want 2000", failed)
	}
	if len(c.Requests) != 1 || !reflect.DeepEqual(c.Requests[0].Labels, wiretest.LongLabels) {
		t.Errorf("the request is not whole: %+v", c.Requests)
	}
	t.Logf("%d items kept, %d groups of failures", len(c.Items), len(c.Failures))
}

func checkFits(t *testing.T, m *jetstream.RawStreamMsg, limit int) {
	t.Helper()
	size := len("NATS/1.0\r\n\r\n") + len(m.Data)
	for name, values := range m.Header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	if size > limit {
		t.Errorf("the message on %s has %d bytes; the server takes %d", m.Subject, size, limit)
	}
	t.Logf("%s: %d bytes", m.Subject, size)
}

// manyItems returns n items, of which the last ones have failed, each with a message of its own.
func manyItems(n, failed int, message string) watcher.Answer {
	a := watcher.Answer{Count: n, Items: make([]watcher.Item, n)}
	for i := range a.Items {
		a.Items[i] = watcher.Item{ResourceName: fmt.Sprintf("os-node-created-%05d", i), Action: "createNode", Status: watcher.Succeed}
		if i >= n-failed {
			a.Items[i].Status, a.Items[i].Message = watcher.Failed, fmt.Sprintf("node %d: %s", i, message)
		}
	}
	return a
}
