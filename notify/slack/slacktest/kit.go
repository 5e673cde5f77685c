// Package slacktest checks messages in tests: that Slack would take them ([Faults], written from Slack's
// documentation, without a look at what makes the messages), and that they are as a golden file has them
// ([Golden]). Read kit.go, then golden.go.
package slacktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A Kit is one message as it is posted, and the one mention that it may have.
type Kit struct {
	Text     string
	Blocks   []byte // a JSON array; empty without blocks
	Metadata []byte // empty without
	Mention  string // here, U…, W…, S…, or empty
}

// What Slack refuses, and below it what this project promises to keep to. Sizes are UTF-16 units of
// escaped text.
const (
	kitHeader  = 150
	kitSection = 3000
	kitFields  = 10
	kitField   = 2000
	kitContext = 10
	kitRows    = 100
	kitColumns = 20
	kitTable   = 10_000 // all cells of the message

	kitBlocks   = 15
	kitTotal    = 6000
	kitOverhead = 125 // of each block
	kitText     = 600
	kitMetadata = 1024 // bytes
)

// A kitCheck collects what is wrong with one message.
type kitCheck struct {
	Kit
	faults []string
	total  int
	table  int
}

// Faults returns what Slack would refuse in the message, what people should not see, and what this
// project promises not to send. It is written from Slack's documentation and knows nothing of the
// renderer.
func Faults(k Kit) []string {
	c := &kitCheck{Kit: k}
	c.topText()
	c.allBlocks()
	if len(k.Metadata) >= kitMetadata {
		c.add("metadata", "%d bytes", len(k.Metadata))
	}
	if len(k.Metadata) > 0 {
		c.metadataShape()
	}
	return c.faults
}

func (c *kitCheck) add(where, format string, a ...any) {
	c.faults = append(c.faults, where+": "+fmt.Sprintf(format, a...))
}

func (c *kitCheck) topText() {
	c.mrkdwn("text", c.Text)
	if n := Units(c.Text); n > kitText {
		c.add("text", "%d characters", n)
	}
}

func (c *kitCheck) metadataShape() {
	var m struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"event_payload"`
	}
	if err := StrictJSON(c.Metadata, &m); err != nil || m.Type == "" || m.Payload == nil {
		c.add("metadata", "%s (%v)", c.Metadata, err)
	}
	EachString(m.Payload, func(_, s string) { c.characters("metadata", s) })
}

func (c *kitCheck) allBlocks() {
	if len(c.Blocks) == 0 {
		return
	}
	var blocks []map[string]any
	if err := StrictJSON(c.Blocks, &blocks); err != nil {
		c.add("blocks", "%v", err)
		return
	}
	if len(blocks) > kitBlocks {
		c.add("blocks", "%d of them", len(blocks))
	}
	ids := map[string]bool{}
	for i, b := range blocks {
		where := fmt.Sprintf("/blocks/%d", i)
		if id, given := b["block_id"]; given {
			s, _ := id.(string)
			if s == "" || ids[s] {
				c.add(where, "block_id %q is empty or not unique", s)
			}
			ids[s] = true
		}
		c.total += kitOverhead
		c.total += weight(b)
		c.block(where, b)
	}
	for _, sum := range []struct {
		name       string
		got, limit int
	}{{"the whole message", c.total, kitTotal}, {"all tables", c.table, kitTable}} {
		if sum.got > sum.limit {
			c.add("blocks", "%s: %d characters", sum.name, sum.got)
		}
	}
}

func (c *kitCheck) block(where string, b map[string]any) {
	switch b["type"] {
	case "header":
		c.keys(where, b, "text")
		text := c.textObject(where+"/text", b["text"], "plain_text")
		c.size(where+"/text", text, kitHeader)
	case "section":
		c.section(where, b)
	case "context":
		c.keys(where, b, "elements")
		for i, e := range c.elements(where, b, kitContext) {
			c.textObject(fmt.Sprintf("%s/elements/%d", where, i), e, "mrkdwn", "plain_text")
		}
	case "divider":
		c.keys(where, b)
	case "markdown":
		c.add(where, "markdown is parsed like a page: not for foreign text")
	case "table":
		c.tableBlock(where, b)
	case "rich_text":
		c.keys(where, b, "elements")
		for i, e := range c.elements(where, b, 0) {
			c.richPart(fmt.Sprintf("%s/elements/%d", where, i), e)
		}
	default:
		c.add(where, "a block of type %v", b["type"])
	}
}

func (c *kitCheck) section(where string, b map[string]any) {
	c.keys(where, b, "text", "fields", "expand")
	fields, hasFields := b["fields"].([]any)
	text, hasText := b["text"]
	if !hasText && len(fields) == 0 || hasFields && len(fields) == 0 {
		c.add(where, "a section without text or without any field")
	}
	if hasText {
		c.size(where+"/text", c.textObject(where+"/text", text, "mrkdwn", "plain_text"), kitSection)
	}
	if len(fields) > kitFields {
		c.add(where, "%d fields", len(fields))
	}
	for i, f := range fields {
		at := fmt.Sprintf("%s/fields/%d", where, i)
		c.size(at, c.textObject(at, f, "mrkdwn", "plain_text"), kitField)
	}
}

func (c *kitCheck) tableBlock(where string, b map[string]any) {
	c.keys(where, b, "rows", "column_settings")
	rows, _ := b["rows"].([]any)
	if len(rows) == 0 || len(rows) > kitRows {
		c.add(where, "%d rows", len(rows))
	}
	for i, r := range rows {
		cells, _ := r.([]any)
		if len(cells) == 0 || len(cells) > kitColumns {
			c.add(where, "%d columns", len(cells))
		}
		for j, cell := range cells {
			at := fmt.Sprintf("%s/rows/%d/%d", where, i, j)
			m, _ := cell.(map[string]any)
			switch m["type"] {
			case "raw_text":
				c.keys(at, m, "text")
				c.inert(at, m["text"])
			case "rich_text":
				c.block(at, m)
			default:
				c.add(at, "a cell of type %v", m["type"])
			}
			c.table += weight(m)
		}
	}
}

// richPart checks a part of a rich_text block: a section, a list, a quote or preformatted text.
func (c *kitCheck) richPart(where string, e any) {
	part, _ := e.(map[string]any)
	switch part["type"] {
	case "rich_text_section", "rich_text_quote":
		c.keys(where, part, "elements", "border")
	case "rich_text_preformatted":
		c.keys(where, part, "elements", "border", "language")
	case "rich_text_list":
		c.keys(where, part, "elements", "border", "style", "indent", "offset")
		for i, item := range c.elements(where, part, 0) {
			c.richPart(fmt.Sprintf("%s/elements/%d", where, i), item)
		}
		return
	default:
		c.add(where, "a part of type %v", part["type"])
		return
	}
	for i, e := range c.elements(where, part, 0) {
		c.richElement(fmt.Sprintf("%s/elements/%d", where, i), e)
	}
}

func (c *kitCheck) richElement(where string, e any) {
	m, _ := e.(map[string]any)
	field := func(key string) string { s, _ := m[key].(string); return s }
	switch m["type"] {
	case "text":
		c.keys(where, m, "text", "style")
		c.inert(where, m["text"])
	case "link":
		c.keys(where, m, "url", "text", "style", "unsafe")
		c.link(where, field("url"))
		if text, given := m["text"]; given {
			c.inert(where, text)
		}
	case "emoji":
		c.keys(where, m, "name", "unicode", "style")
	case "date":
		c.keys(where, m, "timestamp", "format", "fallback", "style")
		c.inert(where, m["fallback"])
	case "user":
		c.mentioned(where, field("user_id"))
	case "usergroup":
		c.mentioned(where, field("usergroup_id"))
	case "broadcast":
		c.mentioned(where, field("range"))
	default:
		c.add(where, "an element of type %v", m["type"])
	}
}

// keys faults what the object has beside its type, its block_id and what is allowed.
func (c *kitCheck) keys(where string, m map[string]any, allowed ...string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if key != "type" && key != "block_id" && !slices.Contains(allowed, key) {
			c.add(where, "unknown key %q", key)
		}
	}
}

// elements returns the object's elements: one at least, and no more than limit, 0 for any number.
func (c *kitCheck) elements(where string, m map[string]any, limit int) []any {
	all, _ := m["elements"].([]any)
	if len(all) == 0 || limit > 0 && len(all) > limit {
		c.add(where, "%d elements", len(all))
	}
	return all
}

// textObject checks a text object of one of these types and returns its text.
func (c *kitCheck) textObject(where string, o any, types ...string) string {
	m, _ := o.(map[string]any)
	kind, _ := m["type"].(string)
	text, _ := m["text"].(string)
	if !slices.Contains(types, kind) {
		c.add(where, "a text object of type %q", kind)
	}
	if kind == "plain_text" {
		c.keys(where, m, "text", "emoji")
		c.inert(where, m["text"])
		return text
	}
	c.keys(where, m, "text", "verbatim")
	if m["verbatim"] != true {
		c.add(where, "mrkdwn that is not verbatim")
	}
	c.mrkdwn(where, text)
	return text
}

func (c *kitCheck) size(where, text string, limit int) {
	if n := Units(text); n > limit {
		c.add(where, "%d characters, more than %d", n, limit)
	}
}

// inert checks text in which Slack parses nothing.
func (c *kitCheck) inert(where string, value any) {
	s, ok := value.(string)
	if !ok || s == "" {
		c.add(where, "no text")
	}
	c.characters(where, strings.ReplaceAll(s, "\t", " ")) // tabs are part of what the cloud says
}

// characters faults what does harm on a screen, or is no text at all.
func (c *kitCheck) characters(where, s string) {
	if !utf8.ValidString(s) {
		c.add(where, "invalid UTF-8 in %.80q", s)
	}
	for _, r := range s {
		if r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			c.add(where, "%U in %.80q", r, s)
			return
		}
	}
}

var (
	// angled is one code of mrkdwn: what stands between < and >.
	angled  = regexp.MustCompile(`<[^<>]*>`)
	dated   = regexp.MustCompile(`^<!date\^[0-9]+\^[^^|]+\|[^|]+ UTC>$`)
	entity  = regexp.MustCompile(`&(amp|lt|gt);`)
	escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
)

// mrkdwn checks text in which Slack parses codes: each is a date, a link or the mention that is
// configured, and everything else is escaped.
func (c *kitCheck) mrkdwn(where, s string) {
	if strings.TrimSpace(s) == "" {
		c.add(where, "no text")
	}
	c.characters(where, s)
	rest := angled.ReplaceAllStringFunc(s, func(code string) string {
		c.code(where, code)
		return ""
	})
	if strings.ContainsAny(entity.ReplaceAllString(rest, ""), "<>&") {
		c.add(where, "unescaped text in %.200q", rest)
	}
}

func (c *kitCheck) code(where, code string) {
	inner := strings.Trim(code, "<>")
	switch {
	case strings.HasPrefix(inner, "!date^"):
		if !dated.MatchString(code) {
			c.add(where, "a date like %s", code)
		}
	case strings.HasPrefix(inner, "!subteam^S"):
		c.mentioned(where, strings.TrimPrefix(inner, "!subteam^"))
	case strings.HasPrefix(inner, "@U"), strings.HasPrefix(inner, "@W"):
		c.mentioned(where, inner[1:])
	case inner == "!here":
		c.mentioned(where, "here")
	case strings.HasPrefix(inner, "!"), strings.HasPrefix(inner, "@"), strings.HasPrefix(inner, "#"):
		c.add(where, "a code like %.200q", code)
	default:
		address, shown, _ := strings.Cut(inner, "|")
		c.link(where, strings.ReplaceAll(address, "&amp;", "&"))
		if strings.Contains(shown, "|") || strings.ContainsAny(entity.ReplaceAllString(inner, ""), "&") || shown == "" {
			c.add(where, "a link like %.200q", code)
		}
	}
}

func (c *kitCheck) mentioned(where, who string) {
	if who == "" || who != c.Mention {
		c.add(where, "mentions %q", who)
	}
}

func (c *kitCheck) link(where, address string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(address, "<>| \n") {
		c.add(where, "a link to %.200q", address)
	}
}

// weight is what a value's texts count: mrkdwn is escaped already, all else is counted as if it were.
func weight(value any) (total int) {
	switch v := value.(type) {
	case string:
		return Units(escaped.Replace(v))
	case []any:
		for _, e := range v {
			total += weight(e)
		}
	case map[string]any:
		for key, e := range v {
			text, plain := e.(string)
			switch {
			case key == "type":
			case v["type"] == "mrkdwn" && plain:
				total += Units(text)
			default:
				total += weight(e)
			}
		}
	}
	return total
}

// Units is the size of a text as Slack counts it at the most.
func Units(s string) int { return len(utf16.Encode([]rune(s))) }

// EachString calls f with every string in the value and the key that it stands under.
func EachString(value any, f func(key, s string)) { walkStrings("", value, f) }

func walkStrings(key string, value any, f func(key, s string)) {
	switch v := value.(type) {
	case string:
		f(key, v)
	case []any:
		for _, e := range v {
			walkStrings(key, e, f)
		}
	case map[string]any:
		for k, e := range v {
			walkStrings(k, e, f)
		}
	}
}

// StrictJSON reads one JSON value and nothing after it.
func StrictJSON(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("trailing data")
	}
	if !utf8.Valid(raw) {
		return fmt.Errorf("invalid UTF-8")
	}
	return nil
}
