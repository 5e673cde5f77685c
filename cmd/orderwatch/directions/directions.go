// Package directions says where people are told of an order, who is woken, and why. It asks the same plan as the
// outbox of workers with the same configuration.
//
// Read directions.go: [Of] decides where people are told, [Directions.Text] how that is said, notes what may be
// otherwise where the workers run.
package directions

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Directions are where people are told of an order, and why. Their JSON is stable; their texts are for people.
type Directions struct {
	watcher.Order
	Labels       map[string]string `json:"labels"`
	SlackChannel string            `json:"slack_channel,omitempty"`

	Channels       []string         `json:"channels"`             // empty: the default channel, which is not known here
	ChannelsFrom   Source           `json:"channels_from"`        // who names them
	Mention        string           `json:"mention"`              // empty: nobody
	MentionOn      []string         `json:"mention_on,omitempty"` // for what beside failures: late, stalled, blind, deadline
	Fallbacks      []string         `json:"fallbacks"`            // in turn, for what a channel finally refuses that is none of them itself, as far as known here
	QuietSuccesses bool             `json:"quiet_successes"`      // only failures are told
	Progress       bool             `json:"progress"`             // told while the order runs, too
	Runbooks       []routes.Runbook `json:"runbooks,omitempty"`   // linked for causes, the first that matches
	EnvLabel       string           `json:"env_label,omitempty"`  // names the request's environment
	Why            routes.Why       `json:"why"`                  // what it follows from
	Misses         []routes.Miss    `json:"no_match,omitempty"`   // rules before the one that decides
	Notes          []string         `json:"notes,omitempty"`      // what may be otherwise where the workers run

	leftOpen bool            // no rule says whom it wakes, or no rule says whether there is progress
	targets  []routes.Target // the channels, each with its own fallbacks; without an ID the default channel
}

// A Source says who names the channels.
type Source string

const (
	FromRequest Source = "request"
	FromRule    Source = "rule"
	FromDefault Source = "default"
)

// Of returns where people are told of the order for this request, by the rules, and by the configuration where no
// rule says it.
func Of(config config.Slack, rules routes.Routes, order watcher.Order, request watcher.Request) Directions {
	standard := routes.Route{Mention: config.MentionOnFailure, Progress: config.Progress}
	route, why := rules.Choose(standard, order.ProjectID, request)
	d := Directions{
		Order: order, Labels: request.Labels, SlackChannel: request.SlackChannel,
		Channels: []string{}, ChannelsFrom: FromRule, Mention: route.Mention, MentionOn: route.MentionOn, Fallbacks: []string{},
		QuietSuccesses: route.QuietSuccesses, Progress: route.Progress, Runbooks: route.Runbooks, EnvLabel: route.Env,
		Why: why, Misses: rules.Misses(order.ProjectID, request),
	}
	other, _ := rules.Choose(routes.Route{Mention: "other", Progress: !config.Progress}, order.ProjectID, request)
	d.leftOpen = other.Mention != route.Mention || other.Progress != route.Progress
	switch {
	case why.Asked:
		d.ChannelsFrom = FromRequest
	case len(route.Channels) == 0:
		d.ChannelsFrom = FromDefault
	}
	if config.Channel != "" {
		standard.Channels = []string{config.Channel}
	}
	plan := routes.Plan{Routes: rules, Default: standard, Webhook: config.WebhookURL.IsSet()}
	d.targets = plan.Targets(order.ProjectID, []watcher.Request{request})
	for _, t := range d.targets {
		d.Channels = append(d.Channels, t.Channel)
	}
	if len(d.targets) == 0 {
		d.targets = []routes.Target{{Fallbacks: plan.Fallbacks("", route.Fallback)}}
	}
	for _, t := range d.targets {
		for _, channel := range t.Fallbacks {
			if channel != routes.Webhook && !slices.Contains(d.Fallbacks, channel) {
				d.Fallbacks = append(d.Fallbacks, channel)
			}
		}
	}
	d.Notes = d.notes(config)
	return d
}

// Text returns them as lines for people. config is the one that they were made with.
func (d Directions) Text(p show.Page, config config.Slack) string {
	var b strings.Builder
	head := output.Clean(d.Order.String())
	if len(d.Labels) > 0 {
		head += " with " + strings.Join(show.Labels(d.Labels), ", ")
	}
	for _, line := range output.Paragraph(head, p.Width, math.MaxInt) {
		b.WriteString(p.Paint.Bold(line) + "\n")
	}
	return b.String() + "\n" + p.Property("a failure", nil, d.places()+"; it wakes "+whom(d.Mention)) +
		p.Property("a success", nil, d.success()) +
		p.Property("meanwhile", nil, d.meanwhile()) +
		p.Property("refused", nil, d.refused(config)...) +
		p.Property("runbook", nil, d.runbooks()...) +
		p.Property("env", nil, d.env()) +
		p.Property("why", nil, d.reasons()...) +
		p.Property("note", p.Paint.Yellow, d.Notes...)
}

// unknownDefault stands for the default channel where it is not known.
const unknownDefault = "the default channel (ORDERWATCH_SLACK_CHANNEL is not set here)"

// places names the channels.
func (d Directions) places() string {
	if len(d.Channels) == 0 {
		return "goes to " + unknownDefault
	}
	text := "goes to " + strings.Join(d.Channels, " and ")
	if d.ChannelsFrom == FromDefault {
		text += ", the default channel"
	}
	return text
}

// whom says who is woken.
func whom(mention string) string {
	switch {
	case mention == "":
		return "nobody"
	case mention == "here":
		return "everybody who is active there (@here)"
	case strings.HasPrefix(mention, "S"):
		return "the group " + mention
	}
	return "the user " + mention
}

func (d Directions) success() string {
	switch {
	case d.QuietSuccesses && d.Progress:
		return "only ends the message that shows how far the order was, and so does a watch that was cancelled (quiet_successes)"
	case d.QuietSuccesses:
		return "only ends a message that stands there already, and so does a watch that was cancelled (quiet_successes)"
	}
	return "goes there, too, and wakes nobody"
}

// meanwhile says what is told while the order runs, and who is woken for that.
func (d Directions) meanwhile() string {
	text, wakes := "a message there says whether the order", "nobody"
	if d.Progress {
		text = "a message there shows how far the order is, after a minute (progress), and whether it"
	}
	if d.Mention != "" && len(d.MentionOn) > 0 {
		wakes = whom(d.Mention) + " for " + strings.Join(d.MentionOn, ", ") + " (mention_on)"
	}
	return text + " is late, stalled, blind or near its deadline; it wakes " + wakes
}

// refused says what becomes of a message that a channel does not take: once where it is the same for all
// channels, else for each.
func (d Directions) refused(config config.Slack) (texts []string) {
	way, same := d.fallbacksOf(d.targets[0], config), true
	for _, t := range d.targets {
		texts = append(texts, refusedBy(t.Channel, d.fallbacksOf(t, config)))
		same = same && d.fallbacksOf(t, config) == way
	}
	if same {
		return []string{refusedBy("", way)}
	}
	return texts
}

// fallbacksOf returns where a message goes that the target's channel refuses, in words; empty: it goes nowhere.
func (d Directions) fallbacksOf(t routes.Target, config config.Slack) string {
	all := slices.DeleteFunc(slices.Clone(t.Fallbacks), func(channel string) bool { return channel == routes.Webhook })
	if config.Channel == "" && d.ChannelsFrom != FromDefault {
		all = append(all, unknownDefault)
	}
	if config.WebhookURL.IsSet() {
		all = append(all, "the webhook")
	}
	return strings.Join(all, ", then to ")
}

// refusedBy says what becomes of a message that the channel finally refuses. An empty channel stands for each of them;
// an empty way means that the message goes nowhere.
func refusedBy(channel, way string) string {
	if way == "" {
		return "what " + cmp.Or(channel, "the channel") + " finally refuses is kept as an event: orderwatch events --kind undelivered"
	}
	return "what " + cmp.Or(channel, "a channel") + " finally refuses goes to " + way
}

// runbooks says which page is linked for which cause.
func (d Directions) runbooks() (texts []string) {
	for _, r := range d.Runbooks {
		texts = append(texts, fmt.Sprintf("%q: %s", r.Cause, r.URL))
	}
	return texts
}

// env says what stands in the title as the environment; empty where nothing does.
func (d Directions) env() string {
	switch value := output.Clean(d.Labels[d.EnvLabel]); {
	case d.EnvLabel == "":
		return ""
	case value == "":
		return "none: the request's label " + output.Clean(d.EnvLabel) + " has no value"
	default:
		return value + ", by the label " + output.Clean(d.EnvLabel)
	}
}

// reasons says which rule decides, and why those before it do not.
func (d Directions) reasons() []string {
	const most = 10
	texts := []string{output.Clean(d.Why.String())}
	for _, miss := range d.Misses[:min(len(d.Misses), most)] {
		texts = append(texts, output.Clean(fmt.Sprintf("rule %d (line %d) does not match: %s", miss.Rule, miss.Line, miss.Reason)))
	}
	if more := len(d.Misses) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("nor do %s after these", words.Count(more, "rule")))
	}
	return texts
}

// notes says what may be otherwise where the workers run.
func (d Directions) notes(config config.Slack) (texts []string) {
	if config.WebhookURL.IsSet() && !config.Token.IsSet() {
		texts = append(texts, "a webhook is configured here, and no token: everything goes to the webhook's own channel, whatever rules and requests name")
	}
	if d.SlackChannel != "" && d.SlackChannel != config.Channel && !slices.Contains(config.ChannelsAllowed, d.SlackChannel) {
		texts = append(texts, "workers refuse a request that names "+d.SlackChannel+", unless their ORDERWATCH_SLACK_CHANNELS_ALLOWED has it")
	}
	if config.Channel == "" && d.leftOpen {
		texts = append(texts, "what no rule says of whom it wakes and what comes meanwhile is as _MENTION_ON_FAILURE and _PROGRESS are set here, and may be otherwise where the workers run")
	}
	return texts
}
