package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/ask"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/find"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

func watchCommand() *cobra.Command {
	command := newCommand("watch", someOrders)
	command.SuggestFor = []string{"wait"}
	format := outputFlag(command)
	flags := command.Flags()
	var all wire.WatchRequest // what the requests have in common
	wait := flags.Bool("wait", false, "follow the orders until all have ended")
	flags.StringVar(&all.Region, "region", "", "`region` of the orders (default the first that the worker is configured for)")
	flags.StringVar(&all.RequestID, "request-id", "", "your own `id` of the request, which the completion event names; the same id for the same order is the same request; of one order alone (default one is made up)")
	flags.StringVar(&all.RequestedBy, "requested-by", "", "`person` or pipeline, shown to people (default your login name)")
	flags.StringVar(&all.Link, "link", "", "http or https `URL`, shown to people")
	labels := flags.StringArray("label", nil, "`key=value`, handed back in the completion event; may be repeated")
	flags.IntVar(&all.ExpectedItems, "expected-items", 0, "`number` of items before which an order has not ended, 1 to 10000")
	flags.StringVar(&all.Timeout, "timeout", "", "`duration` from 1s, such as 90m, after which a watch ends (default as the worker is configured)")
	flags.StringVar(&all.LateAfter, "late-after", "", "`duration` from 1s, such as 30m, after which people are told that the order is late; the watch goes on (default what is usual, see LATE_BY_USUAL)")
	flags.StringVar(&all.SlackChannel, "slack-channel", "", "`ID` of a channel to tell instead of the default one")
	command.RunE = func(c *cobra.Command, args []string) error {
		config, err := config.Load()
		if err != nil {
			return err
		}
		all.Progress = *wait
		if !flags.Changed("requested-by") {
			all.RequestedBy = userName()
		}
		if all.Labels, err = readLabels(*labels); err != nil {
			return exit.Usage(c, "--label %w", err)
		}
		var s *session
		if slices.ContainsFunc(args, func(arg string) bool { return isPasted(config, arg) }) {
			if s, err = connect(c, config); err != nil {
				return err
			}
			defer s.close()
		}
		orders, err := wantedOrders(c, config, s, args)
		if err != nil {
			return err
		}
		requests, err := watchRequests(c, all, orders)
		if err != nil {
			return err
		}
		warnOfBilling(c.ErrOrStderr(), requests)
		if s == nil {
			if s, err = connect(c, config); err != nil {
				return err
			}
			defer s.close()
		}
		options := s.options(c, *format)
		options.Requests, options.Chosen = requests, flags.Changed("request-id")
		if *wait {
			return ask.Wait(c.Context(), options)
		}
		return ask.Store(c.Context(), options)
	}
	return command
}

// readLabels reads texts of the form key=value.
func readLabels(texts []string) (map[string]string, error) {
	labels := make(map[string]string)
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%q: write it as key=value", text)
		}
		if _, twice := labels[key]; twice {
			return nil, fmt.Errorf("%q: this key comes twice", text)
		}
		labels[key] = value
	}
	return labels, nil
}

// isPasted reports whether the argument names no project, and none is configured, or is a watch's id: then an order is
// meant that was watched before. Otherwise one may be meant that nobody knows yet.
func isPasted(config config.Config, arg string) bool {
	return find.IsWatchID(arg) || config.ModelArts.ProjectID == "" && !strings.Contains(arg, "/")
}

// wantedOrders returns the orders that are named, those that were watched before with their regions. s may be nil where none
// of them is pasted.
func wantedOrders(c *cobra.Command, config config.Config, s *session, args []string) (orders []find.Found, err error) {
	for _, arg := range args {
		var found find.Found
		if isPasted(config, arg) {
			found, err = s.find(c, arg)
		} else {
			found.Order, err = parseOrder(c, config, arg)
		}
		if err != nil {
			return nil, err
		}
		orders = append(orders, found)
	}
	return orders, nil
}

// watchRequests returns a request for each of the orders. One that is there twice counts once.
func watchRequests(c *cobra.Command, all wire.WatchRequest, orders []find.Found) (requests []wire.WatchRequest, err error) {
	for _, o := range orders {
		r := all
		r.Order, r.Region = o.Order, cmp.Or(all.Region, o.Region)
		if slices.ContainsFunc(requests, func(other wire.WatchRequest) bool { return other.Order == r.Order }) {
			continue
		}
		if r.RequestID == "" {
			r.RequestID = "req-" + nuid.Next()
		}
		requests = append(requests, r)
	}
	if all.RequestID != "" && len(requests) > 1 {
		return nil, exit.Usage(c, "--request-id names one request: name one order, or leave it out")
	}
	if c.Flags().Changed("expected-items") && all.ExpectedItems == 0 {
		return nil, exit.Usage(c, "--expected-items: \"0\" must be a whole number from 1 to 10000")
	}
	for _, r := range requests {
		if err := r.Check(); err != nil {
			return nil, exit.Usage(c, "%w", flagError(c, err))
		}
	}
	return requests, nil
}

// billingID is what the ids of the billing look like, which people take for an order's name: the day and minute of the order,
// and what tells it from others.
var billingID = regexp.MustCompile(`^CS[0-9]{10}[0-9A-Z]*$`)

// warnOfBilling says which orders have names that look like something else.
func warnOfBilling(w io.Writer, requests []wire.WatchRequest) {
	for _, r := range requests {
		if billingID.MatchString(r.Name) {
			fmt.Fprintf(w, "orderwatch: %s looks like a billing order id; ModelArts knows an order by its orderName\n", r.Name)
		}
	}
}

// flagError says of an error in a request's field which flag is wrong.
func flagError(c *cobra.Command, err error) error {
	field, ok := errors.AsType[*watcher.FieldError](err)
	if !ok {
		return err
	}
	flag := strings.ReplaceAll(field.Field, "_", "-")
	if strings.HasPrefix(flag, "labels") {
		flag = "label"
	}
	why := field.Reason
	if flag == "timeout" || flag == "late-after" {
		why = "must be a duration of 1s or more, such as 90m" // the maximum is the worker's
	}
	if f := c.Flags().Lookup(flag); f != nil && f.Changed && flag != "label" {
		return fmt.Errorf("--%s: %q %s", flag, output.Shorten(f.Value.String(), 60), why)
	}
	return fmt.Errorf("--%s: %s", flag, why)
}
