// Package emulator is a stand-in for Slack: the few methods of its Web API that orderwatch uses,
// in memory, strict about Slack's limits, and able to fail in the ways Slack fails.
//
// It is no production server: it keeps every message for ever, checks no signatures, and knows
// nothing of people. Use it in tests and demonstrations, on a loopback address.
//
//	slack := emulator.New(emulator.Options{})
//	slack.AddToken("xoxb-test", "chat:write")
//	slack.AddChannel("C0ONCALL", emulator.Open)
//	server := httptest.NewServer(slack)
//	// the API's URL is server.URL + "/api/"
//
// It serves the methods that [New] lists, form-encoded, those of chat in JSON too; the token comes as a field or as
// Bearer. Webhooks made with AddWebhook are served as well.
//
// A message that breaks a limit of Slack's is refused as Slack does it: status 200, ok false, an
// error code, and JSON pointers to what is wrong. With Options.RateLimit every channel takes one post a second; an
// update takes no turn. One more is answered 429 with Retry-After, and counted ([Server.OverRate]); so is every call
// made before that time is over ([Server.PenaltyCalls]).
//
// The limits and errors are those of Slack's documentation; the size of a whole message is
// undocumented and was measured by others.
//
// Read emulator.go, then post.go (posts: who may, and when), update.go (edits and deletions), files.go (uploads),
// conversations.go (histories, and what a channel is), fault.go (what a call meets that fails), limits.go (which
// messages are refused) and render.go (a message as people see it).
package emulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Message is one message that was accepted.
type Message struct {
	Channel   string          `json:"channel,omitempty"`
	TS        string          `json:"ts,omitempty"`        // unique in its channel
	ThreadTS  string          `json:"thread_ts,omitempty"` // the root's TS in a thread's reply
	Text      string          `json:"text"`
	Blocks    json.RawMessage `json:"blocks,omitempty"` // a JSON array; nil without blocks
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	Files     []File          `json:"files,omitempty"`
	Broadcast bool            `json:"-"` // a reply that the channel shows, too
	Edited    bool            `json:"-"` // Text and Blocks are those of the last update

	by       string // the token, or the webhook's path, that posted it
	clientID string // its client_msg_id
	at       time.Time
}

// A ChannelState says whether the bot may post in a channel.
type ChannelState int

// The states. A channel that was never added answers channel_not_found.
const (
	Open ChannelState = iota
	Archived
	NotMember
	Locked // open, but takes no replies: as if each of its threads were locked
)

// Options are the knobs of a [Server]. The zero value is a patient Slack on the wall clock.
type Options struct {
	Now       func() time.Time // the clock of rates and ts; default time.Now
	RateLimit bool             // one post a second and channel; 429 beyond it
	PostEvery time.Duration    // that second, where time is compressed; Retry-After stays in whole seconds
	// Fault returns what a call of the method (chat.postMessage, upload, webhook, …) meets for which
	// there is no script. It is called by one caller at a time, and must not call the server.
	Fault func(method string) Fault
	// HistoryLag is how long after a post histories show it.
	HistoryLag time.Duration
	// ClientIDs says what becomes of a second post with the client_msg_id of another.
	ClientIDs ClientIDs
	OnPost    func(Message) // called after each accepted post, one at a time; for a live demonstration
	OnEdit    func(Message) // the same after each accepted update
}

// ClientIDs are the ways of Slack with client_msg_id, which it does not document.
type ClientIDs int

// The ways.
const (
	Ignored    ClientIDs = iota // it is posted again
	SameAnswer                  // it is answered as the first was, and not posted
	Duplicate                   // it is refused as duplicate_message
)

// A Server is the stand-in. It is safe for concurrent use.
type Server struct {
	options Options
	mux     *http.ServeMux

	mu       sync.Mutex
	tokens   map[string][]string // scopes by token
	revoked  map[string]bool     // tokens that were valid
	webhooks map[string]string   // channels by path
	channels map[string]*channel
	uploads  map[string]*upload // by their file's id
	script   []Fault
	serial   int // of the last message, makes its ts distinct

	telling sync.Mutex // held while OnPost or OnEdit runs

	calls, penalty, overRate, faults atomic.Int64
}

type channel struct {
	state    ChannelState
	messages []Message
	free     time.Time // when the next post is allowed
	until    time.Time // end of the 429 penalty
}

// New returns a server without tokens or channels.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.PostEvery = cmp.Or(o.PostEvery, time.Second)
	s := &Server{
		options: o, mux: http.NewServeMux(),
		tokens: map[string][]string{}, revoked: map[string]bool{}, webhooks: map[string]string{}, channels: map[string]*channel{}, uploads: map[string]*upload{},
	}
	s.mux.HandleFunc("POST /api/chat.postMessage", s.postMessage)
	s.mux.HandleFunc("POST /api/chat.update", s.update)
	s.mux.HandleFunc("POST /api/chat.delete", s.deleteMessage)
	s.mux.HandleFunc("POST /api/conversations.history", s.history)
	s.mux.HandleFunc("POST /api/conversations.replies", s.history)
	s.mux.HandleFunc("POST /api/files.getUploadURLExternal", s.getUploadURL)
	s.mux.HandleFunc("POST /upload/", s.takeUpload)
	s.mux.HandleFunc("POST /api/files.completeUploadExternal", s.completeUpload)
	s.mux.HandleFunc("POST /api/files.delete", s.deleteFile)
	s.mux.HandleFunc("POST /api/auth.test", s.authTest)
	s.mux.HandleFunc("POST /api/conversations.info", s.conversationsInfo)
	s.mux.HandleFunc("POST /services/", s.webhook)
	return s
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// AddToken makes a token valid, with these scopes.
func (s *Server) AddToken(token string, scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = scopes
	delete(s.revoked, token)
}

// RevokeToken makes a token invalid that was valid, as when its app is removed.
func (s *Server) RevokeToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
	s.revoked[token] = true
}

// AddChannel makes a channel, or changes the state of one that exists.
func (s *Server) AddChannel(id string, state ChannelState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channels[id] == nil {
		s.channels[id] = new(channel)
	}
	s.channels[id].state = state
}

// AddWebhook makes the path, which begins with /services/, post into the channel.
func (s *Server) AddWebhook(path, channelID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks[path] = channelID
}

// Messages returns the channel's messages, replies included, oldest first.
func (s *Server) Messages(channelID string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.channels[channelID]; c != nil {
		return slices.Clone(c.messages)
	}
	return nil
}

// Calls returns how many posts and updates were asked for, refused and scripted ones included.
func (s *Server) Calls() int { return int(s.calls.Load()) }

// PenaltyCalls returns how many posts and updates were asked for while a 429 had told the caller to wait.
func (s *Server) PenaltyCalls() int { return int(s.penalty.Load()) }

// OverRate returns how many posts were asked for sooner than the channel's rate allows.
func (s *Server) OverRate() int { return int(s.overRate.Load()) }

// Faults returns how many calls met a fault, of a script or of Options.Fault.
func (s *Server) Faults() int { return int(s.faults.Load()) }

// accept stores a message where its channel exists, and returns it with its ts. A post takes the channel's turn,
// whatever the caller is told.
func (s *Server) accept(m Message) Message {
	s.mu.Lock()
	c := s.channels[m.Channel]
	if c == nil {
		s.mu.Unlock()
		return m
	}
	s.serial++
	m.at = s.options.Now()
	if len(m.Files) == 0 {
		c.free = m.at.Add(s.options.PostEvery)
	}
	m.TS = fmt.Sprintf("%d.%06d", m.at.Unix(), s.serial)
	c.messages = append(c.messages, m)
	s.mu.Unlock()
	s.tell(s.options.OnPost, m)
	return m
}

// tell hands the message to one of the options' functions, nil for none.
func (s *Server) tell(to func(Message), m Message) {
	if to == nil {
		return
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	to(m)
}
