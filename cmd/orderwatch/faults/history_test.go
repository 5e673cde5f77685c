package faults_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A history is what went in and what came of it, as others than the workers saw it.
type history struct {
	orders    map[string]scripted // by name: what the cloud does
	published map[string]string   // the order's name by request id: what may have been stored
	accepted  map[string]bool     // by request id: what has a PubAck
	calls     []emulator.Call     // what the cloud was asked, oldest first
	events    []storedMessage     // ORDER_EVENTS, oldest first
	records   []storedMessage     // ORDER_WATCHES
	told      told                // what Slack says
	usages    []workerUsage       // of the workers, when all was done
	outputs   []string            // of the workers, those that were killed too
	secrets   []string            // what no output may show
	faults    int                 // signals that workers and, fourfold, servers were sent; connections that the cloud cut
	left      map[string][]string // what is left in streams that must be empty, by stream
	ghosts    int                 // watches that only the patrol could wake
}

// A workerUsage is what a worker says of itself.
type workerUsage struct {
	goroutines, descriptors, memory float64 // memory in MiB, resident
}

// A storedMessage is a message as a stream keeps it.
type storedMessage struct {
	subject string
	header  nats.Header
	body    []byte
	at      time.Time
}

// A scripted order is what the cloud will say of it, and so what must come out.
type scripted struct {
	script  emulator.Order
	outcome watcher.Outcome
	counts  watcher.Counts
}

// end is when the last item has ended, counted from the first poll.
func (s scripted) end() time.Duration {
	var end time.Duration
	for _, item := range s.script.Items {
		end = max(end, item.AppearAfter, item.EndAfter)
	}
	return end
}

// serverFaults is for how many faults the death of a server counts: until a stream has a leader again,
// a poll is repeated after each publish that timed out.
const serverFaults = 4

// recordHistory reads what the streams hold, from servers that have caught up, and what the others
// kept.
func recordHistory(t *testing.T, js jetstream.JetStream, l *load, f *fleet) history {
	t.Helper()
	h := history{
		orders: l.orders, published: l.published, accepted: l.accepted(), calls: l.cloud.Calls(), left: make(map[string][]string), ghosts: f.ghosts,
		told: f.told(), usages: f.usages(t), outputs: f.outputs(), secrets: planted,
		faults: int(f.workerKills.Load()+f.sleeps.Load()+serverFaults*f.serverKills.Load()) + l.cuts,
	}
	h.events = wholeStream(t, js, "ORDER_EVENTS", "orders.>")
	h.records = wholeStream(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>")
	for _, name := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS"} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		h.left[name] = leftIn(t, s)
	}
	return h
}

// completed returns the events that are completions.
func (h history) completed() []storedMessage {
	return slices.DeleteFunc(slices.Clone(h.events), func(m storedMessage) bool { return !strings.HasPrefix(m.subject, "orders.completed.") })
}

// leftIn shows each message that the stream holds, oldest first. No other consumer may read such a stream.
func leftIn(t *testing.T, s jetstream.Stream) (left []string) {
	t.Helper()
	for sequence := uint64(1); ; {
		m, err := s.GetMsg(t.Context(), sequence, jetstream.WithGetMsgSubject(">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return left
		}
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, fmt.Sprintf("%s %.300s", m.Subject, m.Data))
		sequence = m.Sequence + 1
	}
}

// wholeStream returns all messages on the subject, as many as the stream's leader counts: whoever
// answers may be behind.
func wholeStream(t testing.TB, js jetstream.JetStream, stream, subject string) []storedMessage {
	t.Helper()
	var messages []storedMessage
	rig.Eventually(t, 5*time.Minute, func() error {
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			return err
		}
		counts, err := s.Info(t.Context(), jetstream.WithSubjectFilter(subject))
		if err != nil {
			return err
		}
		var want uint64
		for _, n := range counts.State.Subjects {
			want += n
		}
		messages = nil
		err = rig.ReadStream(t.Context(), js, stream, subject, func(m jetstream.Msg) {
			s := storedMessage{subject: m.Subject(), header: m.Headers(), body: m.Data()}
			if meta, err := m.Metadata(); err == nil {
				s.at = meta.Timestamp
			}
			messages = append(messages, s)
		})
		if err != nil {
			return err
		}
		if uint64(len(messages)) != want {
			return fmt.Errorf("%s: %d messages read; it has %d", stream, len(messages), want)
		}
		return nil
	})
	for _, m := range messages {
		rig.JudgeEvent(t, stream, m.subject, m.header, m.body)
	}
	return messages
}
