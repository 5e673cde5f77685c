// Package routes says which request's messages go where: to which channels, waking whom, and what becomes of
// what a channel refuses. It promises that a file of rules is read as a whole or not at all, that everything
// that is wrong with it is said at once, and that "orderwatch routes test" and the outbox get the same answer.
//
// Read routes.go (which rule decides, and why), then plan.go (which channels and fallbacks follow), match.go (when a
// rule matches) and mention.go (Slack's code for whom to wake). A file of rules is read by rule.go (what a rule may say)
// and runbook.go (what a runbook may be, and which addresses are links), on package rulefile.
package routes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// A Route is where and how people are told of a watch, for one of its requests.
type Route struct {
	Channels       []string // their IDs
	Mention        string   // whom to wake for a failure: see [CheckMention]; empty: nobody
	MentionOn      []string // for which of [Conditions], too
	Fallback       string   // the ID of the channel for what a channel finally refuses; empty: none of its own
	QuietSuccesses bool     // only failures are told
	Progress       bool     // people are told while an order runs, too

	Runbooks []Runbook // what to do about causes: the first that matches
	Env      string    // the label that names a request's environment; empty: none
}

// Conditions are what a rule may wake people for beside failures: kinds of a [watcher.OrderAttention].
var Conditions = []string{string(watcher.Late), string(watcher.Stalled), string(watcher.Blind), string(watcher.DeadlineNear)}

// Routes are rules that say which requests take which [Route]. [Parse] reads them; the zero value
// has none. Routes do not change: they are safe for concurrent use.
type Routes struct {
	name  string // of the file
	rules []rule
}

// A rule says what follows for the requests that it matches. Empty and nil leave it open.
type rule struct {
	line            int // in the file
	match           match
	channels        []string
	mention         *string // empty: nobody
	mentionOn       []string
	fallback        string
	quiet, progress *bool
	runbooks        []Runbook
	env             string
	faulty          bool // it could not be read as a whole
}

// A Why is what a [Route] follows from.
type Why struct {
	File string `json:"file,omitempty"` // of the rules; empty where there are none
	Rule int    `json:"rule,omitempty"` // the one that matches, counted from 1; 0: none does, and the defaults decide
	Line int    `json:"line,omitempty"` // of the rule in the file
	// Matched is what the rule found in the request, such as "project a" and "label team=gpu". It is
	// empty where the rule is for every request.
	Matched []string `json:"matched,omitempty"`
	Asked   bool     `json:"asked,omitempty"` // the request names the channel itself
}

// String says it to people. Text of the request in it is quoted where it is no plain word.
func (w Why) String() string {
	var text string
	switch {
	case w.File == "":
		text = "there are no rules, so the defaults decide"
	case w.Rule == 0:
		text = "no rule matches, so the defaults decide"
	case len(w.Matched) == 0:
		text = fmt.Sprintf("rule %d matches every request (%s:%d)", w.Rule, foreign.Short(w.File, maxName), w.Line)
	default:
		text = fmt.Sprintf("rule %d matches (%s:%d): %s", w.Rule, foreign.Short(w.File, maxName), w.Line, strings.Join(w.Matched, ", "))
	}
	if w.Asked {
		text += "; the request names the channel itself"
	}
	return text
}

// A Miss is a rule that does not match a request.
type Miss struct {
	Rule   int    `json:"rule"` // counted from 1
	Line   int    `json:"line"` // in the file
	Reason string `json:"reason"`
}

// Empty reports whether there are no rules.
func (r Routes) Empty() bool { return len(r.rules) == 0 }

// Choose returns the route of a request: that of the first rule that matches, with what it leaves open taken from
// standard, or else standard. A channel that the request names replaces the rule's channels; the rest stays the rule's.
func (r Routes) Choose(standard Route, project string, request watcher.Request) (Route, Why) {
	route, why := standard, Why{File: r.name}
	if i := r.deciding(project, request.Labels); i < len(r.rules) {
		route = r.rules[i].over(standard)
		why.Rule, why.Line, why.Matched = i+1, r.rules[i].line, r.rules[i].match.found(request.Labels, project)
	}
	route.Channels, route.MentionOn, route.Runbooks = slices.Clone(route.Channels), slices.Clone(route.MentionOn), slices.Clone(route.Runbooks)
	if request.SlackChannel != "" {
		route.Channels, why.Asked = []string{request.SlackChannel}, true
	}
	return route, why
}

// Misses returns the rules that stand before the one that decides, or all where none does, each with
// why it does not match.
func (r Routes) Misses(project string, request watcher.Request) (misses []Miss) {
	for i, rule := range r.rules[:r.deciding(project, request.Labels)] {
		misses = append(misses, Miss{i + 1, rule.line, rule.match.lacks(project, request.Labels)})
	}
	return misses
}

// deciding returns the index of the first rule that matches, or how many rules there are.
func (r Routes) deciding(project string, labels map[string]string) int {
	for i, rule := range r.rules {
		if rule.match.holds(project, labels) {
			return i
		}
	}
	return len(r.rules)
}

// Channels returns every channel that the rules name, fallbacks too, each once, in their order.
func (r Routes) Channels() (channels []string) {
	for _, rule := range r.rules {
		for _, channel := range append(slices.Clone(rule.channels), rule.fallback) {
			if channel != "" && !slices.Contains(channels, channel) {
				channels = append(channels, channel)
			}
		}
	}
	return channels
}

// Line returns the line in the file of the first rule that names the channel, 0 where none does.
func (r Routes) Line(channel string) int {
	for _, rule := range r.rules {
		if slices.Contains(rule.channels, channel) || channel != "" && rule.fallback == channel {
			return rule.line
		}
	}
	return 0
}

// over returns what the rule says, and what standard says of what it leaves open.
func (r rule) over(standard Route) Route {
	route := standard
	if len(r.channels) > 0 {
		route.Channels = r.channels
	}
	if r.mention != nil {
		route.Mention = *r.mention
	}
	if len(r.mentionOn) > 0 {
		route.MentionOn = r.mentionOn
	}
	if len(r.runbooks) > 0 {
		route.Runbooks = r.runbooks
	}
	route.Fallback, route.Env = cmp.Or(r.fallback, standard.Fallback), cmp.Or(r.env, standard.Env)
	if r.quiet != nil {
		route.QuietSuccesses = *r.quiet
	}
	if r.progress != nil {
		route.Progress = *r.progress
	}
	return route
}
