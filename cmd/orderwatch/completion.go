package main

import (
	"io"
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

// A shell is one that command lines can be completed in.
type shell struct {
	name  string
	write func(root *cobra.Command, w io.Writer) error
}

var shells = [...]shell{
	{"bash", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
	{"zsh", (*cobra.Command).GenZshCompletion},
	{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
}

func completionCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print what lets a shell complete commands, flags and orders",
		Long: `Print a script that lets a shell complete command lines with the Tab key:
commands, flags, and, for get, cancel and poll, the orders that are known, where
NATS answers within a second.

bash needs the package bash-completion; zsh needs compinit in ~/.zshrc. The
examples install it for the user; begin a new shell afterwards.`,
		Example: `  dir=~/.local/share/bash-completion/completions
  mkdir -p $dir && orderwatch completion bash > $dir/orderwatch

  orderwatch completion zsh > "${fpath[1]}/_orderwatch"

  orderwatch completion fish > ~/.config/fish/completions/orderwatch.fish`,
	}
	var names []string
	for _, s := range shells {
		names = append(names, s.name)
	}
	command.ValidArgs = names
	command.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 || !slices.Contains(names, args[0]) {
			return exit.Usage(c, "name one shell: %s", strings.Join(names, ", "))
		}
		return nil
	}
	command.RunE = func(c *cobra.Command, args []string) error {
		return shells[slices.Index(names, args[0])].write(c.Root(), c.OutOrStdout())
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
		select {
		case orders := <-found:
			return orders, cobra.ShellCompDirectiveNoFileComp
		case <-time.After(completionTime):
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
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
