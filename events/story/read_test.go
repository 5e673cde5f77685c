package story_test

import (
	"fmt"
	"maps"
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
	nc, js := eventstest.Connect(t, eventstest.Server(t))
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
	stream, err := js.Stream(t.Context(), "ORDER_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	tenth, err := stream.GetMsg(t.Context(), 2*events-20) // of the last of both orders; so many fit
	if err != nil {
		t.Fatal(err)
	}
	w.AcceptedAt = tenth.Time
	eventstest.Eventually(t, func() (err error) {
		got, err = story.Read(t.Context(), s, teams.View{}, w)
		return err
	})
	if len(got.Lines) < 3 {
		t.Errorf("%+v", got.Lines)
	}
}

// TestReadsItsOwn holds that a story is of its watch, and of those before it whose requests the watch goes on for: also where another
// watch of the order ended just before, and somebody wants people told of that one again.
func TestReadsItsOwn(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	s := eventstest.Provided(t, nc, eventstest.StoreConfig())
	w := aWatch()
	w.State, w.WatchID, w.AcceptedAt = watcher.Watching, "w_5", time.Now()
	w.Requests = []watcher.Request{{ID: "build-1", Team: "gpu", ReceivedAt: w.AcceptedAt}}
	others := []watcher.Request{{ID: "build-2", Team: "net", ReceivedAt: w.AcceptedAt}}
	file, err := teams.Parse("teams.yaml", []byte("teams:\n  gpu: {projects: [another]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	completed := uint64(0)
	for _, test := range []struct{ id, next string }{{"w_1", "w_2"}, {"w_2", ""}, {"w_3", "w_4"}, {"w_4", "w_5"}, {"w_5", ""}} {
		report := w.Report
		report.WatchID, report.Reason, report.Requests = test.id, "this is "+test.id, w.Requests
		if err := s.Progress(t.Context(), watcher.Progress{Number: 1, Report: report}); err != nil {
			t.Fatal(err)
		}
		if err := s.Attend(t.Context(), watcher.OrderAttention{Kind: watcher.Late, Since: time.Now(), Report: report}); err != nil {
			t.Fatal(err)
		}
		c := watcher.Completion{Outcome: watcher.Succeeded, Report: report, NextWatchID: test.next, CompletedAt: time.Now()}
		if err := s.Renotify(t.Context(), c, watcher.Again{ID: test.id, WatchID: test.id, ProjectID: w.ProjectID, OrderName: w.OrderName, By: "who asks for " + test.id, Team: "gpu"}); err != nil {
			t.Fatal(err)
		}
		if test.id == w.WatchID {
			continue
		}
		if c.Requests = others; test.id == "w_3" {
			c.Requests = w.Requests
		}
		if err := s.Complete(t.Context(), c, completed); err != nil {
			t.Fatal(err)
		}
		if _, completed, err = s.LastCompletion(t.Context(), w.Order()); err != nil {
			t.Fatal(err)
		}
	}
	for before, view := range map[string]teams.View{"w_4": {}, "w_3": file.View("gpu")} { // who do not see the end of w_4 see that of the one before
		var got wire.Story
		eventstest.Eventually(t, func() (err error) {
			got, err = story.Read(t.Context(), s, view, w)
			return err
		})
		of := make(map[string]int)
		for _, l := range got.Lines {
			for _, id := range []string{"w_1", "w_2", "w_3", "w_4", "w_5"} {
				if strings.Contains(l.Text, "this is "+id) || strings.Contains(l.Text, "asks for "+id) {
					of[id]++
				}
			}
		}
		of[before]-- // its end
		if want := map[string]int{"w_3": 3, "w_4": 3, "w_5": 3}; !maps.Equal(of, want) {
			t.Errorf("lines by watch: %v; want %v\n%+v", of, want, got.Lines)
		}
	}
}
