package ask

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestChangesText holds that a line names what failed before what succeeded, and the others last.
func TestChangesText(t *testing.T) {
	to := func(name string, s watcher.Status) watcher.Change { return watcher.Change{ResourceName: name, To: s} }
	all := []watcher.Change{
		to("a", watcher.Processing), to("b", watcher.Succeed), to("c", watcher.Succeed),
		to("d", watcher.Failed), {ResourceName: "e", To: watcher.Failed, Message: "sold out"},
	}
	if got, want := changesText(all), "d failed, e failed: sold out, b succeed, and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if all[0].ResourceName != "a" {
		t.Error("the event's own list is sorted")
	}
}

// A request whose end came while a look at its watch was on its way is not published again, and no completion is said
// to be lost.
func TestLookAfterTheEnd(t *testing.T) {
	ended := &watcher.Completion{Outcome: watcher.Succeeded}
	for name, tt := range map[string]struct {
		asked asked
		err   error
	}{
		"rejected, not found":   {asked{rejected: true, gone: goneLooks - 1}, &wire.ServiceError{Code: 404}},
		"ended, not found":      {asked{end: ended, gone: goneLooks - 1}, &wire.ServiceError{Code: 404}},
		"ended, broken record":  {asked{end: ended, gone: goneLooks - 1}, &wire.ServiceError{Code: 410}},
		"ended, as its record":  {asked{end: ended, endless: endedLooks - 1}, nil},
		"rejected, and no word": {asked{rejected: true, endless: endedLooks - 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := tt.asked
			a.RequestID = "r1"
			told := ""
			w := &waiting{orders: []*asked{&a}, screen: show.NewScreen(t.Output(), 0)}
			w.notices = newOutages(new(nats.Conn), func(f func()) { f() }, func(text string) { told += text })
			s := watcher.Snapshot{State: watcher.Ended, Report: watcher.Report{Requests: []watcher.Request{{ID: "r1"}}}}
			again, why := w.looked(&a, s, tt.err)
			if why != "" || again.RequestID != "" || told != "" || a.RequestID != "r1" {
				t.Errorf("published again %q (%s), told %q; want nothing", again.RequestID, why, told)
			}
		})
	}
}
