package doctor

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/notify/slack"
)

// slack looks at the way to tell people. It posts nothing.
func (x *exam) slack(ctx context.Context) {
	s := x.Config.Slack
	switch {
	case x.isWrong("SLACK_"):
		x.skip("slack.token")
		return
	case s.Token.IsSet():
		x.token(ctx, s)
	case !s.WebhookURL.IsSet():
		x.add(levelNote, "slack.token", "", "none is configured: summaries go to the workers' log",
			"Set ORDERWATCH_SLACK_TOKEN and ORDERWATCH_SLACK_CHANNEL to tell people.")
		return
	}
	if s.WebhookURL.IsSet() {
		x.webhook(s.WebhookURL.Reveal())
	}
	if !s.Token.IsSet() && len(s.ChannelsAllowed) > 0 {
		x.add(levelNote, "slack.webhook", "", "posts into its own channel alone: what ORDERWATCH_SLACK_CHANNELS_ALLOWED names is not used",
			"Give the workers a bot token, ORDERWATCH_SLACK_TOKEN, where requests choose a channel.")
	}
}

// token looks at the token, and at the channels with it.
func (x *exam) token(ctx context.Context, s config.Slack) {
	ctx, cancel := context.WithTimeout(ctx, slackTime)
	defer cancel()
	client, err := slack.New(slack.Config{Token: s.Token.Reveal(), APIURL: s.APIURL})
	if err != nil {
		x.add(levelProblem, "slack.token", "", err.Error(), "Mend the variable.")
		return
	}
	uses := s.Channels()
	i := client.Inspect(ctx, config.ChannelIDs(uses)...)
	switch why := i.Refused; {
	case why == nil:
		x.ok("slack.token", "", "is "+i.Bot+" in "+i.Team)
		x.scopes(i)
		for n, c := range i.Channels {
			x.channel(i, c, uses[n])
		}
	case why.Class == slack.TokenRefused:
		x.add(levelProblem, "slack.token", "", "Slack refuses it: "+slackReason(why), sentence(why.Remedy())+" Until then nobody is told.")
	default:
		x.add(levelWarning, "slack.token", "", "Slack was not reached: "+slackReason(why),
			sentence(why.Remedy())+" ORDERWATCH_SLACK_API_URL may be wrong, too. Summaries wait until Slack is reached.")
	}
}

// sentence makes one of what errors say is to be done.
func sentence(do string) string {
	if do == "" {
		return ""
	}
	return strings.ToUpper(do[:1]) + do[1:] + "."
}

// slackReason is an error of Slack without what was to be done.
func slackReason(e *slack.Error) string {
	if e.Detail == "" {
		return e.Code
	}
	return e.Code + ", " + e.Detail
}

// otherScopes are those that a worker can do without.
var otherScopes = []struct{ scope, without string }{
	{"channels:read", "doctor and the workers cannot see whether the bot may post in public channels"},
	{"groups:read", "doctor and the workers cannot see whether the bot may post in private channels"},
	{slack.ScopeHistoryPublic, "a message whose answer was lost cannot be looked for, and may be doubled"},
	{slack.ScopeHistoryPrivate, "the same in private channels"},
	{slack.ScopeFiles, "long lists of failures are not attached as a file"},
}

func (x *exam) scopes(i slack.Inspection) {
	if i.Scopes == nil {
		x.unseen("slack.scope", slack.ScopePost, "Slack does not say which scopes the token has", "Make sure of chat:write in the app's settings.")
		return
	}
	const addScope = "Add the scope to the app, and install it again."
	if i.Has(slack.ScopePost) {
		x.ok("slack.scope", slack.ScopePost, "the token has it")
	} else {
		x.add(levelProblem, "slack.scope", slack.ScopePost, "the token lacks it: nothing can be posted", addScope)
	}
	for _, other := range otherScopes {
		if i.Has(other.scope) {
			continue
		}
		level := levelNote
		if other.scope != slack.ScopeFiles && slices.Contains(i.Lacks(), other.scope) {
			level = levelWarning
		}
		x.add(level, "slack.scope", other.scope, "the token lacks it: "+other.without, addScope)
	}
}

// channel says whether the bot can post in a channel. The main one takes what no other does.
func (x *exam) channel(i slack.Inspection, c slack.Channel, use config.SlackChannel) {
	about, level := c.ID, levelWarning
	if c.Name != "" {
		about += " #" + c.Name
	}
	if use.Default {
		level = levelProblem
	}
	then := " Messages for it are tried every 5 minutes until an hour after what they tell of; then the next channel gets them, or, where there is none, an event on orders.undelivered.slack."
	if e := i.Refuses(c); e != nil && e.Lasts() {
		then = " Failures go to the next channel at once; where there is none, and for all else, it is tried every 5 minutes until an hour after what they tell of."
	}
	switch e := i.Refuses(c); {
	case e != nil:
		x.add(level, "slack.channel", about, "Slack refuses it: "+slackReason(e), sentence(e.Remedy()+" ("+use.Why+")")+then)
	case c.Err != nil && c.Err.Code == "missing_scope":
		x.unseen("slack.channel", about, "cannot be seen: "+slackReason(c.Err),
			"Make sure that the bot is a member: /invite it there; or give the app the scope.")
	case c.Err != nil:
		x.add(levelWarning, "slack.channel", about, "was not looked at: "+slackReason(c.Err), "Try again.")
	default:
		x.ok("slack.channel", about, "the bot may post there")
	}
}

// webhook looks at a webhook's address, which is a secret: nothing more can be seen of it without a post.
func (x *exam) webhook(address string) {
	switch u, err := url.Parse(address); {
	case err != nil || !strings.HasPrefix(u.Path, "/services/") || strings.Count(strings.Trim(u.Path, "/"), "/") < 3:
		x.add(levelWarning, "slack.webhook", "", "its URL has not the form https://hooks.slack.com/services/T…/B…/…",
			"Copy it again from the app's page Incoming Webhooks.")
	case u.Scheme != "https" || !strings.HasSuffix(u.Hostname(), ".slack.com"):
		x.add(levelNote, "slack.webhook", "", "its URL is not Slack's own", "")
	default:
		x.ok("slack.webhook", "", "its URL has the right form; only a post would show more")
	}
}
