// Package list prints watches as a table or as JSON: once, or refreshed in place on a terminal.
//
// Read list.go first (how many watches are asked for, a page at a time, and what is said where there are more), then
// live.go, which refreshes, and news.go, which says what has happened in between. What is on one page is decided in page.go of package index, how large a page may be in
// list.go of package wire.
package list

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/find"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A Choice says which watches are wanted. Empty fields choose all.
type Choice struct {
	State     watcher.State
	ProjectID string
	Label     string // key=value
	Team      string
	RequestID string
	Outcomes  []string
	Since     time.Time // they go on, or ended then or later
	Limit     int       // at most so many, the newest; 1 or more, unless All is set
	All       bool
}

// brokenRow returns what a list shows of a broken record.
func brokenRow(b wire.BrokenRecord) watcher.Snapshot {
	reason := "broken record: " + b.Reason
	if len(b.Requests) > 0 {
		reason += "; publish again, under a new id: " + strings.Join(b.Requests, ", ")
	}
	return watcher.Snapshot{State: show.Broken, Report: watcher.Report{
		WatchID: b.WatchID, ProjectID: b.ProjectID, OrderName: b.Name, Reason: reason, AcceptedAt: b.Since,
		Items: []watcher.Item{}, Failures: []watcher.Failure{}, Requests: []watcher.Request{},
	}}
}

// pages hands out the watches that are wanted, a page at a time. It returns whether there are more than were wanted,
// and how many records it left out because a later version wrote them.
func (c Choice) pages(ctx context.Context, client *client.Client, f func([]watcher.Snapshot) error) (more bool, unreadable int, err error) {
	q := wire.ListQuery{State: c.State, ProjectID: c.ProjectID, Label: c.Label, Team: c.Team, RequestID: c.RequestID, Since: c.Since}
	for _, o := range c.Outcomes {
		q.Outcomes = append(q.Outcomes, watcher.Outcome(o))
	}
	left := c.Limit
	if c.All {
		left = math.MaxInt
	}
	for left > 0 {
		q.Want(left)
		answer, err := client.List(ctx, q)
		switch {
		case find.Older(err):
			return false, 0, errOlder
		case err != nil:
			return false, 0, err
		}
		var watches []watcher.Snapshot
		for _, b := range answer.Broken {
			watches = append(watches, brokenRow(b))
		}
		watches = append(watches, answer.Watches...)
		if err := f(watches); err != nil {
			return false, 0, err
		}
		left -= len(answer.Watches)
		unreadable += answer.Unreadable
		if q.Cursor = answer.Cursor; q.Cursor == "" {
			return false, unreadable, nil
		}
	}
	return true, unreadable, nil
}

// errOlder says that a worker does not know what watches are chosen by: it would not have left the others out.
var errOlder = errors.New("the worker that answered is of an earlier release, and cannot choose by outcome, request or time: leave out --outcome, --request-id and --since, or bring all workers to this release (orderwatch status names their versions)")

// Print writes the watches to out once, and to notes what it left out. An error of the service is a
// [wire.ServiceError].
func (c Choice) Print(ctx context.Context, client *client.Client, format output.Format, out, notes io.Writer) error {
	var all []watcher.Snapshot
	more, unreadable, err := c.pages(ctx, client, func(page []watcher.Snapshot) error {
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
		return err
	}
	if format != output.AsJSON {
		columns, _ := output.Size(out)
		table := show.Table{Now: time.Now(), Width: columns, Paint: output.PaintFor(out)}
		if _, err := io.WriteString(out, table.Watches(all)); err != nil {
			return err
		}
	}
	if more {
		fmt.Fprintf(notes, "These are the newest %d; there are more: --all, or --limit NUMBER.\n", c.Limit)
	}
	if unreadable > 0 {
		fmt.Fprintf(notes, "Not shown: %s that a later version of orderwatch wrote; use that version.\n", words.Count(unreadable, "record"))
	}
	return nil
}
