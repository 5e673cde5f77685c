package notify

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/slack-go/slack"
)

// ScopeFiles is what [Slack] needs to put a file into a thread. Without it the message says where else
// the failed items are.
const ScopeFiles = "files:write"

// fileCodes are errors of the files methods that concern this file, or files at all: a reply without
// the file may pass. Those of the token and the workspace stand in codes.
var fileCodes = []string{
	"missing_scope", "no_permission", "access_denied", "not_allowed_token_type", "method_deprecated",
	"file_uploads_disabled", "file_uploads_except_images_restricted", "file_upload_size_restricted", "storage_limit_reached",
	"blocked_file_type", "slack_connect_file_upload_sharing_blocked", "slack_connect_blocked_file_type", "slack_connect_clip_sharing_blocked",
	"posting_to_channel_denied", "invalid_arguments",
}

// What is done where the bytes do not arrive at the address that Slack gave, which may be blocked where
// its API is not.
const (
	uploadTries  = 6 // then a reply without the file is posted
	fileNotFound = "file_not_found"
)

// A fileScope is what is known of whether the token may upload files. It is safe for concurrent use.
type fileScope struct {
	mu      sync.Mutex
	until   time.Time // believed
	missing bool
}

// takesFiles reports whether a file may go into a thread: no is certain. Slack is asked once an hour.
func (s *Slack) takesFiles(ctx context.Context) bool {
	f, now := &s.files, s.config.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Before(f.until) {
		return !f.missing
	}
	answer, err := s.api.AuthTestContext(ctx)
	if err != nil {
		return true // the call itself will tell
	}
	has, before := scopes(answer), f.missing
	f.until, f.missing = now.Add(s.config.Timing.Blind), has != nil && !slices.Contains(has, ScopeFiles)
	if f.missing && !before {
		s.log.Warn("the Slack app may not upload files: messages with many failures refer to the completion event; give it the scope " + ScopeFiles)
	}
	return !f.missing
}

// summary returns what people are told in Slack of a watch that ended.
func (s *Slack) summary(ctx context.Context, c watcher.Completion, o message.Options) message.Message {
	o.File = !o.NoThread
	m := message.Summarize(c, o)
	if m.File != nil && !s.takesFiles(ctx) {
		o.File = false
		m = message.Summarize(c, o)
	}
	return m
}

// isFile reports whether the part at hand is the file, or the reply in its place.
func (d delivery) isFile() bool {
	return d.message.File != nil && d.entry.part() == 1+len(d.message.Replies)
}

// lacksUpload reports whether Slack does not have the bytes of the file that is to be shared.
func (d delivery) lacksUpload() bool {
	return d.isFile() && d.receipt.form == 0 && d.receipt.file == ""
}

// upload hands Slack the file. Nobody sees it until it is shared, so that what fails may be tried
// again. nil means to go on, with the file in the receipt or with another form.
func (s *Slack) upload(ctx context.Context, d delivery) *watcher.RetryError {
	unsure := d.receipt.unsure
	defer func() { d.receipt.unsure = unsure }() // that is about the call that shares it
	within, cancel := context.WithTimeout(ctx, s.config.Timing.Call)
	defer cancel()
	file := d.message.File
	to, err := s.api.GetUploadURLExternalContext(within, slack.GetUploadURLExternalParameters{FileName: file.Name, FileSize: len(file.Content)})
	if err == nil && (to.UploadURL == "" || to.FileID == "") {
		err = ErrNoTimestamp
	}
	if err != nil {
		e := fileError(err)
		if e.Class == Ambiguous {
			e.Class = NotAccepted
		}
		return s.refused(ctx, d, e)
	}
	err = s.api.UploadToURL(within, slack.UploadToURLParameters{UploadURL: to.UploadURL, Content: string(file.Content), Filename: file.Name})
	if err != nil {
		return s.notUploaded(ctx, d, Classify(err))
	}
	d.receipt.file = to.FileID
	return nil
}

// notUploaded decides what follows where the bytes did not arrive.
func (s *Slack) notUploaded(ctx context.Context, d delivery, e *PostError) *watcher.RetryError {
	if ctx.Err() != nil {
		return interrupted(context.Cause(ctx))
	}
	s.troubles.count(e)
	if d.receipt.tries++; d.receipt.tries >= uploadTries {
		d.log.Warn("slack does not take the file, a reply without it follows; is its address for uploads reachable, files.slack.com?", "code", e.Code, "err", e)
		d.receipt.form = 1
		return nil
	}
	delay := max(e.RetryAfter, s.config.Timing.Upload<<(d.receipt.tries-1))
	d.receipt.notBefore = s.config.Now().Add(delay)
	d.report(e, delay, d.receipt.tries == 1)
	return &watcher.RetryError{After: delay, Err: e}
}

// share shows the file that was uploaded in the message's thread. Slack does not say as which
func (s *Slack) share(ctx context.Context, d delivery) (id string, err error) {
	id, d.receipt.file = d.receipt.file, "" // an upload is shared once
	answer, err := s.api.CompleteUploadExternalContext(ctx, slack.CompleteUploadExternalParameters{
		Files: []slack.FileSummary{{ID: id, Title: d.message.File.Title}}, Channel: d.place.channel,
		ThreadTimestamp: d.entry.posting.TS, InitialComment: d.message.File.Text,
	})
	switch {
	case err != nil:
		return "", fileError(err)
	case len(answer.Files) != 1:
		return "", ErrNoTimestamp
	}
	return id, nil
}

// fileError says what an error of a files method means.
func fileError(err error) *PostError {
	e := Classify(err)
	if _, ok := errors.AsType[slack.SlackErrorResponse](err); !ok {
		return e
	}
	switch {
	case e.Code == fileNotFound: // the upload is forgotten; another is made
		e.Class = NotAccepted
	case slices.Contains(fileCodes, e.Code):
		e.Class = PayloadRefused
	}
	return e
}

// shows reports whether the message is the file's.
func (d delivery) shows(m slack.Message) bool {
	return d.isFile() && slices.ContainsFunc(m.Files, func(f slack.File) bool { return f.Name == d.message.File.Name })
}

// removeMessage deletes a message, with the file that it shows.
func (s *Slack) removeMessage(ctx context.Context, channel string, m slack.Message) error {
	for _, f := range m.Files {
		return s.api.DeleteFileContext(ctx, f.ID)
	}
	_, _, err := s.api.DeleteMessageContext(ctx, channel, m.Timestamp)
	return err
}
