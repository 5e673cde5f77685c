package message

import (
	"cmp"

	"github.com/slack-go/slack"
)

// A notice is a message about what goes on: of an account ([Announce]), or of one watch ([Concern]).
type notice struct {
	title  string // in mrkdwn
	plain  string // the title without a link; empty: it has none
	text   string // all of it in a sentence, not escaped
	wakes  bool
	fields []*slack.TextBlockObject
	means  string // in mrkdwn
	err    string // what calls met last; foreign
	lists  []list
	do     string // in mrkdwn; empty: nothing
	small  []string
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
	p.add(section(n.title + behind(m.Mention)))
	p.add(section("", n.fields...))
	p.add(section(n.means))
	p.addText("", "The last error:", n.err)
	for _, l := range n.lists {
		p.addText(l.title, "", l.lines)
	}
	m.Brief = append(m.Brief, section(cmp.Or(n.plain, n.title)+behind(m.Mention)), section(n.means))
	if n.do != "" {
		p.add(section(n.do))
		m.Brief = append(m.Brief, section(n.do))
	}
	if len(n.small) > 0 {
		p.add(smallPrint(n.small...))
	}
	m.Blocks = p.blocks
	return m
}
