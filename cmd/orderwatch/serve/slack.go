package serve

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/slack"
)

// newOutbox returns the outbox with the ways to Slack that are configured; nil where there is none.
func newOutbox(log *slog.Logger, config config.Config, kept *store.Store, timing outbox.Timing) (*outbox.Outbox, error) {
	s := config.Slack
	if !s.Token.IsSet() && !s.WebhookURL.IsSet() {
		return nil, nil
	}
	c := outbox.Config{
		Channel: s.Channel, Routes: s.Routes, Mention: s.MentionOnFailure, Progress: s.Progress, Secrets: config.Secrets(),
		ConsoleURL: config.Links.Console, PublicURL: config.Links.Public,
		Jitter: 0.2, Now: kept.Clock.Now, Notes: kept, Undelivered: kept, Timing: timing, Workers: kept.Accounts().Workers,
	}
	way := slack.Config{Token: s.Token.Reveal(), APIURL: s.APIURL, Timeout: timing.Call}
	var err error
	if s.Token.IsSet() {
		if c.Slack, err = slack.New(way); err != nil {
			return nil, err
		}
	}
	if s.WebhookURL.IsSet() {
		if c.Webhook, err = slack.NewWebhook(s.WebhookURL.Reveal(), way); err != nil {
			return nil, err
		}
	}
	return outbox.New(log, c)
}

// probe looks again and again whether Slack takes messages, until ctx is done.
func probe(ctx context.Context, o *outbox.Outbox, s config.Slack) {
	if o != nil {
		o.Probe(ctx, config.ChannelIDs(s.Channels())...)
	}
}

// troubles returns what keeps people from being told, one a line.
func troubles(o *outbox.Outbox) (lines []string) {
	if o == nil {
		return nil
	}
	for _, t := range o.Troubles() {
		lines = append(lines, t.String())
	}
	return lines
}

// A slackCollector tells what a worker meets at Slack.
type slackCollector struct {
	slack *outbox.Outbox
	now   func() time.Time
}

var (
	slackRefusedDesc = prometheus.NewDesc("orderwatch_slack_refused_seconds",
		"For how long Slack has not taken messages, by channel (empty: all), class and code of the error; absent while it takes them.", []string{"channel", "class", "code"}, nil)
	slackErrorsDesc = prometheus.NewDesc("orderwatch_slack_errors_total",
		"Errors of Slack by class (ambiguous, not_accepted, token, channel, payload, edit, unknown) and code.", []string{"class", "code"}, nil)
	slackDuplicatesDesc = prometheus.NewDesc("orderwatch_slack_possible_duplicates_total",
		"Messages that were posted again although an earlier try may have been accepted.", nil, nil)
	slackUndeliveredDesc = prometheus.NewDesc("orderwatch_slack_undelivered_total",
		"Messages that Slack finally refused; an event on orders.undelivered.slack has each.", nil, nil)
)

func (slackCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{slackRefusedDesc, slackErrorsDesc, slackDuplicatesDesc, slackUndeliveredDesc} {
		descs <- d
	}
}

func (c slackCollector) Collect(values chan<- prometheus.Metric) {
	for _, t := range c.slack.Troubles() {
		values <- prometheus.MustNewConstMetric(slackRefusedDesc, prometheus.GaugeValue, c.now().Sub(t.Since).Seconds(), t.Channel, string(t.Class), t.Code)
	}
	for _, e := range c.slack.Errors() {
		values <- prometheus.MustNewConstMetric(slackErrorsDesc, prometheus.CounterValue, float64(e.Count), string(e.Class), e.Code)
	}
	values <- prometheus.MustNewConstMetric(slackDuplicatesDesc, prometheus.CounterValue, float64(c.slack.PossibleDuplicates()))
	values <- prometheus.MustNewConstMetric(slackUndeliveredDesc, prometheus.CounterValue, float64(c.slack.Undelivered()))
}
