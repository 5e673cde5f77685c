package slacktest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/slack/slacktest"
)

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
		if faults := slacktest.Faults(slacktest.Kit{Text: "a", Blocks: []byte(blocks), Mention: "here"}); len(faults) > 0 {
			t.Errorf("%s: %q", blocks, faults)
		}
	}
	for name, k := range map[string]slacktest.Kit{
		"no text":                   {},
		"blank text":                {Text: " \n"},
		"long text":                 {Text: strings.Repeat("x", 601)},
		"text of wide characters":   {Text: strings.Repeat("😀", 301)},
		"metadata":                  {Text: "a", Metadata: []byte(`{"event_type":"x","event_payload":{"a":"` + strings.Repeat("x", 1000) + `"}}`)},
		"metadata without a type":   {Text: "a", Metadata: []byte(`{"event_payload":{}}`)},
		"no JSON":                   {Text: "a", Blocks: []byte(`[{]`)},
		"trailing data":             {Text: "a", Blocks: []byte(`[]]`)},
		"too much by escapes":       {Text: "a", Blocks: []byte(rich(`{"type":"rich_text_section","elements":[{"type":"text","text":"` + strings.Repeat("&", 1200) + `"}]}`))},
		"16 blocks":                 {Text: "a", Blocks: []byte(`[` + times(16, `{"type":"divider"}`) + `]`)},
		"block ids":                 {Text: "a", Blocks: []byte(`[` + times(2, `{"type":"divider","block_id":"a"}`) + `]`)},
		"long header":               {Text: "a", Blocks: []byte(`[{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("x", 151) + `"}}]`)},
		"header in mrkdwn":          {Text: "a", Blocks: []byte(`[{"type":"header","text":` + mrkdwn("x") + `}]`)},
		"long section":              {Text: "a", Blocks: []byte(section(strings.Repeat("x", 3001)))},
		"long section by escapes":   {Text: "a", Blocks: []byte(section(strings.Repeat("&amp;", 601)))},
		"empty section":             {Text: "a", Blocks: []byte(section(""))},
		"section of nothing":        {Text: "a", Blocks: []byte(`[{"type":"section"}]`)},
		"11 fields":                 {Text: "a", Blocks: []byte(`[{"type":"section","fields":[` + times(11, mrkdwn("x")) + `]}]`)},
		"long field":                {Text: "a", Blocks: []byte(`[{"type":"section","fields":[` + mrkdwn(strings.Repeat("x", 2001)) + `]}]`)},
		"11 in context":             {Text: "a", Blocks: []byte(`[{"type":"context","elements":[` + times(11, mrkdwn("x")) + `]}]`)},
		"empty context":             {Text: "a", Blocks: []byte(`[{"type":"context","elements":[]}]`)},
		"101 rows":                  {Text: "a", Blocks: []byte(`[{"type":"table","rows":[` + times(101, `[{"type":"raw_text","text":"a"}]`) + `]}]`)},
		"21 columns":                {Text: "a", Blocks: []byte(`[{"type":"table","rows":[[` + times(21, `{"type":"raw_text","text":"a"}`) + `]]}]`)},
		"empty cell":                {Text: "a", Blocks: []byte(`[{"type":"table","rows":[[{"type":"raw_text","text":""}]]}]`)},
		"markdown":                  {Text: "a", Blocks: []byte(`[{"type":"markdown","text":"x"}]`)},
		"too much in all":           {Text: "a", Blocks: []byte(`[` + times(3, strings.Trim(section(strings.Repeat("x", 1900)), "[]")) + `]`)},
		"unknown block":             {Text: "a", Blocks: []byte(`[{"type":"rich_txt"}]`)},
		"unknown key":               {Text: "a", Blocks: []byte(`[{"type":"divider","colour":"red"}]`)},
		"actions":                   {Text: "a", Blocks: []byte(`[{"type":"actions","elements":[{"type":"button"}]}]`)},
		"not verbatim":              {Text: "a", Blocks: []byte(`[{"type":"section","text":{"type":"mrkdwn","text":"x"}}]`)},
		"unescaped &":               {Text: "a", Blocks: []byte(section("a & b"))},
		"unescaped <":               {Text: "a", Blocks: []byte(section("a < b"))},
		"unescaped > in text":       {Text: "a > b"},
		"a cut entity":              {Text: "a &am"},
		"channel":                   {Text: "a <!channel>", Mention: "here"},
		"here is not configured":    {Text: "a <!here>"},
		"here with a label":         {Text: "a <!here|x>", Mention: "here"},
		"a user":                    {Text: "a", Blocks: []byte(section("<@U1>")), Mention: "U2"},
		"a group as a user":         {Text: "a <@S1>", Mention: "S1"},
		"a channel's link":          {Text: "a <#C1>"},
		"a link that runs":          {Text: "a <javascript:alert(1)|x>"},
		"a link in a link":          {Text: "a <https://a.example/|b|c>"},
		"a link without a text":     {Text: "a <https://a.example/>"},
		"a date without a fallback": {Text: "a <!date^1^{date}>"},
		"broadcast":                 {Text: "a", Blocks: []byte(rich(`{"type":"rich_text_section","elements":[{"type":"broadcast","range":"channel"}]}`)), Mention: "here"},
		"unknown element":           {Text: "a", Blocks: []byte(rich(`{"type":"rich_text_section","elements":[{"type":"button","text":"a"}]}`))},
		"empty rich text":           {Text: "a", Blocks: []byte(rich(`{"type":"rich_text_section","elements":[{"type":"text","text":""}]}`))},
		"empty preformatted":        {Text: "a", Blocks: []byte(rich(`{"type":"rich_text_preformatted","elements":[]}`))},
		"bidi":                      {Text: "a\u202eb"},
		"ANSI, escaped in JSON":     {Text: "a", Blocks: []byte(rich(`{"type":"rich_text_preformatted","elements":[{"type":"text","text":"\u001b[31m"}]}`))},
		"NUL":                       {Text: "a\x00"},
		"invalid UTF-8":             {Text: "a\xff"},
	} {
		if len(slacktest.Faults(k)) == 0 {
			t.Errorf("%s: no fault found", name)
		}
	}
}
