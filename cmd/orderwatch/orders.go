package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// parseOrder reads PROJECT/ORDER, or ORDER alone where the project is configured.
func parseOrder(c *cobra.Command, config config.Config, text string) (watcher.Order, error) {
	project, name, ok := strings.Cut(text, "/")
	if !ok {
		project, name = config.ModelArts.ProjectID, text
	}
	if project == "" {
		return watcher.Order{}, exit.Usage(c, "%q names no project: write PROJECT/ORDER, or set ORDERWATCH_MODELARTS_PROJECT_ID", text)
	}
	order := watcher.Order{ProjectID: project, Name: name}
	if err := order.Validate(); err != nil {
		return watcher.Order{}, exit.Usage(c, "%q is no order: %w", text, orderError(err))
	}
	return order, nil
}

// orderError says of an error in an order's name or its project what people call it.
func orderError(err error) error {
	field, ok := errors.AsType[*watcher.FieldError](err)
	switch {
	case ok && field.Field == "order_name":
		return errors.New("the order's name " + field.Reason)
	case ok && field.Field == "project_id":
		return errors.New("the project's id " + field.Reason)
	}
	return err
}

// parseOrders reads each PROJECT/ORDER.
func parseOrders(c *cobra.Command, config config.Config, texts []string) (orders []watcher.Order, err error) {
	for _, text := range texts {
		order, err := parseOrder(c, config, text)
		if err != nil {
			return nil, err
		}
		orders = append(orders, order)
	}
	return orders, nil
}

// oneOrder refuses anything but one argument as wrong usage.
func oneOrder(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return exit.Usage(c, "%d orders are named; name one: %s", len(args), c.UseLine())
	}
	return someOrders(c, args)
}

// someOrders refuses no arguments as wrong usage.
func someOrders(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return exit.Usage(c, "no order is named: %s", c.UseLine())
	}
	return nil
}

// refusal says why a call about an order did not work, and what to do.
func refusal(c *cobra.Command, order watcher.Order, err error) error {
	answer, ok := errors.AsType[*wire.ServiceError](err)
	switch {
	case ok && answer.Code == http.StatusNotFound:
		return fmt.Errorf("%s: %s\nCheck the name (orderwatch list), or have it watched: orderwatch watch %s", order, output.Clean(answer.Reason), order)
	case ok && answer.Code == http.StatusGone:
		return fmt.Errorf("%s: %s\nWho asked, as far as events name it: orderwatch events %s. To watch it again: orderwatch watch %s", order, output.Clean(answer.Reason), order, order)
	case ok && answer.Code == http.StatusConflict:
		return fmt.Errorf("%s: its watch has ended already; orderwatch get %s says how", order, order)
	case ok && answer.Code == http.StatusBadRequest:
		return exit.Usage(c, "%s: %s", order, output.Clean(answer.Reason))
	case ok:
		return fmt.Errorf("%s: %s", order, output.Clean(answer.Reason))
	}
	return exit.Unanswered(err)
}
