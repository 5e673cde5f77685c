package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher/words"
)

const (
	// lostFor is how long the loss of the store is a problem: afterwards nobody waits for what was watched then.
	lostFor         = 48 * time.Hour
	mostBrokenShown = 10 // by name
)

// watches looks at the records of the open watches.
func (x *exam) watches(ctx context.Context) {
	w, err := x.Watches(ctx)
	if err != nil {
		x.missed("watches.open", "were not looked at: the records cannot be read: "+err.Error(), "They show when the streams are there and the user may read them.")
		return
	}
	x.projects = w.Projects
	x.open = w.Watching + w.Ending
	x.opened(w.Watching, w.Ending, w.All)
	x.broken(w.Broken)
	if untold := w.Unreadable - len(w.Broken); untold > 0 {
		x.add(levelProblem, "watches.unreadable", "", words.Count(untold, "record")+" cannot be read: something else than a worker wrote there, and no worker has told of it yet",
			"A worker tells which within two minutes; then publish the requests of these orders again, under new ids. Let only workers write to the bucket: deploy/nats-permissions.conf.")
	}
	if w.BrokenErr != nil {
		x.missed("watches.broken", "which broken records workers know of was not looked at: "+w.BrokenErr.Error(), "Try again.")
	}
	if w.LateErr != nil {
		x.missed("watches.late", "whether watches that are late by their records were polled since was not looked at, they count as late: "+w.LateErr.Error(), "Try again.")
	}
	var worst []string
	for _, late := range w.Worst {
		worst = append(worst, fmt.Sprintf("%s by %s", late.Order, words.Brief(late.Late)))
	}
	x.overdue(w.Overdue, w.Stuck, "; worst: "+strings.Join(worst, ", "),
		"Look for workers that are not ready, and for warnings above and below. The patrol of a worker wakes them; orderwatch poll wakes one at once.")
}

// counts says how many watches are as they must be, by what a worker says.
func (x *exam) counts(w wire.WatchCount) {
	x.opened(w.Watching, w.Ending, w.All)
	x.overdue(w.Overdue, w.Stuck, "", "The patrol of a worker wakes them; orderwatch poll wakes one at once.")
	if w.Unreadable > 0 {
		x.add(levelProblem, "watches.unreadable", "", words.Count(w.Unreadable, "record")+" cannot be read, or were deleted while their watch went on",
			"Publish the requests of these orders again, under new ids: orderwatch list names those that workers have told of.")
	}
}

func (x *exam) opened(watching, ending int, all bool) {
	open := fmt.Sprintf("%d watched, %d ending", watching, ending)
	if !all {
		open += "; there was no time to read all"
	}
	x.ok("watches.open", "", open)
}

func (x *exam) overdue(overdue, stuck int, worst, do string) {
	if overdue+stuck == 0 {
		x.ok("watches.overdue", "", "none")
		return
	}
	x.add(levelWarning, "watches.overdue", "", fmt.Sprintf("%d are late, by more than their interval and a minute, and %d are ending for over a minute%s", overdue, stuck, worst), do)
}

func (x *exam) broken(records []wire.BrokenRecord) {
	for i, b := range records {
		if i == mostBrokenShown {
			x.add(levelProblem, "watches.broken", "", fmt.Sprintf("%d more broken records", len(records)-i), "orderwatch list names them.")
			return
		}
		found := "broken record since " + b.Since.UTC().Format(time.RFC3339) + ": " + b.Reason
		if !b.MovedAt.IsZero() {
			found += "; it was moved aside, and the next request starts a new watch"
		}
		do := "Publish its requests again, under a new id: orderwatch events " + b.Order.String() + " names who asked."
		if len(b.Requests) > 0 {
			do = "Publish these again, under a new id: " + strings.Join(b.Requests, ", ") + "."
		}
		x.add(levelProblem, "watches.broken", b.Order.String(), found, do)
	}
}

func (x *exam) losses(ctx context.Context) {
	told, err := x.Losses(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // others tell of a missing stream
		x.missed("watches.lost", "whether something stored was lost was not looked at: "+err.Error(), "It shows when the streams are there and the user may read them.")
	}
	for _, a := range told {
		if x.time.Now().Sub(a.Since) >= lostFor {
			continue
		}
		do := "Find out why: somebody deleted or emptied a stream, or a server's store_dir is not on a disk that stays."
		if a.Forgets() {
			do = "Publish the requests again. " + do
		}
		x.add(levelProblem, "watches.lost", "", "what workers had stored is gone since "+a.Since.UTC().Format(time.RFC3339)+": "+a.Reason, do)
	}
}
