package slack_test

import (
	"cmp"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack"
	api "github.com/slack-go/slack"
)

// slackCodes are Slack's error codes as slack.md classes them, each of them.
var slackCodes = map[slack.Class]string{
	slack.Ambiguous:      "fatal_error internal_error service_unavailable duplicate_message",
	slack.NotAccepted:    "ratelimited rate_limited request_timeout message_limit_exceeded team_added_to_org org_login_required",
	slack.TokenRefused:   "not_authed invalid_auth account_inactive token_revoked token_expired missing_scope no_permission not_allowed_token_type access_denied team_access_not_granted ekm_access_denied two_factor_setup_required",
	slack.ChannelRefused: "channel_not_found not_in_channel is_archived restricted_action restricted_action_read_only_channel restricted_action_thread_only_channel restricted_action_non_threadable_channel messages_tab_disabled cannot_reply_to_message",
	slack.PayloadRefused: "invalid_blocks invalid_blocks_format msg_blocks_too_long msg_too_long no_text invalid_attachments invalid_arguments metadata_too_large metadata_must_be_sent_from_app metadata_invalid",
	slack.EditRefused:    "message_not_found cant_update_message edit_window_closed is_inactive",
	slack.UnknownCode:    "brand_new_error metadatum restricted restricted_actions",
}

// slowly are those that want to be left alone although Slack does not say for how long.
var slowly = map[string]time.Duration{
	"ratelimited": 30 * time.Second, "rate_limited": 30 * time.Second,
	"message_limit_exceeded": 5 * time.Minute, "team_added_to_org": 5 * time.Minute, "org_login_required": 5 * time.Minute,
}

// An answer is what stands at the other end of a call.
type answer struct {
	name   string
	serve  http.HandlerFunc
	url    func(server *httptest.Server) string // default: the server's
	class  slack.Class
	code   string
	after  time.Duration
	says   string        // part of the error's text
	within time.Duration // of the call; 0: 30 s
}

// answers are the shapes of slack.md that are no codes, as slack-go meets them over HTTP.
var answers = []answer{
	{name: "429", serve: status(429, "Retry-After", "9"), class: slack.NotAccepted, code: "ratelimited", after: 9 * time.Second},
	{name: "429 after 0 s", serve: status(429, "Retry-After", "0"), class: slack.NotAccepted, code: "ratelimited", after: time.Second},
	{name: "429 after a year", serve: status(429, "Retry-After", "31536000"), class: slack.NotAccepted, code: "ratelimited", after: 24 * time.Hour},
	{name: "429 after 1.5 s", serve: status(429, "Retry-After", "1.5"), class: slack.NotAccepted, code: "ratelimited", after: 30 * time.Second},
	{name: "429 until a date", serve: status(429, "Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"), class: slack.NotAccepted, code: "ratelimited", after: 30 * time.Second},
	{name: "429 without header", serve: status(429), class: slack.NotAccepted, code: "status_429", after: 30 * time.Second},
	{name: "408", serve: status(408), class: slack.NotAccepted, code: "status_408"},
	{name: "400", serve: status(400), class: slack.PayloadRefused, code: "status_400"},
	{name: "403", serve: status(403), class: slack.TokenRefused, code: "status_403"},
	{name: "404", serve: status(404), class: slack.TokenRefused, code: "status_404"},
	{name: "407", serve: status(407), class: slack.TokenRefused, code: "status_407"},
	{name: "413", serve: status(413), class: slack.PayloadRefused, code: "status_413"},
	{name: "redirect", serve: status(302, "Location", "https://example.com/"), class: slack.TokenRefused, code: "status_302"},
	{name: "500", serve: status(500), class: slack.Ambiguous, code: "status_500"},
	{name: "502", serve: status(502), class: slack.Ambiguous, code: "status_502"},
	{name: "503", serve: status(503), class: slack.Ambiguous, code: "status_503"},
	{name: "504", serve: status(504), class: slack.Ambiguous, code: "status_504"},
	{name: "no JSON", serve: body("<html>please log in</html>"), class: slack.Ambiguous, code: "no_answer"},
	{name: "nothing", serve: body(""), class: slack.Ambiguous, code: "no_answer"},
	{name: "cut JSON", serve: body(`{"ok":true,"ts":"1`), class: slack.Ambiguous, code: "no_answer"},
	{name: "empty object", serve: body(`{}`), class: slack.Ambiguous, code: "no_ts"},
	{name: "ok false without an error", serve: body(`{"ok":false}`), class: slack.Ambiguous, code: "no_ts"},
	{name: "ok without a ts", serve: body(`{"ok":true}`), class: slack.Ambiguous, code: "no_ts"},
	{name: "a faulty block", serve: body(`{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["[ERROR] no more than 50 items allowed [json-pointer:/blocks]"]}}`), class: slack.PayloadRefused, code: "invalid_blocks", says: "json-pointer:/blocks"},
	{name: "a scope", serve: body(`{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"channels:read"}`), class: slack.TokenRefused, code: "missing_scope", says: "needs the scope chat:write"},
	{name: "429 in the body", serve: body(`{"ok":false,"error":"ratelimited"}`), class: slack.NotAccepted, code: "ratelimited", after: 30 * time.Second},
	{name: "EOF", serve: hangUp(false), class: slack.Ambiguous, code: "no_answer"},
	{name: "reset", serve: hangUp(true), class: slack.Ambiguous, code: "no_answer"},
	{name: "timeout", serve: silence, within: 3 * time.Second, class: slack.Ambiguous, code: "no_answer"},
	{name: "refused connection", url: func(s *httptest.Server) string { s.Close(); return s.URL }, class: slack.NotAccepted, code: "no_connection"},
	{name: "no such host", url: func(*httptest.Server) string { return "http://nowhere.invalid" }, class: slack.NotAccepted, code: "no_connection"},
	{name: "no TLS", url: func(s *httptest.Server) string { return strings.Replace(s.URL, "http:", "https:", 1) }, class: slack.NotAccepted, code: "no_connection"},
	{name: "a strange certificate", url: func(*httptest.Server) string { return "" }, class: slack.NotAccepted, code: "no_connection"},
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if len(header) > 0 {
			w.Header().Set(header[0], header[1])
		}
		http.Error(w, "planted", code)
	}
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, text)
	}
}

// silence answers nothing until the caller gives up.
func silence(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// hangUp closes the connection when it has read the request, with a reset or as usual.
func hangUp(reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok && reset {
			tcp.SetLinger(0)
		}
		conn.Close()
	}
}

// TestClassifyCodes holds every code of slack.md.
func TestClassifyCodes(t *testing.T) {
	t.Parallel()
	for class, codes := range slackCodes {
		for code := range strings.FieldsSeq(codes) {
			if got := slack.Classify(api.SlackErrorResponse{Err: code}); got.Class != class || got.Code != code || got.RetryAfter != slowly[code] {
				t.Errorf("%s is %s %q after %s, want %s after %s", code, got.Class, got.Code, got.RetryAfter, class, slowly[code])
			}
		}
	}
	if slack.Classify(nil) != nil {
		t.Error("nil is no error")
	}
}

// TestClassifyAnswers holds every other shape of slack.md, as slack-go returns it.
func TestClassifyAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := slack.Classify(tt.call(t))
			if got == nil {
				t.Fatal("no error")
			}
			if got.Class != tt.class || got.Code != tt.code || got.RetryAfter != tt.after || !strings.Contains(got.Error(), tt.says) {
				t.Errorf("%s %s after %s (%v), want %s %s after %s %q", got.Class, got.Code, got.RetryAfter, got, tt.class, tt.code, tt.after, tt.says)
			}
			if strings.Contains(got.Error(), "planted") {
				t.Errorf("the error shows an address, or what somebody answered: %v", got)
			}
		})
	}
}

// call makes the call that meets the answer.
func (a answer) call(t *testing.T) error {
	t.Helper()
	if a.serve == nil {
		a.serve = body(`{"ok":true,"ts":"1.1"}`)
	}
	server := httptest.NewServer(a.serve)
	t.Cleanup(server.Close)
	at := server.URL
	if a.url != nil {
		at = a.url(server)
	}
	if at == "" {
		strange := httptest.NewUnstartedServer(a.serve)
		strange.Config.ErrorLog = log.New(io.Discard, "", 0)
		strange.StartTLS()
		t.Cleanup(strange.Close)
		at = strange.URL
	}
	client := &http.Client{Timeout: cmp.Or(a.within, 30*time.Second), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	caller := api.New("xoxb-planted", api.OptionAPIURL(at+"/api/"), api.OptionHTTPClient(client))
	_, ts, _, err := caller.SendMessageContext(t.Context(), "C0ONCALL", api.MsgOptionText("x", false))
	if err == nil && ts == "" {
		err = slack.ErrNoTimestamp // as every caller must
	}
	return err
}

// TestRemedies holds that whatever wants somebody to act says what to do.
func TestRemedies(t *testing.T) {
	for class, codes := range slackCodes {
		for code := range strings.FieldsSeq(codes) {
			said := (&slack.Error{Class: class, Code: code}).Remedy()
			if wanted := class != slack.NotAccepted && class != slack.EditRefused; wanted && said == "" {
				t.Errorf("%s: nobody says what to do", code)
			}
			if strings.HasSuffix(said, ".") || strings.Contains(said, "\n") {
				t.Errorf("%s: %q is no phrase", code, said)
			}
		}
	}
}
