package list

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// refreshEvery is how often a table that is refreshed in place is read anew.
const refreshEvery = 2 * time.Second

// refreshTime is how long an answer is waited for before the table says that it is old.
const refreshTime = 4 * time.Second

// What a terminal is told: to show another screen, without a cursor, and to come back from it; to
// draw from its first line on; and to clear what is left of a line, or of the screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	goHome      = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// Follow refreshes the table in place until ctx ends, and leaves its last state. out is a terminal. It returns an
// error if the watches cannot be read at first; later the table says that they cannot.
func (c Choice) Follow(ctx context.Context, client *client.Client, out io.Writer) error {
	live := liveList{Choice: c, client: client, paint: output.PaintFor(out)}
	if live.refresh(ctx); live.err != nil {
		return live.err
	}
	io.WriteString(out, enterScreen)
	for ctx.Err() == nil {
		columns, lines := output.Size(out)
		hint := ""
		if c.State == "" && columns >= 80 {
			hint = "; --state watching shows fewer"
		}
		if _, err := io.WriteString(out, screenful(live.draw(time.Now(), columns, newsAbove), lines, hint)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(refreshEvery):
			live.refresh(ctx) // the table tells of an error
		}
	}
	columns, _ := output.Size(out)
	_, err := io.WriteString(out, leaveScreen+live.draw(time.Now(), columns, mostNews))
	return err
}

// A liveList is a table that is refreshed.
type liveList struct {
	Choice
	client *client.Client
	paint  output.Paint

	watches []watcher.Snapshot
	more    bool
	read    time.Time // when the watches were read
	err     error     // why they are older than they should be
	news    []string  // what has happened since the first time, as lines, the newest last
}

// refresh reads the watches; where it cannot, it keeps those that it has.
func (l *liveList) refresh(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	var watches []watcher.Snapshot
	more, _, err := l.pages(call, l.client, func(page []watcher.Snapshot) error {
		watches = append(watches, page...)
		return nil
	})
	switch {
	case err == nil:
		if !l.read.IsZero() {
			l.news = append(l.news, newsOf(l.watches, watches, time.Now())...)
			l.news = l.news[max(0, len(l.news)-mostNews):]
		}
		l.watches, l.more, l.read, l.err = watches, more, time.Now(), nil
	case ctx.Err() == nil:
		l.err = err
	}
}

// How many lines of what has happened are kept, and left when the table is, and how many stand above it meanwhile.
const (
	mostNews  = 20
	newsAbove = 3
)

// draw returns the table, with a line above it that says how old it is, and at most so many lines of what has happened.
func (l *liveList) draw(now time.Time, columns, news int) string {
	text := "orderwatch list, as of " + output.Clock(l.read, now)
	if l.more {
		text += fmt.Sprintf(", the newest %d", len(l.watches))
	}
	if l.err != nil {
		text = l.paint.Red(output.Shorten("not refreshed since "+output.Clock(l.read, now)+", trying again: "+output.Clean(exit.Unanswered(l.err).Error()), columns))
	} else {
		text = l.paint.Faint(output.Shorten(text, columns))
	}
	for _, line := range l.news[max(0, len(l.news)-news):] {
		text += "\n" + l.paint.Yellow(output.Shorten(line, columns))
	}
	table := show.Table{Now: now, Width: columns, Paint: l.paint}
	return text + "\n" + table.Watches(l.watches)
}

// screenful returns what draws the text from the top of a screen of so many lines, without a
// moment at which the screen is empty. Where lines do not fit, hint follows what says so.
func screenful(text string, lines int, hint string) string {
	all := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(all) > lines && lines > 1 {
		more := fmt.Sprintf("and %s that this screen has no room for", words.Count(len(all)-lines+1, "line")) + hint
		all = append(all[:lines-1], more)
	}
	return goHome + strings.Join(all, clearLine+"\r\n") + clearLine + clearBelow
}
