package outbox

import (
	"maps"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack"
)

// maxMemories bounds the memory for deliveries.
const maxMemories = 10000

// A memory is what this process knows of one message in one channel beside its note.
type memory struct {
	state     string       // that the part at hand tells
	part      int          // the part at hand
	form      int          // of it: 0 is the rich one
	bare      bool         // Slack refuses the metadata
	file      string       // the id of the file that was uploaded, and is not shared yet
	tries     int          // how often its bytes did not arrive
	looks     int          // how often its channel could not be looked into
	notBefore time.Time    // the part at hand may not be tried before
	anew      string       // the ts of the message that cannot be edited; a new one is posted in its place
	last      last         // what became of the last call
	doubted   bool         // the part at hand perhaps stands, and nobody can look where
	refusal   *slack.Error // of the last call, until it is decided what follows
	unnoted   *posting     // the result of a call that could not be noted
	told      string       // the state that is done with; empty while none is
	joined    bool         // it is told in a digest, and needs no turn of its own

	// Of this pass alone:
	claimed bool // it is in the hands of a delivery
	looked  bool // it was looked for what became of the call
	turn    bool // the channel's next call is this message's
}

// A last is what became of the last call that this process made for a message.
type last int

const (
	unsure   last = iota // perhaps Slack took it, or there was none
	refused              // Slack did not take it, or it was not made
	standing             // perhaps Slack took it: it says that the part stands
)

// duplicate is Slack's code for a part that stands: it was perhaps accepted.
const duplicate = "duplicate_message"

// accept forgets what was of the part at hand alone, which stands now.
func (m *memory) accept() {
	*m = memory{state: m.state, part: m.part, bare: m.bare, joined: m.joined}
}

// begin forgets what was of another part, which another worker perhaps posted.
func (m *memory) begin(state string, part int) {
	if m.state != state || m.part != part {
		m.state, m.part = state, part
		m.form, m.file, m.tries, m.looks = 0, "", 0, 0
	}
}

// claim returns what is remembered under the note's key, or false while another delivery has it. Who gets it
// releases it.
func (s *Outbox) claim(key string) (m memory, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m = s.memories[key]; m.claimed {
		return m, false
	}
	m.claimed = true
	s.memories[key] = m
	return m, true
}

// release remembers this under the key. To make room what is done is forgotten first, then all but results that
// could not be noted.
func (s *Outbox) release(key string, m memory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.memories) > maxMemories {
		maps.DeleteFunc(s.memories, func(_ string, m memory) bool { return !m.claimed && m.told != "" })
	}
	if len(s.memories) > maxMemories {
		maps.DeleteFunc(s.memories, func(_ string, m memory) bool { return !m.claimed && m.unnoted == nil })
	}
	m.claimed, m.looked, m.turn = false, false, false
	s.memories[key] = m
}
