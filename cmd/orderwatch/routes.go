package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/directions"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
)

func routesCommand() *cobra.Command {
	command := newCommand("routes", knownCommand)
	command.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	command.SuggestionsMinimumDistance = 2
	command.AddCommand(routesTestCommand())
	return command
}

func routesTestCommand() *cobra.Command {
	command := newCommand("routes-test", someOrders)
	command.ValidArgsFunction = cobra.NoFileCompletions
	outputFlag(command)
	path := command.Flags().String("file", "", "`path` of the routes file (default ORDERWATCH_SLACK_ROUTES_FILE)")
	channel := command.Flags().String("channel", "", "`ID` of the channel that the request names, its slack_channel")
	completeFlag(command, "channel")
	command.RunE = func(c *cobra.Command, args []string) error {
		config, err := environmentFor(routeVariables, "SLACK_")
		if err != nil {
			return err
		}
		order, request, err := routedRequest(c, config, args, *channel)
		if err != nil {
			return err
		}
		routes, err := readRoutes(c, config.Slack, *path)
		if err != nil {
			return err
		}
		found := directions.Of(config.Slack, routes, order, request)
		return printed(c, found, func(p show.Page) string {
			p.All = true
			return found.Text(p, config.Slack)
		})
	}
	return command
}

// routeVariables are those that say what no rule does, and whose an order is.
var routeVariables = []string{"SLACK_CHANNEL", "SLACK_CHANNELS_ALLOWED", "SLACK_MENTION_ON_FAILURE", "SLACK_PROGRESS", "MODELARTS_PROJECT_ID"}

// routedRequest returns the request that the command line describes.
func routedRequest(c *cobra.Command, config config.Config, args []string, channel string) (order watcher.Order, request watcher.Request, err error) {
	if order, err = parseOrder(c, config, args[0]); err != nil {
		return order, request, err
	}
	labels, err := readLabels(args[1:])
	if err != nil {
		return order, request, exit.Usage(c, "label %w", err)
	}
	if channel != "" {
		if err := checkChannels(c, channel); err != nil {
			return order, request, err
		}
	}
	ask := wire.WatchRequest{Order: order, RequestID: "test", Labels: labels, SlackChannel: channel}
	if err := ask.Check(); err != nil {
		return order, request, exit.Usage(c, "%w", labelError(err))
	}
	return order, watcher.Request{Labels: labels, SlackChannel: channel}, nil
}

// checkChannels refuses what has not the form of a channel's ID as wrong usage of the flag.
func checkChannels(c *cobra.Command, channels ...string) error {
	for _, channel := range channels {
		if !routes.IsChannel(channel) {
			return exit.Usage(c, "--channel: %q must be a channel's ID such as C0123456789, not its name", output.Shorten(channel, 60))
		}
	}
	return nil
}

// labelError says of an error in a request's labels what people call it.
func labelError(err error) error {
	field, ok := errors.AsType[*watcher.FieldError](err)
	if !ok {
		return err
	}
	if key, ok := strings.CutPrefix(field.Field, "labels."); ok {
		return fmt.Errorf("label %q: %s", output.Shorten(key, 60), field.Reason)
	}
	return err
}

// readRoutes reads the file at the path, or else the one that the environment names.
func readRoutes(c *cobra.Command, slack config.Slack, path string) (routes.Routes, error) {
	path = cmp.Or(path, slack.RoutesFile)
	if path == "" {
		return routes.Routes{}, exit.Usage(c, "which file? Name it with --file PATH, or set ORDERWATCH_SLACK_ROUTES_FILE")
	}
	text, err := config.ReadRules(path)
	if err != nil {
		return routes.Routes{}, err
	}
	return routes.Parse(path, text)
}
