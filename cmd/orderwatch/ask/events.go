package ask

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// The kinds of events, as people name them.
const (
	Completed   = "completed"
	Progress    = "progress"
	Rejected    = "rejected"
	Attention   = "attention"
	Undelivered = "undelivered"
)

// An About says which events are wanted: those of which one that is set is so. The zero About wants all.
type About struct {
	Watch   string // the event is about the watch with this id
	Request string // it is about the request with this id, or about a watch that answers it
	Project string // it is about the project
}

// wants reports whether the event is wanted.
func (a About) wants(e client.Event) bool {
	if a == (About{}) {
		return true
	}
	project, watch, requests := subjectOf(e)
	return a.Watch != "" && a.Watch == watch || a.Project != "" && a.Project == project || a.Request != "" && slices.Contains(requests, a.Request)
}

// Events prints the events that the filter lets through, as they come, of those that are wanted. Texts
// leave out the project where it is given: then all events are of that project. Events returns when all that are kept
// are printed, if the filter has Stop set, or when ctx ends: then the error is an [exit.Error].
func Events(ctx context.Context, o Options, filter client.Filter, project string, about About) error {
	var mu sync.Mutex
	oneAtATime := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
	}
	notices := newOutages(o.Conn, oneAtATime, func(text string) { fmt.Fprintln(o.Errors, "orderwatch:", text) })
	printed := 0
	paint := output.PaintFor(o.Out)
	err := o.Client.Follow(ctx, filter, nil, notices.events, func(e client.Event) error {
		if !about.wants(e) {
			return nil
		}
		printed++
		line := output.JSONLine(e.Encoded)
		if o.Format == output.AsText {
			line = []byte(text(e, project, paint) + "\n")
		}
		_, err := o.Out.Write(line)
		return err
	})
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exit.Error{Code: exit.Interrupted}
	case err == nil && printed == 0 && o.Format == output.AsText:
		fmt.Fprintln(o.Errors, "orderwatch: no such event is kept")
	}
	return err
}

// subjectOf returns the project and the watch that the event is about, and the ids of the requests; empty where it is about
// none.
func subjectOf(e client.Event) (project, watch string, requests []string) {
	of := func(r watcher.Report) (project, watch string, requests []string) {
		for _, asked := range r.Requests {
			requests = append(requests, asked.ID)
		}
		return r.ProjectID, r.WatchID, requests
	}
	if c, ok := e.Completion(); ok {
		return of(c.Report)
	} else if g, ok := e.Progress(); ok {
		return of(g.Report)
	} else if a, ok := e.OrderAttention(); ok {
		return of(a.Report)
	} else if a, ok := e.Attention(); ok {
		return a.ProjectID, "", nil
	} else if a, ok := e.Again(); ok {
		return a.ProjectID, a.WatchID, nil
	} else if m, ok := e.Undelivered(); ok {
		return m.ProjectID, m.WatchID, nil
	} else if r, ok := e.Rejection(); ok {
		return "", "", []string{r.RequestID}
	} else if r, ok := e.RequestAttention(); ok {
		return "", "", []string{r.RequestID}
	}
	return "", "", nil
}

// text returns the event as one line: time, what, order, outcome, reason. A project that is given is left out.
func text(e client.Event, project string, paint output.Paint) string {
	nameOf := func(of, name string) string {
		if project != "" {
			return output.Clean(name)
		}
		return output.Clean(of + "/" + name)
	}
	what, order, outcome, reason := e.Type(), "–", "–", ""
	if c, ok := e.Completion(); ok {
		what, order, reason = Completed, nameOf(c.ProjectID, c.OrderName), c.Reason+" · "+show.Lasted(c)
		outcome = show.Outcome(paint, c.Outcome, string(c.Outcome))
	} else if g, ok := e.Progress(); ok {
		what, order, outcome, reason = Progress, nameOf(g.ProjectID, g.OrderName), show.Counts(g.Report), changesText(g.Changes)
	} else if r, ok := e.Rejection(); ok {
		what, reason = Rejected, r.Reason
		if e.Subject() != "" {
			order = output.Clean(e.Subject())
		}
	} else if a, ok := e.Attention(); ok {
		what, order, outcome, reason = Attention, output.Clean(a.ProjectID), output.Clean(string(a.Kind)), a.Reason
	} else if a, ok := e.OrderAttention(); ok {
		what, order, outcome, reason = Attention, nameOf(a.ProjectID, a.OrderName), output.Clean(string(a.Kind)), show.Attention(a)
		if !a.Until.IsZero() {
			outcome += " over"
		}
	} else if a, ok := e.RequestAttention(); ok {
		what, outcome, reason = Attention, output.Clean(string(a.Kind)), a.Reason
		if e.Subject() != "" {
			order = output.Clean(e.Subject())
		}
	} else if a, ok := e.Again(); ok {
		what, order, outcome, reason = Attention, nameOf(a.ProjectID, a.OrderName), "renotify", words.Asker(a.Team, a.By)+" wants people to be told again"
	} else if m, ok := e.Undelivered(); ok {
		what, reason = Undelivered, fmt.Sprintf("%s: %s", m.Channel, m.Reason)
		if m.OrderName != "" {
			order, outcome = nameOf(m.ProjectID, m.OrderName), output.Clean(string(m.Kind))
		}
		if m.Outcome != "" { // the others are of watches that go on
			outcome = show.Outcome(paint, m.Outcome, string(m.Outcome))
			reason += "; post it again: orderwatch renotify " + m.WatchID
		}
	}
	return fmt.Sprintf("%s  %-9s  %s  %s  %s", output.Time(e.Time()), what, order, outcome, output.Times(output.Clean(reason), time.Now()))
}

// changesText returns what changed, as much as a line takes: what failed first, then what succeeded.
func changesText(list []watcher.Change) string {
	const most = 3
	rank := func(c watcher.Change) int {
		return slices.Index([]watcher.Status{watcher.Succeed, watcher.Failed}, c.To) // -1 for others
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b watcher.Change) int { return cmp.Compare(rank(b), rank(a)) })
	var texts []string
	for _, change := range list[:min(most, len(list))] {
		text := change.ResourceName + " " + string(change.To)
		if change.Message != "" {
			text += ": " + change.Message
		}
		texts = append(texts, text)
	}
	if more := len(list) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}
