package message

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// namesTogether is how many orders a digest names.
const namesTogether = 40

// Together is what one message tells of many watches that ended. Add adds to it.
type Together struct {
	Orders    []named   `json:"orders,omitempty"` // the first of them, failures before the others
	Names     []string  `json:"names,omitempty"`  // of the first orders, as the release before noted them; it is only read
	Failed    int       `json:"failed,omitempty"`
	Succeeded int       `json:"succeeded"`
	Cancelled int       `json:"cancelled"`
	First     time.Time `json:"first"` // when the first of them ended
}

// A named order has no secrets, and is bounded.
type named struct {
	Word string `json:"word"` // what became of it
	Name string `json:"name"`
	URL  string `json:"url,omitempty"` // of its page, the console, or its pipeline; empty: none can be shown
}

// Add adds a watch that ended.
func (g *Together) Add(c watcher.Completion, o Options) {
	became := c.Word()
	c.Items, c.Failures, c.Actions = nil, nil, nil
	c = withoutSecrets(c, o.Secrets)
	n := named{Word: became, Name: known(c.OrderName, maxPerson), URL: o.orderURL(c)}
	if r, ok := firstLinked(ownFirst(c.Requests, o.Own)); ok && n.URL == "" {
		n.URL = shownAddress(r.Link, maxOwnLink)
	}
	at := len(g.Orders)
	switch {
	case Fails(c.Outcome):
		at = min(g.Failed, at)
		g.Failed++
	case c.Outcome == watcher.Cancelled:
		g.Cancelled++
	default:
		g.Succeeded++
	}
	if g.Orders = slices.Insert(g.Orders, at, n); len(g.Orders) > namesTogether {
		g.Orders = g.Orders[:namesTogether]
	}
	if g.First.IsZero() || c.CompletedAt.Before(g.First) {
		g.First = c.CompletedAt
	}
}

// Message returns the digest as people see it at that time.
func (g Together) Message(now time.Time) Message {
	var parts []string
	for _, part := range []struct {
		n           int
		noun, ended string
	}{{g.Failed, "order", "failed"}, {g.Succeeded, "order", "succeeded"}, {g.Cancelled, "watch", "cancelled"}} {
		if part.n > 0 {
			parts = append(parts, words.Count(part.n, part.noun)+" "+part.ended)
		}
	}
	said := strings.Join(parts, ", ")
	why := "Too many messages waited for this channel, so these are told together."
	if g.Failed == 0 {
		why += " Failures have messages of their own."
	}
	last := row{say("The first ended "), when(g.First)}
	if note := lateness(g.First, now); note != "" {
		last = append(last, say(", delivered "+note))
	}
	p := newPage()
	p.add(rich(row{emoji(":package:"), say(" "), strong(said)}, row{say(why)}))
	p.addOrders(g, rich(last))
	return Message{Text: escape(fit(said+", told together.", maxText)), Blocks: p.blocks, Brief: []slack.Block{section(":package: *" + escape(said) + "*\n" + escape(why))}}
}

// addOrders names as many of the orders as have room, one on a line, says how many others there are, and appends
// the last block.
func (p *page) addOrders(g Together, last slack.Block) {
	p.left -= weigh(last) + blockOverhead + pointerRoom
	orders := slices.Clone(g.Orders)
	for _, name := range g.Names {
		orders = append(orders, named{Name: name})
	}
	block, shown := slack.NewRichTextBlock(""), 0
	for _, n := range orders {
		word := ""
		if n.Word != "" {
			word = n.Word + " - "
		}
		if !p.grow(block, slack.NewRichTextSection(row{say(word), linked(n.URL, n.Name)}.spans()...)) {
			break
		}
		shown++
	}
	if more := g.Failed + g.Succeeded + g.Cancelled - shown; more > 0 {
		block.Elements = append(block.Elements, paragraph("", fmt.Sprintf("and %s more: see the completion events", words.Number(more))))
	}
	p.blocks = append(p.blocks, block, last)
}
