package usual

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/history"
)

// TestClockBehind learns from events of which the last was stored by a new leader whose clock is behind. Each counts once.
func TestClockBehind(t *testing.T) {
	begin := time.Now()
	event := func(sequence uint64, after time.Duration) observed {
		return observed{history.Observation{Lasted: time.Minute, Ended: true}, sequence, begin.Add(after)}
	}
	events := []observed{event(10, 0), event(11, 100*time.Millisecond), event(12, -100*time.Millisecond)}
	v := (*value)(nil).with(events)
	for _, e := range events {
		if v.with([]observed{e}) != nil {
			t.Errorf("event %d counts again", e.sequence)
		}
	}
	if v.Sequence != 12 || v.with([]observed{event(1, time.Second)}) == nil {
		t.Errorf("sequence %d; events of a stream that was made anew do not count", v.Sequence)
	}
}
