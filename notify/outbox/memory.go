package outbox

import (
	"maps"
	"sync"
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
	looked bool // it was looked for what became of the call
	turn   bool // the channel's next call is this message's
}

// A last is what became of the last call that this process made for a message.
type last int

const (
	nothing  last = iota // this process made none
	refused              // Slack did not take it, or it was not made
	accepted             // Slack took it
	unsure               // perhaps Slack took it
	standing             // perhaps Slack took it: it says that the part stands
)

// duplicate is Slack's code for a part that stands: it was perhaps accepted.
const duplicate = "duplicate_message"

// accept forgets what was of the part at hand alone, which stands now.
func (m *memory) accept() {
	*m = memory{state: m.state, part: m.part, bare: m.bare, joined: m.joined, last: accepted}
}

// begin forgets what was of another part, which another worker perhaps posted.
func (m *memory) begin(state string, part int) {
	if m.state != state || m.part != part {
		m.state, m.part = state, part
		m.form, m.file, m.tries, m.looks = 0, "", 0, 0
	}
}

// memories spare the notes where this process knows better, and keep two deliveries of one message
// apart. What must not be forgotten is noted.
type memories struct {
	mu      sync.Mutex
	of      map[string]memory // by the note's key
	claimed map[string]bool   // in the hands of a delivery
}

// claim returns what is remembered under the key, or false while another delivery has it. Whoever gets it
// releases it.
func (ms *memories) claim(key string) (m memory, ok bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.claimed[key] {
		return m, false
	}
	ms.claimed[key] = true
	return ms.of[key], true
}

// release remembers this under the key. To make room what is done is forgotten first, then all but results that
// could not be noted.
func (ms *memories) release(key string, m memory) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if len(ms.of) >= maxMemories {
		maps.DeleteFunc(ms.of, func(_ string, m memory) bool { return m.told != "" })
	}
	if len(ms.of) >= maxMemories {
		maps.DeleteFunc(ms.of, func(_ string, m memory) bool { return m.unnoted == nil })
	}
	m.looked, m.turn = false, false
	ms.of[key] = m
	delete(ms.claimed, key)
}
