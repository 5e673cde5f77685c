package faults_test

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// cloudFaults are what ModelArts, or what stands before it, may do at a poll. Each is met at the
// second poll of an order, and again at the fourth.
var cloudFaults = map[string]emulator.Fault{
	"slower than the timeout":          {Delay: 1500 * time.Millisecond},
	"no answer":                        {Hang: true},
	"dripping":                         {Drip: 200 * time.Millisecond},
	"reset":                            {Cut: true},
	"cut in the middle":                {Cut: true, CutAfter: 20},
	"HTML with 200":                    {Body: "<html><body>maintenance</body></html>"},
	"no body":                          {Status: http.StatusServiceUnavailable, Shape: emulator.Empty},
	"500 as HTML":                      {Status: http.StatusInternalServerError, Shape: emulator.HTML},
	"502":                              {Status: http.StatusBadGateway, Shape: emulator.HTML},
	"500 as documented":                {Status: http.StatusInternalServerError, Code: "ModelArts.50005000", Message: "Internal error."},
	"404 of a gateway":                 {Status: http.StatusNotFound, Code: "APIG.0101", Message: "The API does not exist"},
	"404 of the order":                 {Status: http.StatusNotFound, Code: "ModelArts.50015001", Message: "Order not found."},
	"1 GB":                             {Pad: 1 << 30},
	"a redirect to itself":             {Status: http.StatusFound, Header: map[string]string{"Location": "/v1/p/orders/o"}},
	"another schema":                   {Body: `{"count":"many","items":{"a":1}}`},
	"a list":                           {Body: `[]`},
	"no items":                         {Body: `{"count":0,"items":[]}`},
	"items that vanish":                {Body: `{"count":1,"items":[{"resourceName":"node-0","status":"processing"}]}`},
	"ended, and then running again":    {Body: `{"count":1,"items":[{"resourceName":"node-0","status":"succeed"}]}`},
	"an unknown status":                {Body: `{"count":1,"items":[{"resourceName":"node-0","status":"paused"}]}`},
	"429 without Retry-After":          {Status: http.StatusTooManyRequests, Code: "APIG.0308", Message: "The throttling threshold has been reached"},
	"429 with Retry-After":             {Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "1"}},
	"429 with a Retry-After of no use": {Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "soon"}},
}

// TestCloudFaults lets each order meet one of the faults, beside orders that meet none: every watch
// ends by what its order became, and no poll is made that has no cause.
func TestCloudFaults(t *testing.T) {
	t.Parallel()
	l := newLoad(2*len(cloudFaults)+4, 2*time.Second, 6)
	names := slices.Sorted(maps.Keys(cloudFaults))
	orders := slices.Sorted(maps.Keys(l.orders))
	for i, order := range orders[:min(len(orders), len(names))] {
		first, later := cloudFaults[names[i]], cloudFaults[names[i]]
		first.FromPoll, first.ToPoll = 2, 2
		later.FromPoll, later.ToPoll = 4, 4
		if first.Cut {
			l.cuts += 2
		}
		script := l.orders[order].script
		script.Faults = []emulator.Fault{first, later}
		l.cloud.Add(rig.Project, order, script)
	}
	if len(orders) <= len(names) {
		t.Fatalf("%d orders for %d faults; want some without", len(orders), len(names))
	}
	n := rig.StartNATS(t, "")
	f := startFleet(t, n.URL, l, 2, "FAULT_SPEED=50", `FAULT_TIMING={"Unreachable":"1h"}`) // so many faults at once hold the account
	f.run(t, n.JS, l, func(*rand.Rand) {})
}
