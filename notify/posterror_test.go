package notify_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify"
	"github.com/slack-go/slack"
)

func TestClassify(t *testing.T) {
	for class, codes := range map[notify.Class]string{
		notify.Ambiguous:      "fatal_error internal_error service_unavailable duplicate_message",
		notify.NotAccepted:    "ratelimited rate_limited request_timeout message_limit_exceeded team_added_to_org org_login_required",
		notify.TokenRefused:   "not_authed invalid_auth account_inactive token_revoked token_expired missing_scope no_permission not_allowed_token_type access_denied team_access_not_granted ekm_access_denied two_factor_setup_required",
		notify.ChannelRefused: "channel_not_found not_in_channel is_archived restricted_action restricted_action_thread_only_channel messages_tab_disabled cannot_reply_to_message",
		notify.PayloadRefused: "invalid_blocks invalid_blocks_format msg_blocks_too_long msg_too_long no_text invalid_attachments invalid_arguments metadata_too_large",
		notify.EditRefused:    "message_not_found cant_update_message edit_window_closed is_inactive",
		notify.UnknownCode:    "brand_new_error metadatum restricted",
	} {
		for code := range strings.FieldsSeq(codes) {
			if got := notify.Classify(slack.SlackErrorResponse{Err: code}); got.Class != class || got.Code != code {
				t.Errorf("%s is %s %q, want %s", code, got.Class, got.Code, class)
			}
		}
	}
	at := func(err error) error {
		return &url.Error{Op: "Post", URL: "https://hooks.slack.com/services/planted", Err: err}
	}
	for _, tc := range []struct {
		name  string
		err   error
		class notify.Class
		after time.Duration
	}{
		{"429", &slack.RateLimitedError{RetryAfter: 9 * time.Second}, notify.NotAccepted, 9 * time.Second},
		{"429 after 0", &slack.RateLimitedError{}, notify.NotAccepted, time.Second},
		{"429 after a year", &slack.RateLimitedError{RetryAfter: 365 * 24 * time.Hour}, notify.NotAccepted, 24 * time.Hour},
		{"429 without header", slack.StatusCodeError{Code: 429}, notify.NotAccepted, 30 * time.Second},
		{"429 with garbage", &strconv.NumError{Func: "ParseInt", Num: "1.5", Err: strconv.ErrSyntax}, notify.NotAccepted, 30 * time.Second},
		{"500", slack.StatusCodeError{Code: 500}, notify.Ambiguous, 0},
		{"503", slack.StatusCodeError{Code: 503}, notify.Ambiguous, 0},
		{"400", slack.StatusCodeError{Code: 400}, notify.PayloadRefused, 0},
		{"403", slack.StatusCodeError{Code: 403}, notify.TokenRefused, 0},
		{"404", slack.StatusCodeError{Code: 404}, notify.TokenRefused, 0},
		{"410", slack.StatusCodeError{Code: 410}, notify.ChannelRefused, 0},
		{"redirect", slack.StatusCodeError{Code: 302}, notify.UnknownCode, 0},
		{"html", &json.SyntaxError{}, notify.Ambiguous, 0},
		{"no ts", notify.ErrNoTimestamp, notify.Ambiguous, 0},
		{"timeout", at(context.DeadlineExceeded), notify.Ambiguous, 0},
		{"EOF", at(io.EOF), notify.Ambiguous, 0},
		{"reset", at(&net.OpError{Op: "read", Err: syscall.ECONNRESET}), notify.Ambiguous, 0},
		{"refused", at(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), notify.NotAccepted, 0},
		{"DNS", at(&net.DNSError{Err: "no such host", Name: "slack.com"}), notify.NotAccepted, 0},
		{"certificate", at(&tls.CertificateVerificationError{Err: errors.New("unknown authority")}), notify.NotAccepted, 0},
		{"no TLS", at(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), notify.NotAccepted, 0},
		{"anything", errors.New("?"), notify.Ambiguous, 0},
	} {
		got := notify.Classify(tc.err)
		if got.Class != tc.class || got.RetryAfter != tc.after || strings.Contains(got.Error(), "planted") {
			t.Errorf("%s: %s after %v (%v), want %s after %v", tc.name, got.Class, got.RetryAfter, got, tc.class, tc.after)
		}
	}
	if notify.Classify(nil) != nil {
		t.Error("nil is no error")
	}
	if got := notify.Classify(slack.SlackErrorResponse{Err: "missing_scope", Needed: "chat:write"}); !strings.Contains(got.Error(), "chat:write") {
		t.Errorf("the scope is not named: %v", got)
	}
}
