package watcher

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// An Intake takes what people and programs ask: requests to watch, and wishes about a watch that
// goes on. It is safe for concurrent use.
type Intake struct {
	Log     *slog.Logger
	Policy  Policy
	Records Records
	Wakeups Wakeups
	Now     func() time.Time // by the server's clock

	// Allow is asked, once for each call of Admit, for a request that is in no watch yet: just before it is written, and
	// where it just came and must wait since the order's watch is full. Nil allows all. Its error wraps a *[FieldError] where
	// the request is to be rejected; after any other nothing is known.
	Allow func(context.Context, Ask) error

	// turns let the requests for one order that this worker holds go one after another: all at once,
	// each write would be a conflict for the others.
	turns [64]sync.Mutex
}

// turn waits until no other request of the order, or of one that shares its turns, is being admitted.
func (in *Intake) turn(order Order) (done func()) {
	hash := fnv.New32a()
	hash.Write([]byte(order.Key())) // it never fails
	mutex := &in.turns[hash.Sum32()%uint32(len(in.turns))]
	mutex.Lock()
	return mutex.Unlock
}

// Take admits a request that was delivered, and says what is to be done with the delivery. It may
// be called again for the same request at any time.
func (in *Intake) Take(ctx context.Context, ask Ask) Verdict {
	admission, w, err := in.Admit(ctx, ask)
	switch {
	case admission == Reject:
		return Verdict{Action: Refuse, Err: err}
	case err != nil:
		return notRead(err)
	case admission == Defer:
		return in.deferred(w)
	}
	return Verdict{Action: Ack}
}

// Admit starts a watch for the request, or lets it join the order's, and returns the record that
// decided it: with Start, Join and Repeat it holds the request, and the wake-up that it expects is
// stored. With Reject the error wraps a *[FieldError]. After any other error nothing is known, and the
// same request is to be admitted again.
func (in *Intake) Admit(ctx context.Context, ask Ask) (Admission, Watch, error) {
	defer in.turn(ask.Order)()
	allowed := in.Allow == nil
	for try := range writeTries {
		var record *Watch
		var revision Revision
		if try > 0 || !in.new(ask.Order) {
			var err error
			if record, revision, err = in.latest(ctx, ask.Order); err != nil {
				return Defer, Watch{}, err
			}
		}
		admission, w, err := in.Policy.Admit(record, ask, in.Now())
		if admission == Start && record == nil {
			// A record that was deleted leaves wake-ups behind, which must not pass for this watch's.
			highest, err := in.Wakeups.Highest(ctx, ask.Order)
			if err != nil {
				return Defer, Watch{}, err
			}
			w.Wakeup = highest + 1
		}
		switch admission {
		case Defer:
			if in.Allow != nil && !w.Ends() && in.Now().Sub(ask.Request.ReceivedAt) < fullDelay { // not each time that it comes again
				err = in.Allow(ctx, ask)
			}
			return refusedOr(Defer, err), w, err
		case Reject:
			return admission, w, err
		case Repeat:
			return admission, w, in.repeated(ctx, w, revision, ask.Request.ID)
		}
		if !allowed {
			if err := in.Allow(ctx, ask); err != nil {
				return refusedOr(Defer, err), w, err
			}
			allowed = true
		}
		revision, err = in.Records.Write(ctx, w, revision)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return Defer, w, err
		}
		if admission == Join {
			in.Log.Info("request joined", "watch", w.ID, "project", w.ProjectID, "order", w.Name, "request", ask.Request.ID)
			if w.Polls == 0 && w.NextPollAt.Equal(record.NextPollAt) {
				return Join, w, nil // the first poll is written, and so finds that the record is another one
			}
			return Join, w, ensured(in.Wakeups.Schedule(ctx, w.expected(revision)))
		}
		in.Log.Info("watch started", "watch", w.ID, "project", w.ProjectID, "order", w.Name, "request", ask.Request.ID, "region", w.Region)
		return Start, w, ensured(in.Wakeups.Schedule(ctx, w.expected(revision)))
	}
	return Defer, Watch{}, ErrConflict
}

// new reports whether the order is taken for one that has no record, without a look: where it has one, writing another is a conflict.
// Where it is to be asked who may have an order watched, that is not done in vain.
func (in *Intake) new(order Order) bool {
	_, _, known := in.Records.Recall(order)
	return !known && in.Allow == nil
}

// refusedOr returns Reject where the error says what is wrong with a request, and otherwise the other.
func refusedOr(other Admission, err error) Admission {
	if _, ok := errors.AsType[*FieldError](err); ok {
		return Reject
	}
	return other
}

// latest returns the order's record, nil where there is none.
func (in *Intake) latest(ctx context.Context, order Order) (*Watch, Revision, error) {
	w, revision, err := in.Records.ReadLatest(ctx, order)
	if errors.Is(err, ErrNoRecord) {
		return nil, revision, nil
	}
	if err == nil {
		w, _, err = in.merged(ctx, w)
	}
	return &w, revision, err
}

// merged returns the record with the polls that it was left unwritten after, and the wake-up that tells of them.
func (in *Intake) merged(ctx context.Context, w Watch) (Watch, Wakeup, error) {
	if w.State != Watching || w.Polls == 0 {
		return w, Wakeup{}, nil
	}
	newest, err := in.Wakeups.Newest(ctx, w.Order)
	return w.Merged(newest), newest, err
}

// repeated makes sure of the step after the one that was found done.
func (in *Intake) repeated(ctx context.Context, w Watch, revision Revision, id string) error {
	if w.State != Watching {
		in.Log.Info("request was answered before; ask with another id to have the order watched again", "watch", w.ID, "project", w.ProjectID, "order", w.Name, "request", id)
		return nil
	}
	return ensured(in.Wakeups.Schedule(ctx, w.expected(revision)))
}

func (in *Intake) deferred(w Watch) Verdict {
	if w.Ends() {
		return putBack(endingDelay, nil)
	}
	in.Log.Debug("watch takes no more requests", "watch", w.ID, "project", w.ProjectID, "order", w.Name)
	return putBack(fullDelay, nil)
}

// notRead is the verdict where a record could not be read or written.
func notRead(err error) Verdict {
	switch {
	case errors.Is(err, ErrNewerSchema):
		return putBack(newerDelay, err)
	case errors.Is(err, ErrBroken): // until it is moved aside
		return putBack(missingDelay, err)
	}
	return putBack(0, err)
}

// Cancel writes the wish that the order's watch be cancelled, for the requests of one team or for all, and returns the
// record with it. The watch ends for them at its poller's next step, which is due at once; where there are others, they
// go on in the watch that follows. A wish that is there already stays. The errors are [ErrNoRecord], also where no
// request is the team's, [ErrOver], and those after which nothing is known: cancel again then.
func (in *Intake) Cancel(ctx context.Context, order Order, wish Wish) (Watch, error) {
	defer in.turn(order)()
	for range writeTries {
		w, k, err := in.open(ctx, order)
		covered := slices.ContainsFunc(w.requests(), func(r Request) bool { return wish.covers(&r) })
		if !covered && wish.Team != "" && (err == nil || errors.Is(err, ErrOver)) {
			return w, fmt.Errorf("%w of a request of team %s", ErrNoRecord, wish.Team)
		}
		if err != nil {
			return w, err
		}
		wish.At = in.Now()
		if wanted := w.wanted(wish); len(wanted.wishes()) > len(w.wishes()) {
			w = wanted
			k.Revision, err = in.Records.Write(ctx, w, k.Revision)
		}
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return w, err
		}
		in.Log.Info("watch is to be cancelled", "watch", w.ID, "project", w.ProjectID, "order", w.Name, "by", w.Wish.By)
		return in.wakeNow(ctx, w, k)
	}
	return Watch{}, ErrConflict
}

// PollNow lets the order's watch be polled as soon as its account may be asked, and returns its
// record. The errors are those of Cancel.
func (in *Intake) PollNow(ctx context.Context, order Order) (Watch, error) {
	w, k, err := in.open(ctx, order)
	if err != nil {
		return w, err
	}
	return in.wakeNow(ctx, w, k)
}

// open returns the record of a watch that goes on, and the wake-up that it expects. With ErrOver it returns the one that does
// not; with ErrConflict one that is about to go on for some of its requests.
func (in *Intake) open(ctx context.Context, order Order) (Watch, Wakeup, error) {
	w, revision, err := in.Records.ReadLatest(ctx, order)
	switch {
	case err != nil:
	case w.goesOn():
		err = ErrConflict
	case w.State != Watching:
		err = ErrOver
	}
	if err != nil {
		return w, Wakeup{}, err
	}
	merged, newest, err := in.merged(ctx, w)
	return merged, w.after(newest, revision), err
}

// wakeNow lets the step that the record expects be due at once. Its timer stays, and finds the step
// done.
func (in *Intake) wakeNow(ctx context.Context, w Watch, k Wakeup) (Watch, error) {
	w.NextPollAt = in.Now()
	k.At = w.NextPollAt
	return w, ensured(in.Wakeups.Schedule(ctx, k))
}

// A Verdict says what is to be done with a delivery.
type Verdict struct {
	Action Action
	After  time.Duration // with PutBack: no sooner than this; 0 leaves it to the caller's backoff
	Err    error         // with PutBack: why, nil where nothing went wrong; with Refuse: a *[FieldError]
}

// An Action is one thing to do with a delivery.
type Action int

// The actions.
const (
	PutBack Action = iota // deliver it again: nothing is lost
	Ack                   // it is done: what follows from it was positively read or stored
	Refuse                // it is no request: say so in an event, then terminate it
)

func putBack(after time.Duration, err error) Verdict {
	return Verdict{Action: PutBack, After: after, Err: err}
}

// Delays of deliveries that are put back although nothing went wrong.
const (
	endingDelay  = time.Second      // a request for a watch that is ending
	fullDelay    = 15 * time.Second // a request for a watch that takes no more
	behindDelay  = time.Second      // a server that answered is behind
	missingDelay = 5 * time.Second  // the record of a wake-up is not there
	newerDelay   = 5 * time.Second  // a later version of this program must take it
)

// writeTries is how often a decision is made anew on a record that changed meanwhile, before the
// delivery is put back.
const writeTries = 5
