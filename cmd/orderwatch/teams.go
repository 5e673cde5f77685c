package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

func teamsCommand() *cobra.Command {
	command := newCommand("teams", knownCommand)
	command.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	command.SuggestionsMinimumDistance = 2
	command.AddCommand(teamsTestCommand())
	return command
}

func teamsTestCommand() *cobra.Command {
	command := newCommand("teams-test", arguments(1, 2, "name a team or a subject, and perhaps a project"))
	command.ValidArgsFunction = cobra.NoFileCompletions
	outputFlag(command)
	path := command.Flags().String("file", "", "`path` of the teams file (default ORDERWATCH_TEAMS_FILE)")
	command.RunE = func(c *cobra.Command, args []string) error {
		environment, err := environmentFor([]string{"SUBJECT_PREFIX", "SERVICE_PREFIX"}, "TEAMS_")
		if err != nil {
			return err
		}
		team, project, err := whoAndWhat(c, serve.Names(environment), args)
		if err != nil {
			return err
		}
		read, err := readTeams(c, cmp.Or(*path, environment.Watch.TeamsFile))
		if err != nil {
			return err
		}
		ruling := read.Rule(team, project)
		return printed(c, ruling, func(p show.Page) string { return rulingText(p, ruling) })
	}
	return command
}

// environmentFor returns what the environment says. Only these variables, and names of none that begin like this, must be
// right: the rest may be meant for another machine.
func environmentFor(names []string, prefix string) (config.Config, error) {
	found, err := config.Load()
	problems, _ := errors.AsType[config.Problems](err)
	var wrong []error
	for _, p := range problems {
		if name := strings.TrimPrefix(p.Variable, config.Prefix); p.Unknown && strings.HasPrefix(name, prefix) || slices.Contains(names, name) {
			wrong = append(wrong, p)
		}
	}
	return found, errors.Join(wrong...)
}

// whoAndWhat reads a team, or a subject of which it is the last token, and a project.
func whoAndWhat(c *cobra.Command, names wire.Names, args []string) (team, project string, err error) {
	team = args[0]
	if strings.Contains(team, ".") {
		isWatch := team == names.Watch() || strings.HasPrefix(team, names.Watch()+".")
		if !isWatch && !strings.HasPrefix(team, names.Service+".") {
			return "", "", exit.Usage(c, "%q is no subject of requests: those begin with %s or %s.", output.Shorten(team, 60), names.Watch(), names.Service)
		}
		team = names.TeamOf(team)
	} else if team == "" {
		return "", "", exit.Usage(c, "an empty text names no team; the operator's requests come on %s", names.Watch())
	}
	if err := wire.CheckTeam(team); err != nil {
		return "", "", exit.Usage(c, "%q is no team's name: those are 1 to 64 of A-Z a-z 0-9 _ -", output.Shorten(team, 60))
	}
	if len(args) > 1 {
		project = args[1]
		if err := (watcher.Order{ProjectID: project, Name: "any"}).Validate(); err != nil {
			return "", "", exit.Usage(c, "%q is no project's id: those are 1 to 64 of A-Z a-z 0-9 -", output.Shorten(project, 60))
		}
	}
	return team, project, nil
}

// readTeams reads the file of teams.
func readTeams(c *cobra.Command, path string) (teams.Teams, error) {
	if path == "" {
		return teams.Teams{}, exit.Usage(c, "which file? Name it with --file PATH, or set ORDERWATCH_TEAMS_FILE; without a file everybody may all")
	}
	text, err := config.ReadRules(path)
	if err != nil {
		return teams.Teams{}, err
	}
	return teams.Parse(path, text)
}

// rulingText says a ruling to people.
func rulingText(p show.Page, r teams.Ruling) string {
	head, may := cmp.Or(r.Team, "the operator"), "allowed"
	if r.ProjectID != "" {
		head += " and " + r.ProjectID
	}
	if !r.Allowed {
		may = p.Paint.Red("refused")
	}
	text := p.Paint.Bold(output.Clean(head)) + "\n\n" + p.Property("ruling", nil, may) + p.Property("why", nil, output.Clean(r.Reason))
	if r.Line == 0 {
		return text
	}
	channels := "its requests may name none: they are told where the routes say"
	if len(r.Channels) > 0 {
		channels = "its requests may name " + strings.Join(r.Channels, ", ")
	}
	var limits []string
	if r.OpenWatches > 0 {
		limits = append(limits, fmt.Sprintf("%d open watches", r.OpenWatches))
	}
	if r.Timeout != "" {
		limits = append(limits, "a timeout of "+r.Timeout+" at most")
	}
	if r.RequestsPerMinute > 0 {
		limits = append(limits, fmt.Sprintf("%d requests a minute, over all workers", r.RequestsPerMinute))
	}
	return text + p.Property("projects", nil, strings.Join(r.Projects, ", ")) + p.Property("channels", nil, channels) +
		p.Property("limits", nil, cmp.Or(strings.Join(limits, "; "), "none of its own"))
}
