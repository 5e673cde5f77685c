package serve

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// newNotifier returns the way to tell people: Slack, or, where it is not configured, the log.
func newNotifier(log *slog.Logger, config config.Config, clock *store.Clock, notes watcher.Notes, undelivered watcher.Undelivered, workers func() int, timing outbox.Timing, registry prometheus.Registerer) (watcher.Notifier, error) {
	s := config.Slack
	if !s.Token.IsSet() && !s.WebhookURL.IsSet() {
		log.Info("no Slack is configured: summaries go to the log")
		return notify.NewLog(log, config.Secrets()...), nil
	}
	o, err := newOutbox(log, s, outbox.Config{
		Channel: s.Channel, Routes: s.Routes, Mention: s.MentionOnFailure, Progress: s.Progress, Secrets: config.Secrets(),
		Jitter: 0.2, Now: clock.Now, Notes: notes, Undelivered: undelivered, Timing: timing, Workers: workers,
	})
	if err != nil {
		return nil, err
	}
	registry.MustRegister(slackCollector{o, clock.Now})
	return o, nil
}

// newOutbox returns an outbox with the ways to Slack that are configured.
func newOutbox(log *slog.Logger, s config.Slack, c outbox.Config) (*outbox.Outbox, error) {
	way := slack.Config{Token: s.Token.Reveal(), APIURL: s.APIURL, Timeout: c.Timing.Call}
	if s.Token.IsSet() {
		client, err := slack.New(way)
		if err != nil {
			return nil, err
		}
		c.Slack = client
	}
	if s.WebhookURL.IsSet() {
		webhook, err := slack.NewWebhook(s.WebhookURL.Reveal(), way)
		if err != nil {
			return nil, err
		}
		c.Webhook = webhook
	}
	return outbox.New(log, c)
}

// probeNotifier looks again and again whether the way to tell people works, until ctx is done.
func probeNotifier(ctx context.Context, notifier watcher.Notifier, s config.Slack) {
	o, ok := notifier.(*outbox.Outbox)
	if !ok {
		return
	}
	o.Probe(ctx, config.ChannelIDs(s.Channels())...)
}

// notifierTroubles returns what keeps people from being told, one a line.
func notifierTroubles(notifier watcher.Notifier) (lines []string) {
	o, ok := notifier.(*outbox.Outbox)
	if !ok {
		return nil
	}
	for _, t := range o.Troubles() {
		lines = append(lines, t.String())
	}
	return lines
}
