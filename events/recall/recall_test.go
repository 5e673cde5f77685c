package recall_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderwatch/orderwatch/events/recall"
	"github.com/orderwatch/orderwatch/watcher"
)

func record(name string) watcher.Watch {
	return watcher.Watch{Order: watcher.Order{ProjectID: "p", Name: name}, State: watcher.Watching}
}

// TestTheNewestRecordIsKept holds which record is returned, and for how long.
func TestTheNewestRecordIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := recall.New(1<<20), record("a")
		revision := func() watcher.Revision {
			_, revision, ok := c.Get(w.Order)
			if ok != (revision > 0) {
				t.Errorf("revision %d, kept %t", revision, ok)
			}
			return revision
		}
		c.Put(w, 7, 100)
		c.Put(w, 5, 100) // from a server that is behind
		if got := revision(); got != 7 {
			t.Errorf("revision %d; want 7", got)
		}
		c.Put(w, 9, 100)
		time.Sleep(recall.Fresh)
		if got := revision(); got != 9 {
			t.Errorf("revision %d; want 9", got)
		}
		time.Sleep(time.Nanosecond)
		if got := revision(); got != 0 {
			t.Errorf("revision %d is known for too long", got)
		}
		if _, ok := c.Same(w.Order, 7); ok {
			t.Error("revision 7 is kept")
		}
		if _, ok := c.Same(w.Order, 9); !ok || revision() != 9 { // it was just read again
			t.Errorf("revision 9 is not kept: %t", ok)
		}
		w.State = watcher.Ended
		if c.Put(w, 10, 100); revision() != 0 {
			t.Error("the record of a watch that has ended is kept")
		}
		w.State = watcher.Watching
		c.Put(w, 11, 100)
		if c.Drop(w.Order); revision() != 0 {
			t.Error("a record that was dropped is kept")
		}
	})
}

// TestRecordsAreBounded holds that there is room for so many bytes, and that records in use are not dropped for others.
func TestRecordsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := recall.New(100 << 10)
		count := func() (n int) {
			for i := range 100 {
				if _, _, ok := c.Get(record(fmt.Sprint("order-", i)).Order); ok {
					n++
				}
			}
			return n
		}
		put := func(first, last int) {
			for i := first; i < last; i++ {
				c.Put(record(fmt.Sprint("order-", i)), 1, 4<<10)
			}
		}
		if put(0, 100); count() != 10 {
			t.Errorf("%d records are kept; want 10", count())
		}
		if _, _, ok := c.Get(record("order-0").Order); !ok {
			t.Error("the first was dropped, although it is in use")
		}
		time.Sleep(recall.Fresh + 1)
		if put(50, 100); count() != 10 {
			t.Errorf("%d records are kept; want 10 others", count())
		}
		if _, _, ok := c.Get(record("order-0").Order); ok {
			t.Error("the first is kept for too long")
		}
		if c.Put(record("large"), 1, 60<<10); count() != 10 {
			t.Error("one that has no room took others' place")
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	c := recall.New(20 << 10)
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for n := range 1000 {
				w := record(fmt.Sprint("order-", (n+i)%9))
				c.Put(w, watcher.Revision(n), 100)
				c.Get(w.Order)
				c.Same(w.Order, 3)
				if n%7 == 0 {
					c.Drop(w.Order)
				}
			}
		})
	}
	users.Wait()
}
