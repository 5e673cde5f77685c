package page

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/events/story"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// screenAt returns the screen at the URL as the viewer sees it, and the path with its query of which it is.
func (s *server) screenAt(v viewer, u *url.URL) (made screen, path string, err error) {
	if o, ok := orderPath(u); ok {
		return s.order(v, o), screens.Common{}.OrderLink(o), nil
	}
	switch u.Path {
	case "/":
		made, query, err := s.now(v, u.Query())
		return made, pathOf("/", query), err
	case "/history":
		made, query, err := s.history(v, u.Query())
		return made, pathOf("/history", query), err
	case "/health":
		return s.health(v), "/health", nil
	}
	return screen{}, "", &missing{"There is no such page", []string{"The address may be misspelt."}}
}

// orderPath returns the order that a path below /orders names.
func orderPath(u *url.URL) (o watcher.Order, ok bool) {
	parts := strings.Split(u.EscapedPath(), "/")
	if len(parts) != 4 || parts[1] != "orders" {
		return o, false
	}
	project, projectErr := url.PathUnescape(parts[2])
	name, nameErr := url.PathUnescape(parts[3])
	o = watcher.Order{ProjectID: project, Name: name}
	return o, projectErr == nil && nameErr == nil && o.Validate() == nil
}

// order returns the screen of an order.
func (s *server) order(v viewer, o watcher.Order) screen {
	view := s.teams.View(v.team)
	made := screen{title: o.Name, every: 5 * time.Second}
	made.mark = func() string {
		row, _ := s.from.board.Find(o, view)
		return fmt.Sprint(row.Revision, row.Condition, s.from.board.Status().Connected)
	}
	made.load = func(ctx context.Context) (content, error) {
		n, open, err := s.orderView(ctx, o, view)
		if err != nil {
			return nil, err
		}
		var acts *screens.Acts
		if s.acting != nil {
			acts = &screens.Acts{Order: o, Open: open}
		}
		return shown[screens.OrderView]{n, func(n *screens.OrderView) *screens.Common { return &n.Common }, screens.Order, screens.OrderBody, acts}, nil
	}
	return made
}

// orderView reads the screen, and whether the watch goes on.
func (s *server) orderView(ctx context.Context, o watcher.Order, view teams.View) (n screens.OrderView, open bool, err error) {
	w, polls, err := s.from.record(ctx, o, view)
	if err != nil {
		return n, false, err
	}
	n.Snapshot = view.Shown(s.from.policy.Snapshot(w, s.from.board.Holding(&w), s.from.store.Clock.Now()))
	if row, ok := s.from.board.Find(o, view); ok && longer(row, s.from.store.Clock.Now()) {
		n.Usual, n.Since = *row.Usual, row.UsualSince
	}
	if n.PollsUnread = !polls; n.PollsUnread {
		if row, _ := s.from.board.Find(o, view); row.Condition != watcher.Overdue {
			n.Snapshot.NextPollAt = time.Time{} // by the record it may have passed long ago, and the watch be polled all the same
		}
	}
	n.Cause = s.cause(n.Snapshot, view)
	if n.Story, err = story.Read(ctx, s.from.store, view, n.Snapshot); err != nil {
		s.log.Debug("the story of a watch could not be read", "watch", w.ID, "err", err)
		n.NoStory = wire.OneLine(err.Error())
	}
	return n, w.State != watcher.Ended, nil
}
