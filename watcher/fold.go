package watcher

import (
	"cmp"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/words"
)

// Before decides a wake-up without a poll, where that can be done: a wish ends the watch, and so
// does a deadline that has passed where the order was asked since, or may not be asked for longer
// than LastPollGrace after it. A watch whose account may not be asked yet is put off, no longer than to its
// deadline. Where ok is false the order is to be asked, and [Policy.Fold] decides.
func (p Policy) Before(w Watch, leave Leave, now time.Time) (next Watch, ok bool) {
	past := !now.Before(w.Deadline)
	when := now.Add(leave.After)
	if leave.After > 0 && (leave.Held != "" || past && w.LastError == nil) {
		w.LastError = &ErrorDetail{Code: cmp.Or(cut(leave.Code, maxWord), HeldCode), Message: cut(leave.Why, maxErrorMessage), Said: cut(leave.Said, maxErrorMessage), Held: leave.Held}
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
	if leave.Held != "" {
		when = p.beforeTold(w, when, now)
		if !w.Blind.IsZero() && !w.Told[Blind].Equal(w.Blind) {
			w.Blind = w.Blind.Add(when.Sub(now)) // nobody looked meanwhile
		}
	}
	w.Wakeup++
	w.NextPollAt, w.Turn = when, now.Add(leave.After)
	return w, true
}

// Fold decides what the answer of a poll, or its error where err is not nil, leads to: the same
// watch with its next wake-up, or, ending, with its completion. It also returns what changed.
func (p Policy) Fold(w Watch, answer Answer, err error, now time.Time) (Watch, []Change) {
	if w.Seen != w.Polls {
		p.passed(&w, Blind, w.Blind, w.LastPollAt)
		w.catchUp()
	}
	if w.Changed != w.Progressed {
		p.changed(&w, w.LastPollAt)
	}
	w = w.rearmed(now)
	w.Polls++
	w.Seen, w.LastPollAt, w.Turn = w.Polls, now, time.Time{}
	if err != nil {
		return p.foldError(w, pollError(err), now), nil
	}
	return p.foldAnswer(w, answer, now)
}

func (p Policy) foldAnswer(w Watch, answer Answer, now time.Time) (Watch, []Change) {
	w.LastError, w.Errors, w.NotFoundSince = nil, 0, time.Time{}
	w.Step = nextStep(w)
	answer.Items = bounded(answer.Items, now)
	w, changes := p.see(w, answer, now)
	w.LooksEndedSince = since(w.Counts.ended(w.ExpectedItems), w.LooksEndedSince, now)
	w.Odd = since(len(w.strange()) > 0, w.Odd, now)

	past, ended := !now.Before(w.Deadline), !w.LooksEndedSince.IsZero()
	settled := p.settled(w)
	switch {
	case ended && (past || !now.Before(settled)):
		return p.end(w, ownOutcome(w.Counts), ownReason(w), answer.Items, now), changes
	case past:
		return p.timeOut(w, answer.Items, now), changes
	case ended && w.Gone.IsZero():
		return p.again(w, settled), changes
	case ended:
		return p.again(w, earlier(settled, p.soonest(w, now))), changes
	}
	return p.again(w, p.soonest(w, now)), changes
}

// see notes what a usable answer shows: an order, or that there is none. What the watch has seen and
// the answer, whose items are bounded, does not list is missing from now on.
func (p Policy) see(w Watch, answer Answer, now time.Time) (Watch, []Change) {
	s := w.look(answer.Items, answer.Count, now)
	w.Items, w.Missing = s.items, s.missing
	p.passed(&w, Blind, w.Blind, now)
	w.Blind, w.ForbiddenSince = time.Time{}, time.Time{}
	count := answer.Count
	switch {
	case len(answer.Items) > 0:
		w.Listed, w.ListedAt, w.Gone = max(count, len(answer.Items)), now, time.Time{}
	case len(w.Missing) > 0:
		count = max(count, w.Listed) // what was never listed is not there either
		w.Gone = since(true, w.Gone, now)
	}
	p.takeForDeleted(&w, p.Patience.vanished(), missingAnswers, now)
	w.Counts = w.sum(count)
	if len(s.changes) > 0 || s.moved {
		w.Step, w.LooksEndedSince = 0, time.Time{}
	}
	if len(s.changes) > 0 {
		w.Progressed++
	}
	if len(s.changes) > 0 || s.moved || w.ChangedAt.Before(w.AcceptedAt) {
		p.changed(&w, now)
	}
	return w, s.changes
}

// since returns since when something has been so: before, now where that is zero, or zero where it is not so.
func since(is bool, before, now time.Time) time.Time {
	switch {
	case !is:
		return time.Time{}
	case before.IsZero():
		return now
	}
	return before
}

// settled returns from when on an order that looks ended has ended. One that is no longer listed may
// be listed again for as long as one that is not known may appear.
func (p Policy) settled(w Watch) time.Time {
	at := w.LooksEndedSince
	if w.ExpectedItems == 0 {
		at = at.Add(p.Settle)
	}
	if !w.Gone.IsZero() {
		at = later(at, w.Gone.Add(p.NotFoundGrace))
	}
	return at
}

// soonest returns when the order is asked next: after the interval, but for what people are to be told
// at a certain time.
func (p Policy) soonest(w Watch, now time.Time) time.Time {
	next := now.Add(p.interval(w))
	if due := p.tellOdd(w); due.After(now) {
		next = earlier(next, due)
	}
	return p.beforeTold(w, next, now)
}

func (p Policy) foldError(w Watch, err *PollError, now time.Time) Watch {
	w.Errors++
	w.Step = nextStep(w)
	code := cmp.Or(cut(err.Code, maxWord), string(err.Class))
	w.LastError = &ErrorDetail{Code: code, Message: cut(err.Message, maxErrorMessage), Said: cut(err.Said, maxErrorMessage), Held: err.Held}
	switch err.Class {
	case Refused:
		if !w.LooksEndedSince.IsZero() {
			return p.timeOut(w, nil, now)
		}
		return p.end(w, OrderRefused, "the API refuses this order", nil, now)
	case Forbidden:
		w.ForbiddenSince = since(true, w.ForbiddenSince, now)
		if err.OthersAnswered.After(w.ForbiddenSince) || now.Sub(w.ForbiddenSince) >= p.ForbiddenGrace {
			return p.end(w, OrderRefused, "the account was not allowed to ask for this order for "+words.Compact(now.Sub(w.ForbiddenSince)), nil, now)
		}
	case NotFound:
		return p.foldNotFound(w, err, now)
	case MayPass:
		w.Blind = blind(w, err.Held, now)
	}
	if !now.Before(w.Deadline) {
		return p.timeOut(w, nil, now)
	}
	return p.again(w, later(p.soonest(w, now), now.Add(err.RetryAfter)))
}

// blind returns since when this order alone cannot be read. While no order can be read people are told
// of the account.
func blind(w Watch, held HoldKind, now time.Time) time.Time {
	if held != "" && held != HeldUnreachable {
		return w.Blind
	}
	return since(held == "", w.Blind, now)
}

// foldNotFound decides what it means that the API does not know the order. One that was never seen may
// still appear. One that was seen is gone: it ends by its items, or as not found, unless it comes back.
func (p Policy) foldNotFound(w Watch, err *PollError, now time.Time) Watch {
	w.NotFoundSince = since(true, w.NotFoundSince, now)
	p.passed(&w, Blind, w.Blind, now)
	w.Blind, w.ForbiddenSince, w.Odd = time.Time{}, time.Time{}, time.Time{}
	over := w.NotFoundSince.Add(p.NotFoundGrace)
	if w.Counts.seen() > 0 {
		w.LastError.Message = cut(err.said(), maxErrorMessage) // its advice is for a name that was never known
		w, _ = p.see(w, Answer{}, now)
		if !now.Before(over) {
			p.takeForDeleted(&w, 0, 0, now)
			w.Counts = w.sum(w.Counts.Total)
		}
		w.LooksEndedSince = since(w.Counts.ended(w.ExpectedItems), w.LooksEndedSince, now)
	}
	next, ended, past := later(now.Add(p.interval(w)), now.Add(err.RetryAfter)), !w.LooksEndedSince.IsZero(), !now.Before(w.Deadline)
	switch {
	case ended && (past || !now.Before(earlier(over, p.settled(w)))):
		w.LastError = nil
		return p.end(w, ownOutcome(w.Counts), ownReason(w), nil, now)
	case ended:
		return p.again(w, earlier(next, p.settled(w)))
	case !now.Before(over):
		return p.end(w, OrderNotFound, notFoundReason(w, now), nil, now)
	case past:
		return p.timeOut(w, nil, now)
	}
	return p.again(w, earlier(next, over))
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
	return slices.MinFunc([]time.Time{b, a}, time.Time.Compare)
}

func later(a, b time.Time) time.Time {
	return slices.MaxFunc([]time.Time{b, a}, time.Time.Compare)
}

// timeOut ends a watch that is not polled again. An order whose items had all ended when it was
// last seen, and was not seen otherwise since, ends by its items.
func (p Policy) timeOut(w Watch, items []Item, now time.Time) Watch {
	if w.Counts.ended(w.ExpectedItems) {
		w.LastError = nil
		return p.end(w, ownOutcome(w.Counts), ownReason(w), items, now)
	}
	return p.end(w, TimedOut, timeoutReason(w), items, now)
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

// end returns the watch with its completion fixed. items are those of the answer that ended it;
// without them the record's are taken.
func (p Policy) end(w Watch, outcome Outcome, reason string, items []Item, now time.Time) Watch {
	c := Completion{
		Report:      w.report(reason, items),
		Outcome:     outcome,
		CompletedAt: w.endedAt(now),
	}
	if outcome == TimedOut || outcome == OrderNotFound || outcome == OrderRefused {
		c.Error = w.LastError
	}
	w.State = Ending
	w.Requests, w.Items, w.Missing = nil, nil, nil
	w.Earlier = within(w.Earlier, p.maxEarlierBytes())
	fit(&c.Report, p.payload()-w.size()-eventOverhead)
	w.Completion = &c
	return w
}

// endedAt returns when a watch ends that ends now, to the millisecond: never before a request that it answers
// was received. That time is the server's own, and a worker's idea of the server's clock may be a little behind it.
func (w *Watch) endedAt(now time.Time) time.Time {
	at := now.UTC().Truncate(time.Millisecond)
	for _, r := range w.Requests {
		if r.ReceivedAt.After(at) {
			at = r.ReceivedAt.UTC().Add(time.Millisecond - 1).Truncate(time.Millisecond)
		}
	}
	return at
}
