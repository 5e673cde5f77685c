package output

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// How times are written, everywhere on a terminal: in this machine's zone, which each time names.
const (
	clock  = time.TimeOnly + " MST"
	moment = time.DateTime + " MST"
)

// Time returns a time as people read it, in the local zone; a dash for the zero time.
func Time(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format(moment)
}

// Clock returns a time of the day in the zone of now, with the date where that is not today's.
func Clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(clock)
	}
	return t.Format(moment)
}

// written is a time as sentences of workers and clouds have it: a word of its own, and not a part of an address.
var written = regexp.MustCompile(`(^|[\s(])(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))([\s,.;:)]|$)`)

// Times returns a sentence of others with the times in it as [Clock] writes them.
func Times(text string, now time.Time) string {
	if !strings.Contains(text, "T") {
		return text
	}
	return written.ReplaceAllStringFunc(text, func(found string) string {
		parts := written.FindStringSubmatch(found)
		t, err := time.Parse(time.RFC3339, parts[2])
		if err != nil {
			return found
		}
		return parts[1] + Clock(t, now) + parts[3]
	})
}

// Bytes returns a size as people read it.
func Bytes(n uint64) string {
	const unit = 1 << 10
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	size, i := float64(n), 0
	for size >= unit && i < len(units)-1 {
		size, i = size/unit, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[i])
}
