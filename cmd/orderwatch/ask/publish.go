package ask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Options says with what is asked, what for, and how that is told.
type Options struct {
	Client *client.Client
	Conn   *nats.Conn // the client's; what it tells of lost connections is taken over
	Format output.Format
	Out    io.Writer
	Errors io.Writer // what does not belong to the output

	Requests []wire.WatchRequest // at most one for each order; none for [Events]
	Chosen   bool                // the user chose the request's id: it may have been answered long ago
}

// publishTime is how long a request may take to be stored.
const publishTime = 30 * time.Second

// Store checks the requests, stores them, and tells of each. The error is an [exit.Error] where a request is wrong, and where
// ctx ends.
func Store(ctx context.Context, o Options) error {
	unchecked, err := check(ctx, o)
	if err != nil {
		return err
	}
	if isAway(unchecked) {
		fmt.Fprintln(o.Errors, "orderwatch:", noWorker)
	}
	var last watcher.Order
	err = publish(ctx, o, func(r wire.WatchRequest, sequence uint64) {
		if o.Format == output.AsJSON {
			printStored(o.Out, r, sequence)
			return
		}
		last = r.Order
		fmt.Fprintf(o.Out, "%s: request %s is stored\n", r.Order, output.Clean(r.RequestID))
	})
	if last != (watcher.Order{}) {
		how := "How it is"
		if len(o.Requests) > 1 {
			how = "How each is"
		}
		fmt.Fprintf(o.Out, "%s, once a worker has taken it:\n  orderwatch get %s\n", how, last)
	}
	if err == nil && unchecked != nil && o.Format == output.AsText {
		fmt.Fprintln(o.Out, "Nobody has checked it. A worker that finds a request wrong rejects it, and says why:\n  orderwatch events --kind rejected")
	}
	return err
}

// publish stores the requests, and calls stored for each, with its sequence in the stream.
func publish(ctx context.Context, o Options, stored func(wire.WatchRequest, uint64)) error {
	for _, r := range o.Requests {
		limited, cancel := context.WithTimeout(ctx, publishTime)
		sequence, err := o.Client.Publish(limited, r)
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

// printStored writes the line that programs read when a request is stored.
func printStored(w io.Writer, r wire.WatchRequest, sequence uint64) {
	output.JSON(w, struct {
		watcher.Order
		RequestID string `json:"request_id"`
		Sequence  uint64 `json:"stream_sequence"` // of ORDER_REQUESTS
	}{r.Order, r.RequestID, sequence})
}
