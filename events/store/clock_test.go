package store_test

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/store"
)

// What a slow answer says of the server's clock counts where nothing surer is known.
func TestClockReadings(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	begin := time.Now()
	before := store.NewReading(20*ms, 2*ms, begin)
	for _, test := range []struct {
		name          string
		offset, doubt time.Duration
		after         time.Duration
		counts        bool
	}{
		{"as quick", 21 * ms, 2 * ms, time.Second, true},
		{"quicker", 19 * ms, ms, time.Second, true},
		{"slow", 300 * ms, 400 * ms, 10 * time.Second, false},
		{"slow, and another server's time", time.Second, 400 * ms, 10 * time.Second, true},
		{"as quick, and another server's time", -time.Minute, 2 * ms, 10 * time.Second, true},
		{"a bit slower, soon", 20 * ms, 4 * ms, 10 * time.Second, false},
		{"a bit slower, when the clocks may have drifted", 20 * ms, 4 * ms, 30 * time.Second, true},
		{"slow, when the process's clock was set back", 3600*time.Second + 20*ms, 400 * ms, -time.Hour, true},
	} {
		if got := store.NewReading(test.offset, test.doubt, begin.Add(test.after)).Counts(&before); got != test.counts {
			t.Errorf("%s: %t; want %t", test.name, got, test.counts)
		}
	}
	if !before.Counts(nil) {
		t.Error("the first does not count")
	}
}
