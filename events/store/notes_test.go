package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

func TestNotes(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	n := eventstest.Provided(t, nc, eventstest.StoreConfig())
	const key = "outage.ab12_cn-north-4.C0ONCALL"
	want := func(what, text string, revision watcher.Revision) {
		t.Helper()
		got, at, err := n.Note(t.Context(), key)
		if string(got) != text || at != revision || err != nil {
			t.Errorf("%s: %q at %d (%v); want %q at %d", what, got, at, err, text, revision)
		}
	}
	want("nothing yet", "", 0)
	first, err := n.SetNote(t.Context(), key, []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	want("written", "one", first)
	if _, err := n.SetNote(t.Context(), key, []byte("late"), 0); !errors.Is(err, watcher.ErrConflict) {
		t.Errorf("a slower worker: %v", err)
	}
	second, err := n.SetNote(t.Context(), key, []byte("two"), first)
	if err != nil || second <= first {
		t.Errorf("revision %d after %d (%v)", second, first, err)
	}
	want("written again", "two", second)

	bucket, err := js.KeyValue(t.Context(), "ORDER_SLACK")
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := bucket.Get(t.Context(), key); err != nil || string(entry.Value()) != "two" {
		t.Errorf("as a bucket: %v", err)
	}
	if err := bucket.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	want("deleted", "", second+1)
	if _, err := n.SetNote(t.Context(), key, []byte("three"), second+1); err != nil {
		t.Errorf("after the deletion: %v", err)
	}
	for _, bad := range []string{"", "*", "a.>", "a..b", ".a", "a b", "a.", "ä"} {
		if _, _, err := n.Note(t.Context(), bad); err == nil {
			t.Errorf("key %q was read", bad)
		}
		if _, err := n.SetNote(t.Context(), bad, []byte("x"), 0); err == nil {
			t.Errorf("key %q was written", bad)
		}
	}
}

func TestNotesUnder(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	n := eventstest.Provided(t, nc, eventstest.StoreConfig())
	for _, key := range []string{"watch.w_1.C0A", "watch.w_2.C0A", "watch.w_1.C0B", "watch.w_10.C0A", "watch.w_1", "watch.w_1.C0C"} {
		if _, err := n.SetNote(t.Context(), key, []byte(key), 0); err != nil {
			t.Fatal(err)
		}
	}
	bucket, err := js.KeyValue(t.Context(), "ORDER_SLACK")
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Delete(t.Context(), "watch.w_1.C0C"); err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string][]string{"watch.w_1": {"watch.w_1.C0A", "watch.w_1.C0B"}, "watch.w_2": {"watch.w_2.C0A"}, "watch.w_3": nil} {
		got, err := n.Under(t.Context(), prefix)
		if !slices.Equal(slices.Sorted(maps.Keys(got)), want) || err != nil {
			t.Errorf("%s: %s (%v); want %v", prefix, got, err, want)
		}
		for key, text := range got {
			if string(text) != key {
				t.Errorf("under %s is noted %q", key, text)
			}
		}
	}
	if _, err := n.Under(t.Context(), "watch.*"); err == nil {
		t.Error("notes were read for a wildcard")
	}
}

func TestNotesOfManyAtOnce(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, _ := eventstest.Connect(t, s)
	eventstest.Provided(t, nc, eventstest.StoreConfig())
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		nc, _ := eventstest.Connect(t, s)
		n := eventstest.Store(t, nc, eventstest.StoreConfig(), nil)
		all.Go(func() {
			if _, err := n.SetNote(t.Context(), "outage.x", fmt.Append(nil, i), 0); err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 8 noted it", won.Load())
	}
}
