package outbox

import (
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// A posting is what all workers know of one message in one channel. It is noted before each call of
// Slack and after it: a worker that finds a call without its result settles what became of it before it
// makes another. Workers of the release before read it, and write it.
type posting struct {
	TS         string `json:"ts,omitempty"`         // of the message; empty while none is known
	Tells      string `json:"told,omitempty"`       // the state that the parts tell
	Parts      int    `json:"parts,omitempty"`      // how many stand: the message, then each reply
	Done       bool   `json:"done,omitempty"`       // all stand, or Slack finally refused
	Silent     bool   `json:"silent,omitempty"`     // nothing was to be told
	Code       string `json:"code,omitempty"`       // why the channel finally refused it, and all later states; Slack's
	Moved      string `json:"moved,omitempty"`      // the channel that gets it instead
	Generation int    `json:"generation,omitempty"` // how often a message was posted in place of one that could not be edited
	Lacks      string `json:"lacks,omitempty"`      // why the message's thread takes nothing more: an event has it, and the message is edited to say so
	Call       *call  `json:"call,omitempty"`       // announced, and without a result so far

	Quiet  bool      `json:"quiet,omitempty"`  // the message was posted while the watch went on, and nobody was woken
	Edited time.Time `json:"edited,omitzero"`  // when a message that goes on changing was told last
	Shows  string    `json:"shows,omitempty"`  // of a digest, a group or its thread: the last state that certainly stood
	Digest string    `json:"digest,omitempty"` // the key of the digest that tells of it
	Group  *member   `json:"group,omitempty"`  // the group that tells of it; a worker of the release before posts the message itself
	Alone  bool      `json:"alone,omitempty"`  // the group that was to tell of it was refused: it has a message of its own
	Ping   string    `json:"ping,omitempty"`   // where it woke nobody: pingOwed, or the key of the line that names it

	Conditions map[watcher.AttentionKind]condition `json:"conditions,omitempty"` // of the watch that goes on; a worker of the release before forgets them
	Woke       string                              `json:"woke,omitempty"`       // the state that was posted as a message that wakes people, not as an edit
}

// A call is one that a worker makes, or made when it died. It is never altered: postings share it.
type call struct {
	By     string    `json:"by"`              // that worker
	At     time.Time `json:"at"`              // when it was announced
	Since  time.Time `json:"since"`           // when the first call for the part was, of which nobody knows what became
	Absent time.Time `json:"absent,omitzero"` // when it was first looked for in the channel, and not found
}

// tells reports whether nothing is left to tell, in so many parts. That is so, too, where a later state was
// announced: its message replaces the earlier one, and the worker that announced it posts it. Of a digest
// another state may have been announced and not told.
func (p posting) tells(w want, parts int) bool {
	switch {
	case p.Code != "":
		return true
	case w.least != "":
		return p.Call == nil && (p.Parts > 0 || p.Done) && rank(p.Tells) >= rank(w.least)
	}
	return p.Tells == w.state && (p.Done || p.Parts >= parts) || p.later(w)
}

// later reports whether a later state was announced.
func (p posting) later(w want) bool { return rank(p.Tells) > rank(w.state) }

// untouched reports whether nothing was posted or begun.
func (p posting) untouched() bool {
	return p.TS == "" && p.Call == nil && p.Digest == "" && p.Group == nil && p.Parts == 0
}

// goesOn reports whether the message perhaps says how the watch goes on.
func (p posting) goesOn() bool { return strings.HasPrefix(p.Tells, running+".") }

// joining returns the posting of a watch that is told in the group, whose ping is its own, too.
func (p posting) joining(in member) posting {
	if p.untouched() {
		p.Tells, p.Done = completed, false
	}
	p.Group, p.Ping = &in, ""
	return p
}

// ended reports whether all is told of how the watch ended.
func (p posting) ended() bool { return p.Done && p.Tells == completed }

// by reports whether the call without a result is the worker's.
func (p posting) by(worker string) bool { return p.Call != nil && p.Call.By == worker }

// part returns which part of the state is next.
func (p posting) part(state string) int {
	if p.Tells != state {
		return 0
	}
	return p.Parts
}

// edits reports whether the next call changes a message that stands.
func (p posting) edits(w want, m memory) bool {
	return p.part(w.state) == 0 && p.TS != "" && p.TS != m.anew
}

// announcing returns the posting with the call that the worker is about to make.
func (p posting) announcing(w want, m memory, worker string, now time.Time) posting {
	if p.Tells != w.state {
		p.Tells, p.Parts, p.Done = w.state, 0, false
	}
	if p.Parts == 0 && p.TS != "" && !p.edits(w, m) {
		p.TS, p.Quiet = "", false
		p.Generation++
	}
	since := now
	if p.Call != nil && !p.Call.Absent.IsZero() {
		since = p.Call.Since
	}
	p.Call = &call{By: worker, At: now, Since: since}
	return p
}

// standing returns the posting where the part at hand stands as the message with the ts.
func (p posting) standing(w want, ts string, now time.Time) posting {
	part := p.part(w.state)
	if part == 0 && p.TS == "" && w.aloud {
		p.Woke = w.state
	}
	if part == 0 {
		p.TS = ts
	}
	p.Tells, p.Parts, p.Call = w.state, part+1, nil
	p.Done = p.Parts >= w.message.Parts()
	p.Quiet = p.Quiet || w.goesOn != nil && w.channel != routes.Webhook // which makes no threads
	if w.changes() {
		p.Edited = now
	}
	if w.digest != "" {
		p.Shows = w.state
	}
	return p
}

// adopting returns the posting where the message with the ts stands, which tells an earlier state.
func (p posting) adopting(ts string) posting {
	p.Quiet = p.Quiet || p.goesOn()
	p.TS, p.Parts, p.Call = ts, 1, nil
	return p
}

// absent returns the posting where the call was looked for in vain.
func (p posting) absent(now time.Time) posting {
	c := *p.Call
	c.Absent = now
	p.Call = &c
	return p
}

// over returns the posting where nothing more is told of the state.
func (p posting) over(state string) posting {
	p.Tells, p.Done, p.Call = state, true, nil
	return p
}

// refused returns the posting where the channel finally refused the message, and which one gets it instead, if
// any. A worker of a release without these fields takes the message for not told.
func (p posting) refused(code, moved string) posting {
	p.Code, p.Moved, p.Call, p.Ping = code, moved, nil, ""
	return p
}

// lacking returns the posting where the message stands whose thread refused its next part: nothing follows but an edit
// that says so. A worker of a release without the field tries the thread again.
func (p posting) lacking(state, code string) posting {
	p.Tells, p.Parts, p.Done, p.Call, p.Lacks = state, 0, false, nil, code
	return p
}

// rank orders the states of one message. None is before all.
func rank(state string) int {
	if _, number, ok := strings.Cut(state, "."); ok {
		n, _ := strconv.Atoi(number) // this package's own
		return n
	}
	switch {
	case state == completed:
		return math.MaxInt
	case watcher.AttentionKind(state).Over():
		return 1
	}
	return 0
}

// numbered returns the n-th state of a message that goes on changing.
func numbered(kind string, n int) string { return kind + "." + strconv.Itoa(n) }

// maxMemories bounds the memory for deliveries.
const maxMemories = 10000

// A memory is what this process knows of one message in one channel beside its note.
type memory struct {
	state       string       // that the part at hand tells
	part        int          // the part at hand
	form        int          // of it: 0 is the rich one
	bare        bool         // Slack refuses the metadata
	file        string       // the id of the file that was uploaded, and is not shared yet
	tries       int          // how often its bytes did not arrive
	looks       int          // how often its channel could not be looked into
	notBefore   time.Time    // the part at hand may not be tried before
	quietBefore time.Time    // nor what tells of a watch that goes on
	anew        string       // the ts of the message that cannot be edited; a new one is posted in its place
	last        last         // what became of the last call
	doubted     bool         // the part at hand perhaps stands, and nobody can look where
	refusal     *slack.Error // of the last call, until it is decided what follows
	unnoted     *posting     // the result of a call that could not be noted
	told        string       // the state that is done with; empty while none is
	joined      bool         // it stands, or is told with others, and needs no turn of its own
	listed      bool         // the thread of its group lists it
	first       bool         // nothing was told shortly before that failed with its cause

	// Of this pass alone:
	claimed bool // it is in the hands of a delivery
	looked  bool // it was looked for what became of the call
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
	*m = memory{state: m.state, part: m.part, bare: m.bare, joined: m.joined, listed: m.listed, first: m.first}
}

// begin forgets what was of another part, which another worker perhaps posted.
func (m *memory) begin(state string, part int) {
	if m.state != state || m.part != part {
		m.state, m.part = state, part
		m.form, m.file, m.tries, m.looks = 0, "", 0, 0
	}
}

// claim returns what is remembered under the note's key, or false while another delivery has it. It must be
// released.
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
	m.claimed, m.looked = false, false
	s.memories[key] = m
}
