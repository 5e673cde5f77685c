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
	var keep, verbose bool
	command := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole way of nine requests, with nothing set up",
		Long: `Run everything in this process: NATS, a stand-in for ModelArts, a stand-in for
Slack, and a worker. Publish nine requests with different fates and show what
becomes of them, within 30 s. Exit code 0 only if all came out as scripted.`,
		Example: `  orderwatch demo
  orderwatch demo --keep --verbose`,
		Args: exit.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = serve.NewLogger(config.Log{Level: slog.LevelInfo, Format: "text"}, c.ErrOrStderr())
			}
			return demo.Run(c.Context(), log, c.OutOrStdout(), programVersion(), keep)
		},
	}
	command.Flags().BoolVar(&keep, "keep", false, "go on afterwards, and print how to publish a request")
	command.Flags().BoolVar(&verbose, "verbose", false, "show the worker's log on stderr")
	return command
}
