package notify

import (
	"slices"
	"sync"
	"time"
)

// maxReceipts bounds the memory for deliveries.
const maxReceipts = 10000

// A receipt is what is known of one message in one channel. It is written only by whoever claimed
// it.
type receipt struct {
	ts        string    // of the post; empty before there is one
	parts     int       // how many messages are settled: the post, then each reply
	form      int       // of the part at hand: 0 is the rich one
	ambiguous bool      // the part at hand was perhaps posted already
	notBefore time.Time // the part at hand may not be tried before
	anew      bool      // what was to be edited cannot be; a new message is posted
	turn      time.Time // when the channel's turn comes; zero: none was given
	done      bool
	claimed   bool
}

// A place is what is told of one watch, or one outage, in one channel.
type place struct{ about, channel string }

// receipts remember which channels have a message, so that a delivery put back because of one
// channel, or redelivered because its acknowledgement was lost, is not repeated in the others. They
// live in this process only: after a restart, in another replica, or once maxReceipts newer ones
// came, a message may be posted again.
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
	rs.drop(func(r *receipt) bool { return r.done && !r.claimed })
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
