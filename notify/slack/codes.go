package slack

import (
	"cmp"
	"slices"
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
	"accesslimited":             {TokenRefused, 0, "let the workers call from a network that the workspace admits"},
	"enterprise_is_restricted":  {TokenRefused, 0, administrators},
	"deprecated_endpoint":       {TokenRefused, 0, newRelease},
	"method_deprecated":         {TokenRefused, 0, newRelease},
	"access_denied":             {TokenRefused, 0, administrators},
	"team_access_not_granted":   {TokenRefused, 0, administrators},
	"ekm_access_denied":         {TokenRefused, 0, administrators},
	"two_factor_setup_required": {TokenRefused, 0, administrators},

	"channel_not_found":                        {ChannelRefused, 0, "check the channel's ID; a private channel is known to its members alone: /invite the app there"},
	"not_in_channel":                           {ChannelRefused, 0, "/invite the app into the channel"},
	"is_archived":                              {ChannelRefused, 0, "unarchive the channel, or configure another"},
	"restricted_action":                        {ChannelRefused, 0, "let the app post in the channel's settings, or configure another channel"}, // and restricted_action_…
	"restricted_action_thread_locked":          {ChannelRefused, 0, "unlock the thread"},
	"restricted_action_non_threadable_channel": {ChannelRefused, 0, "let the channel have threads, or configure another"},
	"cant_broadcast_message":                   {ChannelRefused, 0, ""},
	"thread_not_found":                         {ChannelRefused, 0, "look at the message in the channel: it was perhaps deleted"},
	"messages_tab_disabled":                    {ChannelRefused, 0, "turn on the Messages tab in the app's settings, or configure a channel"},
	"cannot_reply_to_message":                  {ChannelRefused, 0, "look at the message in the channel: it takes no replies"},

	// Of channels that are shared with another workspace. Other codes that begin with slack_connect_ say what the
	// message shows that may not be shared.
	"external_channel_migrating": {ChannelRefused, 0, "wait: the shared channel is being moved"},
	"team_not_found":             {ChannelRefused, 0, "look whether the channel is still shared with the workspace"},
	"slack_connect":              {PayloadRefused, 0, ""}, // slack_connect_…

	"invalid_blocks":         {PayloadRefused, 0, ""},
	"invalid_blocks_format":  {PayloadRefused, 0, ""},
	"msg_blocks_too_long":    {PayloadRefused, 0, ""},
	"msg_too_long":           {PayloadRefused, 0, ""},
	"no_text":                {PayloadRefused, 0, ""},
	"invalid_attachments":    {PayloadRefused, 0, ""},
	"invalid_arguments":      {PayloadRefused, 0, ""},
	"metadata":               {PayloadRefused, 0, ""}, // metadata_…, invalid_metadata_…
	"too_many_attachments":   {PayloadRefused, 0, ""},
	"markdown_text_conflict": {PayloadRefused, 0, ""},
	"as_user_not_supported":  {PayloadRefused, 0, ""},
	"invalid_arg_name":       {PayloadRefused, 0, ""},
	"invalid_array_arg":      {PayloadRefused, 0, ""},
	"invalid_charset":        {PayloadRefused, 0, ""},
	"invalid_form_data":      {PayloadRefused, 0, ""},
	"invalid_post_type":      {PayloadRefused, 0, ""},
	"missing_post_type":      {PayloadRefused, 0, ""},

	"message_not_found":        {EditRefused, 0, ""},
	"cant_update_message":      {EditRefused, 0, ""},
	"edit_window_closed":       {EditRefused, 0, ""},
	"is_inactive":              {EditRefused, 0, ""},
	"block_mismatch":           {EditRefused, 0, ""},
	"streaming_state_conflict": {EditRefused, 0, ""},
	"update_failed":            {Ambiguous, 0, ""},

	// The texts of webhooks, which come with a status that says less.
	"invalid_payload":                   {PayloadRefused, 0, ""},
	"invalid_token":                     {TokenRefused, 0, newWebhook},
	"no_service":                        {TokenRefused, 0, newWebhook},
	"no_service_id":                     {TokenRefused, 0, newWebhook},
	"no_active_hooks":                   {TokenRefused, 0, newWebhook},
	"no_team":                           {TokenRefused, 0, newWebhook},
	"team_disabled":                     {TokenRefused, 0, newWebhook},
	"action_prohibited":                 {TokenRefused, 0, administrators},
	"posting_to_general_channel_denied": {ChannelRefused, 0, "make a webhook for another channel and set ORDERWATCH_SLACK_WEBHOOK_URL" + restart},
	"user_not_found":                    {ChannelRefused, 0, newWebhook},
	"channel_is_archived":               {ChannelRefused, 0, unarchiveWebhook},
	"rollup_error":                      {Ambiguous, 0, ""},

	// The answers other than 200 whose body says nothing: mostly of what stands between here and Slack. A redirect, which
	// is not followed, is one of the token's. Every 5xx, and what is 2xx and not 200, is ambiguous.
	"status_400": {PayloadRefused, 0, ""}, // invalid_payload, no_text
	"status_401": {TokenRefused, 0, ""},
	"status_403": {TokenRefused, 0, "set ORDERWATCH_SLACK_WEBHOOK_URL to a new webhook, or ask the workspace's administrators to admit the app; or a proxy on the way refuses the call"}, // action_prohibited, invalid_token
	"status_404": {TokenRefused, 0, "check ORDERWATCH_SLACK_API_URL; a webhook that was deleted: make a new one and set ORDERWATCH_SLACK_WEBHOOK_URL" + restart},                         // no_service, no_team; a wrong API URL
	"status_407": {TokenRefused, 0, "give the proxy's login in HTTPS_PROXY" + restart},
	"status_408": {NotAccepted, 0, ""},
	"status_410": {ChannelRefused, 0, unarchiveWebhook}, // channel_is_archived
	"status_413": {PayloadRefused, 0, ""},
	"status_425": {NotAccepted, 0, ""},
	"status_429": {NotAccepted, defaultPenalty, ""},

	"redirect": {TokenRefused, 0, "check ORDERWATCH_SLACK_API_URL and ORDERWATCH_SLACK_WEBHOOK_URL" + restart + "; or a proxy on the way wants a login"},
	"no_ok":    {ChannelRefused, 0, "check ORDERWATCH_SLACK_WEBHOOK_URL: what answers there does not say ok, as Slack does; or a proxy on the way wants a login"},

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
	newWebhook     = "make a new webhook and set ORDERWATCH_SLACK_WEBHOOK_URL" + restart
	newRelease     = "install a later release of orderwatch"
	administrators = "ask the workspace's administrators to admit the app"

	unarchiveWebhook = "unarchive the webhook's channel, or set ORDERWATCH_SLACK_WEBHOOK_URL to a webhook of another" + restart
)

// lasting are refusals that nobody expects to end while a message waits.
var lasting = []string{
	"is_archived", "channel_is_archived", "status_410", "channel_not_found", "user_not_found", "team_not_found", "no_webhook",
	"cannot_reply_to_message", "thread_not_found", "cant_broadcast_message", "restricted_action_thread_locked", "restricted_action_non_threadable_channel",
}

// Lasts reports whether nobody expects the refusal to end while a message waits: the channel is archived or unknown,
// or takes no replies.
func (e *Error) Lasts() bool { return slices.Contains(lasting, e.Code) }

// OfMetadata reports whether the message may pass without its [Mark].
func (e *Error) OfMetadata() bool { return known(e.Code) == "metadata" }

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
	if _, ok := codes[code]; ok {
		return code
	}
	for _, kind := range []string{"restricted_action", "metadata", "slack_connect"} {
		if strings.HasPrefix(strings.TrimPrefix(code, "invalid_"), kind+"_") {
			return kind
		}
	}
	return code
}

// isKnown reports whether the code is one of codes.
func isKnown(code string) bool { return codes[known(code)].class != "" }

// Remedy says what people can do about the error; empty where nobody can do anything but wait.
func (e *Error) Remedy() string {
	if strings.HasPrefix(e.Code, "status_3") {
		return codes["redirect"].remedy
	}
	return cmp.Or(codes[known(e.Code)].remedy, classRemedies[e.Class])
}
