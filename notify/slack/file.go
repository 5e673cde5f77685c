package slack

import (
	"context"
	"slices"

	"github.com/slack-go/slack"
)

// ScopeFiles is what a token needs to put a file into a thread.
const ScopeFiles = "files:write"

// fileCodes are errors of the files methods that concern this file, or files at all: a reply without
// the file may pass. Those of the token and the workspace stand in codes.
var fileCodes = []string{
	"missing_scope", "no_permission", "access_denied", "not_allowed_token_type", "method_deprecated",
	"file_uploads_disabled", "file_uploads_except_images_restricted", "file_upload_size_restricted", "storage_limit_reached",
	"blocked_file_type", "posting_to_channel_denied",
}

// fileNotFound is the code of an upload that Slack has forgotten: another is to be made.
const fileNotFound = "file_not_found"

// An Upload is a file that Slack expects, or has, and that nobody sees yet.
type Upload struct {
	ID   string
	Name string
	url  string
}

// Prepare asks Slack where the bytes of a file are to go.
func (c *Client) Prepare(ctx context.Context, name string, size int) (Upload, error) {
	to, err := c.api.GetUploadURLExternalContext(ctx, slack.GetUploadURLExternalParameters{FileName: name, FileSize: size})
	if err == nil && (to.UploadURL == "" || to.FileID == "") {
		err = ErrNoTimestamp
	}
	if err != nil {
		return Upload{}, fileError(err)
	}
	return Upload{to.FileID, name, to.UploadURL}, nil
}

// Send hands Slack the bytes. Whatever fails may be tried again: nobody sees the file until it is shared.
func (c *Client) Send(ctx context.Context, u Upload, content []byte) error {
	return classified(c.api.UploadToURL(ctx, slack.UploadToURLParameters{UploadURL: u.url, Content: string(content), Filename: u.Name}))
}

// A Share shows a file that was sent in a message's thread. A file is shared once.
type Share struct {
	ID      string // of the [Upload]
	Channel string // its ID
	Thread  string // the ts of the message
	Title   string // of the file
	Text    string // stands beside it
}

// Share shows the file. Slack does not say as which message.
func (c *Client) Share(ctx context.Context, s Share) error {
	answer, err := c.api.CompleteUploadExternalContext(ctx, slack.CompleteUploadExternalParameters{
		Files: []slack.FileSummary{{ID: s.ID, Title: s.Title}}, Channel: s.Channel, ThreadTimestamp: s.Thread, InitialComment: s.Text,
	})
	if err == nil && len(answer.Files) != 1 {
		err = ErrNoTimestamp
	}
	if err != nil {
		return fileError(err)
	}
	return nil
}

// fileError says what an error of a files method means.
func fileError(err error) *Error {
	e := Classify(err)
	switch {
	case e.Code == fileNotFound:
		e.Class = NotAccepted
	case slices.Contains(fileCodes, e.Code):
		e.Class = PayloadRefused
	}
	return e
}
