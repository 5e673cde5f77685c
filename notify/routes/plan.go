package routes

import (
	"cmp"
	"slices"

	"github.com/orderwatch/orderwatch/watcher"
)

// Webhook stands for the webhook's own channel where a channel's ID stands otherwise.
const Webhook = "webhook"

// A Plan says where people are told of what: the outbox and "orderwatch routes test" ask it.
type Plan struct {
	Routes  Routes
	Default Route // where no rule says otherwise; it has one channel, or none where that is not known
	Webhook bool  // there is a webhook, which gets what all channels finally refuse

	// WebhookAlone says that there is no token: everything goes to the webhook's own channel, whatever
	// rules and requests name.
	WebhookAlone bool
}

// A Target is a channel, and how people are told of a watch there.
type Target struct {
	Channel        string
	Mention        string   // whom to wake for a failure: see [CheckMention]; empty: nobody
	MentionOn      []string // for which of [Conditions], too
	Fallbacks      []string // get what the channel finally refuses, one after the other
	QuietSuccesses bool     // only failures are told
	Progress       bool     // people are told while an order runs, too
	Requests       []string // the ids of the requests whose routes lead there; empty where all do alike

	Runbooks []Runbook // what to do about causes: the first that matches
	Env      string    // the label that names a request's environment; empty: none
}

// Standard returns where people are told of what is no single watch's.
func (p Plan) Standard() Target {
	t := Target{Channel: Webhook, Mention: p.Default.Mention}
	if !p.WebhookAlone {
		t.Channel = p.channel()
	}
	t.Fallbacks = p.Fallbacks(t.Channel)
	return t
}

// channel returns the default channel, empty where it is not known.
func (p Plan) channel() string {
	if len(p.Default.Channels) == 0 {
		return ""
	}
	return p.Default.Channels[0]
}

// Fallbacks returns the channels that get what this one finally refuses: its own fallback, where it has one,
// the default channel, and the webhook. None is the channel itself, and none comes twice.
func (p Plan) Fallbacks(channel string, own ...string) (channels []string) {
	all := slices.Clone(own)
	if !p.WebhookAlone {
		all = append(all, p.channel())
	}
	if p.Webhook {
		all = append(all, Webhook)
	}
	for _, other := range all {
		if other != "" && other != channel && !slices.Contains(channels, other) {
			channels = append(channels, other)
		}
	}
	return channels
}

// Targets returns where people are told of a watch, each channel once, in the order of the requests,
// each of which has a route of its own. Where several lead to one channel, the first that wakes
// somebody says whom, and the first that has a fallback says which; it is quiet where all are, and
// wakes somebody for a condition and shows progress where one does; the runbooks of all count, and the first environment's label. A watch without
// requests is told as for one without labels.
func (p Plan) Targets(project string, requests []watcher.Request) (targets []Target) {
	if p.WebhookAlone {
		return []Target{p.Standard()}
	}
	if len(requests) == 0 {
		requests = []watcher.Request{{}}
	}
	place := make(map[string]int) // of each channel among the targets
	var fallbacks []string        // of each target, as the routes name it
	for _, request := range requests {
		route, _ := p.Routes.Choose(p.Default, project, request)
		for _, channel := range route.Channels {
			i, ok := place[channel]
			if !ok {
				i = len(targets)
				place[channel] = i
				targets, fallbacks = append(targets, Target{Channel: channel, QuietSuccesses: true}), append(fallbacks, "")
			}
			t := &targets[i]
			if request.ID != "" {
				t.Requests = append(t.Requests, request.ID)
			}
			t.Mention = cmp.Or(t.Mention, route.Mention)
			t.QuietSuccesses = t.QuietSuccesses && route.QuietSuccesses
			t.Progress = t.Progress || route.Progress
			for _, kind := range route.MentionOn {
				if route.Mention != "" && !slices.Contains(t.MentionOn, kind) {
					t.MentionOn = append(t.MentionOn, kind)
				}
			}
			t.Env = cmp.Or(t.Env, route.Env)
			for _, r := range route.Runbooks {
				if !slices.Contains(t.Runbooks, r) {
					t.Runbooks = append(t.Runbooks, r)
				}
			}
			if route.Fallback != channel {
				fallbacks[i] = cmp.Or(fallbacks[i], route.Fallback)
			}
		}
	}
	for i := range targets {
		targets[i].Fallbacks = p.Fallbacks(targets[i].Channel, fallbacks[i])
	}
	return targets
}
