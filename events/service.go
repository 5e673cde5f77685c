package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
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

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/schema"
	"github.com/orderwatch/orderwatch/watcher"
)

// An Accepted is the service's answer to a request to watch an order. The request is durably stored.
type Accepted struct {
	// WatchID names the watch that the request is in. It is a hint: follow a request by its id. Empty where
	// an earlier watch of the order answered it.
	WatchID string `json:"watch_id"`
	// State is watching where the request started the watch, joined where it joined one, and ended
	// where the watch that answers the request has ended already.
	State     string `json:"state"`
	RequestID string `json:"request_id"` // the request's own, or made for it
}

// A CancelRequest asks that an order's watch be cancelled.
type CancelRequest struct {
	watcher.Order
	By     string `json:"by"`               // person or program, ≤ 200 characters; shown to people
	Reason string `json:"reason,omitempty"` // ≤ 500 characters; shown to people
}

// maxCancelReason is the longest reason of a cancel, in characters.
const maxCancelReason = 500

// A service answers those who want an answer now, on request/reply, beside those of other workers:
// each request is answered by one of them. An endpoint answers one request at a time.
type service struct {
	log     *slog.Logger
	names   Names
	rules   RequestRules
	intake  *watcher.Intake
	store   *store
	mayTake func() error // why nothing may be written now; nil where it may
	answers *prometheus.CounterVec
	busy    sync.RWMutex // held for reading while a request is carried out
	status  func(context.Context, micro.Request) (any, error)
}

// finish waits for the requests that are being carried out.
func (s *service) finish() {
	s.busy.Lock()
	defer s.busy.Unlock()
}

// A ServiceError is a request that the service did not carry out.
type ServiceError struct {
	Code   int    `json:"code"`            // 400 wrong, 404 no such watch, 409 it has ended, 410 its record cannot be read, 503 not known or not now: ask again
	Field  string `json:"field,omitempty"` // of the request, with 400
	Reason string `json:"reason"`          // what is wrong and what would be right
}

func (e *ServiceError) Error() string { return e.Reason }

// endpoints are what the service can be asked, with what each does.
func (s *service) endpoints() map[string]func(context.Context, micro.Request) (any, error) {
	return map[string]func(context.Context, micro.Request) (any, error){
		"watch": s.watch, "get": s.get, "list": s.list, "cancel": s.cancel, "poll": s.poll, "renotify": s.renotify, "status": s.status,
	}
}

// begin makes the service answer until it is stopped. Requests are carried out under ctx.
func (s *service) begin(ctx context.Context, nc *nats.Conn, version string) (micro.Service, error) {
	running, err := micro.AddService(nc, micro.Config{
		Name: s.names.Service, Version: semantic(version),
		Description: "Watches ModelArts orders until they have ended",
		Metadata:    map[string]string{"requests": s.names.watch(), "events": s.names.eventStream()},
	})
	if err != nil {
		return nil, fmt.Errorf("begin the service %s: %w", s.names.Service, err)
	}
	group := running.AddGroup(s.names.Service)
	endpoints := s.endpoints()
	for _, name := range slices.Sorted(maps.Keys(endpoints)) { // as tools list them
		handler := micro.HandlerFunc(func(r micro.Request) { s.answer(ctx, name, endpoints[name], r) })
		schemas := micro.WithEndpointMetadata(map[string]string{
			"request_schema": schema.Compact(name + "-request"), "response_schema": schema.Compact(name + "-response"),
		})
		if err := group.AddEndpoint(name, handler, schemas); err != nil {
			return nil, errors.Join(fmt.Errorf("answer on %s.%s: %w", s.names.Service, name, err), running.Stop())
		}
	}
	return running, nil
}

var semver = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// semantic returns the version as the service is to announce it: 0.0.0 where it has no number.
func semantic(version string) string {
	if v := strings.TrimPrefix(version, "v"); semver.MatchString(v) {
		return v
	}
	return "0.0.0"
}

// answer carries out one request. A panic is a defect of this program, and fails that request alone.
func (s *service) answer(ctx context.Context, name string, do func(context.Context, micro.Request) (any, error), r micro.Request) {
	s.busy.RLock()
	defer s.busy.RUnlock()
	defer func() {
		if defect := recover(); defect != nil {
			s.log.Error("panic: this is a defect of orderwatch; please report it", "subject", r.Subject(), "panic", defect, "stack", string(debug.Stack()))
			s.refuse(name, r, &ServiceError{Code: 500, Reason: "this is a defect of orderwatch; its log says more"})
		}
	}()
	reply, err := do(ctx, r)
	if err != nil {
		s.refuse(name, r, serviceError(err))
		return
	}
	if err := r.RespondJSON(reply); err != nil {
		s.log.Warn("answer not sent", "subject", r.Subject(), "err", err)
		s.refuse(name, r, &ServiceError{Code: 503, Reason: "the answer could not be sent: " + oneLine(err.Error())})
		return
	}
	s.answers.WithLabelValues(name, "200").Inc()
}

func (s *service) refuse(name string, r micro.Request, why *ServiceError) {
	s.answers.WithLabelValues(name, strconv.Itoa(why.Code)).Inc()
	body, err := json.Marshal(why)
	if err == nil {
		err = r.Error(strconv.Itoa(why.Code), why.Reason, body)
	}
	if err != nil {
		s.log.Warn("answer not sent", "subject", r.Subject(), "err", err)
	}
}

// serviceError says what an error means for whoever asked.
func serviceError(err error) *ServiceError {
	field, isField := errors.AsType[*watcher.FieldError](err)
	answer, isAnswer := errors.AsType[*ServiceError](err)
	switch {
	case isAnswer:
		return answer
	case isField:
		return &ServiceError{Code: 400, Field: field.Field, Reason: field.Error()}
	case errors.Is(err, watcher.ErrNoRecord):
		return &ServiceError{Code: 404, Reason: "no watch of this order is known: it was not asked for, or that is longer ago than records are kept"}
	case errors.Is(err, watcher.ErrBroken):
		return &ServiceError{Code: 410, Reason: "its record cannot be read; a worker moves it aside within some minutes of the damage, and the order's next request then starts a new watch; the log of the workers says more"}
	case errors.Is(err, watcher.ErrOver):
		return &ServiceError{Code: 409, Reason: "the watch has ended; a new request starts a new one"}
	}
	return &ServiceError{Code: 503, Reason: "it is not known whether this was carried out; ask again: " + oneLine(err.Error())}
}

// oneLine returns the text as a header can hold it.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// watch takes a request as intake does.
func (s *service) watch(ctx context.Context, r micro.Request) (any, error) {
	if err := s.mayTake(); err != nil {
		return nil, err
	}
	in := incoming{
		body: r.Data(), header: nats.Header(r.Headers()),
		stored: s.intake.Now().UTC().Truncate(time.Millisecond), made: "req-" + nuid.Next(),
	}
	ask, err := s.rules.decode(in)
	if err != nil {
		return nil, err
	}
	admission, w, err := s.admit(ctx, ask)
	switch {
	case err != nil:
		return nil, err
	case admission == watcher.Defer:
		return nil, &ServiceError{Code: 503, Reason: "the order's watch takes no more requests; publish this one on " + s.names.watch() + ", where it waits for its turn, or ask again when the watch has ended"}
	}
	answer := Accepted{WatchID: w.ID, State: stateOf(&w, ask.Request.ID), RequestID: ask.Request.ID}
	if !w.Answers(ask.Request.ID) { // an earlier one did
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

// stateOf says what became of the request.
func stateOf(w *watcher.Watch, requestID string) string {
	switch {
	case w.State == watcher.Watching && len(w.Requests) > 0 && w.Requests[0].ID == requestID:
		return "watching"
	case w.State == watcher.Watching && w.Answers(requestID):
		return "joined"
	}
	return "ended"
}

// get shows a watch.
func (s *service) get(ctx context.Context, r micro.Request) (any, error) {
	order, err := s.decodeOrder(r.Data())
	if err != nil {
		return nil, err
	}
	w, _, err := s.store.ReadLatest(ctx, order)
	switch {
	case errors.Is(err, watcher.ErrNoRecord):
		return nil, s.noRecord(ctx, order)
	case err != nil:
		return nil, err
	}
	if aside := w.MovedAside(); aside != nil {
		return nil, movedAside(aside)
	}
	return s.shown(ctx, w), nil
}

// shown returns the snapshot of the record, as large as the server takes now.
func (s *service) shown(ctx context.Context, w watcher.Watch) watcher.Snapshot {
	shown := s.intake.Policy.Snapshot(w)
	if encoded, err := json.Marshal(shown); err == nil && !s.store.payload.fits(ctx, len(encoded)+headerRoom) {
		return s.intake.Policy.Snapshot(w)
	}
	return shown
}

// noRecord says why an order has no record: one whose wake-ups are still there had one.
func (s *service) noRecord(ctx context.Context, order watcher.Order) error {
	number, watchID, err := s.store.highest(ctx, order)
	switch {
	case err != nil:
		return err
	case number == 0:
		return watcher.ErrNoRecord
	}
	return &ServiceError{Code: 410, Reason: fmt.Sprintf("its record cannot be read: it was deleted while its watch %s went on; publish its requests again", oneLine(watchID))}
}

func movedAside(aside *watcher.Aside) error {
	return &ServiceError{Code: 410, Reason: fmt.Sprintf("its record cannot be read: %s; it was moved aside at %s, and the order's next request, with a new id, starts a new watch", oneLine(aside.Why), aside.At.UTC().Format(time.RFC3339))}
}

// list shows a page of watches.
func (s *service) list(ctx context.Context, r micro.Request) (any, error) {
	body := r.Data()
	if len(body) == 0 {
		body = []byte("{}")
	}
	q, err := decodeList(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.store.timing.List)
	defer cancel()
	answer, err := s.store.list(ctx, q, s.intake.Policy)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &ServiceError{Code: 503, Reason: fmt.Sprintf("there are more records than can be read within %s; name a project_id", s.store.timing.List)}
	}
	return answer, err
}

// cancel cancels a watch.
func (s *service) cancel(ctx context.Context, r micro.Request) (any, error) {
	if err := s.mayTake(); err != nil {
		return nil, err
	}
	c := CancelRequest{Order: watcher.Order{ProjectID: s.rules.DefaultProject}}
	err := eachField(r.Data(), "", func(name string, value json.RawMessage) error {
		switch name {
		case "by":
			return text(name, value, 200, &c.By)
		case "reason":
			return text(name, value, maxCancelReason, &c.Reason)
		}
		return orderField(name, value, &c.Order, ", by, reason")
	})
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(missing(c.Order), c.Order.Validate()); err != nil {
		return nil, err
	}
	if c.By == "" {
		return nil, &watcher.FieldError{Field: "by", Reason: "is required: who cancels"}
	}
	return s.snapshot(ctx)(s.intake.Cancel(ctx, c.Order, watcher.Wish{By: c.By, Reason: c.Reason}))
}

// poll lets a watch be polled at the next opportunity.
func (s *service) poll(ctx context.Context, r micro.Request) (any, error) {
	if err := s.mayTake(); err != nil {
		return nil, err
	}
	order, err := s.decodeOrder(r.Data())
	if err != nil {
		return nil, err
	}
	return s.snapshot(ctx)(s.intake.PollNow(ctx, order))
}

// snapshot returns what shows the record that a call returned.
func (s *service) snapshot(ctx context.Context) func(watcher.Watch, error) (any, error) {
	return func(w watcher.Watch, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return s.shown(ctx, w), nil
	}
}

// decodeOrder reads a request that names an order and nothing else.
func (s *service) decodeOrder(body []byte) (watcher.Order, error) {
	order := watcher.Order{ProjectID: s.rules.DefaultProject}
	err := eachField(body, "", func(name string, value json.RawMessage) error {
		return orderField(name, value, &order, "")
	})
	return order, cmp.Or(err, missing(order), order.Validate())
}

func orderField(name string, value json.RawMessage, to *watcher.Order, others string) error {
	switch name {
	case "project_id":
		return text(name, value, 64, &to.ProjectID)
	case "order_name":
		return text(name, value, 128, &to.Name)
	}
	return &watcher.FieldError{Field: show(name), Reason: "is no field of this request; the fields are project_id, order_name" + others}
}

// missing names a part of the order that is required and not there.
func missing(order watcher.Order) error {
	switch {
	case order.ProjectID == "":
		return &watcher.FieldError{Field: "project_id", Reason: "is required"}
	case order.Name == "":
		return &watcher.FieldError{Field: "order_name", Reason: "is required"}
	}
	return nil
}
