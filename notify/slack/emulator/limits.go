package emulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bound one message. Sizes are UTF-16 units of escaped text.
type Limits struct {
	Blocks int // blocks in the message
	Total  int // all text of all blocks, with Overhead for each block
	Text   int // the top-level text; 0 is no limit
}

// Limits of one block, which nobody narrows.
const (
	maxSection = 3000 // text of a section, or of an element of a context block
	maxHeader  = 150  // text of a header
	maxFields  = 10   // fields of a section
	maxField   = 2000 // text of one field
	maxContext = 10   // elements of a context block
)

// Overhead is what a block costs beside its text in Limits.Total: the upper end of 100 to 125,
// measured by others against live Slack (bolt-js#2509, #2867).
const Overhead = 125

var (
	// SlackLimits are what Slack refuses. Total is undocumented: the lowest size that others saw
	// refused was 11,341 in 45 blocks.
	SlackLimits = Limits{Blocks: 50, Total: 11341}
	// OwnLimits are what orderwatch promises to keep to: well under Slack's.
	OwnLimits = Limits{Blocks: 15, Total: 6000, Text: 600}
)

// A Violation is one limit that a message breaks.
type Violation struct {
	Code    string // Slack's error code
	Problem string
	Pointer string // JSON pointer to the part that is wrong
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s [json-pointer:%s]", v.Code, v.Problem, v.Pointer)
}

// Check returns the limits that the message breaks, nil where it keeps all.
func Check(m Message, l Limits) []Violation {
	c := checker{limits: l}
	if m.Text == "" && len(m.Blocks) == 0 {
		return []Violation{{Code: "no_text"}}
	}
	if l.Text > 0 && utf16Units(m.Text) > l.Text {
		c.add("msg_too_long", "/text", "text has %d units, more than %d", utf16Units(m.Text), l.Text)
	}
	if !utf8.ValidString(m.Text) || !utf8.Valid(m.Blocks) {
		c.add("invalid_arguments", "", "not UTF-8")
	}
	if len(m.Blocks) == 0 {
		return c.found
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(m.Blocks, &raw); err != nil {
		c.add("invalid_blocks_format", "/blocks", "no JSON array of blocks")
		return c.found
	}
	c.blocks(raw)
	return c.found
}

type checker struct {
	limits Limits
	found  []Violation
	total  int
}

func (c *checker) add(code, pointer, format string, values ...any) {
	c.found = append(c.found, Violation{Code: code, Pointer: pointer, Problem: fmt.Sprintf(format, values...)})
}

func (c *checker) blocks(raw []json.RawMessage) {
	if len(raw) > c.limits.Blocks {
		c.add("invalid_blocks", "/blocks", "%d blocks, more than %d", len(raw), c.limits.Blocks)
	}
	seen := map[string]bool{}
	for i, r := range raw {
		at := fmt.Sprintf("/blocks/%d", i)
		var b block
		if err := json.Unmarshal(r, &b); err != nil {
			c.add("invalid_blocks", at, "no block")
			continue
		}
		if b.ID != "" && seen[b.ID] {
			c.add("invalid_blocks", at+"/block_id", "block_id is not unique")
		}
		seen[b.ID] = true
		c.total += Overhead
		c.block(b, at)
	}
	if c.total > c.limits.Total {
		c.add("msg_blocks_too_long", "/blocks", "%d units in all blocks, more than %d", c.total, c.limits.Total)
	}
}

func (c *checker) block(b block, at string) {
	switch b.Type {
	case "header":
		c.text(b.Text, at+"/text", maxHeader, "plain_text")
	case "section":
		if b.Text == nil && len(b.Fields) == 0 {
			c.add("invalid_blocks", at, "a section needs text or fields")
		}
		if b.Text != nil {
			c.text(b.Text, at+"/text", maxSection, anyText)
		}
		if len(b.Fields) > maxFields {
			c.add("invalid_blocks", at+"/fields", "more than %d fields", maxFields)
		}
		for i := range b.Fields {
			c.text(&b.Fields[i], fmt.Sprintf("%s/fields/%d", at, i), maxField, anyText)
		}
	case "context":
		if n := len(b.Elements); n == 0 || n > maxContext {
			c.add("invalid_blocks", at+"/elements", "%d elements, not 1 to %d", n, maxContext)
		}
		for i, e := range b.Elements {
			c.text(&text{Type: e.Type, Text: e.Text}, fmt.Sprintf("%s/elements/%d", at, i), maxSection, anyText)
		}
	case "rich_text":
		if len(b.Elements) == 0 {
			c.add("invalid_blocks", at+"/elements", "rich text without elements")
		}
		for i, e := range b.Elements {
			c.rich(e, fmt.Sprintf("%s/elements/%d", at, i))
		}
	case "divider":
	default:
		c.add("invalid_blocks", at+"/type", "unsupported type %q", b.Type)
	}
}

const anyText = "mrkdwn plain_text"

// text checks one text object; types names what it may be.
func (c *checker) text(t *text, at string, limit int, types string) {
	if t == nil || t.Text == "" {
		c.add("invalid_blocks", at, "must be more than 0 characters")
		return
	}
	if !strings.Contains(types, t.Type) {
		c.add("invalid_blocks", at+"/type", "unsupported type %q", t.Type)
	}
	n := utf16Units(t.Text)
	if n > limit {
		c.add("invalid_blocks", at+"/text", "must be less than %d characters", limit+1)
	}
	c.total += n
}

// rich checks a rich text element and those in it. Its texts are counted as if they were escaped.
func (c *checker) rich(e element, at string) {
	switch e.Type {
	case "rich_text_section", "rich_text_preformatted", "rich_text_quote", "rich_text_list":
		if len(e.Elements) == 0 {
			c.add("invalid_blocks", at+"/elements", "must have at least one element")
		}
		for i, inner := range e.Elements {
			c.rich(inner, fmt.Sprintf("%s/elements/%d", at, i))
		}
	case "text":
		if e.Text == "" {
			c.add("invalid_blocks", at+"/text", "must be more than 0 characters")
		}
		c.total += utf16Units(escaped.Replace(e.Text))
	case "link":
		c.total += utf16Units(escaped.Replace(e.URL)) + utf16Units(escaped.Replace(e.Text))
	case "emoji", "user", "usergroup", "broadcast", "date":
		c.total += utf16Units(e.Name) + utf16Units(e.Fallback)
	default:
		c.add("invalid_blocks", at+"/type", "unsupported type %q", e.Type)
	}
}

var escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// utf16Units returns the length of s in UTF-16, which Slack's own clients count in.
func utf16Units(s string) int { return len(utf16.Encode([]rune(s))) }

// checkMetadata returns what is wrong with a message's metadata, as Slack says it.
func checkMetadata(metadata json.RawMessage) []Violation {
	if metadata == nil {
		return nil
	}
	var m struct {
		EventType    string         `json:"event_type"`
		EventPayload map[string]any `json:"event_payload"`
	}
	if err := json.Unmarshal(metadata, &m); err != nil || m.EventType == "" || m.EventPayload == nil {
		return []Violation{{Code: "invalid_metadata_format", Pointer: "/metadata", Problem: "needs event_type and event_payload"}}
	}
	return nil
}
