package show

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// bars are drawn below the last line of a terminal, and drawn over. They never take more than its rows, so that none of
// them gets into what scrolls back. They are safe for concurrent use.
type bars struct {
	out       io.Writer
	nameWidth int
	stop      chan struct{} // ends what draws them every now and then
	stopped   chan struct{} // is closed then

	mu    sync.Mutex // of what follows, and of out
	all   []*bar     // in the order in which they began
	drawn []string   // the lines as they stand on the terminal
	news  bool       // they are not as they were drawn
}

// A bar is that of one order.
type bar struct {
	order string
	begin time.Time
	r     watcher.Report
	eta   *history.Estimate
}

// Times between two drawings: of what has changed, and of the time that passes.
const (
	drawNews = 100 * time.Millisecond
	drawTime = time.Second
)

// newBars returns bars that are drawn on the terminal until they are closed.
func newBars(out io.Writer, nameWidth int) *bars {
	b := &bars{out: out, nameWidth: nameWidth, stop: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(b.stopped)
		for last := time.Now(); ; {
			select {
			case <-b.stop:
				return
			case <-time.After(drawNews):
			}
			b.mu.Lock()
			if b.news || time.Since(last) >= drawTime {
				last = time.Now()
				b.draw("")
			}
			b.mu.Unlock()
		}
	}()
	return b
}

// change changes the order's bar, and adds it where it is new and may be added.
func (b *bars) change(order string, add bool, change func(*bar)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.all, func(one *bar) bool { return one.order == order })
	switch {
	case i >= 0:
		change(b.all[i])
	case add:
		b.all = append(b.all, &bar{order: order, begin: time.Now()})
	default:
		return
	}
	b.news = true
}

// remove takes the order's bar away.
func (b *bars) remove(order string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = slices.DeleteFunc(b.all, func(one *bar) bool { return one.order == order })
	b.news = true
}

// line writes a text above the bars.
func (b *bars) line(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.draw(text + "\n")
}

// close takes all bars away.
func (b *bars) close() {
	close(b.stop)
	<-b.stopped
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = nil
	b.draw("")
}

// draw writes the text in place of the bars, and them below it, at once: so nothing flickers.
func (b *bars) draw(text string) {
	columns, rows := output.Size(b.out)
	const up, clearLine, clearBelow = "\x1b[%dA", "\x1b[K", "\x1b[J"
	var s strings.Builder
	s.WriteString("\r")
	if n := min(rowsOf(b.drawn, columns), max(rows-1, 0)); n > 0 {
		fmt.Fprintf(&s, up, n)
	}
	if text != "" {
		s.WriteString(clearBelow + text)
	}
	b.drawn, b.news = barLines(b.all, b.nameWidth, columns, rows, time.Now()), false
	for _, line := range b.drawn {
		s.WriteString(line + clearLine + "\n")
	}
	s.WriteString(clearBelow)
	io.WriteString(b.out, s.String())
}

// rowsOf returns how many rows the lines take: more than one each, where the terminal was made narrower since.
func rowsOf(lines []string, columns int) (rows int) {
	for _, line := range lines {
		rows += 1 + max(output.Width(line)-1, 0)/max(columns, 1)
	}
	return rows
}

// Widths of a bar, with its brackets.
const (
	widestBar   = 40
	narrowest   = 12 // where there is less room, there is no bar
	fewestNames = 8  // columns that names take at the least
)

// barLines returns what is drawn on a terminal of this size: a line for each order while there is room, those that go on
// first, and a line for all others.
func barLines(all []*bar, nameWidth, columns, rows int, now time.Time) []string {
	room := rows - 2 // a row for what stands for the others, and one for the cursor
	if room < 1 || columns < 2 {
		return nil
	}
	shown := slices.Clone(all)
	slices.SortStableFunc(shown, func(a, b *bar) int { return min(b.r.Counts.Total, 1) - min(a.r.Counts.Total, 1) })
	var others []*bar
	if len(shown) > room {
		shown, others = shown[:room], shown[room:]
	}
	widest, texts := 0, make([]string, len(shown))
	for i, one := range shown {
		texts[i] = one.text(now)
		widest = max(widest, output.Width(texts[i]))
	}
	nameWidth = max(min(nameWidth, columns-widest-4), min(nameWidth, fewestNames))
	width := min(widestBar, columns-1-nameWidth-1-widest-2)
	var lines []string
	for i, one := range shown {
		line := output.Pad(output.ShortenLeft(one.order, nameWidth), nameWidth) + " "
		if width >= narrowest {
			line += one.bar(width) + "  "
		}
		lines = append(lines, output.Shorten(line+texts[i], columns-1))
	}
	if len(others) > 0 {
		lines = append(lines, output.Shorten(sumOf(others), columns-1))
	}
	return lines
}

// text returns what stands after the bar.
func (b *bar) text(now time.Time) string {
	text := "no items yet"
	if b.r.Counts.Total > 0 {
		text = Counts(b.r)
	}
	text += "  " + words.Brief(now.Sub(b.begin))
	if ready := readyText(b.eta, now); ready != "" {
		text += "  ready " + ready
	}
	return text
}

// bar returns the bar itself.
func (b *bar) bar(width int) string {
	inner, done := width-2, 0
	if c := b.r.Counts; c.Total > 0 {
		done = inner * (c.Succeeded + c.Failed) / c.Total
	}
	line := strings.Repeat("=", done)
	if done > 0 && done < inner {
		line = line[1:] + ">"
	}
	return "[" + line + strings.Repeat("-", inner-done) + "]"
}

// sumOf returns a line for the orders that there is no room for.
func sumOf(others []*bar) string {
	var sum watcher.Counts
	for _, one := range others {
		c := one.r.Counts
		sum.Total, sum.Succeeded, sum.Failed = sum.Total+c.Total, sum.Succeeded+c.Succeeded, sum.Failed+c.Failed
	}
	text := fmt.Sprintf("and %s: %d of %s ended", words.Count(len(others), "more order"), sum.Succeeded+sum.Failed, words.Count(sum.Total, "item"))
	if sum.Failed > 0 {
		text += fmt.Sprintf(", %d failed", sum.Failed)
	}
	return text
}
