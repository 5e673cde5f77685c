package list

import (
	"cmp"
	"fmt"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// newsOf returns a line for each thing that people should know and that was not so when the watches were read before: that
// one ended, is late or the like, or cannot be polled, that the first of its items failed, and that this is over.
func newsOf(before, after []watcher.Snapshot, now time.Time) (lines []string) {
	known := make(map[string]watcher.Snapshot, len(before))
	for _, w := range before {
		known[w.WatchID] = w
	}
	for _, w := range after {
		last, ok := known[w.WatchID]
		if !ok || last.State == watcher.Ended {
			continue // it was told of, or was not on the page
		}
		for _, text := range changes(last, w) {
			lines = append(lines, fmt.Sprintf("%s  %s: %s", output.Clock(now, now), output.Clean(w.OrderName), output.Times(output.Clean(text), now)))
		}
	}
	return lines
}

// changes says what is new of a watch.
func changes(last, w watcher.Snapshot) (texts []string) {
	if w.State == watcher.Ended {
		text := string(w.Outcome) + ": " + w.Reason
		if w.Cause != "" {
			text += ": " + w.Cause
		}
		return []string{text}
	}
	if last.Counts.Failed == 0 && w.Counts.Failed > 0 {
		texts = append(texts, words.Count(w.Counts.Failed, w.Deed().Noun)+" failed: "+cmp.Or(w.Cause, "ModelArts gave no message"))
	}
	switch {
	case w.Condition == last.Condition:
	case w.Condition == "":
		texts = append(texts, "no longer "+show.Condition(last))
	default:
		texts = append(texts, show.Condition(w))
	}
	switch before, now := trouble(last), trouble(w); {
	case before == now:
	case now == "":
		texts = append(texts, "polls work again")
	default:
		texts = append(texts, show.Error(*w.LastError))
	}
	return texts
}

// trouble returns the kind of what keeps the watch from being polled; empty where nothing does.
func trouble(w watcher.Snapshot) string {
	if w.LastError == nil {
		return ""
	}
	return cmp.Or(w.LastError.Code, w.LastError.Message)
}
