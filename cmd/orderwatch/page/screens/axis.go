package screens

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Bounds of what is drawn, and of the table that says the same.
const (
	maxBars  = 50
	maxRows  = 200
	maxLabel = 28 // of a bar, in columns: more would not fit beside its end on a telephone
)

// Sizes of the drawing in pixels. Across it has no size: places are in hundredths of its width.
const (
	axisTop   = 20
	rowHeight = 26
)

// An Axis is the time of an order, drawn with a bar for each item.
type Axis struct {
	Words    string // what is drawn, in a sentence
	Height   int
	Bottom   int // of the lines
	Depth    int // of the range
	Ticks    []Tick
	Bars     []AxisBar
	Range    *Stretch // when it is likely to be ready; nil: not known, or not on the axis
	Deadline *Mark    // nil: not on the axis
	Now      *Mark    // nil: the watch has ended
	Legend   []string
	More     string // of items that have no bar; empty: all have
}

// A Tick is a time on the axis.
type Tick struct {
	Mark
	Anchor string // start, middle or end
	Text   string
}

// A Mark is a place on the axis, in hundredths.
type Mark struct{ X float64 }

// A Stretch is a part of the axis, in hundredths.
type Stretch struct{ X, W float64 }

// An AxisBar is an item's.
type AxisBar struct {
	Y, TextY, BarY int
	Stretch
	Timed bool   // the item's beginning is known; otherwise it has no bar
	Class string // ok, bad, warn or open
	Label string
	End   string // its status and how long it took
	Title string
}

// An ItemRow is an item in the table.
type ItemRow struct {
	Name, Action, Status, Class, Note string
	Began, Changed                    Moment
	Took                              string
}

// span is the time that an axis shows.
type span struct{ from, to time.Time }

// x returns where a time is, in hundredths with one digit after the point.
func (s span) x(t time.Time) float64 {
	all := s.to.Sub(s.from)
	if all <= 0 {
		return 0
	}
	share := float64(t.Sub(s.from)) / float64(all)
	return float64(int(min(max(share, 0), 1)*1000+.5)) / 10
}

func (s span) has(t time.Time) bool { return !t.IsZero() && !t.Before(s.from) && !t.After(s.to) }

// end returns until when the order is shown: when its watch ended, or of when the screen is.
func (v OrderView) end() time.Time {
	if v.ended() {
		return v.Snapshot.CompletedAt
	}
	return v.AsOf
}

// itemTimes returns when the item's bar begins, zero where that is not known, and ends.
func (v OrderView) itemTimes(it watcher.Item) (began, end time.Time) {
	began, updated := it.Times(v.Snapshot.AcceptedAt, v.end())
	switch {
	case it.Status.Ended() && !updated.IsZero():
		return began, updated
	case it.Status.Ended():
		return time.Time{}, time.Time{}
	case it.Missing():
		return began, it.MissingSince
	}
	return began, v.end()
}

// span returns the time that the axis shows: from the request or the first item to now, or to when the order is likely to be
// ready, and to the deadline where that leaves most of the axis to the items.
func (v OrderView) span() span {
	w := v.Snapshot
	s := span{w.AcceptedAt, v.end()}
	for _, it := range w.Items {
		began, end := v.itemTimes(it)
		if !began.IsZero() && (s.from.IsZero() || began.Before(s.from)) {
			s.from = began
		}
		if end.After(s.to) {
			s.to = end
		}
	}
	if v.LikelyKnown() && w.ETA.To.After(s.to) && w.ETA.To.Sub(s.from) < 4*s.to.Sub(s.from) {
		s.to = w.ETA.To
	}
	if !v.ended() && w.Deadline.After(s.to) && w.Deadline.Sub(s.from)*2 < s.to.Sub(s.from)*3 {
		s.to = w.Deadline
	}
	return s
}

// Axis returns the drawing.
func (v OrderView) Axis() Axis {
	s, items := v.span(), slices.SortedStableFunc(slices.Values(v.Snapshot.Items), watcher.Item.ByUrgency)
	shown := items[:min(len(items), maxBars)]
	a := Axis{Height: axisTop + rowHeight*len(shown) + 4, Bottom: axisTop + rowHeight*len(shown) + 2, Depth: rowHeight*len(shown) + 4, More: v.hidden(shown)}
	for i, it := range shown {
		a.Bars = append(a.Bars, v.bar(s, it, i))
	}
	for i, anchor := range []string{"start", "middle", "end"} {
		at := s.from.Add(s.to.Sub(s.from) / 2 * time.Duration(i))
		a.Ticks = append(a.Ticks, Tick{Mark{float64(50 * i)}, anchor, v.tick(s, at)})
	}
	v.mark(&a, s)
	a.Words = fmt.Sprintf("Time from %s to %s: %s. What happened to each stands in the table of items.", a.Ticks[0].Text, a.Ticks[2].Text, words.Count(len(shown), "item"))
	return a
}

// tick returns a time of the axis, with seconds where the axis is short.
func (v OrderView) tick(s span, at time.Time) string {
	if s.to.Sub(s.from) < 10*time.Minute {
		return v.Second(at).Text
	}
	return v.Clock(at).Text
}

// mark draws what the axis has beside items, and explains it.
func (v OrderView) mark(a *Axis, s span) {
	w := v.Snapshot
	if v.LikelyKnown() {
		text := "▒ likely ready " + v.likely()
		if s.has(w.ETA.To) {
			from := s.x(w.ETA.From)
			a.Range = &Stretch{from, max(s.x(w.ETA.To)-from, .5)}
		} else {
			text += " (off the scale)"
		}
		a.Legend = append(a.Legend, text)
	}
	if v.ended() {
		return
	}
	a.Now = &Mark{s.x(v.AsOf)}
	a.Legend = append(a.Legend, "│ now "+v.Clock(v.AsOf).Text)
	if w.Deadline.IsZero() {
		return
	}
	text := "┆ deadline " + v.Clock(w.Deadline).Text
	if s.has(w.Deadline) {
		a.Deadline = &Mark{s.x(w.Deadline)}
	} else {
		text += " (off the scale)"
	}
	a.Legend = append(a.Legend, text)
}

// bar draws an item.
func (v OrderView) bar(s span, it watcher.Item, row int) AxisBar {
	y := axisTop + rowHeight*row
	class, status, took := v.stateOf(it)
	b := AxisBar{Y: y, TextY: y + 12, BarY: y + 16, Class: class, Label: cmp.Or(middle(it.ResourceName, maxLabel), "an item without a name")}
	b.End = shapes[class] + " " + strings.TrimSpace(beginning(status, 12)+" "+took)
	began, end := v.itemTimes(it)
	b.Title = foreign.Short(it.ResourceName, 160) + ": " + status
	if b.Timed = !began.IsZero() && !end.Before(began); b.Timed {
		b.X = s.x(began)
		b.W = max(s.x(end)-b.X, .4)
		b.X = min(b.X, 100-b.W)
		b.Title += ", " + v.Second(began).Text + " to " + v.Second(end).Text
	}
	return b
}

// shapes are the words' shapes, as the style sheet has them.
var shapes = map[string]string{"ok": "✓", "bad": "✗", "warn": "▲", "open": "○"}

// middle returns a text of at most so many columns: of a long one the beginning and the end.
func middle(text string, most int) string {
	text = foreign.Line(text)
	if columns(text) <= most {
		return text
	}
	runes := []rune(text)
	from := len(runes)
	for width := 0; from > 0 && width+columns(string(runes[from-1])) <= most/2; from-- {
		width += columns(string(runes[from-1]))
	}
	return beginning(text, most-most/2) + string(runes[from:])
}

// beginning returns a text of at most so many columns: of a long one the beginning.
func beginning(text string, most int) string {
	text = foreign.Line(text)
	if columns(text) <= most {
		return text
	}
	width := 0
	for i, r := range text {
		if width += columns(string(r)); width > most-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// columns returns about how wide a text is: characters of East Asia take two columns.
func columns(text string) (n int) {
	for _, r := range text {
		n++
		if r >= 0x1100 {
			n++
		}
	}
	return n
}

// stateOf returns how an item is: its colour, its status in words, and how long it took so far.
func (v OrderView) stateOf(it watcher.Item) (class, status, took string) {
	status = foreign.Short(string(it.Status), 24)
	switch counts := it.CountsAs(); {
	case counts == watcher.Failed:
		class = "bad"
	case it.TakenFor == watcher.TakenForDeleted:
		class, status = "ok", "taken for deleted"
	case counts == watcher.Succeed:
		class, status = "ok", "done"
	case it.Missing():
		class, status = "warn", "not listed"
	case !it.Status.Known():
		class, status = "warn", cmp.Or(status, "without a status")
	default:
		class, status = "open", "going on"
	}
	if began, end := v.itemTimes(it); !began.IsZero() && !end.Before(began) {
		took = words.Brief(end.Sub(began))
		if class == "open" {
			took = words.Brief(steady(end.Sub(began)))
		}
	}
	return class, status, took
}

// hidden counts the items that are not among these; empty where all are.
func (v OrderView) hidden(shown []watcher.Item) string {
	left := v.Snapshot.Counts
	for _, it := range shown {
		switch it.CountsAs() {
		case watcher.Succeed:
			left.Succeeded--
		case watcher.Failed:
			left.Failed--
		default:
			left.Processing--
		}
	}
	var texts []string
	for _, part := range []struct {
		n    int
		word string
	}{{left.Failed, "failed"}, {left.Processing, "processing"}, {left.Succeeded, "succeeded"}} {
		if part.n > 0 {
			texts = append(texts, words.Number(part.n)+" "+part.word)
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "and " + strings.Join(texts, ", ")
}

// ItemRows returns the table's rows, those first at which people should look.
func (v OrderView) ItemRows() (rows []ItemRow) {
	items := slices.SortedStableFunc(slices.Values(v.Snapshot.Items), watcher.Item.ByUrgency)
	for _, it := range items[:min(len(items), maxRows)] {
		class, status, took := v.stateOf(it)
		began, updated := it.Times(v.Snapshot.AcceptedAt, v.end())
		var notes []string
		if it.Missing() {
			notes = append(notes, "no longer listed since "+v.Second(it.MissingSince).Text)
		}
		if it.Replaces != "" {
			notes = append(notes, "in place of "+it.Replaces)
		}
		if it.Message != "" {
			notes = append(notes, foreign.Short(it.Message, 400))
		}
		rows = append(rows, ItemRow{
			Name: it.ResourceName, Action: it.Action, Status: status, Class: class, Note: strings.Join(notes, "; "),
			Began: v.Second(began), Changed: v.Second(updated), Took: took,
		})
	}
	return rows
}

// MoreRows says which items have no row; empty where all have.
func (v OrderView) MoreRows() string {
	items := slices.SortedStableFunc(slices.Values(v.Snapshot.Items), watcher.Item.ByUrgency)
	return v.hidden(items[:min(len(items), maxRows)])
}
