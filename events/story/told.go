package story

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Note is what the notifier keeps of one watch's message in one channel.
type Note struct {
	Channel string // its id, or webhook; empty: a channel that may not be named
	At      time.Time
	Posting
}

// A Posting is what the notifier notes, as far as a story tells it. The notifier writes it, and may add fields.
type Posting struct {
	TS     string `json:"ts"`     // of the message: when Slack took it, in seconds
	Tells  string `json:"told"`   // the state that it tells, as the notifier names it
	Done   bool   `json:"done"`   // all of it stands, or nothing more comes
	Silent bool   `json:"silent"` // nothing was to be told
	Code   string `json:"code"`   // why Slack finally refused it
	Moved  string `json:"moved"`  // the channel that got it instead
	Digest string `json:"digest"` // it is told with others that ended well
	Group  *struct {
		Key string `json:"key"`
	} `json:"group"` // it is told with others that failed alike
	Quiet bool `json:"quiet"` // the message was posted while the watch went on
}

// completed is the state that tells how a watch ended.
const completed = "completed"

// told says where people were told of the watch, and when.
func told(w watcher.Snapshot, notes []Note) (lines []wire.StoryLine) {
	notes = slices.Clone(notes)
	slices.SortFunc(notes, func(a, b Note) int { return cmp.Compare(a.Channel, b.Channel) })
	for _, n := range notes {
		lines = append(lines, n.lines(w)...)
	}
	return lines
}

func (n Note) lines(w watcher.Snapshot) (lines []wire.StoryLine) {
	where := n.where()
	if posted := n.posted(); n.Quiet && !posted.IsZero() {
		lines = append(lines, line(latest(posted, w.AcceptedAt), Told, "told on Slack"+where+" that the order is watched"))
	}
	switch {
	case n.Code != "" && n.Moved != "" && n.Channel != "":
		return append(lines, line(n.At, Untold, fmt.Sprintf("Slack refuses messages%s (%s); people are told in %s instead", where, n.Code, n.Moved)))
	case n.Code != "":
		return append(lines, line(n.At, Untold, fmt.Sprintf("Slack refuses messages%s (%s)", where, n.Code)))
	case n.Tells != completed || !n.Done:
		return lines
	case n.Silent:
		return append(lines, line(n.At, Untold, "nothing was to be told on Slack"+where))
	case n.Group != nil:
		return append(lines, line(n.At, Told, "told on Slack"+where+" how it ended, with others that failed alike"))
	case n.Digest != "":
		return append(lines, line(n.At, Told, "told on Slack"+where+" how it ended, with others that ended well"))
	}
	at := n.At
	if posted := n.posted(); !n.Quiet && !posted.IsZero() {
		at = latest(posted, w.CompletedAt) // Slack's clock is another, and perhaps tells seconds alone
	}
	return append(lines, line(at, Told, "told on Slack"+where+" how it ended"))
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// where names the channel.
func (n Note) where() string {
	switch n.Channel {
	case "":
		return ""
	case "webhook":
		return " by the webhook"
	}
	return " in " + n.Channel
}

// posted returns when Slack took the message; zero where it does not say.
func (n Note) posted() time.Time {
	seconds, _, _ := strings.Cut(n.TS, ".")
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || at <= 0 {
		return time.Time{}
	}
	return time.Unix(at, 0).UTC()
}

// noteOf reads a note that was written at the time. What cannot be read says nothing.
func noteOf(channel string, at time.Time, text []byte) (n Note, ok bool) {
	n = Note{Channel: channel, At: at}
	return n, json.Unmarshal(text, &n.Posting) == nil
}
