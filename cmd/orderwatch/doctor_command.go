package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/doctor"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
)

func doctorCommand() *cobra.Command {
	var order string
	var every bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check NATS, ModelArts, Slack and the watches, and say what to do",
		Long: `Check all that a worker needs, and say what is wrong and what to do: the
environment, NATS and what the worker's user may do there, streams and
consumers, watches that are late, the other workers, the login to ModelArts,
clocks, and Slack. Run it with the worker's environment, best beside it. It
takes 30 s at most, and changes nothing: it posts nothing, and what it sends
to try permissions is refused by NATS.

ModelArts is asked once for each region, for an order that does not exist or
for the one of --order, unless workers hold the account. Each try with a wrong
key or password counts towards its lock.

With -o json each finding is an object: check (what was looked at), about
(which one), level (ok, note, warning or problem), found, wanted, do.

What could not be looked at is marked ?, and counted by itself. A login that is
no worker's sees little: orderwatch status is for people.

Exit code 0: no problem was found; 1: there is a problem, marked ✗; 2: wrong
usage.`,
		Example: `  orderwatch doctor
  orderwatch doctor --order my-project/order.pool-5ed5-w4l2n
  orderwatch doctor -o json | jq -r 'select(.level == "problem") | .found'`,
		Args: exit.NoArguments,
	}
	c.Flags().StringVar(&order, "order", "", "ask ModelArts for this order, `PROJECT/ORDER`")
	c.Flags().BoolVar(&every, "all", false, "also list one by one what is as it must be")
	format := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := config.LoadServe()
		settings.Version = programVersion()
		d := doctor.Doctor{Config: settings, All: every}
		d.Problems, _ = errors.AsType[config.Problems](err)
		if order != "" {
			if d.Order, err = parseOrder(c, settings, order); err != nil {
				return err
			}
		}
		return d.Run(c.Context(), c.OutOrStdout(), *format)
	}
	return c
}
