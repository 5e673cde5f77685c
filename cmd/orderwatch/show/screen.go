package show

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A Screen shows how orders get on, each under a label of its own: with a bar for each on a terminal, in plain
// lines elsewhere. One goroutine at a time may use it.
type Screen struct {
	Columns int // at how many columns a line of progress is broken; 0: it is not

	out       io.Writer
	nameWidth int
	container *mpb.Progress   // nil without bars, and when closed
	bars      map[string]*bar // nil without bars
}

// NewScreen returns a screen whose bars begin with the order's name in a column of this width.
func NewScreen(w io.Writer, nameWidth int) *Screen {
	s := &Screen{out: w, nameWidth: nameWidth}
	if output.IsTerminal(w) && os.Getenv("TERM") != "dumb" {
		s.container, s.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40)), make(map[string]*bar)
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

// A bar is that of one order.
type bar struct {
	*mpb.Bar
	begin time.Time
	state atomic.Value // a text; mpb reads it while it draws
	eta   atomic.Pointer[history.Estimate]
}

// after returns what stands after the bar.
func (b *bar) after(decor.Statistics) string {
	text := "  " + b.state.Load().(string) + "  " + words.Brief(time.Since(b.begin))
	if ready := Ready(b.eta.Load(), time.Now()); ready != "" {
		text += "  ready " + ready
	}
	return text
}

// Line writes a line above the bars.
func (s *Screen) Line(format string, args ...any) {
	out := s.out
	if s.container != nil {
		out = s.container
	}
	fmt.Fprintf(out, format+"\n", args...)
}

// Began adds the order's bar, which shows what Progress says from then on.
func (s *Screen) Began(order string) {
	if s.container == nil || s.bars[order] != nil {
		return
	}
	added := &bar{begin: time.Now()}
	added.state.Store("no items yet")
	name := output.Pad(output.ShortenLeft(order, s.nameWidth), s.nameWidth) + " "
	aligned := decor.WC{C: decor.DSyncWidth | decor.DindentRight}
	added.Bar = s.container.AddBar(0, mpb.PrependDecorators(decor.Name(name)), mpb.AppendDecorators(decor.Any(added.after, aligned)))
	s.bars[order] = added
}

// Expect notes when the order is likely to be ready; nil where nothing is known of that. Its bar shows it.
func (s *Screen) Expect(order string, eta *history.Estimate) {
	if bar := s.bars[order]; bar != nil {
		bar.eta.Store(eta)
	}
}

// Progress shows how many of the order's items have ended, and, where there are no bars, when it is likely to be ready.
func (s *Screen) Progress(order string, r watcher.Report, eta *history.Estimate) {
	s.Expect(order, eta)
	if s.bars == nil {
		text := Counts(r)
		if ready := Ready(eta, time.Now()); ready != "" {
			text += ", likely ready " + ready
		}
		text = order + ": " + text
		if s.Columns > 0 {
			text = strings.Join(output.Paragraph(text, s.Columns-10, 10), "\n          ")
		}
		s.Line("%s  %s", time.Now().Format(time.TimeOnly), text)
		return
	}
	bar := s.bars[order]
	if bar == nil {
		return
	}
	bar.state.Store(Counts(r))
	bar.SetTotal(int64(r.Counts.Total), false)
	bar.SetCurrent(int64(r.Counts.Succeeded + r.Counts.Failed))
}

// Ended takes the order's bar away.
func (s *Screen) Ended(order string) {
	if bar := s.bars[order]; bar != nil {
		bar.Abort(true)
	}
}

// Close takes all bars away. Lines can follow.
func (s *Screen) Close() {
	if s.container == nil {
		return
	}
	io.WriteString(s.out, "\r") // a Ctrl-C is shown as two signs, and mpb does not leave their column
	for _, bar := range s.bars {
		bar.Abort(true)
	}
	s.container.Wait()
	s.container = nil
}
