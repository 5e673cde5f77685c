package slack

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/slack-go/slack"
)

// A Class says what an error of a post means for the message.
type Class string

// The classes.
const (
	Ambiguous      Class = "ambiguous"    // perhaps posted: posting again may double it
	NotAccepted    Class = "not_accepted" // not posted, and may be tried again
	TokenRefused   Class = "token"        // token or workspace: nothing can be posted until somebody acts
	ChannelRefused Class = "channel"      // this channel only; the bot may yet be invited
	PayloadRefused Class = "payload"      // this message as it is; a simpler one may pass
	EditRefused    Class = "edit"         // this message cannot be edited; a new one may be posted
	UnknownCode    Class = "unknown"      // a code that is not known here
)

// An Error is an error of a post whose meaning is known. Its text holds no URL, so neither a
// webhook's address nor a token.
type Error struct {
	Class Class
	Code  string // Slack's error code, or a word for what happened below it
	// RetryAfter is how long Slack, or the kind of error, wants to be left alone, at least 1 s;
	// 0 leaves it to the caller's backoff.
	RetryAfter time.Duration
	Detail     string // what Slack says is wrong, e.g. which block
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return "post to slack: " + e.Code
	}
	return fmt.Sprintf("post to slack: %s (%s)", e.Code, e.Detail)
}

// ErrNoTimestamp is an answer without an error and without a message's ts: {} or {"ok":false}.
var ErrNoTimestamp = errors.New("answer without ts")

// Bounds of texts of Slack's, in characters.
const (
	maxCode   = 700
	maxDetail = 400
)

// Classify says what an error of slack-go means, nil for nil. What is neither Slack's word nor
// certain not to have reached Slack is ambiguous.
func Classify(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		return &Error{Class: NotAccepted, Code: "ratelimited", RetryAfter: min(max(e.RetryAfter, time.Second), maxPenalty)}
	}
	if _, ok := errors.AsType[*strconv.NumError](err); ok { // a 429 whose Retry-After is no whole number
		return &Error{Class: NotAccepted, Code: "ratelimited", RetryAfter: defaultPenalty}
	}
	if e, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		return byCode(e)
	}
	if e, ok := errors.AsType[slack.StatusCodeError](err); ok {
		return byStatus(e.Code)
	}
	return byTransport(err)
}

// tooMany is for a 429 with this Retry-After, empty for none.
func tooMany(retryAfter string) *Error {
	if retryAfter == "" {
		return byStatus(http.StatusTooManyRequests)
	}
	seconds, err := strconv.ParseInt(retryAfter, 10, 32)
	if err != nil {
		return Classify(err)
	}
	return Classify(&slack.RateLimitedError{RetryAfter: time.Duration(seconds) * time.Second})
}

func byCode(e slack.SlackErrorResponse) *Error {
	means := codes[known(e.Err)]
	p := &Error{Class: cmp.Or(means.class, UnknownCode), Code: foreign.Short(e.Err, maxCode), RetryAfter: means.wait, Detail: foreign.Short(strings.Join(e.ResponseMetadata.Messages, "; "), maxDetail)}
	if e.Needed != "" {
		p.Detail = "needs the scope " + foreign.Short(e.Needed, maxDetail)
	}
	return p
}

func byStatus(status int) *Error {
	code := "status_" + strconv.Itoa(status)
	means := codes[code]
	switch {
	case status >= 500, status < 300:
		means.class = Ambiguous
	case status < 400:
		means = codes["redirect"]
	}
	return &Error{Class: cmp.Or(means.class, UnknownCode), Code: code, RetryAfter: means.wait}
}

// byTransport classes what happened below Slack's answers. Only where no connection was made is
// it certain that nothing was posted.
func byTransport(err error) *Error {
	cause := err
	if e, ok := errors.AsType[*url.Error](err); ok {
		cause = e.Err // without the address that was called: a webhook's is a secret
	}
	p := &Error{Class: Ambiguous, Code: "no_answer", Detail: foreign.Short(cause.Error(), maxDetail)}
	if errors.Is(err, ErrNoTimestamp) {
		p.Code, p.Detail = "no_ts", ""
		return p
	}
	if neverConnected(err) {
		p.Class, p.Code = NotAccepted, "no_connection"
	}
	return p
}

func neverConnected(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		switch op.Op {
		case "dial", "proxyconnect", "socks connect", "remote error", "local error": // the last two are TLS alerts
			return true
		}
	}
	_, dns := errors.AsType[*net.DNSError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return dns || certificate || record || errors.Is(err, http.ErrSchemeMismatch)
}
