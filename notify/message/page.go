package message

import (
	"strings"
	"unicode/utf16"

	"github.com/slack-go/slack"
)

// A page collects blocks and takes only what fits, so that no message is ever too large.
type page struct {
	blocks []slack.Block
	left   int // units
}

func newPage() *page { return &page{left: maxTotal} }

// add appends the block where it fits.
func (p *page) add(b slack.Block) bool {
	w := weigh(b)
	if len(p.blocks) == maxBlocks || w > p.left {
		return false
	}
	p.blocks = append(p.blocks, b)
	p.left -= w
	return true
}

// addText appends a line that begins in bold, and below it text in which Slack parses nothing. It appends neither
// where there is no text.
func (p *page) addText(bold, plain, text string) {
	if text != "" {
		p.add(slack.NewRichTextBlock("", paragraph(bold, plain), preformatted(text)))
	}
}

// grow appends the elements to a block of the page where all of them fit.
func (p *page) grow(b *slack.RichTextBlock, elements ...slack.RichTextElement) bool {
	w := 0
	for _, e := range elements {
		w += units(textOf(e))
	}
	if w > p.left {
		return false
	}
	b.Elements = append(b.Elements, elements...)
	p.left -= w
	return true
}

// weigh returns what the block counts in maxTotal.
func weigh(b slack.Block) int {
	w := blockOverhead
	if b, ok := b.(*slack.RichTextBlock); ok {
		for _, e := range b.Elements {
			w += units(textOf(e))
		}
	}
	for _, t := range mrkdwnOf(b) {
		w += len(utf16.Encode([]rune(t.Text))) // it is escaped already
	}
	return w
}

// mrkdwnOf returns the texts of a section or a context block, the only ones used here.
func mrkdwnOf(b slack.Block) (texts []*slack.TextBlockObject) {
	switch b := b.(type) {
	case *slack.SectionBlock:
		if b.Text != nil {
			texts = append(texts, b.Text)
		}
		return append(texts, b.Fields...)
	case *slack.ContextBlock:
		for _, e := range b.ContextElements.Elements {
			if t, ok := e.(*slack.TextBlockObject); ok {
				texts = append(texts, t)
			}
		}
	}
	return texts
}

// textOf returns the text of a section or a preformatted part of rich text, the only ones used here.
func textOf(e slack.RichTextElement) string {
	var elements []slack.RichTextSectionElement
	switch e := e.(type) {
	case *slack.RichTextSection:
		elements = e.Elements
	case *slack.RichTextPreformatted:
		elements = e.Elements
	}
	var text strings.Builder
	for _, inner := range elements {
		if t, ok := inner.(*slack.RichTextSectionTextElement); ok {
			text.WriteString(t.Text)
		}
	}
	return text.String()
}

// mrkdwn returns a text object in which Slack resolves only our own codes: nothing in it is made
// a link or a mention because it looks like one.
func mrkdwn(s string) *slack.TextBlockObject {
	return &slack.TextBlockObject{Type: slack.MarkdownType, Text: s, Verbatim: true}
}

func section(text string, fields ...*slack.TextBlockObject) *slack.SectionBlock {
	if text == "" {
		return slack.NewSectionBlock(nil, fields, nil)
	}
	return slack.NewSectionBlock(mrkdwn(text), fields, nil)
}

func field(name, value string) *slack.TextBlockObject { return mrkdwn("*" + name + "*\n" + value) }

// smallPrint returns the texts, each in mrkdwn, but for those that are empty.
func smallPrint(texts ...string) *slack.ContextBlock {
	var elements []slack.MixedElement
	for _, text := range texts {
		if text != "" {
			elements = append(elements, mrkdwn(text))
		}
	}
	return slack.NewContextBlock("", elements...)
}

// behind returns the mention as it stands behind a title.
func behind(mention string) string {
	if mention == "" {
		return ""
	}
	return " " + mention
}

// paragraph returns a line of rich text that begins in bold; either part may be empty.
func paragraph(bold, plain string) *slack.RichTextSection {
	var elements []slack.RichTextSectionElement
	if bold != "" {
		elements = append(elements, slack.NewRichTextSectionTextElement(bold, &slack.RichTextSectionTextStyle{Bold: true}))
	}
	if plain != "" {
		elements = append(elements, slack.NewRichTextSectionTextElement(plain, nil))
	}
	return slack.NewRichTextSection(elements...)
}

// preformatted returns text in which Slack parses nothing.
func preformatted(s string) *slack.RichTextPreformatted {
	return &slack.RichTextPreformatted{
		Type:     slack.RTEPreformatted,
		Elements: []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(s, nil)},
	}
}
