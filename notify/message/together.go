package message

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// namesTogether is how many orders a digest names.
const namesTogether = 40

// Together is what one message tells of many watches that ended well. Add adds to it.
type Together struct {
	Names     []string  `json:"names"` // of the first orders, without secrets, and bounded
	Succeeded int       `json:"succeeded"`
	Cancelled int       `json:"cancelled"`
	First     time.Time `json:"first"` // when the first of them ended
}

// Add adds a watch that succeeded or was cancelled.
func (g *Together) Add(c watcher.Completion, secrets *foreign.Secrets) {
	name := known(secrets.Hide(c.OrderName), maxPerson)
	if c.Outcome == watcher.Cancelled {
		name += " (cancelled)"
		g.Cancelled++
	} else {
		g.Succeeded++
	}
	if len(g.Names) < namesTogether {
		g.Names = append(g.Names, name)
	}
	if g.First.IsZero() || c.CompletedAt.Before(g.First) {
		g.First = c.CompletedAt
	}
}

// Message returns the digest as people see it at that time.
func (g Together) Message(now time.Time) Message {
	var parts []string
	if g.Succeeded > 0 {
		parts = append(parts, words.Count(g.Succeeded, "order")+" succeeded")
	}
	if g.Cancelled > 0 {
		parts = append(parts, words.Count(g.Cancelled, "watch")+" cancelled")
	}
	said := strings.Join(parts, ", ")
	why := "Too many messages waited for this channel, so these are told together. Failures have messages of their own."
	names := strings.Join(g.Names, ", ")
	if more := g.Succeeded + g.Cancelled - len(g.Names); more > 0 {
		names += fmt.Sprintf(" and %s more: see the completion events", words.Number(more))
	}
	first := ":package: *" + escape(said) + "*"
	p := newPage()
	p.add(section(first + "\n" + why))
	p.add(slack.NewRichTextBlock("", preformatted(names)))
	small := "The first ended " + date(g.First)
	if note := lateness(g.First, now); note != "" {
		small += ", delivered " + note
	}
	p.add(smallPrint(small))
	return Message{Text: escape(fit(said+", told together.", maxText)), Blocks: p.blocks, Brief: []slack.Block{section(first)}}
}
