package watcher

import (
	"context"
	"time"
)

// Undelivered is where messages are kept that could not be delivered to people. It must be safe for
// concurrent use.
type Undelivered interface {
	// Keep stores the message. A message may come again, with the same ID.
	Keep(context.Context, UndeliveredMessage) error
}

// An UndeliveredMessage is one that Slack finally refused: of a watch, or of an outage.
type UndeliveredMessage struct {
	// ID is the same whenever the same message is refused in the same channel.
	ID        string        `json:"-"`
	WatchID   string        `json:"watch_id,omitempty"`
	ProjectID string        `json:"project_id,omitempty"`
	OrderName string        `json:"order_name,omitempty"`
	Outcome   Outcome       `json:"outcome,omitempty"`
	Outage    string        `json:"outage,omitempty"` // in place of the four before
	Kind      AttentionKind `json:"kind,omitempty"`   // of the attention event, about the outage or the watch
	Channel   string        `json:"channel"`          // the ID; webhook for the webhook's own
	Text      string        `json:"text"`             // as people would have seen it, without secrets; cut where it is long
	Code      string        `json:"code"`             // Slack's
	Reason    string        `json:"reason"`
	ToldAt    time.Time     `json:"told_at"` // when what it tells of happened
	RefusedAt time.Time     `json:"refused_at"`
}
