package outbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// A step is what a delivery does next.
type step struct {
	do    action
	retry *watcher.RetryError // of wait: why, and for how long
	err   *slack.Error        // of what follows a refused call
}

// An action is what a step does.
type action int

const (
	done      action = iota // nothing: all is told
	wait                    // come again later
	silence                 // note that nothing is told
	reconcile               // look for what became of the call without a result
	upload                  // hand Slack the file
	post                    // post a message, a reply, or the file
	edit                    // change the message that stands

	// After a call that Slack refused:
	giveUp   // let another channel have the message, or keep it
	pauseAll // make no call at all for a while
	slow     // leave the channel alone: it refuses the bot
	backOff  // leave the channel alone: the error may pass
	strip    // go on without metadata
	simplify // go on with a simpler form
	plain    // go on with text alone
	replace  // post a new message in place of the one that cannot be edited, or that woke nobody
	curtail  // leave out what the thread refuses, and say so in the message
	leave    // nothing more: Slack does not let the message say it
	another  // post another root in place of the one that cannot be found
	believe  // the part stands, as Slack says
)

// A moment is what a decision depends on beside the message.
type moment struct {
	now    time.Time
	held   *watcher.RetryError // why no call may be made; nil: one may
	worker string              // who decides
	token  bool                // there is a token, not a webhook alone
	timing Timing
}

// next decides what is done next, from what all workers know of the message, what this process knows beside that,
// and what is wanted. It is asked again after each step.
func next(p posting, m memory, w want, at moment) step {
	edits := p.edits(w, m)
	switch {
	case m.refusal != nil:
		return afterRefusal(p, m, w, at)
	case p.tells(w, w.message.Parts()):
		return step{do: done}
	case w.silent && p.untouched():
		return step{do: silence}
	case w.least != "" && p.later(w): // the digest is read again, with all that joined
		return waits(time.Second, "another worker adds to the digest")
	case w.changes() && !p.Edited.IsZero() && at.now.Sub(p.Edited) < at.timing.Change:
		return waits(min(at.timing.Change-at.now.Sub(p.Edited), at.timing.Change), "the message was changed just now")
	case at.held != nil:
		return step{do: wait, retry: at.held}
	case p.othersCall(at) > 0:
		return waits(min(p.othersCall(at), at.timing.Stale), "another worker is about to")
	case p.unsettled(m, at) && !edits: // an edit may be repeated
		return step{do: reconcile}
	case p.Group != nil && !edits && p.part(w.state) == 0: // the group tells of it, and no message of its own stands
		return step{do: silence}
	case w.isFile(p.part(w.state)) && m.form == 0 && m.file == "": // Slack does not have its bytes
		return step{do: upload}
	case edits:
		return step{do: edit}
	}
	return step{do: post}
}

func waits(after time.Duration, why string) step { return step{do: wait, retry: retryIn(after, why)} }

func retryIn(after time.Duration, why string) *watcher.RetryError {
	return &watcher.RetryError{After: after, Err: errors.New("post to slack: " + why)}
}

// soon returns an error of what is tried again in a second.
func soon(what string, err error) *watcher.RetryError {
	return &watcher.RetryError{After: time.Second, Err: fmt.Errorf("%s: %w", what, err)}
}

// unsettled reports whether there is a call of which this process does not know what became, and for which it has
// not looked in this pass.
func (p posting) unsettled(m memory, at moment) bool {
	notMade := p.by(at.worker) && m.last == refused
	return p.Call != nil && !notMade && !m.looked
}

// othersCall returns how long another worker may take for the call that it announced. In the future is no call: a
// clock was wrong.
func (p posting) othersCall(at moment) time.Duration {
	if p.Call == nil || p.by(at.worker) {
		return 0
	}
	left := at.timing.Stale - at.now.Sub(p.Call.At)
	if left > at.timing.Stale+clockWrong {
		return 0
	}
	return left
}

// afterRefusal decides what follows a call that Slack refused, or perhaps took. What stands is never posted again: of a
// message whose thread is refused the details are left out.
func afterRefusal(p posting, m memory, w want, at moment) step {
	e, part := m.refusal, p.part(w.state)
	_, forms := w.part(part)
	simpler := m.form+1 < len(forms)
	switch {
	case e.Code == duplicate && m.doubted && part == 0 && (w.leads || w.message.Parts() > 1):
		return step{do: another} // a thread needs to know its root, and nobody can look which message that is
	case e.Code == duplicate && m.doubted:
		return step{do: believe}
	case e.Class == slack.TokenRefused && at.token && w.channel == routes.Webhook: // it is not the token that is refused
		return step{do: giveUp, err: e}
	case e.Class == slack.TokenRefused:
		return step{do: pauseAll, err: e}
	case e.Class == slack.Ambiguous, e.Class == slack.NotAccepted:
		return step{do: backOff, err: e}
	case e.OfMetadata() && !m.bare:
		return step{do: strip, err: e}
	case p.Lacks != "":
		return step{do: leave, err: e}
	case p.edits(w, m) && (e.Class == slack.EditRefused || e.Class == slack.UnknownCode):
		return step{do: replace, err: e}
	case e.Class == slack.PayloadRefused && simpler:
		return step{do: simplify, err: e}
	case e.Class == slack.UnknownCode && simpler:
		return step{do: plain, err: e}
	case mayPass(e, part, w, at):
		return step{do: slow, err: e}
	case part > 0:
		return threadRefused(w, part, e)
	case e.Class == slack.EditRefused:
		return step{do: giveUp, err: &slack.Error{Class: slack.PayloadRefused, Code: e.Code, Detail: e.Detail}}
	}
	return step{do: giveUp, err: e}
}

// mayPass reports whether the part is tried again in the channel that refuses it: within the hour the bot may be invited,
// or whatever it is may pass. A failure does not wait for that where it is not likely, and another channel is left.
func mayPass(e *slack.Error, part int, w want, at moment) bool {
	likely := e.Class == slack.ChannelRefused && !e.Lasts()
	switch {
	case e.Class != slack.ChannelRefused && e.Class != slack.UnknownCode:
		return false
	case at.now.Sub(w.told) >= at.timing.ChannelPatience:
		return false
	case part > 0 || w.thread != "" || w.line:
		return likely
	}
	return likely || !w.urgent() || len(w.others) == 0
}

// urgent reports whether people need to know it soon: a failure, a group of failures, or a notice.
func (w want) urgent() bool {
	return !w.quiet && (w.digest == "" || w.urgency == crowd) && (w.ended == nil || message.Fails(w.ended.Outcome))
}

// threadRefused decides what follows where the message stands, and its thread finally refuses the part. A reply that
// was to wake people is posted as a message.
func threadRefused(w want, part int, e *slack.Error) step {
	if m, _ := w.part(part); m.Broadcast {
		return step{do: replace, err: e}
	}
	return step{do: curtail, err: e}
}
