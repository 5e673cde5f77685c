package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher/words"
)

func statusCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "status",
		Short: "Show how the workers are, what is held, late or untold",
		Long: `Show how the installation is, as the worker that answers sees it: how many
workers there are, the accounts that ModelArts is not asked for and why, watches
that are overdue, records that cannot be read, and what people have not been
told. It needs no more than the other commands that ask: orderwatch doctor looks
at more, and needs the worker's environment.

Times are in this machine's zone.

Exit code 0 if a worker answers, however the installation is; 1 if none does, or
NATS is not reached.`,
		Example: `  orderwatch status
  orderwatch status -o json | jq .held_accounts`,
		Args:              exit.NoArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := outputFlag(command)
	command.RunE = func(c *cobra.Command, _ []string) error {
		s, err := openSession(c)
		if err != nil {
			return err
		}
		defer s.close()
		status, err := s.Status(c.Context())
		if err != nil {
			return noStatus(err)
		}
		out := c.OutOrStdout()
		if *format == output.AsJSON {
			return output.JSON(out, status)
		}
		p := show.Page{Now: time.Now(), Width: output.Columns(out), Paint: output.PaintFor(out)}
		_, err = io.WriteString(out, statusText(p, status))
		return err
	}
	return command
}

// noStatus says why it is not known how the installation is.
func noStatus(err error) error {
	if answer, ok := errors.AsType[*wire.ServiceError](err); ok {
		if answer.Code == http.StatusServiceUnavailable {
			return fmt.Errorf("a worker answers, but not how the installation is: %s", output.Clean(answer.Reason))
		}
		return errors.New(output.Clean(answer.Reason))
	}
	if errors.Is(err, client.ErrNoWorker) {
		return fmt.Errorf("no worker answers: %w\nWithout one requests are kept, but nothing is polled. Workers of a release without this command do not answer it", err)
	}
	return unanswered(err)
}

// statusText returns all that a status says, as lines.
func statusText(p show.Page, s wire.Status) string {
	late, unreadable := s.Watches != nil && s.Watches.Overdue+s.Watches.Stuck > 0, s.Watches != nil && s.Watches.Unreadable > 0
	return p.Property("workers", nil, showWorkers(s.Workers)...) +
		p.Property("accounts", colourIf(len(s.Held) > 0, p.Paint.Red), showHeld(p, s.Held)...) +
		p.Property("watches", nil, openWatches(s.Watches)...) +
		p.Property("overdue", colourIf(late, p.Paint.Yellow), lateWatches(s.Watches)...) +
		p.Property("records", colourIf(unreadable, p.Paint.Red), badRecords(s.Watches)...) +
		p.Property("untold", nil, untold(p, s.People)...) +
		p.Property("slack", p.Paint.Yellow, slackTroubles(s.People)...) +
		p.Property("not seen", p.Paint.Yellow, cleaned(s.NotLookedAt)...)
}

// colourIf returns the colour where it is wanted, or else none.
func colourIf(wanted bool, colour func(string) string) func(string) string {
	if wanted {
		return colour
	}
	return nil
}

func showWorkers(w *wire.WorkerCount) []string {
	if w == nil {
		return nil
	}
	var versions []string
	told := 0
	for _, version := range slices.Sorted(maps.Keys(w.Versions)) {
		told += w.Versions[version]
		versions = append(versions, fmt.Sprintf("%d of version %s", w.Versions[version], output.Clean(version)))
	}
	if rest := w.Present - told; rest > 0 {
		versions = append(versions, fmt.Sprintf("%d of an earlier release", rest))
	}
	return []string{fmt.Sprintf("%d: %s", w.Present, strings.Join(versions, ", "))}
}

func showHeld(p show.Page, held []wire.HeldAccount) (lines []string) {
	for _, h := range held {
		what := "region " + output.Clean(h.Region)
		if h.ProjectID != "" {
			what += ", project " + output.Clean(h.ProjectID)
		}
		lines = append(lines, fmt.Sprintf("%s, since %s: %s", what, p.Ago(h.Since, ""), output.Clean(h.Why)))
	}
	if len(held) == 0 {
		return []string{"none is held"}
	}
	return append(lines, "ModelArts is asked again by itself; deadlines still count.")
}

func openWatches(w *wire.WatchCount) []string {
	if w == nil {
		return nil
	}
	text := fmt.Sprintf("%d watched, %d ending", w.Watching, w.Ending)
	if !w.All {
		text += "; there was no time to read all records"
	}
	return []string{text}
}

func lateWatches(w *wire.WatchCount) []string {
	switch {
	case w == nil:
		return nil
	case w.Overdue+w.Stuck == 0:
		return []string{"none"}
	}
	return []string{fmt.Sprintf("%d not polled for more than their interval and a minute; %d ending for over a minute", w.Overdue, w.Stuck)}
}

func badRecords(w *wire.WatchCount) (lines []string) {
	if w == nil {
		return nil
	}
	if w.Unreadable > 0 {
		lines = append(lines, words.Count(w.Unreadable, "record")+" cannot be read")
	}
	if w.Newer > 0 {
		lines = append(lines, words.Count(w.Newer, "record")+" of a later release, which that reads")
	}
	return lines
}

func untold(p show.Page, u *wire.Untold) (lines []string) {
	if u == nil {
		return nil
	}
	switch {
	case u.Waiting == 0:
		lines = append(lines, "nothing waits to be told")
	case u.Since.IsZero():
		lines = append(lines, words.Count(u.Waiting, "event")+" that people are still to be told of")
	default:
		lines = append(lines, words.Count(u.Waiting, "event")+" that people are still to be told of, the first since "+p.Ago(u.Since, ""))
	}
	if u.Undelivered > 0 {
		lines = append(lines, words.Count(u.Undelivered, "message")+" that Slack finally refused: orderwatch events --kind undelivered")
	}
	return lines
}

func slackTroubles(u *wire.Untold) []string {
	if u == nil {
		return nil
	}
	return cleaned(u.Troubles)
}

// cleaned returns texts as they are fit for a terminal.
func cleaned(texts []string) (all []string) {
	for _, text := range texts {
		all = append(all, output.Clean(text))
	}
	return all
}
