package watcher_test

import (
	"fmt"
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
)

// BenchmarkFold folds an answer into a record: one that shows nothing new, and one that shows an item that
// has changed.
func BenchmarkFold(b *testing.B) {
	p := policy()
	for _, items := range []int{4, 500, 5000} {
		for name, changed := range map[string]int{"same": 0, "one changed": 1} {
			b.Run(fmt.Sprint(items, "/", name), func(b *testing.B) {
				a := crowd(items, processing, "", "")
				a.Count++
				w, _ := p.Fold(admit(b, p, request("build-1")), a, nil, begin)
				w = stored(b, w, p.MaxPayload)
				for i := range changed {
					a.Items[i].Status = watcher.Succeed
				}
				b.ReportAllocs()
				for b.Loop() {
					p.Fold(w, a, nil, w.NextPollAt)
				}
			})
		}
	}
}
