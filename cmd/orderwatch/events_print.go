package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/ask"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/watcher"
)

// printEvents prints the events of the filter. project is left out of texts: all are of it.
func printEvents(c *cobra.Command, s *session, filter client.Filter, format output.Format, project string) error {
	notices := ask.NewOutages(s.nc, func(text string) { fmt.Fprintln(c.ErrOrStderr(), "orderwatch:", text) })
	printed := 0
	out := c.OutOrStdout()
	p := eventPrinter{paint: output.PaintFor(out), project: project}
	err := s.Follow(c.Context(), filter, nil, notices.Events, func(e client.Event) error {
		printed++
		text := output.JSONLine(e.Encoded)
		if format == output.AsText {
			text = []byte(p.text(e) + "\n")
		}
		_, err := out.Write(text)
		return err
	})
	switch {
	case c.Context().Err() != nil && errors.Is(err, context.Canceled):
		return exit.Error{Code: exit.Interrupted}
	case err == nil && printed == 0 && format == output.AsText:
		fmt.Fprintln(c.ErrOrStderr(), "orderwatch: no such event is kept")
	}
	return err
}

// An eventPrinter writes events as people read them.
type eventPrinter struct {
	paint   output.Paint
	project string
}

// text returns the event as one line: time, what, order, outcome, reason.
func (p eventPrinter) text(e client.Event) string {
	what, order, outcome, reason := e.Type(), "–", "–", ""
	if c, ok := e.Completion(); ok {
		what, order, reason = completedKind, p.order(c.ProjectID, c.OrderName), c.Reason
		outcome = show.Outcome(p.paint, c.Outcome, string(c.Outcome))
	} else if g, ok := e.Progress(); ok {
		what, order, outcome, reason = progressKind, p.order(g.ProjectID, g.OrderName), show.Counts(g.Counts), changesText(g.Changes)
	} else if r, ok := e.Rejection(); ok {
		what, reason = rejectedKind, r.Reason
		if e.Subject() != "" {
			order = output.Clean(e.Subject())
		}
	} else if a, ok := e.Attention(); ok {
		what, order, outcome, reason = attentionKind, output.Clean(a.ProjectID), output.Clean(string(a.Kind)), a.Reason
	} else if a, ok := e.OrderAttention(); ok {
		what, order, outcome, reason = attentionKind, p.order(a.ProjectID, a.OrderName), output.Clean(string(a.Kind)), show.Attention(a)
	} else if a, ok := e.Again(); ok {
		what, order, outcome, reason = attentionKind, p.order(a.ProjectID, a.OrderName), "renotify", a.By+" wants people to be told again"
	} else if m, ok := e.Undelivered(); ok {
		what, reason = undeliveredKind, fmt.Sprintf("%s: %s", m.Channel, m.Reason)
		if m.OrderName != "" {
			order, outcome = p.order(m.ProjectID, m.OrderName), output.Clean(string(m.Kind))
		}
		if m.Outcome != "" { // the others are of watches that go on
			outcome = show.Outcome(p.paint, m.Outcome, string(m.Outcome))
			reason += "; post it again: orderwatch renotify " + m.WatchID
		}
	}
	return fmt.Sprintf("%s  %-9s  %s  %s  %s", output.Time(e.Time()), what, order, outcome, output.Clean(reason))
}

func (p eventPrinter) order(project, name string) string {
	if p.project != "" {
		return output.Clean(name)
	}
	return output.Clean(project + "/" + name)
}

// changesText returns what changed, as much as a line takes.
func changesText(list []watcher.Change) string {
	const most = 3
	var texts []string
	for i, change := range list {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		text := change.ResourceName + " " + string(change.To)
		if change.Message != "" {
			text += ": " + change.Message
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}
