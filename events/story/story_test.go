package story_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/story"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/notable"
)

var noon = time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)

func after(minutes float64) time.Time { return noon.Add(time.Duration(minutes * float64(time.Minute))) }

// aWatch returns a watch that went through much.
func aWatch() watcher.Snapshot {
	var t *notable.Troubles
	t = t.Failed("w_1", after(4), "APIG.0308", "429: too often").Held("w_1", after(4), "throttled", "429: too often").Over("w_1", after(4).Add(6*time.Second))
	return watcher.Snapshot{
		State: watcher.Ended, Outcome: watcher.PartiallyFailed, CompletedAt: after(11), Troubles: t,
		Report: watcher.Report{
			WatchID: "w_1", Region: "cn-north-4", ProjectID: "p", OrderName: "order.a", Reason: "1 of 4 items failed", AcceptedAt: noon,
			Requests: []watcher.Request{
				{ID: "build-771", RequestedBy: "gpu-pools", Link: "https://ci.example/771", ReceivedAt: noon},
				{ID: "build-772", Team: "train", RequestedBy: "ann", ReceivedAt: after(1)},
			},
		},
	}
}

// TestOf holds what a story says.
func TestOf(t *testing.T) {
	t.Parallel()
	events := story.Events{
		Progress: []watcher.Progress{
			{Number: 1, At: after(2), Report: watcher.Report{Reason: "0 of 4 items ended, 4 still processing"}, Changes: []watcher.Change{{ResourceName: "pool", To: "processing"}, {ResourceName: "n1", To: "processing"}, {ResourceName: "n2", To: "processing"}, {ResourceName: "n3", To: "processing"}}},
			{Number: 2, At: after(9), Report: watcher.Report{Reason: "2 of 4 items ended, 2 still processing"}, Changes: []watcher.Change{{ResourceName: "pool", From: "processing", To: "succeed"}, {ResourceName: "n1", From: "processing", To: "failed", Message: "flavor sold out"}}},
		},
		Attention: []watcher.OrderAttention{
			{Kind: watcher.Late, At: after(8), Since: after(8), Report: watcher.Report{Reason: "the order was expected to end by then"}},
			{Kind: watcher.Stalled, At: after(9.5), Since: after(3), Until: after(9), Report: watcher.Report{Reason: "items change again"}},
		},
		Again: []watcher.Again{{By: "bob", At: after(20)}},
	}
	notes := []story.Note{
		{Channel: "C0B", At: after(12), Posting: story.Posting{TS: fmt.Sprintf("%d.000100", after(11.5).Unix()), Tells: "completed", Done: true}},
		{Channel: "C0A", At: after(12), Posting: story.Posting{Tells: "completed", Code: "is_archived", Moved: "C0B"}},
		{Channel: "C0C", At: after(12), Posting: story.Posting{TS: fmt.Sprintf("%d.000100", after(1.5).Unix()), Tells: "completed", Done: true, Quiet: true}},
	}
	lines, omitted := story.Of(aWatch(), events, notes)
	var got []string
	for _, l := range lines {
		text := l.At.Format("15:04:05") + " " + l.Kind + " " + l.Text
		if !l.Until.IsZero() {
			text += " until " + l.Until.Format("15:04:05")
		}
		got = append(got, text)
	}
	want := []string{
		"12:00:00 asked asked by gpu-pools (request build-771)",
		"12:01:00 joined joined by team train, by its own word ann (request build-772)",
		"12:01:30 told told on Slack in C0C that the order is watched",
		"12:02:00 appeared ModelArts shows the order: 4 items (pool, n1, n2, …) processing · 0 of 4 items ended, 4 still processing",
		"12:04:00 error a poll failed (APIG.0308): 429: too often",
		"12:04:00 held the account is throttled for 6s: 429: too often until 12:04:06",
		"12:08:00 late late: the order was expected to end by then",
		"12:09:00 changed n1 failed: flavor sold out; pool succeed · 2 of 4 items ended, 2 still processing",
		"12:09:30 stalled no longer stalled: items change again until 12:09:00",
		"12:11:00 ended partially_failed: 1 of 4 items failed",
		"12:11:30 told told on Slack in C0B how it ended",
		"12:12:00 untold Slack refuses messages in C0A (is_archived); people are told in C0B instead",
		"12:12:00 told told on Slack in C0C how it ended",
		"12:20:00 again bob wants people to be told again",
	}
	if omitted != 0 || !slices.Equal(got, want) {
		t.Errorf("%d left out:\n%s\nwant\n%s", omitted, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if lines[0].Link != "https://ci.example/771" {
		t.Errorf("the link is %q", lines[0].Link)
	}
}

// TestBounded holds that changes give way, that who asked and how it ended stay, and that no line is long.
func TestBounded(t *testing.T) {
	t.Parallel()
	w := aWatch()
	for i := range 500 {
		w.Requests = append(w.Requests, watcher.Request{ID: strings.Repeat("界", 128), RequestedBy: "\u202e<script>", ReceivedAt: after(1 + float64(i)/1000)})
	}
	var events story.Events
	for i := range 5000 {
		events.Progress = append(events.Progress, watcher.Progress{Number: i + 1, At: after(2 + float64(i)/1000), Changes: []watcher.Change{{ResourceName: strings.Repeat("\x1b[2J", 100), To: "odd\u2066", Message: strings.Repeat("m", 10_000)}}})
	}
	lines, omitted := story.Of(w, events, nil)
	if len(lines) != 200 || lines[0].Kind != story.Asked || lines[len(lines)-1].Kind != story.Ended || omitted < 4800 {
		t.Errorf("%d lines, %d left out, from %+v to %+v", len(lines), omitted, lines[0], lines[len(lines)-1])
	}
	if !slices.ContainsFunc(lines, func(l wire.StoryLine) bool { return l.Text == "491 more requests joined until then" }) {
		t.Error("the requests are not summed up")
	}
	for _, l := range lines {
		if len([]rune(l.Text)) > 300 || strings.ContainsAny(l.Text, "\x1b\n\u202e\u2066") {
			t.Errorf("%q", l.Text)
		}
	}
}
