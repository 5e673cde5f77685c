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

// TestOfTheWatchAlone holds that the story leaves out what is about other watches of the order, but for those whose requests
// the watch goes on for: also where the completion that says so answers none of the view's requests.
func TestOfTheWatchAlone(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	s := eventstest.Provided(t, nc, eventstest.StoreConfig())
	shared, err := teams.Parse("teams.yaml", []byte("teams: {train: {projects: [another]}}"))
	if err != nil {
		t.Fatal(err)
	}
	w, now := aWatch(), time.Now()
	w.State, w.AcceptedAt = watcher.Watching, now.Add(-time.Minute)
	ann := watcher.Request{ID: "build-772", Team: "train", RequestedBy: "ann", ReceivedAt: w.AcceptedAt}
	bob := watcher.Request{ID: "build-773", Team: "gpu", RequestedBy: "bob", ReceivedAt: w.AcceptedAt}
	var last uint64
	for _, at := range []struct{ id, next string }{{"w_1", ""}, {"w_2", "w_3"}, {"w_3", "w_4"}, {"w_4", ""}} {
		report := w.Report
		report.WatchID, report.Requests, report.Reason = at.id, []watcher.Request{ann, bob}, "reason of "+at.id
		if err := s.Progress(t.Context(), watcher.Progress{Number: 2, Report: report}); err != nil {
			t.Fatal(err)
		}
		if err := s.Attend(t.Context(), watcher.OrderAttention{Kind: watcher.Late, Since: now, Report: report}); err != nil {
			t.Fatal(err)
		}
		again := watcher.Again{ID: at.id, WatchID: at.id, ProjectID: w.ProjectID, OrderName: w.OrderName, Team: "train", By: "again of " + at.id, At: now}
		if err := s.Renotify(t.Context(), watcher.Completion{Report: report}, again); err != nil {
			t.Fatal(err)
		}
		if at.id == "w_4" {
			break
		}
		report.Requests = []watcher.Request{bob}
		if err := s.Complete(t.Context(), watcher.Completion{Report: report, Outcome: watcher.Cancelled, CompletedAt: now, NextWatchID: at.next}, last); err != nil {
			t.Fatal(err)
		}
		if _, last, err = s.LastCompletion(t.Context(), w.Order()); err != nil {
			t.Fatal(err)
		}
	}
	w.WatchID, w.Requests = "w_4", []watcher.Request{ann}
	for name, view := range map[string]teams.View{"the operator": {}, "the team": shared.View("train")} {
		var got wire.Story
		eventstest.Eventually(t, func() (err error) { // a busy machine may take longer than a reader waits
			got, err = story.Read(t.Context(), s, view, w)
			return err
		})
		all := ""
		for _, l := range got.Lines {
			all += l.Kind + ": " + l.Text + "\n"
		}
		for _, id := range []string{"w_2", "w_3", "w_4"} {
			if strings.Count(all, "reason of "+id) < 2 || !strings.Contains(all, "again of "+id) {
				t.Errorf("%s is not told of %s:\n%s", name, id, all)
			}
		}
		if strings.Contains(all, "of w_1") {
			t.Errorf("%s is told of a watch that this one has nothing of:\n%s", name, all)
		}
		if before := strings.Contains(all, "the watch w_3 ended for other requests"); before != view.All() {
			t.Errorf("%s is told of an end before: %t\n%s", name, before, all)
		}
	}
}
