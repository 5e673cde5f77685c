package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
)

func routesCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "routes",
		Short: "Try the rules that say who is told of which order",
		Long: `The file that ORDERWATCH_SLACK_ROUTES_FILE names says, by project and by label,
in which Slack channels people are told of a watch and who is woken. It is YAML:

  rules:
    - match:                       # all must hold; the first match decides
        projects: [my-project]     # one of these project IDs
        labels: {team: gpu, env: [prod, staging]}
      channels: [C0GPU, C0ONCALL]  # left out: ORDERWATCH_SLACK_CHANNEL
      mention: S0GPUONCALL         # here, U…, W…, S… or none; left out:
                                   # ORDERWATCH_SLACK_MENTION_ON_FAILURE
      fallback: C0OPS              # gets what a channel finally refuses
      quiet_successes: true        # only failures are told; left out: false
      progress: true               # left out: ORDERWATCH_SLACK_PROGRESS
    - channels: [C0REST]           # no match: every request; the last rule

All workers need the same file, and read it when they start.`,
		Example: `  orderwatch routes test my-project/order.a team=gpu env=prod`,
		Args:    knownCommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	command.SuggestionsMinimumDistance = 2
	command.AddCommand(routesTestCommand())
	return command
}

func routesTestCommand() *cobra.Command {
	var path, channel string
	command := &cobra.Command{
		Use:   "test PROJECT/ORDER [LABEL=VALUE]...",
		Short: "Say where people would be told of an order, and why",
		Long: `Say in which Slack channels people would be told of a watch of the order, for a
request with these labels: who is woken, who is not told, and which rule of the
routes file decides. Nothing is sent, and NATS is not asked. What no rule says
is taken from ORDERWATCH_SLACK_CHANNEL, _MENTION_ON_FAILURE and _PROGRESS.

A watch that several requests share is told of for each of them, in each channel
once. Exit code 1 if something is wrong with the file: each thing is a line.`,
		Example: `  orderwatch routes test my-project/order.pool-5ed5-w4l2n team=gpu env=prod
  orderwatch routes test --file routes.yaml my-project/order.a
  orderwatch routes test -o json my-project/order.a team=gpu | jq .channels`,
		Args:              someOrders,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := outputFlag(command)
	command.Flags().StringVar(&path, "file", "", "`path` of the routes file (default ORDERWATCH_SLACK_ROUTES_FILE)")
	command.Flags().StringVar(&channel, "channel", "", "`ID` of the channel that the request names, its slack_channel")
	completeFlag(command, "channel")
	command.RunE = func(c *cobra.Command, args []string) error {
		config, err := routesConfig()
		if err != nil {
			return err
		}
		order, request, err := routedRequest(c, config, args, channel)
		if err != nil {
			return err
		}
		routes, err := readRoutes(c, config.Slack, path)
		if err != nil {
			return err
		}
		found := directionsOf(config.Slack, routes, order, request)
		if *format == output.AsJSON {
			return output.JSON(c.OutOrStdout(), found)
		}
		out := c.OutOrStdout()
		p := show.Page{Width: output.Columns(out), Paint: output.PaintFor(out), All: true}
		_, err = io.WriteString(out, found.text(p, config.Slack))
		return err
	}
	return command
}

// routeVariables are those that say what no rule does, and whose an order is.
var routeVariables = []string{"SLACK_CHANNEL", "SLACK_CHANNELS_ALLOWED", "SLACK_MENTION_ON_FAILURE", "SLACK_PROGRESS", "MODELARTS_PROJECT_ID"}

// routesConfig returns what the environment says. Only what routes depend on must be right: the rest may
// be meant for another machine.
func routesConfig() (config.Config, error) {
	found, err := config.Load()
	problems, _ := errors.AsType[config.Problems](err)
	var wrong []error
	for _, p := range problems {
		name := strings.TrimPrefix(p.Variable, config.Prefix)
		if p.Unknown && strings.HasPrefix(name, "SLACK_") || slices.Contains(routeVariables, name) {
			wrong = append(wrong, p)
		}
	}
	return found, errors.Join(wrong...)
}

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
	text, err := config.ReadFile(path, routes.MaxFile)
	if err != nil {
		return routes.Routes{}, err
	}
	return routes.Parse(path, text)
}
