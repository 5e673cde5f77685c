package message

import (
	"net/url"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/slack-go/slack"
)

// A span is a piece of a line of rich text. Slack parses nothing in its text: no mention, no emoji's name, no
// formatting. So foreign text needs no escaping in it.
type span = slack.RichTextSectionElement

// say returns the text as it is; nil where it is empty.
func say(s string) span { return styled(s, nil) }

// strong returns the text in bold; nil where it is empty.
func strong(s string) span { return styled(s, &slack.RichTextSectionTextStyle{Bold: true}) }

func styled(s string, style *slack.RichTextSectionTextStyle) span {
	if s == "" {
		return nil
	}
	return slack.NewRichTextSectionTextElement(s, style)
}

// emoji returns the emoji of this name, such as ":mag:".
func emoji(name string) span {
	return slack.NewRichTextSectionEmojiElement(strings.Trim(name, ":"), 0, nil)
}

// linked returns the text, linked where the address is one that can be shown.
func linked(address, shown string) span {
	if address = shownAddress(address, maxLink); address == "" {
		return say(shown)
	}
	return slack.NewRichTextSectionLinkElement(address, shown, nil)
}

// shownAddress returns the address as Slack takes it, empty where it is no http(s) URL of at most limit units.
func shownAddress(address string, limit int) string {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.ContainsAny(u.Host, "<>|&\"'`{}\\^ ") || foreign.Text(address) != address {
		return ""
	}
	if address = urlEscaper.Replace(address); units(address) > limit {
		return ""
	}
	return address
}

var urlEscaper = strings.NewReplacer("|", "%7C", "<", "%3C", ">", "%3E", " ", "%20", "\n", "%0A", "\t", "%09")

// when returns a time in the reader's own zone, in UTC where that does not work.
func when(t time.Time) span {
	if !dated(t) {
		return say(moment(t))
	}
	shown := moment(t)
	return slack.NewRichTextSectionDateElement(t.Unix(), "{date_short_pretty} {time}", nil, &shown)
}

// A row is one line of rich text.
type row []span

// dotted returns the rows on one line, with a dot between them, but for those that are empty.
func dotted(rows ...row) (all row) {
	for _, r := range rows {
		if len(r.spans()) == 0 {
			continue
		}
		if len(all) > 0 {
			all = append(all, say(" · "))
		}
		all = append(all, r...)
	}
	return all
}

// weight returns what the row counts in maxTotal.
func (r row) weight() int { return weightOf(slack.NewRichTextSection(r.spans()...)) }

// spans returns the row without what is empty.
func (r row) spans() (spans []span) {
	for _, s := range r {
		if s != nil {
			spans = append(spans, s)
		}
	}
	return spans
}

// rich returns a block with these lines, but for those that are empty.
func rich(rows ...row) *slack.RichTextBlock {
	block := slack.NewRichTextBlock("")
	for _, r := range rows {
		if spans := r.spans(); len(spans) > 0 {
			block.Elements = append(block.Elements, slack.NewRichTextSection(spans...))
		}
	}
	return block
}

// fact returns a line that begins with what it tells of.
func fact(name string, value ...span) row { return append(row{strong(name + ":"), say(" ")}, value...) }

// paragraph returns a line of rich text that begins in bold; either part may be empty.
func paragraph(bold, plain string) *slack.RichTextSection {
	return slack.NewRichTextSection(row{strong(bold), say(plain)}.spans()...)
}

// preformatted returns text in which Slack parses nothing.
func preformatted(s string) *slack.RichTextPreformatted {
	return &slack.RichTextPreformatted{Type: slack.RTEPreformatted, Elements: []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(s, nil)}}
}

// textOf returns the text of a section or a preformatted part of rich text, the only ones used here, as a log has
// it: links as "text (url)", dates in UTC, no emoji.
func textOf(e slack.RichTextElement) string {
	var b strings.Builder
	for _, s := range spansOf(e) {
		switch s := s.(type) {
		case *slack.RichTextSectionTextElement:
			b.WriteString(s.Text)
		case *slack.RichTextSectionLinkElement:
			b.WriteString(s.Text + " (" + s.URL + ")")
		case *slack.RichTextSectionDateElement:
			b.WriteString(*s.Fallback)
		}
	}
	return strings.TrimLeft(b.String(), " ")
}

func spansOf(e slack.RichTextElement) []span {
	switch e := e.(type) {
	case *slack.RichTextSection:
		return e.Elements
	case *slack.RichTextPreformatted:
		return e.Elements
	}
	return nil
}

// weightOf returns what a part of rich text counts in maxTotal.
func weightOf(e slack.RichTextElement) (n int) {
	for _, s := range spansOf(e) {
		switch s := s.(type) {
		case *slack.RichTextSectionTextElement:
			n += units(s.Text)
		case *slack.RichTextSectionLinkElement:
			n += units(s.URL) + units(s.Text)
		case *slack.RichTextSectionDateElement:
			n += units(s.Format) + units(*s.Fallback)
		case *slack.RichTextSectionEmojiElement:
			n += units(s.Name)
		}
	}
	return n
}
