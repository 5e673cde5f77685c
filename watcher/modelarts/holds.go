package modelarts

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
)

// manyFailures is how many calls in a row bring no answer before the account counts as unreachable.
const manyFailures = 5

// holds are those of one account and its projects. They are shared with all workers; at the end of
// each, one of them makes the one call that shows whether it is over: it is the account's circuit
// breaker, too.
//
// A worker that holds the account for what the others do not meet, since it alone has no network or
// an old login, leaves their account alone the second time, and rests by itself.
type holds struct {
	logger   *slog.Logger
	account  string
	region   string
	shared   watcher.Accounts
	timing   Timing
	patience time.Duration    // with the worker that makes that call
	now      func() time.Time // the clock of when calls begin
	// askAgain asks for an order once more, beside the watches' own polls; its error is as Show's.
	askAgain func(context.Context, watcher.Order) error

	mu        sync.Mutex
	failing   failing
	answered  time.Time // when the account was last answered about an order
	witnesses witnesses
	asking    atomic.Bool               // one of them is being asked
	blamed    map[watcher.HoldKind]bool // for what this worker held the account since it was last answered
	rests     int                       // in a row
	restEnd   time.Time
	rest      standing // while it lasts
}

// A call asks for an order.
type call struct {
	order        watcher.Order
	began, ended time.Time
	asked        *inquiry // what a witness showed that was asked before; nil: none was
}

// failing is what is known of the calls that failed in a row, since the account was last answered.
type failing struct {
	calls int
	unmet int       // of them: no connection, or no answer in time
	since time.Time // when the first ended
}

func (h *holds) key(kind watcher.HoldKind, project string) string {
	if kind == watcher.HeldArrears {
		return h.keys(project)[1]
	}
	return h.account
}

// keys returns where the account's hold is kept, and the project's.
func (h *holds) keys(project string) [2]string {
	return [2]string{h.account, h.account + "." + project}
}

// A standing says what keeps a call from being made. The zero value says that nothing does.
type standing struct {
	until   time.Time
	why     string
	kind    watcher.HoldKind
	code    string // the API's
	said    string // by the API
	account bool   // it is the whole account's, and known how long it takes
}

// look returns what stands against a call about the project. Where the time of a hold is over and no
// call has shown it yet, the caller may be the one to make it: then probes is true.
func (h *holds) look(ctx context.Context, project string, now time.Time) (s standing, probes bool) {
	s, over := h.standings(project, now)
	if s.why != "" {
		return s, false
	}
	for _, key := range over {
		if !h.claim(ctx, key, now) {
			hold, _ := h.shared.Hold(key)
			return standing{until: now.Add(h.timing.ProbePause), why: hold.Why(), kind: hold.Kind, code: hold.Code, said: hold.Said}, false
		}
	}
	return standing{}, len(over) > 0
}

// standings returns what stands against a call about the project, and under which keys there are holds whose time is
// over, which no call has shown yet.
func (h *holds) standings(project string, now time.Time) (s standing, over []string) {
	if s, resting := h.resting(now); resting {
		return s, nil
	}
	for _, key := range h.keys(project) {
		hold, _ := h.shared.Hold(key)
		hold.Until = hold.Until.Add(h.courtesy(hold))
		switch {
		case !hold.Stands():
		case !now.Before(hold.Until):
			over = append(over, key)
		case hold.Until.After(s.until):
			s = standing{until: hold.Until, why: hold.Why(), kind: hold.Kind, code: hold.Code, said: hold.Said, account: key == h.account}
			if hold.Probing { // the answer comes sooner
				s.until, s.account = earlier(hold.Until, now.Add(h.timing.ProbePause)), false
			}
		}
	}
	return s, over
}

// leave says that the caller may ask again after so long.
func (s standing) leave(after time.Duration) watcher.Leave {
	return watcher.Leave{After: after, Why: s.why, Held: s.kind, Code: s.code, Said: s.said}
}

// courtesy is how much longer this worker waits than the others, where the last call that found that
// the hold stands was its own: another may be answered.
func (h *holds) courtesy(hold watcher.Hold) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.blamed[hold.Kind] && h.shared.Workers() > 1 {
		return h.timing.ProbePause
	}
	return 0
}

// claim takes it on this worker to find out whether a hold still stands. Where the bucket cannot be
// written each worker finds out for itself.
func (h *holds) claim(ctx context.Context, key string, now time.Time) bool {
	hold, revision := h.shared.Hold(key)
	if !hold.Stands() || now.Before(hold.Until) {
		return false
	}
	hold.Asked, hold.Until, hold.Probing = earlier(now, h.now()), now.Add(h.patience), true
	err := h.shared.SetHold(ctx, key, hold, revision)
	return !errors.Is(err, watcher.ErrConflict)
}

// resting reports whether this worker rests by itself. Others may take over meanwhile.
func (h *holds) resting(now time.Time) (standing, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !now.Before(h.restEnd) {
		return standing{}, false
	}
	s := h.rest
	s.until = now.Add(h.timing.ProbePause)
	return s, true
}

// heard takes note of how a call ended, and returns what that shows of the account. To the error it adds
// for what the account is held because of it, if it is; for a lack of a permission also when others were
// answered, and when to come back.
func (h *holds) heard(ctx context.Context, c call, err error) answer.Bearing {
	e := asAPIError(err)
	b := e.Bearing()
	probed := h.probed(c)
	others, many := h.note(c, b, e)
	switch b {
	case answer.Answers, answer.Refuses:
		h.take(ctx, c, e, others)
	case answer.Fails:
		b = h.failed(ctx, c, e, many, slices.Contains(probed, h.account))
	case answer.Neither:
		b = h.unclear(ctx, c, probed)
	}
	for _, key := range probed { // where nothing was found out
		h.extend(ctx, key, c)
	}
	return b
}

// asAPIError returns the error as one of this package; nil for nil.
func asAPIError(err error) *answer.Error {
	e, ok := errors.AsType[*answer.Error](err)
	if err != nil && !ok {
		return answer.NewError(watcher.MayPass, err.Error())
	}
	return e
}

// note counts, and returns when the account was answered before, and whether many calls have failed
// since. A call that began before that says nothing of what came after it.
func (h *holds) note(c call, b answer.Bearing, e *answer.Error) (others time.Time, many bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	others = h.answered
	usable := b == answer.Answers && (e == nil || e.Class == watcher.NotFound)
	h.witnesses.heard(c.order, b, usable)
	if usable {
		h.shared.Answered(h.account, c.order)
	}
	switch {
	case b == answer.Answers:
		h.answered, h.failing, h.rests, h.blamed = c.ended, failing{}, 0, nil
	case b == answer.Refuses:
		h.failing = failing{}
	case b == answer.Fails && c.began.After(h.answered):
		h.failing.add(c, e)
	}
	return others, h.failing.calls >= manyFailures
}

func (f *failing) add(c call, e *answer.Error) {
	if f.calls == 0 || c.ended.Before(f.since) {
		f.since = c.ended
	}
	f.calls++
	if e.Status == 0 && !e.Cut {
		f.unmet++
	}
}

// take acts on a call that the API answered, or for which it refuses the account.
func (h *holds) take(ctx context.Context, c call, e *answer.Error, others time.Time) {
	if e == nil || e.Hold == "" {
		for _, key := range h.keys(c.order.ProjectID) {
			h.release(ctx, key, c)
		}
		return
	}
	switch e.Hold {
	case watcher.HeldArrears: // the account was answered
		h.release(ctx, h.account, c)
		h.hold(ctx, h.cause(e.Hold, c, e))
	case watcher.HeldPermission:
		e.OthersAnswered = others
		if c.ended.Sub(others) < h.timing.Recently {
			return
		}
		h.hold(ctx, h.cause(e.Hold, c, e))
		if hold, _ := h.shared.Hold(h.account); hold.Stands() { // others first: they may be answered
			e.RetryAfter = max(e.RetryAfter, hold.Until.Sub(c.ended)+time.Second)
		}
	case watcher.HeldLogin:
		h.blame(ctx, h.cause(e.Hold, c, e))
	default:
		h.hold(ctx, h.cause(e.Hold, c, e))
	}
	e.Held = e.Hold
}

// failed acts on a call that failed. The trouble may be the order's alone. So the account is held only
// where many calls failed in a row, or this one was to show whether it still is; and then only where a
// witness fails, too, or none is known.
func (h *holds) failed(ctx context.Context, c call, e *answer.Error, many, probes bool) answer.Bearing {
	kind := h.standing(c.ended)
	switch {
	case probes:
	case kind == watcher.HeldUnreachable: // others have found the same
		e.Held = kind
		return answer.Fails
	case kind != "", !many:
		return answer.Fails
	}
	i := c.asked
	if i == nil {
		i = h.ask(ctx, "")
		c.ended = h.now()
	}
	switch {
	case i == nil && !probes && !h.longEnough(c.ended):
		return answer.Fails
	case i == nil:
		i = &inquiry{answer.Fails, e}
	case i.shows == answer.Refuses:
		e.Held = i.err.Held
	case i.shows == answer.Neither && probes: // it stands
		e.Held = kind
	}
	if i.shows != answer.Fails {
		return i.shows
	}
	h.blame(ctx, h.cause(watcher.HeldUnreachable, c, i.err))
	e.Held = watcher.HeldUnreachable
	return answer.Fails
}

// unclear acts on a call whose answer says nothing of the account. Where it was to show whether holds
// still stand, a witness does so.
func (h *holds) unclear(ctx context.Context, c call, probed []string) answer.Bearing {
	if len(probed) == 0 {
		return answer.Neither
	}
	project := ""
	if !slices.Contains(probed, h.account) { // only one of the project can tell
		project = c.order.ProjectID
	}
	i := c.asked
	if i == nil {
		i = h.ask(ctx, project)
	}
	if i == nil {
		return answer.Neither
	}
	return i.shows
}

// longEnough reports whether calls have failed so that an account may be held of which no order was
// ever answered. A few bad orders may have been asked before a good one.
func (h *holds) longEnough(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait := h.timing.FirstAnswer
	if h.shared.Workers() > 1 { // another may be answered, and holds the account where it is not
		wait *= 6
	}
	return h.failing.unmet >= manyFailures || now.Sub(h.failing.since) >= wait
}

// standing returns for what this worker may not ask the account now, empty where it may.
func (h *holds) standing(now time.Time) watcher.HoldKind {
	if s, resting := h.resting(now); resting {
		return s.kind
	}
	if hold, _ := h.shared.Hold(h.account); hold.Stands() {
		return hold.Kind
	}
	return ""
}

// cause says for what, and for how long, the account is to be held after a call.
func (h *holds) cause(kind watcher.HoldKind, c call, e *answer.Error) watcher.HoldCause {
	cause := watcher.HoldCause{
		Kind: kind, Region: h.region, Reason: e.Error(), Code: e.Code, Said: e.Said, Began: c.began, Ended: c.ended,
		RetryAfter: e.RetryAfter, Schedule: h.timing.hold(kind), Seed: h.key(kind, c.order.ProjectID),
	}
	if kind == watcher.HeldArrears {
		cause.ProjectID = c.order.ProjectID
	}
	if e.Locks {
		cause.Least = h.timing.KeyHold
	}
	if order, known := h.witness(""); known {
		cause.Witness = &order
	}
	return cause
}

// blame holds the account. Where this worker did so before, and another worker ended that hold, this worker
// rests instead: the others are answered.
func (h *holds) blame(ctx context.Context, cause watcher.HoldCause) {
	hold, _ := h.shared.Hold(h.account)
	h.mu.Lock()
	alone := h.blamed[cause.Kind] && !hold.Stands()
	if h.blamed == nil {
		h.blamed = make(map[watcher.HoldKind]bool)
	}
	h.blamed[cause.Kind] = true
	if alone {
		wait := cause.Wait(h.rests)
		h.rests++
		h.restEnd = cause.Ended.Add(wait)
		h.rest = standing{why: cause.Kind.Saying() + ", but only for this worker: " + cause.Reason, kind: cause.Kind, code: cause.Code, said: cause.Said}
		h.logger.Warn("this worker alone is not answered by modelarts; it rests", "kind", cause.Kind, "wait", wait, "err", cause.Reason)
	}
	h.mu.Unlock()
	if !alone {
		h.hold(ctx, cause)
	}
}

func (h *holds) hold(ctx context.Context, cause watcher.HoldCause) {
	key, begins := h.key(cause.Kind, cause.ProjectID), false
	stored, _ := h.revise(ctx, key, func(hold watcher.Hold) (watcher.Hold, bool) {
		begins = !hold.Stands()
		return hold.Next(cause)
	})
	if hold, _ := h.shared.Hold(key); stored && begins {
		h.logger.Warn("modelarts account is held", "kind", cause.Kind, "until", hold.Until, "err", cause.Reason)
	}
}

// probed returns under which keys it was on this call to find out whether a hold still stands.
func (h *holds) probed(c call) (keys []string) {
	for _, key := range h.keys(c.order.ProjectID) {
		if hold, _ := h.shared.Hold(key); hold.Probes(c.began) {
			keys = append(keys, key)
		}
	}
	return keys
}

// extend lets a hold stand longer whose probe has not shown whether it is over.
func (h *holds) extend(ctx context.Context, key string, c call) {
	h.revise(ctx, key, func(hold watcher.Hold) (watcher.Hold, bool) {
		return hold.Unclear(c.began, h.now(), h.timing.hold(hold.Kind), key)
	})
}

// release ends a hold, once a call was answered that began after its end was looked for. Where that
// cannot be stored the next answer tries again.
func (h *holds) release(ctx context.Context, key string, c call) {
	var ended watcher.Hold
	stored, err := h.revise(ctx, key, func(hold watcher.Hold) (next watcher.Hold, over bool) {
		ended, over = hold.Answered(c.began, c.ended)
		return ended, over
	})
	if stored && err == nil {
		h.logger.Info("modelarts account is no longer held", "kind", ended.Kind, "since", ended.Since)
	}
}

// revise stores the hold under the key as change makes it, once more where another worker was quicker;
// not where change returns false. stored is true also where only this worker knows of it, with an error.
func (h *holds) revise(ctx context.Context, key string, change func(watcher.Hold) (watcher.Hold, bool)) (stored bool, err error) {
	for range 3 {
		hold, revision := h.shared.Hold(key)
		hold, changes := change(hold)
		if !changes {
			return false, nil
		}
		if err = h.shared.SetHold(ctx, key, hold, revision); !errors.Is(err, watcher.ErrConflict) {
			return true, err
		}
	}
	return false, err
}

func earlier(a, b time.Time) time.Time {
	return slices.MinFunc([]time.Time{b, a}, time.Time.Compare)
}
