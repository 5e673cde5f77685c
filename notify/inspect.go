package notify

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/orderwatch/orderwatch/watcher"
)

// An Inspection is what Slack says of a token and of channels. Names are Slack's texts: untrusted.
type Inspection struct {
	Refused  *PostError // why the token is not accepted, or Slack was not asked; nil where it is
	Team     string     // the workspace
	Bot      string     // as whom messages are posted
	Scopes   []string   // of the token; nil where Slack does not say
	Channels []Channel  // in the order in which they were asked for
}

// A Channel is what Slack says of one channel.
type Channel struct {
	ID       string
	Err      *PostError // why nothing is known of it; missing_scope: the token may not look
	Name     string
	Private  bool
	Archived bool
	Member   bool // the bot is
}

// Scopes of a token.
const (
	ScopePost       = "chat:write"
	ScopePostPublic = "chat:write.public" // without being a member
)

// Has reports whether the token has the scope.
func (i Inspection) Has(scope string) bool { return slices.Contains(i.Scopes, scope) }

// Refuses returns the error that a message for the channel would meet, as far as can be seen.
func (i Inspection) Refuses(c Channel) *PostError {
	switch {
	case c.Err != nil && c.Err.Class == ChannelRefused:
		return c.Err
	case c.Err != nil:
		return nil
	case c.Archived:
		return &PostError{Class: ChannelRefused, Code: "is_archived"}
	case !c.Member && (c.Private || !i.Has(ScopePostPublic)):
		return &PostError{Class: ChannelRefused, Code: "not_in_channel"}
	}
	return nil
}

// Lacks returns the scopes without which messages in these channels may be doubled, or lack their files;
// nil where Slack does not say which ones the token has.
func (i Inspection) Lacks() (missing []string) {
	if i.Scopes == nil {
		return nil
	}
	private := func(c Channel) bool { return c.Private || strings.HasPrefix(c.ID, "G") }
	public := func(c Channel) bool { return !private(c) }
	for scope, wanted := range map[string]bool{
		ScopeHistoryPublic:  slices.ContainsFunc(i.Channels, public),
		ScopeHistoryPrivate: slices.ContainsFunc(i.Channels, private),
		ScopeFiles:          true,
	} {
		if wanted && !i.Has(scope) {
			missing = append(missing, scope)
		}
	}
	slices.Sort(missing)
	return missing
}

// Inspect asks Slack about the token and the channels. It posts nothing, and needs no Notes. The error says
// what is wrong with the settings. With a webhook there is nothing to ask, and the Inspection is empty.
func Inspect(ctx context.Context, c Config, channels ...string) (Inspection, error) {
	c.Notes = struct{ watcher.Notes }{} // which only posts use
	s, err := NewSlack(slog.New(slog.DiscardHandler), c)
	if err != nil || c.Token == "" {
		return Inspection{}, err
	}
	return s.inspect(ctx, channels), nil
}

func (s *Slack) inspect(ctx context.Context, channels []string) Inspection {
	answer, err := s.api.AuthTestContext(ctx)
	if err == nil && answer.UserID == "" { // {} or {"ok":false}
		err = &PostError{Class: Ambiguous, Code: "no_answer", Detail: "the answer names nobody"}
	}
	if err != nil {
		return Inspection{Refused: Classify(err)}
	}
	i := Inspection{Team: answer.Team, Bot: answer.User, Scopes: scopes(answer)}
	var limited *PostError // Slack wants to be left alone
	for _, id := range channels {
		c := Channel{ID: id, Err: limited}
		if limited == nil {
			c = s.inspectChannel(ctx, id)
		}
		if c.Err != nil && c.Err.Class == NotAccepted && c.Err.RetryAfter > 0 {
			limited = c.Err
		}
		i.Channels = append(i.Channels, c)
	}
	return i
}

func (s *Slack) inspectChannel(ctx context.Context, id string) Channel {
	c, err := s.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id})
	if err == nil && c.ID == "" { // {} or {"ok":false}
		err = &PostError{Class: Ambiguous, Code: "no_answer", Detail: "the answer names no channel"}
	}
	if err != nil {
		return Channel{ID: id, Err: Classify(err)}
	}
	return Channel{ID: id, Name: c.Name, Private: c.IsPrivate, Archived: c.IsArchived, Member: c.IsMember || c.IsIM || c.IsMpIM}
}

// scopes returns the token's scopes, nil where the answer does not say.
func scopes(answer *slack.AuthTestResponse) []string {
	var all []string
	for scope := range strings.SplitSeq(answer.Header.Get("X-OAuth-Scopes"), ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			all = append(all, scope)
		}
	}
	return all
}
