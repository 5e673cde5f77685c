package watcher_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// FuzzFold lets a watch live through whatever the bytes say and holds what becomes of it against a
// checker that knows nothing but the answers, the errors and the times.
func FuzzFold(f *testing.F) {
	for seed := range uint64(500) {
		script, random := make([]byte, 400), rand.New(rand.NewPCG(seed, 0))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		life := newLife(t, &bytes{script})
		for range 200 {
			if life.w.State != watcher.Watching || len(life.script.left) == 0 {
				return
			}
			life.step(t)
		}
	})
}

// bytes gives small numbers out of a fuzz input.
type bytes struct{ left []byte }

// under returns a number from 0 to n-1; 0 once the input is used up.
func (b *bytes) under(n int) int {
	if len(b.left) == 0 {
		return 0
	}
	first := b.left[0]
	b.left = b.left[1:]
	return int(first) % n
}

// A life is a watch and what the checker saw of it.
type life struct {
	script   *bytes
	p        watcher.Policy
	w        watcher.Watch
	oracle   *oracle
	terms    map[string]terms // of the requests, by their ids
	deadline time.Time        // the first of theirs
	polls    int
	asked    time.Time // the latest poll
	last     watcher.Answer
	answered bool

	plain   bool // names are told apart: the oracle knows what is right
	badOnce bool // otherwise: an item without a name of its own was seen failed
}

// terms are a request's own.
type terms struct {
	deadline time.Time
	expected int
}

func newLife(t *testing.T, script *bytes) *life {
	p := policy()
	p.Settle = time.Duration(script.under(3)) * 10 * time.Second
	p.Backoff.Jitter = 0.2
	ask := request("build-1")
	ask.ExpectedItems = script.under(4)
	ask.Timeout = []time.Duration{time.Minute, 10 * time.Minute, time.Hour}[script.under(3)]
	return &life{
		terms:  map[string]terms{"build-1": {begin.Add(ask.Timeout), ask.ExpectedItems}},
		script: script, p: p, w: admit(t, p, ask), deadline: begin.Add(ask.Timeout), plain: script.under(4) > 0,
		oracle: &oracle{settle: p.Settle, grace: p.NotFoundGrace, expected: ask.ExpectedItems, accepted: begin},
	}
}

func (l *life) step(t *testing.T) {
	before, now := l.w, l.w.NextPollAt.Add(time.Duration(l.script.under(4))*l.delay())
	switch l.script.under(16) {
	case 0:
		l.join(t)
		before = l.w
	case 1:
		before.Wish = &watcher.Wish{By: "ada", At: now}
	case 2, 3, 4:
		before.Hint, before.Hinted = &watcher.Hint{Ended: now.Add(-time.Duration(l.script.under(3)) * 30 * time.Second).Truncate(time.Millisecond)}, before.Wakeup
	}
	hold := time.Duration(max(0, l.script.under(8)-5)) * time.Minute
	next, decided := l.p.Before(before, watcher.Leave{After: hold, Why: "held"}, now)
	if decided {
		l.checkBefore(t, before, next, hold, now)
	} else {
		a, err := l.poll(now)
		if before.Wish != nil {
			t.Fatal("a cancelled watch was polled")
		}
		next, _ = l.p.Fold(before, a, err, now)
		l.polls, l.asked = l.polls+1, now
		l.checkFold(t, next, a, err, before, now)
	}
	l.w = stored(t, next, l.p.MaxPayload)
	l.checkNext(t, before, now)
}

func (l *life) delay() time.Duration {
	return []time.Duration{0, time.Millisecond, time.Second, time.Minute}[l.script.under(4)]
}

func (l *life) join(t *testing.T) {
	ask := request("build-" + string(rune('a'+len(l.w.Requests))))
	ask.ExpectedItems = l.script.under(4)
	ask.Timeout = time.Duration(1+l.script.under(90)) * time.Minute
	admission, w, err := l.p.Admit(&l.w, ask, begin)
	if admission != watcher.Join || err != nil {
		t.Fatalf("admission %d, %v", admission, err)
	}
	its := terms{begin.Add(ask.Timeout), ask.ExpectedItems}
	l.terms[ask.Request.ID] = its
	l.w, l.oracle.expected = w, min(l.oracle.expected, its.expected)
	if its.deadline.Before(l.deadline) {
		l.deadline = its.deadline
	}
}

// any reports whether there is a request whose terms are so.
func (l *life) any(are func(terms) bool) bool {
	for _, its := range l.terms {
		if are(its) {
			return true
		}
	}
	return false
}

// overdue reports whether the deadline of a request has passed for which the order looks ended.
func (l *life) overdue(now time.Time) bool {
	return l.any(func(its terms) bool { return !now.Before(its.deadline) && l.oracle.looksEndedFor(its.expected) })
}

// settled reports whether the order has ended for a request.
func (l *life) settled(now time.Time) bool {
	return l.any(func(its terms) bool { return l.oracle.settledFor(its.expected, now) })
}

func (l *life) poll(now time.Time) (watcher.Answer, error) {
	switch l.script.under(8) {
	case 0:
		return watcher.Answer{}, []error{errDown, notFound, notFound, throttled, badKey, refused}[l.script.under(6)]
	case 1, 2, 3, 4:
		if l.answered {
			return l.last, nil
		}
	}
	a := watcher.Answer{Count: l.script.under(5)}
	for range l.script.under(5) {
		it := watcher.Item{
			ResourceName: []string{"node-a", "node-b", "node-c", "node-d"}[l.script.under(4)],
			Action:       []string{"createNode", "deleteNode"}[l.script.under(2)],
			Status:       []watcher.Status{succeed, failed, succeed, processing, "pausing"}[l.script.under(5)],
			UpdatedAt:    []time.Time{{}, {}, now.Add(-time.Minute), now}[l.script.under(4)].Truncate(time.Millisecond),
		}
		known := func(other watcher.Item) bool {
			return other.ResourceName == it.ResourceName && other.Action == it.Action
		}
		switch {
		case !l.plain && l.script.under(2) == 0:
			it.ResourceName = ""
		case l.plain && slices.ContainsFunc(a.Items, known):
			continue
		}
		a.Items = append(a.Items, it)
	}
	return a, nil
}

func (l *life) checkBefore(t *testing.T, before, next watcher.Watch, hold time.Duration, now time.Time) {
	t.Helper()
	past := !now.Before(l.deadline)
	switch {
	case next.State == watcher.Watching:
		hasTurn := before.Turn.After(now) && !before.Turn.After(l.deadline.Add(l.p.LastPollGrace))
		if hold == 0 || past && !hasTurn || before.Wish != nil {
			t.Fatalf("put off with a hold of %s, past %t, wish %v", hold, past, before.Wish)
		}
	case before.Wish != nil:
		l.checkOutcome(t, next, watcher.Cancelled)
	case !past:
		t.Fatalf("ended %s before the deadline without a poll: %s", l.deadline.Sub(now), next.Completion.Reason)
	case l.plain:
		c := next.Completion
		want := watcher.TimedOut
		if slices.ContainsFunc(c.Requests, func(r watcher.Request) bool { return l.oracle.looksEndedFor(l.terms[r.ID].expected) }) {
			want = l.oracle.outcome()
		}
		l.checkOutcome(t, next, want)
	}
}

func (l *life) checkFold(t *testing.T, next watcher.Watch, a watcher.Answer, err error, before watcher.Watch, now time.Time) {
	t.Helper()
	past, o := !now.Before(l.deadline), l.oracle
	if err != nil {
		l.checkError(t, next, err, past, now)
		return
	}
	l.answered, l.last = true, a
	for i, it := range a.Items { // alone in its answer or not, what failed cannot be told from the others
		others := slices.Delete(slices.Clone(a.Items), i, i+1)
		twice := slices.ContainsFunc(others, func(other watcher.Item) bool {
			return other.ResourceName == it.ResourceName && other.Action == it.Action
		})
		l.badOnce = l.badOnce || it.Status == failed && (it.ResourceName == "" || twice)
	}
	o.answer(a, now)
	var hint *watcher.Hint
	if before.Hinted == before.Wakeup {
		hint = before.Hint
	}
	o.hear(hint, now)
	switch {
	case l.settled(now), l.overdue(now):
		l.checkOutcome(t, next, o.outcome())
	case past:
		l.checkOutcome(t, next, watcher.TimedOut)
	default:
		l.checkGoesOn(t, next)
	}
}

func (l *life) checkError(t *testing.T, next watcher.Watch, err error, past bool, now time.Time) {
	t.Helper()
	e, _ := errors.AsType[*watcher.PollError](err)
	over := e == notFound && l.oracle.notFound(now)
	switch {
	case e == refused && l.oracle.looksEnded():
		l.checkOutcome(t, next, l.oracle.outcome())
	case e == refused:
		l.checkOutcome(t, next, watcher.OrderRefused)
	case e == notFound && (over && l.oracle.looksEnded() || l.settled(now)):
		l.checkOutcome(t, next, l.oracle.outcome())
	case over:
		l.checkOutcome(t, next, watcher.OrderNotFound)
	case l.overdue(now):
		l.checkOutcome(t, next, l.oracle.outcome())
	case past:
		l.checkOutcome(t, next, watcher.TimedOut)
	default:
		l.checkGoesOn(t, next)
	}
}

func (l *life) checkGoesOn(t *testing.T, w watcher.Watch) {
	t.Helper()
	if l.plain && w.State != watcher.Watching {
		t.Fatalf("%s: %s; but the order shows %+v, expected %d", w.Completion.Outcome, w.Completion.Reason, l.last, l.oracle.expected)
	}
}

func (l *life) checkOutcome(t *testing.T, w watcher.Watch, want watcher.Outcome) {
	t.Helper()
	if !l.plain {
		if w.State == watcher.Ending && w.Completion.Outcome == watcher.Succeeded && l.badOnce {
			t.Fatalf("succeeded after an item without a name had failed: %s", w.Completion.Reason)
		}
		return
	}
	if w.State != watcher.Ending {
		t.Fatalf("goes on instead of %s; the order shows %+v, expected %d", want, l.last, l.oracle.expected)
	}
	c := w.Completion
	if c.Outcome != want {
		t.Fatalf("%s: %s; want %s for %+v, expected %d", c.Outcome, c.Reason, want, l.last, l.oracle.expected)
	}
	if own := want == watcher.Succeeded || want == watcher.PartiallyFailed || want == watcher.AllFailed; own && c.Error != nil {
		t.Fatalf("%s with error %+v", want, c.Error)
	}
	for _, r := range c.Requests {
		if its := l.terms[r.ID]; want == watcher.TimedOut && c.CompletedAt.Before(its.deadline.Truncate(time.Millisecond)) || want == watcher.Succeeded && !l.oracle.looksEndedFor(its.expected) {
			t.Fatalf("%s answers %s, whose deadline is %s and who expects %d of %d", want, r.ID, its.deadline, its.expected, l.oracle.total)
		}
	}
	l.checkReport(t, c)
}

// checkReport holds what the completion shows against what was seen last.
func (l *life) checkReport(t *testing.T, c *watcher.Completion) {
	t.Helper()
	all := l.oracle.all()
	if len(c.Items) != len(all) || c.ItemsOmitted != 0 || c.Polls != l.polls || len(c.Requests) == 0 {
		t.Fatalf("completion %+v with %d items; %d were seen, in %d polls", c, len(c.Items), len(all), l.polls)
	}
	want := watcher.Counts{Total: l.oracle.total, Missing: len(l.oracle.missing)}
	for i, s := range all {
		it := c.Items[i]
		if it.ResourceName != s.name || it.Action != s.action || it.Status != s.status || !it.MissingSince.Equal(s.since.Truncate(time.Millisecond)) || (it.TakenFor == "deleted") != s.deleted {
			t.Fatalf("item %+v; was seen as %+v", it, *s)
		}
		switch {
		case s.status == succeed || s.deleted:
			want.Succeeded++
		case s.status == failed:
			want.Failed++
		default:
			want.Processing++
		}
	}
	if c.Counts != want {
		t.Fatalf("counts %+v, want %+v: %s", c.Counts, want, c.Reason)
	}
}

// checkNext checks what holds after every step.
func (l *life) checkNext(t *testing.T, before watcher.Watch, now time.Time) {
	t.Helper()
	last := l.deadline
	if !now.Before(last) { // for the last poll it may wait for its turn
		last = last.Add(l.p.LastPollGrace)
	}
	switch w := l.w; {
	case w.Polls != l.polls:
		t.Fatalf("%d polls counted as %d", l.polls, w.Polls)
	case w.State != watcher.Watching:
	case w.Wakeup != before.Wakeup+1:
		t.Fatalf("wake-up %d is followed by %d", before.Wakeup, w.Wakeup)
	case w.NextPollAt.After(last):
		t.Fatalf("next wake-up %s after the deadline", w.NextPollAt.Sub(l.deadline))
	case w.NextPollAt.Before(now):
		t.Fatalf("next wake-up %s before now", now.Sub(w.NextPollAt))
	}
}
