package index

import (
	"cmp"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
)

// groups are the conditions in the order of their rows. Rows without a condition come after them, and then those that ended.
var groups = [...]watcher.AttentionKind{watcher.Overdue, watcher.Blind, watcher.Stalled, watcher.Late, watcher.DeadlineNear}

const (
	calm  = len(groups) // the group of open watches without a condition
	ended = calm + 1    // the group of watches that have ended
)

// groupOf returns the group of an open watch with the condition.
func groupOf(kind watcher.AttentionKind) int {
	if i := slices.Index(groups[:], kind); i >= 0 {
		return i
	}
	return calm
}

// conditionOf returns the condition of the group; empty for the last two.
func conditionOf(group int) watcher.AttentionKind {
	if group < 0 || group >= len(groups) {
		return ""
	}
	return groups[group]
}

// A frame has the board's rows in their order at one time, since many ask at once.
type frame struct {
	made    time.Time // by this machine's clock
	cost    time.Duration
	changes uint64 // of the board until then
	rows    []*row // by the ids of their watches
	groups  [ended + 1][]*row

	mu     sync.Mutex
	strips map[string]Strip // by team
}

// Bounds of a frame's age.
const (
	framePart = 20              // of the time goes into frames at the most, one part
	frameOld  = time.Second     // conditions come about as time passes
	frameMost = 2 * time.Second // however long it took
)

// latest returns a frame of what the board has, made anew where that is due. While all is read anew it is the one of before.
func (b *Board) latest() *frame {
	b.mu.Lock()
	b.isAsked()
	changes := b.changes
	b.mu.Unlock()
	b.framing.Lock()
	defer b.framing.Unlock()
	if f := b.frame; f != nil {
		age := time.Since(f.made)
		if age < min(framePart*f.spent(), frameMost) || changes == f.changes && age < frameOld {
			return f
		}
	}
	b.renew(changes)
	return b.frame
}

// keepFrame makes the frame that is shown while all is read anew: rows that nobody asked for lately would be as they were then.
func (b *Board) keepFrame() {
	b.framing.Lock()
	defer b.framing.Unlock()
	b.renew(0)
}

// renew makes the frame anew, but while all is read anew. The caller holds framing.
func (b *Board) renew(changes uint64) {
	s, x := b.selection(Query{}, teams.View{}), b.index
	x.mu.Lock() // it puts rows in order
	defer x.mu.Unlock()
	if x.old == nil || b.frame == nil {
		b.frame = b.frame.next(x, s, changes)
	}
}

// spent returns how long it took to make the frame and its strips.
func (f *frame) spent() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cost
}

// next returns the frame of now; before is nil for the first. The caller holds the index's mu.
func (before *frame) next(x *Index, s *selection, changes uint64) *frame {
	f := &frame{made: time.Now(), changes: changes, strips: make(map[string]Strip)}
	if before != nil {
		for group, rows := range before.groups {
			f.groups[group] = make([]*row, 0, len(rows)+len(rows)/100)
		}
	}
	x.sorted.order()
	f.rows = make([]*row, 0, len(x.sorted.rows))
	for _, r := range x.sorted.rows {
		if !s.seen(r) {
			continue
		}
		group := ended
		if r.state != watcher.Ended {
			kind, _ := s.condition(r)
			group = groupOf(kind)
		}
		f.rows, f.groups[group] = append(f.rows, r), append(f.groups[group], r)
	}
	slices.SortFunc(f.groups[ended], func(a, b *row) int { return cmp.Or(cmp.Compare(a.extra.ended, b.extra.ended), cmp.Compare(a.id, b.id)) })
	f.cost = time.Since(f.made)
	return f
}

// walk yields the rows after the place, and their groups, in the order that is asked for; of the zero place all.
func (f *frame) walk(s *selection, after place) iter.Seq2[int, *row] {
	return func(yield func(int, *row) bool) {
		if s.ByAge {
			walkGroup(f.rows, 0, s.Oldest, after, yield)
			return
		}
		for group, rows := range f.groups {
			if group >= after.group && !walkGroup(rows, group, s.Oldest, after, yield) {
				return
			}
		}
	}
}

// walkGroup yields rows that are oldest first. It returns false where yield had enough.
func walkGroup(rows []*row, group int, oldest bool, after place, yield func(int, *row) bool) bool {
	from, to := 0, len(rows)
	if after.id != "" && after.group == group {
		i, found := slices.BinarySearchFunc(rows, after, func(r *row, p place) int {
			own := placeOf(r, group)
			return cmp.Or(cmp.Compare(own.at, p.at), cmp.Compare(own.id, p.id))
		})
		to = i
		if from = i; found {
			from = i + 1
		}
		if oldest {
			to = len(rows)
		} else {
			from = 0
		}
	}
	for i := range to - from {
		r := rows[from+i]
		if !oldest {
			r = rows[to-1-i]
		}
		if !yield(group, r) {
			return false
		}
	}
	return true
}

// strip sums up what the selection's view shows.
func (f *frame) strip(x *Index, s *selection) Strip {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum, ok := f.strips[s.view.Team()]
	if !ok {
		began := time.Now()
		sum = f.newStrip(x, s)
		f.strips[s.view.Team()] = sum
		f.cost += time.Since(began)
	}
	sum.Ended, sum.With = maps.Clone(sum.Ended), maps.Clone(sum.With)
	sum.Held, sum.Regions, sum.Projects = slices.Clone(sum.Held), slices.Clone(sum.Regions), slices.Clone(sum.Projects)
	return sum
}

func (f *frame) newStrip(x *Index, s *selection) Strip {
	x.mu.RLock()
	defer x.mu.RUnlock()
	sum := Strip{Ended: make(map[watcher.Outcome]int), With: make(map[watcher.AttentionKind]int)}
	type place struct{ region, project string }
	places := make(map[place]bool) // whether there are open watches
	for group, rows := range f.groups {
		n := 0
		for _, r := range rows {
			if !s.seen(r) {
				continue
			}
			n++
			if at := (place{r.region, r.order.ProjectID}); group != ended {
				places[at] = true
			} else if !places[at] {
				places[at] = false
			}
			if group == ended {
				sum.Ended[r.extra.words.Value().outcome]++
			}
		}
		if group != ended {
			sum.Open += n
		}
		if kind := conditionOf(group); kind != "" && n > 0 {
			sum.With[kind] = n
		}
	}
	for at := range places {
		sum.Regions, sum.Projects = append(sum.Regions, at.region), append(sum.Projects, at.project)
	}
	for _, names := range []*[]string{&sum.Regions, &sum.Projects} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	for _, h := range s.holds {
		keeps := false
		for at, open := range places {
			keeps = keeps || open && at.region == h.Region && (h.ProjectID == "" || h.ProjectID == at.project)
		}
		if keeps {
			sum.Held = append(sum.Held, h)
		}
	}
	if s.view.All() {
		for _, o := range x.odd {
			if !errors.Is(o.Err, watcher.ErrNoRecord) {
				sum.Broken++
			}
		}
	}
	return sum
}
