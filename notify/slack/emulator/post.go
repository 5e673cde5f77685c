package emulator

import (
	"cmp"
	"encoding/json"
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

// admit reads a bot's call, and answers it where it meets a fault, cannot be read, or its token may
// not write. keep is what a fault does that keeps the message all the same.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, keep func(Message) Message) (m Message, ok bool) {
	token, m, err := readPost(r)
	m.by = token
	fault := s.nextFault(strings.TrimPrefix(r.URL.Path, "/api/"))
	if !wait(r, fault.Delay) {
		return m, false
	}
	if fault.answers() {
		s.faulted(fault, m, err, keep)
		fault.answer(w, r)
		return m, false
	}
	if err != nil {
		refuse(w, "invalid_arguments", err.Error())
		return m, false
	}
	if code := s.authorize(token, "chat:write"); code != "" {
		refuse(w, code)
		return m, false
	}
	return m, true
}

// postMessage serves chat.postMessage.
func (s *Server) postMessage(w http.ResponseWriter, r *http.Request) {
	m, ok := s.admit(w, r, s.accept)
	if !ok {
		return
	}
	m.TS = "" // it is the server's to give
	if wait := s.limit(m.Channel); wait > 0 {
		tooMany(w, wait)
		return
	}
	if v := s.check(m); v != nil {
		refuse(w, v[0].Code, pointers(v)...)
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
	_, m, err := readPost(r)
	fault := s.nextFault("webhook")
	if !wait(r, fault.Delay) {
		return
	}
	s.mu.Lock()
	m.TS, m.Channel, m.by = "", s.webhooks[r.URL.Path], r.URL.Path
	s.mu.Unlock()
	if fault.answers() {
		s.faulted(fault, m, err, s.accept)
		fault.answer(w, r)
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
	if wait := s.limit(m.Channel); wait > 0 {
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
	token, _, _ := readPost(r)
	if s.meets(w, r, "auth.test", nil) {
		return
	}
	if code := s.authorize(token, ""); code != "" {
		refuse(w, code)
		return
	}
	s.mu.Lock()
	scopes := strings.Join(s.tokens[token], ",")
	s.mu.Unlock()
	w.Header().Set("X-OAuth-Scopes", scopes)
	write(w, map[string]any{"ok": true, "url": "https://example.slack.com/", "team": "Example", "user": "orderwatch", "team_id": "T0EXAMPLE", "user_id": "U0EXAMPLE", "bot_id": "B0EXAMPLE"})
}

// faulted does what a fault does beside its answer: it has the message kept, or begins a penalty. A call
// that was made too soon is counted all the same.
func (s *Server) faulted(f Fault, m Message, err error, keep func(Message) Message) {
	s.penalty429(m.Channel)
	if f.Accept && err == nil && s.check(m) == nil {
		keep(m)
	}
	if seconds, _ := strconv.Atoi(f.Header.Get("Retry-After")); f.Status == http.StatusTooManyRequests && seconds > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c := s.channels[m.Channel]; c != nil {
			c.until = s.options.Now().Add(time.Duration(seconds) * time.Second)
		}
	}
}

// readPost reads the token and the message of a form-encoded or JSON request.
func readPost(r *http.Request) (token string, m Message, err error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxRequest)
	token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		return token, m, json.NewDecoder(r.Body).Decode(&m)
	}
	if err := r.ParseForm(); err != nil {
		return token, m, err
	}
	m = Message{Channel: r.PostForm.Get("channel"), TS: r.PostForm.Get("ts"), ThreadTS: r.PostForm.Get("thread_ts"), Text: r.PostForm.Get("text")}
	if blocks := r.PostForm.Get("blocks"); blocks != "" {
		m.Blocks = json.RawMessage(blocks)
	}
	if metadata := r.PostForm.Get("metadata"); metadata != "" {
		m.Metadata = json.RawMessage(metadata)
	}
	m.clientID, m.Broadcast = r.PostForm.Get("client_msg_id"), r.PostForm.Get("reply_broadcast") == "true"
	return cmp.Or(r.PostForm.Get("token"), token), m, nil
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

// limit returns how long the channel must be left alone; 0 takes its turn.
func (s *Server) limit(channelID string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[channelID]
	if c == nil {
		return 0
	}
	now := s.options.Now()
	if left := s.penalized(c, now); left > 0 {
		return left
	}
	if !s.options.RateLimit {
		return 0
	}
	if now.Before(c.free) {
		s.overRate++
		penalty := wholeSeconds(s.options.PostEvery)
		c.until = now.Add(penalty)
		return penalty
	}
	c.free = now.Add(s.options.PostEvery)
	return 0
}

// penalized returns how long a 429 still holds, and counts the call where it does. s.mu must be held.
func (s *Server) penalized(c *channel, now time.Time) time.Duration {
	if !now.Before(c.until) {
		return 0
	}
	s.penalty++
	return c.until.Sub(now)
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

// accept keeps the message where its channel exists.
func (s *Server) accept(m Message) Message {
	s.mu.Lock()
	c := s.channels[m.Channel]
	if c == nil {
		s.mu.Unlock()
		return m
	}
	m = s.keep(c, m)
	s.mu.Unlock()
	s.tell(m)
	return m
}

// wait waits, and reports false where the caller gave up first.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.Context().Done():
		return false
	case <-t.C:
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

func write(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(answer)
}
