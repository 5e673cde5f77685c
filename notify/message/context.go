package message

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// contextBlock returns the small print: who asked, labels, where, how late.
func contextBlock(c watcher.Completion, now time.Time) *slack.ContextBlock {
	var texts []string
	if asked := askedBy(c.Requests); asked != "" {
		texts = append(texts, asked)
	}
	if labels := labelText(c.Requests); labels != "" {
		texts = append(texts, labels)
	}
	if len(fields(c)) == 0 { // they say it
		texts = append(texts, "Ended "+date(c.CompletedAt))
	}
	texts = append(texts, whereText(c))
	if note := lateness(c, now); note != "" {
		texts = append(texts, "delivered "+note)
	}
	elements := make([]slack.MixedElement, len(texts))
	for i, t := range texts {
		elements[i] = mrkdwn(t)
	}
	return slack.NewContextBlock("", elements...)
}

// whereText says where the order is, and which watch it is, in mrkdwn.
func whereText(c watcher.Completion) string {
	return escape(fmt.Sprintf("%s · project %s · watch %s",
		orUnknown(word(c.Region, maxWord)), orUnknown(word(c.ProjectID, maxPerson+4)), orUnknown(word(c.WatchID, maxPerson))))
}

// askedBy returns the first requests with their links, and how many more there are.
func askedBy(requests []watcher.Request) string {
	text := "Asked for by "
	left := maxAsked
	shown := 0
	for _, r := range requests[:min(askedShown, len(requests))] {
		part := requestText(r, r.Link)
		if units(part) > left {
			part = requestText(r, "")
		}
		if shown > 0 {
			text += ", "
		}
		text += part
		left -= units(part)
		shown++
	}
	switch more := len(requests) - shown; {
	case len(requests) == 0:
		return ""
	case more > 0:
		text += fmt.Sprintf(" and %s more", words.Number(more))
	}
	return text
}

// requestText returns "gpu-pools (build-771)", the id linked where there is an address.
func requestText(r watcher.Request, address string) string {
	id := link(address, orUnknown(word(r.ID, maxPerson)))
	return escape(asker(r)) + " (" + id + ")"
}

func asker(r watcher.Request) string {
	if by := word(r.RequestedBy, maxPerson); by != "" {
		return by
	}
	return "somebody"
}

// askers names who asked first, and how many others there are.
func askers(requests []watcher.Request) string {
	var names []string
	for _, r := range requests {
		if name := asker(r); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return names[0] + " and " + words.Count(len(names)-1, "other")
}

// firstLink returns the oldest request's link that can be shown.
func firstLink(requests []watcher.Request) string {
	for _, r := range requests {
		if link(r.Link, "x") != "x" {
			return r.Link
		}
	}
	return ""
}

// labelText returns the labels of all requests, sorted, each once, as far as there is room.
func labelText(requests []watcher.Request) string {
	all := make(map[string]bool)
	for _, r := range requests {
		for k, v := range r.Labels {
			all[word(k, maxWord)+"="+word(v, maxPerson)] = true
		}
	}
	var shown []string
	left := maxLabels
	for _, l := range slices.Sorted(maps.Keys(all)) {
		if left -= units(l); left < 0 || len(shown) == labelsShown {
			break
		}
		shown = append(shown, escape(l))
	}
	text := strings.Join(shown, " · ")
	if more := len(all) - len(shown); more > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s and %s", text, words.Count(more, "more label")), " and ")
	}
	return text
}

// lateness returns "42 min late" where the message comes late.
func lateness(c watcher.Completion, now time.Time) string {
	d := now.Sub(c.CompletedAt)
	switch {
	case now.IsZero() || d < lateAfter || c.CompletedAt.IsZero():
		return ""
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min late", int(d.Minutes()))
	}
	return words.Span(d) + " late"
}
