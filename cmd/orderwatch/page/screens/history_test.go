package screens_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/events/tally"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// samples are the screens History and Health, empty, well, full and wrong.
func samples() map[string]func(*bytes.Buffer) error {
	away := sampleHealth(false)
	away.Connected = false
	silent := sampleHealth(false)
	silent.Silent, silent.Status.NotLookedAt = "none runs", nil
	all := map[string]func(*bytes.Buffer) error{}
	for name, v := range map[string]screens.HistoryView{"empty": sampleHistory(30, 0, 0), "one": sampleHistory(30, 1, 1), "full": sampleHistory(90, 40, 60)} {
		all["history-"+name] = func(b *bytes.Buffer) error { return screens.History(b, v) }
	}
	for name, v := range map[string]screens.HealthView{"well": sampleHealth(false), "wrong": sampleHealth(true), "away": away, "silent": silent} {
		all["health-"+name] = func(b *bytes.Buffer) error { return screens.Health(b, v) }
	}
	return all
}

// inert are the elements and ofTags of the screens: what a text of others brings in beside them was not escaped.
var inert = regexp.MustCompile(`^(html|head|meta|title|link|script|body|a|header|nav|div|p|main|h1|h2|ul|li|table|caption|thead|tbody|tr|th|td|details|summary|svg|g|rect|span|br|dl|dt|dd|time|strong)$`)

// TestHostileTexts looks at each tag of the samples. No text of others becomes an element, an attribute of an event, or a link that
// leaves the page, and none shows what people cannot see.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for name, write := range samples() {
		var page bytes.Buffer
		if err := write(&page); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if dir := os.Getenv("SCREENS_DIR"); dir != "" { // to look at them
			if err := os.WriteFile(filepath.Join(dir, name+".html"), page.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if strings.ContainsAny(page.String(), "\u202e\u200b") {
			t.Errorf("%s shows what turns or hides text", name)
		}
		for _, tag := range allTags.FindAllStringSubmatch(page.String(), -1) {
			if !inert.MatchString(tag[1]) {
				t.Errorf("%s has an element %s", name, tag[0])
			}
			for _, a := range ofTags.FindAllStringSubmatch(tag[2], -1) {
				outside := a[1] == "href" && !strings.HasPrefix(a[2], `"/`) && !strings.HasPrefix(a[2], `"#`)
				if strings.HasPrefix(a[1], "on") || a[1] == "style" || outside {
					t.Errorf("%s: %s has %s", name, tag[1], a[0])
				}
			}
		}
		if left := allTags.ReplaceAllString(page.String(), ""); strings.ContainsAny(strings.ReplaceAll(left, "<!doctype html>", ""), "<>") {
			t.Errorf("%s has a < or > that is no element's", name)
		}
	}
}

// A tag as these templates write it, and an attribute of one: html/template escapes < and > in all values.
var (
	allTags = regexp.MustCompile(`</?([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>`)
	ofTags  = regexp.MustCompile(`([a-zA-Z-]+)=("[^"]*"|'[^']*'|[^ "'>]+)`)
)

func TestHistoryWords(t *testing.T) {
	t.Parallel()
	v := sampleHistory(3, 0, 0)
	if got := v.Sentence(); got != "No watch ended in the last 3 days." {
		t.Error(got)
	}
	v.Days[2].Ended[0] = 1
	if got := v.Sentence(); got != "1 watch ended in the last 3 days: 1 done." {
		t.Error(got)
	}
	v.Days[0].Ended[1], v.Days[0].Ended[0] = 2, 1200
	if got := v.Sentence(); got != "1,203 watches ended in the last 3 days: 1,201 done, 2 partly failed." {
		t.Error(got)
	}
	chart := v.Chart()
	if len(chart.Bars) != 3 || chart.Bars[0].Words != "28 Jun: 1,200 done, 2 partly failed" || chart.Bars[1].Words != "29 Jun: none" || chart.Bars[0].Parts[0].H < 1 {
		t.Errorf("%+v", chart)
	}
	for _, bar := range sampleHistory(90, 1, 0).Chart().Bars {
		for _, part := range bar.Parts {
			if part.Y < 0 || part.Y+part.H > 100.1 {
				t.Errorf("%s reaches from %g to %g", bar.Words, part.Y, part.Y+part.H)
			}
		}
	}
	min := time.Minute
	v.Kinds = []tally.Kind{{Now: tally.Took{Ended: 20, P10: min, P50: 3 * min, P90: 4 * min, P95: 5 * min}, Before: tally.Took{Ended: 20, P10: min, P50: 2 * min, P90: 4 * min, P95: 5 * min}}}
	if row := v.ShownKinds()[0]; row.Change != "50 % slower" || row.Now.P95 != "5m00s" || row.Now.To != 80 {
		t.Errorf("%+v", row)
	}
}

// TestHistoryOfSlowOrders holds that orders which take weeks are drawn as others are.
func TestHistoryOfSlowOrders(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	v := sampleHistory(3, 0, 0)
	v.Kinds = []tally.Kind{{Now: tally.Took{Ended: 20, P10: 10 * day, P50: 20 * day, P90: 32 * day, P95: 40 * day}}}
	if row := v.ShownKinds()[0].Now; row.From != 25 || row.Half != 50 || row.To != 80 || row.Width != 55 || row.Tail != 20 {
		t.Errorf("%+v", row)
	}
}

// TestHistoryGrows holds that each fragment has its place from the beginning: also those of lists that are short then.
func TestHistoryGrows(t *testing.T) {
	t.Parallel()
	var page bytes.Buffer
	if err := screens.History(&page, sampleHistory(30, 1, 1)); err != nil {
		t.Fatal(err)
	}
	parts, err := screens.HistoryBody(sampleHistory(30, 9, 17))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if !strings.Contains(page.String(), `sse-swap="`+part.Name+`"`) {
			t.Errorf("%s has no place", part.Name)
		}
		if want, ok := map[string]string{"more-durations-title": "More kinds of orders: 1", "more-causes-title": "More causes: 2"}[part.Name]; ok && string(part.HTML) != want {
			t.Errorf("%s: %s", part.Name, part.HTML)
		}
	}
	for _, name := range []string{"more-durations", "more-causes"} {
		if !strings.Contains(page.String(), `hx-swap="morph:innerHTML"></summary>`) || !strings.Contains(page.String(), `sse-swap="`+name+`" hx-swap="morph:innerHTML"></div>`) {
			t.Errorf("%s are there already:\n%s", name, page.String())
		}
	}
}

func TestHealthWords(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*screens.HealthView){
		"orderwatch is well.": func(*screens.HealthView) {},
		"It is not known whether orderwatch is well: NATS is not connected.":   func(v *screens.HealthView) { v.Connected = false },
		"It is not known yet whether orderwatch is well: no worker was asked.": func(v *screens.HealthView) { v.Answered = time.Time{} },
		"orderwatch is well, as far as could be looked at.":                    func(v *screens.HealthView) { v.Unseen = []string{"x"} },
		"orderwatch is not well: no worker answers.":                           func(v *screens.HealthView) { v.Silent = "none runs" },
		"orderwatch works, with one thing to know.":                            func(v *screens.HealthView) { v.Status.Held = []wire.HeldAccount{{Kind: watcher.HeldThrottled}} },
		"orderwatch is not well: 3 things to mend.": func(v *screens.HealthView) {
			v.Status.Held = []wire.HeldAccount{{Kind: watcher.HeldLogin}, {Kind: watcher.HeldThrottled}, {Kind: watcher.HeldUnreachable}}
		},
		"orderwatch is not well: one thing to mend.": func(v *screens.HealthView) { v.Status.Watches.Overdue = 1 },
		"orderwatch is not well: 2 things to mend.":  func(v *screens.HealthView) { v.Status.Watches.Overdue, v.Streams[1].Wrong = 1, "it is missing" },
	} {
		v := sampleHealth(false)
		change(&v)
		if got := v.Sentence(); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
	v := sampleHealth(false)
	v.Status.People = &wire.Untold{Waiting: 1, Since: v.Answered.Add(-10 * time.Second)}
	if got := v.Problems(); len(got) > 0 {
		t.Errorf("one message on its way is a problem: %+v", got)
	}
	if got := v.Detection(); got != "half within 2.3 s, 95 of 100 within 6.1 s; 318 orders in the last 24 hours, 290 found by the list of orders" {
		t.Error(got)
	}
}
