package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/list"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

func listCommand() *cobra.Command {
	command := newCommand("list", noProject)
	command.SuggestFor = []string{"ls"}
	format := outputFlag(command)
	flags := command.Flags()
	var choice list.Choice
	flags.StringVar((*string)(&choice.State), "state", "", "only watches in this `state`: watching or ended")
	flags.StringVar(&choice.ProjectID, "project", "", "only watches of the project with this `id`")
	flags.StringVar(&choice.Label, "label", "", "only watches with a request that has this label, `key=value`")
	flags.StringVar(&choice.Team, "team", "", "only watches with a request of this team, by its `name`")
	flags.StringVar(&choice.RequestID, "request-id", "", "only watches that answer the request with this `id`")
	flags.StringSliceVar(&choice.Outcomes, "outcome", nil, "only watches that ended with this `outcome`; several with commas: "+strings.Join(outcomeNames(), ", "))
	since := flags.String("since", "", "leave out what had ended before this `time`: 2h for two hours ago, or 2025-04-10T12:00:00Z")
	flags.IntVar(&choice.Limit, "limit", 100, "at most this `number`")
	flags.BoolVar(&choice.All, "all", false, "all, however many there are")
	live := flags.Bool("watch", false, "refresh the table in place; on terminals alone")
	completeFlag(command, "state", string(watcher.Watching), string(watcher.Ended))
	completeFlag(command, "outcome", outcomeNames()...)
	command.RunE = func(c *cobra.Command, _ []string) (err error) {
		if choice.Since, err = readSince(*since, time.Now()); err != nil {
			return exit.Usage(c, "%w", err)
		}
		if err := checkChoice(c, choice, *live, *format); err != nil {
			return err
		}
		s, err := openSession(c)
		if err != nil {
			return err
		}
		defer s.close()
		if *live {
			err = choice.Follow(c.Context(), s.Client, c.OutOrStdout())
		} else {
			err = choice.Print(c.Context(), s.Client, *format, c.OutOrStdout(), c.ErrOrStderr())
		}
		return refusal(c, "", err, nil)
	}
	return command
}

// noProject refuses arguments, which may be meant for the project of the watches, as wrong usage.
func noProject(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	project, _, _ := strings.Cut(args[0], "/")
	return exit.Usage(c, "%q: list takes no arguments; the watches of one project: orderwatch list --project %s", args[0], output.Clean(project))
}

// checkChoice refuses what cannot be asked, or cannot be refreshed in place, as wrong usage.
func checkChoice(c *cobra.Command, choice list.Choice, live bool, format output.Format) error {
	key, _, isLabel := strings.Cut(choice.Label, "=")
	columns, _ := output.Size(c.OutOrStdout())
	wrong := slices.IndexFunc(choice.Outcomes, func(o string) bool { return !slices.Contains(outcomeNames(), o) })
	switch {
	case wrong >= 0:
		return exit.Usage(c, "--outcome %q: the outcomes are %s", choice.Outcomes[wrong], strings.Join(outcomeNames(), ", "))
	case choice.State == watcher.Watching && len(choice.Outcomes) > 0:
		return exit.Usage(c, "--outcome is of watches that have ended: leave out --state watching")
	case choice.State != "" && choice.State != watcher.Watching && choice.State != watcher.Ended:
		return exit.Usage(c, "--state: %q must be watching or ended", choice.State)
	case choice.Label != "" && (!isLabel || key == ""):
		return exit.Usage(c, "--label: %q must be key=value, such as env=prod", choice.Label)
	case wire.CheckTeam(choice.Team) != nil:
		return exit.Usage(c, "--team: %q must be a team's name: 1 to 64 of A-Z a-z 0-9 _ -", output.Shorten(choice.Team, 60))
	case choice.Limit < 1:
		return exit.Usage(c, "--limit: \"%d\" must be at least 1", choice.Limit)
	case choice.All && c.Flags().Changed("limit"):
		return exit.Usage(c, "--all and --limit contradict each other: keep one")
	case live && format == output.AsJSON:
		return exit.Usage(c, "--watch draws a table: leave -o json out, or follow orderwatch events -o json")
	case live && columns == 0:
		return exit.Usage(c, "--watch needs a terminal: leave it out, or follow orderwatch events")
	}
	return nil
}
