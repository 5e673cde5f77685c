// Package outbox tells people in Slack how watches end and what keeps them from going on: each message once,
// whichever worker has it and whatever dies. [Outbox] is a [watcher.Notifier].
//
// What all workers know of a message stands in a note ([watcher.Notes]), which is written before each call of Slack
// and after it: a worker that finds a call without its result looks in the channel's history for what became of it.
// A message may be doubled only where that history cannot be read. So a completion comes from its event to Slack:
//
//	Notify, latest, summary, stop    tell.go       what is to be told: a want
//	tellAll, tellOrMove, in          tell.go       in which channel: routes.Plan names the targets
//	tell, claim, lane, pass, held    deliver.go    may this worker tell it now?
//	read, readNote                   notes.go      what all workers know of it: a posting
//	postOrJoin, joins, groups        deliver.go    alone, in a digest (digest.go), or in a group of failures alike (storm.go)
//	summarize, takesFiles            upload.go     message.Summarize writes it
//	deliver, begin, held, next       step.go       one step after the other: a message that stands is edited, not posted
//	carryOut, call                   deliver.go    makes the step
//	awaitTurn, reserve, takeSlot     pace.go       the channel is free for this call; edits also need a turn in budget.go
//	mayWake                          pings.go      whether it may wake somebody; otherwise a line does later: settle, give
//	announce, note, writeNote        notes.go      the call is noted
//	send, post                       deliver.go    slack.Client.Post
//	rest                             pace.go       the channel is free again; after a 429 no worker calls it for a while
//	accepted, taken, note            deliver.go    the result is noted
//
// Read step.go first: one pure function, next, decides each step by the posting and the memory (posting.go: its method
// edits says whether there is a message to edit), the want (tell.go), and the moment. What it decides beside a call is
// in: reconcile.go, what became of a call, and which of two workers' doubled messages is deleted; refused.go, what
// follows an error, and which fallback channel gets what a channel finally refuses; upload.go, the file; pace.go, when
// a channel may be called, and who goes first; budget.go, which edits and looks the workspace still allows; trouble.go, what people hear of errors; condition.go, which of the
// conditions of a watch that goes on its message shows, and in which state; digest.go, who is told of together; storm.go, which failures are told in a group
// (takes); pings.go, who is woken when (gives, settles); outbox.go, how long all of that takes (DefaultTiming: a second
// from post to post).
//
// Workers of the release before may run beside those of this one, and be upgraded in any order: they do not read what
// is noted of groups and pings, and drop it from the notes that they write. So a watch that passes to one of them while
// it is told of may have a message of its own beside its row in a group, people may be woken more often than once a
// minute, and a message that woke nobody may be named late, or not at all. No message is lost. The message of a watch
// that goes on, in which one of this release told something, shows no progress that comes to one of them; it becomes the
// summary as always. They tell of a watch that is late, stalled, blind or near its deadline in a message of its own, which
// nobody edits, and do not edit the line of a channel whose watches waited for an account. Where that matters, stop all
// workers of the release before first.
package outbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// A Poster posts messages. It does not try again. Its errors are *[slack.Error]s.
type Poster interface {
	// Post posts or edits a message, and returns its ts, empty where that is not known.
	Post(ctx context.Context, p slack.Post) (ts string, err error)
}

// A Workspace is a [Poster] with channels, threads and files, in which can be looked for what was posted.
// [slack.Client] is one, and says what each method does.
type Workspace interface {
	Poster
	History(ctx context.Context, l slack.Look) ([]slack.Found, error)
	Delete(ctx context.Context, channel string, m slack.Found) error
	Prepare(ctx context.Context, name string, size int) (slack.Upload, error)
	Send(ctx context.Context, u slack.Upload, content []byte) error
	Share(ctx context.Context, s slack.Share) error
	Scopes(ctx context.Context) ([]string, error)
	Inspect(ctx context.Context, channels ...string) slack.Inspection
}

// A Config says where and how people are told.
type Config struct {
	Slack   Workspace // where messages are posted; nil where there is a webhook alone
	Channel string    // the channel ID for requests that name none; needed with Slack

	// Webhook posts into its own channel. Without Slack it is the way, whatever rules and requests name,
	// and makes no threads. With it it gets what all channels finally refuse. Nil: there is none.
	Webhook Poster

	Routes      routes.Routes       // other channels and mentions for requests that they match; they need Slack
	Mention     string              // whom to wake for a failure: see [routes.CheckMention]
	Progress    bool                // whether people are told while an order runs, too
	ConsoleURL  string              // leads to an order in the cloud's console: see [message.Links]; empty: nothing does
	PublicURL   string              // leads to a watch's page, likewise
	Workers     func() int          // how many workers share what Slack allows the workspace, at least 1; nil: 1. It does not block
	Notes       watcher.Notes       // where all workers remember what they posted; required
	Undelivered watcher.Undelivered // where is kept what Slack finally refuses; nil leaves it to the log
	Secrets     []string            // never shown, whatever text they are in
	Jitter      float64             // spreads the delays after errors by this share of them, 0 to 1; 0 is none
	Timing      Timing              // its zero value is DefaultTiming

	Now   func() time.Time                                 // default time.Now
	Sleep func(ctx context.Context, d time.Duration) error // default: waits, or returns ctx's cause
}

// Timing holds durations that nobody configures.
type Timing struct {
	Post   time.Duration // between two posts in a channel: Slack's documented pace, over which bursts may pass, and be hidden
	Edit   time.Duration // between two edits of all workers, and between two looks into histories: Slack allows 50 a minute of each
	Follow time.Duration // between two edits of all workers of messages that go on changing: it leaves room for those that tell of an end

	Call time.Duration // bounds one call of Slack
	Pass time.Duration // no call of one Notify begins after this
	Wait time.Duration // a longer wait is not slept, but left to the caller

	BackoffInitial time.Duration // after an error that may pass; doubled each time
	BackoffMax     time.Duration
	Slow           time.Duration // between tries in a channel that refuses the bot
	TokenPause     time.Duration // between tries while Slack refuses the token
	Probe          time.Duration // between two looks whether Slack takes the token

	// How long a message is tried that the channel refuses, from when what it tells of happened: the bot may yet be invited.
	ChannelPatience time.Duration
	UnknownPatience time.Duration // how long it is tried to look into a channel's history

	// How long a worker may take for a call that it has announced in the notes: the call begins only
	// within Fresh of that, and others take the worker for dead after Stale, which is longer than Fresh
	// and Call together.
	Fresh time.Duration
	Stale time.Duration

	LookAgain time.Duration // after the first look for a message that was not found: what Slack accepted may show up late
	Blind     time.Duration // a history that the bot may not read is not tried again

	Quiet  time.Duration // a watch has gone on for so long before people are told while it does
	Change time.Duration // between two changes of a message that goes on changing
	Digest time.Duration // a new digest begins after this

	Alike time.Duration // so long failures with one cause are counted, until they are told in a group
	Storm time.Duration // a new group begins after this
	Ping  time.Duration // between two messages of a channel that wake somebody
}

// DefaultTiming returns the durations of production.
func DefaultTiming() Timing {
	return Timing{
		Post: time.Second, Edit: 1200 * time.Millisecond, Follow: 2 * time.Second,
		Call: 10 * time.Second, Pass: 10 * time.Second, Wait: 2 * time.Second,
		BackoffInitial: 2 * time.Second, BackoffMax: time.Minute,
		Slow: 5 * time.Minute, TokenPause: time.Minute, Probe: 10 * time.Minute,
		ChannelPatience: time.Hour, UnknownPatience: 24 * time.Hour,
		Fresh: 5 * time.Second, Stale: 30 * time.Second,
		LookAgain: 30 * time.Second, Blind: time.Hour,
		Quiet: time.Minute, Change: 10 * time.Second, Digest: 10 * time.Minute,
		Alike: 10 * time.Minute, Storm: time.Hour, Ping: time.Minute,
	}
}

// backoff returns how long to wait after so many errors and one more.
func (t Timing) backoff(errors int) time.Duration {
	return min(t.BackoffInitial<<min(errors, 10), t.BackoffMax)
}

const (
	clocksApart = 50 * time.Millisecond // how far workers' ideas of the time may be apart
	clockWrong  = 5 * time.Second       // how far they are apart where one is taken to be wrong
	keepAgain   = 10 * time.Second      // between tries to keep what Slack finally refused
)

// An Outbox posts summaries: one in each channel that the requests name, with its thread; and notices
// of accounts that cannot be asked, in the default channel. It is safe for concurrent use; a
// channel gets at most one message a second from all that share their notes. Where it is told something, no call
// begins after Timing.Pass, and every error is a *[watcher.RetryError].
type Outbox struct {
	log     *slog.Logger
	id      string // of this worker among those that share the notes
	config  Config
	plan    routes.Plan
	secrets *foreign.Secrets
	next    func(posting, memory, want, moment) step // next, but in tests that take a part of it out

	looks   budget   // into channels' histories
	edits   budget   // of messages
	follows budget   // those edits that change a message which goes on changing
	files   struct { // whether the token lacks the scope to upload files
		sync.Mutex
		until   time.Time // believed
		missing bool
	}

	duplicates  atomic.Int64
	undelivered atomic.Int64

	mu          sync.Mutex           // guards all below
	memories    map[string]memory    // by the note's key
	newest      map[string]int       // by watch: the latest state that this process has seen
	lanes       map[string]*lane     // by channel
	pausedUntil time.Time            // no call at all: token or workspace
	pausedFor   string               // the code
	growing     map[string]time.Time // by group of failures: when it grew last
	troubles    map[string]Trouble
	met         map[ErrorCount]int64 // how often
	others      int                  // codes among them that are not known here
}

var _ watcher.Notifier = (*Outbox)(nil)

// New returns an outbox. It makes no call; see [Outbox.Probe].
func New(log *slog.Logger, c Config) (*Outbox, error) {
	if err := checkConfig(c); err != nil {
		return nil, fmt.Errorf("configure the outbox: %w", err)
	}
	if c.Timing == (Timing{}) {
		c.Timing = DefaultTiming()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Workers == nil {
		c.Workers = func() int { return 1 }
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	return &Outbox{
		log: log, id: rand.Text(), config: c, secrets: message.HideSecrets(c.Secrets...), next: next,
		plan: routes.Plan{
			Routes: c.Routes, Default: routes.Route{Channels: []string{c.Channel}, Mention: c.Mention, Progress: c.Progress},
			Webhook: c.Webhook != nil, WebhookAlone: c.Slack == nil,
		},
		looks: newBudget(), edits: newBudget(), follows: newBudget(), growing: make(map[string]time.Time),
		memories: make(map[string]memory), newest: make(map[string]int), lanes: make(map[string]*lane),
		troubles: make(map[string]Trouble), met: make(map[ErrorCount]int64),
	}, nil
}

func checkConfig(c Config) error {
	switch {
	case c.Slack == nil && c.Webhook == nil:
		return errors.New("give a token or a webhook's URL")
	case c.Slack != nil && c.Channel == "":
		return errors.New("a token needs a channel ID to post in")
	case c.Slack == nil && !c.Routes.Empty():
		return errors.New("routes need a token: a webhook posts into its own channel alone")
	case c.Notes == nil:
		return errors.New("give it notes")
	case c.Jitter < 0 || c.Jitter > 1:
		return errors.New("the jitter must be between 0 and 1")
	}
	return routes.CheckMention(c.Mention)
}

// PossibleDuplicates returns how many messages were posted again although an earlier try may have
// been accepted.
func (s *Outbox) PossibleDuplicates() int64 { return s.duplicates.Load() }

// Undelivered returns how many messages Slack finally refused.
func (s *Outbox) Undelivered() int64 { return s.undelivered.Load() }

func sleep(ctx context.Context, d time.Duration) error {
	slept, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-slept.Done()
	return context.Cause(ctx)
}
