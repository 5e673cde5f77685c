package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/slack-go/slack"
)

// A Webhook posts into the one channel that it was made for. It is safe for concurrent use.
type Webhook struct {
	url    string
	client *http.Client
}

// NewWebhook returns what posts by the webhook with this URL, which is secret. Of the Config only Timeout and
// HTTPClient matter. It makes no call.
func NewWebhook(url string, c Config) (*Webhook, error) {
	if !isHTTP(url) {
		return nil, errors.New("configure slack: the webhook's URL must be an http(s) URL")
	}
	return &Webhook{url, c.client()}, nil
}

// Post posts the text and the blocks into the webhook's channel. Nothing else of the post is used: a webhook
// edits nothing and replies to nothing. Slack does not say as which message: the ts is always empty. The message
// is posted where the answer says ok, and nowhere else: a login page with status 200 is an error.
func (w *Webhook) Post(ctx context.Context, p Post) (ts string, err error) {
	unfurl := false
	m := &slack.WebhookMessage{Text: p.Text, UnfurlLinks: &unfurl, UnfurlMedia: &unfurl}
	if p.Blocks != nil {
		m.Blocks = &slack.Blocks{BlockSet: p.Blocks}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return "", classified(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return "", classified(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := w.client.Do(r)
	if err != nil {
		return "", classified(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, maxSaid))
	if err != nil && answer.StatusCode < 300 { // it was cut, and perhaps posted
		return "", classified(err)
	}
	if e := byAnswer(answer, said); e != nil {
		return "", e
	}
	return "", nil
}

// byAnswer says what a webhook's answer means, nil where the message is posted.
func byAnswer(answer *http.Response, said []byte) *Error {
	status, code := answer.StatusCode, codeOf(said)
	fine := status < 300
	switch {
	case code == "ok" && fine:
		return nil
	case code == "ok":
		return byStatus(status)
	case status == http.StatusTooManyRequests:
		return tooMany(answer.Header.Get("Retry-After"))
	case isKnown(code), status < 500 && code != "":
		return byCode(slack.SlackErrorResponse{Err: code})
	case fine:
		return &Error{Class: codes["no_ok"].class, Code: "no_ok"}
	}
	return byStatus(status)
}

// maxSaid bounds what is read of a short answer, in bytes.
const maxSaid = 64 << 10

// textCode is a code that is an answer's whole text, such as no_service.
var textCode = regexp.MustCompile(`^[a-z]+(_[a-z]+)+$`)

// codeOf returns what an answer says: ok, or a code of Slack's form, as text or in JSON; empty where it says neither.
func codeOf(said []byte) string {
	if ok, code, is := inJSON(said); is && ok {
		return "ok"
	} else if is {
		return code
	}
	if text := strings.TrimSpace(string(said)); text == "ok" || isKnown(text) || len(text) <= 64 && textCode.MatchString(text) {
		return text
	}
	return ""
}

// inJSON returns what an answer in JSON says; is reports whether it is one of Slack's form.
func inJSON(said []byte) (ok bool, code string, is bool) {
	var answer struct {
		OK    *bool  `json:"ok"`
		Error string `json:"error"`
	}
	if json.Unmarshal(said, &answer) != nil || answer.OK == nil {
		return false, "", false
	}
	return *answer.OK, answer.Error, true
}
