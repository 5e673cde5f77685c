package ask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// publishTime is how long a request may take to be stored.
const publishTime = 30 * time.Second

// Publish stores the requests, and calls stored for each, with its sequence in the stream. The error is an
// [exit.Error] where ctx ends.
func Publish(ctx context.Context, asking *client.Client, requests []wire.WatchRequest, stored func(wire.WatchRequest, uint64)) error {
	for _, r := range requests {
		limited, cancel := context.WithTimeout(ctx, publishTime)
		sequence, err := asking.Publish(limited, r)
		cancel()
		switch {
		case err == nil:
			stored(r, sequence)
		case ctx.Err() != nil:
			return exit.Error{Code: exit.Interrupted, Text: fmt.Sprintf("interrupted; it is not known whether the request %s for %s was stored: orderwatch get %s", r.RequestID, r.Order, r.Order)}
		case errors.Is(err, client.ErrPerhapsStored):
			return fmt.Errorf("%s: NATS did not say that the request is stored. It may be: ask again with --request-id %s, which makes it the same request", r.Order, r.RequestID)
		default:
			return fmt.Errorf("%s: nothing is stored: %w", r.Order, err)
		}
	}
	return nil
}

// PrintStored writes the line that programs read when a request is stored.
func PrintStored(w io.Writer, r wire.WatchRequest, sequence uint64) {
	output.JSON(w, struct {
		watcher.Order
		RequestID string `json:"request_id"`
		Sequence  uint64 `json:"stream_sequence"` // of ORDER_REQUESTS
	}{r.Order, r.RequestID, sequence})
}
