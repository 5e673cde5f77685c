package watcher

import (
	"cmp"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/schedule"
)

// A Backoff is the schedule of a watch's polls.
type Backoff = schedule.Backoff

// A Policy holds what decisions depend on besides the record, what happened, and the time.
// Every field is required unless it says otherwise.
type Policy struct {
	Backoff       Backoff
	Settle        time.Duration // an order that looks ended is looked at again after this long; 0 trusts the first look
	NotFoundGrace time.Duration // an order that the API does not know may still appear for this long
	// LastPollGrace is how long after its deadline a watch may still wait for the account's leave to
	// make its last poll.
	LastPollGrace time.Duration
	// ForbiddenGrace is how long a permission that is missing may still be given, where the account
	// is not answered about other orders either.
	ForbiddenGrace time.Duration
	Patience       Patience
	Timeout        time.Duration // of a request that names none
	DefaultRegion  string        // of a watch whose request names none
	MaxPayload     int           // the largest message that the server takes, in bytes; at least [MinPayload]
	// Payload returns the same as it is now, in place of MaxPayload, where servers may change it; nil where
	// they do not. It must be safe for concurrent use.
	Payload func() int

	// Swept reports whether the list of orders has shown the order as running just now: its end will be seen there. Then
	// the interval grows twice as fast, and to SweptMax instead of Backoff.Max, unless somebody follows what changes. It
	// must be safe for concurrent use. Nothing is stretched where it is nil, and where SweptMax is not above Backoff.Max.
	Swept    func(region string, order Order) bool
	SweptMax time.Duration
	Followed bool // the progress of every watch is followed

	// Sketches returns how long orders of a key took; nil where nothing is known. It must be safe for concurrent use.
	Sketches history.Sketches
	// LateByUsual says that an order is late, too, when it takes longer than nearly all of its kind did, where no request
	// says when it is.
	LateByUsual bool
}

// A Patience says how long what looks odd is only looked at. The zero value of a field is its default.
type Patience struct {
	Vanished time.Duration // an item that had not ended and is no longer listed, and five answers in a row; 5 minutes
	Blind    time.Duration // an order that alone cannot be read; 5 minutes
	Odd      time.Duration // a status that the API does not document; 10 minutes
	Stalled  time.Duration // an order that is answered, and of which no item changes; 20 minutes
}

// DefaultPatience returns the durations of production.
func DefaultPatience() Patience {
	return Patience{Vanished: 5 * time.Minute, Blind: 5 * time.Minute, Odd: 10 * time.Minute, Stalled: 20 * time.Minute}
}

func (p Patience) vanished() time.Duration { return cmp.Or(p.Vanished, DefaultPatience().Vanished) }
func (p Patience) blind() time.Duration    { return cmp.Or(p.Blind, DefaultPatience().Blind) }
func (p Patience) odd() time.Duration      { return cmp.Or(p.Odd, DefaultPatience().Odd) }
func (p Patience) stalled() time.Duration  { return cmp.Or(p.Stalled, DefaultPatience().Stalled) }

// MinPayload is the smallest server limit on messages, in bytes, under which a record, with as
// many requests as a watch takes, and its completion still fit.
const MinPayload = 256 << 10

// maxRequests is how many requests one watch answers at the most.
const maxRequests = 1000

// payload returns the largest message that the server takes now, in bytes.
func (p Policy) payload() int {
	if p.Payload != nil {
		return p.Payload()
	}
	return p.MaxPayload
}

// maxBareBytes is how large the requests of one watch may be together, in bytes, without what a record and an
// event leave out where the server's limit was lowered. So they fit under [MinPayload], beside all else that stays.
const maxBareBytes = MinPayload / 4 * 3

// tooMany reports whether one watch cannot answer all the requests.
func (p Policy) tooMany(requests []Request) bool {
	all := size(requests)
	switch {
	case len(requests) > maxRequests, all > p.payload()/2:
		return true
	case all <= maxBareBytes: // without texts they are no larger
		return false
	}
	return size(bare(bare(requests, withoutLabels), withoutTexts)) > maxBareBytes
}

// beyondShare reports whether the team, of whom the last of the requests is, has so many among them that the watch could
// not take as many once again: the rest is for other teams. A team's first request is always let in. A request without a
// team is the operator's, and has no share.
func (p Policy) beyondShare(requests []Request, team string) bool {
	if team == "" {
		return false
	}
	own, _ := parted(requests, func(r *Request) bool { return r.Team == team })
	return len(own) > 1 && p.tooMany(slices.Concat(requests, own))
}

// maxEarlierBytes returns how large the remembered ids of earlier requests may be, in bytes.
func (p Policy) maxEarlierBytes() int { return p.payload() / 8 }

// storable reports whether a record of the watch can be stored after a poll, whatever the order shows: its
// requests may have come when the server took larger messages.
func (p Policy) storable(w Watch) bool {
	limit := recordLimit(p.payload())
	if mostSize(w.Requests, w.Earlier)+eventOverhead <= limit || size(w.Requests)+size(w.Earlier)+eventOverhead <= limit {
		return true
	}
	w.Items, w.Missing = nil, nil
	encoded, err := EncodeWatch(w, p.payload())
	return err == nil && len(encoded)+eventOverhead <= limit
}
