package screens

import (
	"fmt"
	"io"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A NowView is what is watched now, a page of it, and what ended within the last hour.
type NowView struct {
	Common
	Strip   Strip
	Filter  Filter
	Rows    []Row
	Next    string // path of the next page, with its query; empty: this is the last
	First   string // path of the first page; empty: this is it
	Ended   []Row  // within the last hour, the latest first
	EndedAt int    // how many ended within the last hour; more than are shown, maybe
}

// A Strip says how it stands with all.
type Strip struct {
	Watching int
	Late     int
	Held     []Held        // accounts that may not be asked
	Untold   int           // completions that nobody was told of
	Latency  time.Duration // of detection, 95 of 100; zero: not known
}

// A Held is an account that may not be asked, until then.
type Held struct {
	Account string
	Until   time.Time
}

// A Filter is what the viewer asked for.
type Filter struct {
	Search    string // in the order's name, its project and its requests' ids
	ProjectID string
	Region    string
	Condition string // late, stalled, blind, failing; empty: any
}

// A Row is a watch as the list shows it.
type Row struct {
	Order     watcher.Order
	WatchID   string
	Region    string
	State     string // words, such as "2 of 4 ended"
	Class     string // ok, bad, warn or open
	Items     Bar
	Since     time.Time     // when it was accepted
	SoFar     time.Duration // or how long it took
	UsualFrom time.Duration // 10 of 100 took less
	UsualTo   time.Duration // 90 of 100 took less; zero: not known
	ReadyFrom time.Time     // likely
	ReadyTo   time.Time
	NextPoll  time.Time
	EndedAt   time.Time
}

// newBar returns a bar for so many items that ended well, ended badly, and go on; of no item it is empty.
func newBar(good, bad, goOn int) Bar {
	all := float64(good + bad + goOn)
	b := Bar{Words: fmt.Sprintf("%d of %d ended, %d failed", good+bad, good+bad+goOn, bad)}
	x := 0.0
	for _, part := range []struct {
		class string
		n     int
	}{{"ok", good}, {"bad", bad}} {
		if part.n > 0 {
			w := 100 * float64(part.n) / all
			b.Parts = append(b.Parts, BarPart{part.class, x, w})
			x += w
		}
	}
	return b
}

var now = screen("now.html")

// Now writes the screen of what is watched.
func Now(w io.Writer, v NowView) error { return write(w, now, v) }

// NowBody returns its fragments.
func NowBody(v NowView) ([]Fragment, error) { return fragments(now, v, "strip", "rows", "ended") }
