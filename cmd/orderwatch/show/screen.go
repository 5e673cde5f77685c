package show

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A Screen shows how orders get on; each has a label of its own. One goroutine at a time may use it.
type Screen interface {
	// Line writes a line above the bars.
	Line(format string, args ...any)
	// Began adds the order's bar, which shows what Progress says from then on.
	Began(order string)
	// Progress shows how many of the order's items have ended.
	Progress(order string, c watcher.Counts)
	// Ended takes the order's bar away.
	Ended(order string)
	// Close takes all bars away. Lines can follow.
	Close()
}

// NewScreen returns a screen with a bar for each order on a terminal, and one of plain lines elsewhere.
// Bars begin with the order's name in a column of this width.
func NewScreen(w io.Writer, nameWidth int) Screen {
	if output.IsTerminal(w) && os.Getenv("TERM") != "dumb" {
		return &bars{out: w, nameWidth: nameWidth, container: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40)), of: make(map[string]*bar)}
	}
	return &plain{out: w}
}

// Counts says how many of an order's items have ended.
func Counts(c watcher.Counts) string {
	text := fmt.Sprintf("%d of %s ended", c.Succeeded+c.Failed, words.Count(c.Total, "item"))
	if c.Failed > 0 {
		text += fmt.Sprintf(", %d failed", c.Failed)
	}
	return text + missingNote(c)
}

// plain writes a line for each thing that happens.
type plain struct{ out io.Writer }

func (p *plain) Line(format string, args ...any) {
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *plain) Began(string) {}

func (p *plain) Progress(order string, c watcher.Counts) {
	p.Line("%s  %s: %s", time.Now().Format(time.TimeOnly), order, Counts(c))
}

func (p *plain) Ended(string) {}

func (p *plain) Close() {}

// bars keeps a bar for each order at the bottom of a terminal, and lines above them.
type bars struct {
	out       io.Writer
	nameWidth int
	container *mpb.Progress // nil when closed
	of        map[string]*bar
}

// A bar is that of one order.
type bar struct {
	*mpb.Bar
	begin time.Time

	mu    sync.Mutex
	state string
}

// after returns what stands after the bar.
func (b *bar) after(decor.Statistics) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return "  " + b.state + "  " + words.Brief(time.Since(b.begin))
}

func (b *bars) Line(format string, args ...any) {
	out := b.out
	if b.container != nil {
		out = b.container
	}
	fmt.Fprintf(out, format+"\n", args...)
}

func (b *bars) Began(order string) {
	if b.container == nil || b.of[order] != nil {
		return
	}
	added := &bar{begin: time.Now(), state: "no items yet"}
	name := output.Pad(output.ShortenLeft(order, b.nameWidth), b.nameWidth) + " "
	aligned := decor.WC{C: decor.DSyncWidth | decor.DindentRight}
	added.Bar = b.container.AddBar(0, mpb.PrependDecorators(decor.Name(name)), mpb.AppendDecorators(decor.Any(added.after, aligned)))
	b.of[order] = added
}

func (b *bars) Progress(order string, c watcher.Counts) {
	bar := b.of[order]
	if bar == nil {
		return
	}
	bar.mu.Lock()
	bar.state = Counts(c)
	bar.mu.Unlock()
	bar.SetTotal(int64(c.Total), false)
	bar.SetCurrent(int64(c.Succeeded + c.Failed))
}

func (b *bars) Ended(order string) {
	if bar := b.of[order]; bar != nil {
		bar.Abort(true)
	}
}

func (b *bars) Close() {
	if b.container == nil {
		return
	}
	io.WriteString(b.out, "\r") // a Ctrl-C is shown as two signs, and mpb does not leave their column
	for _, bar := range b.of {
		bar.Abort(true)
	}
	b.container.Wait()
	b.container = nil
}
