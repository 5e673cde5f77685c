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
