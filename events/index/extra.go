package index

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// A stamp is a time in seconds since 1970; 0 is none.
type stamp uint32

func stampOf(at time.Time) stamp {
	if at.IsZero() {
		return 0
	}
	return stamp(max(at.Unix(), 1))
}

// time returns the stamp's time; the zero time for none.
func (s stamp) time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// Bounds of an extra.
const (
	mostClocks     = 3       // as many as package history has ways to measure an order
	mostConditions = 4       // as many kinds as a watch may have at a time
	mostIDBytes    = 4 << 10 // of the ids of a watch's requests; those beyond it are not found by their text
)

// An extra is what a board keeps of a record beside what workers need.
type extra struct {
	words      unique.Handle[words]
	clocks     [mostClocks]*history.Key // of an open watch: by what it is measured how long its order still takes
	began      [mostClocks]stamp
	since      [mostConditions]stamp // of conditions, as orderOfConditions has them
	from       [mostConditions]stamp // from when on they are shown
	accepted   stamp
	deadline   stamp
	polled     stamp  // by the record
	ended      stamp  // when the watch did; 0 while it is open
	wished     stamp  // when somebody wanted it cancelled
	took       uint32 // seconds that ModelArts worked on an order that has ended, at least one; 0: not known
	total      uint32
	succeeded  uint32
	failed     uint32
	processing uint32
	expected   uint32
	ids        string // of the requests: a line break, the team, a zero byte, the id; and so on
}

// words are the texts of a row that many rows share.
type words struct {
	outcome watcher.Outcome
	actions string // of its items, with commas between them
	code    string
	held    watcher.HoldKind
}

// orderOfConditions are the conditions that a record says, the most important first.
var orderOfConditions = [mostConditions]watcher.AttentionKind{watcher.Blind, watcher.Stalled, watcher.Late, watcher.DeadlineNear}

// addExtra adds what a board keeps to the row of a record; it returns false where a board keeps nothing of it.
func (x *Index) addExtra(kept *row, r store.Record) bool {
	if errors.Is(r.Err, watcher.ErrNewerSchema) || r.State == watcher.Ended && r.Completion == nil || kept.aside {
		return false
	}
	w := &r.Watch
	e := &extra{
		accepted: stampOf(w.AcceptedAt), deadline: stampOf(w.NextDeadline()), polled: stampOf(w.LastPollAt),
		expected: uint32(w.ExpectedItems), ids: idsOf(w),
	}
	counts, said := w.Counts, words{actions: actionsOf(w)}
	if w.Completion != nil {
		counts = w.Completion.Counts
		said.outcome = w.Completion.Outcome
	}
	if w.State == watcher.Ended {
		if e.ended = stampOf(w.Completion.CompletedAt); e.ended < x.oldest() {
			return false
		}
		if took, ok := w.Completion.Took(); ok {
			e.took = uint32(max(took.Round(time.Second), time.Second) / time.Second)
		}
	}
	failure := w.LastError
	if w.Completion != nil {
		failure = cmp.Or(w.Completion.Error, failure)
	}
	if failure != nil {
		said.code, said.held = strings.Clone(failure.Code), watcher.HoldKind(strings.Clone(string(failure.Held)))
	}
	if w.Wish != nil {
		e.wished = stampOf(w.Wish.At)
	}
	e.total, e.succeeded, e.failed, e.processing = uint32(counts.Total), uint32(counts.Succeeded), uint32(counts.Failed), uint32(counts.Processing)
	e.words = unique.Make(said)
	x.board.policy.Conditions(*w, func(kind watcher.AttentionKind, since, from time.Time) {
		if i := slices.Index(orderOfConditions[:], kind); i >= 0 {
			e.since[i], e.from[i] = stampOf(since), stampOf(from)
		}
	})
	for i, c := range w.Clocks() {
		if i < mostClocks {
			e.clocks[i], e.began[i] = x.board.key(c.Key), stampOf(c.Since)
		}
	}
	kept.extra = e
	return true
}

// actionsOf returns the actions of the watch's items, each once, with commas between them.
func actionsOf(w *watcher.Watch) string {
	var all []string
	add := func(action string) {
		if action != "" && !slices.Contains(all, action) && len(all) < 12 {
			all = append(all, action)
		}
	}
	for i := range w.Items {
		add(w.Items[i].Action)
	}
	if w.Completion != nil {
		for _, a := range w.Completion.ByAction() {
			add(a.Action)
		}
	}
	slices.Sort(all)
	return strings.Clone(strings.Join(all, ", "))
}

// idsOf returns the ids of the watch's requests, and whose they are.
func idsOf(w *watcher.Watch) string {
	var b strings.Builder
	for _, r := range requestsOf(w) {
		if b.Len()+len(r.Team)+len(r.ID) > mostIDBytes {
			break
		}
		b.WriteByte('\n')
		b.WriteString(r.Team)
		b.WriteByte(0)
		b.WriteString(r.ID)
	}
	return b.String()
}

// condition returns what people should know of the open watch now, and since when; empty where that is nothing. hold keeps
// it waiting, if it stands.
func (r *row) condition(now time.Time, slack time.Duration, hold watcher.Hold) (kind watcher.AttentionKind, since time.Time) {
	if r.state == watcher.Ended {
		return "", time.Time{}
	}
	stored, next := time.Unix(0, r.stored), time.Unix(0, r.next)
	waited := now.Sub(stored)
	if r.state == watcher.Ending {
		if waited > slack {
			return watcher.Overdue, stored
		}
		return "", time.Time{}
	}
	if waited > Longest && now.Sub(next) > max(0, next.Sub(stored))+slack {
		return watcher.Overdue, next
	}
	if hold.Stands() {
		return watcher.Blind, hold.Since
	}
	at := stampOf(now)
	for i, from := range r.extra.from {
		if from != 0 && from <= at {
			return orderOfConditions[i], r.extra.since[i].time()
		}
	}
	return "", time.Time{}
}

// eta returns when the order of the watch is likely to be ready, and how long orders of its kind take, measured since when; nil where
// that is not known.
func (e *extra) eta(sketches history.Sketches, now time.Time) (eta *history.Estimate, usual *history.Usual, since time.Time) {
	if sketches == nil || e.clocks[0] == nil {
		return nil, nil, since
	}
	var clocks []history.Clock
	for i, key := range e.clocks {
		if key == nil {
			break
		}
		clocks = append(clocks, history.Clock{Key: *key, Since: e.began[i].time()})
		if s := sketches(*key); usual == nil && key.OfKind() && s != nil {
			if u, ok := s.Usual(); ok {
				usual, since = &u, e.began[i].time()
			}
		}
	}
	estimate := history.EstimateBy(clocks, sketches, now)
	return &estimate, usual, since
}
