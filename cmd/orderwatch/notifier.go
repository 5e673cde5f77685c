package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/watcher"
)

// newNotifier returns the way to tell people: Slack, or, where it is not configured, the log.
func newNotifier(log *slog.Logger, config Config, clock *store.Clock, notes watcher.Notes, undelivered watcher.Undelivered, workers func() int, timing notify.Timing, registry prometheus.Registerer) (watcher.Notifier, error) {
	s := config.Slack
	if !s.Token.IsSet() && !s.WebhookURL.IsSet() {
		log.Info("no Slack is configured: summaries go to the log")
		return notify.NewLog(log, config.secrets()...), nil
	}
	slack, err := notify.NewSlack(log, notify.Config{
		Token: s.Token.Reveal(), Channel: s.Channel, Routes: s.Routes, WebhookURL: s.WebhookURL.Reveal(),
		APIURL: s.APIURL, Mention: s.MentionOnFailure, Secrets: config.secrets(), Jitter: 0.2, Now: clock.Now, Notes: notes, Undelivered: undelivered,
		Progress: s.Progress, Timing: timing, Workers: workers,
	})
	if err != nil {
		return nil, err
	}
	registry.MustRegister(slackCollector{slack, clock.Now})
	return slack, nil
}

// probeNotifier looks again and again whether the way to tell people works, until ctx is done.
func probeNotifier(ctx context.Context, notifier watcher.Notifier, s SlackConfig) {
	slack, ok := notifier.(*notify.Slack)
	if !ok {
		return
	}
	slack.Probe(ctx, ids(s.uses())...)
}

// notifierTroubles returns what keeps people from being told, one a line.
func notifierTroubles(notifier watcher.Notifier) (lines []string) {
	slack, ok := notifier.(*notify.Slack)
	if !ok {
		return nil
	}
	for _, t := range slack.Troubles() {
		lines = append(lines, t.String())
	}
	return lines
}
