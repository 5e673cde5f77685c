package outbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// A posting is what all workers know of one message in one channel. It is noted before each call of
// Slack and after it: whoever finds a call without its result settles what became of it before it makes
// another.
type posting struct {
	TS         string `json:"ts,omitempty"`         // of the message; empty while none is known
	Tells      string `json:"told,omitempty"`       // the state that the parts tell
	Parts      int    `json:"parts,omitempty"`      // how many stand: the message, then each reply
	Done       bool   `json:"done,omitempty"`       // all stand, or Slack finally refused
	Silent     bool   `json:"silent,omitempty"`     // nothing was to be told
	Code       string `json:"code,omitempty"`       // why the channel finally refused it, and all later states; Slack's
	Moved      string `json:"moved,omitempty"`      // the channel that gets it instead
	Generation int    `json:"generation,omitempty"` // how often a message was posted in place of one that could not be edited
	Call       *call  `json:"call,omitempty"`       // announced, and without a result so far

	Quiet  bool      `json:"quiet,omitempty"`  // the message was posted while the watch went on, and nobody was woken
	Edited time.Time `json:"edited,omitzero"`  // when a message that goes on changing was told last
	Digest string    `json:"digest,omitempty"` // the key of the digest that tells of it
}

// A call is one that a worker makes, or made when it died.
type call struct {
	By     string    `json:"by"`              // that worker
	At     time.Time `json:"at"`              // when it was announced
	Since  time.Time `json:"since"`           // when the first call for the part was, of which nobody knows what became
	Absent time.Time `json:"absent,omitzero"` // when it was first looked for in the channel, and not found
}

// tells reports whether nothing is left to tell of the state, which takes so many parts. That is so, too, where a
// later state was announced: its message replaces the earlier one, and the worker that announced it posts it.
func (p posting) tells(state string, parts int) bool {
	return p.Tells == state && (p.Done || p.Parts >= parts) || p.Tells != "" && rank(p.Tells) > rank(state)
}

// told reports whether nothing is left to tell, in so many parts. Of a digest another state may have been
// announced and not told.
func (e *entry) told(parts int) bool {
	p := e.posting
	switch {
	case p.Code != "":
		return true
	case e.least != "":
		return p.Call == nil && p.Parts > 0 && rank(p.Tells) >= rank(e.least)
	}
	return p.tells(e.state, parts)
}

// overtaken says that a later state of a digest was announced: it is read again, with all that joined.
func (e *entry) overtaken() *watcher.RetryError {
	if e.least == "" || e.posting.Tells == "" || rank(e.posting.Tells) <= rank(e.state) {
		return nil
	}
	return &watcher.RetryError{After: time.Second, Err: errors.New("post to slack: another worker adds to the digest")}
}

// untouched reports whether nothing was posted or begun.
func (p posting) untouched() bool {
	return p.TS == "" && p.Call == nil && p.Digest == "" && p.Parts == 0
}

// rank orders the states of one
func rank(state string) int {
	if _, number, ok := strings.Cut(state, "."); ok {
		n, _ := strconv.Atoi(number) // this package's own
		return n
	}
	switch {
	case state == completed:
		return math.MaxInt
	case watcher.AttentionKind(state).Over():
		return 1
	}
	return 0
}

// numbered returns the n-th state of a message that goes on changing.
func numbered(kind string, n int) string { return kind + "." + strconv.Itoa(n) }

// An entry is one message on its way to one channel: its posting, and what this process knows beside it.
type entry struct {
	slack    *Outbox
	key      string // of the note
	state    string // what is to be told
	least    string // a state before it that is enough for the caller; empty: none
	quiet    bool   // it tells of a watch that goes on, and wakes nobody
	changes  bool   // it goes on changing: it is told no more often than every Timing.Change
	posting  posting
	revision watcher.Revision
	receipt  *receipt
}

// noteKey returns the key of what is noted of something in a channel.
func noteKey(kind, about, channel string) string {
	return kind + "." + foreign.Token(about) + "." + channel
}

// read takes the note as it is. A result that this process could not note is noted now.
func (e *entry) read(ctx context.Context) *watcher.RetryError {
	e.posting = posting{}
	revision, err := e.slack.readNote(ctx, e.key, &e.posting)
	if err != nil {
		return &watcher.RetryError{After: time.Second, Err: fmt.Errorf("read what was posted: %w", err)}
	}
	e.revision = revision
	unnoted := e.receipt.unnoted
	if unnoted == nil || !e.mine() {
		e.receipt.unnoted = nil
		return nil
	}
	e.posting = *unnoted
	return e.note(ctx)
}

// mine reports whether the call without a result is this process's.
func (e *entry) mine() bool { return e.posting.Call != nil && e.posting.Call.By == e.slack.id }

// edits reports whether the next call changes a message that stands.
func (e *entry) edits() bool {
	return e.part() == 0 && e.posting.TS != "" && e.posting.TS != e.receipt.anew
}

// part returns which part of what is to be told is next.
func (e *entry) part() int {
	if e.posting.Tells != e.state {
		return 0
	}
	return e.posting.Parts
}

// tooSoon returns how long it is to be left alone, where it goes on changing.
func (e *entry) tooSoon() *watcher.RetryError {
	every := e.slack.config.Timing.Change
	left := every - e.slack.config.Now().Sub(e.posting.Edited)
	if !e.changes || e.posting.Edited.IsZero() || left <= 0 {
		return nil
	}
	return &watcher.RetryError{After: min(left, every), Err: errors.New("post to slack: the message was changed just now")}
}

// announce notes that this worker is about to call, if no other worker was quicker.
func (e *entry) announce(ctx context.Context) *watcher.RetryError {
	now := e.slack.config.Now()
	if e.posting.Tells != e.state {
		e.posting.Tells, e.posting.Parts, e.posting.Done = e.state, 0, false
	}
	if e.part() == 0 && e.posting.TS != "" && !e.edits() {
		e.posting.TS, e.posting.Quiet = "", false
		e.posting.Generation++
	}
	since := now
	if c := e.posting.Call; c != nil && !c.Absent.IsZero() {
		since = c.Since
	}
	e.posting.Call = &call{By: e.slack.id, At: now, Since: since}
	e.receipt.unsure = false
	if retry := e.note(ctx); retry != nil {
		return retry
	}
	if e.slack.config.Now().Sub(now) > e.slack.config.Timing.Fresh {
		return &watcher.RetryError{After: time.Second, Err: errors.New("note what is posted: it took too long")}
	}
	return nil
}

// withdraw notes that the call was not made, or not accepted, so that others need not look for what
// became of it. Where that fails they do.
func (e *entry) withdraw(ctx context.Context) {
	if !e.mine() || e.receipt.unsure || e.receipt.doubtful {
		return
	}
	e.posting.Call = nil
	e.note(context.WithoutCancel(ctx))
}

// stands notes that the part at hand stands as the message with the ts; the message has so many parts.
func (e *entry) stands(ctx context.Context, ts string, parts int) *watcher.RetryError {
	if e.part() == 0 {
		e.posting.TS = ts
	}
	e.posting.Tells, e.posting.Parts = e.state, e.part()+1
	e.posting.Done = e.posting.Parts >= parts
	e.posting.Call = nil
	e.posting.Quiet = e.posting.Quiet || e.quiet
	if e.changes {
		e.posting.Edited = e.slack.config.Now()
	}
	return e.note(ctx)
}

// adopt notes that the message with the ts stands, which tells an earlier state.
func (e *entry) adopt(ctx context.Context, ts string) *watcher.RetryError {
	e.posting.Quiet = e.posting.Quiet || strings.HasPrefix(e.posting.Tells, running+".")
	e.posting.TS, e.posting.Parts, e.posting.Call = ts, 1, nil
	return e.note(ctx)
}

// end notes that nothing more is told of the state.
func (e *entry) end(ctx context.Context) *watcher.RetryError {
	e.posting.Tells, e.posting.Done, e.posting.Call = e.state, true, nil
	return e.note(ctx)
}

// refuse notes that the channel finally refused the message, and which one gets it instead, if any. To
// whoever does not know of that it is not told.
func (e *entry) refuse(ctx context.Context, code, moved string) *watcher.RetryError {
	e.posting.Code, e.posting.Moved, e.posting.Call = code, moved, nil
	return e.note(ctx)
}

// note writes the posting. What could not be written is kept for the next time, where it is a result.
func (e *entry) note(ctx context.Context) *watcher.RetryError {
	revision, err := e.slack.writeNote(ctx, e.key, e.posting, e.revision)
	e.receipt.unnoted = nil
	if err != nil {
		if e.posting.Call == nil {
			result := e.posting
			e.receipt.unnoted = &result
		}
		return &watcher.RetryError{After: time.Second, Err: fmt.Errorf("note what is posted: %w", err)}
	}
	e.revision = revision
	return nil
}
