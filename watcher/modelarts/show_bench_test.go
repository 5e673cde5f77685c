package modelarts_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/orderwatch/orderwatch/watcher/modelarts/rig"
)

// BenchmarkShow asks for an order over loopback: as most polls find it, unchanged, and with another answer each time.
func BenchmarkShow(b *testing.B) {
	for _, items := range []int{4, 500, 5000} {
		bodies := [2][]byte{orderBody(items, 0), orderBody(items, 1)}
		for name, changes := range map[string]int64{"unchanged": 0, "changed": 1} {
			b.Run(fmt.Sprintf("%d items, %s", items, name), func(b *testing.B) {
				var calls atomic.Int64
				client := newClient(b, config(b, rig.Serve(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Write(bodies[calls.Add(1)%2*changes])
				}))))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := client.Show(b.Context(), region, order("x")); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// orderBody returns the answer about an order of so many items, which were updated so many ms after a time.
func orderBody(items int, updated int64) []byte {
	body := fmt.Appendf(nil, `{"count":%d,"items":[`, items)
	for i := range items {
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"action":"createNode","resourcename":"os-node-created-%d","status":"processing","begintimestamp":1744286228000,"updatetimestamp":%d}`, i, 1744286479000+updated)
	}
	return append(body, "]}"...)
}
