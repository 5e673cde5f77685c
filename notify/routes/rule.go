package routes

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher/rulefile"
	"go.yaml.in/yaml/v3"
)

// Bounds of rules, and of labels, in characters, as a request's are.
const (
	maxRules      = 1000
	maxName       = 200 // characters of the file's name
	maxWanted     = 32
	maxLabelKey   = 64
	maxLabelValue = 256
)

// noMention says in a file that nobody is woken.
const noMention = "none"

// IsChannel reports whether the text has the form of Slack's IDs of channels.
func IsChannel(text string) bool { return rulefile.Channel(text) == "" }

// Parse reads a file of routes, which errors and [Why] call by this name. The error is [rulefile.File.Err]'s: one line for
// each thing that is wrong, none of which quotes the text.
func Parse(name string, text []byte) (Routes, error) {
	f, rules := routesFile{rulefile.New(name)}, []rule(nil)
	f.Read(text, "rules", "a list", func(value *yaml.Node) { rules = f.readRules(value) })
	if err := f.Err(); err != nil {
		return Routes{}, err
	}
	return Routes{name, rules}, nil
}

// A routesFile is a file of routes while it is read.
type routesFile struct{ *rulefile.File }

// readRules reads the list of rules.
func (f routesFile) readRules(n *yaml.Node) (rules []rule) {
	for i, entry := range f.List(n, "rules", "[{channels: [C0123456789]}]", maxRules) {
		f.Part = fmt.Sprintf("rule %d", i+1)
		before := f.Faults()
		r := f.readRule(entry)
		r.faulty = f.Faults() > before
		rules = append(rules, r)
	}
	f.checkReach(rules)
	f.Part = ""
	return rules
}

// readRule reads one rule.
func (f routesFile) readRule(n *yaml.Node) rule {
	r, says := rule{line: n.Line}, false
	before := f.Faults()
	f.Fields(n, "it", "",
		rulefile.Key("match", func(value *yaml.Node) { r.match = f.readMatch(value) }),
		rulefile.Key("channels", func(value *yaml.Node) {
			says, r.channels = true, f.Texts(value, "channels", "[C0123456789]", rulefile.Channel)
		}),
		rulefile.Key("mention", func(value *yaml.Node) { says, r.mention = true, f.readMention(value) }),
		rulefile.Key("mention_on", func(value *yaml.Node) {
			says, r.mentionOn = true, f.Texts(value, "mention_on", "["+strings.Join(Conditions, ", ")+"]", checkCondition)
		}),
		rulefile.Key("fallback", func(value *yaml.Node) { says = true; r.fallback, _ = f.Text(value, "fallback", rulefile.Channel) }),
		rulefile.Key("quiet_successes", func(value *yaml.Node) { says, r.quiet = true, f.Truth(value, "quiet_successes") }),
		rulefile.Key("progress", func(value *yaml.Node) { says, r.progress = true, f.Truth(value, "progress") }),
		rulefile.Key("runbook", func(value *yaml.Node) { says, r.runbooks = true, f.readRunbooks(value) }),
		rulefile.Key("env", func(value *yaml.Node) { says = true; r.env, _ = f.Text(value, "env", checkLabel(1, maxLabelKey)) }),
	)
	switch {
	case f.Faults() > before:
	case !says:
		f.Fault(r.line, "it says nothing of where or how: give it channels, mention, mention_on, fallback, quiet_successes, progress, runbook or env")
	case len(r.mentionOn) > 0 && r.mention != nil && *r.mention == "":
		f.Fault(r.line, "mention_on says when to wake people, and mention is none: name whom to wake, or leave mention_on out")
	case slices.Contains(r.channels, r.fallback):
		f.Fault(r.line, "fallback is one of its channels: name another")
	}
	return r
}

// readMatch reads what must hold for a rule.
func (f routesFile) readMatch(n *yaml.Node) (m match) {
	before := f.Faults()
	f.Fields(n, "match", " in match",
		rulefile.Key("projects", func(value *yaml.Node) { m.projects = f.Texts(value, "projects", "[my-project]", rulefile.Project) }),
		rulefile.Key("labels", func(value *yaml.Node) { m.labels = f.readLabels(value) }),
	)
	if m.always() && f.Faults() == before {
		f.Fault(n.Line, "match is empty: leave it out where the rule is for every request")
	}
	return m
}

// readLabels reads the labels that must be there.
func (f routesFile) readLabels(n *yaml.Node) (labels []wanted) {
	if !f.Is(n, yaml.MappingNode, "labels", "keys and values, such as {team: gpu}") {
		return nil
	}
	if len(n.Content) == 0 {
		f.Fault(n.Line, "labels is empty: name at least one, or leave it out")
	}
	if most := 2 * maxWanted; len(n.Content) > most {
		f.Fault(n.Line, "labels has more than %d keys: no request has so many", maxWanted)
		return nil
	}
	f.Pairs(n, "label", func(key, value *yaml.Node) {
		name, ok := f.Text(key, "the key of a label", checkLabel(1, maxLabelKey))
		if !ok {
			return
		}
		w := wanted{key: name}
		if value.Kind == yaml.SequenceNode {
			w.values = f.Texts(value, "a label", "[prod, staging]", checkLabel(0, maxLabelValue))
		} else if text, ok := f.Text(value, "a label", checkLabel(0, maxLabelValue)); ok {
			w.values = []string{text}
		}
		labels = append(labels, w)
	})
	return labels
}

// readMention reads whom to wake.
func (f routesFile) readMention(n *yaml.Node) *string {
	text, ok := f.Text(n, "mention", func(text string) string {
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
func (f routesFile) checkReach(rules []rule) {
	for i, r := range rules {
		f.Part = fmt.Sprintf("rule %d", i+1)
		if r.faulty {
			continue
		}
		for j, before := range rules[:i] {
			if !before.faulty && before.match.covers(r.match) {
				f.Fault(r.line, "it is never reached: rule %d (line %d) matches all that it matches", j+1, before.line)
				break
			}
		}
		if r.match.always() && i < len(rules)-1 {
			f.Fault(r.line, "without match it is for every request, and no rule after it is reached: make it the last")
			return
		}
	}
}

func checkCondition(text string) string {
	if slices.Contains(Conditions, text) {
		return ""
	}
	return "must be " + oneOf(Conditions)
}

// checkLabel returns a check of a label's key or value of at least and at most so many characters, as a request's is.
func checkLabel(least, most int) func(string) string {
	return func(text string) string {
		switch n := utf8.RuneCountInString(text); {
		case n < least:
			return "must not be empty"
		case n > most:
			return fmt.Sprintf("is longer than a request's may be, %d characters", most)
		case strings.ContainsFunc(text, rulefile.Unseen):
			return "has a character that cannot be seen, which no request's may have"
		}
		return ""
	}
}
