package message

import (
	"strings"

	"github.com/slack-go/slack"
)

// A notice is a message about what goes on: of an account ([Announce]), or of one watch ([Concern]).
type notice struct {
	title   row
	text    string // all of it in a sentence, not escaped
	wakes   bool
	facts   []row
	means   string // in mrkdwn
	quote   quote  // what calls met last; it may be empty
	lists   []list
	do      string // in mrkdwn; empty: nothing
	command string // what do ends in; empty: no command
	small   []row
}

// A list is some lines of foreign text below a title.
type list struct{ title, lines string }

// message returns the notice as it is posted.
func (n notice) message(o Options) Message {
	m := Message{Text: escape(fit(n.text, maxSentence)), Brief: marks(o)}
	if n.wakes {
		m.Mention = o.Mention
	}
	p := newPage()
	for _, mark := range m.Brief {
		p.add(mark)
	}
	p.add(rich(n.title, dotted(n.facts...)))
	p.add(section(before(m.Mention) + n.means))
	if n.quote.text != "" {
		p.addText("", n.quote.by, n.quote.excerpt())
	}
	for _, l := range n.lists {
		p.addText(l.title, "", l.lines)
	}
	m.Brief = append(m.Brief, section(escape(strings.ReplaceAll(n.plainTitle(), "`", "'"))), section(before(m.Mention)+n.means))
	if n.do != "" {
		p.add(section(n.do))
		m.Brief = append(m.Brief, section(strings.TrimSpace(n.do+"\n"+escape(n.command))))
	}
	if n.command != "" {
		p.add(slack.NewRichTextBlock("", preformatted(n.command)))
	}
	if len(n.small) > 0 {
		p.add(rich(n.small...))
	}
	m.Blocks = p.blocks
	return m
}

// plainTitle returns the title without links.
func (n notice) plainTitle() string {
	var plain row
	for _, s := range n.title.spans() {
		if l, ok := s.(*slack.RichTextSectionLinkElement); ok {
			s = say(l.Text)
		}
		plain = append(plain, s)
	}
	return textOf(slack.NewRichTextSection(plain...))
}
