package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
)

// BenchmarkStored measures how many bytes JetStream keeps for a watch, in each stream and bucket: while it is open (open-…),
// and once it has ended and people were told on Slack (ended-…);
// and how many events of progress it had, of which each poll that sees a change makes one. All that is left of an ended watch stays for
// ORDERWATCH_EVENTS_MAX_AGE. The requests have no labels, and nothing fails. Bytes are those of the messages as the server
// writes them, without the holes that those leave which are gone. It takes two minutes, of which waiting is the most:
//
//	go test -run '^$' -bench Stored -benchtime 1x -timeout 30m ./cmd/orderwatch/faults
func BenchmarkStored(b *testing.B) {
	for _, items := range []int{1, 4, 100} {
		b.Run(fmt.Sprintf("items=%d", items), func(b *testing.B) {
			for range b.N {
				benchmarkStored(b, items)
			}
		})
	}
}

func benchmarkStored(b *testing.B, items int) {
	const (
		orders   = 20
		shortest = 15 * time.Second
	)
	slack := slackemulator.New(slackemulator.Options{RateLimit: true})
	slack.AddToken(slackToken, "chat:write", "channels:history", "files:write")
	slack.AddChannel(slackRoom[0], slackemulator.Open)
	door := httptest.NewServer(slack)
	b.Cleanup(door.Close)
	l := newFleeting(orders, items, shortest)
	r := newBenchRig(b, l.cloud, "2m")
	r.serve(b, rig.ServeEnv(r.nats.URL, r.cloudURL, r.addr, "ORDERWATCH_MODELARTS_TIMEOUT=15s",
		"ORDERWATCH_SLACK_TOKEN="+slackToken, "ORDERWATCH_SLACK_CHANNEL="+slackRoom[0], "ORDERWATCH_SLACK_API_URL="+door.URL+"/api/"))

	before := bytesOf(b, r.nats.JS)
	ends := l.publish(b, r.nats.JS, "orders.watch", time.Second)
	rig.Eventually(b, rig.Patience, func() error {
		if n := r.polls.Load(); n < 2*orders { // each was polled, and what that brought was stored
			return fmt.Errorf("%d polls", n)
		}
		return nil
	})
	b.ReportMetric(0, "ns/op") // means nothing here
	reportBytes(b, "open", before, bytesOf(b, r.nats.JS), orders)

	time.Sleep(time.Until(lastOf(ends)))
	awaitTold(b, r.nats.JS, orders)
	reportBytes(b, "ended", before, bytesOf(b, r.nats.JS), orders)
	reportEvents(b, r.nats.JS, orders)
}

// reportBytes reports how many bytes more each stream holds for each of so many watches.
func reportBytes(b *testing.B, state string, before, now map[string]float64, watches float64) {
	b.Helper()
	for stream, bytes := range now {
		b.ReportMetric((bytes-before[stream])/watches, state+"-"+stream+"-B")
	}
}

// bytesOf returns how many bytes each stream holds that grows with the watches.
func bytesOf(t testing.TB, js jetstream.JetStream) map[string]float64 {
	t.Helper()
	bytes := make(map[string]float64)
	for _, name := range []string{"KV_ORDER_WATCHES", "ORDER_WAKEUPS", "ORDER_EVENTS", "KV_ORDER_SLACK"} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		bytes[name] = float64(s.CachedInfo().State.Bytes)
	}
	return bytes
}

// awaitTold waits until so many watches have ended and people were told of all events.
func awaitTold(t testing.TB, js jetstream.JetStream, watches int) {
	t.Helper()
	rig.Eventually(t, 5*time.Minute, func() error {
		events, err := js.Stream(t.Context(), "ORDER_EVENTS")
		if err != nil {
			return err
		}
		if ended, err := messagesOn(t.Context(), events, "orders.completed.>"); err != nil || ended < watches {
			return errors.Join(err, fmt.Errorf("%d watches have ended", ended))
		}
		return eventstest.Settled(t.Context(), js, "ORDER_EVENTS", "slack")
	})
}

// messagesOn returns how many messages a stream holds on the subjects.
func messagesOn(ctx context.Context, s jetstream.Stream, subjects string) (n int, err error) {
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(subjects))
	if err != nil {
		return 0, err
	}
	for _, messages := range info.State.Subjects {
		n += int(messages)
	}
	return n, nil
}

// reportEvents reports how many events of each kind each of so many watches had, and how large their data are.
func reportEvents(b *testing.B, js jetstream.JetStream, watches float64) {
	b.Helper()
	for _, kind := range []string{"progress", "completed"} {
		events, bytes := 0.0, 0.0
		err := rig.ReadStream(b.Context(), js, "ORDER_EVENTS", "orders."+kind+".>", func(m jetstream.Msg) {
			events++
			bytes += float64(len(m.Data()))
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(events/watches, kind+"-events")
		b.ReportMetric(bytes/max(1, events), kind+"-B")
	}
}
