package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// How long a worker may take for a message that it has announced in the notes: a call begins only
// within intentFresh of that, and others take the worker for dead after intentStale, which is
// longer than that and a call's timeout.
const (
	intentFresh = 5 * time.Second
	intentStale = 30 * time.Second
)

// An outageNote is what all workers know of the message about one outage in one channel.
type outageNote struct {
	Told watcher.AttentionKind `json:"told,omitempty"` // what the channel was told; empty: nothing
	TS   string                `json:"ts,omitempty"`   // of the message; empty where nobody knows it

	// What a worker is telling, or was when it died; empty: nothing.
	Telling watcher.AttentionKind `json:"telling,omitempty"`
	By      string                `json:"by,omitempty"` // that worker
	At      time.Time             `json:"at,omitzero"`  // when it began
}

// told reports whether nothing is left to tell of this kind.
func (n outageNote) told(kind watcher.AttentionKind) bool {
	return n.Told == kind || n.Told.Over()
}

// An outage is the message about one on its way to one channel.
type outage struct {
	slack    *Slack
	kind     watcher.AttentionKind
	key      string // of the note
	note     outageNote
	revision watcher.Revision
	intent   bool // this worker has announced the message
}

// Attend posts one message for all events of an outage, whichever worker they come to, and edits it
// when the outage is over. Where it cannot be edited another is posted. A worker that dies between
// the post and the note leads to one more. It takes at most 40 s. Every error is a
// *[watcher.RetryError].
func (s *Slack) Attend(ctx context.Context, a watcher.Attention) error {
	if retry := s.attend(ctx, a); retry != nil {
		return retry
	}
	return nil
}

func (s *Slack) attend(ctx context.Context, a watcher.Attention) *watcher.RetryError {
	stop := s.config.Now().Add(passLimit)
	p := place{a.Outage() + " " + string(a.Kind), s.channels(nil)[0]}
	r, ok := s.receipts.claim(p)
	if !ok {
		return &watcher.RetryError{After: time.Second, Err: errors.New("post to slack: the same notice is being posted")}
	}
	defer s.receipts.release(r)
	n := outage{slack: s, kind: a.Kind, key: outageKey(a.Outage(), p.channel)}
	if retry := n.read(ctx); retry != nil {
		return retry
	}
	if n.note.told(a.Kind) {
		return nil
	}
	if retry := n.mayTell(r); retry != nil && !r.done {
		return retry
	}
	log := s.log.With("outage", a.Outage(), "channel", p.channel)
	d := delivery{
		message: Announce(a, s.options()), edits: n.note.TS, place: p, receipt: r, lane: s.lane(p.channel),
		told: happened(a), log: log, begin: n.announce,
		whole: func(ctx context.Context, m Message) { writeNotice(ctx, log, a, m) },
	}
	if retry := s.post(ctx, d, stop); retry != nil {
		if n.intent && !r.ambiguous {
			n.withdraw(ctx)
		}
		return retry
	}
	return n.settle(ctx, cmp.Or(r.ts, n.note.TS))
}

// happened returns when what the attention tells of happened.
func happened(a watcher.Attention) time.Time {
	if a.Over() {
		return a.Until
	}
	return a.Since
}

// outageKey returns the key of the note for the outage in the channel.
func outageKey(outage, channel string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, outage)
	return "outage." + cmp.Or(plain, "_") + "." + channel
}

// read takes the note as it is.
func (n *outage) read(ctx context.Context) *watcher.RetryError {
	text, revision, err := n.slack.config.Notes.Note(ctx, n.key)
	if err == nil && text != nil {
		err = json.Unmarshal(text, &n.note)
	}
	if err != nil {
		return &watcher.RetryError{After: time.Second, Err: fmt.Errorf("read what was posted: %w", err)}
	}
	n.revision = revision
	return nil
}

// mayTell returns an error while another worker may be telling. One that took too long is taken
// for dead; then what it posted may be doubled.
func (n *outage) mayTell(r *receipt) *watcher.RetryError {
	if n.note.Telling == "" || n.note.By == n.slack.id && n.note.Telling == n.kind {
		return nil
	}
	if left := intentStale - n.slack.config.Now().Sub(n.note.At); left > 0 {
		return &watcher.RetryError{After: min(left, intentStale), Err: errors.New("post to slack: another worker is about to")}
	}
	r.ambiguous = r.ambiguous || n.note.Telling == n.kind
	return nil
}

// announce notes that this worker is going to tell, if no other worker was quicker.
func (n *outage) announce(ctx context.Context) *watcher.RetryError {
	now := n.slack.config.Now()
	n.note.Telling, n.note.By, n.note.At = n.kind, n.slack.id, now
	if retry := n.write(ctx); retry != nil {
		return retry
	}
	n.intent = true
	if n.slack.config.Now().Sub(now) > intentFresh {
		return &watcher.RetryError{After: time.Second, Err: errors.New("note what is posted: it took too long")}
	}
	return nil
}

// withdraw notes that this worker did not tell, so that others need not wait for it. Where that
// fails they do.
func (n *outage) withdraw(ctx context.Context) {
	n.note.Telling, n.note.By, n.note.At = "", "", time.Time{}
	n.write(ctx)
}

// settle notes that the channel was told.
func (n *outage) settle(ctx context.Context, ts string) *watcher.RetryError {
	n.note = outageNote{Told: n.kind, TS: ts}
	return n.write(ctx)
}

func (n *outage) write(ctx context.Context) *watcher.RetryError {
	text, err := json.Marshal(n.note)
	if err == nil {
		n.revision, err = n.slack.config.Notes.SetNote(ctx, n.key, text, n.revision)
	}
	if err != nil {
		return &watcher.RetryError{After: time.Second, Err: fmt.Errorf("note what is posted: %w", err)}
	}
	return nil
}
