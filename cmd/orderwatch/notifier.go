package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/watcher"
)

// newNotifier returns the way to tell people: Slack, or, where it is not configured, the log.
func newNotifier(log *slog.Logger, config Config, clock *events.Clock, notes watcher.Notes, undelivered watcher.Undelivered, waiting func() int, registry prometheus.Registerer) (watcher.Notifier, error) {
	s := config.Slack
	if !s.Token.IsSet() && !s.WebhookURL.IsSet() {
		log.Info("no Slack is configured: summaries go to the log")
		return notify.NewLog(log, config.secrets()...), nil
	}
	slack, err := notify.NewSlack(log, notify.Config{
		Token: s.Token.Reveal(), Channel: s.Channel, WebhookURL: s.WebhookURL.Reveal(),
		APIURL: s.APIURL, Mention: s.MentionOnFailure, Secrets: config.secrets(), Jitter: 0.2, Now: clock.Now, Notes: notes, Undelivered: undelivered,
		Progress: s.Progress, Waiting: waiting,
	})
	if err != nil {
		return nil, err
	}
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "orderwatch_slack_possible_duplicates_total",
		Help: "Messages that were posted again although an earlier try may have been accepted.",
	}, func() float64 { return float64(slack.PossibleDuplicates()) }))
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "orderwatch_slack_undelivered_total",
		Help: "Messages that Slack finally refused; an event on orders.undelivered.slack has each.",
	}, func() float64 { return float64(slack.Undelivered()) }))
	return slack, nil
}

// checkNotifier looks, once, whether the way to tell people works, and logs what to do where it
// does not. Nothing waits for it.
func checkNotifier(ctx context.Context, log *slog.Logger, notifier watcher.Notifier) {
	slack, ok := notifier.(*notify.Slack)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err := slack.Check(ctx)
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if refusal, ok := errors.AsType[*notify.PostError](err); ok && refusal.Class == notify.TokenRefused {
		log.Error("Slack does not accept the worker; summaries wait until it does: check ORDERWATCH_SLACK_TOKEN and the app's scope chat:write", "err", err)
		return
	}
	log.Error("Slack was not reached; summaries wait until it is", "err", err)
}
