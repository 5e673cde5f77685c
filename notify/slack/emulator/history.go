package emulator

import (
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
	if !s.meetsChance(w, r, nil) {
		s.page(w, r, func(m Message, _ string) bool { return m.ThreadTS == "" }, true)
	}
}

// conversationsReplies serves conversations.replies: a thread's root and its replies, oldest first.
func (s *Server) conversationsReplies(w http.ResponseWriter, r *http.Request) {
	if !s.meetsChance(w, r, nil) {
		s.page(w, r, func(m Message, root string) bool { return m.TS == root || m.ThreadTS == root }, false)
	}
}

// page answers with the messages of the channel that are wanted, a page at a time.
func (s *Server) page(w http.ResponseWriter, r *http.Request, wanted func(m Message, root string) bool, newestFirst bool) {
	m, err := readPost(r)
	ask := r.PostForm
	scope := "channels:history"
	if strings.HasPrefix(ask.Get("channel"), "G") {
		scope = "groups:history"
	}
	if !s.permits(w, m, err, scope) {
		return
	}
	switch state, ok := s.state(ask.Get("channel")); {
	case !ok:
		refuse(w, "channel_not_found")
		return
	case state == NotMember:
		refuse(w, "not_in_channel")
		return
	}
	var found []Message
	for _, m := range s.shown(ask.Get("channel")) {
		if wanted(m, ask.Get("ts")) && within(m.TS, ask) {
			if ask.Get("include_all_metadata") == "" {
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
