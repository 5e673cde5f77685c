package modelarts

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
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

	mu       sync.Mutex
	failures int                       // calls in a row without an answer
	answered time.Time                 // when the account was last answered about an order
	blamed   map[watcher.HoldKind]bool // for what this worker held the account since then
	rests    int                       // in a row
	restEnd  time.Time
	restWhy  string
}

// key returns where the hold of that kind is kept.
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
	account bool   // it is the whole account's, and known how long it takes
}

// look returns what stands against a call about the project. Where the time of a hold is over and no
// call has shown it yet, the caller may be the one to make it: then probes is true.
func (h *holds) look(ctx context.Context, project string, now time.Time) (s standing, probes bool) {
	if s, resting := h.resting(now); resting {
		return s, false
	}
	var over []string
	for _, key := range h.keys(project) {
		hold, _ := h.shared.Hold(key)
		hold.Until = hold.Until.Add(h.courtesy(hold))
		switch {
		case !hold.Stands():
		case !now.Before(hold.Until):
			over = append(over, key)
		case hold.Until.After(s.until):
			s = standing{until: hold.Until, why: explain(hold), kind: hold.Kind, code: hold.Code, account: key == h.account}
			if hold.Probing { // the answer comes sooner
				s.until, s.account = earlier(hold.Until, now.Add(h.timing.ProbePause)), false
			}
		}
	}
	if s.why != "" {
		return s, false
	}
	for _, key := range over {
		if !h.claim(ctx, key, now) {
			hold, _ := h.shared.Hold(key)
			return standing{until: now.Add(h.timing.ProbePause), why: explain(hold), kind: hold.Kind, code: hold.Code}, false
		}
	}
	return standing{}, len(over) > 0
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
	return standing{until: now.Add(h.timing.ProbePause), why: h.restWhy}, true
}

// explain says for people why the account is held.
func explain(hold watcher.Hold) string {
	return saying(hold.Kind) + "; no call before " + hold.Until.UTC().Format(time.RFC3339) + ": " + hold.Reason
}

func saying(kind watcher.HoldKind) string {
	return map[watcher.HoldKind]string{
		watcher.HeldThrottled:   "ModelArts throttles the account",
		watcher.HeldLogin:       "ModelArts refuses the account's login",
		watcher.HeldPermission:  "ModelArts refuses the account for lack of a permission",
		watcher.HeldArrears:     "ModelArts refuses the project: the account is frozen or in arrears",
		watcher.HeldUnreachable: "ModelArts cannot be reached",
	}[kind]
}

// heard takes note of how a call ended that began at a time, and returns what it shows of the
// account: empty if it was answered. For a lack of permission it adds to the error when others were
// answered, and when to come back.
func (h *holds) heard(ctx context.Context, project string, began, now time.Time, err error) watcher.HoldKind {
	e, ok := errors.AsType[*APIError](err)
	if err != nil && !ok {
		e = newError(watcher.MayPass, err.Error())
	}
	kind := kindOf(e)
	others, few := h.note(kind, began, now)
	switch kind {
	case "":
		for _, key := range h.keys(project) {
			h.release(ctx, key, began, now)
		}
	case watcher.HeldArrears: // the account was answered
		h.release(ctx, h.account, began, now)
		h.hold(ctx, kind, project, began, now, e)
	case watcher.HeldPermission:
		e.OthersAnswered = others
		if now.Sub(others) < h.timing.Recently {
			break
		}
		h.hold(ctx, kind, project, began, now, e)
		if hold, _ := h.shared.Hold(h.account); hold.Stands() { // others first: they may be answered
			e.RetryAfter = max(e.RetryAfter, hold.Until.Sub(now)+time.Second)
		}
	case watcher.HeldUnreachable:
		if hold, _ := h.shared.Hold(h.account); hold.Stands() || !few {
			h.blame(ctx, kind, project, began, now, e)
		}
	case watcher.HeldLogin:
		h.blame(ctx, kind, project, began, now, e)
	default:
		h.hold(ctx, kind, project, began, now, e)
	}
	return kind
}

// note counts, and returns when the account was answered before, and whether few calls have failed
// since. A call that began before that says nothing of what came after it.
func (h *holds) note(kind watcher.HoldKind, began, now time.Time) (others time.Time, few bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	others = h.answered
	switch {
	case kind == "":
		h.answered, h.failures, h.rests, h.blamed = now, 0, 0, nil
	case kind != watcher.HeldUnreachable:
		h.failures = 0
	case began.After(h.answered):
		h.failures++
	}
	return others, h.failures < manyFailures
}

// blame holds the account, or lets this worker rest, where it did so before and the others ended it.
func (h *holds) blame(ctx context.Context, kind watcher.HoldKind, project string, began, now time.Time, e *APIError) {
	hold, _ := h.shared.Hold(h.account)
	h.mu.Lock()
	alone := h.blamed[kind] && !hold.Stands()
	if h.blamed == nil {
		h.blamed = make(map[watcher.HoldKind]bool)
	}
	h.blamed[kind] = true
	if alone {
		wait := max(h.least(e), h.timing.hold(kind).Interval(h.account, h.rests))
		h.rests++
		h.restEnd, h.restWhy = now.Add(wait), saying(kind)+", but only for this worker: "+e.Error()
		h.logger.Warn("this worker alone is not answered by modelarts; it rests", "kind", kind, "wait", wait, "err", e)
	}
	h.mu.Unlock()
	if !alone {
		h.hold(ctx, kind, project, began, now, e)
	}
}

// kindOf returns what the end of a call says of the account; empty where it was answered.
func kindOf(e *APIError) watcher.HoldKind {
	switch {
	case e == nil:
		return ""
	case e.hold != "":
		return e.hold
	case e.Class == watcher.NotFound, e.Class == watcher.Refused:
		return ""
	}
	return watcher.HeldUnreachable
}

// hold stores that the account is held. Calls that were under way when the hold began, or when its
// end was last looked for, say nothing new, unless the API names a longer time. What people were told
// of stays of its kind until it is over.
func (h *holds) hold(ctx context.Context, kind watcher.HoldKind, project string, began, now time.Time, e *APIError) {
	key := h.key(kind, project)
	for range 3 {
		hold, revision := h.shared.Hold(key)
		stands := hold.Stands()
		old := stands && (!began.After(hold.Since) || began.Before(hold.Asked))
		wait := max(e.RetryAfter, h.least(e))
		if old && (e.RetryAfter == 0 || !now.Add(wait).After(hold.Until)) {
			return
		}
		if !stands && len(hold.ToldTo) == 0 {
			hold = watcher.Hold{Since: now}
		}
		if !stands {
			hold.Asked = time.Time{}
		}
		if e.RetryAfter == 0 {
			wait = max(wait, h.timing.hold(kind).Interval(key, hold.Tries))
		}
		if len(hold.ToldTo) == 0 {
			hold.Kind = kind
		}
		if kind == watcher.HeldArrears {
			hold.ProjectID = project
		}
		hold.Region, hold.Reason, hold.Code, hold.Over, hold.Probing = h.region, e.Error(), e.Code, time.Time{}, false
		hold.Until = now.Add(wait)
		hold.Tries++
		err := h.shared.SetHold(ctx, key, hold, revision)
		if errors.Is(err, watcher.ErrConflict) {
			continue
		}
		if !stands {
			h.logger.Warn("modelarts account is held", "kind", kind, "until", hold.Until, "err", e)
		}
		return
	}
}

// least returns how long the hold for an error takes at least.
func (h *holds) least(e *APIError) time.Duration {
	if e.locks {
		return h.timing.KeyHold
	}
	return 0
}

// release ends a hold, once a call was answered that began after its end was looked for.
func (h *holds) release(ctx context.Context, key string, began, now time.Time) {
	for range 3 {
		hold, revision := h.shared.Hold(key)
		if !hold.Stands() || hold.Asked.IsZero() || began.Before(hold.Asked) {
			return
		}
		hold.Over, hold.Probing = now, false
		err := h.shared.SetHold(ctx, key, hold, revision)
		if errors.Is(err, watcher.ErrConflict) {
			continue
		}
		if err != nil {
			return // the next answer tries again
		}
		h.logger.Info("modelarts account is no longer held", "kind", hold.Kind, "since", hold.Since)
		return
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
