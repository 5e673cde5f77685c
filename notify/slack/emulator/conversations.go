package emulator

import (
	"net/http"
	"strings"
)

// conversationsInfo serves conversations.info. Which scope is needed depends on the channel's kind, and
// channels of this server are public, but for those whose ID begins with G.
func (s *Server) conversationsInfo(w http.ResponseWriter, r *http.Request) {
	m, _ := readPost(r)
	if s.meetsChance(w, r, nil) {
		return
	}
	scope, private := "channels:read", strings.HasPrefix(m.Channel, "G")
	if private {
		scope = "groups:read"
	}
	if code := s.authorize(m.by, scope); code != "" {
		answer := map[string]any{"ok": false, "error": code}
		if code == "missing_scope" {
			answer["needed"] = scope
		}
		write(w, answer)
		return
	}
	state, ok := s.state(m.Channel)
	if !ok {
		refuse(w, "channel_not_found")
		return
	}
	write(w, map[string]any{"ok": true, "channel": map[string]any{
		"id": m.Channel, "name": "channel-of-" + m.Channel, "is_channel": !private, "is_private": private,
		"is_archived": state == Archived, "is_member": state == Open,
	}})
}

// state returns the state of a channel, false where there is none.
func (s *Server) state(id string) (ChannelState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[id]
	if c == nil {
		return 0, false
	}
	return c.state, true
}
