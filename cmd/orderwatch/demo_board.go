package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cloudevents/sdk-go/v2/event"

	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// A scoreboard shows what becomes of the demo's requests and keeps score. It is safe for
// concurrent use.
type scoreboard struct {
	show    screen
	fates   []fate
	columns int           // how wide texts are
	done    chan struct{} // closed when everything that was scripted has happened

	mu        sync.Mutex
	asked     int
	ended     map[string][]watcher.Completion // by order
	fields    []string                        // of rejected requests
	slack     map[string]*slackPost           // the channel's messages by ts, without replies
	completed int
}

// A slackPost is what becomes of one message in the channel.
type slackPost struct {
	running bool // it tells of an order that goes on
	wakes   bool // it was edited and mentions somebody, whom only a reply wakes
	thread  bool // it refers to its thread, where nothing is
}

func newScoreboard(show screen, fates []fate, columns int) *scoreboard {
	return &scoreboard{
		show: show, fates: fates, columns: columns, done: make(chan struct{}),
		ended: make(map[string][]watcher.Completion), slack: make(map[string]*slackPost),
	}
}

func (b *scoreboard) requested(f fate, request map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	b.show.line("→ request %-11v %-21s %s", request["request_id"], f.order, f.story)
	if f.outcome != "" {
		b.show.began(f.order)
	}
}

// event takes an event of ORDER_EVENTS.
func (b *scoreboard) event(encoded []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.finish()
	var e event.Event
	if err := json.Unmarshal(encoded, &e); err != nil {
		b.show.line("! not a CloudEvent: %v", err)
		return
	}
	switch e.Type() {
	case "io.orderwatch.order.progressed.v1":
		var g watcher.Progress
		if e.DataAs(&g) == nil {
			b.show.progress(g.OrderName, g.Counts)
		}
	case "io.orderwatch.order.completed.v1":
		var c watcher.Completion
		if e.DataAs(&c) == nil {
			b.ended[c.OrderName] = append(b.ended[c.OrderName], c)
			b.completed++
			b.show.ended(c.OrderName)
			b.show.line("● event %s %s: %s", e.Type(), c.OrderName, c.Outcome)
		}
	case "io.orderwatch.request.rejected.v1":
		var r struct {
			Reason, Field string
			RequestID     string `json:"request_id"`
		}
		if e.DataAs(&r) == nil {
			b.fields = append(b.fields, r.Field)
			b.show.line("%s", hanging(fmt.Sprintf("● event %s %s: %s", e.Type(), r.RequestID, r.Reason), b.columns))
		}
	}
}

// posted takes a message in Slack.
func (b *scoreboard) posted(m slackemulator.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.finish()
	title := "Slack #on-call"
	switch root := b.slack[m.ThreadTS]; {
	case m.ThreadTS == "":
		b.slack[m.TS] = &slackPost{running: isRunning(m), thread: hasThread(m)}
	case m.Broadcast && root != nil:
		root.wakes = false
		title += ", in the thread and in the channel"
	case root != nil:
		root.thread = false
		title += ", in the thread"
	}
	b.show.line("%s", box(title, slackemulator.Render(m), b.columns))
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
		b.show.line("%s", hanging("✎ Slack #on-call: "+m.Text, b.columns))
		return
	}
	root.running, root.wakes, root.thread = false, len(slackemulator.Mentions(m)) > 0, hasThread(m)
	b.show.line("%s", box("Slack #on-call, the same message", slackemulator.Render(m), b.columns))
}

// isRunning reports whether a message tells of an order that goes on.
func isRunning(m slackemulator.Message) bool { return strings.Contains(m.Text, " is running: ") }

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
	lines := paragraph(text, columns-len(indent)-2, maxBroken)
	return indent + strings.Join(lines, "\n"+indent+"  ")
}

// maxBroken is into how many lines one is broken at the most.
const maxBroken = 100

// finish tells whoever waits when all that was scripted has happened.
func (b *scoreboard) finish() {
	select {
	case <-b.done:
		return
	default:
	}
	if b.wrong() == nil {
		close(b.done)
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
	if b.completed != orders || len(b.slack) != orders || final != orders {
		wrong = append(wrong, fmt.Errorf("%d completion events and %d messages in Slack, %d of them final; scripted: %d of each", b.completed, len(b.slack), final, orders))
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
		named := func(found watcher.Request) bool { return found.ID == r["request_id"] }
		if !slices.ContainsFunc(c.Requests, named) {
			return fmt.Errorf("%s: the completion does not name %v", f.order, r["request_id"])
		}
	}
	return nil
}

// summary shows the score. The error says what came out otherwise than scripted.
func (b *scoreboard) summary() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.show.close()
	polls := 0
	by := make(map[watcher.Outcome][]string)
	for _, f := range b.fates {
		for _, c := range b.ended[f.order] {
			by[c.Outcome] = append(by[c.Outcome], f.order)
			polls += c.Polls
		}
	}
	b.show.line("\n%-20s %3d", "requested", b.asked)
	b.show.line("%-20s %3d", "completed", b.completed)
	for _, outcome := range watcher.Outcomes {
		if orders := by[outcome]; len(orders) > 0 {
			names := paragraph(strings.Join(orders, ", "), b.columns-27, maxBroken)
			b.show.line("  %-18s %3d   %s", outcome, len(orders), strings.Join(names, "\n"+strings.Repeat(" ", 27)))
		}
	}
	b.show.line("%-20s %3d   %s", "rejected", len(b.fields), strings.Join(b.fields, ", "))
	b.show.line("%-20s %3d", "polls", polls)
	if err := b.wrong(); err != nil {
		return fmt.Errorf("not as scripted:\n%w", err)
	}
	b.show.line("Everything came out as scripted.")
	return nil
}
