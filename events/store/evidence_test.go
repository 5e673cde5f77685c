package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

func TestPublished(t *testing.T) {
	api := func(status, code int) error {
		return fmt.Errorf("publish: %w", &jetstream.APIError{Code: status, ErrorCode: jetstream.ErrorCode(code), Description: "refused"})
	}
	for _, test := range []struct {
		name     string
		err      error
		conflict bool
	}{
		{"wrong last sequence", api(400, 10071), true},
		{"another is under way", api(400, 10164), false},
		{"another is under way in the same batch", api(400, 10158), false},
		{"insufficient storage", api(503, 10047), false},
		{"maximum of messages", api(400, 10077), false},
		{"timeout", nats.ErrTimeout, false},
		{"deadline", context.DeadlineExceeded, false},
		{"no responders", nats.ErrNoResponders, false},
		{"no stream answers", jetstream.ErrNoStreamResponse, false},
		{"connection closed", nats.ErrConnectionClosed, false},
	} {
		got := store.Published(test.err)
		if errors.Is(got, watcher.ErrConflict) != test.conflict || !errors.Is(got, test.err) {
			t.Errorf("%s: got %v; want the error itself, a conflict: %t", test.name, got, test.conflict)
		}
	}
	if err := store.Published(nil); err != nil {
		t.Errorf("stored: %v", err)
	}
}

func TestNotThere(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"no message", jetstream.ErrMsgNotFound, true},
		{"no message, wrapped", fmt.Errorf("read: %w", jetstream.ErrMsgNotFound), true},
		{"no message, by code", &jetstream.APIError{Code: 404, ErrorCode: 10037}, true},
		{"no message, by status", &jetstream.APIError{Code: 404}, true},
		{"no stream", &jetstream.APIError{Code: 404, ErrorCode: 10059}, false},
		{"no stream, by name", jetstream.ErrStreamNotFound, false},
		{"no consumer", &jetstream.APIError{Code: 404, ErrorCode: 10014}, false},
		{"not now", &jetstream.APIError{Code: 503, ErrorCode: 10008}, false},
		{"timeout", nats.ErrTimeout, false},
		{"no responders", nats.ErrNoResponders, false},
		{"stored", nil, false},
	} {
		if got := store.NotThere(test.err); got != test.want {
			t.Errorf("%s: %t; want %t", test.name, got, test.want)
		}
	}
}
