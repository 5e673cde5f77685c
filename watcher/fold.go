package watcher

import (
	"cmp"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/words"
)

// Before decides a wake-up without a poll, where that can be done: a wish ends the watch, and so
// does a request's deadline that has passed where the order was asked since, or may not be asked for longer
// than LastPollGrace after it. A watch whose account may not be asked yet is put off, no longer than to its next
// deadline. Where ok is false the order is to be asked, and [Policy.Fold] decides.
func (p Policy) Before(w Watch, leave Leave, now time.Time) (next Watch, ok bool) {
	w.keepWishes()
	deadline := w.NextDeadline()
	past := !now.Before(deadline)
	turn := now.Add(leave.After)
	if leave.Held == "" && w.Turn.After(now) { // it was woken before its turn, and keeps it
		turn = earlier(turn, w.Turn)
	}
	when := turn
	if leave.After > 0 && (leave.Held != "" || past && w.LastError == nil) {
		w.LastError = &ErrorDetail{Code: cmp.Or(cut(leave.Code, maxWord), HeldCode), Message: cut(leave.Why, maxErrorMessage), Said: cut(leave.Said, maxErrorMessage), Held: leave.Held}
	}
	if leave.After > 0 && leave.Held != "" && w.Wish == nil {
		w.Troubles = w.Troubles.Held(w.ID, now, string(leave.Held), valid(leave.Why))
	}
	switch {
	case w.Wish != nil:
		wish := *w.Wish
		return p.end(w, wish.covers, Cancelled, func(Watch) string { return wish.text() }, nil, now), true
	case past && !w.LastPollAt.Before(deadline):
		return p.timeOut(w, w.overdue(earlier(now, w.LastPollAt)), nil, now), true
	case leave.After <= 0:
		return w, false
	case past && when.After(deadline.Add(p.LastPollGrace)):
		return p.timeOut(w, w.overdue(earlier(now, when.Add(-p.LastPollGrace-1))), nil, now), true
	case !past:
		when = earlier(when, deadline)
	}
	if leave.Held != "" {
		when = p.beforeTold(w, when, now)
		if !w.Blind.IsZero() && !w.Told[Blind].Equal(w.Blind) {
			w.Blind = w.Blind.Add(when.Sub(now)) // nobody looked meanwhile
		}
	}
	wanted := w.Wanted()
	switch {
	case !leave.Full:
		wanted = time.Time{} // it is not the rate that it waits for
	case wanted.IsZero():
		wanted = earlier(w.NextPollAt, now)
	}
	w.expect(when)
	w.Turn, w.WantedAt = turn, wanted
	return w, true
}

// putOff puts the watch's next poll off until its turn, as the account's rate is used up; no longer than to its next deadline.
func (w *Watch) putOff(turn time.Time) {
	w.WantedAt, w.Turn = w.NextPollAt, turn
	w.NextPollAt = earlier(turn, later(w.NextPollAt, w.NextDeadline()))
}

// Fold decides what the answer of a poll, or its error where err is not nil, leads to: the same
// watch with its next wake-up, or, ending, with its completion. It also returns what changed.
func (p Policy) Fold(w Watch, answer Answer, err error, now time.Time) (Watch, []Change) {
	if w.Seen != w.Polls {
		p.passed(&w, Blind, w.Blind, w.LastPollAt)
		w.Troubles = w.Troubles.Over(w.ID, w.LastPollAt)
		w.catchUp()
	}
	if w.Changed != w.Progressed {
		p.changed(&w, w.LastPollAt)
	}
	w.Polls++
	w.Seen, w.LastPollAt, w.Turn, w.WantedAt = w.Polls, now, time.Time{}, time.Time{}
	hint := w.hint()
	w.Hint, w.Hinted = nil, 0
	if err != nil {
		return p.foldError(w, pollError(err), hint, now), nil
	}
	return p.foldAnswer(w, answer, hint, now)
}

func (p Policy) foldAnswer(w Watch, answer Answer, hint *Hint, now time.Time) (Watch, []Change) {
	w.LastError, w.Errors, w.NotFoundSince = nil, 0, time.Time{}
	w.Troubles = w.Troubles.Over(w.ID, now)
	w.Step = nextStep(w)
	answer.Items = bounded(answer.Items, now)
	w, changes := p.see(w, answer, now)
	p.measure(&w, now)
	w.LooksEndedSince = since(w.Counts.ended(w.leastExpected()), w.LooksEndedSince, now)
	w.Odd = since(len(w.strange()) > 0, w.Odd, now)
	w.heed(hint, now)

	met, overdue := p.met(&w, never, now), w.overdue(now)
	switch {
	case w.any(met):
		return p.endByItems(w, met, answer.Items, now), changes
	case w.any(overdue):
		return p.timeOut(w, overdue, answer.Items, now), changes
	}
	return p.again(w, p.nextLook(&w, now)), changes
}

// heed notes what the hint says that brought the latest answer on; nil for none. Where the answer contradicts the list,
// the order is asked soon again.
func (w *Watch) heed(hint *Hint, now time.Time) {
	switch {
	case hint != nil && w.Counts.open():
		w.Step = 0
	case hint != nil && w.LooksEndedSince.Equal(now):
		w.FoundByList = now
	}
	switch {
	case w.LooksEndedSince.IsZero():
		w.ListedEnd = time.Time{}
	case hint != nil && !hint.Ended.IsZero() && !hint.Ended.After(now.Add(clocksDiffer)): // what is still to come is no end
		w.ListedEnd = earlier(hint.Ended, now)
	}
}

// never is after all that is.
var never = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// see notes what a usable answer shows: an order, or that there is none. What the watch has seen and
// the answer, whose items are bounded, does not list is missing from now on.
func (p Policy) see(w Watch, answer Answer, now time.Time) (Watch, []Change) {
	appeared := w.Counts.seen() == 0
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
		if appeared || s.moved || p.beginsAnew(&w) {
			w.Step = 0
		}
		w.LooksEndedSince = time.Time{}
	}
	if len(s.changes) > 0 {
		w.Progressed++
	}
	if len(s.changes) > 0 || s.moved || w.ChangedAt.Before(w.AcceptedAt) {
		p.changed(&w, now)
	}
	return w, s.changes
}

// beginsAnew reports whether the interval begins anew at a change. It does where the order looked ended. Otherwise it does where
// the interval has been at its longest for a while: the longer the watch is polled, the longer that is. So an order whose items
// end one after the other costs half as many polls again as one with a single item, at the most. Of items that end together the
// first shortens the interval.
func (p Policy) beginsAnew(w *Watch) bool {
	steps := p.Backoff.Steps()
	return !w.LooksEndedSince.IsZero() || w.Step >= steps && w.Step > min(2*steps, w.Polls/2)
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

// soonest returns when the order is asked next: after the interval, but for what people are to be told
// at a certain time.
func (p Policy) soonest(w Watch, now time.Time) time.Time {
	next := now.Add(p.interval(w, now))
	if due := p.tellOdd(w); due.After(now) {
		next = earlier(next, due)
	}
	return p.beforeTold(w, next, now)
}

// hintedTries is how many polls in a row may fail until a hint is forgotten by the next that fails.
const hintedTries = 3

// foldError decides what the error of a poll leads to. hint is what brought the poll on; nil for none.
func (p Policy) foldError(w Watch, err *PollError, hint *Hint, now time.Time) Watch {
	w.Errors++
	w.Step = nextStep(w)
	if hint != nil && w.Errors <= hintedTries && (err.Class == MayPass || err.Class == Throttled) {
		w.Hint, w.Hinted, w.Step = hint, w.Wakeup, w.Errors-1 // the order is asked again as soon as one that just changed
	}
	code := cmp.Or(cut(err.Code, maxWord), string(err.Class))
	w.LastError = &ErrorDetail{Code: code, Message: cut(err.Message, maxErrorMessage), Said: cut(err.Said, maxErrorMessage), Held: err.Held}
	w.noteFailure(err, now)
	switch err.Class {
	case Refused:
		if w.any(w.looksEnded) {
			return p.endByItems(w, w.looksEnded, nil, now)
		}
		return p.end(w, everyRequest, OrderRefused, func(Watch) string { return "the API refuses this order" }, nil, now)
	case Forbidden:
		w.ForbiddenSince = since(true, w.ForbiddenSince, now)
		if err.OthersAnswered.After(w.ForbiddenSince) || now.Sub(w.ForbiddenSince) >= p.ForbiddenGrace {
			return p.end(w, everyRequest, OrderRefused, func(w Watch) string {
				return "the account was not allowed to ask for this order for " + words.Compact(now.Sub(w.ForbiddenSince))
			}, nil, now)
		}
	case NotFound:
		return p.foldNotFound(w, err, now)
	case MayPass:
		w.Blind = blind(w, err.Held, now)
	}
	if overdue := w.overdue(now); w.any(overdue) {
		return p.timeOut(w, overdue, nil, now)
	}
	return p.again(w, later(p.soonest(w, now), now.Add(err.RetryAfter)))
}

// noteFailure keeps of a poll that failed what is worth telling afterwards. That ModelArts does not know an order which was
// never seen is no trouble: it may appear. Of one that was seen the API's own words are kept, without the advice to check its name.
func (w *Watch) noteFailure(err *PollError, now time.Time) {
	message := w.LastError.Message
	if err.Class == NotFound {
		message = cmp.Or(w.LastError.Said, message)
	}
	if err.Class != NotFound || w.Counts.seen() > 0 {
		w.Troubles = w.Troubles.Failed(w.ID, now, valid(w.LastError.Code), valid(message))
	}
	if err.Held == "" {
		w.Troubles = w.Troubles.Over(w.ID, now)
		return
	}
	w.Troubles = w.Troubles.Held(w.ID, now, string(err.Held), valid(w.LastError.Message))
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
		w.LooksEndedSince = since(w.Counts.ended(w.leastExpected()), w.LooksEndedSince, now)
	}
	met, overdue := p.met(&w, over, now), w.overdue(now)
	switch {
	case w.any(met):
		return p.endByItems(w, met, nil, now)
	case !now.Before(over):
		return p.end(w, everyRequest, OrderNotFound, func(w Watch) string { return notFoundReason(w, now) }, nil, now)
	case w.any(overdue):
		return p.timeOut(w, overdue, nil, now)
	}
	next := earlier(over, later(now.Add(p.interval(w, now)), now.Add(err.RetryAfter)))
	if settled, _ := p.firstSettled(&w); !settled.IsZero() {
		next = earlier(next, settled)
	}
	return p.again(w, next)
}

// maxErrorMessage bounds a record's last error, in bytes.
const maxErrorMessage = 500

// interval returns how long it is to the next poll of a watch whose latest was made now.
func (p Policy) interval(w Watch, now time.Time) time.Duration {
	backoff := p.Backoff
	if p.stretches(&w, now) {
		// Twice as fast, so that an order costs fewer polls by as much as the list costs calls.
		backoff.Multiplier, backoff.Max = backoff.Multiplier*backoff.Multiplier, p.SweptMax
	}
	return backoff.Interval(w.ID, w.Step)
}

// stretches reports whether the watch may be polled less often than others: its order is listed as running, as it was
// when it was asked, nobody follows its progress, and there is nothing that people are to be told of.
func (p Policy) stretches(w *Watch, now time.Time) bool {
	if p.Swept == nil || p.SweptMax <= p.Backoff.Max || p.Followed || w.any(func(r *Request) bool { return r.Progress }) {
		return false
	}
	if w.LastError != nil || !w.LooksEndedSince.IsZero() || !w.Gone.IsZero() || len(w.vanished()) > 0 {
		return false
	}
	kind, _ := p.condition(*w, Hold{}, now)
	return kind == "" && p.Swept(w.Region, w.Order)
}

// urgency returns how soon the order is to be asked now, beside others of its account.
func (p Policy) urgency(w *Watch, now time.Time) Urgency {
	switch {
	case w.hint() != nil, !w.LooksEndedSince.IsZero(), !now.Before(w.NextDeadline()):
		return MayHaveEnded
	case p.stretches(w, now):
		return Spare
	}
	return Routine
}

// nextStep returns the step of a watch whose latest poll changed nothing. The first poll is
// followed by the first interval.
func nextStep(w Watch) int {
	if w.Polls == 1 {
		return 0
	}
	return w.Step + 1
}

// again returns the watch with its next wake-up; the last one is due at the next deadline itself. A
// wish that came while the order was asked took its wake-up from this poll: it is due at once.
func (p Policy) again(w Watch, next time.Time) Watch {
	if w.Wish != nil {
		next = w.LastPollAt
	}
	w.expect(earlier(next, w.NextDeadline()))
	return w
}

func earlier(a, b time.Time) time.Time {
	return slices.MinFunc([]time.Time{b, a}, time.Time.Compare)
}

func later(a, b time.Time) time.Time {
	return slices.MaxFunc([]time.Time{b, a}, time.Time.Compare)
}

// timeOut ends the watch for requests that are overdue and for which the order is not asked again. Where all items had
// ended for some of them when the order was last seen, and it was not seen otherwise since, it ends by its items for
// those.
func (p Policy) timeOut(w Watch, overdue which, items []Item, now time.Time) Watch {
	ended := func(r *Request) bool {
		_, expected := w.terms(r)
		return overdue(r) && w.Counts.ended(expected)
	}
	if w.any(ended) {
		return p.endByItems(w, ended, items, now)
	}
	return p.end(w, overdue, TimedOut, timeoutReason, items, now)
}

// endByItems ends the watch of an order whose items have all ended, for the requests that this is enough for.
func (p Policy) endByItems(w Watch, enough which, items []Item, now time.Time) Watch {
	return p.end(w, enough, ownOutcome(w.Counts), ownReason, items, now)
}

// own reports whether the outcome is the order's own.
func (o Outcome) own() bool { return o == Succeeded || o == PartiallyFailed || o == AllFailed }

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

// end returns the watch with its completion fixed, which answers these of its requests; the others are kept for the
// watch that follows. items are those of the answer that ended it; without them the record's are taken.
func (p Policy) end(w Watch, answered which, outcome Outcome, reason func(Watch) string, items []Item, now time.Time) Watch {
	these, others := parted(w.Requests, answered)
	of := w.of(these)
	c := Completion{Report: of.report(reason(of), items), Outcome: outcome, CompletedAt: of.endedAt(now), Usual: p.usual(&w)}
	switch {
	case outcome.own():
		w.detect(&c)
	case outcome != Cancelled:
		c.Error = w.LastError
	}
	if len(others) > 0 {
		c.NextWatchID, c.RequestsLeft = w.nextID(w.endedAt(now)), len(others)
	} else {
		if outcome.own() {
			w.LastError = nil
		}
		w.Items, w.Missing, w.Hint, w.Hinted = nil, nil, nil, 0
	}
	w.State, w.Requests, w.Completion, w.WantedAt = Ending, others, &c, time.Time{}
	w.Troubles = w.Troubles.Over(w.ID, w.Completion.CompletedAt)
	w.fitEnding(p.payload())
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
