package emulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxPage is the most messages on one page of a history.
const maxPage = 1000

// conversationsHistory serves conversations.history: the channel's messages, newest first, without the
// replies of threads.
func (s *Server) conversationsHistory(w http.ResponseWriter, r *http.Request) {
	if !s.meets(w, r, "conversations.history", nil) {
		s.page(w, r, func(m Message, _ string) bool { return m.ThreadTS == "" }, true)
	}
}

// conversationsReplies serves conversations.replies: a thread's root and its replies, oldest first.
func (s *Server) conversationsReplies(w http.ResponseWriter, r *http.Request) {
	if !s.meets(w, r, "conversations.replies", nil) {
		s.page(w, r, func(m Message, root string) bool { return m.TS == root || m.ThreadTS == root }, false)
	}
}

// page answers with the messages of the channel that are wanted, a page at a time.
func (s *Server) page(w http.ResponseWriter, r *http.Request, wanted func(m Message, root string) bool, newestFirst bool) {
	token, _, err := readPost(r)
	if err != nil {
		refuse(w, "invalid_arguments", err.Error())
		return
	}
	ask := r.PostForm
	scope := "channels:history"
	if strings.HasPrefix(ask.Get("channel"), "G") {
		scope = "groups:history"
	}
	if code := s.mayRead(token, scope, ask.Get("channel")); code != "" {
		refuse(w, code)
		return
	}
	var found []Message
	for _, m := range s.shown(ask.Get("channel")) {
		if wanted(m, ask.Get("ts")) && within(m.TS, ask) {
			if m.Metadata == nil || ask.Get("include_all_metadata") == "" {
				m.Metadata = nil
			}
			found = append(found, m)
		}
	}
	if newestFirst {
		slices.Reverse(found)
	} else if !s.stands(ask.Get("channel"), ask.Get("ts")) {
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

// mayRead returns Slack's error code where the token may not read the channel.
func (s *Server) mayRead(token, scope, channelID string) string {
	if code := s.authorize(token, scope); code != "" {
		return code
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c := s.channels[channelID]; {
	case c == nil:
		return "channel_not_found"
	case c.state == NotMember:
		return "not_in_channel"
	}
	return ""
}

// shown returns the channel's messages that its history shows already.
func (s *Server) shown(channelID string) []Message {
	now := s.options.Now()
	return slices.DeleteFunc(s.Messages(channelID), func(m Message) bool { return now.Sub(m.at) < s.options.HistoryLag })
}

// stands reports whether there is such a message, whether or not the history shows it.
func (s *Server) stands(channelID, ts string) bool {
	return slices.ContainsFunc(s.Messages(channelID), func(m Message) bool { return m.TS == ts })
}

// within reports whether the timestamp is between those that are asked for.
func within(ts string, ask url.Values) bool {
	oldest, latest := ask.Get("oldest"), ask.Get("latest")
	return (oldest == "" || after(ts, oldest)) && (latest == "" || after(latest, ts))
}

// after reports whether one timestamp is later than another.
func after(ts, than string) bool {
	a, _ := strconv.ParseFloat(ts, 64)
	b, _ := strconv.ParseFloat(than, 64)
	return a > b
}

// deleteMessage serves chat.delete: of a message that the same token posted.
func (s *Server) deleteMessage(w http.ResponseWriter, r *http.Request) {
	token, m, err := readPost(r)
	if s.meets(w, r, "chat.delete", func() { s.takeAway(token, m) }) {
		return
	}
	if err != nil {
		refuse(w, "invalid_arguments", err.Error())
		return
	}
	if code := s.authorize(token, "chat:write"); code != "" {
		refuse(w, code)
		return
	}
	if code := s.takeAway(token, m); code != "" {
		refuse(w, code)
		return
	}
	write(w, map[string]any{"ok": true, "channel": m.Channel, "ts": m.TS})
}

// takeAway deletes the message that m names, or returns Slack's error code.
func (s *Server) takeAway(token string, m Message) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[m.Channel]
	if c == nil {
		return "channel_not_found"
	}
	old := c.find(m.TS)
	switch {
	case old == nil:
		return "message_not_found"
	case old.by != token:
		return "cant_delete_message"
	}
	c.messages = slices.DeleteFunc(c.messages, func(other Message) bool { return other.TS == m.TS })
	return ""
}

// checkMetadata returns what is wrong with a message's metadata, as Slack says it.
func checkMetadata(metadata json.RawMessage) []Violation {
	if metadata == nil {
		return nil
	}
	var m struct {
		EventType    string         `json:"event_type"`
		EventPayload map[string]any `json:"event_payload"`
	}
	if err := json.Unmarshal(metadata, &m); err != nil || m.EventType == "" || m.EventPayload == nil {
		return []Violation{{Code: "invalid_metadata_format", Pointer: "/metadata", Problem: "needs event_type and event_payload"}}
	}
	return nil
}
