package show

import (
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/notable"
)

// TestStory holds how a story is laid out, and what it leaves out.
func TestStory(t *testing.T) {
	t.Parallel()
	story := wire.Story{
		Watch: shownWatch(fourItems()...), Omitted: 12, UnreadBefore: minutes(9),
		Lines: []wire.StoryLine{
			{At: minutes(10), Kind: "asked", Text: "asked by gpu-pools (request build-771)", Link: "https://ci.example/771"},
			{At: minutes(6), Until: minutes(5.9), Kind: "held", Text: "the account is throttled for 6s: \x1b[31mtoo often"},
			{At: minutes(2), Kind: "late", Text: "late: the order was expected to end by " + minutes(2).Format(time.RFC3339) + ", 8m after"},
			{At: minutes(1), Kind: "changed", Text: strings.Repeat("os-node-created-8jsnk failed ", 8)},
		},
	}
	got := Page{Now: night, Width: 80}.Story(story)
	want := `6f5da086876d4cd084d36f8bd3346036/order.pool-5ed5-w4l2n
watching  2 of 4 items ended, 2 still processing

12 lines of changes left out, the oldest; events before 02:53:10 UTC were too
many to be read
02:52:10 UTC  asked by gpu-pools (request build-771) · https://ci.example/771
02:56:10 UTC  the account is throttled for 6s: ` + "\uFFFD" + `too often, until 02:56:16 UTC
03:00:10 UTC  late: the order was expected to end by 03:00:10 UTC, 8m after
03:01:10 UTC  os-node-created-8jsnk failed os-node-created-8jsnk failed
              os-node-created-8jsnk failed os-node-created-8jsnk failed
              os-node-created-8jsnk failed os-node-created-8jsnk failed
              os-node-created-8jsnk failed os-node-created-8jsnk failed
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestTroublesAreShown holds that what went wrong is shown when it is over.
func TestTroublesAreShown(t *testing.T) {
	t.Parallel()
	w := shownWatch(fourItems()...)
	w.Troubles = &notable.Troubles{
		WatchID: w.WatchID, FailedPolls: 3, First: &notable.Trouble{At: minutes(6), Code: "APIG.0308"}, Latest: &notable.Trouble{At: minutes(2), Code: "may_pass"},
		HeldFor: map[string]history.Span{"throttled": history.Span(5 * time.Second)},
	}
	page := Page{Now: night, Width: 120}.Watch(w)
	for _, line := range []string{
		"troubles    3 polls failed: the first at 02:56:10 UTC (APIG.0308), the latest at 03:00:10 UTC (2m00s ago) (may_pass)\n",
		"            the account is throttled for 5s in all\n",
	} {
		if !strings.Contains(page, line) {
			t.Errorf("it lacks %q:\n%s", line, page)
		}
	}
}
