package routes

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A match is what must hold for a rule: all of it. An empty one holds always.
type match struct {
	projects []string // one of these; empty: any
	labels   []wanted // all of these
}

// A wanted label must be there, with one of the values.
type wanted struct {
	key    string
	values []string
}

// always reports whether the match is every request's.
func (m match) always() bool { return len(m.projects) == 0 && len(m.labels) == 0 }

// holds reports whether the rule is for a request of this project with these labels.
func (m match) holds(project string, labels map[string]string) bool {
	if len(m.projects) > 0 && !slices.Contains(m.projects, project) {
		return false
	}
	return !slices.ContainsFunc(m.labels, func(w wanted) bool { return !w.holds(labels) })
}

func (w wanted) holds(labels map[string]string) bool {
	value, ok := labels[w.key]
	return ok && slices.Contains(w.values, value)
}

// covers reports whether the match holds wherever the other does.
func (m match) covers(other match) bool {
	for _, w := range m.labels {
		i := slices.IndexFunc(other.labels, func(o wanted) bool { return o.key == w.key })
		if i < 0 || !among(other.labels[i].values, w.values) {
			return false
		}
	}
	return len(m.projects) == 0 || len(other.projects) > 0 && among(other.projects, m.projects)
}

// among reports whether each of the texts is one of these.
func among(texts, these []string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !slices.Contains(these, text) })
}

// found says what a match that holds found in the request.
func (m match) found(labels map[string]string, project string) (found []string) {
	if len(m.projects) > 0 {
		found = append(found, "project "+shown(project))
	}
	for _, w := range m.labels {
		found = append(found, "label "+shown(w.key)+"="+shown(labels[w.key]))
	}
	return found
}

// lacks says why a match does not hold: the first thing that is otherwise.
func (m match) lacks(project string, labels map[string]string) string {
	if len(m.projects) > 0 && !slices.Contains(m.projects, project) {
		return "the project is " + shown(project) + ", not " + oneOf(m.projects)
	}
	for _, w := range m.labels {
		value, ok := labels[w.key]
		switch {
		case !ok:
			return "there is no label " + shown(w.key)
		case !w.holds(labels):
			return "label " + shown(w.key) + " is " + shown(value) + ", not " + oneOf(w.values)
		}
	}
	return ""
}

// oneOf returns "a", "a or b", "a, b or c", or of many the first few.
func oneOf(texts []string) string {
	const most = 4
	var all []string
	for _, text := range texts[:min(len(texts), most)] {
		all = append(all, shown(text))
	}
	if more := len(texts) - most; more > 0 {
		all = append(all, fmt.Sprintf("%d others", more))
	}
	last := len(all) - 1
	if last == 0 {
		return all[0]
	}
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// maxShown is how much of a text from a file or a request is shown, in characters.
const maxShown = 60

var plainWord = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N}\p{M}._/@:+-]*$`)

// shown returns foreign text fit for a terminal, in quotes where it is no plain word.
func shown(s string) string {
	switch long := utf8.RuneCountInString(s) > maxShown; {
	case long:
		s = strings.TrimRight(string([]rune(s)[:maxShown-1]), " ") + "…"
	case plainWord.MatchString(s):
		return s
	}
	return strconv.Quote(s)
}
