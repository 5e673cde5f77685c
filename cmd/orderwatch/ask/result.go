package ask

import (
	"context"
	"fmt"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/watcher"
)

// result tells of failures and returns the error that has the exit code.
func (w *waiting) result() error {
	w.screen.Close()
	codes, failed := make(map[exit.Code]bool), 0
	for _, a := range w.orders {
		code := exit.Misuse
		if a.end != nil {
			known := false
			if code, known = exitCodes[a.end.Outcome]; !known {
				code = exit.Trouble // an outcome of a later version
			}
		}
		if codes[code] = true; code == exit.Done {
			continue
		}
		failed++
		if a.end != nil && w.Format == output.AsText {
			w.screen.Line("%s", show.Failure(*a.end))
		}
	}
	for _, code := range [...]exit.Code{exit.Failed, exit.NotFound, exit.TimedOut, exit.Cancelled, exit.Misuse, exit.Trouble} {
		if codes[code] {
			return exit.Error{Code: code, Text: fmt.Sprintf("%d of %d did not succeed", failed, len(w.orders))}
		}
	}
	return nil
}

// exitCodes are those of the outcomes.
var exitCodes = map[watcher.Outcome]exit.Code{
	watcher.Succeeded:       exit.Done,
	watcher.PartiallyFailed: exit.Failed,
	watcher.AllFailed:       exit.Failed,
	watcher.TimedOut:        exit.TimedOut,
	watcher.OrderNotFound:   exit.NotFound,
	watcher.OrderRefused:    exit.NotFound,
	watcher.Cancelled:       exit.Cancelled,
}

// ended says why the waiting is over before its time.
func (w *waiting) ended(ctx context.Context, err error, stored bool) error {
	w.screen.Close()
	switch {
	case ctx.Err() == nil && stored:
		return fmt.Errorf("the waiting is over, what is being watched goes on: %w", err)
	case ctx.Err() == nil:
		return err
	case !stored:
		return exit.Error{Code: exit.Interrupted, Text: "interrupted; nothing was asked for"}
	}
	how, open := "orderwatch list", w.open()
	if len(open) == 1 {
		how = "orderwatch get " + open[0].Order.String()
	}
	for _, a := range open { // their bars are gone
		text := "no items yet"
		if a.seen.watchID != "" {
			text = a.seen.text
		}
		w.line(a, text)
	}
	return exit.Error{Code: exit.Interrupted, Text: "interrupted; what is being watched goes on. How it is:\n  " + how}
}
