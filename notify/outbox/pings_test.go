package outbox

import (
	"strings"
	"testing"
	"time"
)

// TestPingsGive holds which messages wake somebody.
func TestPingsGive(t *testing.T) {
	t.Parallel()
	now, timing := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC), DefaultTiming()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	owed := []missed{{Key: "b"}}
	for name, c := range map[string]struct {
		pings pings
		wakes bool
	}{
		"the first":                           {pings{}, true},
		"one just after":                      {pings{Last: ago(time.Second), By: "b"}, false},
		"the same, whose call failed":         {pings{Last: ago(time.Second), By: "a"}, true},
		"one a minute after":                  {pings{Last: ago(time.Minute), By: "b"}, true},
		"one while a line is owed":            {pings{Last: ago(time.Minute), By: "b", Owed: owed}, false},
		"one while a line is on its way":      {pings{Last: ago(time.Minute), Owed: owed, Closed: true}, false},
		"one while nobody gives what is owed": {pings{Last: ago(2 * time.Minute), By: "b", Owed: owed}, true},
		"one after a clock was far wrong":     {pings{Last: ago(-time.Hour), By: "b"}, true},
	} {
		after, wakes := c.pings.gives("a", now, timing)
		if wakes != c.wakes || wakes && (after.By != "a" || after.Last.IsZero()) {
			t.Errorf("%s: %t, %+v", name, wakes, after)
		}
	}
}

// TestPingsSettle holds what comes next for a message that is owed a ping.
func TestPingsSettle(t *testing.T) {
	t.Parallel()
	now, timing := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC), DefaultTiming()
	early, due := now.Add(-20*time.Second), now.Add(-time.Minute)
	a, b := []missed{{Key: "a"}}, []missed{{Key: "b"}}
	for what, c := range map[string]struct {
		pings pings
		named bool
		next  owing
		left  time.Duration
		owed  int
		on    int // in the next line
	}{
		"the first that is owed one":     {pings{Last: early}, false, name, 0, 1, 0},
		"the second":                     {pings{Last: early, Owed: b}, false, name, 0, 2, 0},
		"one while a line is on its way": {pings{Last: early, Owed: b, Closed: true}, false, name, 0, 1, 1},
		"that it is named is not noted":  {pings{Last: due, Owed: a}, false, name, 0, 1, 0},
		"it is not time yet":             {pings{Last: early, Owed: a}, true, later, 40 * time.Second, 1, 0},
		"it is time":                     {pings{Last: due, Owed: a}, true, giving, 0, 1, 0},
		"its line is on its way":         {pings{Last: early, Owed: a, Closed: true}, true, giving, 0, 1, 0},
		"another line is on its way":     {pings{Last: early, Owed: b, Closed: true, Next: a}, true, later, time.Second, 1, 1},
		"nobody gave the line before":    {pings{Last: due, Owed: b, Closed: true, Next: a}, true, giving, 0, 1, 1},
		"its line stands":                {pings{Last: early, Lines: 1, Owed: b}, true, given, 0, 1, 0},
	} {
		after, next, left := c.pings.settles(missed{Key: "a"}, c.named, now, timing)
		if next != c.next || left != c.left || len(after.Owed) != c.owed || len(after.Next) != c.on || next == giving && !after.Closed {
			t.Errorf("%s: %d in %s, %+v", what, next, left, after)
		}
	}
	p := pings{Owed: []missed{{Key: "c", Text: "crowd", Mention: "<!here>", Urgency: crowd}, {Key: "r", Text: "known", Mention: "<@U1>", Urgency: repeated}, {Key: "u", Text: "new", Mention: "<!here>"}}, Next: a, Closed: true}
	texts, mention := p.says()
	if got := strings.Join(texts, ", "); got != "new, known, crowd" || mention != "<!here> <@U1>" {
		t.Errorf("it says %q to %q", got, mention)
	}
	if p = p.given(); p.Lines != 1 || len(p.Owed) != 1 || p.Owed[0].Key != "a" || p.Next != nil || p.Closed {
		t.Errorf("then %+v is owed", p)
	}
}
