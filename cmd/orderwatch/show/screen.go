package show

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A Screen shows how orders get on, each under a label of its own: with a bar for each on a terminal, in plain
// lines elsewhere. One goroutine at a time may use it.
type Screen struct {
	Columns int // at how many columns a line of progress is broken; 0: it is not

	out     io.Writer
	hasBars bool
	bars    *bars // nil without bars, and when closed
}

// NewScreen returns a screen whose bars begin with the order's name in a column of this width.
func NewScreen(w io.Writer, nameWidth int) *Screen {
	s := &Screen{out: w}
	if output.IsTerminal(w) && os.Getenv("TERM") != "dumb" {
		s.hasBars, s.bars = true, newBars(w, nameWidth)
	}
	return s
}

// Counts says how many of an order's items have ended.
func Counts(r watcher.Report) string {
	c, d := r.Counts, r.Deed()
	text := fmt.Sprintf("%d of %s ended", c.Succeeded+c.Failed, words.Count(c.Total, d.Noun))
	if _, failed := d.Ended(); c.Failed > 0 {
		text += fmt.Sprintf(", %d %s", c.Failed, failed)
	}
	return text + missingNote(c)
}

// Line writes a line above the bars.
func (s *Screen) Line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.bars != nil {
		s.bars.line(text)
		return
	}
	fmt.Fprintln(s.out, text)
}

// Began adds the order's bar, which shows what Progress says from then on.
func (s *Screen) Began(order string) {
	if s.bars != nil {
		s.bars.change(order, true, func(*bar) {})
	}
}

// Expect notes when the order is likely to be ready; nil where nothing is known of that. Its bar shows it.
func (s *Screen) Expect(order string, eta *history.Estimate) {
	if s.bars != nil {
		s.bars.change(order, false, func(b *bar) { b.eta = eta })
	}
}

// Progress shows how many of the order's items have ended, and, where there are no bars, when it is likely to be ready.
func (s *Screen) Progress(order string, r watcher.Report, eta *history.Estimate) {
	if s.hasBars {
		if s.bars != nil {
			s.bars.change(order, false, func(b *bar) { b.r, b.eta = r, eta })
		}
		return
	}
	text := Counts(r)
	if ready := readyText(eta, time.Now()); ready != "" {
		text += ", likely ready " + ready
	}
	text = order + ": " + text
	if s.Columns > 0 {
		text = strings.Join(output.Paragraph(text, s.Columns-14, 10), "\n              ")
	}
	s.Line("%s  %s", output.Clock(time.Now(), time.Now()), text)
}

// Ended takes the order's bar away.
func (s *Screen) Ended(order string) {
	if s.bars != nil {
		s.bars.remove(order)
	}
}

// Close takes all bars away. Lines can follow.
func (s *Screen) Close() {
	if s.bars != nil {
		s.bars.close()
		s.bars = nil
	}
}
