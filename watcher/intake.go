package watcher

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// An Intake takes requests in. It is safe for concurrent use.
type Intake struct {
	Log     *slog.Logger
	Policy  Policy
	Records Records
	Wakeups Wakeups
	Now     func() time.Time // by the server's clock
}

// Take starts a watch for the request, or lets it join the order's. It may be called again for
// the same request at any time.
func (in *Intake) Take(ctx context.Context, ask Ask) Verdict {
	for range writeTries {
		record, revision, err := in.latest(ctx, ask.Order)
		if err != nil {
			return notRead(err)
		}
		admission, w, err := in.Policy.Admit(record, ask, in.Now())
		switch admission {
		case Reject:
			return Verdict{Action: Refuse, Err: err}
		case Defer:
			return in.deferred(w)
		case Repeat:
			return in.repeated(ctx, w)
		}
		_, err = in.Records.Write(ctx, w, revision)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return putBack(0, err)
		}
		if admission == Join {
			in.Log.Info("request joined", "watch", w.ID, "project", w.ProjectID, "order", w.Name, "request", ask.Request.ID)
			return Verdict{Action: Ack}
		}
		in.Log.Info("watch started", "watch", w.ID, "project", w.ProjectID, "order", w.Name, "request", ask.Request.ID, "region", w.Region)
		return in.wake(ctx, w)
	}
	return putBack(0, ErrConflict)
}

// latest returns the order's record, nil where there is none.
func (in *Intake) latest(ctx context.Context, order Order) (*Watch, Revision, error) {
	w, revision, err := in.Records.ReadLatest(ctx, order)
	if errors.Is(err, ErrNoRecord) {
		return nil, revision, nil
	}
	return &w, revision, err
}

// repeated makes sure of the step after the one that was found done.
func (in *Intake) repeated(ctx context.Context, w Watch) Verdict {
	if w.State != Watching {
		return Verdict{Action: Ack}
	}
	return in.wake(ctx, w)
}

func (in *Intake) wake(ctx context.Context, w Watch) Verdict {
	if err := in.Wakeups.Schedule(ctx, w.Expected()); err != nil {
		return putBack(0, err)
	}
	return Verdict{Action: Ack}
}

func (in *Intake) deferred(w Watch) Verdict {
	if w.State == Ending {
		return putBack(endingDelay, nil)
	}
	in.Log.Debug("watch takes no more requests", "watch", w.ID, "project", w.ProjectID, "order", w.Name)
	return putBack(fullDelay, nil)
}

// notRead is the verdict where a record could not be read.
func notRead(err error) Verdict {
	if errors.Is(err, ErrNewerSchema) {
		return putBack(newerDelay, err)
	}
	return putBack(0, err)
}
