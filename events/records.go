package events

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/watcher"
)

// directLast returns the last message on the subject from whichever server answers first.
func (s *store) directLast(ctx context.Context, stream, subject string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.Request)
	defer cancel()
	reply, err := s.js.Conn().RequestWithContext(ctx, s.names.api("DIRECT.GET."+stream+"."+subject), nil)
	if err != nil {
		return nil, fmt.Errorf("read %s from %s: %w", subject, stream, err)
	}
	switch status := reply.Header.Get("Status"); status {
	case "":
		return reply, nil
	case "404":
		return nil, jetstream.ErrMsgNotFound
	default:
		return nil, fmt.Errorf("read %s from %s: %s %s", subject, stream, status, reply.Header.Get("Description"))
	}
}

func (s *store) Read(ctx context.Context, order watcher.Order) (watcher.Watch, watcher.Revision, error) {
	m, err := s.directLast(ctx, s.names.recordStream(), s.names.record(order.Key()))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return watcher.Watch{}, 0, watcher.ErrNoRecord
	}
	if err != nil {
		return watcher.Watch{}, 0, err
	}
	sequence, err := sequenceOf(m.Header)
	if err != nil {
		return watcher.Watch{}, 0, fmt.Errorf("read record of %s: %w", order, err)
	}
	return decodeRecord(order, m.Data, sequence)
}

func (s *store) ReadLatest(ctx context.Context, order watcher.Order) (watcher.Watch, watcher.Revision, error) {
	m, err := s.last(ctx, s.names.recordStream(), s.names.record(order.Key()))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return watcher.Watch{}, 0, watcher.ErrNoRecord
	}
	if err != nil {
		return watcher.Watch{}, 0, err
	}
	return decodeRecord(order, m.Data, m.Sequence)
}

// decodeRecord reads what the bucket holds for an order: a record, or, without data, the marker of
// its deletion.
func decodeRecord(order watcher.Order, encoded []byte, sequence uint64) (watcher.Watch, watcher.Revision, error) {
	revision := watcher.Revision(sequence)
	if len(encoded) == 0 {
		return watcher.Watch{}, revision, watcher.ErrNoRecord
	}
	w, err := watcher.DecodeWatch(encoded)
	if err == nil && w.Order != order {
		err = fmt.Errorf("it is the record of %s", w.Order)
	}
	if err != nil {
		return watcher.Watch{}, 0, fmt.Errorf("read record of %s: %w", order, err)
	}
	return w, revision, nil
}

func (s *store) Write(ctx context.Context, w watcher.Watch, revision watcher.Revision) (watcher.Revision, error) {
	encoded, err := watcher.EncodeWatch(w, s.maxPayload)
	if err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: s.names.writeRecord(w.Key()), Data: encoded}
	sequence, err := s.publish(ctx, s.names.recordStream(), m, jetstream.WithExpectLastSequencePerSubject(uint64(revision)))
	passed(string(w.State), "stored", err)
	return watcher.Revision(sequence), err
}
