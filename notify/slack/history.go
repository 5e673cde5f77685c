package slack

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/slack-go/slack"
)

// Scopes that a token needs to see in a channel what was posted there.
const (
	ScopeHistoryPublic  = "channels:history"
	ScopeHistoryPrivate = "groups:history"
)

// A Look says which messages are looked for.
type Look struct {
	Channel string    // its ID
	Thread  string    // the ts of the message whose replies are looked for; empty: the channel's own messages
	Since   time.Time // no message before; the replies of a thread are all looked at
	Until   time.Time // nor after
}

// A Found message stands in a channel.
type Found struct {
	TS    string
	Mark  *Mark // nil where it has none
	Files []File
}

// A File is one that a message shows.
type File struct{ ID, Name string }

// History returns the messages that the look is for, oldest first. A thread that is gone with its root has none.
func (c *Client) History(ctx context.Context, l Look) (found []Found, err error) {
	for cursor := ""; ; {
		var messages []slack.Message
		messages, cursor, err = c.page(ctx, l, cursor)
		if err != nil {
			return nil, Classify(err)
		}
		for _, m := range messages {
			f := Found{TS: m.Timestamp, Mark: markOf(m.Metadata)}
			for _, file := range m.Files {
				f.Files = append(f.Files, File{file.ID, file.Name})
			}
			found = append(found, f)
		}
		if cursor == "" {
			slices.SortFunc(found, func(a, b Found) int { return cmp.Or(cmp.Compare(len(a.TS), len(b.TS)), cmp.Compare(a.TS, b.TS)) })
			return found, nil
		}
	}
}

// page returns some messages of the channel, or of the thread, and where the next ones begin.
func (c *Client) page(ctx context.Context, l Look, cursor string) (messages []slack.Message, next string, err error) {
	const most = 50 // messages, of up to 100 KB each
	if l.Thread != "" {
		messages, _, next, err = c.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
			ChannelID: l.Channel, Timestamp: l.Thread, Cursor: cursor, Limit: most, IncludeAllMetadata: true,
		})
		switch {
		case err == nil && len(messages) == 0: // the root, at least, is there: this was no answer
			err = fmt.Errorf("read the message's thread: %w", ErrNoTimestamp)
		case err != nil && Classify(err).Code == "thread_not_found": // with its root it is gone
			return nil, "", nil
		}
		return messages, next, err
	}
	answer, err := c.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
		ChannelID: l.Channel, Cursor: cursor, Limit: most, IncludeAllMetadata: true,
		Oldest: strconv.FormatInt(l.Since.Unix(), 10), Latest: strconv.FormatInt(l.Until.Unix(), 10),
	})
	if err != nil {
		return nil, "", err
	}
	if !answer.Ok || answer.HasMore && answer.ResponseMetaData.NextCursor == "" { // {} and {"ok":false} are no errors to slack-go
		return nil, "", fmt.Errorf("read the channel's history: %w", ErrNoTimestamp)
	}
	return answer.Messages, answer.ResponseMetaData.NextCursor, nil
}

// Delete deletes a message of the bot's own; one that shows files goes with them. It stops at the first error.
func (c *Client) Delete(ctx context.Context, channel string, m Found) error {
	for _, f := range m.Files {
		if err := c.api.DeleteFileContext(ctx, f.ID); err != nil {
			return Classify(err)
		}
	}
	if len(m.Files) > 0 {
		return nil
	}
	_, _, err := c.api.DeleteMessageContext(ctx, channel, m.TS)
	return classified(err)
}
