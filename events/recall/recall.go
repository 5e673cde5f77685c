// Package recall keeps the records that a worker read or wrote last, bounded in bytes, so that a poll need not read the order's
// record again. A record that it returns may be outdated. The poller notices that by the wake-up, which names the revision of the
// record after which it was published, or by a conflict when it writes the record.
package recall

import (
	"container/list"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A Cache keeps records of watches that go on. It is safe for concurrent use. What its records point to is shared, and is not
// to be changed.
type Cache struct {
	mu    sync.Mutex
	limit int
	size  int
	newer *list.List // of *entry, the one that was used or put last in front
	by    map[watcher.Order]*list.Element
}

type entry struct {
	watch    watcher.Watch
	revision watcher.Revision
	size     int
	read     time.Time // or written
	used     time.Time
}

// New returns an empty cache that keeps records of about so many bytes in memory at the most.
func New(limit int) *Cache {
	return &Cache{limit: limit, newer: list.New(), by: make(map[watcher.Order]*list.Element)}
}

// An entry takes about so much memory: the record, beside what its JSON grows to, and what finds it.
const (
	entryBytes = 2 << 10
	growth     = 2 // an item of 100 bytes of JSON takes 200
)

// Fresh is for how long a record counts as known after it was read or written: it is the longest time that a worker takes to
// notice another record that no wake-up told it of. It is some times the longest interval as shipped, so that most polls find their
// record kept.
const Fresh = 5 * time.Minute

// Get returns the order's record as it was read or written last, where that was within [Fresh].
func (c *Cache) Get(order watcher.Order) (watcher.Watch, watcher.Revision, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.by[order]
	if !ok || time.Since(e.Value.(*entry).read) > Fresh {
		return watcher.Watch{}, 0, false
	}
	kept := c.use(e)
	return kept.watch, kept.revision, true
}

// Same returns the order's record where the one that is kept has the revision, which it was just read with: it need not be
// decoded.
func (c *Cache) Same(order watcher.Order, revision watcher.Revision) (watcher.Watch, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.by[order]
	if !ok || e.Value.(*entry).revision != revision {
		return watcher.Watch{}, false
	}
	kept := c.use(e)
	kept.read = kept.used
	return kept.watch, true
}

func (c *Cache) use(e *list.Element) *entry {
	c.newer.MoveToFront(e)
	kept := e.Value.(*entry)
	kept.used = time.Now()
	return kept
}

// Put keeps the record, whose JSON has so many bytes, where the one that is kept is older. The record of a watch that does not
// go on is dropped. Where there is no room but in place of records that were used within [Fresh], they stay: with more watches
// than have room, each would be dropped before its next poll.
func (c *Cache) Put(w watcher.Watch, revision watcher.Revision, encoded int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[w.Order]; ok {
		if e.Value.(*entry).revision > revision {
			return
		}
		c.remove(e)
	}
	size := entryBytes + growth*encoded
	if w.State != watcher.Watching || size > c.limit {
		return
	}
	now := time.Now()
	for c.size+size > c.limit {
		oldest := c.newer.Back()
		if now.Sub(oldest.Value.(*entry).used) <= Fresh {
			return
		}
		c.remove(oldest)
	}
	c.by[w.Order] = c.newer.PushFront(&entry{w, revision, size, now, now})
	c.size += size
}

// Drop forgets the order's record.
func (c *Cache) Drop(order watcher.Order) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[order]; ok {
		c.remove(e)
	}
}

func (c *Cache) remove(e *list.Element) {
	kept := c.newer.Remove(e).(*entry)
	delete(c.by, kept.watch.Order)
	c.size -= kept.size
}
