// Package story says what happened to an order's watch, line by line: who asked, what ModelArts showed and when it changed,
// what went wrong and for how long, what people should know, how the watch ended, and where people were told.
//
// It promises that the lines are in the order in which things happened, bounded in number and length, that each says what is known and
// nothing else, that texts of others show nothing that people cannot see, and that a team reads of what it may see alone.
// A story is made of the watch's record, the events of its order and the notes of what was posted; nothing is kept for it.
//
// Read the files in this order:
//
//	story.go   what the lines are, and which are left out where there are too many ([Of], which asks nobody)
//	told.go    what the notes of a watch say of where people were told
//	read.go    what is read for a story, and how much ([Read])
package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/notable"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// The kinds of lines. Those of what people should know of the watch are the kinds of [watcher.OrderAttention].
const (
	Asked     = "asked"     // the request that the watch began with
	Joined    = "joined"    // another request
	Appeared  = "appeared"  // ModelArts showed the order first
	Changed   = "changed"   // items changed, or came
	Failed    = "error"     // a poll failed
	Held      = "held"      // the account might not be asked
	Cancelled = "cancelled" // somebody wanted the watch cancelled
	Before    = "before"    // a watch before this one ended, and this one goes on
	Ended     = "ended"     // the watch ended
	Again     = "again"     // somebody wanted people to be told again
	Told      = "told"      // people were told on Slack
	Untold    = "untold"    // Slack refused to tell them, or nobody was to be told
)

// Bounds of a story.
const (
	maxLines = 200
	maxJoins = 10  // requests that joined and have a line of their own
	maxText  = 300 // of a line, in characters
	maxNames = 3   // of items in a line
)

// Events are what is published about a watch, and about those before it whose requests it goes on for, since it was accepted,
// as they may be seen.
type Events struct {
	Progress  []watcher.Progress
	Attention []watcher.OrderAttention
	Again     []watcher.Again
	Before    *watcher.Completion // of a watch whose requests this one goes on for; nil: none
}

// Of returns what happened, oldest first, and how many lines are left out: of changes and conditions the oldest. The snapshot and
// the events are as they may be seen, and the notes those of the watch.
func Of(w watcher.Snapshot, events Events, notes []Note) (lines []wire.StoryLine, omitted int) {
	lines = slices.Concat(asked(w.Requests, w.OtherRequests), progress(events.Progress), conditions(events.Attention), troubles(w.Troubles))
	if before := events.Before; before != nil {
		lines = append(lines, line(before.CompletedAt, Before, "the watch "+before.WatchID+" ended for other requests ("+string(before.Outcome)+": "+before.Reason+"); this one goes on"))
	}
	if wish := w.Wish; wish != nil {
		lines = append(lines, line(wish.At, Cancelled, words.Asker(wish.Team, wish.By)+" cancelled the watch"+because(wish.Reason)))
	}
	for _, a := range events.Again {
		lines = append(lines, line(a.At, Again, words.Asker(a.Team, a.By)+" wants people to be told again"))
	}
	if w.State == watcher.Ended {
		lines = append(lines, line(w.CompletedAt, Ended, string(w.Outcome)+": "+w.Reason))
	}
	lines = append(lines, told(w, notes)...) // after what they tell of, where that was at the same time
	slices.SortStableFunc(lines, func(a, b wire.StoryLine) int { return a.At.Compare(b.At) })
	return fitted(lines, maxLines)
}

// fitted leaves out lines of changes and conditions, the oldest first, until so many are left; where that is not enough, others.
func fitted(lines []wire.StoryLine, most int) (kept []wire.StoryLine, omitted int) {
	omitted = max(0, len(lines)-most)
	left := omitted
	kept = slices.DeleteFunc(lines, func(l wire.StoryLine) bool {
		drop := left > 0 && (l.Kind == Changed || conditionWords[watcher.AttentionKind(l.Kind)] != "")
		if drop {
			left--
		}
		return drop
	})
	return kept[left:], omitted
}

// line returns a line with the text as it is shown.
func line(at time.Time, kind, text string) wire.StoryLine {
	return wire.StoryLine{At: at.UTC(), Kind: kind, Text: foreign.Short(text, maxText)}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// asked says who asked, and who joined.
func asked(requests []watcher.Request, others int) (lines []wire.StoryLine) {
	for i, r := range requests[:min(len(requests), 1+maxJoins)] {
		kind, verb := Asked, "asked by "
		if i > 0 {
			kind, verb = Joined, "joined by "
		}
		l := line(r.ReceivedAt, kind, verb+words.Asker(r.Team, r.RequestedBy)+" (request "+r.ID+")")
		l.Link = r.Link
		lines = append(lines, l)
	}
	if more := len(requests) - len(lines); more > 0 {
		last := requests[len(requests)-1].ReceivedAt
		lines = append(lines, line(last, Joined, words.Count(more, "more request")+" joined until then"))
	}
	if others > 0 && len(requests) > 0 {
		lines = append(lines, line(requests[0].ReceivedAt, Joined, words.Count(others, "request")+" of others in the same watch"))
	}
	return lines
}

// progress says what ModelArts showed. The first event of a watch tells that its order appeared.
func progress(events []watcher.Progress) (lines []wire.StoryLine) {
	for _, g := range events {
		kind, text := Changed, changes(g.Changes)
		if g.ItemsOmitted > 0 { // then changes may be left out, too
			text = "among others: " + text
		}
		if g.Number == 1 {
			kind, text = Appeared, "ModelArts shows the order: "+text
		}
		lines = append(lines, line(g.At, kind, text+" · "+g.Reason))
	}
	return lines
}

// changes says what changed, the failed first: of each status how many items, some by name, and the first message.
func changes(all []watcher.Change) string {
	by := make(map[watcher.Status][]watcher.Change)
	for _, c := range all {
		by[c.To] = append(by[c.To], c)
	}
	var texts []string
	for _, status := range statuses(by) {
		these := by[status]
		var names []string
		for _, c := range these[:min(len(these), maxNames)] {
			names = append(names, cmp.Or(foreign.Short(c.ResourceName, 48), "an item without a name"))
		}
		text := strings.Join(names, ", ")
		if more := len(these) - len(names); more > 0 {
			text = words.Count(len(these), "item") + " (" + text + ", …)"
		}
		text += " " + cmp.Or(foreign.Short(string(status), 24), "without a status")
		if i := slices.IndexFunc(these, func(c watcher.Change) bool { return c.Message != "" }); i >= 0 {
			text += ": " + foreign.Short(these[i].Message, 120)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

// statuses returns the statuses that are there: failed first, then succeed, then the others.
func statuses(by map[watcher.Status][]watcher.Change) (all []watcher.Status) {
	for status := range by {
		all = append(all, status)
	}
	rank := func(s watcher.Status) int {
		return slices.Index([]watcher.Status{watcher.Processing, watcher.Succeed, watcher.Failed}, s)
	}
	slices.SortFunc(all, func(a, b watcher.Status) int { return cmp.Or(rank(b)-rank(a), cmp.Compare(a, b)) })
	return all
}

// conditionWords say what people are to know of a watch.
var conditionWords = map[watcher.AttentionKind]string{
	watcher.Late: "late", watcher.Stalled: "stalled", watcher.Blind: "blind", watcher.DeadlineNear: "ends soon",
	watcher.Vanished: "items vanished", watcher.UnknownStatus: "unknown status", watcher.BrokenRecord: "record lost",
}

// conditions says what people were to know of the watch, and when that was over.
func conditions(events []watcher.OrderAttention) (lines []wire.StoryLine) {
	for _, a := range events {
		at := a.At
		if at.IsZero() {
			at = a.Since
		}
		text := cmp.Or(conditionWords[a.Kind], string(a.Kind)) + ": " + a.Reason
		if !a.Until.IsZero() {
			text = "no longer " + text
		}
		l := line(at, string(a.Kind), text)
		if !a.Until.IsZero() {
			l.Until = a.Until.UTC()
		}
		lines = append(lines, l)
	}
	return lines
}

// troubles says which polls failed, and when the account might not be asked.
func troubles(t *notable.Troubles) (lines []wire.StoryLine) {
	if t == nil {
		return nil
	}
	if t.First != nil {
		lines = append(lines, failure(*t.First, "a poll failed"))
	}
	if t.Latest != nil && t.FailedPolls > 1 {
		lines = append(lines, failure(*t.Latest, fmt.Sprintf("the latest of %s that failed", words.Count(t.FailedPolls, "poll"))))
	}
	for _, h := range t.Holds {
		text := watcher.HoldKind(h.Code).Words()
		if !h.Until.IsZero() {
			text += " for " + words.Brief(h.Until.Sub(h.At))
		}
		l := line(h.At, Held, text+because(h.Message))
		if !h.Until.IsZero() {
			l.Until = h.Until.UTC()
		}
		lines = append(lines, l)
	}
	return lines
}

func failure(e notable.Trouble, what string) wire.StoryLine {
	said, code := watcher.ErrorDetail{Code: e.Code}.Words()
	return line(e.At, Failed, what+" ("+cmp.Or(code, said)+")"+because(e.Message))
}
