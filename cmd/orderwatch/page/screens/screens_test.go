package screens_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
)

func TestEmptyScreens(t *testing.T) {
	var b bytes.Buffer
	for name, err := range map[string]error{
		"now": screens.Now(&b, screens.NowView{}), "order": screens.Order(&b, screens.OrderView{}),
		"history": screens.History(&b, screens.HistoryView{}), "health": screens.Health(&b, screens.HealthView{}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNowHeads holds that each cell of a list has its heading, whatever the list has.
func TestNowHeads(t *testing.T) {
	open := screens.Row{Word: "running", Class: "open", SoFar: 6 * time.Minute, Longer: true}
	done := screens.Row{Word: "done", Class: "ok", SoFar: 11 * time.Second, EndedAt: asOf, Watched: true}
	for name, tt := range map[string]struct {
		rows     []screens.Row
		heads    int
		has, not []string
	}{
		"open":  {[]screens.Row{open}, 6, []string{">So far<", ">Next poll<", "longer than usual"}, []string{"Ended</th>"}},
		"ended": {[]screens.Row{done}, 4, []string{">Took<", ">Ended<", "watched for</span> 11s"}, []string{"So far", "Next poll"}},
		"mixed": {[]screens.Row{open, done}, 6, []string{">So far, or took<", ">Next poll, or ended<"}, nil},
	} {
		var b bytes.Buffer
		if err := screens.Now(&b, screens.NowView{Rows: tt.rows, Failed: 4}); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		table := page[strings.Index(page, "<table"):strings.Index(page, "</table>")]
		if n := strings.Count(table, `scope="col"`); n != tt.heads {
			t.Errorf("%s: %d headings", name, n)
		}
		if n := strings.Count(table, "<td"); n != (tt.heads-1)*len(tt.rows) {
			t.Errorf("%s: %d cells", name, n)
		}
		for _, text := range append(tt.has, "<b>4</b> did not succeed in the last hour") {
			if !strings.Contains(page, text) {
				t.Errorf("%s does not say %q", name, text)
			}
		}
		for _, text := range tt.not {
			if strings.Contains(table, text) {
				t.Errorf("%s says %q", name, text)
			}
		}
	}
}

// TestMessageCommand holds that a command stands apart from its sentence.
func TestMessageCommand(t *testing.T) {
	var b bytes.Buffer
	if err := screens.Message(&b, screens.MessageView{Lines: []string{"To have it watched: orderwatch watch p/<o"}}); err != nil {
		t.Fatal(err)
	}
	if want := "<p>To have it watched: <code>orderwatch watch p/&lt;o</code></p>"; !strings.Contains(b.String(), want) {
		t.Errorf("it does not have %s:\n%s", want, b.String())
	}
}
