package watcher_test

import (
	"cmp"
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
	expected int
	deadline time.Time
	polls    int
	asked    time.Time // the latest poll
	answered bool
	last     watcher.Answer // the latest answer
	since    time.Time      // since when the same answer has come, and looked ended
	unknown  time.Time      // the first 404 since the latest answer
}

func newLife(t *testing.T, script *bytes) *life {
	p := policy()
	p.Settle = time.Duration(script.under(3)) * 10 * time.Second
	p.Backoff.Jitter = 0.2
	ask := request("build-1")
	ask.ExpectedItems = script.under(4)
	ask.Timeout = []time.Duration{time.Minute, 10 * time.Minute, time.Hour}[script.under(3)]
	return &life{script: script, p: p, w: admit(t, p, ask), expected: ask.ExpectedItems, deadline: begin.Add(ask.Timeout)}
}

func (l *life) step(t *testing.T) {
	before, now := l.w, l.w.NextPollAt.Add(time.Duration(l.script.under(4))*l.delay())
	switch l.script.under(16) {
	case 0:
		l.join(t)
		before = l.w
	case 1:
		before.Wish = &watcher.Wish{By: "ada", At: now}
	}
	hold := time.Duration(max(0, l.script.under(8)-5)) * time.Minute
	next, decided := l.p.Before(before, watcher.Leave{After: hold, Why: "held"}, now)
	if decided {
		l.checkBefore(t, before, next, hold, now)
	} else {
		a, err := l.poll()
		if before.Wish != nil {
			t.Fatal("a cancelled watch was polled")
		}
		next, _ = l.p.Fold(before, a, err, now)
		l.polls, l.asked = l.polls+1, now
		l.checkFold(t, next, a, err, now)
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
	l.w, l.expected = w, max(l.expected, ask.ExpectedItems)
	if d := begin.Add(ask.Timeout); d.After(l.deadline) {
		l.deadline = d
	}
}

func (l *life) poll() (watcher.Answer, error) {
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
		a.Items = append(a.Items, watcher.Item{
			ResourceName: []string{"node-a", "node-b", "node-c", ""}[l.script.under(4)],
			Action:       []string{"createNode", "createPool"}[l.script.under(2)],
			Status:       []watcher.Status{succeed, failed, succeed, processing, "pausing"}[l.script.under(5)],
		})
	}
	return a, nil
}

// ended says whether an order that shows this has ended, in the words of the contract.
func (l *life) ended(a watcher.Answer) bool {
	if len(a.Items) == 0 || len(a.Items) < a.Count || len(a.Items) < l.expected {
		return false
	}
	return !slices.ContainsFunc(a.Items, func(it watcher.Item) bool { return it.Status != succeed && it.Status != failed })
}

func (l *life) outcome(a watcher.Answer) watcher.Outcome {
	bad := 0
	for _, it := range a.Items {
		if it.Status == failed {
			bad++
		}
	}
	switch bad {
	case 0:
		return watcher.Succeeded
	case len(a.Items):
		return watcher.AllFailed
	}
	return watcher.PartiallyFailed
}

// sameItems compares two answers' items whatever their sequence.
func sameItems(a, b []watcher.Item) bool {
	byText := func(x, y watcher.Item) int {
		return cmp.Or(cmp.Compare(x.ResourceName, y.ResourceName), cmp.Compare(x.Action, y.Action), cmp.Compare(x.Status, y.Status))
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, byText)
	slices.SortFunc(b, byText)
	return slices.Equal(a, b)
}

func (l *life) checkBefore(t *testing.T, before, next watcher.Watch, hold time.Duration, now time.Time) {
	t.Helper()
	past := !now.Before(l.deadline)
	switch {
	case next.State == watcher.Watching:
		if hold == 0 || past || before.Wish != nil {
			t.Fatalf("put off with a hold of %s, past %t, wish %v", hold, past, before.Wish)
		}
	case before.Wish != nil:
		l.checkOutcome(t, next, watcher.Cancelled)
	case !past:
		t.Fatalf("ended %s before the deadline without a poll: %s", l.deadline.Sub(now), next.Completion.Reason)
	case l.answered && l.ended(l.last):
		l.checkOutcome(t, next, l.outcome(l.last))
	default:
		l.checkOutcome(t, next, watcher.TimedOut)
	}
}

func (l *life) checkFold(t *testing.T, next watcher.Watch, a watcher.Answer, err error, now time.Time) {
	t.Helper()
	past := !now.Before(l.deadline)
	if err != nil {
		l.checkError(t, next, err, past, now)
		return
	}
	same, exactly := l.answered && sameItems(l.last.Items, a.Items), l.answered && slices.Equal(l.last.Items, a.Items)
	l.answered, l.last, l.unknown = true, a, time.Time{}
	switch {
	case !l.ended(a):
		l.since = time.Time{}
	case l.since.IsZero() || !same:
		l.since = now
	}
	switch {
	case !l.ended(a) && !past:
		l.checkGoesOn(t, next)
	case !l.ended(a):
		l.checkOutcome(t, next, watcher.TimedOut)
	case past || l.expected > 0 || exactly && now.Sub(l.since) >= l.p.Settle:
		l.checkOutcome(t, next, l.outcome(a))
	case now.Sub(l.since) < l.p.Settle:
		l.checkGoesOn(t, next)
	case next.State == watcher.Ending: // the same items in another sequence
		l.checkOutcome(t, next, l.outcome(a))
	default:
		l.since = now // items that share a name and an action have changed places
	}
}

func (l *life) checkError(t *testing.T, next watcher.Watch, err error, past bool, now time.Time) {
	t.Helper()
	e, _ := errors.AsType[*watcher.PollError](err)
	if e == notFound && l.unknown.IsZero() {
		l.unknown = now
	}
	switch {
	case e == refused:
		l.checkOutcome(t, next, watcher.OrderRefused)
	case e == notFound && now.Sub(l.unknown) >= l.p.NotFoundGrace:
		l.checkOutcome(t, next, watcher.OrderNotFound)
	case past && l.answered && l.ended(l.last):
		l.checkOutcome(t, next, l.outcome(l.last))
	case past:
		l.checkOutcome(t, next, watcher.TimedOut)
	default:
		l.checkGoesOn(t, next)
	}
}

func (l *life) checkGoesOn(t *testing.T, w watcher.Watch) {
	t.Helper()
	if w.State != watcher.Watching {
		t.Fatalf("%s: %s; but the order shows %+v, expected %d, settling since %s", w.Completion.Outcome, w.Completion.Reason, l.last, l.expected, l.since)
	}
}

func (l *life) checkOutcome(t *testing.T, w watcher.Watch, want watcher.Outcome) {
	t.Helper()
	if w.State != watcher.Ending {
		t.Fatalf("goes on instead of %s; the order shows %+v, expected %d", want, l.last, l.expected)
	}
	c := w.Completion
	if c.Outcome != want {
		t.Fatalf("%s: %s; want %s for %+v, expected %d", c.Outcome, c.Reason, want, l.last, l.expected)
	}
	if own := want == watcher.Succeeded || want == watcher.PartiallyFailed || want == watcher.AllFailed; own && c.Error != nil {
		t.Fatalf("%s with error %+v", want, c.Error)
	}
	if !sameItems(c.Items, l.last.Items) || c.ItemsOmitted != 0 || c.Polls != l.polls || len(c.Requests) == 0 {
		t.Fatalf("completion %+v; the order shows %+v after %d polls", c, l.last, l.polls)
	}
	if got := c.Counts; got.Total != max(l.last.Count, len(l.last.Items)) || got.Succeeded+got.Failed+got.Processing != len(l.last.Items) {
		t.Fatalf("counts %+v of %+v", got, l.last)
	}
}

// checkNext checks what holds after every step.
func (l *life) checkNext(t *testing.T, before watcher.Watch, now time.Time) {
	t.Helper()
	switch w := l.w; {
	case w.Polls != l.polls:
		t.Fatalf("%d polls counted as %d", l.polls, w.Polls)
	case !w.Deadline.Equal(l.deadline):
		t.Fatalf("deadline %s, want %s", w.Deadline, l.deadline)
	case w.State != watcher.Watching:
	case w.Wakeup != before.Wakeup+1:
		t.Fatalf("wake-up %d is followed by %d", before.Wakeup, w.Wakeup)
	case w.NextPollAt.After(l.deadline):
		t.Fatalf("next wake-up %s after the deadline", w.NextPollAt.Sub(l.deadline))
	case w.NextPollAt.Before(now):
		t.Fatalf("next wake-up %s before now", now.Sub(w.NextPollAt))
	}
}
