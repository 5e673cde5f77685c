package page

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/store"
)

// TestFeedsAreDropped holds that a feed goes which nobody looks at, also where nobody asks for another.
func TestFeedsAreDropped(t *testing.T) {
	now := time.Now()
	s := &server{feeds: map[string]*feed{"old": {lastUsed: now.Add(-feedKept - time.Second)}, "used": {lastUsed: now}}}
	s.dropUnused(now)
	if s.feeds["old"] != nil || s.feeds["used"] == nil {
		t.Errorf("there are %v", s.feeds)
	}
}

// TestTimeOf holds that nothing counts on which is shown while the board is not up to date.
func TestTimeOf(t *testing.T) {
	now := time.Now()
	before := now.Add(-time.Hour)
	s := &source{store: &store.Store{Clock: store.NewClock(func() time.Time { return now })}}
	for _, tt := range []struct {
		board index.Status
		want  time.Time
	}{{index.Status{}, now}, {index.Status{Ready: true, Connected: true, AsOf: before}, now}, {index.Status{Ready: true, AsOf: before}, before}} {
		if got := s.timeOf(tt.board); !got.Equal(tt.want) {
			t.Errorf("%+v: %s", tt.board, got)
		}
	}
}
