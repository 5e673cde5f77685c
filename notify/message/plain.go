package message

import (
	"regexp"
	"strings"

	"github.com/slack-go/slack"
)

// Lines returns the message and its replies as plain text for a log, one entry for each line, none
// empty: links as "text (url)", dates in UTC, failure texts indented, no mention.
func (m Message) Lines() []string {
	var lines []string
	for _, b := range m.Blocks {
		for _, text := range blockTexts(b) {
			for l := range strings.Lines(text) {
				if l = strings.TrimRight(l, " \n"); l != "" {
					lines = append(lines, l)
				}
			}
		}
	}
	for _, r := range m.Replies {
		lines = append(lines, r.Lines()...)
	}
	return lines
}

func blockTexts(b slack.Block) []string {
	var texts []string
	switch b := b.(type) {
	case *slack.SectionBlock:
		if b.Text != nil {
			texts = append(texts, plain(b.Text.Text))
		}
		for _, f := range b.Fields {
			texts = append(texts, "  "+strings.Replace(plain(f.Text), "\n", ": ", 1))
		}
	case *slack.ContextBlock:
		for _, e := range b.ContextElements.Elements {
			if t, ok := e.(*slack.TextBlockObject); ok {
				texts = append(texts, "  "+plain(t.Text))
			}
		}
	case *slack.RichTextBlock:
		for _, e := range b.Elements {
			texts = append(texts, plainRich(e))
		}
	}
	return texts
}

func plainRich(e slack.RichTextElement) string {
	var text strings.Builder
	for _, t := range richTexts(e) {
		text.WriteString(t.Text)
	}
	if _, ok := e.(*slack.RichTextPreformatted); ok {
		return "    " + strings.ReplaceAll(text.String(), "\n", "\n    ")
	}
	return text.String()
}

var (
	code      = regexp.MustCompile(`\s*<([^<>|]*)\|?([^<>]*)>`)
	emojiName = regexp.MustCompile(`^:[a-z_]+: `)
	bold      = regexp.MustCompile(`(^|\s)\*([^*\n]+)\*`)
	unescaper = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
)

// plain returns mrkdwn without Slack's codes.
func plain(s string) string {
	s = emojiName.ReplaceAllString(s, "")
	s = bold.ReplaceAllString(s, "$1$2")
	s = code.ReplaceAllStringFunc(s, plainCode)
	return unescaper.Replace(s)
}

// plainCode returns one code in angle brackets, with the space before it, as plain text.
func plainCode(tag string) string {
	parts := code.FindStringSubmatch(tag)
	space := tag[:strings.Index(tag, "<")]
	switch target, label := parts[1], parts[2]; {
	case strings.HasPrefix(target, "!date^"):
		return space + label
	case strings.HasPrefix(target, "!"), strings.HasPrefix(target, "@"):
		return ""
	default:
		return space + label + " (" + target + ")"
	}
}

// Plain returns [Message.Lines] as one text, cut to at most so many units.
func (m Message) Plain(limit int) string { return fit(strings.Join(m.Lines(), "\n"), limit) }
