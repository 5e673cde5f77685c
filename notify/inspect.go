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

// Inspect asks Slack about the token and the channels. It posts nothing, and needs no Notes. The error says
// what is wrong with the settings. With a webhook there is nothing to ask, and the Inspection is empty.
func Inspect(ctx context.Context, c Config, channels ...string) (Inspection, error) {
	c.Notes = struct{ watcher.Notes }{} // which only posts use
	s, err := NewSlack(slog.New(slog.DiscardHandler), c)
	if err != nil || c.Token == "" {
		return Inspection{}, err
	}
	answer, err := s.api.AuthTestContext(ctx)
	if err == nil && answer.UserID == "" { // {} or {"ok":false}
		err = &PostError{Class: Ambiguous, Code: "no_answer", Detail: "the answer names nobody"}
	}
	if err != nil {
		return Inspection{Refused: Classify(err)}, nil
	}
	i := Inspection{Team: answer.Team, Bot: answer.User, Scopes: scopes(answer)}
	for _, id := range channels {
		i.Channels = append(i.Channels, s.inspectChannel(ctx, id))
	}
	return i, nil
}

func (s *Slack) inspectChannel(ctx context.Context, id string) Channel {
	c, err := s.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id})
	if err == nil && c.ID == "" { // {} or {"ok":false}
		err = &PostError{Class: Ambiguous, Code: "no_answer", Detail: "the answer names no channel"}
	}
	if err != nil {
		return Channel{ID: id, Err: Classify(err)}
	}
	return Channel{ID: id, Name: c.Name, Private: c.IsPrivate, Archived: c.IsArchived, Member: c.IsMember}
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
