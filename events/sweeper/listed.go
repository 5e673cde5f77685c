package sweeper

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/store"
)

// A listing is what a sweeper tells all workers after a complete sweep: which orders were listed as running. A long one comes in
// parts.
type listing struct {
	Worker string    `json:"worker"`
	At     time.Time `json:"at"`    // the same in all parts
	Every  string    `json:"every"` // another follows after so long; as Go writes durations
	Part   int       `json:"part"`  // from 1
	Parts  int       `json:"parts"`
	Names  []byte    `json:"names"` // hashes of names, of eight bytes each
}

const (
	partNames = 8000 // in one part; as JSON they are far smaller than what any server takes
	mostParts = 32
	// listsKept is how many complete sweeps are remembered of a place. Rows come and go, and pages shift: an order
	// that one of them lists is taken to run.
	listsKept = 3
	// staleAfter is after how many intervals without a new one all that was listed is forgotten.
	staleAfter = 4
	// longestEvery bounds what a listing says of its interval.
	longestEvery = 10 * time.Minute
)

// hashOf returns what stands for a name. Where two names have the same hash, one of them may be polled less often.
func hashOf(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name)) // it never fails
	return h.Sum64()
}

// listings returns the parts that tell of the names; none where they are too many to be told.
func listings(worker string, at time.Time, every time.Duration, names []string) (parts []listing) {
	n := max(1, (len(names)+partNames-1)/partNames)
	if n > mostParts {
		return nil
	}
	for i := range n {
		l := listing{Worker: worker, At: at.UTC(), Every: every.String(), Part: i + 1, Parts: n}
		for _, name := range names[i*partNames : min(len(names), (i+1)*partNames)] {
			l.Names = binary.BigEndian.AppendUint64(l.Names, hashOf(name))
		}
		parts = append(parts, l)
	}
	return parts
}

func (l listing) encode() []byte {
	encoded, err := json.Marshal(l)
	if err != nil {
		panic("sweeper: " + err.Error()) // only texts and numbers are ever rendered
	}
	return encoded
}

// listed remembers which orders the last sweeps of each place listed as running. It is safe for concurrent use.
type listed struct {
	log    *slog.Logger
	now    func() time.Time // of this process
	holder func(store.Place) (worker string)

	mu     sync.Mutex
	places map[store.Place]*known
}

// known is what is known of a place.
type known struct {
	lists [listsKept][]uint64 // sorted, the latest first
	every time.Duration
	at    time.Time // when the latest came

	begun time.Time // of which listing parts are there
	parts map[int][]uint64
}

// take takes a message on the subject of a place. What the holder of the place's lease did not send is passed over.
func (l *listed) take(p store.Place, m *nats.Msg) {
	var of listing
	if m.Header.Get(store.KeyHeader) != m.Subject || json.Unmarshal(m.Data, &of) != nil || of.Worker == "" || of.Worker != l.holder(p) {
		return
	}
	every, err := time.ParseDuration(of.Every)
	if err != nil || every <= 0 || of.Part < 1 || of.Part > of.Parts || of.Parts > mostParts || len(of.Names)%8 != 0 {
		l.log.Debug("what was listed cannot be read", "subject", m.Subject)
		return
	}
	hashes := make([]uint64, 0, len(of.Names)/8)
	for at := 0; at < len(of.Names); at += 8 {
		hashes = append(hashes, binary.BigEndian.Uint64(of.Names[at:]))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.places[p]
	if k == nil {
		k = new(known)
		l.places[p] = k
	}
	if !k.begun.Equal(of.At) {
		k.begun, k.parts = of.At, make(map[int][]uint64)
	}
	if k.parts[of.Part] = hashes; len(k.parts) < of.Parts {
		return
	}
	var all []uint64
	for _, part := range k.parts {
		all = append(all, part...)
	}
	slices.Sort(all)
	if k.stale(l.now()) {
		k.lists = [listsKept][]uint64{}
	}
	copy(k.lists[1:], k.lists[:])
	k.lists[0], k.every, k.at, k.parts = all, min(every, longestEvery), l.now(), make(map[int][]uint64)
	l.forget()
}

// forget forgets the places that nobody sweeps any more.
func (l *listed) forget() {
	for p, k := range l.places {
		if len(k.parts) == 0 && k.stale(l.now()) {
			delete(l.places, p)
		}
	}
}

// stale reports whether another listing should have come long ago.
func (k *known) stale(now time.Time) bool {
	return now.Sub(k.at) > staleAfter*cmp.Or(k.every, longestEvery)
}

// has reports whether one of the last sweeps listed the order as running.
func (l *listed) has(p store.Place, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.places[p]
	if k == nil || k.stale(l.now()) {
		return false
	}
	hash := hashOf(name)
	return slices.ContainsFunc(k.lists[:], func(list []uint64) bool {
		_, has := slices.BinarySearch(list, hash)
		return has
	})
}

// placeOf returns the place of a subject, whose tokens follow the prefix.
func placeOf(subject, prefix string) (store.Place, bool) {
	tokens, ok := strings.CutPrefix(subject, prefix)
	region, project, cut := strings.Cut(tokens, ".")
	return store.Place{Region: region, ProjectID: project}, ok && cut
}
