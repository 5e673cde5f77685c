package notable_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/notable"
)

var noon = time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)

func after(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// TestThrottledForFiveSeconds holds that what is over is kept.
func TestThrottledForFiveSeconds(t *testing.T) {
	t.Parallel()
	var none *notable.Troubles
	got := none.Failed("w_1", after(0), "APIG.0308", "too often").Held("w_1", after(0), "throttled", "too often").
		Held("w_1", after(2), "throttled", "still").Over("w_1", after(5)).Over("w_1", after(9))
	want := &notable.Troubles{
		WatchID: "w_1", FailedPolls: 1,
		First: &notable.Trouble{At: after(0), Code: "APIG.0308", Message: "too often"}, Latest: &notable.Trouble{At: after(0), Code: "APIG.0308", Message: "too often"},
		Holds:   []notable.Trouble{{At: after(0), Until: after(5), Code: "throttled", Message: "too often"}},
		HeldFor: map[string]history.Span{"throttled": history.Span(5 * time.Second)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v; want %+v", got, want)
	}
	if got.Of("w_2") != nil || got.Renamed("w_1", "w_2").Of("w_2") == nil || got.Renamed("w_3", "w_2") != nil {
		t.Error("the troubles are taken for another watch's")
	}
	if other := got.Failed("w_2", after(20), "x", "y"); other.FailedPolls != 1 || len(other.Holds) != 0 {
		t.Errorf("another watch begins with %+v", other)
	}
}

// TestOneHoldAfterAnother holds that a hold of another kind ends the one before.
func TestOneHoldAfterAnother(t *testing.T) {
	t.Parallel()
	var none *notable.Troubles
	first := none.Held("w_1", after(0), "unreachable", "a")
	second := first.Held("w_1", after(60), "permission", "b")
	if !first.Holds[0].Until.IsZero() {
		t.Error("what a record shares was changed in place")
	}
	if len(second.Holds) != 2 || !second.Holds[0].Until.Equal(after(60)) || !second.Holds[1].Until.IsZero() {
		t.Errorf("%+v", second.Holds)
	}
	if ended := second.Over("w_1", after(30)); !ended.Holds[1].Until.Equal(after(60)) || ended.HeldFor["permission"] != 0 {
		t.Errorf("a hold ended before it began: %+v", ended)
	}
}

// TestBounded holds that the size is bounded whatever comes.
func TestBounded(t *testing.T) {
	t.Parallel()
	var all *notable.Troubles
	for i := range 10_000 {
		text := strings.Repeat("界", 300)
		all = all.Failed("w_1", after(i), text, text).Held("w_1", after(i), text+string(rune('a'+i%26)), text)
		all = all.Held("w_1", after(i), string(rune('a'+i%26)), text)
	}
	encoded, err := json.Marshal(all)
	if err != nil || len(encoded) > 3<<10 || all.FailedPolls != 10_000 || len(all.HeldFor) > 8 {
		t.Errorf("%d bytes, %d polls, %v", len(encoded), all.FailedPolls, err)
	}
}
