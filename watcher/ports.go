package watcher

import (
	"context"
	"errors"
	"time"
)

// Orders is the cloud that is asked. It must be safe for concurrent use.
type Orders interface {
	// Wait says whether the account that is asked for the order may be asked now. Where it may, the
	// caller is to ask once, at once.
	Wait(ctx context.Context, region string, order Order, now time.Time, turn Turn) Leave
	// Book returns when a caller is to come who wants to ask at turn.At: then, or later where the account's rate is used up
	// for that time. A caller who comes at that time has its turn, as after Wait.
	Book(region string, order Order, now time.Time, turn Turn) time.Time
	// Show asks once for the order. An error with a *[PollError] in its chain says what it
	// means for the watch; any other may pass.
	Show(ctx context.Context, region string, order Order) (Answer, error)
}

// A Turn says which call of an account goes before which.
type Turn struct {
	Urgency Urgency
	// At is when an earlier Wait told the caller to come back, zero for none: a caller who comes then goes before
	// callers of the same urgency who have not waited.
	At time.Time
	// Wanted is when the call was wanted first, zero where that is not known: while more callers have a turn than can be
	// served, those go first who have waited longest.
	Wanted time.Time
	Taken  bool // an earlier Wait let this call be made soon, and that time is over
}

// An Urgency says how soon an order is to be asked, beside others that wait for the same account.
type Urgency int

// The urgencies, the least urgent first.
const (
	Spare        Urgency = iota - 1 // the list of orders shows that the order runs, and will show its end
	Routine                         // by the time at which the poll is due
	MayHaveEnded                    // the list of orders says so, the order looked ended when it was asked last, or a request's deadline has come
)

// A Revision is the sequence at which a record was stored; 0 where there is none.
type Revision uint64

// Records keeps one record for each order. It must be safe for concurrent use.
type Records interface {
	// Recall returns the record as this worker read or wrote it last, where it has kept that: others may have written it since.
	// It does not block. What the record points to is shared, and is not to be changed.
	Recall(Order) (w Watch, revision Revision, ok bool)
	// Read returns the record from whichever server answers first: it may be behind.
	Read(context.Context, Order) (Watch, Revision, error)
	// ReadLatest returns the record from the server that writes. With ErrNoRecord the revision is
	// that of the record's deletion, or 0.
	ReadLatest(context.Context, Order) (Watch, Revision, error)
	// Write stores the record if the order's last revision is the one given.
	Write(context.Context, Watch, Revision) (Revision, error)
}

// Wakeups is the clock. It must be safe for concurrent use.
type Wakeups interface {
	// Schedule stores the wake-up, to be delivered to one worker when it is due: one that is due later in place of the order's
	// scheduled one. With ErrOvertaken that one is later by [Wakeup.LaterThan]: it stays, and the wake-up is not needed.
	Schedule(context.Context, Wakeup) error
	// Newest returns the latest of the order's wake-ups that wait or are due, from the server that writes; the zero one
	// where there is none.
	Newest(context.Context, Order) (Wakeup, error)
	// Highest returns the highest number of the order's wake-ups that wait or are due, from the
	// server that writes; 0 where there is none.
	Highest(context.Context, Order) (number uint64, err error)
}

// Events is where others learn of watches. It must be safe for concurrent use.
type Events interface {
	// LastCompletion returns the id of the watch whose completion is the order's last, and its
	// sequence, from the server that writes; 0 where there is none.
	LastCompletion(context.Context, Order) (watchID string, sequence uint64, err error)
	// Complete publishes the completion if the order's last one has the sequence after.
	Complete(ctx context.Context, c Completion, after uint64) error
	// Progress publishes what changed.
	Progress(context.Context, Progress) error
	// Attend publishes what people should look at, once for each watch, kind and Since, however often
	// it is called. With Until it publishes that this is over, also once, and only where people were told that it is so.
	Attend(context.Context, OrderAttention) error
}

// Accounts is what workers tell each other of the accounts that they ask. It must be safe for
// concurrent use.
type Accounts interface {
	// Workers returns how many workers share what an account may be asked; at least 1.
	Workers() int
	// Reserved returns how many of the calls a second that the account may be asked in the region the lists of orders
	// take, those of all workers together; 0 where none is read. It does not block.
	Reserved(region string) float64
	// Hold returns the hold under the key as this worker knows it, and its revision; the zero Hold
	// where there is none. It does not block.
	Hold(key string) (Hold, Revision)
	// SetHold stores the hold if the key's last revision is the one given. With ErrConflict
	// another worker was quicker, and Hold returns what it stored; with any other error the hold
	// counts for this worker alone.
	SetHold(ctx context.Context, key string, h Hold, revision Revision) error
	// Answered lets the others know which order this worker was answered about last with the account
	// under the key. It does not block.
	Answered(key string, order Order)
	// LastAnswered returns what another worker said so, one of them where several did. It does not block.
	LastAnswered(key string) (order Order, ok bool)
}

// A Notifier tells people how a watch ended, and of accounts that cannot be asked. It must be safe
// for concurrent use.
type Notifier interface {
	// Notify returns nil once the people have been told or can never be; the event is then done
	// with. An error puts the event back; a *[RetryError] in its chain says for how long.
	Notify(ctx context.Context, c Completion) error
	// Progress does the same while a watch goes on, for those who want it.
	Progress(ctx context.Context, g Progress) error
	// Attend does the same for an account. There is an event for each project; people are to be
	// told once of all events that share an outage.
	Attend(ctx context.Context, a Attention) error
	// AttendOrder does the same for one watch, in the channels of its requests.
	AttendOrder(ctx context.Context, a OrderAttention) error
	// NotifyAgain tells people once more how a watch ended, as somebody wants it, and who. It is
	// told once for each wish, however often it comes.
	NotifyAgain(ctx context.Context, c Completion, a Again) error
	// AttendRequest does the same as AttendOrder for a request that was rejected, of which no watch can tell.
	AttendRequest(ctx context.Context, a RequestAttention) error
}

// Notes is what a Notifier remembers of what it told, for all workers and across restarts. It must
// be safe for concurrent use.
type Notes interface {
	// Note returns what is noted under the key, nil where there is nothing, and its revision, from
	// the server that writes.
	Note(ctx context.Context, key string) (text []byte, revision Revision, err error)
	// Under returns, by key, what is noted under the keys that begin with the prefix and a dot, from
	// the server that writes.
	Under(ctx context.Context, prefix string) (map[string][]byte, error)
	// SetNote notes the text, which is not empty, if the key's last revision is the one given, and
	// returns the new one. With ErrConflict another worker was quicker, or the answer to the
	// caller's own write was lost. A key is made of a-z A-Z 0-9 - _ = / and single dots.
	SetNote(ctx context.Context, key string, text []byte, revision Revision) (Revision, error)
}

// Undelivered is where messages are kept that could not be delivered to people. It must be safe for
// concurrent use.
type Undelivered interface {
	// Keep stores the message. A message may come again, with the same ID.
	Keep(context.Context, UndeliveredMessage) error
}

// An UndeliveredMessage is one that Slack finally refused: of a watch, or of an outage.
type UndeliveredMessage struct {
	// ID is the same whenever the same message is refused in the same channel.
	ID        string        `json:"-"`
	WatchID   string        `json:"watch_id,omitempty"`
	ProjectID string        `json:"project_id,omitempty"`
	OrderName string        `json:"order_name,omitempty"`
	Outcome   Outcome       `json:"outcome,omitempty"`
	Outage    string        `json:"outage,omitempty"` // in place of the four before
	Kind      AttentionKind `json:"kind,omitempty"`   // of the attention event, about the outage or the watch
	Channel   string        `json:"channel"`          // the ID; webhook for the webhook's own
	Text      string        `json:"text"`             // as people would have seen it, without secrets; cut where it is long
	Code      string        `json:"code"`             // Slack's
	Reason    string        `json:"reason"`
	ToldAt    time.Time     `json:"told_at"` // when what it tells of happened
	RefusedAt time.Time     `json:"refused_at"`
}

// A RetryError asks to be tried again no sooner than After.
type RetryError struct {
	After time.Duration
	Err   error
}

func (e *RetryError) Error() string { return e.Err.Error() }

func (e *RetryError) Unwrap() error { return e.Err }

// Errors of the stores and of [Intake]. Any other error of theirs means that nothing is known: what was to be
// stored may have been stored or not.
var (
	// ErrNoRecord means that the server that answered has no record of the order.
	ErrNoRecord = errors.New("no record")
	// ErrConflict means that the server that answered saw another revision than was expected. It
	// is no proof: it may be behind, or the write may be the caller's own, whose answer was lost.
	ErrConflict = errors.New("conflict")
	// ErrOvertaken means that a later wake-up of the order was read than the one that was to be stored.
	ErrOvertaken = errors.New("a later wake-up waits")
	// ErrOver means that the watch has ended, or that its completion is fixed.
	ErrOver = errors.New("the watch has ended")
	// ErrBroken means that the order's record is none that a worker wrote, or cannot be read.
	ErrBroken = errors.New("its record cannot be read")
	// ErrNewerSchema means that the record was written by a later version of this program.
	ErrNewerSchema = errors.New("record has a newer schema")
)
