package ask

import (
	"fmt"
	"slices"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// result tells of failures and returns the error that has the exit code.
func (w *waiting) result() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	codes, failed := make(map[exit.Code]bool), 0
	slices.SortStableFunc(w.ends, func(a, b watcher.Completion) int { return w.place(a.Order()) - w.place(b.Order()) })
	for _, c := range w.ends {
		code, known := exitCodes[c.Outcome]
		if !known { // a later version's
			code = exit.Trouble
		}
		if codes[code] = true; code == 0 {
			continue
		}
		failed++
		if w.format == output.AsText {
			w.show.Line("%s", show.Failure(c))
		}
	}
	if w.rejected > 0 {
		codes[exit.Misuse] = true
	}
	for _, code := range [...]exit.Code{exit.Failed, exit.NotFound, exit.TimedOut, exit.Cancelled, exit.Misuse, exit.Trouble} {
		if codes[code] {
			return exit.Error{Code: code, Text: fmt.Sprintf("%d of %d did not succeed", failed+w.rejected, len(w.requests))}
		}
	}
	return nil
}

// place returns which of the orders it is on the command line.
func (w *waiting) place(order watcher.Order) int {
	return slices.IndexFunc(w.requests, func(r wire.WatchRequest) bool { return r.Order == order })
}

// exitCodes are those of the outcomes.
var exitCodes = map[watcher.Outcome]exit.Code{
	watcher.Succeeded:       0,
	watcher.PartiallyFailed: exit.Failed,
	watcher.AllFailed:       exit.Failed,
	watcher.TimedOut:        exit.TimedOut,
	watcher.OrderNotFound:   exit.NotFound,
	watcher.OrderRefused:    exit.NotFound,
	watcher.Cancelled:       exit.Cancelled,
}
