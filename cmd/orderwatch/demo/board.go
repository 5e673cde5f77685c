package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// A scoreboard shows what becomes of the demo's requests and keeps score. It is safe for
// concurrent use.
type scoreboard struct {
	show  *show.Screen
	fates []fate
	done  chan struct{} // closed by finished
	// finished is called when all that was scripted has happened, and perhaps again.
	finished func()

	mu        sync.Mutex
	asked     int
	ended     map[string][]watcher.Completion // by order
	fields    []string                        // of rejected requests
	slack     map[string]*slackPost           // the channel's messages by ts, without replies
	completed int
	crowd     int // of the completed
}

// A slackPost is what becomes of one message in the channel.
type slackPost struct {
	running bool // it tells of an order that goes on
	wakes   bool // it was edited to an end that is not done, of which a reply in the channel is to tell
	thread  bool // it refers to its thread, where nothing is
}

func newScoreboard(show *show.Screen, fates []fate) *scoreboard {
	done := make(chan struct{})
	return &scoreboard{
		show: show, fates: fates, done: done, finished: sync.OnceFunc(func() { close(done) }),
		ended: make(map[string][]watcher.Completion), slack: make(map[string]*slackPost),
	}
}

func (b *scoreboard) requested(f fate, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if f.story != "" {
		b.show.Line("→ request %-11s %-21s %s", id, f.order, f.story)
	}
	if f.outcome != "" && !ofCrowd(f.order) {
		b.show.Began(f.order)
	}
}

// event takes an event. It returns no error.
func (b *scoreboard) event(e client.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.finish()
	if g, ok := e.Progress(); ok {
		if !ofCrowd(g.OrderName) {
			b.show.Progress(g.OrderName, g.Report, g.ETA)
		}
	} else if c, ok := e.Completion(); ok {
		b.ended[c.OrderName] = append(b.ended[c.OrderName], c)
		b.completed++
		if !ofCrowd(c.OrderName) {
			b.show.Ended(c.OrderName)
			b.show.Line("● event %s %s: %s", e.Type(), c.OrderName, c.Outcome)
		} else if b.crowd++; b.crowd == crowded {
			b.show.Line("● %d events %s %s…\n  by now it is known how long orders take", crowded, e.Type(), crowdPrefix)
		}
	} else if r, ok := e.Rejection(); ok {
		b.fields = append(b.fields, r.Field)
		b.show.Line("%s", hanging(fmt.Sprintf("● event %s %s: %s", e.Type(), r.RequestID, r.Reason), b.show.Columns))
	}
	return nil
}

// failed shows why the events are followed no longer, where that is not the demo's end.
func (b *scoreboard) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !errors.Is(err, context.Canceled) {
		b.show.Line("! the events cannot be followed: %v", err)
	}
}

// posted takes a message in Slack.
func (b *scoreboard) posted(m slackemulator.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.finish()
	if m.Channel == crowdChannel {
		return
	}
	title := "Slack #on-call"
	switch root := b.slack[m.ThreadTS]; {
	case strings.HasPrefix(m.Text, "A request was rejected"): // of no order that is counted
	case m.ThreadTS == "":
		b.slack[m.TS] = &slackPost{running: isRunning(m), thread: hasThread(m)}
	case m.Broadcast && root != nil:
		root.wakes = false
		title += ", in the thread and in the channel"
	case root != nil:
		root.thread = false
		title += ", in the thread"
	}
	b.show.Line("%s", box(title, slackemulator.Render(m), b.show.Columns))
}

// edited takes a message in Slack that was changed. Only what it becomes at the end is shown in full.
func (b *scoreboard) edited(m slackemulator.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.finish()
	root := b.slack[m.TS]
	if root == nil {
		return
	}
	if isRunning(m) {
		b.show.Line("%s", hanging("✎ Slack #on-call: "+m.Text, b.show.Columns))
		return
	}
	if root.running { // a later edit is told of by no reply
		root.running, root.wakes = false, !strings.HasPrefix(m.Text, "DONE: ")
	}
	root.thread = hasThread(m)
	b.show.Line("%s", box("Slack #on-call, the same message", slackemulator.Render(m), b.show.Columns))
}

// isRunning reports whether a message tells of an order that goes on.
func isRunning(m slackemulator.Message) bool { return strings.HasPrefix(m.Text, "RUNNING: ") }

// hasThread reports whether a message refers to what is in its thread.
func hasThread(m slackemulator.Message) bool {
	return strings.Contains(slackemulator.Render(m), "in the thread")
}

// box draws a frame at the left of a text, whose lines are broken at so many columns.
func box(title, text string, columns int) string {
	var b strings.Builder
	b.WriteString("┌ " + title + "\n")
	for line := range strings.Lines(text) {
		broken := hanging(strings.TrimRight(line, "\n"), columns-2)
		b.WriteString("│ " + strings.ReplaceAll(broken, "\n", "\n│ ") + "\n")
	}
	return b.String() + "└"
}

// hanging breaks a line at so many columns. What follows is indented as it is, and two columns more.
func hanging(line string, columns int) string {
	text := strings.TrimLeft(line, " ")
	indent := strings.Repeat(" ", len(line)-len(text))
	lines := output.Paragraph(text, columns-len(indent)-2, maxBroken)
	return indent + strings.Join(lines, "\n"+indent+"  ")
}

// maxBroken is into how many lines one is broken at the most.
const maxBroken = 100

// finish closes done when all that was scripted has happened.
func (b *scoreboard) finish() {
	if b.wrong() == nil {
		b.finished()
	}
}

// wrong returns how what happened differs from what was scripted.
func (b *scoreboard) wrong() error {
	var wrong []error
	orders, rejected := 0, 0
	for _, f := range b.fates {
		if f.outcome == "" {
			rejected++
			if !slices.Contains(b.fields, f.rejected) {
				wrong = append(wrong, fmt.Errorf("%s: not rejected for %s", f.order, f.rejected))
			}
			continue
		}
		orders++
		if err := f.check(b.ended[f.order]); err != nil {
			wrong = append(wrong, err)
		}
	}
	if len(b.fields) != rejected {
		wrong = append(wrong, fmt.Errorf("%d requests were rejected; scripted: %d", len(b.fields), rejected))
	}
	final := 0
	for _, p := range b.slack {
		if !p.running && !p.wakes && !p.thread {
			final++
		}
	}
	if alone := orders - crowded; b.completed != orders || len(b.slack) != alone || final != alone {
		wrong = append(wrong, fmt.Errorf("%d completion events and %d messages in Slack, %d of them final; scripted: %d and %d of each", b.completed, len(b.slack), final, orders, alone))
	}
	return errors.Join(wrong...)
}

// check compares the completions of the fate's order with its script.
func (f fate) check(completions []watcher.Completion) error {
	if len(completions) != 1 {
		return fmt.Errorf("%s: %d completion events; scripted: 1", f.order, len(completions))
	}
	c := completions[0]
	if c.Outcome != f.outcome {
		return fmt.Errorf("%s: %s; scripted: %s", f.order, c.Outcome, f.outcome)
	}
	for _, r := range f.requests {
		named := func(found watcher.Request) bool { return found.ID == r.RequestID }
		if !slices.ContainsFunc(c.Requests, named) {
			return fmt.Errorf("%s: the completion does not name %s", f.order, r.RequestID)
		}
	}
	return nil
}

// summary shows the score. The error says what came out otherwise than scripted.
func (b *scoreboard) summary() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.show.Close()
	polls := 0
	by := make(map[watcher.Outcome][]watcher.Completion)
	for _, f := range b.fates {
		for _, c := range b.ended[f.order] {
			by[c.Outcome] = append(by[c.Outcome], c)
			polls += c.Polls
		}
	}
	b.show.Line("\n%-20s %3d", "requested", b.asked)
	b.show.Line("%-20s %3d   %-23s%s", "completed", b.completed, "", "end seen after")
	for _, outcome := range watcher.Outcomes {
		if ended := by[outcome]; len(ended) > 0 {
			b.show.Line("  %-18s %3d   %s", outcome, len(ended), strings.Join(endings(ended), "\n"+strings.Repeat(" ", 27)))
		}
	}
	b.show.Line("%-20s %3d   %s", "rejected", len(b.fields), strings.Join(b.fields, ", "))
	b.show.Line("%-20s %3d", "polls", polls)
	if err := b.wrong(); err != nil {
		return fmt.Errorf("not as scripted:\n%w", err)
	}
	b.show.Line("Everything came out as scripted.")
	return nil
}

// endings returns a line for each order, and one for the crowd: its name, and how late its end was seen.
func endings(ended []watcher.Completion) (lines []string) {
	var crowd []watcher.Completion
	for _, c := range ended {
		if ofCrowd(c.OrderName) {
			crowd = append(crowd, c)
		} else {
			lines = append(lines, ending(c.OrderName, c))
		}
	}
	if len(crowd) > 0 {
		lines = append(lines, ending(fmt.Sprintf("%s… (%d)", crowdPrefix, len(crowd)), crowd...))
	}
	return lines
}

// ending returns the orders' name, and after how long their ends were seen, by what. That is empty where they have not ended.
func ending(name string, ended ...watcher.Completion) string {
	var after []time.Duration
	list := 0
	for _, c := range ended {
		detected, err := time.ParseDuration(c.DetectedAfter)
		settled, settledErr := time.ParseDuration(c.SettledAfter)
		if err != nil || settledErr != nil {
			return name
		}
		after = append(after, detected-settled)
		if c.DetectedBy == watcher.ByList {
			list++
		}
	}
	first, last := slices.Min(after).Seconds(), slices.Max(after).Seconds()
	switch {
	case len(ended) > 1:
		return fmt.Sprintf("%-23s%.1f to %.1f s, %d by the list", name, first, last, list)
	case list > 0:
		return fmt.Sprintf("%-23s%.1f s, by the list", name, first)
	}
	return fmt.Sprintf("%-23s%.1f s, by a poll", name, first)
}
