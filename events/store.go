package events

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A store keeps records, wake-ups and events in JetStream. It implements watcher.Records,
// watcher.Wakeups and watcher.Events, and is safe for concurrent use.
type store struct {
	names     wire.Names
	js        jetstream.JetStream
	timing    Timing
	now       func() time.Time
	payload   *payload              // the largest message that the server takes
	completed func(watcher.Outcome) // is told of each completion that was published here
	storing   map[string]*storing   // by stream: whether it stores what is published
}

var (
	_ watcher.Records = (*store)(nil)
	_ watcher.Wakeups = (*store)(nil)
	_ watcher.Events  = (*store)(nil)
)

func newStore(log *slog.Logger, config Config, js jetstream.JetStream, clock *Clock) *store {
	s := &store{names: config.Names, js: js, timing: config.Timing, now: clock.Now, payload: &payload{nc: js.Conn()}, storing: make(map[string]*storing)}
	for _, stream := range []string{s.names.RecordStream(), s.names.WakeupStream(), s.names.EventStream(), s.names.AccountStream(), s.names.NoteStream()} {
		s.storing[stream] = &storing{log: log, stream: stream}
	}
	return s
}

// A stored is a message as the server keeps it.
type stored struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"` // when it was stored
}

// last returns the last message on the subject, or the last of all on it where it has wildcards,
// as the stream's leader sees it. Where there is none the error is jetstream.ErrMsgNotFound.
func (s *store) last(ctx context.Context, stream, subject string) (stored, error) {
	return s.read(ctx, stream, map[string]any{"last_by_subj": subject}, subject)
}

// get returns the message with the sequence, as last does.
func (s *store) get(ctx context.Context, stream string, sequence uint64) (stored, error) {
	return s.read(ctx, stream, map[string]any{"seq": sequence}, fmt.Sprintf("message %d", sequence))
}

// next returns the first message on the subject from the sequence on, as last does.
func (s *store) next(ctx context.Context, stream, subject string, from uint64) (stored, error) {
	return s.read(ctx, stream, map[string]any{"seq": from, "next_by_subj": subject}, subject)
}

func (s *store) read(ctx context.Context, stream string, which map[string]any, what string) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.Request)
	defer cancel()
	ask, err := json.Marshal(which)
	if err != nil {
		return stored{}, err
	}
	reply, err := s.js.Conn().RequestWithContext(ctx, s.names.API("STREAM.MSG.GET."+stream), ask)
	if err != nil {
		return stored{}, fmt.Errorf("read %s from %s: %w", what, stream, err)
	}
	var answer struct {
		Message stored              `json:"message"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return stored{}, fmt.Errorf("read %s from %s: %w", what, stream, err)
	}
	if answer.Error != nil && notThere(answer.Error) {
		return stored{}, jetstream.ErrMsgNotFound
	}
	if answer.Error != nil {
		return stored{}, fmt.Errorf("read %s from %s: %w", what, stream, answer.Error)
	}
	return answer.Message, nil
}

// headerRoom is more than the headers of any message of this program, in bytes.
const headerRoom = 2 << 10

// publish stores the message in the stream and returns its sequence. What is too large for the server as it
// is now is not sent: the error is nats.ErrMaxPayload.
func (s *store) publish(ctx context.Context, stream string, m *nats.Msg, expect ...jetstream.PublishOpt) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.Request)
	defer cancel()
	if !s.payload.fits(ctx, len(m.Data)+headerRoom) {
		return 0, fmt.Errorf("publish %d bytes on %s: NATS takes %d with headers: %w", len(m.Data), m.Subject, s.payload.limit(), nats.ErrMaxPayload)
	}
	begin := time.Now()
	ack, err := s.js.PublishMsg(ctx, m, expect...)
	s.storing[stream].published(begin, time.Now(), err, s.js.Conn().IsConnected())
	if err != nil {
		return 0, fmt.Errorf("publish on %s: %w", m.Subject, published(err))
	}
	return ack.Sequence, nil
}
