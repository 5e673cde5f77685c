package outbox

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
)

// A Trouble is why messages wait that Slack does not take from this worker.
type Trouble struct {
	Channel string // whose messages wait; empty: those of all channels
	Class   slack.Class
	Code    string
	Since   time.Time // when it was met first
	Do      string    // what people can do about it, see [slack.Error.Remedy]

	until time.Time // taken for over where it is not met again
}

// String says it to people, in one line.
func (t Trouble) String() string {
	where := "slack takes no messages"
	switch t.Channel {
	case "":
	case routes.Webhook:
		where += " by the webhook"
	default:
		where += " for channel " + t.Channel
	}
	said := where + " since " + t.Since.UTC().Format("15:04 UTC") + ": " + t.Code
	if t.Do != "" {
		said += "; " + t.Do
	}
	return said
}

// Troubles returns what keeps Slack from taking messages at the moment, nothing while it takes them:
// first what concerns all channels, then by channel.
func (s *Outbox) Troubles() []Trouble {
	ts, now := s.troubles, s.config.Now()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	maps.DeleteFunc(ts.now, func(_ string, t Trouble) bool { return !now.Before(t.until) })
	return slices.SortedFunc(maps.Values(ts.now), func(a, b Trouble) int { return cmp.Compare(a.Channel, b.Channel) })
}

// An ErrorCount is how often Slack answered with an error.
type ErrorCount struct {
	Class slack.Class
	Code  string // at most 64 of a-z, 0-9 and _; otherCode where that is not so, or codes are too many
	Count int64
}

// Errors returns how often each error was met. There are few, whatever Slack says.
func (s *Outbox) Errors() []ErrorCount {
	ts := s.troubles
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var all []ErrorCount
	for kind, n := range ts.met {
		kind.Count = n
		all = append(all, kind)
	}
	return slices.SortedFunc(slices.Values(all), func(a, b ErrorCount) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Code, b.Code))
	})
}

// Bounds of what is told apart.
const (
	otherCode     = "other"
	maxLabel      = 64
	maxOtherCodes = 20 // that are not known here
)

// troubles are what this worker meets at Slack. They are safe for concurrent use.
type troubles struct {
	mu     sync.Mutex
	now    map[string]Trouble // by channel
	met    map[ErrorCount]int64
	others int // codes among them that are not known here
}

// begin notes that messages of the channel wait so long, or those of all, and reports whether that is
// news. It stands until Slack takes one, or three such waits later: another worker may have told them.
func (ts *troubles) begin(now time.Time, channel string, e *slack.Error, wait time.Duration) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	before, known := ts.now[channel]
	if known = known && now.Before(before.until); !known {
		before.Since = now
	}
	ts.now[channel] = Trouble{Channel: channel, Class: e.Class, Code: labelCode(e.Code), Since: before.Since, Do: e.Remedy(), until: now.Add(3 * wait)}
	return !known || before.Code != ts.now[channel].Code
}

// end ends these, and reports whether there were any.
func (ts *troubles) end(which func(Trouble) bool) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	before := len(ts.now)
	maps.DeleteFunc(ts.now, func(_ string, t Trouble) bool { return which(t) })
	return len(ts.now) < before
}

// count counts an error, whatever becomes of it.
func (ts *troubles) count(e *slack.Error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	kind := ErrorCount{Class: e.Class, Code: labelCode(e.Code)}
	if _, known := ts.met[kind]; !known && e.Class == slack.UnknownCode {
		if ts.others >= maxOtherCodes {
			kind.Code = otherCode
		} else {
			ts.others++
		}
	}
	ts.met[kind]++
}

// labelCode returns a code that has the form of Slack's.
func labelCode(code string) string {
	strange := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	if code == "" || len(code) > maxLabel || strings.ContainsFunc(code, strange) {
		return otherCode
	}
	return code
}
