package index

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// A Query asks a board for rows. The zero Query asks for all, what people should look at first, then the newest, and last
// the watches that have ended.
type Query struct {
	State     watcher.State         // Watching, which open watches are that are ending, too; or Ended; empty: both
	Outcome   watcher.Outcome       // of watches that have ended
	Condition watcher.AttentionKind // Overdue, Blind, Stalled, Late, DeadlineNear or AnyCondition; of open watches
	Region    string
	ProjectID string
	Team      string // one of the requests is the team's; a team may ask for its own alone
	Label     string // KEY=VALUE, of a request that the view shows
	Text      string // is contained in the order's name or the id of a request that the view shows, in any case of A to Z; or it is the watch's id
	ByAge     bool   // by the time at which the watches were accepted alone
	Oldest    bool   // the oldest first
	Cursor    string // an Answer's; empty: from the beginning
	Limit     int    // of rows; 1 at the least
}

// AnyCondition asks for all watches that have a condition.
const AnyCondition watcher.AttentionKind = "any"

// A Shown is a row as a board shows it. Seconds are the smallest unit of its times.
type Shown struct {
	Row
	Outcome    watcher.Outcome // of a watch that has ended, or is ending
	Actions    string          // of the items, with commas between them; the cloud's, untrusted
	Counts     watcher.Counts
	Expected   int // items that the order must have before it has ended; 0 where no request says
	Accepted   time.Time
	Deadline   time.Time     // the first of the requests'
	LastPollAt time.Time     // by the record
	Ended      time.Time     // when the watch did; zero while it is open
	Took       time.Duration // how long ModelArts worked on an order that has ended, in seconds; 0: not known
	Cancelled  time.Time     // when somebody wanted it cancelled
	Condition  watcher.AttentionKind
	Since      time.Time        // of the condition
	Code       string           // of the latest error, the API's; empty where the latest poll was answered
	Held       watcher.HoldKind // why the account may not be asked; empty where it may
	Labels     []string         // KEY=VALUE, of requests that the view shows; their senders', untrusted
	ETA        *history.Estimate
	Usual      *history.Usual // how long orders with the same actions take; of an open watch
	UsualSince time.Time      // since when the order's own time counts beside that
}

// A Strip sums up all watches that a view shows, whatever the query.
type Strip struct {
	Open     int                           // watches, with those that are ending
	Ended    map[watcher.Outcome]int       // within 24 hours
	With     map[watcher.AttentionKind]int // open watches, by their most important condition
	Held     []watcher.Hold                // that keep one of these watches waiting, longest first; without witness and channels
	Regions  []string                      // of these watches
	Projects []string
	Broken   int // records that cannot be read, to the operator's view alone
}

// An Answer is a page of rows.
type Answer struct {
	Rows   []Shown
	Cursor string // of the next page; empty: there is none
	Strip  Strip
	Status Status
}

// Query returns a page of rows, as the view shows them. The error is a *[watcher.FieldError] for a cursor that no answer had.
// Between two pages rows may have moved: what is after the cursor's place then is on the next.
func (b *Board) Query(q Query, view teams.View) (Answer, error) {
	after, err := readPlace(q.Cursor)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Status: b.Status(), Rows: []Shown{}}
	f, s, x := b.latest(), b.selection(q, view), b.index
	answer.Strip = f.strip(x, s)
	x.mu.RLock()
	defer x.mu.RUnlock()
	var last place
	for group, r := range f.walk(s, after) {
		if !s.wants(r, group) {
			continue
		}
		if len(answer.Rows) >= max(q.Limit, 1) {
			answer.Cursor = last.String()
			break
		}
		answer.Rows, last = append(answer.Rows, s.show(x, r)), placeOf(r, group)
	}
	return answer, nil
}

// Find returns the row of the order's watch, and whether the board has one that the view shows.
func (b *Board) Find(order watcher.Order, view teams.View) (Shown, bool) {
	s, x := b.selection(Query{}, view), b.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := x.rows[order]
	if r == nil {
		r = x.old[order] // it is not read again yet
	}
	if r == nil || !s.seen(r) {
		return Shown{}, false
	}
	return s.show(x, r), true
}

// FindWatch returns the order of the watch with the id, and whether the board has one that the view shows.
func (b *Board) FindWatch(id string, view teams.View) (watcher.Order, bool) {
	f, s, x := b.latest(), b.selection(Query{}, view), b.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	i, ok := slices.BinarySearchFunc(f.rows, id, byRow)
	if !ok || !s.seen(f.rows[i]) {
		return watcher.Order{}, false
	}
	return f.rows[i].order, true
}

// A place is where a row is in the order of rows.
type place struct {
	group int   // of rows that belong together, first those that people should look at
	at    stamp // of watches that have ended: when
	id    string
}

// placeOf returns the place of a row in the group.
func placeOf(r *row, group int) place {
	if group == ended {
		return place{group, r.extra.ended, r.id}
	}
	return place{group: group, id: r.id}
}

// String returns the cursor of the rows after the place.
func (p place) String() string { return fmt.Sprintf("%d.%d.%s", p.group, p.at, p.id) }

// readPlace reads a cursor; the empty one is the zero place.
func readPlace(cursor string) (p place, err error) {
	if cursor == "" {
		return place{}, nil
	}
	parts := strings.SplitN(cursor, ".", 3)
	if len(parts) == 3 {
		group, groupErr := strconv.Atoi(parts[0])
		at, atErr := strconv.ParseUint(parts[1], 10, 32)
		p, err = place{group, stamp(at), parts[2]}, cmp.Or(groupErr, atErr)
	}
	if err != nil || p.id == "" {
		return place{}, &watcher.FieldError{Field: "cursor", Reason: "is none of an answer"}
	}
	return p, nil
}

// A selection is what a query wants at one time.
type selection struct {
	Query
	wish
	policy watcher.Policy
	now    time.Time
	oldest stamp
	slack  time.Duration
	text   string
	holds  []watcher.Hold
}

// selection returns what the query wants now; of a board that is not up to date, as of then.
func (b *Board) selection(q Query, view teams.View) *selection {
	s, now := b.index.store, b.index.store.Clock.Now()
	if status := b.Status(); status.Ready && !status.Connected {
		now = status.AsOf // otherwise watches would look as if nobody polled them
	}
	sel := &selection{
		Query: q, wish: wishOf(wire.ListQuery{State: q.State, ProjectID: q.ProjectID, Team: q.Team, Label: q.Label}, view),
		policy: b.policy, now: now, oldest: stampOf(now.Add(-aDay)), slack: s.Timing.PatrolSlack, text: foldASCII(q.Text),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.holds {
		if sel.now.Sub(h.Since) >= s.Timing.Unreachable {
			h.Witness, h.ToldTo, h.ToldIn = nil, nil, nil
			sel.holds = append(sel.holds, h)
		}
	}
	slices.SortFunc(sel.holds, func(a, b watcher.Hold) int { return a.Since.Compare(b.Since) })
	return sel
}

// hold returns the hold that keeps the watch waiting; -1 for none.
func (s *selection) hold(r *row) int {
	return slices.IndexFunc(s.holds, func(h watcher.Hold) bool {
		return r.state == watcher.Watching && r.region == h.Region && (h.ProjectID == "" || h.ProjectID == r.order.ProjectID)
	})
}

// condition returns the row's condition now.
func (s *selection) condition(r *row) (watcher.AttentionKind, time.Time) {
	var hold watcher.Hold
	if i := s.hold(r); i >= 0 {
		hold = s.holds[i]
	}
	return r.condition(s.now, s.slack, hold)
}

// seen reports whether the row is there, and the view shows it.
func (s *selection) seen(r *row) bool {
	return !r.gone && (r.state != watcher.Ended || r.extra.ended >= s.oldest) && (s.view.Project(r.order.ProjectID) || r.has(s.viewer))
}

// wants reports whether the row, which is in the group, is one that the query asks for. Where all are asked for by age, no
// group is known.
func (s *selection) wants(r *row, group int) bool {
	if !s.seen(r) || s.Team != "" && !s.view.All() && s.Team != s.view.Team() { // nor which others share a watch
		return false
	}
	if wanted, _ := s.wish.wants(r); !wanted || s.Region != "" && r.region != s.Region {
		return false
	}
	if s.Outcome != "" && (r.state != watcher.Ended || r.extra.words.Value().outcome != s.Outcome) {
		return false
	}
	if s.Condition != "" {
		kind := conditionOf(group)
		if s.ByAge {
			kind, _ = s.condition(r)
		}
		if kind == "" || s.Condition != kind && s.Condition != AnyCondition {
			return false
		}
	}
	return s.text == "" || s.mentions(r)
}

// mentions reports whether the row has the text.
func (s *selection) mentions(r *row) bool {
	if r.id == s.Text || containsFold(r.order.Name, s.text) {
		return true
	}
	if !containsFold(r.extra.ids, s.text) { // with the teams that are among them
		return false
	}
	for request := range strings.SplitSeq(r.extra.ids, "\n") {
		team, id, _ := strings.Cut(request, "\x00")
		if (s.view.All() || team == s.view.Team()) && containsFold(id, s.text) {
			return true
		}
	}
	return false
}

// foldASCII returns the text with its ASCII letters in lower case.
func foldASCII(text string) string {
	folded := []byte(text)
	for i, c := range folded {
		folded[i] = lower(c)
	}
	return string(folded)
}

// lower returns the byte in lower case, if it is an ASCII letter.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// containsFold reports whether the text contains the word, which is not empty and in which ASCII letters are in lower case.
func containsFold(text, word string) bool {
	first := word[0]
	for i := range len(text) - len(word) + 1 {
		if lower(text[i]) != first {
			continue
		}
		n := 1
		for n < len(word) && lower(text[i+n]) == word[n] {
			n++
		}
		if n == len(word) {
			return true
		}
	}
	return false
}

// show returns the row as the view shows it.
func (s *selection) show(x *Index, r *row) Shown {
	e, said := r.extra, r.extra.words.Value()
	shown := Shown{
		Row: x.show(r), Outcome: said.outcome, Actions: said.actions, Expected: int(e.expected),
		Counts:   watcher.Counts{Total: int(e.total), Succeeded: int(e.succeeded), Failed: int(e.failed), Processing: int(e.processing)},
		Accepted: e.accepted.time(), Deadline: e.deadline.time(), LastPollAt: e.polled.time(), Ended: e.ended.time(), Cancelled: e.wished.time(),
		Took: time.Duration(e.took) * time.Second,
		Code: said.code, Held: said.held,
	}
	shown.Condition, shown.Since = s.condition(r)
	shown.ETA, shown.Usual, shown.UsualSince = e.eta(s.policy.Sketches, s.now)
	for _, m := range r.marks {
		team, label, ofTeam := strings.Cut(m.Value(), "\x00")
		if s.view.All() && !ofTeam {
			shown.Labels = append(shown.Labels, team) // no team: the label itself
		} else if !s.view.All() && team == s.view.Team() && label != "" {
			shown.Labels = append(shown.Labels, label)
		}
	}
	slices.Sort(shown.Labels)
	return shown
}
