package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/demo"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
)

func demoCommand() *cobra.Command {
	command := newCommand("demo", exit.NoArguments)
	keep := command.Flags().Bool("keep", false, "go on afterwards, and print how to publish a request")
	verbose := command.Flags().Bool("verbose", false, "show the worker's log on stderr")
	command.RunE = func(c *cobra.Command, _ []string) error {
		log := slog.New(slog.DiscardHandler)
		if *verbose {
			log = serve.NewLogger(config.Log{Level: slog.LevelInfo, Format: "text"}, c.ErrOrStderr())
		}
		return demo.Run(c.Context(), log, c.OutOrStdout(), programVersion(), *keep)
	}
	return command
}
