package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/watcher"
)

// printEvents prints the events of the filter. project is left out of texts: all are of it.
func printEvents(c *cobra.Command, s *session, filter client.Filter, format outputFormat, project string) error {
	notices := newOutages(s, func(text string) { fmt.Fprintln(c.ErrOrStderr(), "orderwatch:", text) })
	printed := 0
	out := c.OutOrStdout()
	p := eventPrinter{paint: paintFor(out), project: project}
	err := s.Follow(c.Context(), filter, nil, notices.events, func(e client.Event) error {
		printed++
		text := eventLine(e)
		if format == textOutput {
			text = []byte(p.text(e) + "\n")
		}
		_, err := out.Write(text)
		return err
	})
	switch {
	case c.Context().Err() != nil && errors.Is(err, context.Canceled):
		return codedError{code: exitInterrupted}
	case err == nil && printed == 0 && format == textOutput:
		fmt.Fprintln(c.ErrOrStderr(), "orderwatch: no such event is kept")
	}
	return err
}

// eventLine returns the event as one line of JSON.
func eventLine(e client.Event) []byte {
	var b bytes.Buffer
	if json.Compact(&b, e.Encoded) != nil {
		b.Reset()
		b.Write(bytes.ReplaceAll(e.Encoded, []byte("\n"), []byte(" ")))
	}
	b.WriteByte('\n')
	return escapeJSON(b.Bytes())
}

// An eventPrinter writes events as people read them.
type eventPrinter struct {
	paint   paint
	project string
}

// text returns the event as one line: time, what, order, outcome, reason.
func (p eventPrinter) text(e client.Event) string {
	what, order, outcome, reason := e.Type(), "–", "–", ""
	if c, ok := e.Completion(); ok {
		what, order, reason = completedKind, p.order(c.ProjectID, c.OrderName), c.Reason
		outcome = p.paint.outcome(c.Outcome, string(c.Outcome))
	} else if g, ok := e.Progress(); ok {
		what, order, outcome, reason = progressKind, p.order(g.ProjectID, g.OrderName), showCounts(g.Counts), changesText(g.Changes)
	} else if r, ok := e.Rejection(); ok {
		what, reason = rejectedKind, r.Reason
		if e.Subject() != "" {
			order = clean(e.Subject())
		}
	} else if a, ok := e.Attention(); ok {
		what, order, outcome, reason = attentionKind, clean(a.ProjectID), clean(string(a.Kind)), a.Reason
	} else if a, ok := e.OrderAttention(); ok {
		what, order, outcome, reason = attentionKind, p.order(a.ProjectID, a.OrderName), clean(string(a.Kind)), attentionText(a)
	} else if a, ok := e.Again(); ok {
		what, order, outcome, reason = attentionKind, p.order(a.ProjectID, a.OrderName), "renotify", a.By+" wants people to be told again"
	} else if m, ok := e.Undelivered(); ok {
		what, reason = undeliveredKind, fmt.Sprintf("%s: %s", m.Channel, m.Reason)
		if m.OrderName != "" {
			order, outcome = p.order(m.ProjectID, m.OrderName), clean(string(m.Kind))
		}
		if m.Outcome != "" { // the others are of watches that go on
			outcome = p.paint.outcome(m.Outcome, string(m.Outcome))
			reason += "; post it again: orderwatch renotify " + m.WatchID
		}
	}
	return fmt.Sprintf("%s  %-9s  %s  %s  %s", showTime(e.Time()), what, order, outcome, clean(reason))
}

func (p eventPrinter) order(project, name string) string {
	if p.project != "" {
		return clean(name)
	}
	return clean(project + "/" + name)
}

// attentionText says, as a line, what people should look at in one watch.
func attentionText(a watcher.OrderAttention) string {
	text := cmp.Or(a.Reason, string(a.Kind))
	if a.Kind == watcher.BrokenRecord {
		text = "broken record: " + text
		var ids []string
		for _, r := range a.Requests {
			ids = append(ids, r.ID)
		}
		if len(ids) > 0 {
			text += "; publish these again, under a new id: " + shorten(strings.Join(ids, ", "), 200)
		}
	}
	return clean(text)
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
