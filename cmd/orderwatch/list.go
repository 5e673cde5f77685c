package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

func listCommand() *cobra.Command {
	var l listing
	var live bool
	command := &cobra.Command{
		Use:   "list",
		Short: "Show watches in a table, newest first",
		Long: `Show watches in a table, newest first: how far each order is, when it was
accepted, when its watch ends or ended, when it is polled next, and what is
wrong. orderwatch get tells more of one. Where the output is no terminal, each
order is PROJECT/ORDER, and neither names nor notes are cut.

With --watch the table is refreshed in place, every two seconds, until Ctrl-C.`,
		Example: `  orderwatch list
  orderwatch list --state watching --label env=prod
  orderwatch list --watch --project my-project
  orderwatch list --all -o json | jq -r 'select(.last_error) | .order_name'`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				project, _, _ := strings.Cut(args[0], "/")
				return exit.Usage(c, "%q: list takes no arguments; the watches of one project: orderwatch list --project %s", args[0], output.Clean(project))
			}
			return nil
		},
		SuggestFor: []string{"ls"},
	}
	format := outputFlag(command)
	flags := command.Flags()
	flags.StringVar(&l.state, "state", "", "only watches in this `state`: watching or ended")
	flags.StringVar(&l.project, "project", "", "only watches of the project with this `id`")
	flags.StringVar(&l.label, "label", "", "only watches with a request that has this label, `key=value`")
	flags.IntVar(&l.limit, "limit", defaultLimit, "at most this `number`")
	flags.BoolVar(&l.all, "all", false, "all, however many there are")
	flags.BoolVar(&live, "watch", false, "refresh the table in place; on terminals alone")
	completeFlag(command, "state", string(watcher.Watching), string(watcher.Ended))
	command.RunE = func(c *cobra.Command, _ []string) error {
		if err := l.check(c); err != nil {
			return err
		}
		if live {
			return l.follow(c, *format)
		}
		return l.print(c, *format)
	}
	return command
}

// defaultLimit is how many watches are shown where nobody says.
const defaultLimit = 100

// A listing says which watches are wanted.
type listing struct {
	state, project, label string
	limit                 int
	all                   bool
}

// check refuses what cannot be asked, as wrong usage.
func (l *listing) check(c *cobra.Command) error {
	key, _, isLabel := strings.Cut(l.label, "=")
	switch {
	case l.state != "" && l.state != string(watcher.Watching) && l.state != string(watcher.Ended):
		return exit.Usage(c, "--state: %q must be watching or ended", l.state)
	case l.label != "" && (!isLabel || key == ""):
		return exit.Usage(c, "--label: %q must be key=value, such as env=prod", l.label)
	case l.limit < 1:
		return exit.Usage(c, "--limit: \"%d\" must be at least 1", l.limit)
	case l.all && c.Flags().Changed("limit"):
		return exit.Usage(c, "--all and --limit contradict each other: keep one")
	}
	return nil
}

// maxPage is the most watches that the service answers with at once.
const maxPage = 1000

// A remainder is what a list leaves out.
type remainder struct {
	more       bool // than were wanted
	unreadable int  // records that a later version wrote
}

// brokenRow returns what a list shows of a broken record.
func brokenRow(b wire.BrokenRecord) watcher.Snapshot {
	reason := "broken record: " + b.Reason
	if len(b.Requests) > 0 {
		reason += "; publish again, under a new id: " + strings.Join(b.Requests, ", ")
	}
	row := watcher.Snapshot{State: show.Broken, Report: watcher.Report{
		WatchID: b.WatchID, ProjectID: b.ProjectID, OrderName: b.Name, Reason: reason, AcceptedAt: b.Since,
		Items: []watcher.Item{}, Failures: []watcher.Failure{}, Requests: []watcher.Request{},
	}}
	return row
}

// pages hands out the watches that are wanted, a page at a time, and returns what it left out.
func (l *listing) pages(ctx context.Context, s *session, f func([]watcher.Snapshot) error) (rest remainder, err error) {
	q := wire.ListQuery{State: watcher.State(l.state), ProjectID: l.project, Label: l.label}
	for left := l.limit; l.all || left > 0; {
		q.Limit = maxPage
		if !l.all {
			q.Limit = min(left, maxPage)
		}
		answer, err := s.List(ctx, q)
		if err != nil {
			return rest, err
		}
		var watches []watcher.Snapshot
		for _, b := range answer.Broken {
			watches = append(watches, brokenRow(b))
		}
		watches = append(watches, answer.Watches...)
		if err := f(watches); err != nil {
			return rest, err
		}
		left -= len(answer.Watches)
		rest.unreadable += answer.Unreadable
		if q.Cursor = answer.Cursor; q.Cursor == "" {
			return rest, nil
		}
	}
	rest.more = true
	return rest, nil
}

// listRefusal says why a list was not had.
func listRefusal(c *cobra.Command, err error) error {
	answer, ok := errors.AsType[*wire.ServiceError](err)
	switch {
	case ok && answer.Field != "":
		return exit.Usage(c, "%s", output.Clean(answer.Reason))
	case ok:
		return errors.New(output.Clean(answer.Reason))
	}
	return unanswered(err)
}

// print writes the watches once.
func (l *listing) print(c *cobra.Command, format output.Format) error {
	s, err := openSession(c)
	if err != nil {
		return err
	}
	defer s.close()
	out := c.OutOrStdout()
	var all []watcher.Snapshot
	rest, err := l.pages(c.Context(), s, func(page []watcher.Snapshot) error {
		if format != output.AsJSON {
			all = append(all, page...)
			return nil
		}
		for _, w := range page {
			if err := output.JSON(out, w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return listRefusal(c, err)
	}
	if format != output.AsJSON {
		columns, _ := output.Size(out)
		table := show.Table{Now: time.Now(), Width: columns, Paint: output.PaintFor(out)}
		if _, err := io.WriteString(out, table.Watches(all)); err != nil {
			return err
		}
	}
	if rest.more {
		fmt.Fprintf(c.ErrOrStderr(), "These are the newest %d; there are more: --all, or --limit NUMBER.\n", l.limit)
	}
	if rest.unreadable > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "Not shown: %s that a later version of orderwatch wrote; use that version.\n", words.Count(rest.unreadable, "record"))
	}
	return nil
}
