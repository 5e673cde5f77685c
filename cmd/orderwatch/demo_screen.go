package main

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/orderwatch/orderwatch/watcher"
)

// A screen shows how orders get on.
type screen interface {
	line(format string, args ...any)
	began(order string)
	progress(order string, c watcher.Counts)
	ended(c watcher.Completion)
	close() // no more progress; lines can follow
}

// newScreen returns a screen with a bar for each order on a terminal, and one of plain lines elsewhere.
func newScreen(w io.Writer) screen {
	if isTerminal(w) {
		return &bars{out: w, container: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40)), of: make(map[string]*mpb.Bar)}
	}
	return &plain{out: w, start: time.Now()}
}

// plain writes a line for each thing that happens.
type plain struct {
	out   io.Writer
	start time.Time
}

func (p *plain) line(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

func (p *plain) began(string) {}

func (p *plain) progress(order string, c watcher.Counts) {
	p.line("%5.1fs  %s: %d of %d items ended", time.Since(p.start).Seconds(), order, c.Succeeded+c.Failed, c.Total)
}

func (p *plain) ended(watcher.Completion) {}

func (p *plain) close() {}

// bars keeps a bar for each order at the bottom of a terminal, and lines above them.
type bars struct {
	out       io.Writer
	container *mpb.Progress // nil when closed
	of        map[string]*mpb.Bar
}

func (b *bars) line(format string, args ...any) {
	out := b.out
	if b.container != nil {
		out = b.container
	}
	fmt.Fprintf(out, format+"\n", args...)
}

func (b *bars) began(order string) {
	if b.container == nil || b.of[order] != nil {
		return
	}
	b.of[order] = b.container.AddBar(0,
		mpb.PrependDecorators(decor.Name(order, decor.WC{C: decor.DindentRight | decor.DextraSpace, W: 24})),
		mpb.AppendDecorators(decor.CountersNoUnit("%d of %d items ended")))
}

func (b *bars) progress(order string, c watcher.Counts) {
	if bar := b.of[order]; bar != nil {
		bar.SetTotal(int64(c.Total), false)
		bar.SetCurrent(int64(c.Succeeded + c.Failed))
	}
}

func (b *bars) ended(c watcher.Completion) {
	b.progress(c.OrderName, c.Counts)
	if bar := b.of[c.OrderName]; bar != nil {
		bar.Abort(true)
	}
}

func (b *bars) close() {
	if b.container == nil {
		return
	}
	for _, bar := range b.of {
		bar.Abort(true)
	}
	b.container.Wait()
	b.container = nil
}
