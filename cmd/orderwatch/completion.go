package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

func completionCommand() *cobra.Command {
	command := newCommand("completion", nil)
	command.ValidArgs = []string{"bash", "zsh", "fish"}
	command.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 || !slices.Contains(c.ValidArgs, args[0]) {
			return exit.Usage(c, "name one shell: %s", strings.Join(c.ValidArgs, ", "))
		}
		return nil
	}
	command.RunE = func(c *cobra.Command, args []string) error {
		switch root, out := c.Root(), c.OutOrStdout(); args[0] {
		case "bash":
			return root.GenBashCompletionV2(out, true)
		case "zsh":
			return root.GenZshCompletion(out)
		default:
			return root.GenFishCompletion(out, true)
		}
	}
	return command
}

// completionTime is how long a shell waits for the names of orders.
const completionTime = time.Second

// maxOrders is more than anybody names on a command line.
const maxOrders = 1000

// completeOrders completes the names of at most so many orders: those that are watched, and, where
// state is empty, those that were. A shell is not kept waiting, and told of no error.
func completeOrders(state watcher.State, most int) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found := make(chan []cobra.Completion, 1)
		go func() { found <- knownOrders(c, state, args, begun) }() // the process ends soon, and it with it
		var orders []cobra.Completion
		select {
		case orders = <-found:
		case <-time.After(completionTime):
		}
		return orders, cobra.ShellCompDirectiveNoFileComp
	}
}

// knownOrders returns the newest orders that begin so and are not named yet, with how far each is.
func knownOrders(c *cobra.Command, state watcher.State, named []string, begun string) (orders []cobra.Completion) {
	s, err := openSession(c)
	if err != nil {
		return nil
	}
	defer s.close()
	answer, err := s.List(c.Context(), wire.ListQuery{State: state})
	if err != nil {
		return nil
	}
	for _, w := range answer.Watches {
		order := w.Order()
		name := order.String()
		if order.ProjectID == s.config.ModelArts.ProjectID && !strings.Contains(begun, "/") {
			name = order.Name // the project goes without saying
		}
		if strings.HasPrefix(name, begun) && !slices.Contains(named, name) {
			orders = append(orders, cobra.CompletionWithDesc(name, output.Clean(show.State(w)+": "+w.Reason)))
		}
	}
	return orders
}
