package outbox

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	blockkit "github.com/slack-go/slack"
)

// Notify posts the summary in every channel that the routes name, but not again where it stands,
// whichever worker posted it, and ends what was begun in channels that they named before. What Slack finally
// refuses is kept in Config.Undelivered, and is done.
func (s *Outbox) Notify(ctx context.Context, c watcher.Completion) error {
	s.latest(c.WatchID, math.MaxInt)
	w := s.summary(ctx, c, want{kind: "watch", id: c.WatchID, who: c.WatchID, told: c.CompletedAt, ended: &c})
	targets := s.plan.Targets(c.ProjectID, c.Requests)
	stop := s.stop()
	if err := s.tellAll(ctx, targets, w, stop); err != nil {
		return err
	}
	left, retry := s.left(ctx, c.WatchID, targets)
	if retry != nil {
		return retry
	}
	w.left = true
	return s.tellAll(ctx, left, w, stop)
}

// NotifyAgain posts the summary once more, as a message of its own that says so, in the channels
// that the wish names, else where the routes say. Whether the first one stands does not matter; nor
// does how often the wish comes.
func (s *Outbox) NotifyAgain(ctx context.Context, c watcher.Completion, a watcher.Again) error {
	targets := s.plan.Targets(c.ProjectID, c.Requests)
	if len(a.Channels) > 0 && s.config.Slack != nil {
		targets = s.named(targets, a.Channels)
	}
	w := s.summary(ctx, c, want{kind: "again", id: a.ID, who: "again " + a.ID, told: a.At, again: a})
	w.log = w.log.With("again", a.ID)
	return s.tellAll(ctx, targets, w, s.stop())
}

// Attend posts one message for all events of an outage in the default channel, whichever worker they come to, and
// edits it when the outage is over. Where it cannot be edited another is posted. So it does, with one line that wakes
// nobody, in each other channel whose watches wait, as far as events name those.
func (s *Outbox) Attend(ctx context.Context, a watcher.Attention) error {
	stop := s.stop()
	err := s.attend(ctx, a, stop)
	waiting, retry := s.waiting(ctx, a)
	err = sooner(err, retry)
	for _, channel := range slices.Sorted(maps.Keys(waiting)) {
		a.Channels = waiting[channel]
		err = sooner(err, s.tellOrMove(ctx, routes.Target{Channel: channel}, s.line(a), stop))
	}
	if err != nil {
		return err
	}
	return nil
}

// attend tells of the account in the default channel.
func (s *Outbox) attend(ctx context.Context, a watcher.Attention, stop time.Time) *watcher.RetryError {
	level, happened := slog.LevelInfo, a.Since
	if a.Kind == watcher.Unreachable {
		level = slog.LevelWarn
	}
	if a.Over() {
		happened = a.Until
	}
	return s.soonest(ctx, []routes.Target{s.plan.Standard()}, want{
		kind: "outage", id: a.Outage(), who: a.Outage(), state: string(a.Kind), told: happened,
		render: func(o message.Options) message.Message { return message.Announce(a, o) },
		log:    s.log.With("outage", a.Outage()), whole: notice(ctx, level),
		about: watcher.UndeliveredMessage{Outage: a.Outage(), Kind: a.Kind, ProjectID: a.ProjectID},
	}, stop)
}

// line returns the line about the account for a channel, of which the event names what waits there alone.
func (s *Outbox) line(a watcher.Attention) want {
	told := a.Since
	if a.Over() {
		told = a.Until
	}
	return want{
		kind: lines, id: a.Outage(), who: lines + " " + a.Outage(), state: string(a.Kind), told: told, quiet: true, silent: a.Over(),
		render: func(o message.Options) message.Message { return message.CannotSee(a, o) },
		log:    s.log.With("outage", a.Outage()), whole: func(*slog.Logger, message.Message) {}, // the default channel has more
	}
}

// lines is the kind of the notes of lines about accounts.
const lines = "blind"

// waiting returns the channels, but for the default one, where people are to be told by a line that their watches wait
// for the account, or that they waited, and what of the event leads there.
func (s *Outbox) waiting(ctx context.Context, a watcher.Attention) (waiting map[string][]watcher.WaitingChannel, retry *watcher.RetryError) {
	if s.config.Slack == nil || a.Kind == watcher.Lost || a.Kind == watcher.Overdue {
		return nil, nil
	}
	waiting = make(map[string][]watcher.WaitingChannel)
	for _, c := range a.Channels {
		for _, t := range s.plan.Targets(a.ProjectID, []watcher.Request{{SlackChannel: c.SlackChannel, Labels: c.Labels}}) {
			waiting[t.Channel] = append(waiting[t.Channel], c)
		}
	}
	if a.Over() { // also where other routes led, or the event lacks the channels
		retry = s.postings(ctx, lines, a.Outage(), func(channel string, _ posting) { waiting[channel] = slices.Clip(waiting[channel]) })
	}
	delete(waiting, s.plan.Standard().Channel)
	return waiting, retry
}

// sooner returns the error that is to be tried again first.
func sooner(a, b *watcher.RetryError) *watcher.RetryError {
	if a == nil || b != nil && b.After < a.After {
		return b
	}
	return a
}

// AttendOrder posts one message for each watch, kind and beginning in each channel that the routes name for
// the watch's requests, whichever worker the event comes to and however often. Of [conditions] the watch's own message
// tells: it shows the latest, is edited from one to the next, beside how far the watch is where people follow that, and
// becomes the summary. It wakes nobody, but for those conditions for which a rule says so. Once people know how the watch
// ended it is not told any more.
func (s *Outbox) AttendOrder(ctx context.Context, a watcher.OrderAttention) error {
	if a.ToldOf != "" {
		return nil
	}
	id := fmt.Sprintf("%s.%s.%d", a.WatchID, a.Kind, a.Since.UnixMilli()) // as the event's is
	w := want{
		kind: "attention", id: id, who: "attention " + id, state: string(a.Kind), told: a.Since, watching: a.WatchID,
		render: func(o message.Options) message.Message { return message.Concern(a, o) },
		log:    s.log.With("watch", a.WatchID, "kind", a.Kind), whole: notice(ctx, slog.LevelWarn),
		about: watcher.UndeliveredMessage{WatchID: a.WatchID, ProjectID: a.ProjectID, OrderName: a.OrderName, Kind: a.Kind},
	}
	if slices.Contains(conditions, a.Kind) {
		w.kind, w.id, w.who, w.attention, w.goesOn = "watch", a.WatchID, a.WatchID, &a, &a.Report
		w.render = func(o message.Options) message.Message { return renderCondition(a, o) }
	}
	stop := s.stop()
	if err := s.tellAll(ctx, s.plan.Targets(a.ProjectID, a.Requests), w, stop); err != nil || a.Kind != watcher.BrokenRecord || a.WatchID == "" {
		return err
	}
	return s.endBroken(ctx, a.WatchID, w, stop)
}

// endBroken tells of a watch that is over without a summary, where its own message says how it was.
func (s *Outbox) endBroken(ctx context.Context, watch string, w want, stop time.Time) error {
	var says []routes.Target
	if retry := s.postings(ctx, "watch", watch, func(channel string, p posting) {
		if p.TS != "" && p.Tells != completed && p.Code == "" {
			says = append(says, routes.Target{Channel: channel})
		}
	}); retry != nil {
		return retry
	}
	w.kind, w.id, w.who, w.state, w.quiet = "watch", watch, watch, broken, true
	return s.tellAll(ctx, says, w, stop)
}

// AttendRequest posts one message in the default channel, whichever worker the event comes to and however often. It wakes
// nobody.
func (s *Outbox) AttendRequest(ctx context.Context, a watcher.RequestAttention) error {
	id := fmt.Sprintf("%d-%d", a.Sequence, a.Received.UnixMilli()) // as the event's is
	return s.tellAll(ctx, []routes.Target{s.plan.Standard()}, want{
		kind: "rejected", id: id, who: "rejected " + id, state: string(a.Kind), told: a.Received,
		render: func(o message.Options) message.Message { return message.Rejected(a, o) },
		log:    s.log.With("request", a.RequestID), whole: notice(ctx, slog.LevelWarn),
		about: watcher.UndeliveredMessage{Kind: a.Kind},
	}, s.stop())
}

// Progress shows how far a watch is, in the channels that want that: a message that wakes nobody, posted
// after a minute, edited at most every 10 s, and turned into the summary by [Outbox.Notify].
// What this worker knows a later state of is done with: that one is on its way, too.
func (s *Outbox) Progress(ctx context.Context, g watcher.Progress) error {
	if !s.latest(g.WatchID, g.Number) {
		return nil
	}
	followers := slices.DeleteFunc(s.plan.Targets(g.ProjectID, g.Requests), func(t routes.Target) bool { return !t.Progress })
	if left := s.config.Timing.Quiet - s.config.Now().Sub(g.AcceptedAt); left > 0 && len(followers) > 0 {
		return retryIn(min(left, s.config.Timing.Quiet), "the watch has just begun")
	}
	return s.tellAll(ctx, followers, want{
		kind: "watch", id: g.WatchID, who: g.WatchID, state: changed(g.Polls), told: s.config.Now(), watching: g.WatchID,
		quiet: true, goesOn: &g.Report,
		render: func(o message.Options) message.Message { return message.Running(g, o) },
		log:    s.log.With("watch", g.WatchID), whole: func(*slog.Logger, message.Message) {}, // the summary follows
	}, s.stop())
}

// summary returns the want with what is the same each time a watch's summary is told.
func (s *Outbox) summary(ctx context.Context, c watcher.Completion, w want) want {
	w.state, w.log = completed, s.log.With("watch", c.WatchID)
	w.render = func(o message.Options) message.Message { return s.summarize(ctx, c, o) }
	w.whole = func(_ *slog.Logger, m message.Message) { m.WriteSummary(ctx, s.log, c) }
	w.about = watcher.UndeliveredMessage{WatchID: c.WatchID, ProjectID: c.ProjectID, OrderName: c.OrderName, Outcome: c.Outcome}
	return w
}

// notice returns what writes a notice to the log.
func notice(ctx context.Context, level slog.Level) func(*slog.Logger, message.Message) {
	return func(log *slog.Logger, m message.Message) { m.Write(ctx, log, level, "notice") }
}

// stop returns when the last call of a pass that begins now may begin.
func (s *Outbox) stop() time.Time { return s.config.Now().Add(s.config.Timing.Pass) }

// tellAll tells it in all these channels, and returns the error that is to be tried again first.
func (s *Outbox) tellAll(ctx context.Context, targets []routes.Target, w want, stop time.Time) error {
	if retry := s.soonest(ctx, targets, w, stop); retry != nil {
		return retry
	}
	return nil
}

func (s *Outbox) soonest(ctx context.Context, targets []routes.Target, w want, stop time.Time) (soonest *watcher.RetryError) {
	for _, t := range targets {
		soonest = sooner(soonest, s.tellOrMove(ctx, t, w, stop))
	}
	return soonest
}

// tellOrMove tells something in the target's channel, and, where that finally refuses it, in the next
// that is left. The notes remember which ones refused, and which channel got it instead: also one that
// the configuration, which has changed since, no longer names.
func (s *Outbox) tellOrMove(ctx context.Context, t routes.Target, w want, stop time.Time) *watcher.RetryError {
	others, from, been := t.Fallbacks, message.Refusal{}, []string{t.Channel}
	for {
		p, retry := s.tell(ctx, s.in(t, w, others, from), stop)
		if retry != nil || w.quiet || p.Moved == "" || slices.Contains(been, p.Moved) {
			return retry
		}
		from = message.Refusal{Channel: t.Channel, Code: p.Code, Remedy: (&slack.Error{Class: slack.ChannelRefused, Code: p.Code}).Remedy()}
		if next := slices.Index(others, p.Moved); next >= 0 {
			others = others[next+1:]
		}
		t.Channel, been = p.Moved, append(been, p.Moved)
	}
}

// in returns the want for the target's channel.
func (s *Outbox) in(t routes.Target, w want, others []string, from message.Refusal) want {
	w.channel, w.others, w.log = t.Channel, others, w.log.With("channel", t.Channel)
	w.silent = w.silent || w.ended != nil && (w.left || t.QuietSuccesses && !message.Fails(w.ended.Outcome))
	w.options = s.options(t, w.again, from)
	w.follows, w.aloud = w.goesOn != nil && t.Progress, wakes(w.attention, t.MentionOn)
	if w.watching != "" && !w.aloud {
		w.options.Mention = ""
	}
	switch {
	case w.quiet, w.watching != "" && !w.aloud, w.ended != nil && !message.Fails(w.ended.Outcome):
		w.urgency = calm
	case w.ended != nil, w.kind == "again", w.aloud:
		w.urgency = repeated
	}
	if w.kind == "again" {
		w.options.Now = time.Time{} // late it is, as wanted
	}
	return w
}

// options returns what the target's messages depend on beside what they tell of.
func (s *Outbox) options(t routes.Target, again watcher.Again, from message.Refusal) message.Options {
	o := message.Options{
		Mention: routes.Mention(t.Mention), Now: s.config.Now(), NoThread: t.Channel == routes.Webhook, Own: t.Requests, Secrets: s.secrets, Refusal: from, Again: again,
		Links: message.Links{Console: s.config.ConsoleURL, Public: s.config.PublicURL}, Env: t.Env,
	}
	for _, r := range t.Runbooks {
		o.Runbooks = append(o.Runbooks, message.Runbook(r))
	}
	return o
}

// named returns the targets for these channels, as the watch's own are where it has them.
func (s *Outbox) named(own []routes.Target, channels []string) (targets []routes.Target) {
	for _, channel := range channels {
		t := routes.Target{Channel: channel, Mention: s.config.Mention, Fallbacks: s.plan.Fallbacks(channel), Runbooks: own[0].Runbooks, Env: own[0].Env}
		if i := slices.IndexFunc(own, func(t routes.Target) bool { return t.Channel == channel }); i >= 0 {
			t = own[i]
		}
		targets = append(targets, t)
	}
	return targets
}

// latest reports whether the watch's state is not older than the latest that this process has seen: while a message
// may not change, older ones queue up, and telling them one by one would show the past.
func (s *Outbox) latest(watch string, state int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.newest) >= maxMemories {
		clear(s.newest) // an older one may be told
	}
	s.newest[watch] = max(s.newest[watch], state)
	return state == s.newest[watch]
}

// A want is what is to be told, and where.
type want struct {
	kind, id string    // of the note, with the channel: see noteKey
	digest   string    // the note's key where it is a digest's or a group's, which tell of many watches; else empty
	thread   string    // the ts of the message whose thread it stands in; empty: it stands in the channel
	who      string    // takes turns in the channel: the watch or the outage
	told     time.Time // when what it tells of happened
	state    string    // what is to be told
	least    string    // a state before it that is enough for the caller; empty: none

	urgency   urgency
	missed    string                  // what is said of it where it may wake nobody; empty: its text
	leads     bool                    // of a group: other messages stand in its thread
	settles   bool                    // of a group: the caller waits for its ping, too
	corrects  bool                    // of a group: it is told again although this process has told the state, since it says another thing now
	line      bool                    // it wakes people for messages that did not
	quiet     bool                    // it tells of a watch that goes on, and wakes nobody
	left      bool                    // the routes lead there no more: what stands there is ended, and nothing else is told
	silent    bool                    // it is told only where a message stands that it ends
	ended     *watcher.Completion     // the watch whose end it tells of; nil where it is something else
	watching  string                  // the watch that goes on, of which it tells; empty where it tells of something else
	attention *watcher.OrderAttention // one of conditions, of which it tells; nil where it is something else
	goesOn    *watcher.Report         // how the watch is that goes on, where its own message tells of it; else nil
	follows   bool                    // that message says how far the watch is
	aloud     bool                    // it wakes people although the watch goes on
	again     watcher.Again           // who had it sent again

	channel string
	others  []string // the channels that are left to try where this one finally refuses it

	render  func(message.Options) message.Message
	options message.Options
	message message.Message // as it is to stand in the end; written once it is needed

	about watcher.UndeliveredMessage          // what it tells of, where it is finally refused
	log   *slog.Logger                        // says what it is about
	whole func(*slog.Logger, message.Message) // writes a message to the log
}

// The states of a watch.
const (
	running   = "running"   // begins those of a watch that goes on
	completed = "completed" // is the last
)

// noteKey returns the key of what is noted of something in a channel.
func noteKey(kind, about, channel string) string {
	return kind + "." + foreign.Token(about) + "." + channel
}

// key returns the key of the message's note.
func (w want) key() string { return cmp.Or(w.digest, noteKey(w.kind, w.id, w.channel)) }

// changes reports whether it goes on changing: it is told no more often than every Timing.Change.
func (w want) changes() bool { return w.quiet || w.digest != "" }

// turn returns the message's place among those that wait for the channel.
func (w want) turn() turn { return turn{w.told, w.who, w.urgency} }

// isFile reports whether the part is the file, or the reply in its place.
func (w want) isFile(part int) bool {
	return w.message.File != nil && part == 1+len(w.message.Replies)
}

// part returns the message that is this part, and its forms from the richest to text alone.
func (w want) part(part int) (message.Message, [][]blockkit.Block) {
	m := w.message
	if w.isFile(part) {
		return message.Message{Text: m.File.Instead}, [][]blockkit.Block{nil, nil} // the file, or text alone
	}
	if part > 0 {
		m = m.Replies[part-1]
	}
	forms := [][]blockkit.Block{m.Blocks}
	if len(m.Brief) > 0 {
		forms = append(forms, m.Brief)
	}
	return m, append(forms, nil)
}

// remedy says what to do about a message that is not delivered.
func (w want) remedy(e *slack.Error) string {
	do := e.Remedy()
	if w.about.Outcome != "" {
		do += "; then post it again: orderwatch renotify " + foreign.Token(w.about.WatchID)
		if w.channel != routes.Webhook {
			do += " --channel " + w.channel
		}
	}
	return do
}
