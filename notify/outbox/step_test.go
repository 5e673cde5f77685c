package outbox

import (
	"errors"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestNext holds what is decided in each state of a delivery, in the order of next.
func TestNext(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	call := func(by string, ago time.Duration) *call { return &call{By: by, At: now.Add(-ago)} }
	summary := want{state: completed, channel: "C0ONCALL", told: now, message: message.Message{Text: "It failed.", Replies: []message.Message{{Text: "So."}}}}
	filed, quiet, silent, digest, old, hook, group := summary, summary, summary, summary, summary, summary, summary
	filed.message.Replies, filed.message.File = nil, &message.File{}
	quiet.quiet, quiet.state = true, numbered(running, 2)
	silent.silent = true
	digest.digest, digest.state, digest.least = "digest.1", numbered("digest", 3), numbered("digest", 3)
	old.told = now.Add(-25 * time.Hour)
	hook.channel = routes.Webhook
	failed, succeeded, woken := summary, summary, summary
	failed.ended, failed.others = &watcher.Completion{Outcome: watcher.AllFailed}, []string{"C0SPARE"}
	succeeded.ended, succeeded.others = &watcher.Completion{Outcome: watcher.Succeeded}, failed.others
	woken.message.Replies = []message.Message{{Text: "Look.", Broadcast: true}}
	lacks := posting{TS: "1.1"}.lacking(completed, "restricted_action_thread_locked")
	group.leads, group.message.Replies = true, nil
	begun := posting{TS: "1.1", Tells: completed, Parts: 1}
	runs := posting{TS: "1.1", Tells: numbered(running, 1), Parts: 1, Done: true, Quiet: true}
	after := func(class slack.Class, code string, m memory) memory {
		m.refusal = &slack.Error{Class: class, Code: code}
		return m
	}
	for name, c := range map[string]struct {
		posting posting
		memory  memory
		want    want
		held    bool
		do      action
	}{
		"nothing is posted":                       {want: summary, do: post},
		"no call may be made":                     {want: summary, held: true, do: wait},
		"all stands":                              {posting: posting{Tells: completed, Parts: 2}, want: summary, held: true, do: done},
		"it was finally refused":                  {posting: posting{Code: "is_archived"}, want: summary, do: done},
		"a later state was announced":             {posting: posting{Tells: completed}, want: quiet, do: done},
		"an earlier state stands":                 {posting: runs, want: summary, do: edit},
		"an earlier state cannot be edited":       {posting: runs, memory: memory{anew: "1.1"}, want: summary, do: post},
		"another worker has replaced it":          {posting: posting{TS: "2.2", Tells: numbered(running, 2), Parts: 1, Done: true}, memory: memory{anew: "1.1"}, want: summary, do: edit},
		"a reply is missing":                      {posting: begun, want: summary, do: post},
		"a file is missing":                       {posting: begun, want: filed, do: upload},
		"a file is uploaded":                      {posting: begun, memory: memory{file: "F1"}, want: filed, do: post},
		"a file is given up":                      {posting: begun, memory: memory{form: 1}, want: filed, do: post},
		"success is not told":                     {want: silent, do: silence},
		"success is told where a message stands":  {posting: runs, want: silent, do: edit},
		"it was changed just now":                 {posting: posting{TS: "1.1", Tells: numbered(running, 1), Edited: now.Add(-time.Second)}, want: quiet, do: wait},
		"more joined the digest":                  {posting: posting{Tells: numbered("digest", 4), Call: call("another", time.Hour)}, want: digest, do: wait},
		"another worker calls":                    {posting: posting{Tells: completed, Call: call("another", time.Second)}, want: summary, do: wait},
		"another worker died":                     {posting: posting{Tells: completed, Call: call("another", time.Minute)}, want: summary, do: reconcile},
		"another worker's clock was wrong":        {posting: posting{Tells: completed, Call: call("another", -time.Hour)}, want: summary, do: reconcile},
		"its own call was perhaps accepted":       {posting: posting{Tells: completed, Call: call("me", time.Second)}, memory: memory{last: unsure}, want: summary, do: reconcile},
		"its own call was not accepted":           {posting: posting{Tells: completed, Call: call("me", time.Second)}, memory: memory{last: refused}, want: summary, do: post},
		"it was looked for what became of a call": {posting: posting{Tells: completed, Call: call("me", time.Second)}, memory: memory{last: unsure, looked: true}, want: summary, do: post},
		"an edit was perhaps accepted":            {posting: posting{TS: "1.1", Tells: completed, Call: call("me", time.Second)}, memory: memory{last: unsure}, want: summary, do: edit},

		"the token is refused":                 {memory: after(slack.TokenRefused, "token_revoked", memory{}), want: summary, do: pauseAll},
		"the webhook is refused":               {memory: after(slack.TokenRefused, "invalid_token", memory{}), want: hook, do: giveUp},
		"an edit is refused":                   {posting: runs, memory: after(slack.EditRefused, "cant_update_message", memory{}), want: summary, do: replace},
		"a post is refused as if it edited":    {memory: after(slack.EditRefused, "message_not_found", memory{}), want: summary, do: giveUp},
		"the metadata are refused":             {memory: after(slack.PayloadRefused, "metadata_too_large", memory{}), want: summary, do: strip},
		"the blocks are refused":               {memory: after(slack.PayloadRefused, "invalid_blocks", memory{}), want: summary, do: simplify},
		"text alone is refused":                {memory: after(slack.PayloadRefused, "no_text", memory{form: 1}), want: summary, do: giveUp},
		"the channel is refused":               {memory: after(slack.ChannelRefused, "not_in_channel", memory{}), want: summary, do: slow},
		"the channel is refused for long":      {memory: after(slack.ChannelRefused, "not_in_channel", memory{}), want: old, do: giveUp},
		"an archived channel fails":            {memory: after(slack.ChannelRefused, "is_archived", memory{}), want: failed, do: giveUp},
		"an archived channel succeeds":         {memory: after(slack.ChannelRefused, "is_archived", memory{}), want: succeeded, do: slow},
		"an archived channel is the last":      {memory: after(slack.ChannelRefused, "is_archived", memory{}), want: summary, do: slow},
		"an archived channel shows progress":   {memory: after(slack.ChannelRefused, "is_archived", memory{}), want: quiet, do: slow},
		"the code is not known":                {memory: after(slack.UnknownCode, "new", memory{}), want: failed, do: plain},
		"the code is not known, text alone":    {memory: after(slack.UnknownCode, "new", memory{form: 1}), want: failed, do: giveUp},
		"the code is not known, nobody else":   {memory: after(slack.UnknownCode, "new", memory{form: 1}), want: summary, do: slow},
		"the code is not known for long":       {memory: after(slack.UnknownCode, "new", memory{form: 1}), want: old, do: giveUp},
		"an edit's code is not known":          {posting: runs, memory: after(slack.UnknownCode, "new", memory{}), want: summary, do: replace},
		"the metadata's form is refused":       {memory: after(slack.PayloadRefused, "invalid_metadata_schema", memory{}), want: summary, do: strip},
		"a locked thread":                      {posting: begun, memory: after(slack.ChannelRefused, "restricted_action_thread_locked", memory{}), want: failed, do: curtail},
		"a reply's channel refuses the bot":    {posting: begun, memory: after(slack.ChannelRefused, "not_in_channel", memory{}), want: failed, do: slow},
		"a reply's channel refuses for long":   {posting: begun, memory: after(slack.ChannelRefused, "not_in_channel", memory{}), want: old, do: curtail},
		"a reply's code is not known":          {posting: begun, memory: after(slack.UnknownCode, "new", memory{}), want: summary, do: plain},
		"a reply's text has an unknown code":   {posting: begun, memory: after(slack.UnknownCode, "new", memory{form: 1}), want: summary, do: curtail},
		"a reply's text is refused":            {posting: begun, memory: after(slack.PayloadRefused, "no_text", memory{form: 1}), want: summary, do: curtail},
		"a reply's thread is gone":             {posting: begun, memory: after(slack.EditRefused, "message_not_found", memory{}), want: summary, do: curtail},
		"the reply that wakes is refused":      {posting: begun, memory: after(slack.ChannelRefused, "cant_broadcast_message", memory{}), want: woken, do: replace},
		"the thread lacks something":           {posting: lacks, want: summary, do: edit},
		"it may not say so":                    {posting: lacks, memory: after(slack.EditRefused, "edit_window_closed", memory{}), want: summary, do: leave},
		"it may not say so, archived":          {posting: lacks, memory: after(slack.ChannelRefused, "is_archived", memory{}), want: failed, do: leave},
		"it may say so later":                  {posting: lacks, memory: after(slack.NotAccepted, "ratelimited", memory{}), want: summary, do: backOff},
		"there are too many calls":             {memory: after(slack.NotAccepted, "ratelimited", memory{}), want: old, do: backOff},
		"it stands, and can be looked for":     {memory: after(slack.Ambiguous, duplicate, memory{}), want: summary, do: backOff},
		"the root stands, and nobody can look": {memory: after(slack.Ambiguous, duplicate, memory{doubted: true}), want: summary, do: another},
		"a group stands, and nobody can look":  {memory: after(slack.Ambiguous, duplicate, memory{doubted: true}), want: group, do: another},
		"a reply stands, and nobody can look":  {posting: begun, memory: after(slack.Ambiguous, duplicate, memory{doubted: true}), want: summary, do: believe},
	} {
		at := moment{now: now, worker: "me", token: true, timing: DefaultTiming()}
		if c.held {
			at.held = &watcher.RetryError{After: time.Second, Err: errors.New("paused")}
		}
		if got := next(c.posting, c.memory, c.want, at); got.do != c.do || (got.do == wait) != (got.retry != nil) {
			t.Errorf("%s: got %+v, want action %d", name, got, c.do)
		}
	}
}

// TestMemoryIsOfItsPart holds that nothing of one part is taken for another's, which another worker has perhaps posted.
func TestMemoryIsOfItsPart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state string
		part  int
		kept  bool
	}{"the same": {completed, 1, true}, "another part": {completed, 2, false}, "another state": {running, 1, false}} {
		m := memory{state: completed, part: 1, form: 1, file: "F1", tries: 1, looks: 1}
		m.begin(c.state, c.part)
		if kept := m.form == 1 && m.file == "F1" && m.tries == 1 && m.looks == 1; kept != c.kept || !kept && m != (memory{state: c.state, part: c.part}) {
			t.Errorf("%s: got %+v", name, m)
		}
	}
}
