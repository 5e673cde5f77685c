package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/slack-go/slack"
	"golang.org/x/time/rate"
)

// A Config says where and how summaries are posted: Token with Channel, WebhookURL, or both.
type Config struct {
	Token   string // a bot token with the scope chat:write; secret
	Channel string // the channel ID for requests that name none

	// WebhookURL is an incoming webhook; secret. Without a token it is the way: it posts into its own
	// channel, whatever rules and requests name, and makes no threads. With one it gets what all
	// channels finally refuse.
	WebhookURL string

	// Routes choose other channels and mentions for requests that they match. They need a token.
	Routes routes.Routes

	APIURL  string // ends in "/"; default https://slack.com/api/
	Mention string // whom to wake for a failure: see [routes.CheckMention]

	// Progress is whether people are told while an order runs, too.
	Progress bool

	// Workers returns how many workers share what Slack allows the workspace, at least 1; nil stands
	// for 1. It does not block.
	Workers func() int

	// Notes are where all workers remember what they posted. Required.
	Notes watcher.Notes

	// Undelivered is where is kept what Slack finally refuses; nil leaves it to the log.
	Undelivered watcher.Undelivered

	// Secrets are never shown, whatever text they are in. Token and WebhookURL need not be named.
	Secrets []string

	// Jitter spreads the delays after errors by this share of them, 0 to 1; 0 is none.
	Jitter float64

	// Timing holds the durations that nobody configures; its zero value is [DefaultTiming].
	Timing Timing

	// HTTPClient makes the calls. It must have a timeout and follow no redirects, which would
	// carry the token elsewhere. Default: 10 s, no redirects, answers up to 1 MiB.
	HTTPClient *http.Client

	Now   func() time.Time                                 // default time.Now
	Sleep func(ctx context.Context, d time.Duration) error // default: waits, or returns ctx's cause
}

// Slack posts summaries: one in each channel that the requests name, with its thread; and notices
// of accounts that cannot be asked, in the default channel. It is safe for concurrent use; a
// channel gets at most one message a second from all that share their notes.
type Slack struct {
	log      *slog.Logger
	id       string // of this worker among those that share the notes
	config   Config
	plan     routes.Plan
	secrets  *foreign.Secrets
	api      *slack.Client
	receipts receipts
	looks    *rate.Limiter // into channels' histories
	edits    *rate.Limiter
	follows  *rate.Limiter // those edits that tell of a watch that goes on
	files    fileScope

	mu          sync.Mutex
	lanes       map[string]*lane
	pausedUntil time.Time // no call at all: token or workspace
	pausedFor   string    // the code

	troubles    *troubles
	newest      newest
	duplicates  atomic.Int64
	undelivered atomic.Int64
}

var _ watcher.Notifier = (*Slack)(nil)

// maxAnswer bounds what is read of an answer, in bytes: a page of a history may hold long messages, most
// of whose characters are escaped.
const maxAnswer = 16 << 20

// NewSlack returns a notifier. It makes no call; see [Slack.Probe].
func NewSlack(log *slog.Logger, c Config) (*Slack, error) {
	c.APIURL = cmp.Or(c.APIURL, slack.APIURL)
	if err := checkConfig(c); err != nil {
		return nil, fmt.Errorf("configure slack: %w", err)
	}
	if c.Timing == (Timing{}) {
		c.Timing = DefaultTiming()
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{
			Timeout:       c.Timing.Call,
			Transport:     boundedTransport{http.DefaultTransport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if c.Workers == nil {
		c.Workers = func() int { return 1 }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	return &Slack{
		log: log, config: c, plan: c.plan(), id: rand.Text(), secrets: message.HideSecrets(append(slices.Clone(c.Secrets), c.Token, c.WebhookURL)...),
		api:      slack.New(c.Token, slack.OptionAPIURL(c.APIURL), slack.OptionHTTPClient(c.HTTPClient)),
		receipts: receipts{known: make(map[place]*receipt)},
		looks:    rate.NewLimiter(0, 5),
		edits:    rate.NewLimiter(0, 5),
		follows:  rate.NewLimiter(0, 5),
		lanes:    make(map[string]*lane),
		troubles: newTroubles(),
		newest:   newest{of: make(map[string]int)},
	}, nil
}

func checkConfig(c Config) error {
	switch {
	case c.Token == "" && c.WebhookURL == "":
		return errors.New("give a token or a webhook's URL")
	case c.Token != "" && c.Channel == "":
		return errors.New("a token needs a channel ID to post in")
	case c.Token == "" && !c.Routes.Empty():
		return errors.New("routes need a token: a webhook posts into its own channel alone")
	case c.Notes == nil:
		return errors.New("give it notes")
	case c.WebhookURL != "" && !isHTTP(c.WebhookURL):
		return errors.New("the webhook's URL must be an http(s) URL")
	case !isHTTP(c.APIURL) || !strings.HasSuffix(c.APIURL, "/"):
		return errors.New(`the API's URL must be an http(s) URL that ends in "/"`)
	case c.Jitter < 0 || c.Jitter > 1:
		return errors.New("the jitter must be between 0 and 1")
	}
	return routes.CheckMention(c.Mention)
}

// plan returns where people are told of what.
func (c Config) plan() routes.Plan {
	return routes.Plan{
		Routes: c.Routes, Default: routes.Route{Channels: []string{c.Channel}, Mention: c.Mention, Progress: c.Progress},
		Webhook: c.WebhookURL != "", WebhookAlone: c.Token == "",
	}
}

func isHTTP(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// PossibleDuplicates returns how many messages were posted again although an earlier try may have
// been accepted.
func (s *Slack) PossibleDuplicates() int64 { return s.duplicates.Load() }

func (s *Slack) lane(channel string) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[channel]
	if l == nil {
		l = newLane(s.config.Timing, s.config.Jitter)
		s.lanes[channel] = l
	}
	return l
}

// A boundedTransport cuts answers that are too long.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}
	return answer, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
