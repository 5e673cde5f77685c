package store_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
)

// Where both the consumer slack and the note of how far it had come are deleted, the consumer begins with the first
// event: the notes of messages say which stand, and no event is passed over.
func TestSlackConsumerAfterItsNote(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	u := eventstest.Provided(t, nc, eventstest.StoreConfig())
	if err := u.NoteSettled(t.Context(), 41); err != nil {
		t.Fatal(err)
	}
	notes, err := js.KeyValue(t.Context(), "ORDER_SLACK")
	if err != nil {
		t.Fatal(err)
	}
	if err := notes.Delete(t.Context(), "settled"); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), "ORDER_EVENTS", "slack"); err != nil {
		t.Fatal(err)
	}
	quiet := store.Listener{Made: func(string) {}, Differs: func(string, store.Difference) {}}
	if err := u.Ensure(t.Context(), quiet, "ORDER_EVENTS"); err != nil {
		t.Fatal(err)
	}
	c, err := js.Consumer(t.Context(), "ORDER_EVENTS", "slack")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.CachedInfo().Config; got.DeliverPolicy != jetstream.DeliverByStartSequencePolicy || got.OptStartSeq != 1 {
		t.Errorf("it begins by policy %v at %d; want sequence 1", got.DeliverPolicy, got.OptStartSeq)
	}
}
