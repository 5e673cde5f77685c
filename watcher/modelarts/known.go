package modelarts

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
)

// Most answers are, byte for byte, the order's last one. They are not decoded again.
const (
	knownBytes = 32 << 20  // of memory, for all orders together: some 500,000 items
	knownFor   = time.Hour // since it was last of use
)

// A known keeps the last answer of each order, packed. Where they are too many, any of them are forgotten, not those that
// were used longest ago: orders are polled by turns, so those would be the ones that come next. It is safe for concurrent
// use.
type known struct {
	mu     sync.Mutex
	orders map[place]*knownAnswer
	bytes  int
}

// A place is what the answer is about.
type place struct {
	region string
	order  watcher.Order
}

type knownAnswer struct {
	sum    [sha256.Size]byte // of the body; nobody can make another body with the same one
	packed *answer.Packed
	bytes  int
	used   time.Time
}

// find returns the order's last answer where it had the same body; otherwise nil.
func (k *known) find(at place, sum [sha256.Size]byte, now time.Time) *answer.Packed {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.orders[at]
	if a == nil || a.sum != sum {
		return nil
	}
	a.used = now
	return a.packed
}

// keep keeps the order's answer in place of its last one.
func (k *known) keep(at place, sum [sha256.Size]byte, p *answer.Packed, now time.Time) {
	const entry = 256 // of the map and the names, about
	k.mu.Lock()
	defer k.mu.Unlock()
	a := &knownAnswer{sum, p, p.Size() + entry, now}
	k.forget(at)
	for other := range k.orders { // in no order
		if k.bytes+a.bytes <= knownBytes && now.Sub(k.orders[other].used) <= knownFor {
			break
		}
		k.forget(other)
	}
	k.orders[at] = a
	k.bytes += a.bytes
}

func (k *known) forget(at place) {
	if a := k.orders[at]; a != nil {
		k.bytes -= a.bytes
		delete(k.orders, at)
	}
}
