package slack

import (
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

// A Class says what an error of a post means for the
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

// A Error is an error of a post whose meaning is known. Its text holds no URL, so neither a
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

// codes are the errors that chat.postMessage and chat.update document, by what they mean.
var codes = map[string]Class{
	"fatal_error":         Ambiguous,
	"internal_error":      Ambiguous,
	"service_unavailable": Ambiguous,
	"duplicate_message":   Ambiguous,

	"ratelimited":            NotAccepted,
	"rate_limited":           NotAccepted,
	"request_timeout":        NotAccepted,
	"message_limit_exceeded": NotAccepted,
	"team_added_to_org":      NotAccepted,
	"org_login_required":     NotAccepted,

	"not_authed":                TokenRefused,
	"invalid_auth":              TokenRefused,
	"account_inactive":          TokenRefused,
	"token_revoked":             TokenRefused,
	"token_expired":             TokenRefused,
	"missing_scope":             TokenRefused,
	"no_permission":             TokenRefused,
	"not_allowed_token_type":    TokenRefused,
	"access_denied":             TokenRefused,
	"team_access_not_granted":   TokenRefused,
	"ekm_access_denied":         TokenRefused,
	"two_factor_setup_required": TokenRefused,

	"channel_not_found":       ChannelRefused,
	"not_in_channel":          ChannelRefused,
	"is_archived":             ChannelRefused,
	"restricted_action":       ChannelRefused, // and restricted_action_…
	"messages_tab_disabled":   ChannelRefused,
	"cannot_reply_to_message": ChannelRefused,

	"invalid_blocks":        PayloadRefused,
	"invalid_blocks_format": PayloadRefused,
	"msg_blocks_too_long":   PayloadRefused,
	"msg_too_long":          PayloadRefused,
	"no_text":               PayloadRefused,
	"invalid_attachments":   PayloadRefused,
	"invalid_arguments":     PayloadRefused,
	"metadata":              PayloadRefused, // metadata_…

	"message_not_found":   EditRefused,
	"cant_update_message": EditRefused,
	"edit_window_closed":  EditRefused,
	"is_inactive":         EditRefused,
}

// delays are how long a code wants to be left alone where Slack does not say.
var delays = map[string]time.Duration{
	"ratelimited":            defaultPenalty,
	"rate_limited":           defaultPenalty,
	"message_limit_exceeded": slowRetry,
	"team_added_to_org":      slowRetry,
	"org_login_required":     slowRetry,
}

const (
	defaultPenalty = 30 * time.Second // of a 429 that does not say for how long
	slowRetry      = 5 * time.Minute
	maxPenalty     = 24 * time.Hour // a larger Retry-After is taken for a mistake
)

// statuses are answers other than 200: of webhooks, which say by them what is wrong, and of what
// stands between here and Slack. Every 5xx is ambiguous.
var statuses = map[int]Class{
	http.StatusBadRequest:            PayloadRefused, // invalid_payload, no_text
	http.StatusUnauthorized:          TokenRefused,
	http.StatusForbidden:             TokenRefused,   // action_prohibited, invalid_token
	http.StatusNotFound:              TokenRefused,   // no_service, no_team; a wrong API URL
	http.StatusGone:                  ChannelRefused, // channel_is_archived
	http.StatusRequestEntityTooLarge: PayloadRefused,
	http.StatusRequestTimeout:        NotAccepted,
	http.StatusTooManyRequests:       NotAccepted,
	http.StatusProxyAuthRequired:     TokenRefused,
}

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

func byCode(e slack.SlackErrorResponse) *Error {
	p := &Error{Class: UnknownCode, Code: foreign.Short(e.Err, maxCode), RetryAfter: delays[e.Err], Detail: foreign.Short(strings.Join(e.ResponseMetadata.Messages, "; "), maxDetail)}
	if class, ok := codes[e.Err]; ok {
		p.Class = class
	}
	for _, prefix := range []string{"restricted_action", "metadata"} {
		if strings.HasPrefix(e.Err, prefix+"_") {
			p.Class = codes[prefix]
		}
	}
	if e.Needed != "" {
		p.Detail = "needs the scope " + foreign.Short(e.Needed, maxDetail)
	}
	return p
}

func byStatus(status int) *Error {
	p := &Error{Class: UnknownCode, Code: "status_" + strconv.Itoa(status)}
	if class, ok := statuses[status]; ok {
		p.Class = class
	}
	switch {
	case status >= 500:
		p.Class = Ambiguous
	case status == http.StatusTooManyRequests:
		p.RetryAfter = defaultPenalty
	}
	return p
}

// byTransport classes what happened below Slack's answers. Only where no connection was made is
// it certain that nothing was posted.
func byTransport(err error) *Error {
	p := &Error{Class: Ambiguous, Code: "no_answer", Detail: foreign.Short(withoutURL(err).Error(), maxDetail)}
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

// withoutURL returns the error without the address that was called: a webhook's is a secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
