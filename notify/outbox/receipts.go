package outbox

import (
	"slices"
	"sync"
	"time"
)

// maxReceipts bounds the memory for deliveries.
const maxReceipts = 10000

// A receipt is what this process knows of one message in one channel beside its note. It is written
// only by whoever claimed it.
type receipt struct {
	state     string    // that the part at hand tells
	part      int       // the part at hand
	form      int       // of it: 0 is the rich one
	bare      bool      // Slack refuses the metadata
	file      string    // the id of the file that was uploaded, and is not shared yet
	tries     int       // how often its bytes did not arrive
	looks     int       // how often its channel could not be looked into
	notBefore time.Time // the part at hand may not be tried before
	anew      string    // the ts of the message that cannot be edited; a new one is posted in its place
	known     bool      // this process remembers what became of its last call, in unsure
	unsure    bool      // the call at hand was perhaps accepted
	twin      bool      // Slack says of the part at hand that it stands
	doubtful  bool      // the part at hand perhaps stands, and nobody can look where
	unnoted   *posting  // the result of a call that could not be noted
	told      string    // the state that is done with; empty while none is
	together  bool      // it is told in a digest, and needs no turn of its own
	claimed   bool
}

// accepted forgets what was of the part at hand alone, which stands now.
func (r *receipt) accepted() {
	r.form, r.file, r.tries, r.looks = 0, "", 0, 0
	r.notBefore = time.Time{}
	r.anew, r.unsure, r.twin, r.doubtful = "", false, false, false
	r.known, r.unnoted, r.told = true, nil, ""
}

// begin forgets what was of another part, which another worker perhaps posted.
func (r *receipt) begin(state string, part int) {
	if r.state != state || r.part != part {
		r.state, r.part = state, part
		r.form, r.file, r.tries, r.looks = 0, "", 0, 0
	}
}

// A place is what is told of one watch, or one outage, in one channel.
type place struct{ about, channel string }

// receipts spare the notes where this process knows better, and keep two deliveries of one event
// apart. What must not be forgotten is noted.
type receipts struct {
	mu    sync.Mutex
	known map[place]*receipt
	order []place // as they came
}

// claim returns the place's receipt, or false while somebody else has it.
func (rs *receipts) claim(p place) (*receipt, bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.known[p]
	if r == nil {
		rs.sweep()
		r = &receipt{}
		rs.known[p] = r
		rs.order = append(rs.order, p)
	}
	if r.claimed {
		return nil, false
	}
	r.claimed = true
	return r, true
}

func (rs *receipts) release(r *receipt) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.claimed = false
}

// sweep makes room for one more: what is done goes first, the oldest first, and never what is
// claimed.
func (rs *receipts) sweep() {
	if len(rs.order) < maxReceipts {
		return
	}
	rs.drop(func(r *receipt) bool { return !r.claimed && r.told != "" })
	rs.drop(func(r *receipt) bool { return !r.claimed })
}

// drop forgets the oldest of these until half of the room is free.
func (rs *receipts) drop(which func(*receipt) bool) {
	excess := len(rs.order) - maxReceipts/2
	rs.order = slices.DeleteFunc(rs.order, func(p place) bool {
		if excess <= 0 || !which(rs.known[p]) {
			return false
		}
		excess--
		delete(rs.known, p)
		return true
	})
}
