package story_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/story"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

func TestMain(m *testing.M) { os.Exit(eventstest.Main(m, 2)) }

// TestReadsTheNewest publishes more about an order than is read for a story, and about others.
func TestReadsTheNewest(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	s := eventstest.Provided(t, nc, eventstest.StoreConfig())
	w := aWatch()
	w.State, w.AcceptedAt, w.Requests[0].ReceivedAt = watcher.Watching, time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
	long := strings.Repeat("x", 400<<10)
	const events = 40 // 16 MiB
	for i := range events {
		for _, name := range []string{w.OrderName, w.OrderName + ".b"} {
			g := watcher.Progress{Number: i + 1, Report: w.Report, Changes: []watcher.Change{{ResourceName: fmt.Sprint(name, " item ", i), To: "succeed"}}}
			g.OrderName, g.Items = name, []watcher.Item{{ResourceName: "a", Message: long}}
			if err := s.Progress(t.Context(), g); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(100 * time.Millisecond) // the events are spread over some seconds
	}
	var got wire.Story
	eventstest.Eventually(t, func() (err error) { // a busy machine may take longer than a reader waits
		got, err = story.Read(t.Context(), s, teams.View{}, w)
		return err
	})
	var texts []string
	for _, l := range got.Lines {
		texts = append(texts, l.Text)
	}
	all := strings.Join(texts, "\n")
	if !strings.Contains(all, fmt.Sprintf("order.a item %d succeed", events-1)) || strings.Contains(all, "order.a item 0 ") || strings.Contains(all, "order.a.b") {
		t.Errorf("the story is\n%s", all)
	}
	if got.UnreadBefore.IsZero() {
		t.Error("it does not say that events were not read")
	}
	w.AcceptedAt = time.Now().Add(-3 * time.Second) // so many fit
	eventstest.Eventually(t, func() (err error) {
		got, err = story.Read(t.Context(), s, teams.View{}, w)
		return err
	})
	if len(got.Lines) < 3 {
		t.Errorf("%+v", got.Lines)
	}
}
