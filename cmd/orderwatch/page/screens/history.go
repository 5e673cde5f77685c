package screens

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/events/tally"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A HistoryView is what the screen History shows.
type HistoryView struct {
	Common
	tally.History
	Reading bool   // not all events were read yet: the numbers are too small
	Away    string // why events are not followed at the moment; empty where they are
}

// Of the lists so many are shown at once; the rest is folded.
const (
	shownKinds  = 8
	shownCauses = 15
	newFor      = 7 * 24 * time.Hour // a cause is marked as new for so long
)

// Sentence sums up the days.
func (v HistoryView) Sentence() string {
	sum := v.sum()
	all := sum.Total()
	if all == 0 {
		return fmt.Sprintf("No watch ended in the last %s.", words.Count(len(v.Days), "day"))
	}
	text := fmt.Sprintf("%s ended in the last %s", words.Count(all, "watch"), words.Count(len(v.Days), "day"))
	var parts []string
	for i, n := range sum.Ended {
		if n > 0 {
			parts = append(parts, words.Number(n)+" "+endings[i].words)
		}
	}
	return text + ": " + strings.Join(parts, ", ") + "."
}

// endings say how watches ended, in the order of [watcher.Outcomes], and how that looks.
var endings = func() (all [len(watcher.Outcomes)]struct{ words, class string }) {
	classes := map[watcher.Outcome]string{watcher.Succeeded: "ok", watcher.PartiallyFailed: "bad", watcher.AllFailed: "bad", watcher.Cancelled: "rest"}
	for i, o := range watcher.Outcomes {
		all[i].words, all[i].class = strings.ToLower(words.Outcome(string(o), false)), cmp.Or(classes[o], "warn")
	}
	return all
}()

// sum returns all days as one.
func (v HistoryView) sum() (sum tally.Day) {
	for _, d := range v.Days {
		for i, n := range d.Ended {
			sum.Ended[i] += n
		}
	}
	return sum
}

// Spans returns the links to as many days as may be asked for.
func (v HistoryView) Spans() (links []Link) {
	for _, days := range []int{7, 30, 90} {
		links = append(links, Link{words.Count(days, "day"), v.Link(fmt.Sprintf("/history?days=%d", days)), len(v.Days) == days})
	}
	return links
}

// A chart is the days as bars: an SVG of Width × 100, whose largest day is 96 high.
type chart struct {
	Width       int
	Words       string
	Bars        []dayBar
	Most        int // that ended on one day
	First, Last string
}

// A dayBar is one day. Its parts are on top of each other.
type dayBar struct {
	X     int
	Words string
	Parts []dayPart
}

// A dayPart is what of a day looks alike.
type dayPart struct {
	Class string
	Y, H  float64
}

// Chart returns the days as bars; what failed is at their foot, so that days can be compared by it.
func (v HistoryView) Chart() chart {
	c := chart{Width: 10 * len(v.Days)}
	for _, d := range v.Days {
		c.Most = max(c.Most, d.Total())
	}
	c.Words = fmt.Sprintf("How watches ended on each of %s; the busiest has %s. The table below has the numbers.", words.Count(len(v.Days), "day"), words.Number(c.Most))
	for i, d := range v.Days {
		bar := dayBar{X: 10*i + 1, Words: d.Date.Format("2 Jan") + ": " + ended(d)}
		foot := 100.0
		for _, class := range []string{"bad", "warn", "ok", "rest"} {
			n := 0
			for at, e := range endings {
				if e.class == class {
					n += d.Ended[at]
				}
			}
			if n > 0 {
				height := max(94*float64(n)/float64(c.Most), 1.5)
				foot -= height
				bar.Parts = append(bar.Parts, dayPart{class, float64(int(foot*100)) / 100, float64(int(height*100)) / 100})
			}
		}
		c.Bars = append(c.Bars, bar)
	}
	if len(v.Days) > 0 {
		c.First, c.Last = v.Days[0].Date.Format("2 Jan"), v.Days[len(v.Days)-1].Date.Format("2 Jan")
	}
	return c
}

// ended says how the watches of a day ended.
func ended(d tally.Day) string {
	var parts []string
	for i, n := range d.Ended {
		if n > 0 {
			parts = append(parts, words.Number(n)+" "+endings[i].words)
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// A dayTable is the same in numbers.
type dayTable struct {
	Heads []string
	Rows  []dayRow
}

// A dayRow is one day, the latest first.
type dayRow struct {
	Date    string
	Numbers []string
}

// DayTable returns the days in numbers, without the endings that no day has.
func (v HistoryView) DayTable() (t dayTable) {
	sum := v.sum()
	for i, e := range endings {
		if sum.Ended[i] > 0 {
			t.Heads = append(t.Heads, strings.ToUpper(e.words[:1])+e.words[1:])
		}
	}
	for _, d := range slices.Backward(v.Days) {
		row := dayRow{Date: d.Date.Format("Mon 2 Jan 2006")}
		for i, n := range d.Ended {
			if sum.Ended[i] > 0 {
				row.Numbers = append(row.Numbers, words.Number(n))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// A kindRow is a kind of orders as the screen shows it.
type kindRow struct {
	Actions, Region string
	Now, Before     tookRow
	Change          string // of the half that is quicker, against before; empty where too few are known
	Class           string // of the change
	Words           string // of the picture
}

// A tookRow is how long orders took, in words and in hundredths of the picture's length.
type tookRow struct {
	Ended              string
	Known              bool
	P10, P50, P90, P95 string
	From, Half, To     float64
	Width, Tail        float64 // from From to To, and from To to P95
}

// ShownKinds and MoreKinds return the kinds of orders of which most ended, and the others.
func (v HistoryView) ShownKinds() []kindRow { return kindRows(v.Kinds[:min(len(v.Kinds), shownKinds)]) }

// MoreKinds returns the others.
func (v HistoryView) MoreKinds() []kindRow { return kindRows(v.Kinds[min(len(v.Kinds), shownKinds):]) }

func kindRows(kinds []tally.Kind) (rows []kindRow) {
	for _, k := range kinds {
		whole := max(k.Now.P95, k.Before.P95)
		r := kindRow{Actions: strings.Join(k.Actions, ", "), Region: k.Region, Now: tookOf(k.Now, whole), Before: tookOf(k.Before, whole)}
		if r.Now.Known && r.Before.Known && k.Before.P50 > 0 {
			percent := int(100 * (k.Now.P50 - k.Before.P50) / k.Before.P50)
			switch {
			case percent >= 10:
				r.Change, r.Class = fmt.Sprintf("%d %% slower", percent), "warn"
			case percent <= -10:
				r.Change, r.Class = fmt.Sprintf("%d %% quicker", -percent), "ok"
			default:
				r.Change = "the same"
			}
		}
		r.Words = fmt.Sprintf("last 30 days: %s; 30 days before: %s", tookWords(r.Now), tookWords(r.Before))
		rows = append(rows, r)
	}
	return rows
}

func tookOf(t tally.Took, whole time.Duration) tookRow {
	r := tookRow{Ended: words.Number(t.Ended), Known: t.P95 > 0}
	if !r.Known {
		return r
	}
	at := func(d time.Duration) float64 { return float64(int(10000*float64(d)/float64(whole))) / 100 }
	r.P10, r.P50, r.P90, r.P95 = words.Brief(t.P10), words.Brief(t.P50), words.Brief(t.P90), words.Brief(t.P95)
	r.From, r.Half, r.To = at(t.P10), at(t.P50), at(t.P90)
	r.Width, r.Tail = max(r.To-r.From, 1), max(at(t.P95)-r.To, 0)
	return r
}

func tookWords(t tookRow) string {
	if !t.Known {
		return "too few ended"
	}
	return fmt.Sprintf("half took up to %s, nine of ten up to %s", t.P50, t.P90)
}

// A causeRow is a cause as the screen shows it.
type causeRow struct {
	View Common
	tally.Cause
	Ending string
	IsNew  bool
}

// Line returns the cause in a line.
func (r causeRow) Line() string {
	return cmp.Or(strings.TrimSpace(r.Text), "No message was given")
}

// Times returns how many watches failed for it.
func (r causeRow) Times() string { return words.Number(r.Count) }

// LastLink returns the URL of the order that failed for it last.
func (r causeRow) LastLink() string {
	return r.View.OrderLink(watcher.Order{ProjectID: r.Last.ProjectID, Name: r.Last.OrderName})
}

// ShownCauses returns the causes that were seen last.
func (v HistoryView) ShownCauses() []causeRow {
	return v.causeRows(v.Causes[:min(len(v.Causes), shownCauses)])
}

// MoreCauses returns the others.
func (v HistoryView) MoreCauses() []causeRow {
	return v.causeRows(v.Causes[min(len(v.Causes), shownCauses):])
}

func (v HistoryView) causeRows(causes []tally.Cause) (rows []causeRow) {
	for _, c := range causes {
		r := causeRow{View: v.Common, Cause: c, Ending: string(c.Outcome), IsNew: v.AsOf.Sub(c.First.At) < newFor && v.AsOf.Sub(v.Since) > newFor}
		for i, o := range watcher.Outcomes {
			if o == c.Outcome {
				r.Ending = endings[i].words
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// Others says what is summed up, one thing a line.
func (v HistoryView) Others() (lines []string) {
	if v.OtherOrders > 0 {
		lines = append(lines, fmt.Sprintf("%s of further kinds ended, which are not told apart.", words.Count(v.OtherOrders, "order")))
	}
	if v.OtherCauses > 0 {
		lines = append(lines, fmt.Sprintf("%s more, for which %s failed; none was seen since %s.", words.Count(v.OtherCauses, "cause"), words.Count(v.OtherFailures, "watch"), moment(v.OtherLast, "2 Jan 15:04").Text))
	}
	return lines
}

var history = screen("history.html")

// History writes the screen.
func History(w io.Writer, v HistoryView) error { return write(w, history, v) }

// HistoryBody returns its fragments.
func HistoryBody(v HistoryView) ([]Fragment, error) {
	return fragments(history, v, "outcomes", "days", "durations", "more-durations-title", "more-durations", "causes", "more-causes-title", "more-causes", "known")
}
