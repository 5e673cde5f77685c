package outbox_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

var (
	seeds = flag.Int("seeds", watchertest.Rounds(250), "how many seeds TestOutbox runs")
	one   = flag.Int("seed", -1, "the one seed to run, with its trace")
)

// TestOutbox lets two workers deliver the same events, one call of one of them at a time, in an order
// that the seed draws, while Slack, the notes and the workers fail.
func TestOutbox(t *testing.T) {
	t.Parallel()
	first, n := 0, *seeds
	if *one >= 0 {
		first, n = *one, *one+1
	}
	crashes, doubts, digests, groups := 0, 0, 0, 0
	for seed := first; seed < n && !t.Failed(); seed++ {
		o := newModel(t, uint64(seed))
		o.live()
		o.check()
		for _, wrong := range o.wrong {
			t.Error(wrong)
		}
		crashes, doubts, digests, groups = crashes+o.crashes, doubts+o.doubts, digests+o.digests, groups+o.groups
		if *one >= 0 {
			t.Log(strings.Join(o.trace, "\n"))
		} else if t.Failed() {
			t.Logf("its trace: go test ./notify/outbox -v -run TestOutbox -seed=%d", seed)
		}
	}
	t.Logf("%d seeds: %d crashes, %d doubled without the history, %d digests, %d groups", n-first, crashes, doubts, digests, groups)
}

// A model is a world of two workers, a Slack and the notes, in which several deliveries are under way.
type model struct {
	t           *testing.T
	random      *rand.Rand
	now         time.Time
	slack       *emulator.Server
	notes       notes
	history     bool            // the bot may read histories
	files       bool            // the bot may upload files
	progress    bool            // people are told while orders run
	quiet       bool            // people are not told that an order ended well
	archived    bool            // C0TEAM is, so C0SPARE gets its messages
	locked      string          // this channel's threads are, or will be; empty: none
	changesAt   time.Time       // when C0TEAM is archived, or the threads are locked; zero: not to come
	unknown     map[string]bool // channels in which a text alone was refused with a code that nobody knows
	kept        map[string]bool // what was kept as undelivered, by its ID
	storm       int             // so many orders end well at once
	alike       int             // so many fail at once with one cause
	stormIn     string
	routes      routes.Routes
	moves       time.Time // when all workers are started with other routes; zero: not to come
	rerouted    bool      // they were
	workers     [2]*outbox.Outbox
	unedited    map[string]bool // those of which an edit failed in whatever way
	calm        time.Time       // no fault after it
	replaced    map[string]bool // the messages, by ts, of which Slack refused an edit
	faults      float64         // how many calls of a hundred go wrong
	completions []watcher.Completion
	outage      bool
	blind       bool // people are told of an order that goes on
	aloud       bool // a rule wakes people for it
	follows     int  // so often they are told how far it is
	conditions  []watcher.OrderAttention
	todo        []*posted
	hands       []*delivering
	at          *delivering
	crashes     int
	doubts      int
	digests     int
	groups      int
	trace       []string
	wrong       []string // what breaks a promise
	without     []guard  // that are taken out of every worker
}

// A posted is an event that is to be delivered.
type posted struct {
	name    string
	deliver func(context.Context, *outbox.Outbox) error
	due     time.Time
	busy    bool
	done    bool
}

// A delivering is one in the hands of a worker, stopped before its next call.
type delivering struct {
	of     *posted
	worker int
	goOn   time.Time
	next   func() (time.Duration, bool)
	stop   func()
	yield  func(time.Duration) bool
}

// died is what a worker that dies panics with.
type died struct{}

func newModel(t *testing.T, seed uint64, without ...guard) *model {
	o := &model{t: t, replaced: make(map[string]bool), unedited: make(map[string]bool), unknown: make(map[string]bool), kept: make(map[string]bool), without: without, random: rand.New(rand.NewPCG(seed, 6)), now: ended.Add(10 * time.Second)}
	o.history = o.random.IntN(4) > 0
	o.faults = []float64{0, 2, 8, 20}[o.random.IntN(4)]
	o.calm = o.now.Add(time.Duration(1+o.random.IntN(10)) * time.Minute)
	clock := func() time.Time { return o.now }
	o.slack = emulator.New(emulator.Options{
		Now: clock, HistoryLag: time.Duration(o.random.IntN(3)) * 10 * time.Second,
		ClientIDs: []emulator.ClientIDs{emulator.Ignored, emulator.SameAnswer, emulator.Duplicate}[o.random.IntN(3)],
	})
	scopes := []string{"chat:write"}
	if o.history {
		scopes = append(scopes, "channels:history")
	}
	if o.files = o.random.IntN(4) > 0; o.files {
		scopes = append(scopes, "files:write")
	}
	o.slack.AddToken(token, scopes...)
	o.slack.AddChannel("C0ONCALL", emulator.Open)
	o.slack.AddChannel("C0SPARE", emulator.Open)
	o.progress, o.quiet, o.archived = o.random.IntN(3) == 0, o.random.IntN(4) == 0, o.random.IntN(5) == 0
	team := emulator.Open
	if o.archived {
		team = emulator.Archived
	}
	o.slack.AddChannel("C0TEAM", team)
	o.route("C0ONCALL")
	for i := range o.workers {
		o.start(i)
	}
	if o.random.IntN(4) == 0 {
		o.slack.AddChannel("C0NEW", emulator.Open)
		o.moves = o.now.Add(o.within(2 * time.Minute))
	} else if o.random.IntN(10) == 0 {
		o.alike, o.stormIn = 4+o.random.IntN(70), []string{"C0ONCALL", "C0TEAM"}[o.random.IntN(2)]
	} else if o.random.IntN(30) == 0 {
		o.storm, o.stormIn = 60+o.random.IntN(40), []string{"C0ONCALL", "C0TEAM"}[o.random.IntN(2)]
	}
	o.refuse()
	for i := range 1 + o.random.IntN(3) {
		c := o.ends()
		if i == 0 && o.random.IntN(10) == 0 {
			c = order(watcher.AllFailed, 0, many(300)...)
		}
		c.WatchID, c.OrderName = fmt.Sprint("w_", i), fmt.Sprint("order.pool-", i)
		if o.random.IntN(2) == 0 {
			c = twoChannels(c)
		}
		o.completions = append(o.completions, c)
		o.add(c.WatchID, func(ctx context.Context, s *outbox.Outbox) error { return s.Notify(ctx, c) })
		for number := range o.random.IntN(3) {
			g := watcher.Progress{Report: c.Report, Number: number + 1}
			g.Polls = 10 * g.Number
			o.add(fmt.Sprint(c.WatchID, " runs ", number+1), func(ctx context.Context, s *outbox.Outbox) error { return s.Progress(ctx, g) })
		}
	}
	for i := range o.storm {
		c := order(watcher.Succeeded, 3)
		c.WatchID, c.OrderName = fmt.Sprint("w_storm_", i), fmt.Sprintf("order.storm-%d-x", i)
		c.Requests[0].SlackChannel = o.stormIn
		o.add(c.WatchID, func(ctx context.Context, s *outbox.Outbox) error { return s.Notify(ctx, c) })
	}
	for i := range o.alike {
		c := order(watcher.AllFailed, 0, failure("no quota left", "createNode", 3))
		c.WatchID, c.OrderName = fmt.Sprint("w_alike_", i), fmt.Sprintf("order.alike-%d-x", i)
		c.Requests[0].SlackChannel = o.stormIn
		o.add(c.WatchID, func(ctx context.Context, s *outbox.Outbox) error { return s.Notify(ctx, c) })
		if o.progress && o.random.IntN(3) > 0 {
			g := watcher.Progress{Report: c.Report, Number: 1}
			o.add(c.WatchID+" runs", func(ctx context.Context, s *outbox.Outbox) error { return s.Progress(ctx, g) })
		}
	}
	if o.outage = o.random.IntN(2) == 0; o.outage {
		for _, kind := range []watcher.AttentionKind{watcher.Unreachable, watcher.Reachable} {
			for i, a := range projectsOf(attention(kind, watcher.HeldUnreachable), 2) {
				a.Channels = []watcher.WaitingChannel{{SlackChannel: "C0TEAM", Watches: 1 + i}, {Watches: 1}}
				o.add(fmt.Sprint(kind, i), func(ctx context.Context, s *outbox.Outbox) error { return s.Attend(ctx, a) })
			}
		}
	}
	if o.blind = o.random.IntN(3) == 0; o.blind {
		alone := o.random.IntN(2) == 0 // one condition, so that both workers more often tell the same
		goesOn := concern(watcher.Blind).Report
		goesOn.WatchID, goesOn.OrderName = "w_blind", "order.blind"
		if ends := o.random.IntN(2) == 0; ends {
			goesOn, o.blind = o.completions[0].Report, false
		}
		o.follows = o.random.IntN(3)
		for number := range o.follows {
			g := watcher.Progress{Report: goesOn, Number: 10 + number}
			g.Polls = 5 + 20*number
			o.add(fmt.Sprint(g.WatchID, " goes on ", number+1), func(ctx context.Context, s *outbox.Outbox) error { return s.Progress(ctx, g) })
		}
		for i, kind := range []watcher.AttentionKind{watcher.Late, watcher.Stalled, watcher.Blind, watcher.DeadlineNear, "stalled_over", "blind_over"} {
			a := concern(kind)
			a.Report, a.Polls = goesOn, 10*i
			if alone && kind != watcher.Blind || !alone && o.random.IntN(2) == 0 {
				continue
			}
			o.conditions = append(o.conditions, a)
			for again := range 2 { // an event that comes twice
				o.add(fmt.Sprint(kind, again), func(ctx context.Context, s *outbox.Outbox) error { return s.AttendOrder(ctx, a) })
			}
		}
	}
	return o
}

// refuse decides whether a channel's threads are locked, or C0TEAM is archived while messages are on their way.
func (o *model) refuse() {
	at := o.now.Add(o.within(2 * time.Minute))
	switch draw := o.random.IntN(12); {
	case o.storm > 0 || o.archived:
	case draw < 2:
		o.locked = []string{"C0ONCALL", "C0TEAM"}[draw]
		o.slack.AddChannel(o.locked, emulator.Locked)
	case draw == 2:
		o.locked, o.changesAt = "C0ONCALL", at
	case draw == 3:
		o.changesAt = at
	}
}

// change locks the threads, or archives C0TEAM, where that is to come.
func (o *model) change() {
	o.changesAt = time.Time{}
	if o.locked != "" {
		o.slack.AddChannel(o.locked, emulator.Locked)
		return
	}
	o.unknown["C0TEAM"] = true
	o.slack.AddChannel("C0TEAM", emulator.Archived)
}

// Keep keeps what Slack finally refused.
func (o *model) Keep(_ context.Context, m watcher.UndeliveredMessage) error {
	o.pause(o.within(20 * time.Millisecond))
	if o.goesWrong() {
		return errors.New("no answer")
	}
	o.tell("%s: kept %s: %s", o.at.of.name, m.ID, m.Code)
	o.kept[m.ID] = true
	return nil
}

// route lets what names no channel go to this one.
func (o *model) route(channel string) {
	var err error
	on := ""
	if o.aloud = o.random.IntN(3) == 0; o.aloud {
		on = ", mention_on: [blind]"
	}
	o.routes, err = routes.Parse("routes.yaml", fmt.Appendf(nil, "rules: [{channels: [%s], fallback: C0SPARE, quiet_successes: %t, progress: %t%s}]", channel, o.quiet, o.progress, on))
	if err != nil {
		o.t.Fatal(err)
	}
}

// move stops all workers, and starts others with other routes.
func (o *model) move() {
	o.tell("other routes")
	o.moves, o.rerouted = time.Time{}, true
	o.route("C0NEW")
	for _, h := range o.hands {
		o.at = h
		h.stop()
	}
	o.hands = nil
	for i := range o.workers {
		o.start(i)
	}
}

func (o *model) add(name string, deliver func(context.Context, *outbox.Outbox) error) {
	o.todo = append(o.todo, &posted{name: name, deliver: deliver, due: o.now.Add(o.within(20 * time.Second))})
}

func (o *model) within(d time.Duration) time.Duration {
	return time.Duration(o.random.Int64N(int64(d)))
}

// ends returns a watch that has ended somehow.
func (o *model) ends() watcher.Completion {
	bad := failure("flavor sold out", "createNode", 40*o.random.IntN(2)+1)
	if o.storm > 0 { // who ended well may be told of in a digest
		return order(watcher.AllFailed, 0, bad)
	}
	switch o.random.IntN(8) {
	case 0:
		return order(watcher.Succeeded, 3)
	case 1:
		return order(watcher.Cancelled, 3)
	case 2:
		return order(watcher.PartiallyFailed, 3, bad)
	case 3:
		return order(watcher.TimedOut, 3, bad)
	}
	return order(watcher.AllFailed, 0, bad)
}

// start puts a new worker in place of a dead one.
func (o *model) start(i int) {
	c := config{Token: token, APIURL: "http://slack.example/api/", HTTPClient: &http.Client{Transport: o}, Config: outbox.Config{
		Channel: "C0ONCALL", Mention: "here", Notes: o, Undelivered: o, Routes: o.routes,
		Now: func() time.Time { return o.now },
		Sleep: func(ctx context.Context, d time.Duration) error {
			o.pause(d)
			return nil
		},
	}}
	if o.alike%3 == 2 { // many other groups wait for edits
		c.Timing = outbox.DefaultTiming()
		c.Timing.Follow = 20 * time.Second
	}
	for _, out := range o.without {
		if out.change != nil {
			out.change(&c)
		}
	}
	var err error
	o.workers[i], err = start(slog.New(slog.NewTextHandler(logTrace{o}, nil)), c)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, out := range o.without {
		if out.takeOut != nil {
			out.takeOut(o.workers[i])
		}
	}
}

func (o *model) errorf(format string, args ...any) {
	o.wrong = append(o.wrong, fmt.Sprintf(format, args...))
}

type logTrace struct{ *model }

func (l logTrace) Write(p []byte) (int, error) {
	l.tell("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

func (o *model) tell(format string, args ...any) {
	if *one < 0 {
		return // a seed that fails is run again for its trace
	}
	o.trace = append(o.trace, fmt.Sprintf("%8.3fs  ", o.now.Sub(ended).Seconds())+fmt.Sprintf(format, args...))
}

func (o *model) goesWrong() bool { return o.now.Before(o.calm) && o.random.Float64()*100 < o.faults }

// pause stops the worker that runs for a while.
func (o *model) pause(d time.Duration) {
	if !o.at.yield(d) {
		panic(died{})
	}
	if o.goesWrong() && o.random.IntN(3) == 0 {
		panic(died{})
	}
}

// Note, Under and SetNote are the notes, which may fail, and be slow.
func (o *model) Note(ctx context.Context, key string) ([]byte, watcher.Revision, error) {
	o.pause(o.within(20 * time.Millisecond))
	if o.goesWrong() {
		return nil, 0, errors.New("no answer")
	}
	return o.notes.Note(ctx, key)
}

func (o *model) Under(ctx context.Context, prefix string) (map[string][]byte, error) {
	o.pause(o.within(20 * time.Millisecond))
	if o.goesWrong() {
		return nil, errors.New("no answer")
	}
	return o.notes.Under(ctx, prefix)
}

func (o *model) SetNote(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
	o.pause(o.within(20 * time.Millisecond))
	wrong := o.goesWrong()
	if wrong && o.random.IntN(2) == 0 {
		return 0, errors.New("no answer, and nothing noted")
	}
	revision, err := o.notes.SetNote(ctx, key, text, revision)
	o.tell("%s: note %s: %s %v", o.at.of.name, key, text, err)
	if o.goesWrong() {
		o.pause(time.Duration(1+o.random.IntN(100)) * time.Second) // a worker that sleeps
	}
	if wrong {
		return 0, errors.New("no answer")
	}
	return revision, err
}

// newCode is one that is not known.
const newCode = "brand_new_error"

// mishaps are what Slack does with a post or an update.
var mishaps = []emulator.Fault{
	emulator.AcceptAndDrop, emulator.AcceptAnd500, emulator.AcceptAndCut, emulator.Unavailable, emulator.EmptyObject, emulator.HTMLPage,
	emulator.TooMany("3"), emulator.TooMany(""), emulator.Refuse("internal_error"), emulator.Refuse("ratelimited"), emulator.Refuse("invalid_blocks"),
	emulator.Refuse("token_revoked"), emulator.Refuse("not_in_channel"), emulator.Refuse(newCode),
	emulator.Refuse("invalid_metadata_schema"),
	emulator.Refuse("metadata_too_large"), // and the one before: where histories can be read, neither comes
}

// timestampOf returns the ts of the message that a call is about.
func timestampOf(r *http.Request) string { return formOf(r).Get("ts") }

// formOf returns what a call says, and leaves it to be read.
func formOf(r *http.Request) url.Values {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	return form
}

// mishap lets the call meet the fault: not one of blocks where it has none. Where that is an unknown code, and the call has text alone, the message may go
// elsewhere.
func (o *model) mishap(r *http.Request, fault emulator.Fault) {
	form := formOf(r)
	if strings.Contains(fault.Body, "invalid_blocks") && form.Get("blocks") == "" {
		fault = emulator.Unavailable
	}
	o.slack.Script(fault)
	o.unedited[form.Get("ts")] = true
	if strings.Contains(fault.Body, newCode) && form.Get("blocks") == "" {
		o.unknown[cmp.Or(form.Get("channel"), form.Get("channel_id"))] = true
	}
}

// RoundTrip is the network between a worker and Slack. A call takes up to 9 s.
func (o *model) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	took := o.within(300 * time.Millisecond)
	if o.goesWrong() {
		took = o.within(9 * time.Second)
	}
	o.pause(took / 2)
	posts := strings.HasSuffix(r.URL.Path, "chat.postMessage") || strings.HasSuffix(r.URL.Path, "chat.update") ||
		strings.HasSuffix(r.URL.Path, "External") || strings.HasPrefix(r.URL.Path, "/upload/")
	switch wrong := o.goesWrong(); {
	case wrong && strings.HasSuffix(r.URL.Path, "chat.delete") && o.replaced[timestampOf(r)]: // what Slack does not delete stands
	case wrong && !posts:
		return nil, io.ErrUnexpectedEOF
	case wrong && strings.HasSuffix(r.URL.Path, "chat.update") && o.random.IntN(3) == 0:
		o.replaced[timestampOf(r)], o.unedited[timestampOf(r)] = true, true
		o.slack.Script(emulator.Refuse("edit_window_closed"))
	case wrong:
		n := len(mishaps)
		if o.history {
			n -= 2 // what has no metadata cannot be found
		}
		o.mishap(r, mishaps[o.random.IntN(n)])
	}
	defer func() {
		if defect := recover(); defect != nil {
			if defect != http.ErrAbortHandler {
				panic(defect)
			}
			answer, err = nil, io.EOF
		}
	}()
	w := httptest.NewRecorder()
	o.slack.ServeHTTP(w, r)
	o.tell("%s: %s: %d %.120s", o.at.of.name, r.URL.Path, w.Code, strings.TrimSpace(w.Body.String()))
	o.pause(took / 2)
	return w.Result(), nil
}

// hand gives an event to a worker.
func (o *model) hand(p *posted) {
	o.tidy()
	h := &delivering{of: p, worker: o.random.IntN(len(o.workers)), goOn: o.now}
	p.busy = true
	worker := o.workers[h.worker]
	h.next, h.stop = iter.Pull(func(yield func(time.Duration) bool) {
		h.yield = yield
		defer func() {
			if defect := recover(); defect != nil {
				if defect != (died{}) {
					panic(defect)
				}
				o.died(h, worker)
			}
		}()
		err := p.deliver(o.t.Context(), worker)
		p.busy = false
		if err == nil {
			p.done = true
			return
		}
		retry, ok := errors.AsType[*watcher.RetryError](err)
		if !ok {
			o.errorf("%s: no RetryError: %v", p.name, err)
		}
		o.tell("%s: %v", p.name, retry)
		p.due = o.now.Add(retry.After)
		if o.goesWrong() {
			p.due = o.now // an early redelivery
		}
	})
	o.hands = append(o.hands, h)
}

// tidy lets a person delete a message now and then that says that something runs.
func (o *model) tidy() {
	if !o.now.Before(o.calm) || o.faults == 0 || o.random.IntN(4) > 0 {
		return
	}
	for _, channel := range []string{"C0ONCALL", "C0TEAM"} {
		for _, m := range o.slack.Messages(channel) {
			if m.ThreadTS == "" && strings.Contains(m.Text, "RUNNING: ") && o.random.IntN(3) == 0 {
				ask := url.Values{"token": {token}, "channel": {channel}, "ts": {m.TS}}
				r := httptest.NewRequest("POST", "/api/chat.delete", strings.NewReader(ask.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				o.slack.ServeHTTP(httptest.NewRecorder(), r)
				o.tell("a person deletes %s in %s", m.TS, channel)
				return
			}
		}
	}
}

// died lets a worker be dead, with all that it had in hand.
func (o *model) died(h *delivering, worker *outbox.Outbox) {
	o.tell("%s: worker %d dies", h.of.name, h.worker)
	o.crashes++
	h.of.busy, h.of.due = false, o.now.Add(time.Minute)
	if o.workers[h.worker] == worker {
		o.start(h.worker)
	}
}

// live goes on until every event is delivered.
func (o *model) live() {
	defer func() {
		for _, h := range o.hands {
			o.at = h
			h.stop()
		}
	}()
	for steps := 0; len(o.wrong) == 0; steps++ {
		var ready []func()
		next := time.Time{}
		due := func(at time.Time, do func()) {
			if !at.After(o.now) {
				ready = append(ready, do)
			} else if next.IsZero() || at.Before(next) {
				next = at
			}
		}
		for _, p := range o.todo {
			if !p.busy && !p.done {
				due(p.due, func() { o.hand(p) })
			}
		}
		for _, h := range o.hands {
			due(h.goOn, func() { o.step(h) })
		}
		if !o.moves.IsZero() {
			due(o.moves, o.move)
		}
		if !o.changesAt.IsZero() {
			due(o.changesAt, o.change)
		}
		switch {
		case len(ready) > 0:
			ready[o.random.IntN(len(ready))]()
		case next.IsZero():
			return
		default:
			o.now = next
		}
		if o.now.Sub(o.calm) > 2*time.Hour || steps > 500000 {
			var left []string
			for _, p := range o.todo {
				if !p.done {
					left = append(left, p.name)
				}
			}
			o.errorf("no end after %d steps, %s after the last fault: %v", steps, o.now.Sub(o.calm), left)
		}
	}
}

func (o *model) step(h *delivering) {
	o.at = h
	wait, ok := h.next()
	h.goOn = o.now.Add(wait)
	if !ok {
		o.hands = slices.DeleteFunc(o.hands, func(other *delivering) bool { return other == h })
	}
}

// once reports whether nothing may be doubled: it can be seen what became of a call, or Slack answered each, and no worker
// stopped.
func (o *model) once() bool { return o.history || o.faults == 0 && !o.rerouted }

// check holds that each message stands once in each channel, with each part of its thread and its last
// state. Where calls fail and nobody can look into the history, it stands at least once.
func (o *model) check() {
	for i := range o.workers {
		o.doubts += int(o.workers[i].PossibleDuplicates())
	}
	for _, c := range o.completions {
		for _, channel := range o.toldIn(c) {
			if o.unknown[channel] || channel == o.locked {
				o.checkRefused(channel, c)
				continue
			}
			m := message.Summarize(c, message.Options{File: true})
			if n := o.roots(channel, c.OrderName); n == 0 && (o.quiet || o.together(channel, c.OrderName)) && (c.Outcome == watcher.Succeeded || c.Outcome == watcher.Cancelled) {
				continue
			} else if n > 1 && o.once() {
				o.errorf("%d messages about %s in %s", n, c.OrderName, channel)
			}
			o.checkQuiet(channel, c, c.Outcome != watcher.Succeeded && c.Outcome != watcher.Cancelled)
			said, _, _ := strings.Cut(m.Text, " Asked for")
			o.stands(channel, "", said)
			for _, r := range m.Replies {
				o.stands(channel, "thread", r.Text)
			}
			switch {
			case m.File != nil && o.files:
				o.stands(channel, "thread", "ailed items of "+c.OrderName, func(m emulator.Message) bool {
					return !strings.Contains(m.Text, ", part ") && m.Text != "Failed items of "+c.OrderName+"."
				})
			case !o.files && len(o.shared(channel)) > 0:
				o.errorf("files in %s", channel)
			}
		}
	}
	if o.storm > 0 && !o.quiet {
		o.checkStorm()
	}
	if o.alike > 0 {
		o.checkAlike()
	}
	o.checkPings()
	if o.outage {
		o.stands("C0ONCALL", "", " again after 17 m 3 s: 1,200 orders waited")
		o.checkLines()
	}
	if o.blind {
		o.checkConditions()
	}
}

// checkLines holds that at most one line in another channel says that its watches waited for an account, and none that
// they wait.
func (o *model) checkLines() {
	if !o.history || o.unknown["C0TEAM"] || o.archived {
		return
	}
	n := 0
	for _, m := range o.slack.Messages("C0TEAM") {
		if o.replaced[m.TS] || !strings.Contains(m.Text, "ModelArts in cn-north-4 can") {
			continue
		}
		if n++; n > 1 || !strings.HasPrefix(m.Text, "SEEN AGAIN: ") || len(emulator.Mentions(m)) > 0 {
			o.errorf("%q is left in C0TEAM, one of %d", m.Text, n)
		}
	}
}

// checkConditions holds that one message tells how the watch is that goes on: it shows what began last, and nothing
// that is over, of which nothing is told where people were not told that it began.
func (o *model) checkConditions() {
	if len(o.conditions) == 1 && o.aloud && !o.rerouted && o.follows == 0 && o.conditions[0].Kind == watcher.Blind {
		o.checkWakes()
	}
	firstWords := map[watcher.AttentionKind]string{watcher.Late: "LATE", watcher.Stalled: "STALLED", watcher.Blind: "CANNOT SEE", watcher.DeadlineNear: "LEFT"}
	over := make(map[watcher.AttentionKind]bool)
	for _, a := range o.conditions {
		over[a.Kind] = over[a.Kind] || !a.Until.IsZero()
	}
	began, lasts, last := false, false, watcher.AttentionKind("")
	for _, a := range o.conditions {
		if a.Until.IsZero() {
			began, lasts = true, lasts || !over[a.Kind]
			if !o.progress || !over[a.Kind] { // beside how far the watch is stands the last that is not over
				last = a.Kind
			}
		}
	}
	began = began || o.progress
	before, after := o.roots("C0ONCALL", "order.blind"), o.roots("C0NEW", "order.blind")
	switch n := before + after; {
	case n == 0 && lasts, n > 0 && !began, o.once() && max(before, after) > 1, after > 0 && !o.rerouted:
		o.errorf("the watch that goes on stands %d times in C0ONCALL, %d times in C0NEW", before, after)
	}
	if o.rerouted || !o.history { // another channel shows what it was before
		return
	}
	for _, m := range o.slack.Messages("C0ONCALL") {
		if m.ThreadTS != "" || isLine(m) || !strings.Contains(m.Text, "order.blind") {
			continue
		}
		for kind, word := range firstWords {
			woke := o.aloud && strings.Contains(m.Text, firstWords[watcher.Blind]) // what wakes people is shown, also where it is told after what came later
			if shown := strings.Contains(m.Text, word); shown && over[kind] || kind == last && !over[last] && !shown && !woke {
				o.errorf("%q is left; %s was told last", m.Text, last)
			}
		}
	}
}

// checkWakes holds that the condition woke people once, by its message, by a reply that the channel shows, or by a line
// that names its order.
func (o *model) checkWakes() {
	n := 0
	for _, m := range o.slack.Messages("C0ONCALL") {
		if len(emulator.Mentions(m)) > 0 && strings.Contains(m.Text+string(m.Blocks), "order.blind") {
			n++
		}
	}
	if n == 0 || n > 1 && o.once() {
		o.errorf("people were woken %d times because the watch is blind", n)
	}
}

// checkRefused holds, where the channel refused a message or a part of one, that the watch is told of there or in the
// fallback, not in both; and that what its thread lacks is kept, and said.
func (o *model) checkRefused(channel string, c watcher.Completion) {
	var roots []emulator.Message
	for _, in := range slices.Compact([]string{channel, "C0SPARE"}) {
		for _, m := range o.slack.Messages(in) {
			if m.ThreadTS == "" && !isLine(m) && strings.Contains(m.Text, c.OrderName) && o.wakes(m, c) && (in == channel || len(channelsOf(c)) == 1) {
				roots = append(roots, m)
			}
		}
	}
	good := c.Outcome == watcher.Succeeded || c.Outcome == watcher.Cancelled
	switch {
	case len(channelsOf(c)) > 1 && len(roots) == 0: // C0SPARE has perhaps another channel's message
		return
	case !o.history && o.unknown[channel] && o.roots("C0SPARE", c.OrderName) > 0: // nobody could look what the channel took before
		return
	case len(roots) == 0 && !(o.quiet && good), len(roots) > 1 && o.once():
		o.errorf("%d messages about %s in %s and its fallback", len(roots), c.OrderName, channel)
	}
	if len(roots) == 0 {
		return
	}
	root := roots[len(roots)-1] // of several, which nobody could look for, the one that is known
	replies := 0
	for _, m := range o.slack.Messages(root.Channel) {
		if m.ThreadTS == root.TS && !m.Broadcast {
			replies++
		}
	}
	m := message.Summarize(c, message.Options{File: o.files})
	lacks := replies < m.Parts()-1
	said := strings.Contains(string(root.Blocks), "Details could not be added")
	kept := o.kept["watch."+c.WatchID+"."+root.Channel]
	if lacks && !kept || (kept || said) && !lacks && o.history || lacks && !said && root.Channel == o.locked && !o.unedited[root.TS] {
		o.errorf("%d replies of %d to the message about %s in %s: said %t, kept %v", replies, m.Parts()-1, c.OrderName, root.Channel, said, o.kept)
	}
}

// wakes reports whether the message tells how the watch ended, and is no quiet one that was edited where people are to be
// woken.
func (o *model) wakes(root emulator.Message, c watcher.Completion) bool {
	if tellsOn(root) {
		return false
	}
	fails := c.Outcome != watcher.Succeeded && c.Outcome != watcher.Cancelled
	return !fails || !root.Edited || strings.Contains(string(root.Blocks), "Details could not") || o.shownAgain(root)
}

// toldIn returns the channels in which the watch is told of: where routes changed, in the new one, the old
// one, or both.
func (o *model) toldIn(c watcher.Completion) (channels []string) {
	for _, channel := range channelsOf(c) {
		if channel == "C0ONCALL" && o.rerouted {
			if o.roots("C0NEW", c.OrderName) == 0 {
				channels = append(channels, "C0ONCALL")
				continue
			}
			channel = "C0NEW"
			if o.roots("C0ONCALL", c.OrderName) > 0 {
				channels = append(channels, "C0ONCALL")
			}
		}
		channels = append(channels, o.told(channel))
	}
	return channels
}

func channelsOf(c watcher.Completion) (channels []string) {
	for _, r := range c.Requests {
		channel := cmp.Or(r.SlackChannel, "C0ONCALL")
		if !slices.Contains(channels, channel) {
			channels = append(channels, channel)
		}
	}
	return channels
}

// checkStorm holds that each of many orders is told of once, by itself or in a digest.
func (o *model) checkStorm() {
	told, digests := 0, 0
	for _, m := range o.slack.Messages(o.told(o.stormIn)) {
		n := 0
		switch {
		case m.ThreadTS != "":
		case strings.Contains(m.Text, "told together"):
			if _, err := fmt.Sscanf(m.Text[strings.IndexFunc(m.Text, unicode.IsDigit):], "%d order", &n); err != nil {
				o.errorf("%q: %v", m.Text, err)
			}
			told, digests = told+n, digests+1
		case strings.Contains(m.Text, "order.storm-"):
			told++
		}
	}
	o.digests += digests
	if told < o.storm || told > o.storm && o.once() {
		o.errorf("%d of %d are told, in %d digests", told, o.storm, digests)
	}
}

var alikeName = regexp.MustCompile(`order\.alike-\d+-x`)

// checkAlike holds that each of many orders that failed alike has a message of its own or a row in a group's thread, in
// one channel, that the groups' messages count those rows, and that few have messages of their own.
func (o *model) checkAlike() {
	told, once := make(map[string]int), o.once()
	for _, channel := range slices.Compact([]string{o.told(o.stormIn), "C0SPARE"}) {
		in := o.alikeIn(channel)
		once = once && !in.unsure
		refuses := channel == o.locked || o.unknown[channel] // what a group's thread does not take is told by itself
		if o.history && !in.unsure && in.counted != in.rows && !refuses {
			o.errorf("groups in %s count %d, and list %d", channel, in.counted, in.rows)
		}
		if o.faults == 0 && in.alone > 5 && !refuses && o.changesAt.IsZero() {
			o.errorf("%d have messages of their own in %s", in.alone, channel)
		}
		for name, n := range in.told {
			told[name] += n
		}
	}
	for i := range o.alike {
		name := fmt.Sprintf("order.alike-%d-x", i)
		if n := told[name]; n == 0 || n > 1 && once {
			o.errorf("%s is told %d times", name, n)
		}
	}
}

// alikeIn is how orders that failed alike are told in a channel.
type alikeIn struct {
	told    map[string]int // how often each of them is; one that a group lists may have a message that went on, too
	alone   int            // in messages of their own, or with a reply that the channel shows
	rows    int            // in the threads of groups
	counted int            // in the messages of groups, but for those that have their own
	unsure  bool           // what a group's message or its thread shows is perhaps another worker's, which Slack refused to change
}

func (o *model) alikeIn(channel string) alikeIn {
	in, roots, own := alikeIn{told: make(map[string]int)}, make(map[string]bool), make(map[string][]emulator.Message)
	messages := o.slack.Messages(channel)
	for _, m := range messages {
		n := 0
		switch {
		case isLine(m):
		case m.ThreadTS == "" && strings.Contains(m.Text, "rders failed alike: no quota left"):
			if _, err := fmt.Sscanf(m.Text, "%d order", &n); err != nil && channel != o.locked && !o.unknown[channel] {
				o.errorf("%q: %v", m.Text, err)
			}
			in.counted, roots[m.TS] = in.counted+n-5, true
			in.unsure = in.unsure || o.replaced[m.TS] // Slack does not delete it, and another one took its place
			o.groups++
		case m.ThreadTS == "" && alikeName.MatchString(m.Text):
			name := alikeName.FindString(m.Text)
			own[name] = append(own[name], m)
			if o.history && tellsOn(m) && !o.unknown[channel] && !o.unedited[m.TS] {
				o.errorf("%q is left in %s", m.Text, channel)
			}
		}
	}
	for _, m := range messages {
		if !roots[m.ThreadTS] || !strings.Contains(m.Text, " that failed alike: ") { // the thread of a message that was replaced is nobody's
			continue
		}
		in.unsure = in.unsure || o.unknown[channel] && o.unedited[m.TS] // an edit perhaps came before the refusal
		for _, name := range alikeName.FindAllString(m.Text, -1) {
			in.told[name]++
			in.rows++
		}
	}
	for name, all := range own {
		for _, m := range all {
			if in.told[name] == 0 || !m.Edited || o.shownAgain(m) || len(emulator.Mentions(m)) > 0 {
				in.told[name]++
				in.alone++
			}
		}
	}
	return in
}

// checkPings holds that each failure woke somebody, or is named in a line that did, and that no two messages of a
// channel did so within a minute, but for the time that the notes and the calls took.
func (o *model) checkPings() {
	for _, channel := range []string{"C0ONCALL", "C0TEAM", "C0SPARE"} {
		last := time.Time{}
		for _, m := range o.slack.Messages(channel) {
			if len(emulator.Mentions(m)) == 0 {
				name := failedName.FindStringSubmatch(m.Text)
				shown := (m.ThreadTS == "" || m.Broadcast) && !m.Edited && !isLine(m) && !o.shownAgain(m)
				if name == nil || !shown || o.rerouted {
					continue
				}
				switch late, ok := o.named(channel, name[1], tsTime(o.t, m)); {
				case !ok:
					o.errorf("%q in %s woke nobody, and no line names it", m.Text, channel)
				case late > 65*time.Second && o.faults == 0 && !o.unknown[channel]: // another channel has a minute of its own
					o.errorf("%q in %s woke people only after %s", m.Text, channel, late)
				}
				continue
			}
			at := tsTime(o.t, m)
			if d := at.Sub(last); d < 55*time.Second && o.faults == 0 {
				o.errorf("%q woke people in %s %s after another", m.Text, channel, d)
			}
			last = at
		}
	}
}

// shownAgain reports whether a reply to the message shows in the channel.
func (o *model) shownAgain(root emulator.Message) bool {
	return slices.ContainsFunc(o.slack.Messages(root.Channel), func(m emulator.Message) bool { return m.ThreadTS == root.TS && m.Broadcast })
}

var failedName = regexp.MustCompile(`^(?:PARTLY )?FAILED: .* - (order\.(?:pool|alike)-\d+(?:-x)?)`)

// named returns how long after the message the first line came, in the channel or in the one that gets what it refuses,
// that names the order, or has room for twelve others alone, and wakes somebody; false where none does.
func (o *model) named(channel, name string, posted time.Time) (late time.Duration, ok bool) {
	for _, m := range slices.Concat(o.slack.Messages(channel), o.slack.Messages("C0SPARE")) {
		all := m.Text + string(m.Blocks)
		if late = tsTime(o.t, m).Sub(posted); late >= 0 && isLine(m) && (strings.Contains(all, name) || furtherOnes.MatchString(all)) && len(emulator.Mentions(m)) > 0 {
			return late, true
		}
	}
	return 0, false
}

var furtherOnes = regexp.MustCompile(`and \d+ more`)

// told returns the channel where is told what is for this one.
func (o *model) told(channel string) string {
	if channel == "C0TEAM" && o.archived {
		return "C0SPARE"
	}
	return channel
}

// checkQuiet holds that nothing is said to run that has ended, and that what was posted quietly and failed, and
// only that, has a reply that the channel shows.
func (o *model) checkQuiet(channel string, c watcher.Completion, failed bool) {
	for _, root := range o.slack.Messages(channel) {
		if root.ThreadTS != "" || !strings.Contains(root.Text, c.OrderName) || isLine(root) {
			continue
		}
		shown := o.shownAgain(root)
		if o.history && (tellsOn(root) || failed && shown != root.Edited) {
			o.errorf("%q is left in %s; a reply shows in the channel: %t", root.Text, channel, shown)
		}
	}
}

// tellsOn reports whether the message says how a watch is that goes on.
func tellsOn(m emulator.Message) bool {
	return regexp.MustCompile(`^(RUNNING: |LATE - |STALLED - |CANNOT SEE - |.* LEFT - |GOES ON - )`).MatchString(m.Text)
}

// isLine reports whether the message wakes people for others that did not.
func isLine(m emulator.Message) bool { return strings.Contains(m.Text, " more since the last ping: ") }

// roots returns how many messages of the channel tell of the order, in whatever state.
func (o *model) roots(channel, name string) (n int) {
	for _, m := range o.slack.Messages(channel) {
		if m.ThreadTS == "" && strings.Contains(m.Text, name) && !isLine(m) {
			n++
		}
	}
	return n
}

// together reports whether a digest in the channel names the order: many that failed alike wait, too.
func (o *model) together(channel, name string) bool {
	return slices.ContainsFunc(o.slack.Messages(channel), func(m emulator.Message) bool {
		return strings.Contains(m.Text, "told together") && strings.Contains(string(m.Blocks), name)
	})
}

// shared returns the files in the channel.
func (o *model) shared(channel string) (files []emulator.File) {
	for _, m := range o.slack.Messages(channel) {
		files = append(files, m.Files...)
	}
	return files
}

// stands counts the messages that begin so, or have the text, and of which all else holds.
func (o *model) stands(channel, thread, text string, holds ...func(emulator.Message) bool) {
	n := 0
	for _, m := range o.slack.Messages(channel) {
		others := slices.ContainsFunc(holds, func(holds func(emulator.Message) bool) bool { return !holds(m) })
		if strings.Contains(m.Text, text) && !isLine(m) && (m.ThreadTS == "") == (thread == "") && !others {
			n++
		}
	}
	if n == 0 || n > 1 && o.once() {
		o.errorf("%q stands %d times in %s", text, n, channel)
	}
}
