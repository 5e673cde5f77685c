package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/doctor"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
)

func doctorCommand() *cobra.Command {
	command := newCommand("doctor", exit.NoArguments)
	order := command.Flags().String("order", "", "ask ModelArts for this order, `PROJECT/ORDER`")
	every := command.Flags().Bool("all", false, "also list one by one what is as it must be")
	format := outputFlag(command)
	command.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := config.LoadServe()
		settings.Version = programVersion()
		d := doctor.Doctor{Config: settings, All: *every}
		d.Problems, _ = errors.AsType[config.Problems](err)
		if *order != "" {
			if d.Order, err = parseOrder(c, settings, *order); err != nil {
				return err
			}
		}
		return d.Run(c.Context(), c.OutOrStdout(), *format)
	}
	return command
}
