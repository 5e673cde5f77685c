package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
)

// provisionTime is how long all streams and consumers may take that are created.
const provisionTime = 30 * time.Second

// Provision creates the streams, buckets and consumers that workers need and that are missing, on the connection, and says
// which. It alters none that is there. It needs no login to ModelArts.
func Provision(ctx context.Context, c config.Config, names wire.Names, nc *nats.Conn, out io.Writer) error {
	if c.NATS.EmbeddedDir != "" {
		return errors.New("ORDERWATCH_EMBEDDED_NATS_DIR is set: the worker runs NATS itself, and creates what it needs")
	}
	ctx, cancel := context.WithTimeout(ctx, provisionTime)
	defer cancel()
	settings := StoreConfig(c, LoadTiming().Timing)
	settings.Names, settings.Provision = names, true
	kept, err := store.Open(slog.New(slog.DiscardHandler), settings, nc, store.NewClock(nil))
	if err != nil {
		return err
	}
	var failed error // of out
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(out, format+"\n", args...)
		failed = cmp.Or(failed, err)
	}
	made := 0
	heard := store.Listener{
		Made: func(asset string) { made++; say("created: %s", asset) },
		Differs: func(asset string, d store.Difference) {
			say("left as it is: %s: %s is %v, not %v; orderwatch doctor says more", asset, d.Setting, d.Found, d.Wanted)
		},
	}
	err = kept.Ensure(ctx, heard, "")
	if store.Harmless(err) {
		if err != nil {
			say("to look at: %s", output.Clean(err.Error()))
		}
		err = kept.EnsureHistory(ctx, heard)
	}
	if last := nc.LastError(); err != nil && link.Denied(last) {
		subject, subscribing, _ := link.Violation(last)
		denied := "publish on"
		if subscribing {
			denied = "subscribe to"
		}
		return fmt.Errorf("NATS does not let this user %s %q: log in as one that may create streams and consumers, such as the user setup of deploy/nats-permissions.conf: %w", denied, subject, err)
	}
	if err != nil {
		return err
	}
	if made == 0 {
		say("nothing to create: all streams, buckets and consumers are there")
	} else {
		say("all streams, buckets and consumers are there now")
	}
	return failed
}
