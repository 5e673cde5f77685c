package watcher

import (
	"cmp"
	"fmt"
	"time"
)

// Before decides a wake-up without a poll, where that can be done: a wish ends the watch, and so
// does a deadline that has passed where the order was asked since, or may not be asked for longer
// than LastPollGrace after it. A watch whose account may not be asked yet is put off, no longer than to its
// deadline. Where ok is false the order is to be asked, and [Policy.Fold] decides.
func (p Policy) Before(w Watch, leave Leave, now time.Time) (next Watch, ok bool) {
	past := !now.Before(w.Deadline)
	when := now.Add(leave.After)
	if leave.After > 0 && (leave.Held != "" || past && w.LastError == nil) {
		w.LastError = &ErrorDetail{Code: cmp.Or(cut(leave.Code, maxWord), "held"), Message: cut(leave.Why, maxErrorMessage), Held: leave.Held}
	}
	switch {
	case w.Wish != nil:
		return p.end(w, Cancelled, w.Wish.text(), nil, now), true
	case past && !w.LastPollAt.Before(w.Deadline):
		return p.timeOut(w, nil, now), true
	case leave.After <= 0:
		return w, false
	case past && when.After(w.Deadline.Add(p.LastPollGrace)):
		return p.timeOut(w, nil, now), true
	case !past:
		when = earlier(when, w.Deadline)
	}
	w.Wakeup++
	w.NextPollAt, w.Turn = when, now.Add(leave.After)
	return w, true
}

// Fold decides what the answer of a poll, or its error where err is not nil, leads to: the same
// watch with its next wake-up, or, ending, with its completion. It also returns what changed.
func (p Policy) Fold(w Watch, answer Answer, err error, now time.Time) (Watch, []Change) {
	w.Polls++
	w.LastPollAt, w.Turn = now, time.Time{}
	if err != nil {
		return p.foldError(w, pollError(err), now), nil
	}
	return p.foldAnswer(w, answer, now)
}

func (p Policy) foldAnswer(w Watch, answer Answer, now time.Time) (Watch, []Change) {
	answer.Items = bounded(answer.Items)
	changes, vanished := compare(w.Items, answer.Items)
	counts := sum(answer)
	if len(w.Items) == 0 && w.Counts.seen() > 0 { // the record had no room for items
		changes, vanished = nil, counts != w.Counts
	}
	w.Counts, w.Items = counts, see(answer.Items)
	w.LastError, w.Errors, w.NotFoundSince, w.ForbiddenSince = nil, 0, time.Time{}, time.Time{}
	w.Step = nextStep(w)
	if len(changes) > 0 || vanished {
		w.Step, w.LooksEndedSince = 0, time.Time{}
	}
	if len(changes) > 0 {
		w.Progressed++
	}

	past := !now.Before(w.Deadline)
	if !counts.ended(w.ExpectedItems) {
		w.LooksEndedSince = time.Time{}
		if past {
			return p.timeOut(w, answer.Items, now), changes
		}
		return p.again(w, now.Add(p.interval(w))), changes
	}
	if w.LooksEndedSince.IsZero() {
		w.LooksEndedSince = now
	}
	settled := w.LooksEndedSince.Add(p.Settle)
	if past || w.ExpectedItems > 0 || !now.Before(settled) {
		return p.end(w, ownOutcome(counts), ownReason(counts), answer.Items, now), changes
	}
	return p.again(w, settled), changes
}

func (p Policy) foldError(w Watch, err *PollError, now time.Time) Watch {
	w.Errors++
	w.Step = nextStep(w)
	w.LastError = &ErrorDetail{Code: cut(err.Code, maxWord), Message: cut(err.Message, maxErrorMessage)}
	if w.LastError.Code == "" {
		w.LastError.Code = string(err.Class)
	}
	next := later(now.Add(p.interval(w)), now.Add(err.RetryAfter))
	switch err.Class {
	case Refused:
		return p.end(w, OrderRefused, "the API refuses this order", nil, now)
	case Forbidden:
		if w.ForbiddenSince.IsZero() {
			w.ForbiddenSince = now
		}
		if err.OthersAnswered.After(w.ForbiddenSince) || now.Sub(w.ForbiddenSince) >= p.ForbiddenGrace {
			return p.end(w, OrderRefused, "the account was not allowed to ask for this order for "+span(now.Sub(w.ForbiddenSince)), nil, now)
		}
	case NotFound:
		w.ForbiddenSince = time.Time{}
		if w.NotFoundSince.IsZero() {
			w.NotFoundSince = now
		}
		grace := w.NotFoundSince.Add(p.NotFoundGrace)
		if !now.Before(grace) {
			return p.end(w, OrderNotFound, "the API did not know the order for "+span(now.Sub(w.NotFoundSince)), nil, now)
		}
		next = earlier(next, grace)
	}
	if !now.Before(w.Deadline) {
		return p.timeOut(w, nil, now)
	}
	return p.again(w, next)
}

// maxErrorMessage bounds a record's last error, in bytes.
const maxErrorMessage = 500

func (p Policy) interval(w Watch) time.Duration { return p.Backoff.Interval(w.ID, w.Step) }

// nextStep returns the step of a watch whose latest poll changed nothing. The first poll is
// followed by the first interval.
func nextStep(w Watch) int {
	if w.Polls == 1 {
		return 0
	}
	return w.Step + 1
}

// again returns the watch with its next wake-up; the last one is due at the deadline itself. A
// wish that came while the order was asked took its wake-up from this poll: it is due at once.
func (p Policy) again(w Watch, next time.Time) Watch {
	if w.Wish != nil {
		next = w.LastPollAt
	}
	w.Wakeup++
	w.NextPollAt = earlier(next, w.Deadline)
	return w
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// timeOut ends a watch whose deadline has passed. An order whose items had all ended when it was
// last seen, and was not seen otherwise since, ends by its items.
func (p Policy) timeOut(w Watch, items []Item, now time.Time) Watch {
	if w.Counts.ended(w.ExpectedItems) {
		w.LastError = nil
		return p.end(w, ownOutcome(w.Counts), ownReason(w.Counts), items, now)
	}
	return p.end(w, TimedOut, timeoutReason(w), items, now)
}

func timeoutReason(w Watch) string {
	after := "after " + span(w.Deadline.Sub(w.AcceptedAt)) + ": "
	switch c := w.Counts; {
	case w.LastError != nil && c.seen() > 0:
		return after + fmt.Sprintf("%s; when the order was last seen, %s", w.LastError.text(), open(w))
	case w.LastError != nil:
		return after + w.LastError.text()
	case c.seen() == 0:
		return after + "no item ever appeared"
	}
	return after + open(w)
}

// open says what keeps the order from being ended.
func open(w Watch) string {
	c := w.Counts
	text := fmt.Sprintf("%d of %s ended", c.Succeeded+c.Failed, plural(c.Total, "item"))
	if c.Processing > 0 {
		text += fmt.Sprintf(", %d still processing", c.Processing)
	}
	if missing := max(c.Total, w.ExpectedItems) - c.seen(); missing > 0 {
		text += fmt.Sprintf(", %d not created yet", missing)
	}
	return text
}

func (e *ErrorDetail) text() string {
	return "polling did not work (" + e.Code + ": " + e.Message + ")"
}

func (wish *Wish) text() string {
	text := "cancelled by " + wish.By
	if wish.Reason != "" {
		text += ": " + wish.Reason
	}
	return text
}

// ownOutcome returns the outcome of an order whose items have all ended.
func ownOutcome(c Counts) Outcome {
	switch {
	case c.Failed == 0:
		return Succeeded
	case c.Succeeded == 0:
		return AllFailed
	}
	return PartiallyFailed
}

func ownReason(c Counts) string {
	if c.Failed == 0 {
		return fmt.Sprintf("%d of %s succeeded", c.Succeeded, plural(c.Total, "item"))
	}
	return fmt.Sprintf("%d of %s failed", c.Failed, plural(c.Total, "item"))
}

// end returns the watch with its completion fixed. items are those of the answer that ended it;
// without them the record's are taken.
func (p Policy) end(w Watch, outcome Outcome, reason string, items []Item, now time.Time) Watch {
	c := Completion{
		Report:      w.report(reason, items),
		Outcome:     outcome,
		CompletedAt: now.UTC().Truncate(time.Millisecond),
	}
	if outcome == TimedOut || outcome == OrderNotFound || outcome == OrderRefused {
		c.Error = w.LastError
	}
	w.State = Ending
	w.Requests, w.Items = nil, nil
	fit(&c.Report, p.MaxPayload-w.size()-eventOverhead)
	w.Completion = &c
	return w
}
