package events_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/proxy"
	"github.com/orderwatch/orderwatch/watcher"
)

// An evidence is a worker behind a proxy, which watches one order for each case of a table. Each
// order is asked for, joined while it is polled, and asked for once more when it has ended; a
// request that is none is sent with it.
type evidence struct {
	*running
	proxy *proxy.Proxy
	js    jetstream.JetStream // past the proxy
	cloud *orders
	open  atomic.Bool // orders end

	orders []string // names
	cases  map[string]string
	again  []func() // add the rules for when it is asked for again
	rules  map[string][]*proxy.Active

	streams map[string]jetstream.Stream
	mu      sync.Mutex
	early   []error // acknowledgements that came too early
}

func startEvidence(t *testing.T) *evidence {
	t.Helper()
	s := eventstest.Server(t)
	e := &evidence{
		proxy: startProxy(t, s), cases: make(map[string]string),
		rules: make(map[string][]*proxy.Active), streams: make(map[string]jetstream.Stream),
	}
	_, e.js = eventstest.Connect(t, s)
	cfg := config()
	cfg.Concurrency = 64
	cfg.PollTimeout = 200 * time.Millisecond
	cfg.Policy.Backoff.Max = 300 * time.Millisecond
	cfg.Timing.Request = 2 * time.Second // a busy server answers within it, or the worker never becomes ready
	cfg.Timing.AckWait = 3 * time.Second
	cfg.Timing.PutBack.Max = 500 * time.Millisecond
	cfg.Recall = -1                      // all records are read
	cfg.Timing.PatrolEvery = time.Minute // nobody but the worker's loops is to make it right
	e.cloud = gated(&e.open)
	e.running = parts{url: e.proxy.URL(), config: cfg, orders: e.cloud}.ready(t)
	for _, name := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS", "ORDER_EVENTS", "KV_ORDER_WATCHES"} {
		stream, err := e.js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		e.streams[name] = stream
	}
	e.proxy.Add(proxy.Rule{Way: proxy.ToServer, Subject: "$JS.ACK.>", Match: func(m proxy.Message) bool {
		if err := e.settled(t, m); err != nil {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.early = append(e.early, err)
		}
		return true
	}})
	t.Cleanup(func() { // also where the rest did not come to its end
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, err := range e.early {
			t.Error(err)
		}
	})
	return e
}

// add makes a case: rules for an order of its own, some from the start and some from when it is
// asked for again. In their subjects {order} stands for its key; a rule without it is for the
// messages that name the order in their body. Each must act on something.
func (e *evidence) add(name string, first, again []proxy.Rule) {
	order := fmt.Sprintf("order.case-%d", len(e.orders))
	e.orders = append(e.orders, order)
	e.cases[order] = name
	follow := func(rules []proxy.Rule) {
		for _, r := range rules {
			e.rules[order] = append(e.rules[order], e.proxy.Add(ruleFor(order, r)))
		}
	}
	follow(first)
	e.again = append(e.again, func() { follow(again) })
}

func ruleFor(order string, r proxy.Rule) proxy.Rule {
	if !strings.Contains(r.Subject, "{order}") {
		r.Match = func(m proxy.Message) bool { return bytes.Contains(m.Payload, []byte(order+`"`)) }
	}
	r.Subject = strings.ReplaceAll(r.Subject, "{order}", of(order).Key())
	return r
}

// run watches the orders and holds that each comes out right.
func (e *evidence) run(t *testing.T) {
	t.Helper()
	ask := func(id string) {
		for _, order := range e.orders {
			r := request(order)
			r["request_id"], r["expected_items"] = id+" "+order, 1
			publish(t, e.js, r)
		}
	}
	taken := func() error {
		if n := eventstest.Messages(t, e.js, "ORDER_REQUESTS", ">"); n > 0 {
			return fmt.Errorf("%d requests are not taken", n)
		}
		return nil
	}
	ask("first")
	for _, order := range e.orders {
		r := request(order)
		r["request_id"], r["timeout"] = "bad "+order, "-5m"
		publish(t, e.js, r)
	}
	for _, order := range e.orders {
		eventstest.Eventually(t, e.cloud.polled(order, 3))
	}
	eventstest.Eventually(t, taken)
	ask("join")
	eventstest.Eventually(t, taken)
	e.open.Store(true)
	eventstest.Eventually(t, idle(t, e.js, "ORDER"))
	for _, follow := range e.again {
		follow()
	}
	ask("again")
	eventstest.Eventually(t, idle(t, e.js, "ORDER"))

	completed := make(map[string][]watcher.Completion)
	for _, event := range eventstest.Events(t, e.js, "ORDER_EVENTS", "orders.completed.>") {
		c := event.Completion(t)
		completed[c.OrderName] = append(completed[c.OrderName], c)
	}
	for _, order := range e.orders {
		t.Run(e.cases[order], func(t *testing.T) { e.check(t, order, completed[order]) })
	}
	e.checkRejected(t)
}

// check holds that the order's watches ended right.
func (e *evidence) check(t *testing.T, order string, completed []watcher.Completion) {
	watches, requests := make(map[string]bool), make(map[string]int)
	last := ""
	for _, c := range completed {
		if watches[c.WatchID] {
			t.Errorf("watch %s completed twice", c.WatchID)
		}
		watches[c.WatchID], last = true, c.WatchID
		for _, r := range c.Requests {
			requests[r.ID]++
		}
		if c.Outcome != watcher.Succeeded {
			t.Errorf("outcome %s of %s", c.Outcome, c.WatchID)
		}
	}
	for _, id := range []string{"first", "join", "again"} {
		if n := requests[id+" "+order]; n != 1 {
			t.Errorf("request %q is named in %d completions; want 1", id, n)
		}
	}
	if len(completed) != 2 || len(requests) != 3 {
		t.Errorf("%d completions name the requests %v; want 2 with 3", len(completed), requests)
	}
	if w := readRecord(t, e.js, order); w.State != watcher.Ended || w.ID != last {
		t.Errorf("the record of %s is %s; want that of %s, ended", w.ID, w.State, last)
	}
	for i, rule := range e.rules[order] {
		if rule.Acted() == 0 {
			t.Errorf("rule %d acted on nothing", i)
		}
	}
}

// checkRejected holds that each request that is none was answered, under one id.
func (e *evidence) checkRejected(t *testing.T) {
	t.Helper()
	ids := make(map[string]string)
	for _, event := range eventstest.Events(t, e.js, "ORDER_EVENTS", "orders.rejected") {
		var rejected struct {
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(event.Data, &rejected); err != nil {
			t.Fatal(err)
		}
		if id, ok := ids[rejected.RequestID]; ok && id != event.ID {
			t.Errorf("%s was rejected as %s and %s", rejected.RequestID, id, event.ID)
		}
		ids[rejected.RequestID] = event.ID
	}
	if len(ids) != len(e.orders) {
		t.Errorf("%d requests were rejected; want %d", len(ids), len(e.orders))
	}
}

// settled is asked before the server gets the word about a delivery. The error says that the
// message is given up and what must follow from it is not stored.
func (e *evidence) settled(t *testing.T, m proxy.Message) error {
	stream, sequence, ok := delivered(m.Subject)
	if word := string(m.Payload); !ok || word != "+ACK" && word != "+TERM" {
		return nil
	}
	message, err := e.streams[stream].GetMsg(t.Context(), sequence)
	if err != nil {
		return nil // given up before
	}
	switch stream {
	case "ORDER_WAKEUPS":
		return e.followed(t, message)
	case "ORDER_REQUESTS":
		return e.named(t, message)
	}
	return nil
}

// delivered reads the subject on which a delivery is settled.
func delivered(subject string) (stream string, sequence uint64, ok bool) {
	tokens := strings.Split(subject, ".")[2:]
	if len(tokens) > 8 {
		tokens = tokens[2:] // the domain and the account
	}
	if len(tokens) < 4 {
		return "", 0, false
	}
	sequence, err := strconv.ParseUint(tokens[3], 10, 64)
	return tokens[0], sequence, err == nil
}

// followed holds that a wake-up has a successor, or its watch has ended.
func (e *evidence) followed(t *testing.T, wakeup *jetstream.RawStreamMsg) error {
	key := strings.TrimPrefix(wakeup.Subject, "orders.due.")
	record, err := e.streams["KV_ORDER_WATCHES"].GetLastMsgForSubject(t.Context(), "$KV.ORDER_WATCHES."+key)
	if err != nil {
		return fmt.Errorf("a wake-up of %s was acknowledged, and its record: %w", key, err)
	}
	if w, err := watcher.DecodeWatch(record.Data); err == nil && w.State == watcher.Ended {
		return nil
	}
	info, err := e.streams["ORDER_WAKEUPS"].Info(t.Context(), jetstream.WithSubjectFilter("orders.*."+key))
	if err != nil {
		return err
	}
	n := uint64(0)
	for _, count := range info.State.Subjects {
		n += count
	}
	if n < 2 {
		return fmt.Errorf("the only wake-up of %s was acknowledged while its record was %s", key, record.Data)
	}
	return nil
}

// named holds that a record names the request, or an event says why it is none.
func (e *evidence) named(t *testing.T, ask *jetstream.RawStreamMsg) error {
	var r struct {
		Order string `json:"order_name"`
		ID    string `json:"request_id"`
	}
	if err := json.Unmarshal(ask.Data, &r); err != nil {
		return err
	}
	if strings.HasPrefix(r.ID, "bad ") {
		return e.answered(t, r.ID)
	}
	record, err := e.streams["KV_ORDER_WATCHES"].GetLastMsgForSubject(t.Context(), "$KV.ORDER_WATCHES."+of(r.Order).Key())
	if err != nil {
		return fmt.Errorf("request %q was acknowledged, and its record: %w", r.ID, err)
	}
	w, err := watcher.DecodeWatch(record.Data)
	if err != nil {
		return err
	}
	names := func(list []watcher.Request) bool {
		return slices.ContainsFunc(list, func(got watcher.Request) bool { return got.ID == r.ID })
	}
	if !names(w.Requests) && !slices.Contains(w.Earlier, r.ID) && (w.Completion == nil || !names(w.Completion.Requests)) {
		return fmt.Errorf("request %q was acknowledged while its record was %s", r.ID, record.Data)
	}
	return nil
}

// answered holds that an event says why the request is none.
func (e *evidence) answered(t *testing.T, id string) error {
	for sequence := uint64(0); ; sequence++ {
		m, err := e.streams["ORDER_EVENTS"].GetMsg(t.Context(), sequence, jetstream.WithGetMsgSubject("orders.rejected"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("request %q was given up without an event", id)
		}
		if err != nil {
			return err
		}
		if strings.Contains(string(m.Data), `"`+id+`"`) {
			return nil
		}
		sequence = m.Sequence
	}
}
