package page

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
)

// Days of the history: how many are shown where the query says nothing, and which it may ask for.
const standardDays = 30

// askDays is the name of the query's field.
const askDays = "days"

// history returns the screen of how watches ended, as the query asks for it.
func (s *server) history(v viewer, asked url.Values) (screen, url.Values, error) {
	days, kept := standardDays, make(url.Values)
	if text := asked.Get(askDays); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 90 {
			return screen{}, nil, &missing{"There is no such history", []string{"It has from 1 to 90 days."}}
		}
		days = n
		kept.Set(askDays, strconv.Itoa(n))
	}
	view := s.teams.View(v.team)
	made := screen{title: "History", tab: screens.TabHistory, every: 15 * time.Second}
	made.mark = func() string {
		read, away := s.from.tally.State()
		return strconv.FormatBool(read) + strconv.FormatBool(away == nil)
	}
	made.load = func(context.Context) (content, error) {
		return shown[screens.HistoryView]{s.historyView(days, view), func(h *screens.HistoryView) *screens.Common { return &h.Common }, screens.History, screens.HistoryBody, nil}, nil
	}
	return made, kept, nil
}

// historyView reads the screen from the tally.
func (s *server) historyView(days int, view teams.View) screens.HistoryView {
	h := screens.HistoryView{History: s.from.tally.History(view, days, s.from.store.Clock.Now())}
	h.Reading, h.Away = s.from.counted()
	return h
}

// counted returns whether the events are still being read, and why they are not followed; empty where they are.
func (s *source) counted() (reading bool, away string) {
	read, err := s.tally.State()
	if err != nil {
		away = err.Error()
	}
	return !read, away
}

// cause returns what is known of the cause for which the watch failed, or goes on with items that failed.
func (s *server) cause(w watcher.Snapshot, view teams.View) (cause screens.Cause) {
	c := watcher.Completion{Outcome: w.Outcome, Report: w.Report, CompletedAt: w.CompletedAt}
	if w.Outcome != "" {
		c.Error = w.LastError
	}
	read, _ := s.from.tally.State()
	seen, ok := s.from.tally.Seen(view, c)
	if !ok || !read {
		return cause
	}
	return screens.Cause{Known: true, New: seen.New, Count: seen.Count, Before: seen.Before, First: seen.First.At, Last: seen.Last.At, Since: seen.Since}
}
