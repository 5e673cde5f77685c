package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/ask"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/find"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

var eventKinds = []string{ask.Completed, ask.Progress, ask.Rejected, ask.Attention, ask.Undelivered}

func eventsCommand() *cobra.Command {
	command := newCommand("events", func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return exit.Usage(c, "%d arguments; name one watch, one PROJECT or one PROJECT/ORDER", len(args))
		}
		return nil
	})
	command.ValidArgsFunction = completeOrders("", 1)
	format := outputFlag(command)
	flags := command.Flags()
	var choice eventChoice
	follow := flags.BoolP("follow", "f", false, "go on, and print events as they come")
	since := flags.String("since", "", "only what was stored after this `time`: 2h for two hours ago, or 2025-04-10T12:00:00Z")
	flags.StringSliceVar(&choice.outcomes, "outcome", nil, "only completions with this `outcome`; several with commas: "+strings.Join(outcomeNames(), ", "))
	flags.StringSliceVar(&choice.kinds, "kind", nil, "only this `kind`; several with commas: "+strings.Join(eventKinds, ", "))
	completeFlag(command, "outcome", outcomeNames()...)
	completeFlag(command, "kind", eventKinds...)
	command.RunE = func(c *cobra.Command, args []string) error {
		config, err := config.Load()
		if err != nil {
			return err
		}
		if err := choice.read(c, config, args); err != nil {
			return err
		}
		from, err := readSince(*since, time.Now())
		if err != nil {
			return exit.Usage(c, "%w", err)
		}
		s, err := connect(c, config)
		if err != nil {
			return err
		}
		defer s.close()
		if err := choice.find(c, s); err != nil {
			return err
		}
		if began, err := wire.StartedAt(choice.about.Watch); err == nil && from.IsZero() && !*follow {
			from = began.Add(-time.Minute) // by the server's clock
		}
		filter := client.Filter{Subjects: choice.subjects(s.Client), Since: from, New: *follow && *since == "", Stop: !*follow}
		return ask.Events(c.Context(), s.options(c, *format), filter, choice.project, choice.about)
	}
	return command
}

// An eventChoice says which events are wanted.
type eventChoice struct {
	kinds, outcomes []string
	project, order  string // empty for all
	pasted          string // what may be the id of a request, an order's name or a project: the service is asked
	about           ask.About
}

// read reads the argument and checks the choice.
func (e *eventChoice) read(c *cobra.Command, config config.Config, args []string) error {
	if len(args) == 1 {
		if err := e.readArgument(config, args[0]); err != nil {
			return exit.Usage(c, "%w", err)
		}
	}
	for _, o := range e.outcomes {
		if !slices.Contains(watcher.Outcomes[:], watcher.Outcome(o)) {
			return exit.Usage(c, "--outcome %q: the outcomes are %s", o, strings.Join(outcomeNames(), ", "))
		}
	}
	for _, k := range e.kinds {
		if !slices.Contains(eventKinds, k) {
			return exit.Usage(c, "--kind %q: the kinds are %s", k, strings.Join(eventKinds, ", "))
		}
	}
	if e.pasted == "" {
		return e.choose(c)
	}
	return nil
}

// find finds out what was pasted: a project that has watches, an order, or the id of a request that one answers. Where it is
// none of these, it is taken for the id of a request, and for a project; where nobody says, for a project.
func (e *eventChoice) find(c *cobra.Command, s *session) error {
	if e.pasted == "" {
		return nil
	}
	text := e.pasted
	for _, state := range []watcher.State{watcher.Watching, ""} { // those that go on are found at once
		answer, err := s.List(c.Context(), wire.ListQuery{ProjectID: text, State: state, Limit: 1})
		if err != nil {
			break
		}
		if len(answer.Watches) > 0 {
			e.project = text
			return e.choose(c)
		}
	}
	found, err := find.Order(c.Context(), s.Client, text)
	_, denied := errors.AsType[*client.DeniedError](err)
	answer, isAnswer := errors.AsType[*wire.ServiceError](err)
	unread := isAnswer && answer.Code == http.StatusServiceUnavailable // there are too many ended watches to look through
	unanswered := denied || unread || errors.Is(err, client.ErrNoWorker) || errors.Is(err, context.DeadlineExceeded)
	isProject := watcher.Order{ProjectID: text, Name: "any"}.Validate() == nil
	switch {
	case errors.Is(err, find.ErrSeveral):
		return err
	case err == nil:
		e.project, e.order = found.ProjectID, found.Name
		if found.Request {
			e.about.Watch = found.WatchID
		}
	case unanswered && isProject:
		e.project = text
	case unanswered, errors.Is(err, find.ErrUnknown):
		e.about = ask.About{Project: text, Request: text}
	default:
		return refusal(c, "", err, nil)
	}
	return e.choose(c)
}

// readArgument reads WATCH_ID, PROJECT/ORDER, PROJECT, or, where the project is configured, an ORDER that can be
// no project.
func (e *eventChoice) readArgument(config config.Config, text string) error {
	if find.IsWatchID(text) {
		e.about.Watch = text
		return nil
	}
	project, name, isOrder := strings.Cut(text, "/")
	order := watcher.Order{ProjectID: project, Name: name}
	if !isOrder {
		order.Name = "any"
	}
	err := order.Validate()
	if alone := (watcher.Order{ProjectID: config.ModelArts.ProjectID, Name: text}); err != nil && alone.Validate() == nil {
		order, isOrder, err = alone, true, nil
	}
	if !isOrder {
		e.pasted = text
		return nil
	}
	if err != nil {
		return fmt.Errorf("%q is neither PROJECT nor PROJECT/ORDER: %w", text, orderError(err))
	}
	if e.project = order.ProjectID; isOrder {
		e.order = order.Name
	}
	return nil
}

// choose fills in the kinds where none is named, and refuses those that cannot be.
func (e *eventChoice) choose(c *cobra.Command) error {
	all := len(e.kinds) == 0
	switch {
	case len(e.outcomes) > 0 && all:
		e.kinds = []string{ask.Completed}
	case len(e.outcomes) > 0 && !slices.Equal(e.kinds, []string{ask.Completed}):
		return exit.Usage(c, "--outcome is of completions alone: leave out --kind")
	case all && e.project != "":
		e.kinds = []string{ask.Completed, ask.Progress, ask.Attention}
	case all:
		e.kinds = eventKinds
	}
	if e.project != "" && slices.Contains(e.kinds, ask.Rejected) {
		return exit.Usage(c, "rejected requests belong to no project: leave out PROJECT, or --kind rejected")
	}
	if e.project != "" && slices.Contains(e.kinds, ask.Undelivered) {
		return exit.Usage(c, "undelivered messages are of all projects: leave out PROJECT, or --kind undelivered")
	}
	return nil
}

// subjects returns the subjects of the wanted events.
func (e *eventChoice) subjects(c *client.Client) (subjects []string) {
	order := ">"
	if e.project != "" {
		order = e.project + ".>"
	}
	if e.order != "" {
		order = e.project + "." + e.order
	}
	outcomes := e.outcomes
	if len(outcomes) == 0 {
		outcomes = []string{"*"}
	}
	slices.Sort(outcomes)
	for _, k := range slices.Compact(slices.Sorted(slices.Values(e.kinds))) {
		switch k {
		case ask.Completed:
			for _, o := range slices.Compact(outcomes) {
				subjects = append(subjects, c.Subject("completed."+o+"."+order))
			}
		case ask.Progress:
			subjects = append(subjects, c.Subject("progress."+order))
		case ask.Attention:
			if e.project != "" && e.order == "" { // those about the project have no more tokens
				subjects = append(subjects, c.Subject("attention.*."+e.project))
			}
			subjects = append(subjects, c.Subject("attention.*."+order))
		case ask.Rejected:
			subjects = append(subjects, c.RejectedSubject())
		case ask.Undelivered:
			subjects = append(subjects, c.Subject("undelivered.>"))
		}
	}
	return subjects
}

func outcomeNames() (names []string) {
	for _, o := range watcher.Outcomes {
		names = append(names, string(o))
	}
	return names
}

// readSince returns the time that the flag names; zero where it is empty.
func readSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("--since %q: write how long ago, such as 2h or 90m, or a time such as 2025-04-10T12:00:00Z", text)
}
