package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A screen shows how orders get on; each has a label of its own. It is safe for concurrent use.
type screen interface {
	line(format string, args ...any)
	began(order string)
	progress(order string, c watcher.Counts)
	ended(order string)
	close() // no more progress; lines can follow
}

// newScreen returns a screen with a bar for each order on a terminal, and one of plain lines elsewhere.
// Bars begin with the order's name in a column of this width.
func newScreen(w io.Writer, nameWidth int) screen {
	if isTerminal(w) && os.Getenv("TERM") != "dumb" {
		return &bars{out: w, nameWidth: nameWidth, container: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40)), of: make(map[string]*bar)}
	}
	return &plain{out: w}
}

// showCounts says how many of an order's items have ended.
func showCounts(c watcher.Counts) string {
	text := fmt.Sprintf("%d of %s ended", c.Succeeded+c.Failed, words.Count(c.Total, "item"))
	if c.Failed > 0 {
		text += fmt.Sprintf(", %d failed", c.Failed)
	}
	return text + missingNote(c)
}

// plain writes a line for each thing that happens.
type plain struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *plain) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *plain) began(string) {}

func (p *plain) progress(order string, c watcher.Counts) {
	p.line("%s  %s: %s", time.Now().Format(time.TimeOnly), order, showCounts(c))
}

func (p *plain) ended(string) {}

func (p *plain) close() {}

// bars keeps a bar for each order at the bottom of a terminal, and lines above them.
type bars struct {
	out       io.Writer
	nameWidth int

	mu        sync.Mutex
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

func (b *bars) line(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.out
	if b.container != nil {
		out = b.container
	}
	fmt.Fprintf(out, format+"\n", args...)
}

func (b *bars) began(order string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.container == nil || b.of[order] != nil {
		return
	}
	added := &bar{begin: time.Now(), state: "no items yet"}
	name := pad(shortenLeft(order, b.nameWidth), b.nameWidth) + " "
	aligned := decor.WC{C: decor.DSyncWidth | decor.DindentRight}
	added.Bar = b.container.AddBar(0, mpb.PrependDecorators(decor.Name(name)), mpb.AppendDecorators(decor.Any(added.after, aligned)))
	b.of[order] = added
}

func (b *bars) progress(order string, c watcher.Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bar := b.of[order]
	if bar == nil {
		return
	}
	bar.mu.Lock()
	bar.state = showCounts(c)
	bar.mu.Unlock()
	bar.SetTotal(int64(c.Total), false)
	bar.SetCurrent(int64(c.Succeeded + c.Failed))
}

func (b *bars) ended(order string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bar := b.of[order]; bar != nil {
		bar.Abort(true)
	}
}

func (b *bars) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
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
