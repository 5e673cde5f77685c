package routes_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
)

// rulesOf returns a file with these rules, each of which is a line of its own, from the second on.
func rulesOf(rules ...string) string {
	text := "rules:\n"
	for _, rule := range rules {
		text += "  - " + rule + "\n"
	}
	return text
}

// TestParseErrors holds what people read of a file that is wrong.
func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       []string // without the file's name
	}{
		{"empty", "", []string{"1: the file is empty: write rules, and a list of them"}},
		{"comments alone", "# who is told\n\n", []string{"1: the file is empty: write rules, and a list of them"}},
		{"no keys", "- channels: [C0A]\n", []string{"1: the file must be keys and values, not a list"}},
		{"a word", "\n\nrules\n", []string{`3: the file must be keys and values, not a text`}},
		{"nothing", "---\n", []string{"1: the file has no value: give it keys and values"}},
		{"no rules", "{}\n", []string{"1: there are no rules: write rules, and a list of them"}},
		{"rules without a value", "rules:\n", []string{"1: rules has no value: give it a list, such as [{channels: [C0123456789]}]"}},
		{"rules are no list", "rules: {channels: [C0A]}\n", []string{"1: rules must be a list, such as [{channels: [C0123456789]}], not keys and values"}},
		{"empty list of rules", "rules: []\n", []string{"1: rules is an empty list: name at least one, or leave it out"}},
		{"unknown key beside rules", "rule:\n  - channels: [C0A]\n", []string{`1: unknown key; there is only rules`}},
		{"two documents", rulesOf("channels: [C0A]") + "---\nrules: []\n", []string{"3: a second document begins here (---): the file holds one"}},

		{"unknown key", "# on call\n" + rulesOf("mention: here\n    chanel: [C0A]"), []string{
			`4: rule 1: unknown key; there are match, channels, mention, mention_on, fallback, quiet_successes, progress, runbook, env`}},
		{"key in capitals", rulesOf("Channels: [C0A]"), []string{
			`2: rule 1: unknown key; there are match, channels, mention, mention_on, fallback, quiet_successes, progress, runbook, env`}},
		{"unknown key in match", rulesOf("channels: [C0A]", "match: {project: a}\n    channels: [C0A]"), []string{
			"2: rule 1: without match it is for every request, and no rule after it is reached: make it the last",
			`3: rule 2: unknown key in match; there are projects, labels`}},
		{"hostile key", rulesOf(`"\e[2Jx\u202e` + strings.Repeat("x", 100) + `": 1`), []string{
			`2: rule 1: unknown key; there are match, channels, mention, mention_on, fallback, quiet_successes, progress, runbook, env`}},
		{"key twice", rulesOf("mention: here\n    channels: [C0A]\n    mention: none"), []string{"4: rule 1: this key comes again; it is in line 2, too"}},
		{"rules twice", rulesOf("channels: [C0A]") + rulesOf("channels: [C0B]"), []string{"3: this key comes again; it is in line 1, too"}},
		{"key that is a list", "? [a]\n: b\n", []string{"1: a key must be one word, not a list"}},
		{"rule without anything", rulesOf("", "{}", "channels: [C0A]"), []string{
			"2: rule 1: it has no value: give it keys and values",
			"3: rule 2: it says nothing of where or how: give it channels, mention, mention_on, fallback, quiet_successes, progress, runbook or env"}},
		{"rule is a word", rulesOf("C0A"), []string{`2: rule 1: it must be keys and values, not a text`}},
		{"match alone", rulesOf("match: {projects: [a]}"), []string{
			"2: rule 1: it says nothing of where or how: give it channels, mention, mention_on, fallback, quiet_successes, progress, runbook or env"}},
		{"empty match", rulesOf("match: {}\n    channels: [C0A]"), []string{"2: rule 1: match is empty: leave it out where the rule is for every request"}},
		{"match without a value", rulesOf("match:\n    channels: [C0A]"), []string{"2: rule 1: match has no value: give it keys and values"}},

		{"channel's name", rulesOf(`channels: ["#gpu", C0A]`), []string{
			`2: rule 1: entry 1 of channels must be a channel's ID such as C0123456789, not its name; the channel's details in Slack show it`}},
		{"channels in small letters", rulesOf("channels: [c0a]"), []string{
			`2: rule 1: entry 1 of channels must be a channel's ID such as C0123456789, not its name; the channel's details in Slack show it`}},
		{"channel that is no list", rulesOf("channels: C0A"), []string{`2: rule 1: channels must be a list, such as [C0123456789], not a text`}},
		{"empty list of channels", rulesOf("channels: []"), []string{"2: rule 1: channels is an empty list: name at least one, or leave it out"}},
		{"channels without a value", rulesOf("channels:"), []string{"2: rule 1: channels has no value: give it a list, such as [C0123456789]"}},
		{"channel twice", rulesOf("channels:\n      - C0A\n      - C0A"), []string{"4: rule 1: entry 2 of channels is there already"}},
		{"channel that is a number", rulesOf("channels: [0123]"), []string{`2: rule 1: entry 1 of channels is a number: put it in quotes to make it a text`}},
		{"channel that is a list", rulesOf("channels: [[C0A]]"), []string{"2: rule 1: entry 1 of channels must be a text, not a list"}},
		{"too many channels", rulesOf("channels: [" + strings.Repeat("C0A,", 101) + "]"), []string{"2: rule 1: channels has 101 entries, more than 100"}},
		{"fallbacks", rulesOf("fallback: [C0A]"), []string{"2: rule 1: fallback must be a text, not a list"}},
		{"fallback's name", rulesOf("fallback: ops"), []string{
			`2: rule 1: fallback must be a channel's ID such as C0123456789, not its name; the channel's details in Slack show it`}},
		{"fallback of its own", rulesOf("channels: [C0A, C0B]\n    fallback: C0B"), []string{"2: rule 1: fallback is one of its channels: name another"}},
		{"mention by name", rulesOf(`mention: "@ann"`), []string{
			`2: rule 1: mention must be here, the ID of a user (U…, W…) or of a group (S…), or none for nobody`}},
		{"mention of the channel", rulesOf("mention: channel"), []string{
			`2: rule 1: mention must be here, the ID of a user (U…, W…) or of a group (S…), or none for nobody`}},
		{"empty mention", rulesOf(`mention: ""`), []string{`2: rule 1: mention must be here, the ID of a user (U…, W…) or of a group (S…), or none for nobody`}},
		{"mention without a value", rulesOf("mention: ~"), []string{"2: rule 1: mention has no value: give it one"}},
		{"quiet by yes", rulesOf("quiet_successes: yes"), []string{`2: rule 1: quiet_successes must be true or false, not a text`}},
		{"mention_on a word", rulesOf("mention_on: late"), []string{"2: rule 1: mention_on must be a list, such as [late, stalled, blind, deadline], not a text"}},
		{"mention_on something else", rulesOf("mention_on: [late, failed]"), []string{"2: rule 1: entry 2 of mention_on must be late, stalled, blind or deadline"}},
		{"mention_on twice", rulesOf("mention_on: [late, late]"), []string{"2: rule 1: entry 2 of mention_on is there already"}},
		{"mention_on nothing", rulesOf("mention_on: []"), []string{"2: rule 1: mention_on is an empty list: name at least one, or leave it out"}},
		{"mention_on for nobody", rulesOf("mention: none\n    mention_on: [late]"), []string{"2: rule 1: mention_on says when to wake people, and mention is none: name whom to wake, or leave mention_on out"}},
		{"progress in quotes", rulesOf(`progress: "true"`), []string{`2: rule 1: progress must be true or false, not a text`}},
		{"progress by number", rulesOf("progress: 1"), []string{"2: rule 1: progress must be true or false, not a number"}},

		{"runbook that is no list", rulesOf("runbook: {cause: a, url: https://a.example}"), []string{
			"2: rule 1: runbook must be a list, such as [{cause: sold out, url: https://wiki.example/sold-out}], not keys and values"}},
		{"empty list of runbooks", rulesOf("runbook: []"), []string{"2: rule 1: runbook is an empty list: name at least one, or leave it out"}},
		{"runbook without a value", rulesOf("runbook:"), []string{
			"2: rule 1: runbook has no value: give it a list, such as [{cause: sold out, url: https://wiki.example/sold-out}]"}},
		{"too many runbooks", rulesOf("runbook: [" + strings.Repeat("{},", 101) + "]"), []string{"2: rule 1: runbook has 101 entries, more than 100"}},
		{"address alone", rulesOf("runbook: [https://a.example]"), []string{"2: rule 1: entry 1 of runbook must be keys and values, not a text"}},
		{"unknown key in runbook", rulesOf("runbook:\n      - cause: a\n        link: https://a.example"), []string{
			"4: rule 1: unknown key in runbook; there are cause, url"}},
		{"half a runbook", rulesOf("runbook:\n      - cause: a\n      - url: https://a.example\n      - {}"), []string{
			"3: rule 1: entry 1 of runbook must have both cause and url", "4: rule 1: entry 2 of runbook must have both cause and url",
			"5: rule 1: entry 3 of runbook must have both cause and url"}},
		{"cause", rulesOf("runbook:\n      - {cause: \"\", url: https://a.example}\n      - {cause: " + strings.Repeat("é", 201) + ", url: https://a.example}\n      - {cause: \"a\\u202eb\", url: https://a.example}"), []string{
			"3: rule 1: cause must be 1 to 200 characters that can be seen", "4: rule 1: cause must be 1 to 200 characters that can be seen",
			"5: rule 1: cause must be 1 to 200 characters that can be seen"}},
		{"cause that is a number", rulesOf("runbook: [{cause: 404, url: https://a.example}]"), []string{"2: rule 1: cause is a number: put it in quotes to make it a text"}},
		{"cause that is covered", rulesOf("runbook:\n      - {cause: Sold * in, url: https://a.example}\n      - {cause: flavor sold OUT in, url: https://b.example}\n" +
			"      - {cause: sold in, url: https://b.example}\n      - {cause: \"*\", url: https://c.example}\n      - {cause: quota, url: https://d.example}"), []string{
			"4: rule 1: entry 2 of runbook is never reached: the cause of one before it matches all that it matches",
			"7: rule 1: entry 5 of runbook is never reached: the cause of one before it matches all that it matches"}},
		{"url", rulesOf("runbook: [{cause: a, url: http://a.example}]"), []string{
			"2: rule 1: url must be an https URL without login, blanks and braces, at most 500 characters; http only on localhost"}},
		{"long url", rulesOf("runbook: [{cause: a, url: https://a.example/" + strings.Repeat("x", 483) + "}]"), []string{
			"2: rule 1: url must be an https URL without login, blanks and braces, at most 500 characters; http only on localhost"}},
		{"env is a list", rulesOf("env: [env]"), []string{"2: rule 1: env must be a text, not a list"}},
		{"env without a value", rulesOf("env:"), []string{"2: rule 1: env has no value: give it one"}},
		{"empty env", rulesOf(`env: ""`), []string{"2: rule 1: env must not be empty"}},
		{"long env", rulesOf("env: " + strings.Repeat("e", 65)), []string{"2: rule 1: env is longer than a request's may be, 64 characters"}},

		{"project", rulesOf("match: {projects: [my-project, my.project, \"\"]}\n    mention: here"), []string{
			`2: rule 1: entry 2 of projects must be a project's ID: 1 to 64 of A-Z a-z 0-9 -`,
			`2: rule 1: entry 3 of projects must be a project's ID: 1 to 64 of A-Z a-z 0-9 -`}},
		{"project that is a number", rulesOf("match: {projects: [6e10]}\n    mention: here"), []string{
			`2: rule 1: entry 1 of projects is a number: put it in quotes to make it a text`}},
		{"label that is a number", rulesOf("match: {labels: {version: 1.10}}\n    mention: here"), []string{
			`2: rule 1: a label is a number: put it in quotes to make it a text`}},
		{"label that is true", rulesOf("match: {labels: {spot: [no, true]}}\n    mention: here"), []string{
			`2: rule 1: entry 2 of a label is true or false: put it in quotes to make it a text`}},
		{"label that is a date", rulesOf("match: {labels: {since: 2025-04-10}}\n    mention: here"), []string{
			`2: rule 1: a label is a date: put it in quotes to make it a text`}},
		{"label without a value", rulesOf("match: {labels: {team: }}\n    mention: here"), []string{"2: rule 1: a label has no value: give it one"}},
		{"label with keys", rulesOf("match: {labels: {team: {a: b}}}\n    mention: here"), []string{"2: rule 1: a label must be a text, not keys and values"}},
		{"label's key is a number", rulesOf("match: {labels: {1: a}}\n    mention: here"), []string{
			`2: rule 1: the key of a label is a number: put it in quotes to make it a text`}},
		{"label without a key", rulesOf(`match: {labels: {"": a}}` + "\n    mention: here"), []string{`2: rule 1: the key of a label must not be empty`}},
		{"label twice", rulesOf("match:\n      labels:\n        team: a\n        team: b\n    mention: here"), []string{
			"5: rule 1: this label comes again; it is in line 4, too"}},
		{"value twice", rulesOf("match: {labels: {env: [prod, prod]}}\n    mention: here"), []string{"2: rule 1: entry 2 of a label is there already"}},
		{"no values", rulesOf("match: {labels: {env: []}}\n    mention: here"), []string{"2: rule 1: a label is an empty list: name at least one, or leave it out"}},
		{"no labels", rulesOf("match: {labels: {}}\n    mention: here"), []string{"2: rule 1: labels is empty: name at least one, or leave it out"}},
		{"labels are a list", rulesOf("match: {labels: [team]}\n    mention: here"), []string{
			"2: rule 1: labels must be keys and values, such as {team: gpu}, not a list"}},
		{"too many labels", rulesOf("match: {labels: {" + manyLabels(33) + "}}\n    mention: here"), []string{
			"2: rule 1: labels has more than 32 keys: no request has so many"}},
		{"long key", rulesOf("match: {labels: {" + strings.Repeat("é", 65) + ": a}}\n    mention: here"), []string{
			`2: rule 1: the key of a label is longer than a request's may be, 64 characters`}},
		{"long value", rulesOf("match: {labels: {a: " + strings.Repeat("b", 257) + "}}\n    mention: here"), []string{
			`2: rule 1: a label is longer than a request's may be, 256 characters`}},
		{"hidden by an escape", rulesOf(`match: {labels: {a: "x\u202ey"}}` + "\n    mention: here"), []string{
			`2: rule 1: a label has a character that cannot be seen, which no request's may have`}},

		{"alias and anchor", rulesOf("&a\n    channels: [C0A]", "*a"), []string{
			"2: rule 1: an anchor (&) has no place here: take it out",
			"4: rule 2: an alias (*) has no place here: write out what it stands for"}},
		{"anchor of a text", rulesOf("channels: [&c C0A]"), []string{"2: rule 1: an anchor (&) has no place here: take it out"}},
		{"merge key", rulesOf("match: {labels: {<<: {a: b}}}\n    mention: here"), []string{
			"2: rule 1: a merge key (<<) has no place here: write out what it stands for"}},
		{"tags", rulesOf("mention: !!str here", "!rule {mention: here}"), []string{
			"2: rule 1: a tag (!) has no place here: take it out, and put texts in quotes",
			"3: rule 2: a tag (!) has no place here: take it out, and put texts in quotes"}},

		{"covered", rulesOf("match: {labels: {env: [prod, dev]}}\n    channels: [C0A]", "match: {projects: [p], labels: {team: gpu, env: prod}}\n    channels: [C0B]"), []string{
			"4: rule 2: it is never reached: rule 1 (line 2) matches all that it matches"}},
		{"said twice", rulesOf("match: {projects: [a, b]}\n    channels: [C0A]", "match: {projects: [b]}\n    channels: [C0B]"), []string{
			"4: rule 2: it is never reached: rule 1 (line 2) matches all that it matches"}},
		{"after every request", rulesOf("channels: [C0A]", "match: {projects: [b]}\n    channels: [C0B]", "mention: none"), []string{
			"2: rule 1: without match it is for every request, and no rule after it is reached: make it the last"}},

		{"tab", rulesOf("channels: [C0A]\n\tmention: here"), []string{"3: a tab indents the line: YAML wants blanks"}},
		{"no UTF-8", "rules:\n  - channels: [C0A] # caf\xe9\n", []string{"2: this is no UTF-8 text: save the file as UTF-8"}},
		{"UTF-16", "\xff\xfer\x00u\x00", []string{"1: this is no UTF-8 text: save the file as UTF-8"}},
		{"zero-width space", rulesOf("channels: [C0\u200bA]", "channels: [C0A\u00ad]"), []string{
			"2: here is a character that cannot be seen, U+200B: take it out",
			"3: here is a character that cannot be seen, U+00AD: take it out"}},
		{"another end of a line", "rules:\r  - channels: [C0A]", []string{"1: here is a character that cannot be seen, U+000D: take it out"}},
		{"NUL", "rules: \x00", []string{"1: here is a character that cannot be seen, U+0000: take it out"}},
		{"too large", rulesOf("channels: [C0A]") + strings.Repeat("#\n", 128<<10), []string{"1: the file has more than 262,144 bytes"}},
		{"too many rules", rulesOf(slices.Repeat([]string{"mention: here"}, 1001)...), []string{"2: rules has 1,001 entries, more than 1,000"}},

		{"indentation", rulesOf("channels: [C0A]", "match: {projects: [p]}\n   channels: [C0A]", "mention: none"), []string{
			"4: not YAML: did not find expected '-' indicator: is the line indented as its neighbours are?"}},
		{"quote that stays open", rulesOf("channels: [C0A]", `mention: "here`, "channels: [C0B]"), []string{"3: not YAML: found unexpected end of stream"}},
		{"quote that stays open for long", rulesOf(`mention: "here`) + strings.Repeat("    # why\n", 20_000), []string{"2: not YAML: found unexpected end of stream"}},
		{"bracket that stays open", rulesOf("mention: here\n    channels: [C0A", "mention: none"), []string{"3: not YAML: did not find expected ',' or ']'"}},
		{"at sign", rulesOf("mention: here", "mention: @ann"), []string{"3: not YAML: found character that cannot start any token: put the text in quotes"}},
		{"hash", rulesOf("channels: [#gpu]"), []string{"2: not YAML: did not find expected node content; # begins a comment: put a text that has it in quotes"}},
		{"no colon", rulesOf("channels: [C0A]\n    mention here\n    progress: true"), []string{"3: not YAML: could not find expected ':'"}},
		{"unknown alias", rulesOf("*nobody"), []string{"2: not YAML: unknown anchor referenced"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, text := range []string{tt.text, strings.ReplaceAll(tt.text, "\n", "\r\n")} {
				rules, err := routes.Parse("routes.yaml", []byte(text))
				if err == nil {
					t.Fatalf("no error in\n%s", text)
				}
				if got, want := err.Error(), "routes.yaml:"+strings.Join(tt.want, "\nroutes.yaml:"); got != want {
					t.Errorf("got\n%s\nwant\n%s\nof\n%s", got, want, text)
				}
				if channels := rules.Channels(); channels != nil {
					t.Errorf("routes with an error name %q", channels)
				}
			}
		})
	}
}

// manyLabels returns n labels as YAML.
func manyLabels(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("l%d: a", i))
	}
	return strings.Join(all, ", ")
}

// TestParseQuotesNothing holds that an error shows nothing of the file: it may be another one, with
// a token in it.
func TestParseQuotesNothing(t *testing.T) {
	t.Parallel()
	const secret = "xoxb-planted-7d1c0123"
	for _, text := range []string{
		secret, secret + "\n", "- " + secret, secret + ": 1", "token: " + secret, "# a\ntoken: [" + secret, "? [" + secret + "]\n: 1",
		"*" + secret, "&" + secret + " a", "a: *" + secret, "!" + secret + " a", "!!" + secret + " a", "%TAG !" + secret + "! a\n---\na", "@" + secret, "`" + secret, `"` + secret, "'" + secret,
		"rules: " + secret, "rules:\n  - " + secret, rulesOf(secret + ": 1"), rulesOf("channels: " + secret), rulesOf("channels: [" + secret + "]"),
		rulesOf("channels: [C0A, C0A, " + secret + "," + secret + "]"), rulesOf("mention: " + secret), rulesOf("mention_on: [" + secret + "]"), rulesOf("fallback: " + secret), rulesOf("progress: " + secret),
		rulesOf("runbook: [{cause: a, url: '" + secret + "'}]"), rulesOf("runbook: [{cause: a, url: 'http://a.example/" + secret + "'}]"), rulesOf("runbook: [{cause: " + secret + "}]"),
		rulesOf("runbook: [{" + secret + ": a}]"), rulesOf("runbook: " + secret), rulesOf("env: [" + secret + "]"), rulesOf("env: " + strings.Repeat(secret, 4)),
		rulesOf("runbook: [{cause: " + secret + ", url: https://a.example}, {cause: " + secret + ", url: https://b.example}]"),
		rulesOf("match: {projects: ['" + secret + ".']}\n    mention: here"), rulesOf("match: {projects: [" + secret + ", " + secret + "]}\n    mention: here"),
		rulesOf("match: {" + secret + ": 1}\n    mention: here"), rulesOf("match: {labels: {" + secret + ": 1}}\n    mention: here"),
		rulesOf("match: {labels: {" + secret + ": a, " + secret + ": b}}\n    mention: here"), rulesOf("match: {labels: {a: [" + secret + ", " + secret + "]}}\n    mention: here"),
		`{"token": "` + secret + `"}`, `{"rules": [{"channels": ["` + secret + `"]}]}`, "|" + secret, ">" + secret, "a: b: " + secret, "\t" + secret, secret + "\x00", secret + "\xff",
		"-----BEGIN NATS USER JWT-----\n" + secret + "\n------END NATS USER JWT------\n", "---\n" + secret + "\n---\n" + secret,
	} {
		switch _, err := routes.Parse("routes.yaml", []byte(text)); {
		case err == nil:
			t.Errorf("no error in %q", text)
		case strings.Contains(err.Error(), "planted"):
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestParseManyErrors holds that all errors are told at once, in the file's order, and not too many.
func TestParseManyErrors(t *testing.T) {
	t.Parallel()
	_, err := routes.Parse("r.yaml", []byte(rulesOf(slices.Repeat([]string{"x: y"}, 60)...)))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 51 || !strings.HasPrefix(lines[49], "r.yaml:51: rule 50: unknown key") || lines[50] != "r.yaml:52: and 10 more errors from here on" {
		t.Errorf("%d lines: %s", len(lines), err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != len(lines) {
		t.Errorf("%T does not hold an error for each line", err)
	}
	if _, err := routes.Parse("\x1b[2Jr\n.yaml", []byte("x: y")); err == nil || strings.ContainsFunc(err.Error(), unicode.IsControl) {
		t.Errorf("the file's name is shown as %q", err)
	}
}

// TestParse reads files that are right, however they are written.
func TestParse(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain":        rulesOf("channels: [C0A]"),
		"flow":         `{"rules": [{"channels": ["C0A"]}]}`,
		"folded":       "rules:\n- channels:\n  - 'C0A'\n",
		"byte order":   "\uFEFF" + rulesOf("channels: [C0A]"),
		"document":     "# who\n---\n" + rulesOf("channels: [C0A] # where\n    # how") + "...\n",
		"CRLF":         strings.ReplaceAll(rulesOf("channels: [C0A]"), "\n", "\r\n"),
		"tab, no harm": "rules:\n  - channels: [C0A]\t# where\n",
		"block scalar": "rules:\n  - channels:\n      - |-\n        C0A\n",
		"same rules":   rulesOf("match: {projects: [a]}\n    channels: [C0A]", "match: {labels: {a: b}}\n    channels: [C0A]", "match: {labels: {a: c}}\n    channels: [C0A]"),
		"joiner":       rulesOf("match: {labels: {\"a\u200db\": \"\"}}\n    channels: [C0A]"),
	} {
		rules, err := routes.Parse("r.yaml", []byte(text))
		if err != nil || !slices.Equal(rules.Channels(), []string{"C0A"}) {
			t.Errorf("%s: %q, %v", name, rules.Channels(), err)
		}
	}
}

// TestIsLink holds which addresses people are led to.
func TestIsLink(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"https://wiki.example", "https://wiki.example:8443/a%20b/c?d=e&f=g#/h", "HTTPS://Wiki.example/好", "http://localhost:8080/", "http://127.0.0.1", "http://127.9.9.9/a", "http://[::1]:1/a",
	} {
		if !routes.IsLink(text) {
			t.Errorf("no link: %q", text)
		}
	}
	for _, text := range []string{
		"", "wiki.example/a", "//wiki.example", "/a", "https://", "https:///a", "https:a", "http://wiki.example", "http://10.0.0.1", "http://localhost.example", "http://0.0.0.0", "ftp://localhost", "javascript:alert(1)",
		"https://ann@wiki.example", "https://ann:secret@wiki.example", "https://:@wiki.example", "https://wiki.example:http/", "https://wiki.example/%zz", "https://a&b/", "https://a'b/",
		"https://wiki.example/a b", " https://wiki.example", "https://wiki.example/a|b", "https://wiki.example/<!here>", "https://wiki.example/`", "https://wiki.example/\\", "https://wiki.example/{order}", "https://wiki.example/\"",
		"https://wiki.example/\n", "https://wiki.example/?a=\x00", "https://wiki.example/\u202e", "https://wiki.example/\u200b", "https://wiki.example/a\u3000b", "https://wiki.example/\xff",
	} {
		if routes.IsLink(text) {
			t.Errorf("a link: %q", text)
		}
	}
}

// exampleRoutes is the file that people begin with.
const exampleRoutes = "../../deploy/routes.yaml"

var faultyLine = regexp.MustCompile(`(?m)^f\.yaml:(\d+): \S`)

// FuzzParse holds that every text is either routes or has errors that name its lines and are fit
// for a terminal, and that routes choose as they say.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile(exampleRoutes)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		string(example), "", "rules:\n- channels: [C0A\n  mention: @x\n", "rules: &a\n- *a\n", "%YAML 1.2\n---\n? {a: b}\n: - !!int x\n",
		rulesOf("match: {projects: [a], labels: {a: [b, c], \"\": 1}}\n    quiet_successes: yes", "mention: none"),
		rulesOf("runbook: [{cause: 'a*B', url: https://a.example}, {cause: xayb, url: 'http://[::1]:1/{}'}, {cause: '*', url: https://é.example}]\n    env: team"), "a: |\n\n b\n---\n'", "\uFEFF# \u2028",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := routes.Parse("f.yaml", text)
		if err == nil {
			checkChoices(t, rules)
			return
		}
		lines := len(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
		for said := range strings.SplitSeq(err.Error(), "\n") {
			found := faultyLine.FindStringSubmatch(said)
			if found == nil {
				t.Fatalf("no line is named: %q", said)
			}
			if n, err := strconv.Atoi(found[1]); err != nil || n < 1 || n > lines {
				t.Errorf("of %d lines: %q", lines, said)
			}
			if !utf8.ValidString(said) || strings.ContainsFunc(said, unfit) || len(said) > 2000 {
				t.Errorf("unfit for a terminal: %q", said)
			}
		}
		if strings.Count(err.Error(), "\n") > 50 {
			t.Errorf("%d errors", strings.Count(err.Error(), "\n"))
		}
		if errors.Is(err, os.ErrNotExist) || len(rules.Channels()) > 0 {
			t.Error("routes with an error")
		}
	})
}

// unfit reports whether a character could harm a terminal.
func unfit(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// checkChoices holds what is true of all rules.
func checkChoices(t *testing.T, rules routes.Routes) {
	standard := routes.Route{Channels: []string{"C0DEFAULT"}, Mention: "here", Progress: true}
	for _, labels := range []map[string]string{nil, {"a": "b"}, {"team": "gpu", "env": "prod"}} {
		request := watcher.Request{Labels: labels}
		route, why := rules.Choose(standard, "my-project", request)
		for _, r := range route.Runbooks {
			if r.Cause == "" || !routes.IsLink(r.URL) || len(r.URL) > 2000 || strings.ContainsFunc(r.Cause+r.URL, unfit) {
				t.Errorf("runbook %q", r)
			}
		}
		misses := rules.Misses("my-project", request)
		if len(route.Channels) == 0 || routes.CheckMention(route.Mention) != nil || strings.ContainsFunc(why.String(), unfit) {
			t.Errorf("%+v: %s", route, why)
		}
		if why.Rule > 0 && len(misses) != why.Rule-1 {
			t.Errorf("rule %d decides, but %d before do not match", why.Rule, len(misses))
		}
		for _, miss := range misses {
			if miss.Reason == "" || miss.Line < 1 {
				t.Errorf("%+v", miss)
			}
		}
	}
}
