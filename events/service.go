package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/schema"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/story"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/usual"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// A service answers requesters who want an answer now, on request/reply, beside those of other workers:
// each request is answered by one of them. An endpoint answers one request at a time; events, which waits, and why, which
// reads much, take any number, of which a few read at the same time, and of one team half as many.
type service struct {
	log      *slog.Logger
	rules    wire.Rules
	gate     *gate
	intake   *watcher.Intake
	store    *store.Store
	index    *index.Index
	mayWrite func() error // why nothing may be written now; nil where it may
	answers  *prometheus.CounterVec
	replies  *link.Replies
	busy     sync.RWMutex // held for reading while a request is carried out
	status   endpoint
	usual    *usual.Keeper
	follow   following
}

// An endpoint carries out one kind of request, and returns what is answered.
type endpoint func(context.Context, micro.Request) (any, error)

// finish waits for the requests that are being carried out.
func (s *service) finish() {
	s.busy.Lock()
	defer s.busy.Unlock()
}

// endpoints are what the service can be asked, with what each does.
func (s *service) endpoints() map[string]endpoint {
	return map[string]endpoint{
		"get": s.get, whyEndpoint: s.why, "list": s.list, statusEndpoint: s.status, eventsEndpoint: s.events,
		"history": s.history, "watch": s.writing(s.watch), "cancel": s.writing(s.cancel), "poll": s.writing(s.poll), "renotify": s.writing(s.renotify),
	}
}

// Endpoints that change nothing, and are asked without a reply subject, too: by programs that went away, and by doctor, which
// tries its permissions.
const (
	eventsEndpoint = "events" // it waits
	whyEndpoint    = "why"    // it reads much
	statusEndpoint = "status"
)

// events answers the events from a place on, as far as they are shown to the one who asks.
func (s *service) events(ctx context.Context, r micro.Request) (any, error) {
	view := s.view(r)
	answer, err := s.follow.ask(ctx, s.team(r), r.Data(), func(subject string, event []byte) bool {
		return view.Event(s.store.Names.ProjectOf(subject), event)
	})
	for i := range answer.Events {
		answer.Events[i].Event = view.ShownEvent(answer.Events[i].Event)
	}
	return answer, err
}

// writing returns an endpoint that does so where the worker may write.
func (s *service) writing(do endpoint) endpoint {
	return func(ctx context.Context, r micro.Request) (any, error) {
		if err := s.mayWrite(); err != nil {
			return nil, err
		}
		return do(ctx, r)
	}
}

// begin makes the service answer until it is stopped. Requests are carried out under ctx.
func (s *service) begin(ctx context.Context, nc *nats.Conn, version string) (micro.Service, error) {
	running, err := micro.AddService(nc, micro.Config{
		Name: s.store.Names.Service, Version: wire.Semantic(version),
		Description: "Watches ModelArts orders until they have ended",
		Metadata:    map[string]string{"requests": s.store.Names.Watch(), "events": s.store.Names.EventStream()},
	})
	if err != nil {
		return nil, fmt.Errorf("begin the service %s: %w", s.store.Names.Service, err)
	}
	group := running.AddGroup(s.store.Names.Service)
	endpoints := s.endpoints()
	for _, name := range slices.Sorted(maps.Keys(endpoints)) { // as tools list them
		for _, code := range []string{"200", "503"} {
			s.answers.WithLabelValues(name, code)
		}
		handler := micro.HandlerFunc(func(r micro.Request) { s.answer(ctx, nc, name, endpoints[name], r) })
		schemas := micro.WithEndpointMetadata(map[string]string{
			"request_schema": schema.Compact(name + "-request"), "response_schema": schema.Compact(name + "-response"),
		})
		err := group.AddEndpoint(name, handler, schemas)
		if err == nil { // the same for a team, which the last token names
			err = group.AddEndpoint(name+"-team", handler, micro.WithEndpointSubject(name+".*"))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("answer on %s.%s: %w", s.store.Names.Service, name, err), running.Stop())
		}
	}
	return running, nil
}

// answer carries out one request, which finish waits for, where the answer has a place to go.
func (s *service) answer(ctx context.Context, nc *nats.Conn, name string, do endpoint, r micro.Request) {
	takesLong := name == eventsEndpoint || name == whyEndpoint
	if !s.replies.MayAnswer(r.Subject(), r.Reply()) || r.Reply() == "" && (takesLong || name == statusEndpoint) { // nobody waits for the answer
		return
	}
	s.busy.RLock() // until it is carried out
	if takesLong {
		go s.carryOut(ctx, name, do, later{r, nc})
		return
	}
	s.carryOut(ctx, name, do, r)
}

// carryOut carries out one request. A panic is a defect of this program, and fails that request alone.
func (s *service) carryOut(ctx context.Context, name string, do endpoint, r micro.Request) {
	defer s.busy.RUnlock()
	defer func() {
		if defect := recover(); defect != nil {
			s.log.Error("panic: this is a defect of orderwatch; please report it", "subject", r.Subject(), "panic", defect, "stack", string(debug.Stack()))
			s.refuse(name, r, &wire.ServiceError{Code: 500, Reason: "this is a defect of orderwatch; its log says more"})
		}
	}()
	team := s.team(r)
	err := cmp.Or(wire.CheckTeam(team), s.gate.teams.Known(team))
	var reply any
	if err == nil {
		reply, err = do(ctx, r)
	}
	if err != nil {
		s.refuse(name, r, serviceError(err))
		return
	}
	if err := r.RespondJSON(reply); err != nil {
		s.log.Warn("answer not sent", "subject", r.Subject(), "err", err)
		s.refuse(name, r, &wire.ServiceError{Code: 503, Reason: "the answer could not be sent: " + wire.OneLine(err.Error())})
		return
	}
	s.answers.WithLabelValues(name, "200").Inc()
}

// maxReason bounds what a refusal says, in bytes: it stands in a header, too.
const maxReason = 4 << 10

// team returns whose request it is, empty for the operator's: the server vouches for it.
func (s *service) team(r micro.Request) string { return s.store.Names.TeamOf(r.Subject()) }

// view returns what the one who asks may see and touch.
func (s *service) view(r micro.Request) teams.View { return s.gate.view(s.team(r)) }

func (s *service) refuse(name string, r micro.Request, why *wire.ServiceError) {
	if len(why.Reason) > maxReason {
		why.Reason = strings.ToValidUTF8(why.Reason[:maxReason], "") + "…"
	}
	s.answers.WithLabelValues(name, strconv.Itoa(why.Code)).Inc()
	body, err := json.Marshal(why)
	if err == nil {
		err = r.Error(strconv.Itoa(why.Code), why.Reason, body)
	}
	if err != nil {
		s.log.Warn("answer not sent", "subject", r.Subject(), "err", err)
	}
}

// serviceError says what an error means for the requester.
func serviceError(err error) *wire.ServiceError {
	field, isField := errors.AsType[*watcher.FieldError](err)
	answer, isAnswer := errors.AsType[*wire.ServiceError](err)
	denied, isDenied := errors.AsType[*teams.Denied](err)
	switch {
	case isAnswer:
		return answer
	case isDenied:
		return &wire.ServiceError{Code: denied.Code, Field: denied.Field, Reason: denied.Error()}
	case isField:
		return &wire.ServiceError{Code: 400, Field: field.Field, Reason: field.Error()}
	case err == watcher.ErrNoRecord:
		return &wire.ServiceError{Code: 404, Reason: "no watch of this order is known: nobody asked to watch it, or its record is no longer kept"}
	case errors.Is(err, watcher.ErrNoRecord): // of a team's request
		return &wire.ServiceError{Code: 404, Reason: "no request of the team is in the order's watch; others may be, and go on"}
	case errors.Is(err, watcher.ErrBroken):
		return &wire.ServiceError{Code: 410, Reason: "its record cannot be read; a worker moves it aside within some minutes of the damage, and the order's next request then starts a new watch; the log of the workers says more"}
	case errors.Is(err, watcher.ErrOver):
		return &wire.ServiceError{Code: 409, Reason: "the watch has ended; a new request starts a new one"}
	}
	return &wire.ServiceError{Code: 503, Reason: "it is not known whether this was carried out; ask again: " + wire.OneLine(err.Error())}
}

// watch takes a request as intake does.
func (s *service) watch(ctx context.Context, r micro.Request) (any, error) {
	in := wire.Incoming{
		Team: s.team(r), Body: r.Data(), Header: nats.Header(r.Headers()),
		Stored: s.intake.Now().UTC().Truncate(time.Millisecond), MadeID: "req-" + nuid.Next(),
	}
	ask, err := s.gate.decode(in)
	if err != nil {
		return nil, err
	}
	if r.Headers().Get(wire.CheckOnly) == "true" {
		return wire.Accepted{State: "checked", RequestID: ask.Request.ID}, s.gate.look(ctx, ask)
	}
	admission, w, err := s.admit(ctx, ask)
	switch {
	case err != nil:
		return nil, err
	case admission == watcher.Defer:
		return nil, &wire.ServiceError{Code: 503, Reason: "the order's watch takes no more requests; publish this one on " + s.store.Names.Watch() + ", where it waits for its turn, or ask again when the watch has ended"}
	}
	answer := wire.Accepted{WatchID: w.ID, State: stateOf(&w, ask.Request), RequestID: ask.Request.ID}
	if !w.Answers(ask.Request) { // an earlier one did
		answer.WatchID = ""
	}
	return answer, nil
}

// endingTries is how often a watch that is ending is looked at again, every endingPause, before the
// request is to be asked again. It takes milliseconds, where nothing is wrong.
const (
	endingTries = 20
	endingPause = 50 * time.Millisecond
)

// admit lets the request in, also where it comes just when the order's watch ends.
func (s *service) admit(ctx context.Context, ask watcher.Ask) (watcher.Admission, watcher.Watch, error) {
	for try := 0; ; try++ {
		admission, w, err := s.intake.Admit(ctx, ask)
		if err != nil || admission != watcher.Defer || !w.Ends() {
			return admission, w, err
		}
		if try == endingTries || !link.Sleep(ctx, endingPause) {
			return admission, w, errors.New("the order's watch is ending")
		}
	}
}

// untilItGoesOn does so again while the watch is ending for some of its requests, and about to go on for the others.
func untilItGoesOn(ctx context.Context, do func() (watcher.Watch, error)) (watcher.Watch, error) {
	for try := 0; ; try++ {
		w, err := do()
		if !errors.Is(err, watcher.ErrConflict) || try == endingTries || !link.Sleep(ctx, endingPause) {
			return w, err
		}
	}
}

// stateOf says what became of the request.
func stateOf(w *watcher.Watch, asked watcher.Request) string {
	switch slices.IndexFunc(w.Requests, func(r watcher.Request) bool { return r.Identity() == asked.Identity() }) {
	case -1:
		return "ended"
	case 0:
		return "watching"
	}
	return "joined"
}

// get shows a watch.
func (s *service) get(ctx context.Context, r micro.Request) (any, error) {
	order, err := s.rules.DecodeOrder(r.Data())
	if err != nil {
		return nil, err
	}
	w, _, err := s.store.ReadShown(ctx, order)
	aside, view := w.MovedAside(), s.view(r)
	switch {
	case !owns(view, order, &w, err):
		return nil, watcher.ErrNoRecord
	case errors.Is(err, watcher.ErrNoRecord):
		return nil, s.noRecord(ctx, order)
	case aside != nil:
		return nil, &wire.ServiceError{Code: 410, Reason: fmt.Sprintf("its record cannot be read: %s; it was moved aside at %s, and the order's next request, with a new id, starts a new watch", wire.OneLine(aside.Why), aside.At.UTC().Format(time.RFC3339))}
	}
	return s.shown(ctx, view, w, err)
}

// why says what happened to a watch that get shows, when it is its turn among the questions that read events.
func (s *service) why(ctx context.Context, r micro.Request) (answer any, err error) {
	mine, leave := s.follow.share(s.team(r))
	defer leave()
	err = s.follow.inTurn(ctx, mine, func() error {
		shown, err := s.get(ctx, r)
		if err == nil {
			answer, err = story.Read(ctx, s.store, s.view(r), shown.(watcher.Snapshot))
		}
		return err
	})
	return answer, err
}

// owns reports whether the view has the order's watch, whose record was read with the error. Where there is none, or it
// cannot be decoded, the project alone decides; where it is not known what is there, the error says all.
func owns(view teams.View, order watcher.Order, w *watcher.Watch, err error) bool {
	switch {
	case err == nil:
		return view.Owns(w)
	case errors.Is(err, watcher.ErrNoRecord), errors.Is(err, watcher.ErrBroken), errors.Is(err, watcher.ErrNewerSchema):
		return view.Project(order.ProjectID)
	}
	return true
}

// own returns the error of a watch that is not there where the view does not have the order's.
func (s *service) own(ctx context.Context, view teams.View, order watcher.Order) error {
	if view.Project(order.ProjectID) {
		return nil
	}
	w, _, err := s.store.ReadLatest(ctx, order)
	if !owns(view, order, &w, err) {
		return watcher.ErrNoRecord
	}
	return err
}

// shown returns what the view shows of a record, as large as the server takes now, or why there is nothing.
func (s *service) shown(ctx context.Context, view teams.View, w watcher.Watch, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	now, held := s.store.Clock.Now(), s.store.Holding(&w)
	shown := s.intake.Policy.Snapshot(w, held, now)
	if encoded, err := json.Marshal(shown); err == nil && !s.store.Fits(ctx, len(encoded)) {
		shown = s.intake.Policy.Snapshot(w, held, now) // the server was asked since, and takes less
	}
	shown.Links = shown.LinksAt(s.store.PublicURL)
	return view.Shown(shown), nil
}

// noRecord says why an order has no record: one whose wake-ups are still there had one.
func (s *service) noRecord(ctx context.Context, order watcher.Order) error {
	number, watchID, err := s.store.HighestOf(ctx, order)
	switch {
	case err != nil:
		return err
	case number == 0:
		return watcher.ErrNoRecord
	}
	return &wire.ServiceError{Code: 410, Reason: fmt.Sprintf("its record cannot be read: it was deleted while its watch %s went on; publish its requests again", wire.OneLine(watchID))}
}

// list shows a page of watches.
func (s *service) list(ctx context.Context, r micro.Request) (any, error) {
	body := r.Data()
	if len(body) == 0 {
		body = []byte("{}")
	}
	q, err := wire.DecodeList(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.store.Timing.List)
	defer cancel()
	answer, err := s.index.List(ctx, q, s.view(r), s.intake.Policy)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(err, index.ErrOlder):
		return nil, &wire.ServiceError{Code: 503, Reason: fmt.Sprintf("the ended watches were not all read within %s, and to ask again does not help: name a project_id, or ask for state watching", s.store.Timing.List)}
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &wire.ServiceError{Code: 503, Reason: fmt.Sprintf("not all records were read within %s; the worker goes on from there: ask again", s.store.Timing.List)}
	}
	return answer, err
}

// cancel cancels a watch.
func (s *service) cancel(ctx context.Context, r micro.Request) (any, error) {
	c, err := s.rules.DecodeCancel(r.Data())
	if err != nil {
		return nil, err
	}
	view := s.view(r)
	if err := s.own(ctx, view, c.Order); err != nil {
		return nil, err
	}
	if err := s.gate.count(ctx, s.team(r)); err != nil {
		return nil, err
	}
	w, err := untilItGoesOn(ctx, func() (watcher.Watch, error) {
		return s.intake.Cancel(ctx, c.Order, watcher.Wish{By: c.By, Team: s.team(r), Reason: c.Reason})
	})
	return s.shown(ctx, view, w, err)
}

// poll lets a watch be polled at the next opportunity.
func (s *service) poll(ctx context.Context, r micro.Request) (any, error) {
	order, err := s.rules.DecodeOrder(r.Data())
	if err != nil {
		return nil, err
	}
	view := s.view(r)
	if err := s.own(ctx, view, order); err != nil {
		return nil, err
	}
	if err := s.gate.count(ctx, s.team(r)); err != nil {
		return nil, err
	}
	if w, _, err := s.store.Read(ctx, order); err == nil && w.State == watcher.Watching {
		if err := s.store.AskSooner(ctx, &w); err != nil {
			return nil, err
		}
	}
	w, err := untilItGoesOn(ctx, func() (watcher.Watch, error) { return s.intake.PollNow(ctx, order) })
	return s.shown(ctx, view, w, err)
}

// renotify stores the wish to tell people again, for the workers that tell them.
func (s *service) renotify(ctx context.Context, r micro.Request) (any, error) {
	q, err := s.rules.DecodeRenotify(r.Data())
	if err != nil {
		return nil, err
	}
	if err := s.gate.teams.MayTell(s.team(r), "slack_channels", q.Channels...); err != nil {
		return nil, err
	}
	view := s.view(r)
	c, sequence, err := s.store.FindCompletion(ctx, q, view)
	if err != nil {
		return nil, err
	}
	if len(q.Channels) == 0 && view.Others(c.Requests) { // their channels are theirs
		return nil, &wire.ServiceError{Code: 403, Field: "slack_channels", Reason: "slack_channels: is required, since the watch has requests of others, too: name channels of your team"}
	}
	if err := s.gate.count(ctx, s.team(r)); err != nil {
		return nil, err
	}
	again := watcher.Again{
		ID: cmp.Or(q.RequestID, nuid.Next()), WatchID: c.WatchID, ProjectID: c.ProjectID, OrderName: c.OrderName, Sequence: sequence,
		By: q.By, Team: s.team(r), At: s.intake.Now().UTC().Truncate(time.Millisecond), Channels: append([]string{}, q.Channels...),
	}
	if err := s.store.Renotify(ctx, c, again); err != nil {
		return nil, err
	}
	return wire.Renotified{Order: c.Order(), WatchID: c.WatchID, Outcome: c.Outcome, CompletedAt: c.CompletedAt, RequestID: again.ID}, nil
}

// history shows how long orders take, after it has forgotten what the request names. It says nothing of single orders, so
// every team may see it; forgetting changes what all are told, and is the operator's alone.
func (s *service) history(ctx context.Context, r micro.Request) (any, error) {
	forget, err := wire.DecodeHistory(r.Data())
	if err != nil {
		return nil, err
	}
	if forget != "" {
		if team := s.team(r); team != "" {
			return nil, &wire.ServiceError{Code: 403, Field: "forget", Reason: "forget: is for the operator alone, since all teams are told by it"}
		}
		known, err := s.usual.Forget(ctx, forget)
		switch {
		case err != nil:
			return nil, err
		case !known:
			return nil, &wire.ServiceError{Code: 404, Field: "forget", Reason: "forget: nothing is known under this key"}
		}
	}
	answer := wire.HistoryAnswer{Known: []wire.KnownOrders{}}
	s.usual.Each(func(key history.Key, sketch *history.Sketch) {
		known := wire.KnownOrders{Key: key.String(), Region: key.Region, Actions: key.Actions, Phase: key.Phase, Ends: sketch.Known()}
		if u, ok := sketch.Usual(); ok {
			known.P10, known.P50, known.P90 = &u.P10, &u.P50, &u.P90
		}
		if after, ok := sketch.Late(); ok && key.OfKind() {
			known.LateAfter = new(history.Span(after.Round(time.Second)))
		}
		answer.Known = append(answer.Known, known)
	})
	return answer, nil
}
