package outbox_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

var completions = flag.Int("completions", watchertest.Rounds(100), "how many seeds TestHostileCompletions runs")

// TestHostileCompletions posts completions that do what harm they can to the emulator, and holds of each:
//
//   - No call is refused, nothing takes a simpler form, and every call keeps the limits that kitFaults
//     knows.
//   - Every failed item is found once. Where there is a file, it has a row for each whose name the event
//     has. Where there is none, the lists of the message and of its replies name it; what they do not
//     name is said to be missing, with its number. Neither lists an item twice. What is no list does not
//     count: the slowest item, and the reply that only repeats the message in the channel.
//   - Nobody is mentioned but who is configured, and only where something failed.
//   - No secret is in any text, block, metadata, file, name of a file, or log.
func TestHostileCompletions(t *testing.T) {
	t.Parallel()
	first, n := 0, *completions
	if *one >= 0 {
		first, n = *one, *one+1
	}
	var tally tally
	for seed := first; seed < n && !t.Failed(); seed++ {
		h := newHostile(uint64(seed))
		most := []int{1, 4, 40, 40, 100, 300}[h.IntN(6)]
		if h.maybe(8) {
			most, h.budget = 5000, 4<<20
		}
		items := 1 + h.IntN(most)
		h.deliver(t, items, 1+h.IntN(items), &tally)
		if t.Failed() {
			t.Logf("replay: go test ./notify/outbox -v -run TestHostileCompletions -seed=%d", seed)
		}
	}
	t.Logf("%d completions: %+v", n-first, tally)
}

// TestHostileDigest tells of hostile orders together.
func TestHostileDigest(t *testing.T) {
	t.Parallel()
	h, w := newHostile(1), &wire{}
	var all []watcher.Completion
	for i := range 90 {
		d := h.completion(1+h.IntN(4), 1)
		d.Outcome = []watcher.Outcome{watcher.Succeeded, watcher.Cancelled}[i%2]
		d.Region, d.ProjectID, d.OrderName = h.word(40), h.word(64), h.word(128)
		all = append(all, d.Completion)
	}
	b := newBench(t, sleepless, func(c *config) {
		*c = w.tap(*c)
		c.Secrets = h.secrets
	})
	b.inTurn(all)
	if !slices.ContainsFunc(b.slack.Messages("C0ONCALL"), func(m emulator.Message) bool { return strings.Contains(m.Text, "told together") }) {
		t.Error("there is no digest")
	}
	w.check(t, "", false)
	showsNoSecret(t, drawn{planted: h.planted}, w, b)
}

func FuzzCompletion(f *testing.F) {
	f.Add(uint64(1), "flavor sold out", "os-node-created-8jsnk", "gpu-pools", uint16(12), uint16(2))
	f.Add(uint64(2), "<!channel>&&&&\x00\x1b[31m", "n|<>&\u202e", "<@U0VICTIM>", uint16(9999), uint16(900))
	f.Add(uint64(3), strings.Repeat("&", 4000), strings.Repeat("\U0001F600", 90), "\xff\xfe", uint16(300), uint16(9))
	f.Fuzz(func(t *testing.T, seed uint64, message, name, by string, items, causes uint16) {
		n, h := 1+int(items)%100, newHostile(seed, message, name, by)
		if items >= 5000 { // they are slow, and seldom tell more
			n = 1 + int(items)%5000
		}
		h.deliver(t, n, 1+int(causes)%n, &tally{})
	})
}

// A tally counts what the test met.
type tally struct{ items, failed, messages, replies, files, webhooks, progress, again, missing int }

// deliver draws a completion and a Slack, posts the one to the other, and checks what stands there.
func (h *hostileOrder) deliver(t *testing.T, items, causes int, sum *tally) {
	t.Helper()
	d := h.completion(items, causes)
	w, k := &wire{}, &kept{}
	const hook = "/services/T0/B0/planted-webhook-secret"
	way := h.IntN(6)
	mention := h.one("here", "U012AB3CD", "S0PLATFORM", "")
	b := newBench(t, func(c *config) {
		*c = w.tap(*c)
		c.Undelivered, c.Mention, c.Secrets = k, mention, d.secrets
		c.Progress = way < 2
		if way == 5 {
			c.Token, c.Channel, c.WebhookURL = "", "", strings.TrimSuffix(c.APIURL, "/api/")+hook
		}
	})
	b.slack.AddWebhook(hook, "C0ONCALL")
	if way%2 == 0 {
		b.slack.AddToken(token, "chat:write", "channels:history", slack.ScopeFiles)
	}
	if h.maybe(30) {
		b.clock.Sleep(t.Context(), time.Duration(h.IntN(200))*time.Minute)
	}
	if way < 2 {
		g := watcher.Progress{Report: d.Report, Number: 1}
		for _, it := range d.Items[:min(9, len(d.Items))] {
			g.Changes = append(g.Changes, watcher.Change{ResourceName: it.ResourceName, Action: it.Action, To: it.Status, Message: it.Message})
		}
		b.settleBy(func() error { return b.notifier.Progress(b.Context(), g) })
		sum.progress++
	}
	b.settle(d.Completion)
	messages := b.slack.Messages("C0ONCALL")
	f := found(t, messages)
	f.check(t, d)
	if h.maybe(15) {
		a := watcher.Again{ID: "one", WatchID: d.WatchID, By: h.word(200), At: b.clock.Now()}
		b.settleAgain(d.Completion, a)
		f := found(t, slices.DeleteFunc(b.slack.Messages("C0ONCALL")[len(messages):], isLine))
		f.check(t, d)
		sum.again++
	}
	w.check(t, mention, false)
	mentionsOnly(t, b.slack.Messages("C0ONCALL"), d.Completion, mention)
	showsNoSecret(t, d, w, b)
	for _, sign := range []string{"level=ERROR", "simpler", "shorter", "without it", "possible duplicate"} {
		if strings.Contains(b.log.String(), sign) {
			t.Errorf("the log says %q:\n%.2000s", sign, b.log)
		}
	}
	if len(k.all) > 0 {
		t.Errorf("%d messages were not delivered", len(k.all))
	}
	sum.add(messages, d, f, way)
}

func (s *tally) add(messages []emulator.Message, d drawn, f finding, way int) {
	s.items += d.Counts.Total
	s.failed += d.Counts.Failed
	s.messages++
	s.replies += len(messages) - 1
	s.missing += f.missing
	if f.rows != nil {
		s.files++
	}
	if way == 5 {
		s.webhooks++
	}
}

// A finding is what a message and its thread say of failed items.
type finding struct {
	listed  map[string]int // how often each mark stands in the lists of the message and its replies
	rows    map[string]int // how many rows of the file have it; nil without a file
	missing int            // how many items are said to stand nowhere
	instead int            // how many the last reply says to be missing there
	shown   bool           // the message has a list
}

const noName = "(no name)"

var (
	marked  = regexp.MustCompile(`Zq[0-9]+|\(no name\)`)
	nowhere = regexp.MustCompile(`(?:Not there: |^)([0-9,]+) more failed items?(?: and [0-9,]+ more causes?)?(?:,|:) see the completion event`)
	notHere = regexp.MustCompile(`^Not here: ([0-9,]+) more failed items?`)
)

// markOf returns the mark in a name, empty where it has none.
func markOf(name string) string {
	if m := marked.FindString(name); m != noName {
		return m
	}
	return ""
}

// found reads what stands in a channel: a message, its replies and its file.
func found(t *testing.T, messages []emulator.Message) finding {
	t.Helper()
	f := finding{listed: map[string]int{}}
	if len(messages) == 0 {
		t.Fatal("nothing was posted")
	}
	for i, m := range messages {
		if (m.ThreadTS == "") != (i == 0) {
			t.Errorf("message %d of %d stands outside of the thread", i+1, len(messages))
		}
		for _, file := range m.Files {
			if f.rows != nil {
				t.Errorf("a second file")
			}
			f.rows = map[string]int{}
			for _, row := range rows(t, file.Content) {
				if row[2] == "failed" {
					f.rows[markOf(row[0])]++
				}
			}
		}
		if m.Broadcast {
			continue
		}
		for _, line := range lists(t, m) {
			f.read(line)
		}
	}
	return f
}

// listing is how a block begins that lists failed items.
var listing = regexp.MustCompile(`^Failed items of |^[0-9,]+ (more of [0-9,]+ )?×|^[0-9,]+ more failed items?`)

// lists returns the lines of the blocks that list failed items, and the names in them; what failed items said is
// left out.
func lists(t *testing.T, m emulator.Message) (lines []string) {
	t.Helper()
	type element struct {
		Type     string
		Text     string
		Elements []element
	}
	var blocks []struct {
		Type     string
		Elements []element
	}
	if len(m.Blocks) == 0 {
		return nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(m.Blocks, &raw); err != nil {
		t.Fatal(err)
	}
	for _, r := range raw {
		var kind struct{ Type string }
		if json.Unmarshal(r, &kind) == nil && kind.Type == "rich_text" {
			if err := json.Unmarshal([]byte("["+string(r)+"]"), &blocks); err != nil {
				t.Fatal(err)
			}
			title := blocks[0].Elements[0].Elements[0].Text
			if !listing.MatchString(title) {
				continue
			}
			names := false // a block of names to copy follows
			for _, part := range blocks[0].Elements {
				if part.Type == "rich_text_preformatted" && !names {
					continue
				}
				names = part.Elements[0].Text == "To copy:"
				line := ""
				for _, e := range part.Elements {
					line += e.Text
				}
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func (f *finding) read(line string) {
	f.shown = true
	switch {
	case strings.HasPrefix(line, "Failed items of "):
		return
	case notHere.MatchString(line):
		f.instead = amount(notHere.FindStringSubmatch(line)[1])
		return
	case nowhere.MatchString(line):
		f.missing = amount(nowhere.FindStringSubmatch(line)[1])
		return
	}
	for _, m := range marked.FindAllString(line, -1) {
		if m == noName {
			m = ""
		}
		f.listed[m]++
	}
}

func amount(s string) int {
	n, _ := strconv.Atoi(strings.ReplaceAll(s, ",", ""))
	return n
}

func (f finding) check(t *testing.T, d drawn) {
	t.Helper()
	if d.Counts.Failed > 0 && !f.shown {
		t.Error("no list of failures")
	}
	listed := 0
	for m, n := range f.listed {
		listed += n
		if n > d.named[m] {
			t.Errorf("%q is listed %d times; %d items have that name", m, n, d.named[m])
		}
	}
	if f.rows == nil {
		if listed+f.missing != d.Counts.Failed {
			t.Errorf("%d items are listed and %d said to be missing; %d failed", listed, f.missing, d.Counts.Failed)
		}
		return
	}
	rows := 0
	for m, n := range f.rows {
		rows += n
		if n != d.named[m] {
			t.Errorf("the file has %d rows for %q; %d items have that name", n, m, d.named[m])
		}
	}
	if rows+f.missing != d.Counts.Failed {
		t.Errorf("the file has %d failed items, and %d are said to be missing; %d failed", rows, f.missing, d.Counts.Failed)
	}
	if listed+f.instead != d.Counts.Failed && f.instead > 0 {
		t.Errorf("%d items are listed, and the last reply says that %d are not; %d failed", listed, f.instead, d.Counts.Failed)
	}
}

// mentionsOnly holds that nobody is woken but who is configured, once in a message, and for a failure. An edit wakes nobody.
func mentionsOnly(t *testing.T, messages []emulator.Message, c watcher.Completion, mention string) {
	t.Helper()
	wakes := c.Outcome != watcher.Succeeded && c.Outcome != watcher.Cancelled && !strings.HasPrefix(string(c.Outcome), "other")
	broadcast := slices.ContainsFunc(messages, func(m emulator.Message) bool { return m.Broadcast }) // it wakes, and not the edit
	for i, m := range messages {
		got := emulator.Mentions(m)
		want := []string{}
		if first := i == 0 && !broadcast || m.Broadcast; wakes && mention != "" && (first || len(got) > 0 && i > 0) {
			want = append(want, mention)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("message %d of an order that %s mentions %q, want %q", i+1, c.Outcome, got, want)
		}
	}
}

// showsNoSecret looks for what was planted in everything that was sent, and in the log.
func showsNoSecret(t *testing.T, d drawn, w *wire, b *bench) {
	t.Helper()
	find := finder(d.planted)
	for _, s := range w.sent() {
		if !strings.HasPrefix(s.method, "/services/") && strings.Contains(s.body, "planted-webhook") {
			t.Error("the webhook's address is sent")
		}
		for _, text := range s.texts() {
			find(text, func(secret, around string) { t.Errorf("%s shows the secret %q: …%q…", s.method, secret, around) })
		}
	}
	find(b.log.String(), func(secret, around string) { t.Errorf("the log shows the secret %q: …%q…", secret, around) })
}

// finder returns what looks for secrets, and for their halves, in a text, as they are and escaped.
func finder(secrets []string) func(text string, found func(secret, around string)) {
	const begins = 8
	known := map[string][]string{}
	for _, secret := range secrets {
		for _, half := range halves(secret) {
			for _, s := range []string{half, escapes.Replace(half)} {
				known[s[:begins]] = append(known[s[:begins]], s)
			}
		}
	}
	var first [1 << 16]bool
	for s := range known {
		first[int(s[0])<<8|int(s[1])] = true
	}
	return func(text string, found func(secret, around string)) {
		for i := 0; i+begins <= len(text); i++ {
			if !first[int(text[i])<<8|int(text[i+1])] {
				continue
			}
			for _, secret := range known[text[i:i+begins]] {
				if strings.HasPrefix(text[i:], secret) {
					found(secret, text[max(0, i-80):min(len(text), i+len(secret)+40)])
				}
			}
		}
	}
}

// halves returns the secret, and its halves where they are long enough to be no words.
func halves(secret string) []string {
	if len(secret) < 20 || strings.HasPrefix(secret, "p") {
		return []string{secret}
	}
	return []string{secret[:len(secret)/2], secret[len(secret)/2:]}
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
