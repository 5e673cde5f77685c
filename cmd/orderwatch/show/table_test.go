package show

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// listed returns the watches of TestPage as a list has them, each of an order of its own.
func listed() []watcher.Snapshot {
	shown := shownWatches()
	var watches []watcher.Snapshot
	for i, name := range []string{"fresh", "processing", "held", "missing", "overdue", "cancelling", "failed", "cancelled", "many", "deleted", "deleted-part", "mixed-part", "renewed-none"} {
		w := brief(shown[name])
		w.OrderName = fmt.Sprintf("order.pool-%x%d%dd5-w4l2n", i, i*7%10, i*3%10)
		watches = append(watches, w)
	}
	timedOut := ended(shownWatch(fourItems()...), watcher.TimedOut, "after 2h: 2 of 4 items ended, 2 still processing", 45)
	timedOut.AcceptedAt = minutes(165)
	succeeded := ended(shownWatch(fourItems()[0]), watcher.Succeeded, "1 of 1 item succeeded", 60*50)
	succeeded.AcceptedAt = night.Add(-51 * time.Hour)
	return append(watches, brief(timedOut), brief(succeeded))
}

// brief returns the watch as a list has it.
func brief(w watcher.Snapshot) watcher.Snapshot {
	w.Actions = w.ByAction()
	return w.Brief()
}

func TestTable(t *testing.T) {
	one := listed()
	several := slices.Clone(one)
	several[1].ProjectID, several[4].ProjectID = "my-project", "p"
	long := slices.Clone(one[:3])
	long[1].OrderName = strings.Repeat("order.very-long-", 8)
	hostile := []watcher.Snapshot{brief(hostileWatch()), brief(hostileWatch())}
	hostile[1].OrderName, hostile[1].ProjectID = "\x1b[2J订单\u202e", strings.Repeat("\x07订", 40)
	hostile[0].Outcome, hostile[0].State = "\x1b]0;x\x07", watcher.Ended

	var conditions []watcher.Snapshot
	for _, name := range []string{"blind", "stalled", "late", "near-deadline", "condition-of-later", "processing"} {
		w := brief(shownWatches()[name])
		w.OrderName = "order." + name
		conditions = append(conditions, w)
	}
	unlisted := []watcher.Snapshot{brief(unlistedWatch()), brief(goneWatch()), brief(ended(unlistedWatch(), watcher.TimedOut, "after 2h: 3 of 6 items ended, 3 still processing", 0.5))}
	for i := range unlisted {
		unlisted[i].OrderName += fmt.Sprint("-", i)
	}

	ofTeams := slices.Clone(one[:5])
	ofTeams[0].Requests = []watcher.Request{{ID: "a", Team: "gpu"}, {ID: "a", Team: "net"}, {ID: "b", Team: "gpu"}}
	ofTeams[1].Requests = []watcher.Request{{ID: "a", Team: "storage", RequestedBy: "ann"}}
	ofTeams[2].Requests = []watcher.Request{{ID: "a", Team: "\x1b[2J" + strings.Repeat("long-", 10)}}
	ofTeams[3].Requests = []watcher.Request{{ID: "a", RequestedBy: "bob"}}

	likely := []watcher.Snapshot{brief(shownWatches()["likely-ready"]), brief(shownWatches()["few-known"]), brief(shownWatches()["late"])}
	for i := range likely {
		likely[i].OrderName += fmt.Sprint("-", i)
	}

	for name, watches := range map[string][]watcher.Snapshot{
		"teams": ofTeams, "likely-ready": likely,
		"conditions": conditions, "unlisted": unlisted, "one-project": one, "several-projects": several, "long-name": long, "hostile": hostile, "empty": nil,
	} {
		for _, columns := range []int{80, 120} {
			text := Table{Now: night, Width: columns}.Watches(watches)
			cmdtest.Golden(t, filepath.Join("testdata", "list", fmt.Sprintf("%s-%d.txt", name, columns)), text)
			fits(t, name, text, columns)
		}
	}
	cmdtest.Golden(t, filepath.Join("testdata", "list", "several-projects-uncut.txt"), Table{Now: night}.Watches(several))
	cmdtest.Golden(t, filepath.Join("testdata", "list", "one-project-uncut.txt"), Table{Now: night}.Watches(one))
	cmdtest.Golden(t, filepath.Join("testdata", "list", "one-project-colours-80.txt"), Table{Now: night, Width: 80, Paint: true}.Watches(one))
}

// TestPagesOfAnyWidth draws every page at narrow and wide terminals: nothing panics, and from 66
// columns on each line fits.
func TestPagesOfAnyWidth(t *testing.T) {
	for name, w := range shownWatches() {
		for _, columns := range []int{1, 2, 10, 20, 40, 66, 67, 79, 81, 100, 119, 200, 1000} {
			text := Page{Now: night, Width: columns}.Watch(w) + Table{Now: night, Width: columns}.Watches([]watcher.Snapshot{w, shownWatch()})
			if columns >= 66 {
				fits(t, name, text, columns)
			}
		}
	}
}

func TestHistory(t *testing.T) {
	span := func(d time.Duration) *history.Span { s := history.Span(d); return &s }
	known := wire.HistoryAnswer{Known: []wire.KnownOrders{
		{Key: "cn-north-4", Region: "cn-north-4", Ends: 200, P10: span(41 * time.Second), P50: span(8 * time.Minute), P90: span(95 * time.Minute), LateAfter: span(130 * time.Minute)},
		{Key: "cn-north-4.-.asked", Region: "cn-north-4", Phase: history.Asked, Ends: 12, P10: span(time.Minute), P50: span(9 * time.Minute), P90: span(99 * time.Minute)},
		{Key: "cn-north-4.createNode=createPool", Region: "cn-north-4", Actions: []string{"createNode", "createPool"}, Ends: 43, P10: span(7*time.Minute + 12*time.Second), P50: span(11*time.Minute + 20*time.Second), P90: span(17*time.Minute + 43*time.Second), LateAfter: span(21 * time.Minute)},
		{Key: "cn-north-4.createNode=createPool.later", Region: "cn-north-4", Actions: []string{"createNode", "createPool"}, Phase: history.Later, Ends: 3},
		{Key: "x_1", Region: "\x1b[2Jhostile", Actions: []string{"\u202eevil"}, Phase: "of-a-later-release", Ends: 1},
	}}
	cmdtest.Golden(t, filepath.Join("testdata", "list", "history.txt"), Page{Now: night}.History(known)+"\n"+Page{Now: night}.History(wire.HistoryAnswer{}))
}
