package page

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

const (
	lookAround = 30 * time.Second // between two looks at the streams and consumers
	lookTime   = 20 * time.Second // for one
	worstShown = 10               // overdue watches that are named
)

// surroundings are what the page sees in NATS beside watches. They are safe for concurrent use.
type surroundings struct {
	mu      sync.Mutex
	streams []screens.Stream
	broken  []wire.BrokenRecord
	unseen  []string
}

// keep looks at the streams, the consumers and the list of broken records, until ctx is done.
func (a *surroundings) keep(ctx context.Context, kept *store.Store) {
	inspector := inspect.Over(kept)
	for {
		if kept.JS.Conn().IsConnected() {
			a.look(ctx, kept, inspector)
		}
		if !link.Sleep(ctx, lookAround) {
			return
		}
	}
}

func (a *surroundings) look(ctx context.Context, kept *store.Store, inspector *inspect.Inspector) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var streams []screens.Stream
	var unseen []string
	for _, asset := range inspector.Assets(ctx) {
		if asset.Err != nil && !asset.Missing {
			unseen = append(unseen, asset.Name()+": "+wire.OneLine(asset.Err.Error()))
			continue
		}
		streams = append(streams, streamOf(asset))
	}
	broken, _, err := kept.BrokenList(ctx)
	if err != nil {
		unseen = append(unseen, "the list of broken records: "+wire.OneLine(err.Error()))
	}
	if !kept.JS.Conn().IsConnected() {
		return // what was seen before says more
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams, a.broken, a.unseen = streams, broken, unseen
}

// streamOf returns a stream or a consumer as the screen shows it.
func streamOf(a inspect.Asset) screens.Stream {
	s := screens.Stream{Name: a.Name(), Messages: a.Messages, Bytes: a.Bytes, Waiting: a.Pending + uint64(a.InFlight), Consumer: a.Consumer != ""}
	var wrong []string
	switch {
	case a.Missing && a.Optional:
		wrong = append(wrong, "it is missing: how long orders take is not known")
	case a.Missing:
		wrong = append(wrong, "it is missing")
	case a.NoLeader:
		wrong = append(wrong, "it has no leader: nobody writes")
	case a.Paused:
		wrong = append(wrong, "it is paused")
	}
	wrong = append(wrong, a.Behind...)
	for _, d := range a.Differences {
		if d.Fatal {
			wrong = append(wrong, d.Setting+" is "+d.Found+", and must be "+d.Wanted)
		}
	}
	s.Wrong = strings.Join(wrong, "; ")
	return s
}

// health returns the screen that says whether all is well, as the viewer's team sees it.
func (s *server) health(v viewer) screen {
	view := s.teams.View(v.team)
	made := screen{title: "Health", tab: screens.TabHealth, every: 5 * time.Second}
	made.mark = func() string {
		_, _, err := s.from.installation()
		return strconv.FormatBool(err == nil) + strconv.FormatBool(s.from.board.Status().Connected)
	}
	made.load = func(ctx context.Context) (content, error) {
		h, err := s.healthView(ctx, view)
		return shown[screens.HealthView]{h, func(h *screens.HealthView) *screens.Common { return &h.Common }, screens.Health, screens.HealthBody, nil}, err
	}
	return made
}

// healthView reads the screen.
func (s *server) healthView(ctx context.Context, view teams.View) (h screens.HealthView, err error) {
	now := s.from.timeOf(s.from.board.Status())
	status, answered, err := s.from.installation()
	h = screens.HealthView{Status: seenBy(view, status), Answered: answered, Lag: s.from.tally.Lag(view, now)}
	if err != nil {
		h.Silent = silent(err)
	}
	_, h.Away = s.from.counted()
	answer, err := s.from.board.Query(index.Query{State: watcher.Watching, Condition: watcher.Overdue, Limit: worstShown}, view)
	if err != nil {
		return h, err
	}
	h.Reading = !answer.Status.Ready
	s.from.setNextPolls(ctx, answer.Rows, now)
	for _, r := range answer.Rows {
		h.Worst = append(h.Worst, screens.LateWatch{Order: r.Order, By: now.Sub(r.Since)})
	}
	slices.SortStableFunc(h.Worst, func(a, b screens.LateWatch) int { return int(b.By - a.By) })
	a := &s.from.around
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.broken {
		if view.Project(b.Order.ProjectID) {
			if !view.All() {
				b.Requests = nil // whose they are is not known
			}
			h.Broken = append(h.Broken, b)
		}
	}
	if view.All() {
		h.Streams, h.Unseen = a.streams, a.unseen
	}
	return h, nil
}

// silent says why no worker answers.
func silent(err error) string {
	if errors.Is(err, client.ErrNoWorker) {
		return "none runs, or all are of a release that does not answer."
	}
	return wire.OneLine(err.Error())
}

// seenBy returns what the view sees of a status that is the operator's, as a worker shows it to a team: see the endpoint
// status of package events.
func seenBy(view teams.View, status wire.Status) wire.Status {
	if view.All() {
		return status
	}
	status.Held = slices.DeleteFunc(slices.Clone(status.Held), func(h wire.HeldAccount) bool {
		return h.ProjectID != "" && !view.Project(h.ProjectID)
	})
	status.Unlisted = slices.DeleteFunc(slices.Clone(status.Unlisted), func(u wire.Unlisted) bool { return !view.Project(u.ProjectID) })
	status.Rates = nil
	if status.People != nil {
		people := *status.People
		people.Troubles = nil // they name the channels of all
		status.People = &people
	}
	return status
}
