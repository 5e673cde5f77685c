package message

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

func orderName(c watcher.Completion) string { return known(c.OrderName, maxName) }

// whereText says where the order is, and which watch it is, in mrkdwn.
func whereText(c watcher.Completion) string {
	return escape(fmt.Sprintf("%s · project %s · watch %s", known(c.Region, maxWord), known(c.ProjectID, maxProject), known(c.WatchID, maxPerson)))
}

// askedBy returns the first requests with their links, and how many more there are.
func askedBy(requests []watcher.Request) string {
	if len(requests) == 0 {
		return ""
	}
	var parts []string
	left := maxAsked
	for _, r := range requests[:min(askedShown, len(requests))] {
		part := requestText(r, r.Link)
		if units(part) > left {
			part = requestText(r, "")
		}
		left -= units(part)
		parts = append(parts, part)
	}
	text := "Asked for by " + strings.Join(parts, ", ")
	if more := len(requests) - len(parts); more > 0 {
		text += fmt.Sprintf(" and %s more", words.Number(more))
	}
	return text
}

// requestText returns "gpu-pools (build-771)", the id linked where there is an address.
func requestText(r watcher.Request, address string) string {
	return escape(asker(r)) + " (" + link(address, known(r.ID, maxPerson)) + ")"
}

func asker(r watcher.Request) string { return cmp.Or(word(r.RequestedBy, maxPerson), "somebody") }

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
