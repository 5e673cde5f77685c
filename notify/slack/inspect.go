package slack

import (
	"context"
	"slices"
	"strings"

	"github.com/slack-go/slack"
)

// An Inspection is what Slack says of a token and of channels. Names are Slack's texts: untrusted.
type Inspection struct {
	Refused  *Error    // why the token is not accepted, or Slack was not asked; nil where it is
	Team     string    // the workspace
	Bot      string    // as whom messages are posted
	Scopes   []string  // of the token; nil where Slack does not say
	Channels []Channel // in the order in which they were asked for
}

// A Channel is what Slack says of one channel.
type Channel struct {
	ID       string
	Err      *Error // why nothing is known of it; missing_scope: the token may not look
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
func (i Inspection) Refuses(c Channel) *Error {
	switch {
	case c.Err != nil && c.Err.Class == ChannelRefused:
		return c.Err
	case c.Err != nil:
		return nil
	case c.Archived:
		return &Error{Class: ChannelRefused, Code: "is_archived"}
	case !c.Member && (c.Private || !i.Has(ScopePostPublic)):
		return &Error{Class: ChannelRefused, Code: "not_in_channel"}
	}
	return nil
}

// Lacks returns the scopes without which messages in these channels may be doubled, or lack their files;
// nil where Slack does not say which ones the token has.
func (i Inspection) Lacks() (missing []string) {
	if i.Scopes == nil {
		return nil
	}
	missing = []string{ScopeFiles}
	for _, c := range i.Channels {
		if c.Private || strings.HasPrefix(c.ID, "G") {
			missing = append(missing, ScopeHistoryPrivate)
		} else {
			missing = append(missing, ScopeHistoryPublic)
		}
	}
	slices.Sort(missing)
	return slices.DeleteFunc(slices.Compact(missing), i.Has)
}

// Scopes returns the token's scopes, nil where Slack does not say.
func (c *Client) Scopes(ctx context.Context) ([]string, error) {
	answer, err := c.api.AuthTestContext(ctx)
	if err != nil {
		return nil, Classify(err)
	}
	return scopes(answer), nil
}

// Inspect asks Slack about the token and the channels. It posts nothing.
func (c *Client) Inspect(ctx context.Context, channels ...string) Inspection {
	answer, err := c.api.AuthTestContext(ctx)
	if err == nil && answer.UserID == "" { // {} or {"ok":false}
		err = &Error{Class: Ambiguous, Code: "no_answer", Detail: "the answer names nobody"}
	}
	if err != nil {
		return Inspection{Refused: Classify(err)}
	}
	i := Inspection{Team: answer.Team, Bot: answer.User, Scopes: scopes(answer)}
	var limited *Error // Slack wants to be left alone
	for _, id := range channels {
		found := Channel{ID: id, Err: limited}
		if limited == nil {
			found = c.inspectChannel(ctx, id)
		}
		if found.Err != nil && found.Err.Class == NotAccepted && found.Err.RetryAfter > 0 {
			limited = found.Err
		}
		i.Channels = append(i.Channels, found)
	}
	return i
}

func (c *Client) inspectChannel(ctx context.Context, id string) Channel {
	found, err := c.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id})
	if err == nil && found.ID == "" { // {} or {"ok":false}
		err = &Error{Class: Ambiguous, Code: "no_answer", Detail: "the answer names no channel"}
	}
	if err != nil {
		return Channel{ID: id, Err: Classify(err)}
	}
	return Channel{ID: id, Name: found.Name, Private: found.IsPrivate, Archived: found.IsArchived, Member: found.IsMember || found.IsIM || found.IsMpIM}
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
