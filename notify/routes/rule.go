package routes

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"go.yaml.in/yaml/v3"
)

// Bounds of labels, in characters, as a request's are.
const (
	maxWanted     = 32
	maxLabelKey   = 64
	maxLabelValue = 256
)

// noMention says in a file that nobody is woken.
const noMention = "none"

var channelID = regexp.MustCompile(`^[CDG][A-Z0-9]+$`)

// IsChannel reports whether the text has the form of Slack's IDs of channels.
func IsChannel(text string) bool { return channelID.MatchString(text) }

// readRules reads the list of rules.
func (f *routesFile) readRules(n *yaml.Node) (rules []rule) {
	for i, entry := range f.list(n, "rules", "[{channels: [C0123456789]}]", maxRules) {
		f.rule = i + 1
		before := len(f.faults)
		r := f.readRule(entry)
		r.faulty = len(f.faults) > before
		rules = append(rules, r)
	}
	f.checkReach(rules)
	f.rule = 0
	return rules
}

// readRule reads one rule.
func (f *routesFile) readRule(n *yaml.Node) rule {
	r, says := rule{line: n.Line}, false
	before := len(f.faults)
	f.fields(n, "it", "",
		keyed{"match", func(value *yaml.Node) { r.match = f.readMatch(value) }},
		keyed{"channels", func(value *yaml.Node) {
			says, r.channels = true, f.texts(value, "channels", "[C0123456789]", checkChannel)
		}},
		keyed{"mention", func(value *yaml.Node) { says, r.mention = true, f.readMention(value) }},
		keyed{"mention_on", func(value *yaml.Node) {
			says, r.mentionOn = true, f.texts(value, "mention_on", "["+strings.Join(Conditions, ", ")+"]", checkCondition)
		}},
		keyed{"fallback", func(value *yaml.Node) { says = true; r.fallback, _ = f.text(value, "fallback", checkChannel) }},
		keyed{"quiet_successes", func(value *yaml.Node) { says, r.quiet = true, f.truth(value, "quiet_successes") }},
		keyed{"progress", func(value *yaml.Node) { says, r.progress = true, f.truth(value, "progress") }},
		keyed{"runbook", func(value *yaml.Node) { says, r.runbooks = true, f.readRunbooks(value) }},
		keyed{"env", func(value *yaml.Node) { says = true; r.env, _ = f.text(value, "env", checkLabel(1, maxLabelKey)) }},
	)
	switch {
	case len(f.faults) > before:
	case !says:
		f.fault(r.line, "it says nothing of where or how: give it channels, mention, mention_on, fallback, quiet_successes, progress, runbook or env")
	case len(r.mentionOn) > 0 && r.mention != nil && *r.mention == "":
		f.fault(r.line, "mention_on says when to wake people, and mention is none: name whom to wake, or leave mention_on out")
	case slices.Contains(r.channels, r.fallback):
		f.fault(r.line, "fallback is one of its channels: name another")
	}
	return r
}

// readMatch reads what must hold for a rule.
func (f *routesFile) readMatch(n *yaml.Node) (m match) {
	before := len(f.faults)
	f.fields(n, "match", " in match",
		keyed{"projects", func(value *yaml.Node) { m.projects = f.texts(value, "projects", "[my-project]", checkProject) }},
		keyed{"labels", func(value *yaml.Node) { m.labels = f.readLabels(value) }},
	)
	if m.always() && len(f.faults) == before {
		f.fault(n.Line, "match is empty: leave it out where the rule is for every request")
	}
	return m
}

// readLabels reads the labels that must be there.
func (f *routesFile) readLabels(n *yaml.Node) (labels []wanted) {
	if !f.is(n, yaml.MappingNode, "labels", "keys and values, such as {team: gpu}") {
		return nil
	}
	if len(n.Content) == 0 {
		f.fault(n.Line, "labels is empty: name at least one, or leave it out")
	}
	if most := 2 * maxWanted; len(n.Content) > most {
		f.fault(n.Line, "labels has more than %d keys: no request has so many", maxWanted)
		return nil
	}
	f.pairs(n, "label", func(key, value *yaml.Node) {
		name, ok := f.text(key, "the key of a label", checkLabel(1, maxLabelKey))
		if !ok {
			return
		}
		w := wanted{key: name}
		if value.Kind == yaml.SequenceNode {
			w.values = f.texts(value, "a label", "[prod, staging]", checkLabel(0, maxLabelValue))
		} else if text, ok := f.text(value, "a label", checkLabel(0, maxLabelValue)); ok {
			w.values = []string{text}
		}
		labels = append(labels, w)
	})
	return labels
}

// readMention reads whom to wake.
func (f *routesFile) readMention(n *yaml.Node) *string {
	text, ok := f.text(n, "mention", func(text string) string {
		if text == noMention || text != "" && CheckMention(text) == nil {
			return ""
		}
		return "must be here, the ID of a user (U…, W…) or of a group (S…), or none for nobody"
	})
	if !ok || text == noMention {
		text = ""
	}
	return &text
}

// checkReach looks for rules that no request reaches.
func (f *routesFile) checkReach(rules []rule) {
	for i, r := range rules {
		f.rule = i + 1
		if r.faulty {
			continue
		}
		for j, before := range rules[:i] {
			if !before.faulty && before.match.covers(r.match) {
				f.fault(r.line, "it is never reached: rule %d (line %d) matches all that it matches", j+1, before.line)
				break
			}
		}
		if r.match.always() && i < len(rules)-1 {
			f.fault(r.line, "without match it is for every request, and no rule after it is reached: make it the last")
			return
		}
	}
}

func checkChannel(text string) string {
	if IsChannel(text) {
		return ""
	}
	return "must be a channel's ID such as C0123456789, not its name; the channel's details in Slack show it"
}

func checkCondition(text string) string {
	if slices.Contains(Conditions, text) {
		return ""
	}
	return "must be " + oneOf(Conditions)
}

func checkProject(text string) string {
	if err := (watcher.Order{ProjectID: text, Name: "any"}).Validate(); err != nil {
		return "must be a project's ID: 1 to 64 of A-Z a-z 0-9 -"
	}
	return ""
}

// checkLabel returns a check of a label's key or value of at least and at most so many characters, as a request's is.
func checkLabel(least, most int) func(string) string {
	return func(text string) string {
		switch n := utf8.RuneCountInString(text); {
		case n < least:
			return "must not be empty"
		case n > most:
			return fmt.Sprintf("is longer than a request's may be, %d characters", most)
		case strings.ContainsFunc(text, unseen):
			return "has a character that cannot be seen, which no request's may have"
		}
		return ""
	}
}
