package notify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A kit is one message as it is posted, and the one mention that it may have.
type kit struct {
	text     string
	blocks   []byte // a JSON array; empty without blocks
	metadata []byte // empty without
	mention  string // here, U…, W…, S…, or empty
}

// What Slack refuses, and below it what this project promises to keep to. Sizes are UTF-16 units of
// escaped text.
const (
	kitHeader   = 150
	kitSection  = 3000
	kitFields   = 10
	kitField    = 2000
	kitContext  = 10
	kitRows     = 100
	kitColumns  = 20
	kitTable    = 10_000 // all cells of the message
	kitMarkdown = 12_000 // all markdown blocks of the message

	kitBlocks   = 15
	kitTotal    = 6000
	kitOverhead = 125 // of each block
	kitText     = 600
	kitMetadata = 1024 // bytes
)

// A kitCheck collects what is wrong with one message.
type kitCheck struct {
	kit
	faults   []string
	total    int
	table    int
	markdown int
}

// kitFaults returns what Slack would refuse in the message, what people should not see, and what this
// project promises not to send. It is written from Slack's documentation and knows nothing of the
// renderer.
func kitFaults(k kit) []string {
	c := &kitCheck{kit: k}
	c.topText()
	c.allBlocks()
	if len(k.metadata) >= kitMetadata {
		c.add("metadata", "%d bytes", len(k.metadata))
	}
	if len(k.metadata) > 0 {
		c.metadataShape()
	}
	return c.faults
}

func (c *kitCheck) add(where, format string, a ...any) {
	c.faults = append(c.faults, where+": "+fmt.Sprintf(format, a...))
}

func (c *kitCheck) topText() {
	c.mrkdwn("text", c.text)
	if n := units(c.text); n > kitText {
		c.add("text", "%d characters", n)
	}
}

func (c *kitCheck) metadataShape() {
	var m struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"event_payload"`
	}
	if err := strictJSON(c.metadata, &m); err != nil || m.Type == "" || m.Payload == nil {
		c.add("metadata", "%s (%v)", c.metadata, err)
	}
	eachString(m.Payload, func(_, s string) { c.characters("metadata", s) })
}

func (c *kitCheck) allBlocks() {
	if len(c.blocks) == 0 {
		return
	}
	var blocks []map[string]any
	if err := strictJSON(c.blocks, &blocks); err != nil {
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
	}{{"the whole message", c.total, kitTotal}, {"all tables", c.table, kitTable}, {"all markdown", c.markdown, kitMarkdown}} {
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
		c.keys(where, b, "text")
		text, _ := b["text"].(string)
		c.markdown += units(text)
		c.characters(where+"/text", text)
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
	if n := units(text); n > limit {
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
	if who == "" || who != c.mention {
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
		return units(escaped.Replace(v))
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
				total += units(text)
			default:
				total += weight(e)
			}
		}
	}
	return total
}

// units is the size of a text as Slack counts it at the most.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

// eachString calls f with every string in the value and the key that it stands under.
func eachString(value any, f func(key, s string)) { walkStrings("", value, f) }

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

// strictJSON reads one JSON value and nothing after it.
func strictJSON(raw []byte, into any) error {
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

// Every message under testdata, as it is stored there, is one that Slack takes.
func TestGoldensAreBlockKit(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil || len(paths) < 30 {
		t.Fatalf("%d goldens (%v)", len(paths), err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(filepath.Base(path), "posted_") {
			var calls []postedCall
			if err := json.Unmarshal(raw, &calls); err != nil || len(calls) == 0 {
				t.Errorf("%s: %d calls (%v)", path, len(calls), err)
			}
			for _, call := range calls {
				for _, fault := range kitFaults(kit{call.Text, call.Blocks, call.Metadata, "here"}) {
					t.Errorf("%s: %s", path, fault)
				}
			}
			continue
		}
		k := kit{text: "as in the text golden", blocks: raw, mention: "here"}
		switch filepath.Base(path) {
		case "partially_failed.json":
			k.mention = "S0PLATFORM"
		case "failed.json":
			k.mention = "U012AB3CD"
		}
		for _, fault := range kitFaults(k) {
			t.Errorf("%s: %s", path, fault)
		}
	}
}

// The check itself finds each kind of fault, and takes what is right.
func TestBlockKitCheckFindsFaults(t *testing.T) {
	t.Parallel()
	mrkdwn := func(s string) string { return fmt.Sprintf(`{"type":"mrkdwn","verbatim":true,"text":%q}`, s) }
	section := func(s string) string { return `[{"type":"section","text":` + mrkdwn(s) + `}]` }
	rich := func(part string) string { return `[{"type":"rich_text","elements":[` + part + `]}]` }
	times := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	right := []string{
		``,
		section(strings.Repeat("&amp;", 600)), // is escaped already
		section("a &lt;b&gt; &amp; <https://ci.example/1?a=1&amp;b=2|c &amp; d> <!here> <!date^1744286484^{date_short_pretty} {time}|2025-04-10 12:01:24 UTC>"),
		`[{"type":"header","text":{"type":"plain_text","text":"<!channel> & inert"}},{"type":"divider","block_id":"a"},{"type":"context","block_id":"b","elements":[` + mrkdwn("x") + `]}]`,
		rich(`{"type":"rich_text_preformatted","border":0,"elements":[{"type":"text","text":"<!channel> & inert"}]},{"type":"rich_text_section","elements":[{"type":"broadcast","range":"here"}]}`),
		`[{"type":"table","rows":[[{"type":"raw_text","text":"a"}]]}]`,
	}
	for _, blocks := range right {
		if faults := kitFaults(kit{text: "a", blocks: []byte(blocks), mention: "here"}); len(faults) > 0 {
			t.Errorf("%s: %q", blocks, faults)
		}
	}
	for name, k := range map[string]kit{
		"no text":                   {},
		"blank text":                {text: " \n"},
		"long text":                 {text: strings.Repeat("x", 601)},
		"text of wide characters":   {text: strings.Repeat("😀", 301)},
		"metadata":                  {text: "a", metadata: []byte(`{"event_type":"x","event_payload":{"a":"` + strings.Repeat("x", 1000) + `"}}`)},
		"metadata without a type":   {text: "a", metadata: []byte(`{"event_payload":{}}`)},
		"no JSON":                   {text: "a", blocks: []byte(`[{]`)},
		"trailing data":             {text: "a", blocks: []byte(`[]]`)},
		"too much by escapes":       {text: "a", blocks: []byte(rich(`{"type":"rich_text_section","elements":[{"type":"text","text":"` + strings.Repeat("&", 1200) + `"}]}`))},
		"16 blocks":                 {text: "a", blocks: []byte(`[` + times(16, `{"type":"divider"}`) + `]`)},
		"block ids":                 {text: "a", blocks: []byte(`[` + times(2, `{"type":"divider","block_id":"a"}`) + `]`)},
		"long header":               {text: "a", blocks: []byte(`[{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("x", 151) + `"}}]`)},
		"header in mrkdwn":          {text: "a", blocks: []byte(`[{"type":"header","text":` + mrkdwn("x") + `}]`)},
		"long section":              {text: "a", blocks: []byte(section(strings.Repeat("x", 3001)))},
		"long section by escapes":   {text: "a", blocks: []byte(section(strings.Repeat("&amp;", 601)))},
		"empty section":             {text: "a", blocks: []byte(section(""))},
		"section of nothing":        {text: "a", blocks: []byte(`[{"type":"section"}]`)},
		"11 fields":                 {text: "a", blocks: []byte(`[{"type":"section","fields":[` + times(11, mrkdwn("x")) + `]}]`)},
		"long field":                {text: "a", blocks: []byte(`[{"type":"section","fields":[` + mrkdwn(strings.Repeat("x", 2001)) + `]}]`)},
		"11 in context":             {text: "a", blocks: []byte(`[{"type":"context","elements":[` + times(11, mrkdwn("x")) + `]}]`)},
		"empty context":             {text: "a", blocks: []byte(`[{"type":"context","elements":[]}]`)},
		"101 rows":                  {text: "a", blocks: []byte(`[{"type":"table","rows":[` + times(101, `[{"type":"raw_text","text":"a"}]`) + `]}]`)},
		"21 columns":                {text: "a", blocks: []byte(`[{"type":"table","rows":[[` + times(21, `{"type":"raw_text","text":"a"}`) + `]]}]`)},
		"empty cell":                {text: "a", blocks: []byte(`[{"type":"table","rows":[[{"type":"raw_text","text":""}]]}]`)},
		"markdown":                  {text: "a", blocks: []byte(`[{"type":"markdown","text":"x"}]`)},
		"too much in all":           {text: "a", blocks: []byte(`[` + times(3, strings.Trim(section(strings.Repeat("x", 1900)), "[]")) + `]`)},
		"unknown block":             {text: "a", blocks: []byte(`[{"type":"rich_txt"}]`)},
		"unknown key":               {text: "a", blocks: []byte(`[{"type":"divider","colour":"red"}]`)},
		"actions":                   {text: "a", blocks: []byte(`[{"type":"actions","elements":[{"type":"button"}]}]`)},
		"not verbatim":              {text: "a", blocks: []byte(`[{"type":"section","text":{"type":"mrkdwn","text":"x"}}]`)},
		"unescaped &":               {text: "a", blocks: []byte(section("a & b"))},
		"unescaped <":               {text: "a", blocks: []byte(section("a < b"))},
		"unescaped > in text":       {text: "a > b"},
		"a cut entity":              {text: "a &am"},
		"channel":                   {text: "a <!channel>", mention: "here"},
		"here is not configured":    {text: "a <!here>"},
		"here with a label":         {text: "a <!here|x>", mention: "here"},
		"a user":                    {text: "a", blocks: []byte(section("<@U1>")), mention: "U2"},
		"a group as a user":         {text: "a <@S1>", mention: "S1"},
		"a channel's link":          {text: "a <#C1>"},
		"a link that runs":          {text: "a <javascript:alert(1)|x>"},
		"a link in a link":          {text: "a <https://a.example/|b|c>"},
		"a link without a text":     {text: "a <https://a.example/>"},
		"a date without a fallback": {text: "a <!date^1^{date}>"},
		"broadcast":                 {text: "a", blocks: []byte(rich(`{"type":"rich_text_section","elements":[{"type":"broadcast","range":"channel"}]}`)), mention: "here"},
		"unknown element":           {text: "a", blocks: []byte(rich(`{"type":"rich_text_section","elements":[{"type":"button","text":"a"}]}`))},
		"empty rich text":           {text: "a", blocks: []byte(rich(`{"type":"rich_text_section","elements":[{"type":"text","text":""}]}`))},
		"empty preformatted":        {text: "a", blocks: []byte(rich(`{"type":"rich_text_preformatted","elements":[]}`))},
		"bidi":                      {text: "a\u202eb"},
		"ANSI, escaped in JSON":     {text: "a", blocks: []byte(rich(`{"type":"rich_text_preformatted","elements":[{"type":"text","text":"\u001b[31m"}]}`))},
		"NUL":                       {text: "a\x00"},
		"invalid UTF-8":             {text: "a\xff"},
	} {
		if len(kitFaults(k)) == 0 {
			t.Errorf("%s: no fault found", name)
		}
	}
}
