package events

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A losses is what a worker knows of streams that were made anew or emptied. Only its owner uses it.
type losses struct {
	mine      *ledger            // as this worker saw all last; nil before the first look
	suspected []string           // what the last look found lost: the next one confirms it
	untold    *watcher.Attention // found, and not told yet
	looks     atomic.Int64       // how often all was looked at; for everybody
}

// A lostPart is one stream that was lost.
type lostPart struct {
	what   string    // as in an [watcher.Attention]
	since  time.Time // what it held before is lost
	reason string    // for people, given the moment
}

// confirmed reports whether the look before found the same: a server that begins to lead may be behind, and streams
// that are made anew one after another are told of together. Without a ledger nothing could confirm it.
func (l *losses) confirmed(known *ledger, lost []lostPart) bool {
	before := l.suspected
	l.suspected = nil
	for _, p := range lost {
		l.suspected = append(l.suspected, p.what)
	}
	return known == nil || slices.Equal(before, l.suspected)
}

// lookForLoss looks whether the store was lost, and tells people. What was not told is told at the next call. A new
// ledger is begun after that, and says so: another worker that finds the loss then tells nobody.
func (w *Worker) lookForLoss(ctx context.Context) error {
	now := w.store.Clock.Now().UTC().Truncate(time.Millisecond)
	look, err := lookAt(ctx, w.store, now)
	if err != nil {
		return err
	}
	l := &w.losses
	defer l.looks.Add(1)
	known, toldByOther := look.known(l.mine)
	lost := look.lost(known, l.mine != nil)
	if !l.confirmed(known, lost) {
		return nil
	}
	if (len(lost) > 0 || toldByOther) && l.untold == nil { // otherwise it is the one that this worker has found
		w.metrics.lost.Inc()
	}
	if len(lost) > 0 && l.untold == nil {
		a := w.lossOf(lost, now)
		w.log.Error("NATS lost what was stored: "+a.Reason, "lost", a.Lost, "since", a.Since)
		l.untold = &a
	}
	next := look.next(known, lost)
	if l.untold != nil {
		if err := w.store.TellLoss(ctx, *l.untold, now); err != nil {
			return fmt.Errorf("tell that the store was lost: %w", err)
		}
	}
	if known == nil && len(lost) == 0 {
		w.log.Info("nothing is known of what was watched before: this is a first installation, or everything in NATS was lost")
	}
	if err := keepLedger(ctx, w.store, look, next); err != nil {
		return fmt.Errorf("keep how the streams are: %w", err)
	}
	l.untold, l.mine = nil, &next
	return nil
}

// lossOf returns what people are told of what was lost.
func (w *Worker) lossOf(lost []lostPart, now time.Time) watcher.Attention {
	a := watcher.Attention{Kind: watcher.Lost, Region: w.intake.Policy.DefaultRegion}
	var reasons []string
	for _, p := range lost {
		since := p.since.UTC().Truncate(time.Millisecond)
		if a.Since.IsZero() || since.Before(a.Since) {
			a.Since = since
		}
		a.Lost = append(a.Lost, p.what)
		if p.what == watcher.LostNotes && a.Lost[0] == watcher.LostWatches {
			continue // it hardly matters beside that
		}
		reasons = append(reasons, fmt.Sprintf(p.reason, moment(since, now)))
	}
	a.Until, a.Reason = a.Since, strings.Join(reasons, "; ")
	return a
}

// moment says when something was, with the day where that is not today's.
func moment(at, now time.Time) string {
	if at.YearDay() != now.YearDay() || at.Year() != now.Year() {
		return at.Format("2006-01-02 15:04 UTC")
	}
	return at.Format("15:04 UTC")
}
