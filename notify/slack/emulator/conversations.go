package emulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxPage is the most messages on one page of a history.
const maxPage = 1000

// history serves conversations.history, the channel's messages, newest first, without the replies of threads; or
// conversations.replies, a thread's root and its replies, oldest first. Both answer with a page at a time.
func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	if s.meetsChance(w, r, nil) {
		return
	}
	asked, err := readPost(r)
	ask := r.PostForm
	scope := "channels:history"
	if strings.HasPrefix(asked.Channel, "G") {
		scope = "groups:history"
	}
	if !s.permits(w, asked, err, scope) {
		return
	}
	switch state, ok := s.state(asked.Channel); {
	case !ok:
		refuse(w, "channel_not_found")
		return
	case state == NotMember:
		refuse(w, "not_in_channel")
		return
	}
	replies := method(r) == "conversations.replies"
	var found []Message
	for _, m := range s.shown(asked.Channel) {
		wanted := m.ThreadTS == ""
		if replies {
			wanted = m.TS == asked.TS || m.ThreadTS == asked.TS
		}
		if wanted && within(m.TS, ask.Get("oldest"), ask.Get("latest")) {
			if ask.Get("include_all_metadata") == "" {
				m.Metadata = nil
			}
			found = append(found, m)
		}
	}
	if !replies {
		slices.Reverse(found)
	} else if !slices.ContainsFunc(s.Messages(asked.Channel), func(m Message) bool { return m.TS == asked.TS }) { // shown or not
		refuse(w, "thread_not_found")
		return
	}
	begin, _ := strconv.Atoi(ask.Get("cursor")) // this server's cursors are numbers
	limit, err := strconv.Atoi(ask.Get("limit"))
	if err != nil || limit < 1 || limit > maxPage {
		limit = 100
	}
	begin = min(max(begin, 0), len(found))
	end := min(begin+limit, len(found))
	next := ""
	if end < len(found) {
		next = strconv.Itoa(end)
	}
	write(w, map[string]any{"ok": true, "messages": found[begin:end], "has_more": next != "", "response_metadata": map[string]any{"next_cursor": next}})
}

// shown returns the channel's messages that its history shows already.
func (s *Server) shown(channelID string) []Message {
	now := s.options.Now()
	return slices.DeleteFunc(s.Messages(channelID), func(m Message) bool { return now.Sub(m.at) < s.options.HistoryLag })
}

// within reports whether the timestamp is between the others, each of which may be empty.
func within(ts, oldest, latest string) bool {
	return (oldest == "" || after(ts, oldest)) && (latest == "" || after(latest, ts))
}

// after reports whether one timestamp is later than another.
func after(ts, than string) bool {
	a, _ := strconv.ParseFloat(ts, 64)
	b, _ := strconv.ParseFloat(than, 64)
	return a > b
}

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
		"is_archived": state == Archived, "is_member": state == Open || state == Locked,
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
