package message

import (
	"unicode/utf16"

	"github.com/slack-go/slack"
)

// A page collects blocks and takes only what fits, so that no message is ever too large.
type page struct {
	blocks []slack.Block
	most   int // blocks
	left   int // units
}

func newPage() *page { return &page{most: maxBlocks, left: maxTotal} }

// add appends the block where it fits.
func (p *page) add(b slack.Block) bool {
	w := weigh(b)
	if len(p.blocks) >= p.most || w > p.left {
		return false
	}
	p.blocks = append(p.blocks, b)
	p.left -= w
	return true
}

// addRows appends rich text of these lines, but for those that are empty; Slack refuses a block that has none.
func (p *page) addRows(rows ...row) {
	if b := rich(rows...); len(b.Elements) > 0 {
		p.add(b)
	}
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
		w += weightOf(e)
	}
	if w > p.left {
		return false
	}
	b.Elements = append(b.Elements, elements...)
	p.left -= w
	return true
}

// weigh returns what the block counts in maxTotal. Blocks are sections in mrkdwn and rich text, here.
func weigh(b slack.Block) int {
	w := blockOverhead
	switch b := b.(type) {
	case *slack.RichTextBlock:
		for _, e := range b.Elements {
			w += weightOf(e)
		}
	case *slack.SectionBlock:
		w += len(utf16.Encode([]rune(b.Text.Text))) // it is escaped already
	}
	return w
}

// section returns text in mrkdwn, in which Slack resolves only our own codes: nothing in it is made a link or a
// mention because it looks like one. Foreign text belongs into rich text.
func section(text string) *slack.SectionBlock {
	return slack.NewSectionBlock(&slack.TextBlockObject{Type: slack.MarkdownType, Text: text, Verbatim: true}, nil, nil)
}

// before returns the mention as it stands before a text.
func before(mention string) string {
	if mention == "" {
		return ""
	}
	return mention + " "
}
