package message_test

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
)

// A file is bounded whatever it is made of, and says where it is cut; no cell is a formula, none holds
// a secret, and each is fit for a screen.
func TestFileOfHostileItems(t *testing.T) {
	t.Parallel()
	const huge = 100 << 10
	hostile := []string{`=HYPERLINK("http://evil.example")`, "+1+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "a,b\"c\nd", bidi, "\x1b[31mred", "\xff\xfe", secretKey}
	var failures []watcher.Failure
	for i := range 5000 {
		cause := hostile[i%len(hostile)] + strings.Repeat(string(rune('a'+i%26)), i/26+1)
		if i%100 == 0 {
			cause += strings.Repeat(" 電腦", huge/7) + " the cause is at the end"
		}
		failures = append(failures, watcher.Failure{Message: cause, Action: hostile[i%7], Count: 1, ResourceNames: []string{fmt.Sprintf("%s%05d", hostile[i%5], i)}})
	}
	c := order(watcher.AllFailed, 0, failures...)
	for i, f := range failures {
		c.Items[i].Action = f.Action
	}
	m := message.Summarize(c, message.Options{File: true, Secrets: message.HideSecrets(secretKey)})
	if m.File == nil {
		t.Fatal("no file")
	}
	if n := len(m.File.Content); n > 8<<20 {
		t.Errorf("%d bytes", n)
	}
	all := rows(t, m.File.Content)
	if len(all) != 5000 {
		t.Errorf("%d rows", len(all))
	}
	cut := 0
	for _, row := range all {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r\n") || strings.HasPrefix(cell, "＝") {
				t.Fatalf("a spreadsheet takes %.40q for a formula", cell)
			}
			if strings.Contains(cell, secretKey) || strings.ContainsAny(cell, "\x1b\u202e\r") || !utf8.ValidString(cell) {
				t.Fatalf("%.80q", cell)
			}
		}
		if strings.Contains(row[5], "characters left out") && strings.Contains(row[5], "the cause is at the end") {
			cut++
		}
	}
	if cut != 50 {
		t.Errorf("%d messages say that they are cut; want 50", cut)
	}
}

// Where an event left out the items, the file has what its causes name, and the message says what is
// missing everywhere.
func TestFileOfAnEventWithoutItems(t *testing.T) {
	t.Parallel()
	c := filing(5000, 300)
	c.Items, c.ItemsOmitted = nil, 5000
	m := message.Summarize(c, message.Options{File: true})
	if n := len(rows(t, m.File.Content)); n != 5000 {
		t.Errorf("%d rows", n)
	}
	for i := range c.Failures {
		c.Failures[i].ResourceNames = c.Failures[i].ResourceNames[:10]
	}
	m = message.Summarize(c, message.Options{File: true})
	if n := len(rows(t, m.File.Content)); n != 3000 {
		t.Errorf("%d rows", n)
	}
	if text := strings.Join(m.Lines(), "\n"); !strings.Contains(text, "Not there: 2,000 more failed items, see the completion event") || !strings.Contains(m.File.Text, "2,000 more") {
		t.Errorf("%s\n%s", m.File.Text, text)
	}
}

// rows reads a CSV, without its first row.
func rows(t *testing.T, content []byte) [][]string {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(string(content))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(all[0], ","); got != "resource_name,action,status,began_at,updated_at,message" {
		t.Errorf("the columns are %s", got)
	}
	return all[1:]
}
