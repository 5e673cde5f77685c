package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/watcher"
)

// Stored hands every message of a stream on the subject to f, oldest first.
func Stored(t testing.TB, js jetstream.JetStream, stream, subject string, f func(jetstream.Msg)) {
	t.Helper()
	err := ReadStream(t.Context(), js, stream, subject, func(m jetstream.Msg) {
		JudgeEvent(t, stream, m.Subject(), m.Headers(), m.Data())
		f(m)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ReadStream is [Stored] for servers that may not answer.
func ReadStream(ctx context.Context, js jetstream.JetStream, stream, subject string, f func(jetstream.Msg)) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		return err
	}
	left := consumer.CachedInfo().NumPending
	if left == 0 {
		return nil
	}
	messages, err := consumer.Messages() // Fetch would make a consumer for each batch
	if err != nil {
		return err
	}
	defer messages.Stop()
	for ; left > 0; left-- {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		f(m)
	}
	return nil
}

// DrainLimit is how long all may take to finish after the last fault and the last request.
const DrainLimit = 2 * time.Minute

// AwaitDrained waits until nothing is left to do.
func AwaitDrained(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	Eventually(t, DrainLimit, func() error {
		for _, name := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS"} {
			s, err := js.Stream(t.Context(), name)
			if err != nil {
				return err
			}
			if n := s.CachedInfo().State.Msgs; n > 0 {
				return fmt.Errorf("%s holds %d messages: %s", name, n, firstOf(t.Context(), s))
			}
		}
		return nil
	})
}

// firstOf shows the stream's oldest message.
func firstOf(ctx context.Context, s jetstream.Stream) string {
	m, err := s.GetMsg(ctx, s.CachedInfo().State.FirstSeq)
	if err != nil {
		return err.Error() // it has gone, or the server has
	}
	return fmt.Sprintf("the oldest, of %s, is %s %.300s", m.Time.Format(time.RFC3339Nano), m.Subject, m.Data)
}

// Completion reads the data of a completion event.
func Completion(t *testing.T, m jetstream.Msg) watcher.Completion {
	t.Helper()
	var event struct{ Data watcher.Completion }
	if err := json.Unmarshal(m.Data(), &event); err != nil {
		t.Fatal(err)
	}
	return event.Data
}

// JudgeEvent holds what a stream of events has against the schemas.
func JudgeEvent(t testing.TB, stream, subject string, header nats.Header, body []byte) {
	t.Helper()
	if !strings.HasSuffix(stream, "_EVENTS") {
		return
	}
	if err := schematest.Event(subject, header, body); err != nil {
		t.Errorf("event on %s: %v", subject, err)
	}
}

// AwaitCompletions waits until there are so many completions and returns them, oldest first.
func AwaitCompletions(t *testing.T, js jetstream.JetStream, n int) []watcher.Completion {
	t.Helper()
	const subject = "orders.completed.>"
	var completions []watcher.Completion
	Eventually(t, Patience, func() error {
		s, err := js.Stream(t.Context(), "ORDER_EVENTS")
		if err != nil {
			return err
		}
		stored, err := s.Info(t.Context(), jetstream.WithSubjectFilter(subject))
		if err != nil {
			return err
		}
		var found uint64
		for _, messages := range stored.State.Subjects {
			found += messages
		}
		if found < uint64(n) { // each reading leaves a consumer, of which a stream takes 1,000
			return fmt.Errorf("%d completions; want %d", found, n)
		}
		completions = nil
		Stored(t, js, "ORDER_EVENTS", subject, func(m jetstream.Msg) {
			completions = append(completions, Completion(t, m))
		})
		if len(completions) < n {
			return fmt.Errorf("%d completions; want %d", len(completions), n)
		}
		return nil
	})
	return completions
}

// Publish publishes a request with this body, and waits until it is stored.
func Publish(t *testing.T, js jetstream.JetStream, body string) {
	t.Helper()
	if _, err := js.Publish(t.Context(), "orders.watch", []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// ReadRecord waits for the record of an order and returns it.
func ReadRecord(t *testing.T, bucket jetstream.KeyValue, order string) jetstream.KeyValueEntry {
	t.Helper()
	var record jetstream.KeyValueEntry
	Eventually(t, Patience, func() (err error) {
		record, err = bucket.Get(t.Context(), Project+"."+order)
		return err
	})
	return record
}
