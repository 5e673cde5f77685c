package slack

import (
	"cmp"
	"strings"
)

// restart is what makes workers take a changed variable.
const restart = ", and restart the workers"

// remedies say what people can do about an error of Slack, by its code.
var remedies = map[string]string{
	"not_authed":       newToken,
	"invalid_auth":     newToken,
	"account_inactive": newToken,
	"token_revoked":    newToken,
	"token_expired":    newToken,

	"missing_scope":          "give the Slack app the bot scope " + ScopePost + " and install it again; where that gives it another bot token, set ORDERWATCH_SLACK_TOKEN" + restart,
	"no_permission":          "let the app post in the workspace's settings, and give it the bot scope " + ScopePost,
	"not_allowed_token_type": "set ORDERWATCH_SLACK_TOKEN to the app's bot token, which begins with xoxb-" + restart,

	"access_denied":             administrators,
	"team_access_not_granted":   administrators,
	"ekm_access_denied":         administrators,
	"two_factor_setup_required": administrators,
	"org_login_required":        administrators,
	"team_added_to_org":         "wait: the workspace is being moved into an organization",
	"message_limit_exceeded":    "make room in the workspace, or ask its administrators for another plan",

	"channel_not_found":       "check the channel's ID; a private channel is known to its members alone: /invite the app there",
	"not_in_channel":          "/invite the app into the channel",
	"is_archived":             "unarchive the channel, or configure another",
	"restricted_action":       "let the app post in the channel's settings, or configure another channel",
	"messages_tab_disabled":   "turn on the Messages tab in the app's settings, or configure a channel",
	"cannot_reply_to_message": "look at the message in the channel: it takes no replies",

	"no_webhook": "set ORDERWATCH_SLACK_WEBHOOK_URL again, or another fallback" + restart,
	"status_403": "set ORDERWATCH_SLACK_WEBHOOK_URL to a new webhook, or ask the workspace's administrators to admit the app; or a proxy on the way refuses the call",
	"status_404": "check ORDERWATCH_SLACK_API_URL; a webhook that was deleted: make a new one and set ORDERWATCH_SLACK_WEBHOOK_URL" + restart,
	"status_407": "give the proxy's login in HTTPS_PROXY" + restart,
	"status_410": "unarchive the webhook's channel, or set ORDERWATCH_SLACK_WEBHOOK_URL to a webhook of another" + restart,

	"no_connection": "check the way to slack.com from the workers: DNS, firewall, certificates, HTTPS_PROXY",
	"no_answer":     "look at status.slack.com, and at the way to slack.com from the workers",
}

const (
	newToken       = "set ORDERWATCH_SLACK_TOKEN to the bot token (xoxb-…) of an app that is installed in the workspace" + restart
	administrators = "ask the workspace's administrators to admit the app"
)

// Remedy says what people can do about the error; empty where nobody can do anything but wait.
func (e *Error) Remedy() string {
	code := e.Code
	if strings.HasPrefix(code, "restricted_action_") {
		code = "restricted_action"
	}
	return cmp.Or(remedies[code], classRemedies[e.Class])
}

// classRemedies are for the codes that have none of their own.
var classRemedies = map[Class]string{
	TokenRefused:   newToken,
	ChannelRefused: "check the channel, and /invite the app there",
	PayloadRefused: "please report what slack refuses: no message should be refused for its size or form",
	UnknownCode:    "look the code up in Slack's documentation of chat.postMessage",
	Ambiguous:      "look at status.slack.com",
}
