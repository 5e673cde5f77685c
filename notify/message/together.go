package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
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

// AlikeRows is how many watches one reply of a group lists: [Alike.Page] has room for so many of any names.
const AlikeRows = 50

// Limits of a row. AlikeRows of them, each of the longest, fit on a page.
const (
	rowName  = 48
	rowWatch = 36
)

// Alike is what one message tells of many watches that failed with one cause; its thread lists them.
type Alike struct {
	Cause string    `json:"cause,omitempty"` // of the first of them, without secrets, and bounded
	Ended string    `json:"ended,omitempty"` // what became of it, in words
	Since time.Time `json:"since,omitzero"`  // when it ended
	Alone int       `json:"alone,omitempty"` // how many of them have messages of their own
}

// A Row is a watch that failed as it is listed.
type Row struct {
	Watch string `json:"watch"`          // its id, without secrets, and bounded
	Order string `json:"order"`          // its order's name, as the id
	Said  string `json:"said,omitempty"` // how much failed
}

// AlikeTo returns the normalised cause for which a watch failed: equal for watches that failed alike, and bounded by
// nothing. It returns, too, what is told of a group that begins with the watch, and how the watch is listed in one.
func AlikeTo(c watcher.Completion, secrets *foreign.Secrets) (key string, g Alike, r Row) {
	c = withoutSecrets(c, secrets)
	g = Alike{Ended: endedAlike(c.Outcome), Since: c.CompletedAt}
	r = Row{Watch: known(c.WatchID, rowWatch), Order: middled(c.OrderName, rowName)}
	if n := c.Counts; n.Failed > 0 {
		r.Said = words.Number(n.Failed) + " of " + words.Number(n.Total) + " failed"
	}
	switch all := causes(c.Failures); {
	case len(all) > 0 && c.Outcome != watcher.TimedOut:
		g.Cause = excerpt(all[0].message, maxExcerpt)
		return "failed\n" + all[0].action + "\n" + shapeOf(all[0]), g, r
	case c.Error != nil:
		said, _ := c.Error.Words()
		g.Cause = excerpt(cmp.Or(c.Error.Message, said), maxExcerpt)
		return string(c.Outcome) + "\n" + c.Error.Code + "\n" + shapeOf(cause{message: c.Error.Message}), g, r
	}
	return string(c.Outcome), g, r
}

// middled returns a name on one line of at most limit units, never empty: its two ends where it is longer.
func middled(s string, limit int) string {
	if s = resource(s); units(s) > limit {
		return fit(s, limit/2) + fitEnd(s, limit/2)
	}
	return s
}

// endedAlike returns what became of orders, as it is said of several.
func endedAlike(o watcher.Outcome) string {
	switch o {
	case watcher.TimedOut:
		return "timed out alike"
	case watcher.OrderNotFound:
		return "were not found"
	case watcher.OrderRefused:
		return "were refused alike"
	}
	return "failed alike"
}

// Message returns what stands in the channel while so many are listed in the thread. With none listed its text names
// the group elsewhere. Where Slack refuses the thread the message says so, and that each has a message of its own.
func (g Alike) Message(listed int, o Options) Message {
	title := "Orders " + g.Ended // it is not said how many, since more come
	if listed > 0 && !o.NoThread {
		title = words.Count(g.Alone+listed, "order") + " " + g.Ended
	}
	said := title
	if cause := line(essence(g.Cause), maxCause); cause != "" {
		said += ": " + cause
	}
	where := "All are listed in the thread."
	if g.Alone > 0 {
		where = fmt.Sprintf("The first %s have messages of their own, the others are listed in the thread.", words.Number(g.Alone))
	}
	m := Message{Text: escape(fit(said+". The others are in the thread.", maxSentence)), Mention: o.Mention}
	if o.NoThread {
		m.Text = escape(fit(said+". Each has a message of its own.", maxSentence))
		where = fmt.Sprintf("Slack refuses a thread here (%s), so those that it does not list have messages of their own.", escape(word(o.Code, maxPerson)))
	}
	p := newPage()
	p.addRows(row{emoji(":red_circle:"), say(" "), strong(title)})
	p.addText("", "The cause:", cmp.Or(g.Cause, noMessage))
	how := where + " `orderwatch get` and a watch's id show one of them."
	if !o.NoThread {
		how += " This message is edited as more come, which wakes nobody; if they still come after an hour, another follows."
	}
	p.add(section(before(o.Mention) + how))
	var last []row
	for _, address := range runbooksFor(watcher.Completion{}, []cause{{message: g.Cause}}, o.Runbooks) {
		last = append(last, row{linked(address, "Runbook")})
	}
	p.addRows(dotted(append(last, row{say("The first ended "), when(g.Since)})...))
	m.Blocks, m.Brief = p.blocks, []slack.Block{section(":red_circle: *" + escape(said) + "*"), section(before(o.Mention) + where)}
	return m
}

// maxPageText bounds the text of a reply that lists watches, in bytes. It names them all, unless many have names in
// other scripts: for a Slack that refuses its blocks. chat.update refuses over 4,000 bytes.
const maxPageText = 3800

// Page returns the reply that lists these watches, at most AlikeRows, of which the first one is the group's n-th. Its
// text is longer than that of others. The first of them, as many as there is room for, are linked to their pages.
func (g Alike) Page(n int, rows []Row, o Options) Message {
	title := fmt.Sprintf("Orders %s to %s that %s", words.Number(n), words.Number(n+len(rows)-1), g.Ended)
	if len(rows) == 1 {
		title = fmt.Sprintf("Order %s of those that %s", words.Number(n), g.Ended)
	}
	var names []string
	lines := &slack.RichTextPreformatted{Type: slack.RTEPreformatted}
	for i, r := range rows {
		names = append(names, r.Order)
		end := "\n"
		if i == len(rows)-1 {
			end = ""
		}
		lines.Elements = append(lines.Elements, say(r.Order), say(strings.TrimRight("  "+r.Watch+"  "+r.Said, " ")+end))
	}
	p, block := newPage(), slack.NewRichTextBlock("", paragraph(title, ""), lines)
	for i, room := 0, p.left-weigh(block); i < len(rows); i++ {
		address := o.Links.watch(rows[i].Watch)
		if room -= units(address); room < 0 {
			break
		}
		lines.Elements[2*i] = linked(address, rows[i].Order)
	}
	p.add(block)
	return Message{Text: cutEscaped(escape(title+": "+strings.Join(names, ", ")), maxPageText), Blocks: p.blocks}
}

// How many messages the line of a ping names, and how much it says of each.
const (
	missedNamed  = 12
	missedLength = 200 // bytes of each: an order's name comes last
)

// Missed returns the line that wakes people for messages that came since they were woken last, and woke nobody. The
// texts are those messages' own, the most urgent first.
func Missed(texts []string, mention string) Message {
	var named []string
	var rows []row
	for _, text := range texts[:min(missedNamed, len(texts))] {
		named = append(named, "• "+cutEscaped(text, missedLength))
		rows = append(rows, row{say(unescaped(named[len(named)-1]))})
	}
	title := words.Number(len(texts)) + " more since the last ping"
	if more := len(texts) - len(named); more > 0 {
		named = append(named, "and "+words.Number(more)+" more")
		rows = append(rows, row{say(named[len(named)-1])})
	}
	return Message{
		Text:    cutEscaped(title+": "+strings.TrimPrefix(strings.Join(named, " "), "• "), maxSentence),
		Blocks:  []slack.Block{section(before(mention) + ":bell: *" + title + "*"), rich(rows...)},
		Mention: mention,
	}
}

// cutEscaped returns escaped text, cut between words where it is longer than so many bytes.
func cutEscaped(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	if space := strings.LastIndexByte(s[:limit], ' '); space > 0 {
		return s[:space] + " …"
	}
	return "…"
}
