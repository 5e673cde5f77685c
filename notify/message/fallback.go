package message

import (
	"fmt"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// fallback returns what stands in place of the blocks, in push notifications, search and screen readers: the
// title as a sentence, then who asked, and how late the message is. It is not escaped.
func fallback(c watcher.Completion, t title, o Options) string {
	text := t.before + orderName(c) + fit(t.after, maxText-maxName-maxCause-80) + "."
	if !o.Again.At.IsZero() {
		text = "Sent again by " + againBy(o) + ": " + text
	}
	if by := askers(c.Requests); by != "" {
		text += " Asked for by " + by + "."
	}
	if note := lateness(c.CompletedAt, o.Now); note != "" {
		text += " Delivered " + note + "."
	}
	return text
}

// lateness returns "42 min late" where the message comes late.
func lateness(ended, now time.Time) string {
	d := now.Sub(ended)
	switch {
	case now.IsZero() || d < lateAfter || ended.IsZero():
		return ""
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min late", int(d.Minutes()))
	}
	return words.Span(d) + " late"
}
