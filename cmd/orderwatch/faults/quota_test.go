package faults_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestQuota publishes requests for new orders while some hundred watches wait for an account that
// is out of quota, and looks how long each takes from its PubAck to its record. TestQuotaLong has
// 10,000 watches and the true bound.
func TestQuota(t *testing.T) {
	t.Parallel()
	for _, q := range quotas {
		t.Run(q.name, func(t *testing.T) {
			t.Parallel()
			newRequestsWhileWaiting(t, q, 400, 10*time.Second)
		})
	}
}

// quotas are the ways in which an account is out of quota.
var quotas = []quota{
	{name: "API throttles", rate: "20", throttles: true},
	{name: "API throttles a high rate", rate: "2000", throttles: true}, // all want to come back at once
	{name: "rate is far too small", rate: "5"},
}

// A quota is why an account may not be asked.
type quota struct {
	name      string
	rate      string // the configured one, of requests a second
	throttles bool   // whether the API answers 429 to all
}

// throttledFor is how long the API asks to be left alone: requests come before and after it is
// asked again.
const throttledFor = 2 * time.Second

// newRequestsWhileWaiting starts 50 watches while so many wait for the account. The median of the
// times from PubAck to record may be no longer than the bound.
func newRequestsWhileWaiting(t *testing.T, q quota, watches int, bound time.Duration) {
	var asked atomic.Int64
	cloud := unending(watches, emulator.Options{CallsKept: 1, Fault: func(emulator.Call) *emulator.Fault {
		asked.Add(1)
		if !q.throttles {
			return nil
		}
		return &emulator.Fault{
			Status: http.StatusTooManyRequests, Code: "APIG.0308", Message: "The throttling threshold has been reached.",
			Header: map[string]string{"Retry-After": fmt.Sprint(throttledFor.Seconds())},
		}
	}})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	n := rig.StartNATS(t, "")
	addr := rig.FreeAddr(t)
	rig.Start(t, rig.Build(t, rig.Worker), steadyEnv(n.URL, modelArts.URL, addr, 20*time.Second, "ORDERWATCH_MODELARTS_RATE="+q.rate), "serve")
	rig.AwaitReady(t, addr)
	fill(t, n.JS, 0, watches)
	awaitWaiting(t, n.JS, watches)

	askedBefore, begin := asked.Load(), time.Now()
	took := startNew(t, n.JS, 50)
	t.Logf("%d watches wait for the account, which was asked %d times in %s: from PubAck to record %s",
		watches, asked.Load()-askedBefore, time.Since(begin).Round(time.Millisecond), spread(took))
	slices.Sort(took)
	median := took[len(took)/2]
	if median > bound {
		t.Errorf("median from PubAck to record: %s; bound %s", median, bound)
	}
}

// awaitWaiting waits until so many wake-ups have been put off.
func awaitWaiting(t *testing.T, js jetstream.JetStream, watches int) {
	t.Helper()
	rig.Eventually(t, 5*time.Minute, func() error {
		stream, err := js.Stream(t.Context(), "ORDER_WAKEUPS")
		if err != nil {
			return err
		}
		waiting, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("orders.waiting.>"))
		if err != nil {
			return err
		}
		if n := len(waiting.State.Subjects); n < watches*9/10 { // some are being asked for, or put off anew
			return fmt.Errorf("%d watches wait", n)
		}
		return nil
	})
}

// startNew publishes so many requests for orders of another project, one each 100 ms, and returns
// how long after its PubAck each had its record.
func startNew(t *testing.T, js jetstream.JetStream, requests int) []time.Duration {
	t.Helper()
	const other = "0123456789abcdef0123456789abcdef" // in the same account
	records, err := js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	written, err := records.Watch(t.Context(), other+".>", jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer written.Stop()
	acked := make(map[string]time.Time)
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for i := range requests {
		body := fmt.Appendf(nil, `{"project_id":%q,"order_name":%q}`, other, orderName(i))
		if _, err := js.Publish(t.Context(), "orders.watch", body); err != nil {
			t.Fatal(err)
		}
		acked[other+"."+orderName(i)] = time.Now()
		<-pace.C
	}
	var took []time.Duration
	for limit := time.After(rig.Patience); len(acked) > 0; {
		select {
		case record := <-written.Updates():
			if at, ok := acked[record.Key()]; ok {
				took = append(took, max(0, record.Created().Sub(at)))
				delete(acked, record.Key())
			}
		case <-limit:
			t.Fatalf("%d requests have no record", len(acked))
		}
	}
	return took
}
