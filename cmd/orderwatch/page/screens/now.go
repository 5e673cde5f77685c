package screens

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A NowView is a page of what is watched now, and what ended within the last hour.
type NowView struct {
	Common
	Strip   Strip
	Filter  Filter
	Rows    []Row
	Loading bool   // not all records were read yet
	First   string // path of the first page; empty: this is it
	Next    string // path of the next page; empty: this is the last
	Ended   []Row  // within the last hour, the latest first
	More    bool   // more ended than are shown
	Failed  int    // of them
}

// Mixed reports whether the list has open watches and such that have ended.
func (v NowView) Mixed() bool {
	return !v.AllEnded() && slices.ContainsFunc(v.Rows, func(r Row) bool { return !r.EndedAt.IsZero() })
}

// AllEnded reports whether all watches of the list have ended.
func (v NowView) AllEnded() bool {
	return !slices.ContainsFunc(v.Rows, func(r Row) bool { return r.EndedAt.IsZero() })
}

// A Strip says how it stands with all.
type Strip struct {
	Watching int
	Facts    []Fact // what is not as it should be, and how long the end of an order takes to be seen
}

// A Fact is a number with its words.
type Fact struct {
	Number string
	Words  string
	Class  string // ok, bad or warn; empty: a plain one
	Path   string // of the rows that it counts; empty: none
}

// A Filter is what the viewer asked for, and what may be asked for.
type Filter struct {
	Text    string
	Label   string
	Show    []Choice
	Region  []Choice
	Project []Choice
	Active  bool // something is left out
}

// A Choice is one value that a filter may have.
type Choice struct {
	Value  string
	Name   string
	Chosen bool
}

// A Row is a watch as the list shows it.
type Row struct {
	Order     watcher.Order
	Word      string // how it stands: "running", "late"
	Class     string // ok, bad, warn or open
	Detail    string // more of that; untrusted
	Counts    watcher.Counts
	Expected  int
	SoFar     time.Duration // or how long it took
	Watched   bool          // it has ended, and SoFar is how long it was watched: ModelArts does not say how long it took
	Longer    bool          // it is open, and takes longer than is usual
	UsualFrom time.Duration // one of ten took no longer
	UsualTo   time.Duration // nine of ten took no longer; zero: not known
	ReadyFrom time.Time     // likely
	ReadyTo   time.Time     // zero: not known
	NextPoll  time.Time     // zero: none, or not known
	Overdue   bool          // it was not made
	EndedAt   time.Time     // zero while it is open
}

// Items returns the row's items as a bar.
func (r Row) Items() Bar {
	return newBar(r.Counts.Succeeded, r.Counts.Failed, max(r.Expected, r.Counts.Total)-r.Counts.Succeeded-r.Counts.Failed)
}

// Usual returns how long orders like the row's take, in words; empty where that is not known.
func (r Row) Usual() string {
	if r.UsualTo == 0 {
		return ""
	}
	return words.Between(r.UsualFrom, r.UsualTo)
}

// newBar returns a bar for so many items that ended well, ended badly, and go on.
func newBar(good, bad, goOn int) Bar {
	all := good + bad + max(goOn, 0)
	b := Bar{Words: fmt.Sprintf("%s of %s ended", words.Number(good+bad), words.Count(all, "item"))}
	if bad > 0 {
		b.Words += fmt.Sprintf(", %s failed", words.Number(bad))
	}
	if all == 0 {
		b.Words = "no items yet"
		return b
	}
	width := func(n int) float64 { return float64(10000*n/all) / 100 }
	if bad > 0 { // first: it is never too narrow to be seen
		b.Parts = append(b.Parts, BarPart{"bad", 0, max(width(bad), 2)})
	}
	if good > 0 {
		x := 0.0
		if bad > 0 {
			x = max(width(bad), 2)
		}
		b.Parts = append(b.Parts, BarPart{"ok", x, min(width(good), 100-x)})
	}
	return b
}

var now = screen("now.html")

// Now writes the screen of what is watched.
func Now(w io.Writer, v NowView) error { return write(w, now, v) }

// NowBody returns its fragments.
func NowBody(v NowView) ([]Fragment, error) {
	return fragments(now, v, "strip", "rows", "ended-title", "ended")
}
