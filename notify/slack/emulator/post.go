package emulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRequest bounds the body of a request, in bytes.
const maxRequest = 1 << 20

// admit answers a bot's call that meets a fault, cannot be read, or whose token has not the scope, and reports whether
// none of these is so. keep is what a fault does that accepts the call all the same.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, m Message, err error, scope string, keep func()) bool {
	return !s.meets(s.nextFault(method(r), true), w, r, m.Channel, keep) && s.permits(w, m, err, scope)
}

// permits answers a call that cannot be read, or whose token has not the scope, and reports whether neither is so.
func (s *Server) permits(w http.ResponseWriter, m Message, err error, scope string) bool {
	if err != nil {
		refuse(w, "invalid_arguments", err.Error())
		return false
	}
	if code := s.authorize(m.by, scope); code != "" {
		refuse(w, code)
		return false
	}
	return true
}

// unlessWrong returns what keeps a message where nothing is wrong with it, whatever its caller is told.
func (s *Server) unlessWrong(m Message, err error, keep func(Message) Message) func() {
	return func() {
		if err == nil && s.check(m) == nil {
			keep(m)
		}
	}
}

// postMessage serves chat.postMessage.
func (s *Server) postMessage(w http.ResponseWriter, r *http.Request) {
	m, err := readPost(r)
	if !s.admit(w, r, m, err, "chat:write", s.unlessWrong(m, err, s.accept)) {
		return
	}
	m.TS = "" // it is the server's to give
	if wait := s.limit(m.Channel, true); wait > 0 {
		tooMany(w, wait)
		return
	}
	if v := s.check(m); v != nil {
		refuseWrong(w, v)
		return
	}
	if first, ok := s.twin(m); ok {
		if s.options.ClientIDs == Duplicate {
			refuse(w, "duplicate_message")
			return
		}
		write(w, map[string]any{"ok": true, "channel": first.Channel, "ts": first.TS, "message": first})
		return
	}
	m = s.accept(m)
	write(w, map[string]any{"ok": true, "channel": m.Channel, "ts": m.TS, "message": m})
}

// webhook serves incoming webhooks, which answer in plain text.
func (s *Server) webhook(w http.ResponseWriter, r *http.Request) {
	m, err := readPost(r)
	s.mu.Lock()
	m.TS, m.Channel, m.by = "", s.webhooks[r.URL.Path], r.URL.Path
	s.mu.Unlock()
	if s.meets(s.nextFault("webhook", true), w, r, m.Channel, s.unlessWrong(m, err, s.accept)) {
		return
	}
	if m.Channel == "" {
		http.Error(w, "no_service", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, "invalid_payload", http.StatusBadRequest)
		return
	}
	if wait := s.limit(m.Channel, true); wait > 0 {
		tooMany(w, wait)
		return
	}
	switch v := s.check(m); {
	case v == nil:
		s.accept(m)
		io.WriteString(w, "ok")
	case v[0].Code == "is_archived":
		http.Error(w, "channel_is_archived", http.StatusGone)
	default:
		http.Error(w, v[0].Code, http.StatusBadRequest)
	}
}

// authTest serves auth.test.
func (s *Server) authTest(w http.ResponseWriter, r *http.Request) {
	m, _ := readPost(r)
	if s.meetsChance(w, r, nil) || !s.permits(w, m, nil, "") {
		return
	}
	s.mu.Lock()
	scopes := strings.Join(s.tokens[m.by], ",")
	s.mu.Unlock()
	w.Header().Set("X-OAuth-Scopes", scopes)
	write(w, map[string]any{"ok": true, "url": "https://example.slack.com/", "team": "Example", "user": "orderwatch", "team_id": "T0EXAMPLE", "user_id": "U0EXAMPLE", "bot_id": "B0EXAMPLE"})
}

// readPost reads the message of a form-encoded or JSON request, which is by its token.
func readPost(r *http.Request) (m Message, err error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxRequest)
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		err = json.NewDecoder(r.Body).Decode(&m)
		m.by = bearer
		return m, err
	}
	if err := r.ParseForm(); err != nil {
		return Message{by: bearer}, err
	}
	form := r.PostForm.Get
	m = Message{
		Channel: form("channel"), TS: form("ts"), ThreadTS: form("thread_ts"), Text: form("text"), Broadcast: form("reply_broadcast") == "true",
		by: cmp.Or(form("token"), bearer), clientID: form("client_msg_id"),
	}
	if blocks := form("blocks"); blocks != "" {
		m.Blocks = json.RawMessage(blocks)
	}
	if metadata := form("metadata"); metadata != "" {
		m.Metadata = json.RawMessage(metadata)
	}
	return m, nil
}

// authorize returns Slack's error code where the token may not do this.
func (s *Server) authorize(token, scope string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	scopes, ok := s.tokens[token]
	switch {
	case token == "":
		return "not_authed"
	case s.revoked[token]:
		return "token_revoked"
	case !ok:
		return "invalid_auth"
	case scope != "" && !slices.Contains(scopes, scope):
		return "missing_scope"
	}
	return ""
}

// limit returns how long the channel must be left alone after a 429, and counts the call where it must. Where it
// need not, a post takes the channel's turn, or begins a penalty where it is too soon.
func (s *Server) limit(channelID string, post bool) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, now := s.channels[channelID], s.options.Now()
	switch {
	case c == nil:
	case now.Before(c.until):
		s.penalty.Add(1)
		return c.until.Sub(now)
	case !post || !s.options.RateLimit:
	case now.Before(c.free):
		s.overRate.Add(1)
		penalty := wholeSeconds(s.options.PostEvery)
		c.until = now.Add(penalty)
		return penalty
	default:
		c.free = now.Add(s.options.PostEvery)
	}
	return 0
}

// check returns why the message cannot be posted, nil where it can.
func (s *Server) check(m Message) []Violation {
	if v := s.checkPlace(m); v != nil {
		return v
	}
	if v := checkMetadata(m.Metadata); v != nil {
		return v
	}
	return Check(m, SlackLimits)
}

// checkPlace returns why nothing can be posted where the message is to stand, nil where it can.
func (s *Server) checkPlace(m Message) []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[m.Channel]
	switch {
	case c == nil:
		return []Violation{{Code: "channel_not_found"}}
	case c.state == Archived:
		return []Violation{{Code: "is_archived"}}
	case c.state == NotMember:
		return []Violation{{Code: "not_in_channel"}}
	case m.ThreadTS != "" && c.state == Locked:
		return []Violation{{Code: "restricted_action_thread_locked"}}
	case m.ThreadTS != "" && !slices.ContainsFunc(c.messages, func(root Message) bool { return root.TS == m.ThreadTS && root.ThreadTS == "" }):
		return []Violation{{Code: "cannot_reply_to_message"}}
	}
	return nil
}

// twin returns the message that was posted with the same client_msg_id, where that matters.
func (s *Server) twin(m Message) (Message, bool) {
	if m.clientID == "" || s.options.ClientIDs == Ignored {
		return m, false
	}
	for _, other := range s.Messages(m.Channel) {
		if other.clientID == m.clientID {
			return other, true
		}
	}
	return m, false
}

// wait waits, and reports false where the caller gave up first.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-r.Context().Done():
		return false
	case <-time.After(d):
		return true
	}
}

// wholeSeconds rounds up to what Retry-After can say.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

func tooMany(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wholeSeconds(d)/time.Second)))
	w.WriteHeader(http.StatusTooManyRequests)
	io.WriteString(w, `{"ok":false,"error":"ratelimited"}`)
}

func refuse(w http.ResponseWriter, code string, messages ...string) {
	answer := map[string]any{"ok": false, "error": code}
	if len(messages) > 0 {
		answer["response_metadata"] = map[string]any{"messages": messages}
	}
	write(w, answer)
}

// refuseWrong refuses a message for what is wrong with it.
func refuseWrong(w http.ResponseWriter, wrong []Violation) {
	var messages []string
	for _, v := range wrong {
		if v.Pointer != "" {
			messages = append(messages, fmt.Sprintf("[ERROR] %s [json-pointer:%s]", v.Problem, v.Pointer))
		}
	}
	refuse(w, wrong[0].Code, messages...)
}

func write(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(answer)
}
