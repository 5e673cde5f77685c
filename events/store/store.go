package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/recall"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Store keeps records, wake-ups, events, notes and what workers tell each other in JetStream. It is safe for
// concurrent use. Its fields are not to be changed.
type Store struct {
	Config
	JS       jetstream.JetStream // as Calls make it
	Calls    *link.Calls         // of the server
	Clock    *Clock              // the server's time
	*payload                     // the largest message that the server takes

	log      *slog.Logger
	storing  map[string]*storing // by stream: whether it stores what is published
	accounts *Accounts
	asked    *asked        // by teams
	recall   *recall.Cache // what the poller needs not read again

	strangers strangers
}

var (
	_ watcher.Records     = (*Store)(nil)
	_ watcher.Wakeups     = (*Store)(nil)
	_ watcher.Events      = (*Store)(nil)
	_ watcher.Notes       = (*Store)(nil)
	_ watcher.Undelivered = (*Store)(nil)
)

// Open returns the store of an installation on the connection, which stays the caller's. It asks the server for
// nothing: see [Store.Ensure]. One worker opens one store.
func Open(log *slog.Logger, config Config, nc *nats.Conn, clock *Clock) (*Store, error) {
	js, err := link.JetStream(nc, config.Names.API(""), config.Timing.Request)
	if err != nil {
		return nil, err
	}
	calls := link.NewCalls(nc)
	s := &Store{Config: config, JS: calls.JetStream(js, config.Timing.Request), Calls: calls, Clock: clock, log: log, payload: &payload{nc: nc, options: nc.Opts}, storing: make(map[string]*storing)}
	n := config.Names
	for _, stream := range []string{n.RecordStream(), n.WakeupStream(), n.EventStream(), n.AccountStream(), n.NoteStream()} {
		s.storing[stream] = &storing{log: log, stream: stream}
	}
	s.accounts, s.asked, s.recall = newAccounts(s), newAsked(), recall.New(cmp.Or(config.Recall, recallBytes))
	return s, nil
}

// Accounts returns what this worker and the others tell each other.
func (s *Store) Accounts() *Accounts { return s.accounts }

// Trouble returns why a stream did not store the last message that was published there, if that was since the time;
// nil where all streams stored theirs.
func (s *Store) Trouble(since time.Time) error {
	for stream, storing := range s.storing {
		if trouble := storing.trouble(since); trouble != nil {
			return fmt.Errorf("stream %s does not store what is published: %w", stream, trouble)
		}
	}
	return nil
}

// A Stored is a message as the server keeps it.
type Stored struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Data     []byte    `json:"data"`
	Headers  []byte    `json:"hdrs"` // as they were sent
	Time     time.Time `json:"time"` // when it was stored

	Refused bool `json:"-"` // [Store.Value] left the data out, since no worker wrote it
}

// Last returns the last message on the subject, or the last of all on it where it has wildcards,
// as the stream's leader sees it. Where there is none, the message is the zero one.
func (s *Store) Last(ctx context.Context, stream, subject string) (Stored, error) {
	return s.read(ctx, stream, map[string]any{"last_by_subj": subject}, subject)
}

// Get returns the message with the sequence, as Last does.
func (s *Store) Get(ctx context.Context, stream string, sequence uint64) (Stored, error) {
	return s.read(ctx, stream, map[string]any{"seq": sequence}, fmt.Sprintf("message %d", sequence))
}

// Next returns the first message on the subject from the sequence on, as Last does.
func (s *Store) Next(ctx context.Context, stream, subject string, from uint64) (Stored, error) {
	return s.read(ctx, stream, map[string]any{"seq": from, "next_by_subj": subject}, subject)
}

// Each yields the messages on the subject, oldest first, as Last does. It ends with the first error.
func (s *Store) Each(ctx context.Context, stream, subject string) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		for from := uint64(1); ; {
			m, err := s.Next(ctx, stream, subject, from)
			if err == nil && m.Sequence == 0 || !yield(m, err) || err != nil {
				return
			}
			from = m.Sequence + 1
		}
	}
}

// Subjects returns how many messages the stream has on each of its subjects that the filter matches.
func (s *Store) Subjects(ctx context.Context, stream, filter string) (counts map[string]uint64, err error) {
	at, err := s.JS.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	err = s.Calls.Make(ctx, s.Timing.Request, func(ctx context.Context) error {
		info, err := at.Info(ctx, jetstream.WithSubjectFilter(filter))
		if err == nil {
			counts = info.State.Subjects
		}
		return err
	})
	return counts, err
}

func (s *Store) read(ctx context.Context, stream string, which map[string]any, what string) (Stored, error) {
	question, err := json.Marshal(which)
	if err != nil {
		return Stored{}, err
	}
	reply, err := s.ask(ctx, "STREAM.MSG.GET."+stream, question)
	if err != nil {
		return Stored{}, fmt.Errorf("read %s from %s: %w", what, stream, err)
	}
	var answer struct {
		Message Stored              `json:"message"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return Stored{}, fmt.Errorf("read %s from %s: %w", what, stream, err)
	}
	switch {
	case answer.Error == nil && answer.Message.Sequence == 0:
		return Stored{}, fmt.Errorf("read %s from %s: the answer holds no message", what, stream)
	case answer.Error != nil && !notThere(answer.Error):
		return Stored{}, fmt.Errorf("read %s from %s: %w", what, stream, answer.Error)
	}
	return answer.Message, nil
}

// ask calls the JetStream API.
func (s *Store) ask(ctx context.Context, call string, question []byte) (reply *nats.Msg, err error) {
	err = s.Calls.Make(ctx, s.Timing.Request, func(ctx context.Context) error {
		reply, err = s.JS.Conn().RequestWithContext(ctx, s.Names.API(call), question)
		return err
	})
	return reply, err
}

// Publish stores the message in the stream and returns its sequence. What is too large for the server as it
// is now is not sent: the error is nats.ErrMaxPayload.
func (s *Store) Publish(ctx context.Context, stream string, m *nats.Msg, expect ...jetstream.PublishOpt) (uint64, error) {
	if !s.Fits(ctx, len(m.Data)) {
		return 0, fmt.Errorf("publish %d bytes on %s: NATS takes %d with headers: %w", len(m.Data), m.Subject, s.Limit(), nats.ErrMaxPayload)
	}
	begin := time.Now()
	ack, err := s.JS.PublishMsg(ctx, m, expect...)
	if storing, ok := s.storing[stream]; ok { // the bucket of how long orders take keeps nobody from being ready
		storing.published(begin, time.Now(), err)
	}
	if err != nil {
		return 0, fmt.Errorf("publish on %s: %w", m.Subject, published(err))
	}
	return ack.Sequence, nil
}

// Put writes a key of a bucket, given its stream and its subject, and returns its revision. It expects the key's last
// revision, 0 for none.
func (s *Store) Put(ctx context.Context, stream, subject string, value []byte, revision uint64) (uint64, error) {
	return s.Publish(ctx, stream, s.marked(subject, value), jetstream.WithExpectLastSequencePerSubject(revision))
}

// Delete deletes a key of a bucket, given its stream and its subject, whatever is there.
func (s *Store) Delete(ctx context.Context, stream, subject string) (uint64, error) {
	m := s.marked(subject, nil)
	m.Header.Set(kvOperation, "DEL")
	return s.Publish(ctx, stream, m)
}

// Written yields what workers wrote last under the keys of a bucket, given its stream, from the sequence on. Any server of
// the stream may answer, also one that is behind. What was deleted, or was not written by a worker, has no data. It ends with the first
// error.
func (s *Store) Written(ctx context.Context, stream string, from uint64) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		for m, err := range s.messages(ctx, stream, "", jetstreamext.GetBatchSeq(max(from, 1))) {
			if err != nil {
				yield(Stored{}, err)
				return
			}
			written := Stored{Subject: m.Subject, Sequence: m.Sequence, Data: m.Data, Time: m.Time}
			if why := foreign(m.Subject, m.Header, m.Data); why != "" {
				s.strangers.tell(s.log, written, why)
				written.Data, written.Refused = nil, true
			}
			if !yield(written, nil) {
				return
			}
		}
	}
}
