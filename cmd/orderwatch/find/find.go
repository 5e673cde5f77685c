// Package find finds the order that people mean by what they paste: an id of a watch or of a request, or the name of an
// order, as a message in Slack, a list or an event shows it.
//
// It promises that nothing is guessed: where several orders are meant, the error names them. It asks the service for
// lists, as any program can, and gets along with workers of the release before.
//
// Read find.go: [Order] first, which decides in what order things are tried.
package find

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Lister lists watches: a [client.Client] of package events/client, or what stands for one.
type Lister interface {
	List(context.Context, wire.ListQuery) (wire.ListAnswer, error)
}

// A Found is an order that was found, as its latest watch has it.
type Found struct {
	watcher.Order
	WatchID string
	Region  string // empty where the record cannot be read
	Request bool   // by the id of a request, and not by the order's name or the watch's id
	Unknown bool   // nothing is known under the text, which is taken for the name of an order that nobody has watched yet
}

// ErrUnknown says that nothing is known under a text.
var ErrUnknown = errors.New("no watch is known under this name or id")

// ErrSeveral says that a text may mean several orders.
var ErrSeveral = errors.New("may mean several orders")

// Order returns the order that the text means: the id of its latest watch, its name in whatever project, or the id of a
// request that its latest watch answers. Where nothing is known under it, the error is an [ErrUnknown]; where several orders
// are, it is an [ErrSeveral] that names them.
func Order(ctx context.Context, lister Lister, text string) (Found, error) {
	if IsWatchID(text) {
		return byWatch(ctx, lister, text)
	}
	var all []Found
	if (watcher.Order{ProjectID: "any", Name: text}).Validate() == nil {
		named, err := search(ctx, lister, wire.ListQuery{Name: text}, func(w watcher.Snapshot) bool { return w.OrderName == text })
		if err != nil {
			return Found{}, err
		}
		all = named
	}
	asked, err := search(ctx, lister, wire.ListQuery{RequestID: text}, func(w watcher.Snapshot) bool {
		return slices.ContainsFunc(w.Requests, func(r watcher.Request) bool { return r.ID == text })
	})
	if err != nil {
		return Found{}, err
	}
	for _, f := range asked {
		f.Request = true
		if !slices.ContainsFunc(all, func(other Found) bool { return other.Order == f.Order }) {
			all = append(all, f)
		}
	}
	switch len(all) {
	case 0:
		return Found{}, ErrUnknown
	case 1:
		return all[0], nil
	}
	return Found{}, several(text, all)
}

// IsWatchID reports whether the text is an id of a watch, and no order.
func IsWatchID(text string) bool {
	const ulid = 26
	id, ok := strings.CutPrefix(text, "w_")
	return ok && len(id) == ulid && !strings.Contains(id, "/")
}

// several names the orders that a text may mean.
func several(text string, all []Found) error {
	const most = 10
	var lines []string
	for _, f := range all[:min(most, len(all))] {
		line := "  " + output.Clean(f.Order.String())
		if f.Request {
			line += ", by a request"
		}
		lines = append(lines, line)
	}
	if more := len(all) - most; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more: orderwatch list", more))
	}
	return fmt.Errorf("%q %w; name one:\n%s", output.Clean(text), ErrSeveral, strings.Join(lines, "\n"))
}

// byWatch finds the order whose latest watch has this id: the first of the list that begins there.
func byWatch(ctx context.Context, lister Lister, id string) (Found, error) {
	answer, err := lister.List(ctx, wire.ListQuery{Limit: 1, Cursor: id + "~"}) // newest first by their ids, those before this
	if err != nil {
		return Found{}, err
	}
	for _, w := range answer.Watches {
		if w.WatchID == id {
			return found(w), nil
		}
	}
	answer, err = lister.List(ctx, wire.ListQuery{Limit: 1}) // broken records come with the first page
	for _, b := range answer.Broken {
		if b.WatchID == id {
			return Found{Order: b.Order, WatchID: id}, nil
		}
	}
	if err == nil {
		err = ErrUnknown
	}
	return Found{}, err
}

func found(w watcher.Snapshot) Found {
	return Found{Order: w.Order(), WatchID: w.WatchID, Region: w.Region}
}

// search returns the orders that the query wants. Where the worker that answers does not know what the query asks for, all
// are listed, and is decides.
func search(ctx context.Context, lister Lister, q wire.ListQuery, is func(watcher.Snapshot) bool) (all []Found, err error) {
	name := q.Name
	for {
		q.Want(math.MaxInt)
		answer, err := lister.List(ctx, q)
		if Older(err) && q.Name+q.RequestID != "" {
			q.Name, q.RequestID = "", ""
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, w := range answer.Watches {
			if is(w) {
				all = append(all, found(w))
			}
		}
		for _, b := range answer.Broken {
			if name != "" && b.Name == name {
				all = append(all, Found{Order: b.Order, WatchID: b.WatchID})
			}
		}
		if q.Cursor = answer.Cursor; q.Cursor == "" {
			return all, nil
		}
	}
}

// Older reports whether an answer to a list says that the worker, which is of a release before, does not know what is asked
// for by order, request, outcome or time.
func Older(err error) bool {
	answer, ok := errors.AsType[*wire.ServiceError](err)
	return ok && answer.Code == http.StatusBadRequest &&
		slices.Contains([]string{"order_name", "request_id", "outcomes", "since"}, answer.Field) &&
		strings.Contains(answer.Reason, "is no field of")
}
