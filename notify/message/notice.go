package message

import (
	"slices"

	"github.com/slack-go/slack"
)

// A notice is a message about what goes on: of an account ([Announce]), or of one watch ([Concern]).
type notice struct {
	title  string // in mrkdwn
	plain  string // the title without a link
	text   string // the fallback: all of it in a sentence, escaped
	wakes  string // the mention of whom it wakes; empty: nobody
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
	p := newPage()
	marks := marks(o)
	for _, mark := range marks {
		p.add(mark)
	}
	p.add(section(n.title + behind(n.wakes)))
	p.add(section("", n.fields...))
	p.add(section(n.means))
	p.addText("", "The last error:", n.err)
	for _, l := range n.lists {
		p.addText(l.title, "", l.lines)
	}
	brief := append(slices.Clone(marks), section(n.plain+behind(n.wakes)), section(n.means))
	if n.do != "" {
		p.add(section(n.do))
		brief = append(brief, section(n.do))
	}
	if len(n.small) > 0 {
		p.add(smallPrint(n.small...))
	}
	return Message{Text: n.text, Blocks: p.blocks, Brief: brief, Mention: n.wakes}
}
