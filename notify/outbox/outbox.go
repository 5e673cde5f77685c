// Package outbox tells people in Slack how watches end and what keeps them from going on: each message once,
// whichever worker has it and whatever dies. [Outbox] is a [watcher.Notifier].
//
// What all workers know of a message stands in a note ([watcher.Notes]): it is written before each call of Slack
// and after it, and whoever finds a call without its result looks in the channel's history for what became of it.
// A message may be doubled only where that history cannot be read.
//
// What is done next is decided by one pure function, next, from the note (posting), what this process knows beside
// it (memory), what is to be told (want) and the time (moment). A short loop, deliver, carries the steps out. So a
// completion comes from its event to Slack's call:
//
//	Outbox.Notify                     tell.go       what is to be told, and how
//	  targets, tellAll                want.go       in which channels: routes.Plan says it
//	  tellOrMove, options, want.in    want.go       in this one, or in the one that gets it instead
//	  tell                            deliver.go    claims the memory: no other delivery has the message
//	  pass: held, read                notes.go      may a call be made, and what is noted
//	  postOrJoin                      deliver.go    in a storm: tellTogether, in digest.go
//	  want.render: summarize          upload.go     message.Summarize writes the message
//	  deliver: moment, next           step.go       decides the next step, again and again:
//	    awaitTurn                     deliver.go      await: lane.reserve says when the channel is free
//	    reconcile                     reconcile.go    what became of the call without a result
//	    upload                        upload.go       the file's bytes
//	    call                          deliver.go      post, or edit:
//	      takeSlot                    pace.go           no other worker calls the channel
//	      announce, note              notes.go          writes the call into the note
//	      send, delivery.post         deliver.go        slack.Client.Post
//	      rest                        pace.go           frees the channel
//	      accepted, note              deliver.go        writes the result into the note, or
//	      failed                      refused.go        keeps the error: next decides what follows it
//	    follow                        refused.go      what follows it
//
// Read step.go first, then posting.go, memory.go and want.go (what it decides by), deliver.go, and the rest as above.
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
	"golang.org/x/time/rate"
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
	Workers     func() int          // how many workers share what Slack allows the workspace, at least 1; nil: 1. It does not block
	Notes       watcher.Notes       // where all workers remember what they posted; required
	Undelivered watcher.Undelivered // where is kept what Slack finally refuses; nil leaves it to the log
	Secrets     []string            // never shown, whatever text they are in
	Jitter      float64             // spreads the delays after errors by this share of them, 0 to 1; 0 is none
	Timing      Timing              // its zero value is DefaultTiming

	Now   func() time.Time                                 // default time.Now
	Sleep func(ctx context.Context, d time.Duration) error // default: waits, or returns ctx's cause
}

// An Outbox posts summaries: one in each channel that the requests name, with its thread; and notices
// of accounts that cannot be asked, in the default channel. It is safe for concurrent use; a
// channel gets at most one message a second from all that share their notes.
type Outbox struct {
	log     *slog.Logger
	id      string // of this worker among those that share the notes
	config  Config
	plan    routes.Plan
	secrets *foreign.Secrets
	next    func(posting, memory, want, moment) step // next, but in tests that take a part of it out

	looks   *rate.Limiter // into channels' histories
	edits   *rate.Limiter
	follows *rate.Limiter // those edits that tell of a watch that goes on
	files   fileScope

	duplicates  atomic.Int64
	undelivered atomic.Int64

	mu          sync.Mutex        // guards all below
	memories    map[string]memory // by the note's key
	newest      map[string]int    // by watch: the latest state that this process has seen
	lanes       map[string]*lane  // by channel
	pausedUntil time.Time         // no call at all: token or workspace
	pausedFor   string            // the code
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
		looks: rate.NewLimiter(0, 5), edits: rate.NewLimiter(0, 5), follows: rate.NewLimiter(0, 5),
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
