package emulator

import (
	"fmt"
	"net/http"
	"slices"
)

// maxUpdateText bounds the text of an update, in bytes of UTF-8: chat.update refuses more, measured
// by others, where chat.postMessage cuts it.
const maxUpdateText = 4000

// update serves chat.update. As with Slack, what the call leaves out is gone: a text without
// blocks takes the message's blocks away.
func (s *Server) update(w http.ResponseWriter, r *http.Request) {
	m, err := readPost(r)
	if !s.admit(w, r, m, err, "chat:write", s.unlessWrong(m, err, s.edit)) {
		return
	}
	if wait := s.limit(m.Channel, false); wait > 0 {
		tooMany(w, wait)
		return
	}
	if v := s.checkUpdate(m); v != nil {
		refuseWrong(w, v)
		return
	}
	m = s.edit(m)
	s.tell(s.options.OnEdit, m)
	write(w, map[string]any{"ok": true, "channel": m.Channel, "ts": m.TS, "text": m.Text, "message": m})
}

// checkUpdate returns why the message cannot be updated so, nil where it can.
func (s *Server) checkUpdate(m Message) []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[m.Channel]
	old := c.find(m.TS)
	switch {
	case c == nil:
		return []Violation{{Code: "channel_not_found"}}
	case c.state == Archived:
		return []Violation{{Code: "is_archived"}}
	case old == nil:
		return []Violation{{Code: "message_not_found"}}
	case old.by != m.by:
		return []Violation{{Code: "cant_update_message"}}
	case len(m.Text) > maxUpdateText:
		return []Violation{{Code: "msg_too_long", Pointer: "/text", Problem: fmt.Sprintf("text has %d bytes, more than %d", len(m.Text), maxUpdateText)}}
	}
	return Check(m, SlackLimits)
}

// find returns the message with the ts, nil where there is none, or no channel.
func (c *channel) find(ts string) *Message {
	if c == nil {
		return nil
	}
	if i := slices.IndexFunc(c.messages, func(m Message) bool { return m.TS == ts }); i >= 0 {
		return &c.messages[i]
	}
	return nil
}

// edit gives a message its new text and blocks, where it is this caller's. It keeps its ts, its thread and its place.
func (s *Server) edit(m Message) Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.channels[m.Channel].find(m.TS)
	if old == nil || old.by != m.by {
		return m
	}
	old.Text, old.Blocks, old.Edited = m.Text, m.Blocks, true
	if m.Metadata != nil { // left out, it stays
		old.Metadata = m.Metadata
	}
	return *old
}

// deleteMessage serves chat.delete: of a message that the same token posted.
func (s *Server) deleteMessage(w http.ResponseWriter, r *http.Request) {
	m, err := readPost(r)
	if s.meetsChance(w, r, func() { s.takeAway(m) }) || !s.permits(w, m, err, "chat:write") {
		return
	}
	if code := s.takeAway(m); code != "" {
		refuse(w, code)
		return
	}
	write(w, map[string]any{"ok": true, "channel": m.Channel, "ts": m.TS})
}

// takeAway deletes the message that m names, or returns Slack's error code.
func (s *Server) takeAway(m Message) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[m.Channel]
	old := c.find(m.TS)
	switch {
	case c == nil:
		return "channel_not_found"
	case old == nil:
		return "message_not_found"
	case old.by != m.by:
		return "cant_delete_message"
	}
	c.messages = slices.DeleteFunc(c.messages, func(other Message) bool { return other.TS == m.TS })
	return ""
}
