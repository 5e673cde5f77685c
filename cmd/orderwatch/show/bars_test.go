package show

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// TestBarLines holds that the bars fit any terminal: never more lines than its rows but one, none wider than it, those that
// go on first, and all others in one line.
func TestBarLines(t *testing.T) {
	for _, orders := range []int{0, 1, 2, 9, 23, 40} {
		var all []*bar
		for i := range orders {
			one := &bar{order: strings.Repeat("订单-", i%7) + fmt.Sprintf("order.pool-%02d", i), begin: night}
			if i%3 == 0 {
				one.r.Counts = watcher.Counts{Total: 10, Succeeded: i % 8, Failed: i % 3, Processing: 2}
				one.eta = &history.Estimate{Samples: 100, From: night.Add(time.Minute), To: night.Add(time.Hour)}
			}
			all = append(all, one)
		}
		for _, columns := range []int{0, 1, 10, 20, 40, 60, 80, 90, 120, 300} {
			for rows := range 42 {
				lines := barLines(all, 21, columns, rows, night.Add(time.Minute))
				if len(lines) > max(rows-1, 0) {
					t.Fatalf("%d lines of %d orders on %d rows", len(lines), orders, rows)
				}
				for i, line := range lines {
					if output.Width(line) >= columns {
						t.Fatalf("a line of %d columns on %d: %q", output.Width(line), columns, line)
					}
					if columns >= 80 && i > 0 && strings.Contains(lines[i-1], "no items yet") && strings.Contains(line, "ended  ") {
						t.Fatalf("an order that goes on comes after one that does not: %q", lines)
					}
				}
				if last := orders - (rows - 2); columns >= 80 && rows > 2 && last > 0 && !strings.HasPrefix(lines[len(lines)-1], fmt.Sprintf("and %d more order", last)) {
					t.Fatalf("%d orders on %d rows end with %q", orders, rows, lines[len(lines)-1])
				}
			}
		}
	}
}

// TestRowsOf holds how many rows lines take where a terminal was made narrower.
func TestRowsOf(t *testing.T) {
	lines := []string{"", strings.Repeat("a", 10), strings.Repeat("a", 11), "订单订单订单"}
	for columns, want := range map[int]int{10: 6, 100: 4, 5: 9, 0: 4 + 9 + 10 + 11} {
		if got := rowsOf(lines, columns); got != want {
			t.Errorf("%d columns: %d rows; want %d", columns, got, want)
		}
	}
}
