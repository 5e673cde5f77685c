package outbox_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
)

// A hostileOrder draws completions whose every foreign text may try to do harm. What it draws depends
// on its seed and on the texts that a fuzzer gives it.
type hostileOrder struct {
	*rand.Rand
	given   []string // the fuzzer's texts
	secrets []string // configured: never shown, wherever they stand
	planted []string // what must not be shown, configured or known by its shape
	budget  int      // bytes of messages that may still be drawn
}

func newHostile(seed uint64, given ...string) *hostileOrder {
	h := &hostileOrder{Rand: rand.New(rand.NewPCG(seed, 17)), budget: 256 << 10}
	for _, g := range given {
		if g = strings.ReplaceAll(g, "Zq", "Zp"); g != "" {
			h.given = append(h.given, g)
		}
	}
	h.secrets = []string{secretKey, "planted&<secret>-" + h.lots(12), "päss \"wörd\" " + h.lots(9)}
	h.planted = slices.Clone(h.secrets)
	return h
}

// lots returns letters and digits that look drawn.
func (h *hostileOrder) lots(n int) string {
	const from = "abcdefghijkmnoprstuvwxyzABCDEFGHJKLMNPRSTUVWXYZ23456789"
	return h.of(from, n)
}

func (h *hostileOrder) of(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[h.IntN(len(alphabet))]
	}
	return string(b)
}

func (h *hostileOrder) one(of ...string) string { return of[h.IntN(len(of))] }

// maybe reports true in so many of a hundred cases.
func (h *hostileOrder) maybe(percent int) bool { return h.IntN(100) < percent }

// junk are texts that do harm where they are shown as they are. None has a digit first.
var junk = []string{
	"<!channel>", "<!here>", "<!everyone>", "<!here|here>", "<@U0VICTIM>", "<@W0VICTIM|jane>", "<!subteam^S0VICTIM>", "<#C0SECRET>", "<#C0SECRET|x>",
	"@here", "@channel", "@everyone", "@jane", "#general", "&lt;!channel&gt;", "&amp;", "&", "<", ">", "<>", "<!", "<!date^1^{date}|x>", "<!date^9^{date}|<!channel>>",
	"<https://evil.example|click>", "https://evil.example/<!channel>|x", "<javascript:alert(1)|x>", "<mailto:a|b>", "]]>", "|",
	"*bold*", "_i_", "~s~", "`code`", "```", "> quote", "\n> quote", "• item", ":fire:", "{date}", "^", "\\", "\"", "'",
	"\u202Eevil\u202C", "\u2066x\u2069", "\u200Fx", "\u061C", "\x1b[31mred\x1b[0m", "\x1b]8;;https://evil.example\x07x\x1b]8;;\x07", "\x1b]", "\x9b31m",
	"\x00", "\x07\b", "\r\n", "\r", "\n", "\t", "\u2028", "\u2029", "\xff\xfe", "\xed\xa0\x80", "\xc0\x80", "a\xf0\x9f",
	"😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "e\u0301\u0301\u0301", "Z͑ͫ̓a͜l̡g̢o̷", "שלום", "مرحبا", "電腦", "ﷺ", "\U000E0001\U000E0041", "\uFEFF", "\u200B", "\uFFFD", "\U0010FFFF", "\uE000",
	"=HYPERLINK(\"http://evil.example\")", "+cmd|' /C calc'!A", "-x", "@SUM(A)", "＝x", "a,b\"c", ", ", " · ", " +37", "×", "…", "[secret]", "%3C!channel%3E", "null", "true",
}

// text returns foreign text of some pieces.
func (h *hostileOrder) text(pieces int) string {
	var b strings.Builder
	for range h.IntN(pieces + 1) {
		b.WriteString(h.piece())
		if h.maybe(40) {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func (h *hostileOrder) piece() string {
	switch n := h.IntN(10); {
	case n < 4:
		return h.one(junk...)
	case n < 5 && len(h.given) > 0:
		return h.one(h.given...)
	case n < 6:
		return " " + h.one(h.secrets...) + " "
	case n < 7:
		return h.unicode(1 + h.IntN(12))
	case n < 8:
		return strings.Repeat(h.one("&", "<", "😀", "x", "\u0301", "\n", " "), 1+h.IntN(200))
	}
	return h.one("flavor sold out", "no valid host was found", "quota exceeded", "createNode", "prod", "gpu-pools", "os-node-created")
}

// unicode returns runes of anywhere, and bytes that are none.
func (h *hostileOrder) unicode(n int) string {
	var b strings.Builder
	for range n {
		switch h.IntN(12) {
		case 0:
			b.WriteByte(byte(h.IntN(256)))
		case 1, 2, 3:
			b.WriteRune(rune(h.IntN(0x250)))
		case 4, 5, 6, 7:
			b.WriteRune(rune(h.IntN(0x10000)))
		default:
			b.WriteRune(rune(h.IntN(unicode.MaxRune + 1)))
		}
	}
	return strings.ReplaceAll(b.String(), "Zq", "Zp")
}

// cut returns at most so many bytes of the text, whole runes where it has any.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// word returns a short foreign text: of a label, an action, a person.
func (h *hostileOrder) word(limit int) string { return cut(h.text(4), limit) }

// sensitive returns a secret of a kind that Redact knows, with what must not be shown of it.
func (h *hostileOrder) sensitive() (text, secret string) {
	const capitals, letters = "ABCDEFGHJKLMNPRSTUVWXYZ", "abcdefghijkmnoprstuvwxyz"
	mixed := func(n int) string { // looks drawn, whatever is drawn
		b := make([]byte, n)
		for i := range b {
			b[i] = h.of([]string{letters, capitals, "23456789"}[i%3], 1)[0]
		}
		return string(b)
	}
	key := func(begins string, n int) (string, string) {
		s := begins + h.of(capitals+"23456789", n-2) + "7K"
		return s, s
	}
	shaped := func(begins string, n int) (string, string) { s := begins + mixed(n); return s, s }
	pair := func(name, value string) (string, string) { return name + value, value }
	switch h.IntN(30) {
	case 0:
		return key("AKIA", 16)
	case 1:
		return key("HPUA", 16)
	case 2:
		return key("HSTA", 16)
	case 3:
		return shaped("LTAI", 20)
	case 4:
		return shaped("AIza", 35)
	case 5:
		return shaped(h.one("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), 36)
	case 6:
		return shaped("github_pat_", 40)
	case 7:
		return shaped(h.one("glpat-", "glptt-", "gldt-", "glrt-", "glcbt-"), 22)
	case 8:
		return shaped("hf_", 34)
	case 9:
		return shaped(h.one("xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxc-", "xoxd-", "xoxe-", "xapp-"), 40)
	case 10:
		return shaped("hooks.slack.com/services/T0/B0/", 24)
	case 11:
		return shaped(h.one("dckr_pat_", "npm_", "nvapi-", "pypi-", "sk-", "hvs."), 50)
	case 12:
		s := "eyJ" + mixed(30) + "." + mixed(40) + "." + mixed(30)
		return s, s
	case 13:
		return shaped("MII", 300)
	case 14:
		return shaped("AGE-SECRET-KEY-1", 58)
	case 15:
		return pair(h.one("password=", "Password: ", "\"adminPass\":\"", "pwd=", "passphrase='", "db_passwd=", "<password>"), mixed(14))
	case 16:
		return pair(h.one("secret=", "client_secret: ", "\"apiKey\": \"", "api-key=", "encryption_key=", "AccountKey="), mixed(22))
	case 17:
		return pair(h.one("sk=", "SecretKey: ", "secret_access_key = ", "\"secretAccessKey\":\"", "SK: "), mixed(40))
	case 18:
		return pair(h.one("ak=", "AccessKeyId=", "access_key: "), h.of(capitals, 14)+"7K2X9A")
	case 19:
		return pair(h.one("token=", "X-Auth-Token: ", "\"token\":\"", "security_token=", "jwt="), mixed(64))
	case 20:
		return pair(h.one("?Signature=", "&signature=", "X-Amz-Signature=", "sig=", "&sig%3D"), mixed(28))
	case 21:
		return pair(h.one("Authorization: Bearer ", "authorization: Basic ", "Bearer ", "\"Authorization\": \"Bearer "), mixed(30)+"=")
	case 22:
		return pair(h.one("Cookie: ", "Set-Cookie: "), "session="+mixed(20))
	case 23:
		s := mixed(14)
		return h.one("https://", "postgres://", "redis://") + "user:" + s + "@db.example:5432/x", s
	case 24:
		s := h.of(letters, 9) + "." + h.of(letters, 7)
		return s + h.one("@example.com", "%40example.org", "@mail.example.co.uk"), s
	case 25:
		s := mixed(60)
		return "-----BEGIN RSA PRIVATE KEY-----\n" + s + "\n" + mixed(60) + "\n-----END RSA PRIVATE KEY-----", s
	case 26:
		s := mixed(40)
		return s, s
	case 27:
		s := h.of(capitals, 14) + "7K2X9A"
		return s, s
	case 28:
		s := "S" + h.of(capitals+"234567", 55) + "7K"
		return s, s
	}
	s := mixed(90)
	return s, s
}

// message returns a failure's message: of the words that the cloud would say, and hostile ones, secrets
// among them, up to 100 KB.
func (h *hostileOrder) message(hint int) string {
	if h.maybe(6) {
		return h.one("", " ", "\n", "\x00", "\u200b")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cause %s: ", strings.Repeat(string(rune('a'+hint%26)), 1+hint/26%20))
	for range 1 + h.IntN(3) {
		b.WriteString(h.text(4))
		if h.maybe(50) {
			text, secret := h.sensitive()
			h.planted = append(h.planted, secret)
			b.WriteString("\n" + text + h.one("\n", "\"\n", "'\n", " \n"))
		}
	}
	if size := []int{0, 0, 0, 0, 500, 5000, 100 << 10}[h.IntN(7)]; size > b.Len() && size < h.budget {
		filler := h.one("A very long cause. ", "電腦 & <x> ", "\x1b[1m😀 ", strings.ReplaceAll(h.unicode(20), "\n", " ")+" ")
		tail := b.String()
		b.WriteString(strings.Repeat(filler, (size-b.Len())/len(filler)))
		b.WriteString("\n" + tail) // the cause is often at the end
	}
	h.budget -= b.Len()
	return b.String()
}

// mark is what a resource's name is found by, whatever stands around it: Zq and its number.
func mark(i int) string { return fmt.Sprintf("Zq%d", i) }

// name returns a name with this mark, at most 256 bytes as the watcher bounds them.
func (h *hostileOrder) name(i int) string {
	switch h.IntN(6) {
	case 0:
		return "os-node-created-" + mark(i)
	case 1:
		return mark(i) // Zq1 begins Zq10
	case 2:
		return cut(strings.Repeat("pool-9495-6f5da086876d4cd084d36f8bd3346036-", 1+h.IntN(6)), 240) + mark(i)
	case 3:
		return cut(h.word(100), 100) + "_" + mark(i)
	case 4:
		return mark(i) + "_" + cut(h.word(120), 120)
	}
	return cut(strings.Repeat(h.one("&", "<", ">", "😀"), 60), 240) + "_" + mark(i)
}

// A drawn is a completion, and what is to be found of it.
type drawn struct {
	watcher.Completion
	named   map[string]int // how many failed items that the event names have this mark; "" has those without one
	secrets []string       // configured
	planted []string       // what must not be shown
}

// completion draws an order of so many items that failed for so many causes at the most.
func (h *hostileOrder) completion(items, causes int) drawn {
	outcomes := append(watcher.Outcomes[:], "other<!channel>")
	c := order(outcomes[h.IntN(len(outcomes))], 0)
	c.WatchID = "w_" + h.of("ABCDEFGHJKMNPQRSTVWXYZ0123456789", 26)
	d := drawn{named: map[string]int{}}
	h.items(&c, items, max(1, causes))
	c.Failures = grouped(c.Items)
	h.shrink(&c)
	for _, f := range c.Failures {
		for _, name := range f.ResourceNames {
			d.named[markOf(name)]++
		}
	}
	h.surroundings(&c)
	d.Completion, d.secrets, d.planted = c, h.secrets, h.planted
	return d
}

// items draws the order's items and counts them.
func (h *hostileOrder) items(c *watcher.Completion, items, causes int) {
	messages, actions := make([]string, min(causes, items)), []string{"createNode", "createPool", h.word(64), ""}
	for i := range messages {
		messages[i] = h.message(i)
	}
	failing := 1 + h.IntN(100)
	for i := range items {
		it := watcher.Item{ResourceName: h.name(i), Action: h.one(actions...), Status: watcher.Failed, Message: messages[h.IntN(len(messages))]}
		it.BeganAt, it.UpdatedAt = began.Add(time.Duration(h.IntN(100))*time.Second), ended.Add(-time.Duration(h.IntN(100))*time.Second)
		switch {
		case h.maybe(2):
			it.ResourceName = h.one("", " ", "\t\n")
		case h.maybe(5) && i > 0:
			it.ResourceName = c.Items[h.IntN(i)].ResourceName
		case h.maybe(3):
			it.BeganAt, it.UpdatedAt = time.Time{}, time.Time{}
		}
		if !h.maybe(failing) {
			it.Status = watcher.Status(h.one("succeed", "succeed", "processing", "stuck<!channel>"+h.word(40)))
		}
		switch it.Status {
		case watcher.Failed:
			c.Counts.Failed++
		case watcher.Succeed:
			c.Counts.Succeeded++
		default:
			c.Counts.Processing++
		}
		c.Items = append(c.Items, it)
	}
	c.Counts.Total = items + h.IntN(2)*h.IntN(9)
}

// shrink leaves out of the completion what an event that would be too large leaves out.
func (h *hostileOrder) shrink(c *watcher.Completion) {
	omit := func(which func(watcher.Item) bool) {
		kept := slices.DeleteFunc(slices.Clone(c.Items), which)
		c.ItemsOmitted += len(c.Items) - len(kept)
		c.Items = kept
	}
	switch h.IntN(8) {
	case 0:
		omit(func(it watcher.Item) bool { return it.Status == watcher.Succeed })
	case 1:
		omit(func(watcher.Item) bool { return true })
	case 2:
		omit(func(watcher.Item) bool { return true })
		for i := range c.Failures {
			f := &c.Failures[i]
			f.ResourceNames = f.ResourceNames[:min(10, len(f.ResourceNames))]
		}
	case 3:
		omit(func(watcher.Item) bool { return true })
		for i := range c.Failures {
			c.Failures[i].ResourceNames = []string{}
		}
	}
}

// surroundings draws all that is not about items.
func (h *hostileOrder) surroundings(c *watcher.Completion) {
	c.Reason = h.text(5)
	if h.maybe(50) {
		text, secret := h.sensitive()
		h.planted = append(h.planted, secret)
		c.Error = &watcher.ErrorDetail{Code: h.word(64), Message: h.text(4) + "\n" + text + " \n"}
	}
	c.Region, c.ProjectID = h.word(40), h.word(64)
	if h.maybe(70) {
		c.Region, c.ProjectID = "cn-north-4", "6f5da086876d4cd084d36f8bd3346036"
	}
	if h.maybe(40) {
		c.OrderName = h.word(128)
	}
	c.Requests = nil
	for range []int{0, 1, 1, 2, 9, 60}[h.IntN(6)] {
		r := watcher.Request{ID: h.word(128), RequestedBy: h.word(200), Labels: map[string]string{}}
		r.Link = h.one("", "https://ci.example/1?a=1&b=2", "https://ci.example/"+h.word(1900), "javascript:"+h.word(90), h.word(200), "http://"+h.word(20))
		for range h.IntN(8) {
			r.Labels[h.word(64)] = h.word(256)
		}
		c.Requests = append(c.Requests, r)
	}
	if h.maybe(10) {
		c.CompletedAt, c.AcceptedAt = time.Time{}, time.Time{}
	}
}

// grouped is how the watcher puts failed items together.
func grouped(items []watcher.Item) (failures []watcher.Failure) {
	type cause struct{ message, action string }
	place := map[cause]int{}
	for _, it := range items {
		if it.Status != watcher.Failed {
			continue
		}
		i, ok := place[cause{it.Message, it.Action}]
		if !ok {
			i = len(failures)
			place[cause{it.Message, it.Action}] = i
			failures = append(failures, watcher.Failure{Message: it.Message, Action: it.Action})
		}
		failures[i].Count++
		failures[i].ResourceNames = append(failures[i].ResourceNames, it.ResourceName)
	}
	slices.SortStableFunc(failures, func(a, b watcher.Failure) int { return b.Count - a.Count })
	return failures
}
