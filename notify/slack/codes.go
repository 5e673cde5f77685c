package slack

import (
	"cmp"
	"strings"
	"time"
)

// A meaning is what a code of Slack's means for a message, and what people can do about it.
type meaning struct {
	class  Class
	wait   time.Duration // how long Slack wants to be left alone where it does not say; 0: the caller's backoff
	remedy string        // empty: that of the class
}

// codes are the errors that chat.postMessage and chat.update document, and the words for what happens below
// those. Other errors are of [UnknownCode].
var codes = map[string]meaning{
	"fatal_error":         {Ambiguous, 0, ""},
	"internal_error":      {Ambiguous, 0, ""},
	"service_unavailable": {Ambiguous, 0, ""},
	"duplicate_message":   {Ambiguous, 0, ""},

	"ratelimited":            {NotAccepted, defaultPenalty, ""},
	"rate_limited":           {NotAccepted, defaultPenalty, ""},
	"request_timeout":        {NotAccepted, 0, ""},
	"message_limit_exceeded": {NotAccepted, slowRetry, "make room in the workspace, or ask its administrators for another plan"},
	"team_added_to_org":      {NotAccepted, slowRetry, "wait: the workspace is being moved into an organization"},
	"org_login_required":     {NotAccepted, slowRetry, administrators},

	"not_authed":                {TokenRefused, 0, newToken},
	"invalid_auth":              {TokenRefused, 0, newToken},
	"account_inactive":          {TokenRefused, 0, newToken},
	"token_revoked":             {TokenRefused, 0, newToken},
	"token_expired":             {TokenRefused, 0, newToken},
	"missing_scope":             {TokenRefused, 0, "give the Slack app the bot scope " + ScopePost + " and install it again; where that gives it another bot token, set ORDERWATCH_SLACK_TOKEN" + restart},
	"no_permission":             {TokenRefused, 0, "let the app post in the workspace's settings, and give it the bot scope " + ScopePost},
	"not_allowed_token_type":    {TokenRefused, 0, "set ORDERWATCH_SLACK_TOKEN to the app's bot token, which begins with xoxb-" + restart},
	"access_denied":             {TokenRefused, 0, administrators},
	"team_access_not_granted":   {TokenRefused, 0, administrators},
	"ekm_access_denied":         {TokenRefused, 0, administrators},
	"two_factor_setup_required": {TokenRefused, 0, administrators},

	"channel_not_found":       {ChannelRefused, 0, "check the channel's ID; a private channel is known to its members alone: /invite the app there"},
	"not_in_channel":          {ChannelRefused, 0, "/invite the app into the channel"},
	"is_archived":             {ChannelRefused, 0, "unarchive the channel, or configure another"},
	"restricted_action":       {ChannelRefused, 0, "let the app post in the channel's settings, or configure another channel"}, // and restricted_action_…
	"messages_tab_disabled":   {ChannelRefused, 0, "turn on the Messages tab in the app's settings, or configure a channel"},
	"cannot_reply_to_message": {ChannelRefused, 0, "look at the message in the channel: it takes no replies"},

	"invalid_blocks":        {PayloadRefused, 0, ""},
	"invalid_blocks_format": {PayloadRefused, 0, ""},
	"msg_blocks_too_long":   {PayloadRefused, 0, ""},
	"msg_too_long":          {PayloadRefused, 0, ""},
	"no_text":               {PayloadRefused, 0, ""},
	"invalid_attachments":   {PayloadRefused, 0, ""},
	"invalid_arguments":     {PayloadRefused, 0, ""},
	"metadata":              {PayloadRefused, 0, ""}, // metadata_…

	"message_not_found":   {EditRefused, 0, ""},
	"cant_update_message": {EditRefused, 0, ""},
	"edit_window_closed":  {EditRefused, 0, ""},
	"is_inactive":         {EditRefused, 0, ""},

	// The answers other than 200: of webhooks, which say by them what is wrong, and of what stands between here and
	// Slack. Every 5xx is ambiguous.
	"status_400": {PayloadRefused, 0, ""}, // invalid_payload, no_text
	"status_401": {TokenRefused, 0, ""},
	"status_403": {TokenRefused, 0, "set ORDERWATCH_SLACK_WEBHOOK_URL to a new webhook, or ask the workspace's administrators to admit the app; or a proxy on the way refuses the call"}, // action_prohibited, invalid_token
	"status_404": {TokenRefused, 0, "check ORDERWATCH_SLACK_API_URL; a webhook that was deleted: make a new one and set ORDERWATCH_SLACK_WEBHOOK_URL" + restart},                         // no_service, no_team; a wrong API URL
	"status_407": {TokenRefused, 0, "give the proxy's login in HTTPS_PROXY" + restart},
	"status_408": {NotAccepted, 0, ""},
	"status_410": {ChannelRefused, 0, "unarchive the webhook's channel, or set ORDERWATCH_SLACK_WEBHOOK_URL to a webhook of another" + restart}, // channel_is_archived
	"status_413": {PayloadRefused, 0, ""},
	"status_429": {NotAccepted, defaultPenalty, ""},

	// What happens without an answer of Slack's: what that means for the message stands where it happens.
	"no_webhook":    {"", 0, "set ORDERWATCH_SLACK_WEBHOOK_URL again, or another fallback" + restart},
	"no_connection": {"", 0, "check the way to slack.com from the workers: DNS, firewall, certificates, HTTPS_PROXY"},
	"no_answer":     {"", 0, "look at status.slack.com, and at the way to slack.com from the workers"},
}

const (
	defaultPenalty = 30 * time.Second // of a 429 that does not say for how long
	slowRetry      = 5 * time.Minute
	maxPenalty     = 24 * time.Hour // a larger Retry-After is taken for a mistake
)

// restart is what makes workers take a changed variable.
const restart = ", and restart the workers"

const (
	newToken       = "set ORDERWATCH_SLACK_TOKEN to the bot token (xoxb-…) of an app that is installed in the workspace" + restart
	administrators = "ask the workspace's administrators to admit the app"
)

// classRemedies are for the codes that have none of their own.
var classRemedies = map[Class]string{
	TokenRefused:   newToken,
	ChannelRefused: "check the channel, and /invite the app there",
	PayloadRefused: "please report what slack refuses: no message should be refused for its size or form",
	UnknownCode:    "look the code up in Slack's documentation of chat.postMessage",
	Ambiguous:      "look at status.slack.com",
}

// known returns the code as codes has it, which has restricted_action for restricted_action_read_only_channel.
func known(code string) string {
	for _, kind := range []string{"restricted_action", "metadata"} {
		if strings.HasPrefix(code, kind+"_") {
			return kind
		}
	}
	return code
}

// Remedy says what people can do about the error; empty where nobody can do anything but wait.
func (e *Error) Remedy() string {
	return cmp.Or(codes[known(e.Code)].remedy, classRemedies[e.Class])
}
