package words_test

import (
	"math"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/words"
)

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		n          int
		noun, want string
	}{
		{0, "item", "0 items"}, {1, "item", "1 item"}, {2, "watch", "2 watches"}, {1, "watch", "1 watch"}, {999, "item", "999 items"},
		{1000, "item", "1,000 items"}, {1234567, "more cause", "1,234,567 more causes"}, {-1200, "item", "-1,200 items"}, {1001, "order", "1,001 orders"},
		{math.MinInt, "item", "-9,223,372,036,854,775,807 items"}, // nearly
	} {
		if got := words.Count(tt.n, tt.noun); got != tt.want {
			t.Errorf("Count(%d, %q) = %q, want %q", tt.n, tt.noun, got, tt.want)
		}
	}
}

func TestAsker(t *testing.T) {
	for _, tt := range [][3]string{
		{"", "", "somebody"}, {"", "ann", "ann"}, {"gpu", "", "team gpu"}, {"gpu", "ann", "team gpu, by its own word ann"},
	} {
		if got := words.Asker(tt[0], tt[1]); got != tt[2] {
			t.Errorf("Asker(%q, %q) = %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]struct{ span, brief, compact string }{
		0:                               {"0 s", "0s", "0s"},
		400 * time.Millisecond:          {"0 s", "0s", "0s"},
		45 * time.Second:                {"45 s", "45s", "45s"},
		59500 * time.Millisecond:        {"1 m", "1m00s", "1m"},
		11*time.Minute + 26*time.Second: {"11 m 26 s", "11m26s", "11m26s"},
		2 * time.Hour:                   {"2 h", "2h00m", "2h"},
		2*time.Hour + 5*time.Second:     {"2 h", "2h00m", "2h0m5s"},
		90 * time.Minute:                {"1 h 30 m", "1h30m", "1h30m"},
		47*time.Hour + 59*time.Minute:   {"1 d 23 h", "47h59m", "47h59m"},
		12*time.Minute + 5*time.Second:  {"12 m 5 s", "12m05s", "12m5s"},
		2*time.Hour + 5*time.Minute:     {"2 h 5 m", "2h05m", "2h5m"},
		47*time.Hour + 59*time.Minute + 59*time.Second: {"1 d 23 h", "47h59m", "47h59m59s"},
		48 * time.Hour:                        {"2 d", "2d00h", "48h"},
		76 * time.Hour:                        {"3 d 4 h", "3d04h", "76h"},
		-90 * time.Second:                     {"0 s", "-1m30s", "-1m30s"},
		40000 * time.Hour:                     {"1,666 d 16 h", "1666d16h", "40000h"},
		math.MaxInt64 / time.Hour * time.Hour: {"106,751 d 23 h", "106751d23h", "2562047h"},
		math.MinInt64:                         {"0 s", "-106751d23h", "-2562047h47m16.854775808s"},
	} {
		if got := words.Span(d); got != want.span {
			t.Errorf("Span(%d) = %q, want %q", d, got, want.span)
		}
		if got := words.Brief(d); got != want.brief {
			t.Errorf("Brief(%d) = %q, want %q", d, got, want.brief)
		}
		if got := words.Compact(d); got != want.compact {
			t.Errorf("Compact(%d) = %q, want %q", d, got, want.compact)
		}
	}
}

func TestBetween(t *testing.T) {
	for _, tt := range []struct {
		from, to time.Duration
		want     string
	}{
		{0, time.Second, "0 to 1 s"}, {20 * time.Second, 40500 * time.Millisecond, "20 to 41 s"}, {40 * time.Second, 61 * time.Second, "40 s to 2 min"},
		{0, 3 * time.Minute, "0 to 3 min"}, {9*time.Minute + 50*time.Second, 13*time.Minute + time.Second, "9 to 14 min"}, {time.Minute, 2*time.Hour - time.Minute, "1 to 119 min"},
		{50 * time.Minute, 2 * time.Hour, "50 m to 2 h"}, {70 * time.Minute, 30 * time.Hour, "1 h 10 m to 1 d 6 h"}, {30 * time.Second, 3 * time.Hour, "30 s to 3 h"}, {0, 3 * time.Hour, "0 s to 3 h"},
	} {
		if got := words.Between(tt.from, tt.to); got != tt.want {
			t.Errorf("Between(%s, %s) = %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}
