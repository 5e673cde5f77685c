package watcher

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/room"
)

// A Poller takes wake-ups. It is safe for concurrent use.
type Poller struct {
	Log     *slog.Logger
	Policy  Policy
	Orders  Orders
	Records Records
	Wakeups Wakeups
	Events  Events
	Now     func() time.Time // by the server's clock
	AckWait time.Duration    // so long after its delivery a wake-up may have come to another worker, too: then the record is read; 0: it always is

	// Disagreed is told of each poll that a hint brought on and that shows an order which has not ended; nil: nobody is. It
	// must be safe for concurrent use.
	Disagreed func(region string)

	room room.Room
}

// Wake makes the step that the wake-up is for. It may be called again for the same wake-up at any
// time, also beside another worker. attempt counts its deliveries from 1.
func (p *Poller) Wake(ctx context.Context, k Wakeup, attempt int) Verdict {
	r := record{}
	var err error
	due := func() bool { return err == nil && r.expects(k) }
	if k.Revision != 0 && attempt == 1 && p.Now().Sub(k.At) < p.AckWait { // nobody has taken it since the record was kept
		r.Watch, r.revision, r.recalled = p.Records.Recall(k.Order)
	}
	if !r.recalled || !due() {
		r.recalled = false
		r.Watch, r.revision, err = p.Records.Read(ctx, k.Order)
	}
	if errors.Is(err, ErrNoRecord) || err == nil && !due() {
		r.Watch, r.revision, err = p.Records.ReadLatest(ctx, k.Order) // the first answer may be behind
	}
	if due() && p.followed(ctx, k, attempt, &r.Watch) {
		return Verdict{Action: Ack}
	}
	if due() {
		return p.step(ctx, k, attempt, r)
	}
	return p.pass(ctx, k, attempt, r.Watch, r.revision, err)
}

// followed reports whether a wake-up that comes again was followed by a poll that left the record as it was: the next wake-up
// waits.
func (p *Poller) followed(ctx context.Context, k Wakeup, attempt int, w *Watch) bool {
	if attempt == 1 || k.Revision == 0 {
		return false
	}
	newest, err := p.Wakeups.Newest(ctx, k.Order)
	return err == nil && newest.wakes(w) && newest.LaterThan(k) && newest.At.After(p.Now())
}

// pass deals with a wake-up that is not to be followed by a poll, as the server that writes shows
// the record: it makes sure of the step that is to follow instead.
func (p *Poller) pass(ctx context.Context, k Wakeup, attempt int, w Watch, revision Revision, err error) Verdict {
	switch {
	case errors.Is(err, ErrNoRecord):
		return p.missing(k, attempt)
	case err != nil:
		return notRead(err)
	case k.newerThan(&w, revision) && attempt < patience: // also where the record read has ended: its successor is not seen yet
		return putBack(behindDelay, nil)
	case w.State == Ended:
		return Verdict{Action: Ack}
	case w.State == Ending:
		return p.finish(ctx, w, revision, attempt)
	}
	newest, err := p.Wakeups.Newest(ctx, k.Order)
	switch polled := w.Merged(newest); {
	case err != nil:
		return putBack(0, err)
	case k.Hint != nil && polled.LastPollAt.Before(k.At): // it was made for a record that was behind
		k.WatchID, k.Number = w.ID, w.Wakeup
		return p.schedule(ctx, k)
	case newest.wakes(&w) && newest.Revision >= revision && newest.At.After(p.Now()): // it waits; one that is due may be a ghost
		return Verdict{Action: Ack}
	}
	return p.schedule(ctx, w.after(newest, revision))
}

// patience is how often a wake-up is delivered before what a server does not show is taken for
// gone: far longer than a server is behind.
const patience = 60

// missing deals with a wake-up whose record is not there. Somebody deleted it, or its server is
// behind.
func (p *Poller) missing(k Wakeup, attempt int) Verdict {
	if attempt < patience {
		return putBack(missingDelay, ErrNoRecord)
	}
	p.Log.Error("wake-up dropped: its watch has no record; was it deleted? Publish the request again", "watch", k.WatchID, "project", k.ProjectID, "order", k.Name)
	return Verdict{Action: Ack}
}

// roomPatience is how long a poll of a large order waits for others of large orders at its beginning. Then its wake-up is put
// back: it would come again while it waits, and polls of small orders would find no place in this worker.
const roomPatience = 10 * time.Second

// step decides the watch's next step, asks the API where that is needed, and stores the result.
//
// That the wake-up came proves that its time has passed, whatever this worker thinks of the time:
// it would poll again and again until it thinks so, too.
func (p *Poller) step(ctx context.Context, k Wakeup, attempt int, r record) Verdict {
	now := func() time.Time { return later(p.Now().UTC().Round(0), k.At) }
	w, err := p.merged(ctx, k, r)
	if err != nil {
		return putBack(0, err)
	}
	stay := p.room.Stay()
	defer stay.Leave()
	if stay.EnterWithin(ctx, roomPatience, len(w.Items)+len(w.Missing)) != nil {
		return putBack(behindDelay, context.Cause(ctx)) // it comes again, and others have its place meanwhile
	}
	noted := w.hint()
	w = w.hinted(k)
	if k.Hint != nil && noted != nil && w.Wish == nil && now().Before(w.NextPollAt) {
		return p.keepTurn(ctx, w, noted, r.revision)
	}
	leave := p.leave(ctx, w, now())
	at := now()
	if next, ok := p.Policy.Before(w, leave, at); ok {
		due := p.Policy.untold(next, at)
		if r.recalled && len(due) > 0 { // nobody is told of a watch that has ended meanwhile
			stay.Leave() // it enters anew
			return p.anew(ctx, k, attempt)
		}
		return p.store(ctx, p.attend(ctx, next, due, at), nil, nil, r.revision)
	}
	if !p.Policy.storable(w) {
		return putBack(0, errNotStorable)
	}
	answer, failure := p.Orders.Show(ctx, w.Region, w.Order)
	if ctx.Err() != nil {
		return putBack(0, context.Cause(ctx)) // this worker ends; the answer says nothing of the order
	}
	if err := stay.Enter(ctx, len(answer.Items)); err != nil { // the order was not known to be large
		return putBack(0, err)
	}
	for range writeTries {
		before := r.revision
		verdict := p.fold(ctx, k, r, w, answer, failure, now())
		overtaken := errors.Is(verdict.Err, ErrOvertaken)
		if !errors.Is(verdict.Err, ErrConflict) && !overtaken {
			return verdict
		}
		// A join or a wish came meanwhile: the same answer is folded into what the record is now.
		// Or another worker made this step, perhaps before the record was read from a server that
		// is behind: read there again, it would lead to another poll.
		r, err = p.latest(ctx, w.Order)
		switch {
		case err != nil || !r.expects(k):
			return p.pass(ctx, k, attempt, r.Watch, r.revision, err)
		case overtaken && r.revision == before: // by another that made the same poll
			return Verdict{Action: Ack}
		}
		if w, err = p.merged(ctx, k, r); err != nil {
			return putBack(0, err)
		}
		w = w.hinted(k)
	}
	return putBack(0, ErrConflict)
}

// anew makes the step with the record as the server that writes has it.
func (p *Poller) anew(ctx context.Context, k Wakeup, attempt int) Verdict {
	r, err := p.latest(ctx, k.Order)
	if err != nil || !r.expects(k) {
		return p.pass(ctx, k, attempt, r.Watch, r.revision, err)
	}
	return p.step(ctx, k, attempt, r)
}

// latest reads the record from the server that writes.
func (p *Poller) latest(ctx context.Context, order Order) (r record, err error) {
	r.Watch, r.revision, err = p.Records.ReadLatest(ctx, order)
	return r, err
}

// merged returns the record with the polls that it was left unwritten after. A wake-up that was published without knowing the
// record's revision, such as a hint, knows nothing of them.
func (p *Poller) merged(ctx context.Context, k Wakeup, r record) (Watch, error) {
	if k.Revision != 0 || r.Polls == 0 {
		return r.Merged(k), nil
	}
	newest, err := p.Wakeups.Newest(ctx, k.Order)
	return r.Merged(newest), err
}

// fold stores what the answer or the failure of a poll of the watch leads to: w is the record r as the wake-up left it.
func (p *Poller) fold(ctx context.Context, k Wakeup, r record, w Watch, answer Answer, failure error, at time.Time) Verdict {
	next, changes := p.Policy.Fold(w, answer, failure, at)
	next = p.book(next, at)
	due := append(p.Policy.untold(next, at), p.Policy.odd(next, at)...)
	if r.recalled && len(due) > 0 { // nobody is told of a watch that has ended meanwhile
		return putBack(0, ErrConflict)
	}
	p.logPoll(w, next, changes, failure)
	if unwritten, ok := r.leaves(k, &next); ok && len(due) == 0 {
		return acked(p.Wakeups.Schedule(ctx, unwritten))
	}
	next = p.attend(ctx, next, due, at)
	verdict := p.store(ctx, next, changes, answer.Items, r.revision)
	if !errors.Is(verdict.Err, ErrConflict) {
		p.compare(w.hint(), next, failure)
	}
	return verdict
}

// keepTurn deals with one more hint for a watch that was put off after one: asking now would lose its turn. noted is the
// hint that its record has.
func (p *Poller) keepTurn(ctx context.Context, w Watch, noted *Hint, revision Revision) Verdict {
	if !w.Hint.Ended.Equal(noted.Ended) {
		var err error
		if revision, err = p.Records.Write(ctx, w, revision); err != nil {
			return putBack(0, err)
		}
	}
	return p.wake(ctx, w, revision)
}

// errNotStorable means that no answer about the order could be stored.
var errNotStorable = errors.New("not polled: the watch's requests alone are larger than NATS takes now; raise the server's max_payload again, and restart the workers")

// leave asks for the account's leave, but for a watch that will not be polled whatever it says.
func (p *Poller) leave(ctx context.Context, w Watch, now time.Time) Leave {
	if w.Wish != nil {
		return Leave{}
	}
	turn := Turn{Urgency: p.Policy.urgency(&w, now), At: w.Turn}
	if turn.At.IsZero() && w.booked() {
		turn.At = w.NextPollAt
	}
	if turn.Wanted = w.Wanted(); turn.Wanted.IsZero() {
		turn.Wanted = w.NextPollAt
	}
	return p.Orders.Wait(ctx, w.Region, w.Order, now, turn)
}

// book puts the watch off already now where it would be put off at its next wake-up, since the account's rate is used up: so
// one wake-up is enough for each poll.
func (p *Poller) book(w Watch, now time.Time) Watch {
	if w.State != Watching || w.Wish != nil || !w.booked() {
		return w
	}
	at := w.NextPollAt
	turn := p.Orders.Book(w.Region, w.Order, now, Turn{Urgency: p.Policy.urgency(&w, at), At: at})
	if turn.After(at) {
		w.putOff(turn)
	}
	return w
}

// booked reports whether the account's rate was looked at when the watch's next poll was decided. It is not after the first
// poll: the list may show the order by the second, which may wait then.
func (w *Watch) booked() bool { return w.Polls > 1 }

// compare counts where the list, whose hint brought the poll on, contradicts the order.
func (p *Poller) compare(hint *Hint, polled Watch, err error) {
	if hint == nil || err != nil || !polled.Counts.open() {
		return
	}
	p.Log.Debug("the list says that the order has ended, and the order does not", "watch", polled.ID, "project", polled.ProjectID, "order", polled.Name)
	if p.Disagreed != nil {
		p.Disagreed(polled.Region)
	}
}

// store writes the record that a step led to and makes sure of what follows from it.
func (p *Poller) store(ctx context.Context, w Watch, changes []Change, items []Item, revision Revision) Verdict {
	if w.State == Ending {
		return p.storeEnding(ctx, w, revision)
	}
	revision, err := p.Records.Write(ctx, w, revision)
	if err != nil {
		return putBack(0, err)
	}
	if len(changes) > 0 { // before the wake-up, so that it comes before the completion
		p.progress(ctx, w, changes, items)
	}
	return p.wake(ctx, w, revision)
}

// progress publishes what changed. It is best effort: the record has it.
func (p *Poller) progress(ctx context.Context, w Watch, changes []Change, items []Item) {
	log := p.Log.With("watch", w.ID, "project", w.ProjectID, "order", w.Name)
	if late := p.Now().Sub(w.LastPollAt); late > progressPatience {
		log.Warn("progress not published: it is late, and might follow the completion", "wait", late)
		return
	}
	if err := p.Events.Progress(ctx, p.Policy.Progress(w, changes, items)); err != nil {
		log.Warn("progress not published", "err", err)
	}
}

// attend tells people what is due of the watch, as it was decided at that time, and returns it as told. What
// could not be published is told after the next poll.
func (p *Poller) attend(ctx context.Context, w Watch, due []OrderAttention, at time.Time) Watch {
	if len(due) == 0 {
		return w
	}
	log := p.Log.With("watch", w.ID, "project", w.ProjectID, "order", w.Name)
	for _, a := range due {
		if late := p.Now().Sub(at); late > progressPatience {
			log.Warn("people not told: it is late, and might follow the completion", "kind", a.Kind, "wait", late)
			return w
		}
		if err := p.Events.Attend(ctx, a); err != nil {
			log.Warn("people not told; trying again after the next poll", "kind", a.Kind, "err", err)
			continue
		}
		log.Warn("people are told of an order", "kind", a.Kind, "since", a.Since, "over", !a.Until.IsZero(), "reason", a.Reason)
		w = w.told(a)
	}
	return w
}

// progressPatience is how long after its poll progress is still published. A worker that slept for
// longer may be behind the watch's completion.
const progressPatience = 2 * time.Second

// storeEnding writes the record with its completion. The first watch of an order is taken to follow no completion: where there is
// one, since the order's record was deleted, that is found out when the completion is published.
func (p *Poller) storeEnding(ctx context.Context, w Watch, revision Revision) Verdict {
	w.After = 0
	var err error
	if len(w.Earlier) > 0 {
		_, w.After, err = p.Events.LastCompletion(ctx, w.Order)
	}
	if err != nil {
		return putBack(0, err)
	}
	if revision, err = p.Records.Write(ctx, w, revision); err != nil {
		return putBack(0, err)
	}
	return p.finish(ctx, w, revision, 0)
}

// finish publishes the completion that an ending record holds, or finds it published, and ends
// the watch. Every worker that calls it publishes the same.
func (p *Poller) finish(ctx context.Context, w Watch, revision Revision, attempt int) Verdict {
	err := p.Events.Complete(ctx, *w.Completion, w.After)
	if errors.Is(err, ErrConflict) {
		last, sequence, err := p.Events.LastCompletion(ctx, w.Order)
		if err != nil {
			return putBack(0, err)
		}
		if last != w.ID {
			return p.correct(ctx, w, revision, sequence, attempt)
		}
	} else if err != nil {
		return putBack(0, err)
	}
	if w.goesOn() {
		return p.goOn(ctx, w, revision)
	}
	w.State = Ended
	if _, err := p.Records.Write(ctx, w, revision); err != nil {
		return putBack(0, err) // next time the completion is found, or the record ended
	}
	p.Log.Info("watch ended", "watch", w.ID, "project", w.ProjectID, "order", w.Name, "outcome", w.Completion.Outcome, "reason", w.Completion.Reason, "polls", w.Completion.Polls)
	return Verdict{Action: Ack}
}

// goOn puts the watch of the requests that the completion does not answer in the place of the ending record, and makes
// sure of its first wake-up. Where the worker dies between the two, the record asks for that wake-up, and whoever
// finds it publishes it: the next delivery of this wake-up, a request that comes again, or the patrol.
func (p *Poller) goOn(ctx context.Context, w Watch, revision Revision) Verdict {
	next := p.Policy.goOn(w)
	revision, err := p.Records.Write(ctx, next, revision)
	if err != nil {
		return putBack(0, err)
	}
	p.Log.Info("watch ended for some of its requests; the others go on", "watch", w.ID, "project", w.ProjectID, "order", w.Name, "outcome", w.Completion.Outcome, "reason", w.Completion.Reason, "next", next.ID, "requests", len(next.Requests))
	return p.wake(ctx, next, revision)
}

// correct mends an ending record whose After was read from a server that was behind, or taken for 0, and which
// could not be published otherwise. Nobody has published this watch's completion: the order's last
// one is another's. A sequence that went down is believed late: the stream was made anew, or its
// last completion of the order expired.
func (p *Poller) correct(ctx context.Context, w Watch, revision Revision, sequence uint64, attempt int) Verdict {
	if sequence > w.After || sequence < w.After && attempt >= patience {
		w.After = sequence
		if _, err := p.Records.Write(ctx, w, revision); err != nil {
			return putBack(0, err)
		}
	}
	return putBack(behindDelay, nil)
}

func (p *Poller) wake(ctx context.Context, w Watch, revision Revision) Verdict {
	return p.schedule(ctx, w.expected(revision))
}

func (p *Poller) schedule(ctx context.Context, k Wakeup) Verdict {
	return acked(ensured(p.Wakeups.Schedule(ctx, k)))
}

// ensured returns the error of a wake-up that was to be stored; nil also where a later one waits.
func ensured(err error) error {
	if errors.Is(err, ErrOvertaken) {
		return nil
	}
	return err
}

// acked is the verdict where nothing but this was left to do.
func acked(err error) Verdict {
	if err != nil {
		return putBack(0, err)
	}
	return Verdict{Action: Ack}
}

func (p *Poller) logPoll(before, after Watch, changes []Change, err error) {
	same := before.LastError != nil && after.LastError != nil && before.LastError.Code == after.LastError.Code
	told := err != nil && !same || slices.ContainsFunc(changes, func(c Change) bool { return !c.To.Known() })
	if !told && !p.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	log := p.Log.With("watch", after.ID, "project", after.ProjectID, "order", after.Name)
	log.Debug("polled", "poll", after.Polls, "wait", after.NextPollAt.Sub(after.LastPollAt), "changes", len(changes), "err", err)
	if err != nil && !same {
		log.Warn("poll failed", "poll", after.Polls, "err", err)
	}
	for _, c := range changes {
		if !c.To.Known() {
			log.Warn("item has an unknown status and counts as processing", "item", c.ResourceName, "status", string(c.To))
		}
	}
}
