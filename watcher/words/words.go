// Package words says numbers, spans of time, actions and outcomes to people, in one way wherever they read them:
// a reason, a message in Slack, a page in a terminal. Its functions are pure, and take and return plain strings.
// What an error or a hold is called is said by Class.Words and HoldKind.Words of package watcher.
//
//   - words.go: numbers and spans of time;
//   - action.go: what an action is about, and what its success or failure leaves behind;
//   - outcome.go: the fixed word of each outcome.
package words

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Number returns n with thousands separators.
func Number(n int) string {
	if n < 0 {
		return "-" + Number(-max(n, -math.MaxInt))
	}
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", Number(n/1000), n%1000)
}

// Count returns "1 item", "1,200 items", "2 watches".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "ch") {
		noun += "e"
	}
	return Number(n) + " " + noun + "s"
}

// Span returns a duration by its two largest units, as a sentence has it: 11 m 26 s, 2 h, 3 d 4 h. One of less
// than half a second is 0 s.
func Span(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	sizes := []struct {
		unit    string
		seconds int
	}{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}
	for i, size := range sizes {
		if s < size.seconds {
			continue
		}
		text := Number(s/size.seconds) + " " + size.unit
		if i+1 < len(sizes) && s%size.seconds/sizes[i+1].seconds > 0 {
			text += fmt.Sprintf(" %d %s", s%size.seconds/sizes[i+1].seconds, sizes[i+1].unit)
		}
		return text
	}
	return "0 s"
}

// Brief returns a duration by its two largest units, as a column has it: 45s, 12m05s, 2h05m, 3d04h. Days begin
// at 48 hours.
func Brief(d time.Duration) string {
	if d < 0 {
		return "-" + Brief(-max(d, -math.MaxInt64)) // the least number has no opposite
	}
	d = d.Round(time.Second)
	switch s := int(d / time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", s)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
	}
}

// Compact returns a duration with all its units but those at its end that are 0, as a reason has it: 45s, 2h,
// 1h30m, 1h30m5s.
func Compact(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Between returns a range of durations, as a sentence has it: 20 to 40 s, 9 to 14 min, 40 s to 5 min, 1 h 10 m to 3 h. Both
// ends are rounded outwards, so that it stays a range.
func Between(from, to time.Duration) string {
	down := func(d, unit time.Duration) time.Duration { return max(d, 0).Truncate(unit) }
	up := func(d, unit time.Duration) time.Duration { return down(d+unit-1, unit) }
	short := from > 0 && from < time.Minute
	switch {
	case to < time.Minute:
		return fmt.Sprintf("%d to %d s", down(from, time.Second)/time.Second, up(to, time.Second)/time.Second)
	case to >= 2*time.Hour && short:
		return Span(from) + " to " + Span(up(to, time.Minute))
	case to >= 2*time.Hour:
		return Span(down(from, time.Minute)) + " to " + Span(up(to, time.Minute))
	case short:
		return fmt.Sprintf("%s to %d min", Span(from), up(to, time.Minute)/time.Minute)
	}
	return fmt.Sprintf("%d to %d min", down(from, time.Minute)/time.Minute, up(to, time.Minute)/time.Minute)
}
