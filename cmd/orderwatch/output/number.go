package output

import (
	"fmt"
	"time"
)

// Time returns a time as people read it, in the local zone; a dash for the zero time.
func Time(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format(time.DateTime)
}

// Duration returns a duration in its two largest units: 45s, 12m30s, 2h05m, 3d04h.
func Duration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	d = d.Round(time.Second)
	switch s := int(d / time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%s%ds", sign, s)
	case d < time.Hour:
		return fmt.Sprintf("%s%dm%02ds", sign, s/60, s%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%s%dh%02dm", sign, s/3600, s/60%60)
	default:
		return fmt.Sprintf("%s%dd%02dh", sign, s/86400, s/3600%24)
	}
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

// Count returns "1 item", "2 items".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
