package main

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/notify"
)

// slack looks at the way to tell people. It posts nothing.
func (d *doctor) slack(ctx context.Context) (f findings) {
	s := d.config.Slack
	switch {
	case d.isWrong("SLACK_"):
		return skipped("slack.token")
	case s.WebhookURL.IsSet():
		return webhookFindings(s.WebhookURL.Reveal())
	case !s.Token.IsSet():
		f.add(levelNote, "slack.token", "", "none is configured: summaries go to the workers' log",
			"Set ORDERWATCH_SLACK_TOKEN and ORDERWATCH_SLACK_CHANNEL to tell people.")
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, doctorSlack)
	defer cancel()
	channels := []string{s.Channel}
	for _, other := range s.ChannelsAllowed {
		if !slices.Contains(channels, other) {
			channels = append(channels, other)
		}
	}
	i, err := notify.Inspect(ctx, notify.Config{
		Token: s.Token.Reveal(), Channel: s.Channel, APIURL: s.APIURL, Mention: s.MentionOnFailure, Secrets: d.config.secrets(),
	}, channels...)
	if err != nil {
		f.add(levelProblem, "slack.token", "", err.Error(), "Mend the variable.")
		return f
	}
	if i.Refused != nil {
		return tokenFindings(i.Refused)
	}
	f.ok("slack.token", "", "is "+i.Bot+" in "+i.Team)
	f = append(f, scopeFindings(i)...)
	for _, c := range i.Channels {
		f = append(f, channelFinding(i, c, c.ID == s.Channel))
	}
	return f
}

// tokenFindings says why the token is of no use.
func tokenFindings(why *notify.PostError) (f findings) {
	if why.Class == notify.TokenRefused {
		f.add(levelProblem, "slack.token", "", "Slack refuses it: "+slackReason(why),
			"Check ORDERWATCH_SLACK_TOKEN: it is the bot token, xoxb-…, of an app that is installed in the workspace. Until then nobody is told.")
		return f
	}
	f.add(levelWarning, "slack.token", "", "Slack was not reached: "+slackReason(why),
		"Check the network, the proxy (HTTPS_PROXY) and ORDERWATCH_SLACK_API_URL. Summaries wait until it is.")
	return f
}

// slackReason is an error of Slack without what was to be done.
func slackReason(e *notify.PostError) string {
	if e.Detail == "" {
		return e.Code
	}
	return e.Code + ", " + e.Detail
}

// otherScopes are those that a worker can do without.
var otherScopes = []struct{ scope, what string }{
	{"channels:read", "lets doctor see public channels"},
	{"groups:read", "lets doctor see private channels"},
	{"channels:history", "settles whether a message was posted whose answer was lost; otherwise it may be doubled"},
	{"groups:history", "does so in private channels"},
	{"files:write", "attaches long lists of failures as a file"},
}

// scopeFindings compares the token's scopes with those that are needed.
func scopeFindings(i notify.Inspection) (f findings) {
	switch {
	case i.Scopes == nil:
		f.add(levelNote, "slack.scope", notify.ScopePost, "Slack does not say which scopes the token has",
			"Make sure of chat:write in the app's settings.")
		return f
	case !i.Has(notify.ScopePost):
		f.add(levelProblem, "slack.scope", notify.ScopePost, "the token lacks it: nothing can be posted",
			"Add the scope to the app, and install it again.")
	default:
		f.ok("slack.scope", notify.ScopePost, "the token has it")
	}
	for _, other := range otherScopes {
		if !i.Has(other.scope) {
			f.add(levelNote, "slack.scope", other.scope, "the token lacks it, and works without: it "+other.what, "")
		}
	}
	return f
}

// channelFinding says whether the bot can post in a channel. The default one takes what no other does.
func channelFinding(i notify.Inspection, c notify.Channel, isDefault bool) finding {
	bad, about := levelWarning, c.ID
	if isDefault {
		bad = levelProblem
	}
	if c.Name != "" {
		about += " #" + c.Name
	}
	f := finding{Check: "slack.channel", About: about, Level: bad}
	const where = " Messages for it are tried for an hour, and then go to the log alone."
	switch {
	case c.Err != nil && c.Err.Code == "missing_scope":
		f.Level, f.Found = levelNote, "cannot be seen: "+slackReason(c.Err)
		f.Do = "Make sure that the bot is a member: /invite it there."
	case c.Err != nil && c.Err.Class == notify.ChannelRefused:
		f.Found = "Slack refuses it: " + slackReason(c.Err)
		f.Do = "Check the ID, which is in the channel's details; a private channel is known to members alone: /invite the bot there." + where
	case c.Err != nil:
		f.Level, f.Found, f.Do = levelWarning, "was not looked at: "+slackReason(c.Err), "Try again."
	case c.Archived:
		f.Found, f.Do = "is archived", "Unarchive it, or name another channel."+where
	case !c.Member && (c.Private || !i.Has(notify.ScopePostPublic)):
		f.Found, f.Do = "the bot is not a member", "/invite it there."+where
	default:
		f.Level, f.Found = levelOK, "the bot may post there"
	}
	return f
}

// webhookFindings looks at a webhook's address, which is a secret: nothing more can be seen of it
// without a post.
func webhookFindings(address string) (f findings) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(u.Path, "/services/") || strings.Count(strings.Trim(u.Path, "/"), "/") < 3 {
		f.add(levelWarning, "slack.webhook", "", "its URL has not the form https://hooks.slack.com/services/T…/B…/…",
			"Copy it again from the app's page Incoming Webhooks.")
		return f
	}
	if u.Scheme != "https" || !strings.HasSuffix(u.Hostname(), ".slack.com") {
		f.add(levelNote, "slack.webhook", "", "its URL is not Slack's own", "")
		return f
	}
	f.ok("slack.webhook", "", "its URL has the right form; only a post would show more")
	return f
}
