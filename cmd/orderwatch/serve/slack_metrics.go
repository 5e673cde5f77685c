package serve

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/notify/outbox"
)

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

// Describe tells of the metrics.
func (slackCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{slackRefusedDesc, slackErrorsDesc, slackDuplicatesDesc, slackUndeliveredDesc} {
		descs <- d
	}
}

// Collect tells their values.
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
