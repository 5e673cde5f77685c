package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// result tells of failures and returns the error that has the exit code.
func (w *waiting) result() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	codes, failed := make(map[int]bool), 0
	slices.SortStableFunc(w.ends, func(a, b watcher.Completion) int { return w.place(a.Order()) - w.place(b.Order()) })
	for _, c := range w.ends {
		code, known := exitCodes[c.Outcome]
		if !known { // a later version's
			code = exitError
		}
		if codes[code] = true; code == 0 {
			continue
		}
		failed++
		if w.format == textOutput {
			w.show.line("%s", failureReport(c))
		}
	}
	if w.rejected > 0 {
		codes[exitUsage] = true
	}
	for _, code := range [...]int{exitFailed, exitNotFound, exitTimedOut, exitCancelled, exitUsage, exitError} {
		if codes[code] {
			return codedError{code, fmt.Sprintf("%d of %d did not succeed", failed+w.rejected, len(w.requests))}
		}
	}
	return nil
}

// place returns which of the orders it is on the command line.
func (w *waiting) place(order watcher.Order) int {
	return slices.IndexFunc(w.requests, func(r wire.WatchRequest) bool { return r.Order == order })
}

// exitCodes are those of the outcomes.
var exitCodes = map[watcher.Outcome]int{
	watcher.Succeeded:       0,
	watcher.PartiallyFailed: exitFailed,
	watcher.AllFailed:       exitFailed,
	watcher.TimedOut:        exitTimedOut,
	watcher.OrderNotFound:   exitNotFound,
	watcher.OrderRefused:    exitNotFound,
	watcher.Cancelled:       exitCancelled,
}

// failureReport says what went wrong with an order, as long as people read it.
func failureReport(c watcher.Completion) string {
	const most, mostNames = 10, 3
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: %s: %s", c.Order(), c.Outcome, clean(c.Reason))
	if c.Error != nil {
		fmt.Fprintf(&b, "\n  %s: %s", clean(c.Error.Code), clean(c.Error.Message))
	}
	if c.Outcome == watcher.OrderNotFound && c.Counts.Total > 0 {
		b.WriteString("\n  " + goneAdvice)
	}
	if c.Outcome == watcher.TimedOut {
		b.WriteString("\n  The order may go on and cost money: look at it, or watch it again with a longer --timeout.")
	}
	for i, f := range c.Failures {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more causes: orderwatch get %s", len(c.Failures)-i, c.Order())
			break
		}
		names := f.ResourceNames[:min(mostNames, len(f.ResourceNames))]
		message := f.Message
		if message == "" {
			message = "no reason given"
		}
		fmt.Fprintf(&b, "\n  %d × %s: %s", f.Count, clean(f.Action), clean(message))
		if len(names) > 0 {
			fmt.Fprintf(&b, " (%s", clean(strings.Join(names, ", ")))
			if more := f.Count - len(names); more > 0 {
				fmt.Fprintf(&b, " and %d more", more)
			}
			b.WriteByte(')')
		}
	}
	return b.String()
}
