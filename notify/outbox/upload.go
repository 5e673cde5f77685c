package outbox

import (
	"context"
	"slices"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// uploadTries is how often it is tried where the bytes do not arrive at the address that Slack gave, which may
// be blocked where its API is not. Then a reply without the file is posted.
const uploadTries = 6

// takesFiles reports whether a file may go into a thread: no is certain. Slack is asked once an hour.
func (s *Outbox) takesFiles(ctx context.Context) bool {
	f, now := &s.files, s.config.Now()
	f.Lock()
	defer f.Unlock()
	if now.Before(f.until) {
		return !f.missing
	}
	has, err := s.config.Slack.Scopes(ctx)
	if err != nil {
		return true // the call itself will tell
	}
	missing := has != nil && !slices.Contains(has, slack.ScopeFiles)
	if missing && !f.missing {
		s.log.Warn("the Slack app may not upload files: messages with many failures refer to the completion event; give it the scope " + slack.ScopeFiles)
	}
	f.until, f.missing = now.Add(s.config.Timing.Blind), missing
	return !missing
}

// summarize returns what people are told in Slack of a watch that ended.
func (s *Outbox) summarize(ctx context.Context, c watcher.Completion, o message.Options) message.Message {
	o.File = !o.NoThread
	if m := message.Summarize(c, o); m.File == nil || s.takesFiles(ctx) {
		return m
	}
	o.File = false
	return message.Summarize(c, o)
}

// upload hands Slack the file. Nobody sees it until it is shared, so that what fails may be tried
// again. nil means to go on, with the file in the memory, with another form, or with a refusal.
func (s *Outbox) upload(ctx context.Context, d *delivery) *watcher.RetryError {
	within, cancel := context.WithTimeout(ctx, s.config.Timing.Call)
	defer cancel()
	file := d.message.File
	to, err := s.config.Slack.Prepare(within, file.Name, len(file.Content))
	if err != nil {
		e := *slack.Classify(err)
		if e.Class == slack.Ambiguous { // nobody sees anything of it
			e.Class = slack.NotAccepted
		}
		return s.refuse(ctx, d, &e)
	}
	if err := s.config.Slack.Send(within, to, file.Content); err != nil {
		return s.notUploaded(ctx, d, slack.Classify(err))
	}
	d.memory.file = to.ID
	return nil
}

// notUploaded decides what follows where the bytes did not arrive.
func (s *Outbox) notUploaded(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	if ctx.Err() != nil {
		return soon("post to slack", context.Cause(ctx))
	}
	s.count(e)
	if d.memory.tries++; d.memory.tries >= uploadTries {
		d.log.Warn("slack does not take the file, a reply without it follows; is its address for uploads reachable, files.slack.com?", "code", e.Code, "err", e)
		d.memory.form = 1
		return nil
	}
	delay := max(e.RetryAfter, s.config.Timing.backoff(d.memory.tries-1))
	d.memory.notBefore = s.config.Now().Add(delay)
	d.report(e, delay, d.memory.tries == 1)
	return &watcher.RetryError{After: delay, Err: e}
}

// share shows the file that was uploaded in the message's thread. Slack does not say as which message: in place
// of its ts the file's id is returned.
func (s *Outbox) share(ctx context.Context, d *delivery) (string, error) {
	id, file := d.memory.file, d.message.File
	d.memory.file = "" // an upload is shared once
	return id, s.config.Slack.Share(ctx, slack.Share{ID: id, Channel: d.channel, Thread: d.posting.TS, Title: file.Title, Text: file.Text})
}
