package emulator

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Render returns the message as a person would see it, as plain text: bold marks kept, links as
// "text (url)", mentions as @here, dates in UTC, preformatted text indented. Without blocks it is
// the text. A file is a line with its title, name and size. The last line of a message that was updated is "(edited)", which Slack itself shows
// only where there are no blocks. The result ends in a newline.
func Render(m Message) string {
	shown := renderMessage(m)
	for _, f := range m.Files {
		shown += fmt.Sprintf("📎 %s (%s, %d bytes)\n", f.Title, f.Name, f.Size)
	}
	if m.Edited {
		shown += "(edited)\n"
	}
	return shown
}

func renderMessage(m Message) string {
	var blocks []block
	if len(m.Blocks) > 0 {
		if err := json.Unmarshal(m.Blocks, &blocks); err != nil {
			return "(blocks that are none: " + err.Error() + ")\n"
		}
	}
	if len(blocks) == 0 {
		return renderMarkup(m.Text) + "\n"
	}
	var b strings.Builder
	for _, block := range blocks {
		renderBlock(&b, block)
	}
	return b.String()
}

func renderBlock(b *strings.Builder, block block) {
	switch block.Type {
	case "header":
		if block.Text != nil {
			fmt.Fprintf(b, "# %s\n", block.Text.Text)
		}
	case "section":
		if block.Text != nil {
			b.WriteString(renderText(*block.Text) + "\n")
		}
		for _, f := range block.Fields {
			b.WriteString("  " + strings.Replace(renderText(f), "\n", ": ", 1) + "\n")
		}
	case "context":
		for _, e := range block.Elements {
			b.WriteString("  | " + renderText(text{e.Type, e.Text}) + "\n")
		}
	case "divider":
		b.WriteString("----\n")
	case "rich_text":
		for _, e := range block.Elements {
			renderRich(b, e)
		}
	}
}

func renderRich(b *strings.Builder, e element) {
	switch e.Type {
	case "rich_text_preformatted":
		for line := range strings.Lines(inline(e.Elements)) {
			b.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
		}
	case "rich_text_quote":
		b.WriteString("> " + inline(e.Elements) + "\n")
	case "rich_text_list":
		for _, item := range e.Elements {
			b.WriteString("  • " + inline(item.Elements) + "\n")
		}
	default:
		b.WriteString(inline(e.Elements) + "\n")
	}
}

// inline returns the elements of one rich text section as a line.
func inline(elements []element) string {
	var b strings.Builder
	for _, e := range elements {
		switch e.Type {
		case "text":
			b.WriteString(styled(e))
		case "link":
			b.WriteString(shownLink(e.URL, e.Text))
		case "emoji":
			b.WriteString(emoji.Replace(":" + e.Name + ":"))
		case "user", "usergroup", "broadcast":
			b.WriteString("@" + e.UserID + e.GroupID + e.Range)
		case "date":
			b.WriteString(shownDate(e.Timestamp))
		}
	}
	return b.String()
}

func styled(e element) string {
	if style, ok := e.Style.(map[string]any); ok {
		switch {
		case style["bold"] == true:
			return "*" + e.Text + "*"
		case style["italic"] == true:
			return "_" + e.Text + "_"
		}
	}
	return e.Text
}

func renderText(t text) string {
	if t.Type == "plain_text" {
		return t.Text
	}
	return renderMarkup(t.Text)
}

var (
	markup  = regexp.MustCompile(`<([^<>]*)>`)
	emoji   = strings.NewReplacer(":white_check_mark:", "✅", ":warning:", "⚠️", ":red_circle:", "🔴", ":hourglass:", "⌛", ":hourglass_flowing_sand:", "⏳", ":package:", "📦", ":mag:", "🔍", ":repeat:", "🔁", ":no_entry:", "⛔", ":black_square_for_stop:", "⏹️", ":thread:", "🧵")
	entity  = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
	liveTag = regexp.MustCompile(`<([!@#][^<>]*)>`)
)

// renderMarkup resolves Slack's angle brackets, emoji names and entities.
func renderMarkup(s string) string {
	s = markup.ReplaceAllStringFunc(s, func(tag string) string { return shownTag(tag[1 : len(tag)-1]) })
	return entity.Replace(emoji.Replace(s))
}

func shownTag(tag string) string {
	target, label, _ := strings.Cut(tag, "|")
	switch {
	case strings.HasPrefix(target, "!date^"):
		if parts := strings.Split(target, "^"); len(parts) > 2 {
			if unix, err := strconv.ParseInt(parts[1], 10, 64); err == nil {
				return shownDate(unix)
			}
		}
		return label
	case strings.HasPrefix(target, "!subteam^"):
		return "@" + strings.TrimPrefix(target, "!subteam^")
	case strings.HasPrefix(target, "!"), strings.HasPrefix(target, "@"), strings.HasPrefix(target, "#"):
		return "@" + target[1:]
	}
	return shownLink(target, label)
}

func shownLink(url, label string) string {
	if label == "" {
		return url
	}
	return label + " (" + url + ")"
}

func shownDate(unix int64) string {
	return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// Mentions returns every live mention in the message, wherever it stands: here, channel, everyone,
// U…, S…. Dates are none.
func Mentions(m Message) []string {
	found := liveMentions(m.Text)
	var blocks []block
	if len(m.Blocks) > 0 && json.Unmarshal(m.Blocks, &blocks) != nil {
		return found
	}
	for _, b := range blocks {
		if b.Text != nil && b.Text.Type == "mrkdwn" {
			found = append(found, liveMentions(b.Text.Text)...)
		}
		for _, f := range b.Fields {
			found = append(found, liveMentions(f.Text)...)
		}
		switch b.Type {
		case "context":
			for _, e := range b.Elements {
				found = append(found, liveMentions(e.Text)...)
			}
		case "rich_text":
			found = append(found, richMentions(b.Elements)...)
		}
	}
	return found
}

// liveMentions returns the mentions in mrkdwn.
func liveMentions(s string) (found []string) {
	for _, tag := range liveTag.FindAllStringSubmatch(s, -1) {
		if !strings.HasPrefix(tag[1], "!date^") {
			found = append(found, strings.TrimPrefix(tag[1][1:], "subteam^"))
		}
	}
	return found
}

func richMentions(elements []element) []string {
	var found []string
	for _, e := range elements {
		if id := e.UserID + e.GroupID + e.Range; id != "" {
			found = append(found, id)
		}
		found = append(found, richMentions(e.Elements)...)
	}
	return found
}
