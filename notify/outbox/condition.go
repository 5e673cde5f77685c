package outbox

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// conditions are the kinds of one watch that share a message: one of them is shown at a time. Of those that are told
// after the same poll the last stays.
var conditions = []watcher.AttentionKind{watcher.Late, watcher.Stalled, watcher.Blind, watcher.DeadlineNear}

// The states of that message are <kind>.<number> and <kind>_over.<number>. A later poll has larger numbers, and what is
// over has the number that follows those of the poll after which people were told that it began: what began after it,
// and goes on, may be told after it.
const (
	perPoll = 8
	overOf  = "_over"
)

// conditionState returns the state that tells of it.
func conditionState(a watcher.OrderAttention) string {
	if !a.Until.IsZero() {
		return string(a.Kind) + overOf // until it is known what it follows
	}
	return numbered(string(a.Kind), perPoll*a.Polls+slices.Index(conditions, a.Kind))
}

// condition reports whether the delivery's condition, or its end, is to be told, and completes its state. An
// end is told only where the message shows its beginning; otherwise it is noted, so that the beginning is not told
// after it.
func (s *Outbox) condition(ctx context.Context, d *delivery) (tell bool, retry *watcher.RetryError) {
	if over, retry := s.toldOfTheEnd(ctx, d.watching); over || retry != nil {
		return false, retry
	}
	a, p := d.attention, d.posting
	if a.Until.IsZero() {
		switch {
		case p.overtaken():
			d.posting.Tells = ""
		case p.later(d.want) && p.Parts == 0 && !p.Done: // perhaps that is over before it is told
			return false, retryIn(time.Second, "a later state is being told")
		}
		return a.Since.After(p.Over[a.Kind]), nil
	}
	shown := p.shown()
	ending := string(a.Kind) + overOf
	switch {
	case p.Call != nil && shown != ending:
		return false, retryIn(time.Second, "another state is being told")
	case p.Over[a.Kind].Before(a.Since):
		if p.Call != nil {
			return false, retryIn(time.Second, "another end is being told")
		}
		if p.Over = maps.Clone(p.Over); p.Over == nil {
			p.Over = make(map[watcher.AttentionKind]time.Time)
		}
		p.Over[a.Kind] = a.Since
		if retry := s.note(ctx, d, p); retry != nil {
			return false, retry
		}
	}
	switch {
	case shown == ending && !p.Done:
		d.state = p.Tells
	case p.shows(a.Kind) && rank(p.Tells) < perPoll*a.Polls:
		d.state = numbered(ending, rank(p.Tells)/perPoll*perPoll+perPoll-1)
	default:
		return false, nil
	}
	return true, nil
}

// shows reports whether the message that stands shows the condition; where its latest state was overtaken, it shows one
// before that, and nobody knows which.
func (p posting) shows(kind watcher.AttentionKind) bool {
	return p.Parts > 0 && p.shown() == string(kind) || p.TS != "" && p.overtaken()
}

// overtaken reports whether the latest state was announced, and over before it was told.
func (p posting) overtaken() bool {
	return p.Parts == 0 && p.Call == nil && !p.Over[watcher.AttentionKind(p.shown())].IsZero()
}

// shown returns which condition, or which end of one, the latest state is.
func (p posting) shown() string {
	kind, _, _ := strings.Cut(p.Tells, ".")
	return kind
}
