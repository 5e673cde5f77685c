package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

func emulatorCommand() *cobra.Command {
	var addr string
	command := &cobra.Command{
		Use:   "emulator",
		Short: "Run a stand-in for the ModelArts order API (no production server)",
		Long: `Run a stand-in for the ModelArts order API, in memory. It is no production
server: it takes any token and forgets everything when it ends.

An order's name says its fate, which begins at the first poll:
  order.succeed-…  a pool, then three nodes after 5 s; all succeed after 20 s
  order.partial-…  the same; one node fails
  order.fail-…     the same; everything fails
  order.never-…    the same; one node never ends
  order.slow-…     a pool, then three nodes after 435 s; all succeed after 686 s
  order.late-…     404 for 10 s, then as succeed
  order.empty-…    no item ever
  order.missing-…  404 for ever; so is every other name

Point a worker at it with ORDERWATCH_MODELARTS_ENDPOINT.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			s, at, err := listenHTTP(addr, emulator.New(emulator.Options{AutoOrders: true}))
			if err != nil {
				return fmt.Errorf("start the emulator: %w", err)
			}
			defer s.Close()
			fmt.Fprintf(c.OutOrStdout(), "ModelArts emulator (no production server) on http://%s\n", at)
			<-c.Context().Done()
			return nil
		},
	}
	command.Flags().StringVar(&addr, "addr", "127.0.0.1:9090", "host:port to listen on")
	return command
}
