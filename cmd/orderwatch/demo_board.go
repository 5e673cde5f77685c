package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cloudevents/sdk-go/v2/event"

	slackemulator "github.com/orderwatch/orderwatch/notify/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// A scoreboard shows what becomes of the demo's requests and keeps score. It is safe for
// concurrent use.
type scoreboard struct {
	show  screen
	fates []fate
	done  chan struct{} // closed when everything that was scripted has happened

	mu        sync.Mutex
	asked     int
	ended     map[string][]watcher.Completion // by order
	fields    []string                        // of rejected requests
	posts     int                             // messages in Slack, without replies
	completed int
}

func newScoreboard(show screen, fates []fate) *scoreboard {
	return &scoreboard{show: show, fates: fates, done: make(chan struct{}), ended: make(map[string][]watcher.Completion)}
}

func (b *scoreboard) requested(f fate, request map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	b.show.line("→ request %-11v %-22s %s", request["request_id"], f.order, f.story)
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
			b.show.line("● event %s %s: %s", e.Type(), r.RequestID, r.Reason)
		}
	}
}

// posted takes a message in Slack.
func (b *scoreboard) posted(m slackemulator.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.finish()
	title := "Slack #on-call"
	if m.ThreadTS != "" {
		title += ", in the thread"
	} else {
		b.posts++
	}
	b.show.line("%s", box(title, slackemulator.Render(m)))
}

// box draws a frame at the left of a text.
func box(title, text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return "┌ " + title + "\n│ " + strings.Join(lines, "\n│ ") + "\n└"
}

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
	if b.completed != orders || b.posts != orders {
		wrong = append(wrong, fmt.Errorf("%d completion events and %d messages in Slack; scripted: %d of each", b.completed, b.posts, orders))
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
			b.show.line("  %-18s %3d   %s", outcome, len(orders), strings.Join(orders, ", "))
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
