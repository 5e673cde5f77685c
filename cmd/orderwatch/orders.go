package main

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/find"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/client"
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
	names := map[string]string{"order_name": "the order's name ", "project_id": "the project's id "}
	if field, ok := errors.AsType[*watcher.FieldError](err); ok && names[field.Field] != "" {
		return errors.New(names[field.Field] + field.Reason)
	}
	return err
}

// arguments refuses fewer or more arguments as wrong usage; what says what to name.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return exit.Usage(c, "%s: %s", what, c.UseLine())
		}
		return nil
	}
}

// someOrders refuses no arguments as wrong usage.
var someOrders = arguments(1, math.MaxInt, "no order is named")

// oneOrder refuses anything but one argument as wrong usage.
func oneOrder(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return exit.Usage(c, "%d orders are named; name one: %s", len(args), c.UseLine())
	}
	return someOrders(c, args)
}

// refusal says why a call of the service did not work; nil where it did. about names the order or the watch, if the
// call is about one. advice says, by the code of the answer, what to do.
func refusal(c *cobra.Command, about string, err error, advice map[int]string) error {
	answer, ok := errors.AsType[*wire.ServiceError](err)
	if !ok {
		return exit.Unanswered(err)
	}
	text := output.Times(output.Clean(answer.Reason), time.Now())
	if about != "" {
		text = about + ": " + text
	}
	if answer.Code == http.StatusBadRequest {
		return exit.Usage(c, "%s", text)
	}
	if do := advice[answer.Code]; do != "" {
		text += "\n" + do
	}
	return errors.New(text)
}

// checkNamed refuses as wrong usage what can be neither an order nor an id: PROJECT/ORDER with a part that is wrong. With more
// slashes it may be the id of a request.
func checkNamed(c *cobra.Command, config config.Config, args []string) error {
	for _, text := range args {
		if strings.Count(text, "/") != 1 {
			continue
		}
		if _, err := parseOrder(c, config, text); err != nil {
			return err
		}
	}
	return nil
}

// find returns the order that an argument names: PROJECT/ORDER, ORDER alone, or the id of a watch or of a request.
func (s *session) find(c *cobra.Command, text string) (find.Found, error) {
	order, wrong := parseOrder(c, s.config, text)
	byID := find.IsWatchID(text)
	if !byID && wrong == nil {
		_, err := s.Get(c.Context(), order)
		if answer, ok := errors.AsType[*wire.ServiceError](err); !ok || answer.Code != http.StatusNotFound {
			return find.Found{Order: order}, nil // the call that follows says what is wrong
		}
	}
	found, err := find.Order(c.Context(), s.Client, text)
	_, denied := errors.AsType[*client.DeniedError](err)
	unheard := denied || errors.Is(err, client.ErrNoWorker)
	unknown := errors.Is(err, find.ErrUnknown)
	switch {
	case err == nil, errors.Is(err, find.ErrSeveral):
		return found, err
	case byID && unknown:
		id := output.Clean(text)
		return found, fmt.Errorf("%s: no order's latest watch has this id\nWhat is kept of an earlier one: orderwatch events %s", id, id)
	case !byID && wrong == nil:
		return find.Found{Order: order, Unknown: unknown}, nil
	case !byID && unknown:
		return found, exit.Usage(c, "%w, and %w\nWhether such a request was rejected: orderwatch events %s", wrong, err, output.Clean(text))
	case !byID && unheard:
		return found, wrong
	}
	return found, refusal(c, "", err, nil)
}

// orderRefusal says why a call about the order that text names did not work, and what to do.
func orderRefusal(c *cobra.Command, text string, found find.Found, err error) error {
	name := found.Order.String()
	answer, answered := errors.AsType[*wire.ServiceError](err)
	switch {
	case answered && answer.Code == http.StatusConflict:
		return fmt.Errorf("%s: its watch has ended already; orderwatch get %s says how", name, name)
	case answered && answer.Code == http.StatusNotFound && found.Unknown && text == found.Name:
		return fmt.Errorf("no order, request or watch is known as %s in project %s: nobody asked to watch it, or its record is no longer kept\n"+
			"Check the name (orderwatch list), or have the order watched: orderwatch watch %s\n"+
			"Whether a request of this id was rejected: orderwatch events %s", text, found.ProjectID, name, text)
	}
	return refusal(c, name, err, map[int]string{
		http.StatusNotFound: "Check the name (orderwatch list), or have it watched: orderwatch watch " + name,
		http.StatusGone:     "Who asked, as far as events name it: orderwatch events " + name + ". To watch it again: orderwatch watch " + name,
	})
}
