package slack

import (
	"context"
	"net/url"
	"strconv"

	"github.com/slack-go/slack"
)

// A Post is one message as it is posted, or as it is to be after an edit.
type Post struct {
	Channel   string // its ID
	Thread    string // the ts of the message that it replies to; empty: it is no reply
	Edit      string // the ts of the message that it is to take the place of; empty: it is a new one
	Text      string // stands alone where there are no blocks, else for notifications
	Blocks    []slack.Block
	Mark      *Mark  // by which it is found in a history; nil: none
	ID        string // a UUID, the same for each try; Slack may leave out the second
	Broadcast bool   // a reply that the channel shows, too
}

// A Mark is the metadata by which a message is found again.
type Mark struct {
	Message    string // which message
	Part       int    // which part of it
	Generation int    // how often it was posted anew on purpose
}

// markType is the type of the metadata of every message that is posted.
const markType = "orderwatch_message"

func (m Mark) metadata() slack.SlackMetadata {
	return slack.SlackMetadata{EventType: markType, EventPayload: map[string]any{
		"message": m.Message, "part": strconv.Itoa(m.Part), "generation": strconv.Itoa(m.Generation),
	}}
}

// markOf returns the mark of a message, nil where it has none.
func markOf(m slack.SlackMetadata) *Mark {
	if m.EventType != markType {
		return nil
	}
	text := func(name string) string { s, _ := m.EventPayload[name].(string); return s }
	part, partErr := strconv.Atoi(text("part"))
	generation, generationErr := strconv.Atoi(text("generation"))
	if partErr != nil || generationErr != nil {
		return nil
	}
	return &Mark{text("message"), part, generation}
}

// Post posts or edits a message, and returns its ts. Links in it are not unfurled.
func (c *Client) Post(ctx context.Context, p Post) (ts string, err error) {
	options := []slack.MsgOption{
		slack.MsgOptionText(p.Text, false), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
	if p.Blocks != nil || p.Edit != "" { // no block takes away those that a message had
		options = append(options, slack.MsgOptionBlocks(p.Blocks...))
	}
	if p.Mark != nil {
		options = append(options, slack.MsgOptionMetadata(p.Mark.metadata()))
	}
	switch {
	case p.Edit != "":
		options = append(options, slack.MsgOptionUpdate(p.Edit))
	case p.Thread != "":
		options = append(options, slack.MsgOptionTS(p.Thread))
	}
	if p.Broadcast {
		options = append(options, slack.MsgOptionBroadcast())
	}
	if p.Edit == "" {
		options = append(options, slack.UnsafeMsgOptionEndpoint(c.url+"chat.postMessage", func(v url.Values) { v.Set("client_msg_id", p.ID) }))
	}
	_, ts, _, err = c.api.SendMessageContext(ctx, p.Channel, options...)
	if err == nil && ts == "" {
		err = ErrNoTimestamp
	}
	return ts, classified(err)
}
