package outbox_test

import (
	"log/slog"
	"net/http"

	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/slack"
)

// A config is that of an outbox, with the way to Slack.
type config struct {
	outbox.Config
	Token, WebhookURL, APIURL string
	HTTPClient                *http.Client
	calls                     func(outbox.Workspace) outbox.Workspace // puts another in place of it; nil: none
}

// start returns an outbox as serve makes it.
func start(log *slog.Logger, c config) (*outbox.Outbox, error) {
	way := slack.Config{Token: c.Token, APIURL: c.APIURL, HTTPClient: c.HTTPClient}
	c.Secrets = append([]string{c.Token, c.WebhookURL}, c.Secrets...)
	if c.Token != "" {
		client, err := slack.New(way)
		if err != nil {
			return nil, err
		}
		c.Slack = client
		if c.calls != nil {
			c.Slack = c.calls(client)
		}
	}
	if c.WebhookURL != "" {
		webhook, err := slack.NewWebhook(c.WebhookURL, way)
		if err != nil {
			return nil, err
		}
		c.Webhook = webhook
	}
	return outbox.New(log, c.Config)
}
