package faults_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// A slackVerdict is what stands in Slack when all is told. It is right if there are no violations.
type slackVerdict struct {
	violations []string
	messages   int // top-level ones
	replies    int
	listed     int // watches that are listed in a group's thread
	doubles    int // top-level ones beyond one for each watch and channel
	possible   int // that workers said were perhaps doubled
}

func (v *slackVerdict) violate(format string, args ...any) {
	v.violations = append(v.violations, fmt.Sprintf(format, args...))
}

// judge holds that for every watch and channel one top-level message stands with the final state, with
// its whole thread. Where the bot may not read histories, a message may stand twice if a worker said so,
// or died before it could.
func (w *slackWorld) judge(completions []watcher.Completion) *slackVerdict {
	v := &slackVerdict{possible: bytes.Count(w.outputs(), []byte("possible duplicate: "))}
	for _, channel := range slackRoom {
		messages := w.slack.Messages(channel)
		claimed := make(map[string]bool) // by ts
		for _, c := range completions {
			if slices.Contains(channelsOf(c), channel) {
				w.judgeWatch(v, c, channel, messages, claimed)
			}
		}
		for _, m := range messages {
			if m.ThreadTS == "" && !claimed[m.TS] && !tellsOfMany(m) {
				v.violate("%s: %q tells of no watch", channel, m.Text)
			}
			w.judgeText(v, channel, m)
		}
	}
	if most := v.possible + slackSlots*w.kills; !w.history && v.doubles > most {
		v.violate("%d messages are doubled; workers said %d, and were killed %d times", v.doubles, v.possible, w.kills)
	}
	w.judgePace(v)
	if bytes.Contains(w.outputs(), []byte(slackToken)) || bytes.Contains(w.outputs(), []byte(modelArtsToken)) {
		v.violate("a worker's output shows a secret")
	}
	return v
}

// judgePace holds that Slack was never asked too often, over all workers.
func (w *slackWorld) judgePace(v *slackVerdict) {
	if n := w.slack.OverRate(); n > 0 {
		v.violate("%d posts over the channels' rate", n)
	}
	if n := w.slack.PenaltyCalls(); n > 0 {
		v.violate("%d calls while Slack had said to wait", n)
	}
}

// slackSlots is how many events a worker has in hand at a time.
const slackSlots = 4

// judgeWatch claims the messages that tell of the watch.
func (w *slackWorld) judgeWatch(v *slackVerdict, c watcher.Completion, channel string, messages []slackemulator.Message, claimed map[string]bool) {
	want := w.summary(c)
	var roots []slackemulator.Message
	for _, m := range messages {
		if m.ThreadTS == "" && tellsOf(m) == "watch."+c.WatchID+"."+channel {
			roots = append(roots, m)
			claimed[m.TS] = true
		}
	}
	v.messages += len(roots)
	if listed := listedIn(messages)[c.OrderName]; listed > 0 {
		v.listed++
		if w.history && (listed > 1 || len(roots) > 1) {
			v.violate("%s: watch %s is listed %d times, and has %d messages", channel, c.WatchID, listed, len(roots))
		}
		for _, root := range roots { // it said how the watch went on
			shown := slices.ContainsFunc(messages, func(m slackemulator.Message) bool { return m.Broadcast && m.ThreadTS == root.TS })
			if w.history && (!root.Edited || shown || !strings.HasSuffix(root.Text, want.Text)) {
				v.violate("%s: watch %s is listed, and stands, too: %q; a reply shows in the channel: %t", channel, c.WatchID, root.Text, shown)
			}
		}
		return
	}
	final := func(m slackemulator.Message) bool { return strings.HasSuffix(m.Text, want.Text) }
	if !slices.ContainsFunc(roots, final) {
		v.violate("%s: nobody was told how watch %s ended: %q; %d messages tell of it", channel, c.WatchID, want.Text, len(roots))
		return
	}
	v.doubles += len(roots) - 1
	if len(roots) > 1 && w.history {
		v.violate("%s: watch %s is told %d times: %q", channel, c.WatchID, len(roots), want.Text)
	}
	var texts []string
	for _, r := range want.Replies {
		texts = append(texts, r.Text)
	}
	if want.File != nil {
		texts = append(texts, want.File.Text)
	}
	for _, text := range texts {
		n := 0
		for _, m := range messages {
			if m.ThreadTS != "" && m.Text == text && slices.ContainsFunc(roots, func(root slackemulator.Message) bool { return root.TS == m.ThreadTS }) {
				n++
			}
		}
		v.replies += n
		if n == 0 || n > 1 && w.history {
			v.violate("%s: the reply %q to watch %s stands %d times", channel, text, c.WatchID, n)
		}
	}
}

// tellsOf returns the key of what the message tells of, which its metadata name.
func tellsOf(m slackemulator.Message) string {
	var metadata struct {
		Payload struct{ Message string } `json:"event_payload"`
	}
	if json.Unmarshal(m.Metadata, &metadata) != nil {
		return ""
	}
	return metadata.Payload.Message
}

// told is what messages in Slack say of watches.
type told struct {
	own      map[string]int // messages that tell of one watch, by its id
	edited   map[string]int // those of them that were edited
	rows     map[string]int // rows in groups' threads, by the order's name
	together int            // watches that digests tell of
	others   []string       // the texts of messages of another kind
}

func newTold() told {
	return told{own: make(map[string]int), edited: make(map[string]int), rows: make(map[string]int)}
}

// add adds what the messages of one channel say.
func (t *told) add(messages []slackemulator.Message) {
	for order, n := range listedIn(messages) {
		t.rows[order] += n
	}
	_, together := digestsOf(messages)
	t.together += together
	for _, m := range messages {
		key, own := strings.CutPrefix(tellsOf(m), "watch.")
		switch id, _, _ := strings.Cut(key, "."); {
		case m.ThreadTS != "" || tellsOfMany(m) || strings.HasPrefix(tellsOf(m), "digest."):
		case !own:
			t.others = append(t.others, m.Text)
		default:
			t.own[id]++
			if m.Edited {
				t.edited[id]++
			}
		}
	}
}

// tellsOfMany reports whether the message is a group's, or a line that names others.
func tellsOfMany(m slackemulator.Message) bool {
	return strings.HasPrefix(tellsOf(m), "alike.") || strings.HasPrefix(tellsOf(m), "ping.")
}

// listedIn returns how often each order is listed in the threads of groups that stand.
func listedIn(messages []slackemulator.Message) map[string]int {
	groups, listed := make(map[string]bool), make(map[string]int)
	for _, m := range messages {
		groups[m.TS] = m.ThreadTS == "" && strings.HasPrefix(tellsOf(m), "alike.")
	}
	for _, m := range messages {
		if groups[m.ThreadTS] {
			_, names, _ := strings.Cut(m.Text, ": ")
			for name := range strings.SplitSeq(names, ", ") {
				listed[name]++
			}
		}
	}
	return listed
}

// wakes is how what somebody is woken for begins, after the mention where the text stands alone, and what an account's
// trouble has in it.
var wakes = regexp.MustCompile(`^(?:<!here> )?(PARTLY FAILED|FAILED|NOT DELETED|NOT DONE|NOT KNOWN|NOT FOUND|REFUSED)\b|refuse`)

// judgeText holds that a message wakes nobody but those who are configured, and shows no secret.
func (w *slackWorld) judgeText(v *slackVerdict, channel string, m slackemulator.Message) {
	for _, who := range slackemulator.Mentions(m) {
		if who != "here" || !wakes.MatchString(m.Text) && !tellsOfMany(m) {
			v.violate("%s: %q mentions %s", channel, m.Text, who)
		}
	}
	all := m.Text + string(m.Blocks) + string(m.Metadata)
	for _, f := range m.Files {
		all += string(f.Content)
	}
	if strings.Contains(all, slackToken) || strings.Contains(all, modelArtsToken) {
		v.violate("%s: %q shows a secret", channel, m.Text)
	}
}

// channelsOf returns where people are told of a watch.
func channelsOf(c watcher.Completion) (channels []string) {
	for _, r := range c.Requests {
		if channel := cmp.Or(r.SlackChannel, slackRoom[0]); !slices.Contains(channels, channel) {
			channels = append(channels, channel)
		}
	}
	return channels
}
