package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// ErrUnfit marks an error that no waiting mends: to go on with the server, a stream or a consumer as it is would lose
// or repeat work.
var ErrUnfit = errors.New("not fit to work with")

// Versions of nats-server.
const (
	OldestServer      = "2.12" // the first that has scheduled messages
	RecommendedServer = "2.14" // has its fixes to them
)

// What the server says of a stream that it does not create: another stream has its subjects; it stands alone, and keeps one copy;
// its cluster has too few servers.
const (
	subjectsOverlap = jetstream.ErrorCode(10065)
	standsAlone     = jetstream.ErrorCode(10074)
	tooFewServers   = jetstream.ErrorCode(10005)
)

// notProvided says what to do about something that is missing and that the store may not create.
const notProvided = "ORDERWATCH_PROVISION is false: run orderwatch provision, as a NATS user that may create it"

// minRetention is how much longer than the longest watch records and events must be kept.
const minRetention = 7 * 24 * time.Hour

// accountsMaxAge is how long the last sign of a worker is kept that died: the server hands out at most 1,024 keys at
// once. A hold is rewritten after 15 minutes at the most.
const accountsMaxAge = time.Hour

// stream returns what all streams have in common.
func (c Config) stream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Storage: jetstream.FileStorage, Replicas: c.Replicas,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1,
		AllowDirect: true,
	}
}

// bucket returns the stream of a bucket.
func (c Config) bucket(name, subjects, description string, maxAge time.Duration) jetstream.StreamConfig {
	b := c.stream()
	b.Name, b.Subjects, b.Description, b.MaxAge = name, []string{subjects}, description, maxAge
	b.MaxMsgsPerSubject, b.Discard, b.AllowRollup, b.DenyDelete = 1, jetstream.DiscardNew, true, true
	return b
}

// Streams returns the streams as they are wanted, without which no worker works.
func (c Config) Streams() []jetstream.StreamConfig {
	n, stream := c.Names, c.stream()
	requests, wakeups, events := stream, stream, stream

	requests.Name, requests.Subjects = n.RequestStream(), n.Requests()
	requests.Description = "Requests to watch ModelArts orders"
	requests.Retention, requests.Discard = jetstream.WorkQueuePolicy, jetstream.DiscardNew
	requests.MaxMsgSize = 80 << 10
	requests.Duplicates = 100 * time.Millisecond // the smallest: intake does the deduplication

	wakeups.Name, wakeups.Subjects = n.WakeupStream(), []string{n.Waiting(">"), n.Due(">")}
	wakeups.Description = "Wake-ups of orderwatch: scheduled and due"
	wakeups.Retention, wakeups.Discard = jetstream.WorkQueuePolicy, jetstream.DiscardOld // no limit: nothing is discarded
	wakeups.AllowMsgSchedules, wakeups.AllowRollup = true, true

	events.Name = n.EventStream()
	events.Subjects = []string{n.Subjects + ".completed.>", n.Progress(">"), n.Rejected(), n.Subjects + ".attention.>", n.Subjects + ".undelivered.>"}
	events.Description = "What became of watches"
	events.MaxAge, events.DenyDelete, events.DenyPurge = c.MaxAge, true, true

	return []jetstream.StreamConfig{
		requests,
		c.bucket(n.RecordStream(), n.Record(">"), "One record for each watch of orderwatch", c.MaxAge),
		c.bucket(n.AccountStream(), n.Account(">"), "What the workers of orderwatch tell each other", accountsMaxAge),
		c.bucket(n.NoteStream(), n.Note(">"), "What orderwatch posted where", c.MaxAge),
		events,
		wakeups,
	}
}

// consumer returns what all consumers have in common.
func (c Config) consumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, AckWait: c.Timing.AckWait, MaxDeliver: -1, MaxAckPending: -1}
}

// History returns the bucket of how long orders take, and the consumer of events that fills it, as they are wanted. Workers
// work without them, too. One event at a time is taken, in the order of the events: each value says which it has last.
func (c Config) History() (bucket jetstream.StreamConfig, consumer jetstream.ConsumerConfig) {
	n := c.Names
	consumer = c.consumer()
	consumer.Durable, consumer.MaxAckPending, consumer.FilterSubjects = wire.HistoryConsumer, 1, []string{n.Subjects + ".completed.>"}
	return c.bucket(n.HistoryStream(), n.History(">"), "How long the orders that orderwatch watched take", c.MaxAge), consumer
}

// HistoryNeeds returns the subjects that a worker must be allowed to publish on to know how long orders take, beside those
// that it needs anyway.
func (c Config) HistoryNeeds() []string {
	n := c.Names
	at := n.EventStream() + "." + wire.HistoryConsumer
	var needs []string
	if c.Provision {
		needs = []string{n.API("STREAM.CREATE." + n.HistoryStream()), n.API("CONSUMER.CREATE." + at)}
	}
	needs = append(needs,
		n.API("STREAM.INFO."+n.HistoryStream()), n.API("CONSUMER.INFO."+at), n.API("CONSUMER.MSG.NEXT."+at),
		"$JS.ACK."+at+".>", "$JS.ACK.*.*."+at+".>", n.Write(n.History(">")),
	)
	return append(needs, n.Reads(n.HistoryStream())...)
}

// EnsureHistory makes sure of the bucket and its consumer, as [Store.Ensure] does of what no worker works without.
func (s *Store) EnsureHistory(ctx context.Context, heard Listener) error {
	bucket, consumer := s.History()
	stream, err := s.ensureStream(ctx, heard, bucket)
	if err == nil {
		err = report(heard, "stream "+bucket.Name, s.CompareStream(bucket, stream.CachedInfo().Config))
	}
	if err != nil {
		return err
	}
	events, err := s.JS.Stream(ctx, s.Names.EventStream())
	if err != nil {
		return fmt.Errorf("look for stream %s: %w", s.Names.EventStream(), err)
	}
	return s.ensureConsumer(ctx, heard, events, consumer)
}

// Consumers returns the consumers as they are wanted, by stream, without which no worker works.
func (c Config) Consumers() map[string]jetstream.ConsumerConfig {
	n, consumer := c.Names, c.consumer()
	intake, poller, slack := consumer, consumer, consumer
	poller.AckWait = c.LeastAckWait()
	intake.Durable, intake.FilterSubjects = wire.IntakeConsumer, n.Requests()
	poller.Durable, poller.FilterSubjects = wire.PollerConsumer, []string{n.Due(">")}
	slack.Durable, slack.DeliverPolicy = wire.SlackConsumer, jetstream.DeliverNewPolicy
	slack.FilterSubjects = []string{n.Subjects + ".completed.>", n.Progress(">"), n.Subjects + ".attention.>"}
	return map[string]jetstream.ConsumerConfig{
		n.RequestStream(): intake, n.WakeupStream(): poller, n.EventStream(): slack,
	}
}

// LeastAckWait is the AckWait of the poller: two calls of ModelArts and a second.
func (c Config) LeastAckWait() time.Duration { return 2*c.PollTimeout + time.Second }

// checkServer refuses a server that is too old or takes too little: limit is its max_payload now.
func checkServer(nc *nats.Conn, limit int) error {
	version := nc.ConnectedServerVersion()
	if version == "" {
		return link.ErrNotConnected // since a moment ago
	}
	if !AtLeast(version, OldestServer) {
		return fmt.Errorf("nats-server %s has no scheduled messages: %s or later is needed, 2.14 or later recommended: %w", version, OldestServer, ErrUnfit)
	}
	if limit < watcher.MinPayload {
		return fmt.Errorf("nats-server's max_payload is %d bytes: records need at least %d, 1048576 is recommended: %w", limit, watcher.MinPayload, ErrUnfit)
	}
	return nil
}

// AtLeast compares the first two numbers of versions of nats-server.
func AtLeast(version, least string) bool {
	numbers := func(v string) [2]int {
		parts := append(strings.SplitN(v, ".", 3), "", "")
		major, _ := strconv.Atoi(parts[0])
		minor, _ := strconv.Atoi(parts[1])
		return [2]int{major, minor}
	}
	v, l := numbers(version), numbers(least)
	return slices.Compare(v[:], l[:]) >= 0
}

// A harmlessError says what is not as it must be where all was looked at and messages may be taken: a consumer is
// paused, or the stream of requests is unfit, which may drop some that nobody takes.
type harmlessError struct{ error }

func (e harmlessError) Unwrap() error { return e.error }

// Harmless reports whether the error of [Store.Ensure] leaves nothing wrong with taking messages; nil is harmless.
func Harmless(err error) bool {
	_, ok := errors.AsType[harmlessError](err)
	return ok || err == nil
}

// Ensure checks the server, creates the streams and consumers that are missing, where it may, and checks those that
// are there. It never alters one. Where only is not empty it looks at that stream alone: others may be without a leader,
// and not answer. A [link.ErrNotConnected] goes before all other errors, then an [ErrUnfit], then what is missing.
func (s *Store) Ensure(ctx context.Context, heard Listener, only string) error {
	if !s.JS.Conn().IsConnected() {
		return link.ErrNotConnected
	}
	if err := checkServer(s.JS.Conn(), s.Limit()); err != nil {
		return err
	}
	var missing, passing error
	for _, wanted := range s.Streams() {
		if only != "" && wanted.Name != only {
			continue
		}
		switch err := s.ensureOne(ctx, heard, wanted); {
		case err == nil:
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
			missing = cmp.Or(missing, err)
		case Harmless(err):
			passing = cmp.Or(passing, err)
		default:
			return err
		}
	}
	return cmp.Or(missing, passing)
}

// ensureOne does so for one stream and its consumer.
func (s *Store) ensureOne(ctx context.Context, heard Listener, wanted jetstream.StreamConfig) error {
	stream, err := s.ensureStream(ctx, heard, wanted)
	if err != nil {
		return err
	}
	unfit := report(heard, "stream "+wanted.Name, s.CompareStream(wanted, stream.CachedInfo().Config))
	consumer, ok := s.Consumers()[wanted.Name]
	if !ok {
		return unfit
	}
	err = s.ensureConsumer(ctx, heard, stream, consumer)
	if unfit != nil && wanted.Name == s.Names.RequestStream() {
		return cmp.Or(err, error(harmlessError{unfit}))
	}
	return cmp.Or(unfit, err)
}

func (s *Store) ensureStream(ctx context.Context, heard Listener, wanted jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := s.JS.Stream(ctx, wanted.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && s.Provision {
		stream, err = s.JS.CreateStream(ctx, wanted)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another worker was quicker
			stream, err = s.JS.Stream(ctx, wanted.Name)
		} else if err == nil {
			heard.Made("stream " + wanted.Name)
		}
	}
	switch api, ok := errors.AsType[*jetstream.APIError](err); {
	case err == nil:
		return stream, nil
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return nil, fmt.Errorf("look for stream %s: JetStream is not enabled, or is starting: %w", wanted.Name, err)
	case ok && api.ErrorCode == subjectsOverlap:
		return nil, fmt.Errorf("create stream %s: another stream has its subjects; installations in one account differ in their subject and stream prefixes: %w (%w)", wanted.Name, err, ErrUnfit)
	case ok && (api.ErrorCode == standsAlone || api.ErrorCode == tooFewServers):
		return nil, fmt.Errorf("create stream %s: %w: ORDERWATCH_STREAM_REPLICAS is %d, and needs a cluster of as many servers with JetStream; on one server it must be 1", wanted.Name, err, wanted.Replicas)
	case errors.Is(err, jetstream.ErrStreamNotFound) && !s.Provision:
		return nil, fmt.Errorf("look for stream %s: %w: %s", wanted.Name, err, notProvided)
	}
	return nil, fmt.Errorf("look for stream %s: %w", wanted.Name, err)
}

func (s *Store) ensureConsumer(ctx context.Context, heard Listener, stream jetstream.Stream, wanted jetstream.ConsumerConfig) error {
	name := "consumer " + wanted.Durable + " of " + stream.CachedInfo().Config.Name
	consumer, err := stream.Consumer(ctx, wanted.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) && s.Provision {
		if wanted, err = s.beginWhere(ctx, stream, wanted); err != nil {
			return err
		}
		consumer, err = stream.CreateConsumer(ctx, wanted)
		if errors.Is(err, jetstream.ErrConsumerExists) {
			consumer, err = stream.Consumer(ctx, wanted.Durable)
		} else if err == nil {
			heard.Made(name)
		}
	}
	if errors.Is(err, jetstream.ErrConsumerNotFound) && !s.Provision {
		return fmt.Errorf("look for %s: %w: %s", name, err, notProvided)
	}
	if err != nil {
		return fmt.Errorf("look for %s: %w", name, err)
	}
	if info := consumer.CachedInfo(); info.Paused {
		until := "somebody resumes it"
		if info.Config.PauseUntil != nil {
			until = info.Config.PauseUntil.UTC().Format(time.RFC3339)
		}
		return harmlessError{fmt.Errorf("%s is paused until %s; resume it with nats consumer resume", name, until)}
	}
	return report(heard, name, s.CompareConsumer(wanted, consumer.CachedInfo().Config))
}

// A Difference is a setting that is not as wanted.
type Difference struct {
	Setting       string
	Wanted, Found any
	Fatal         bool   // going on would lose or repeat work
	Do            string // the command that changes it, where it is always the same; empty otherwise
}

// A Listener is told what [Store.Ensure] does and finds.
type Listener struct {
	Made    func(asset string)               // one was missing and is there now
	Differs func(asset string, d Difference) // in a way that is not fatal
}

// report tells of the differences. The error, an ErrUnfit, names the fatal ones.
func report(heard Listener, asset string, differences []Difference) error {
	var fatal []error
	for _, d := range differences {
		if d.Fatal {
			fatal = append(fatal, fmt.Errorf("%s: %s is %v; wanted is %v: %w", asset, d.Setting, d.Found, d.Wanted, ErrUnfit))
			continue
		}
		heard.Differs(asset, d)
	}
	return errors.Join(fatal...)
}

// CompareStream lists how a stream differs from what is wanted of it.
func (c Config) CompareStream(wanted, found jetstream.StreamConfig) []Difference {
	var list []Difference
	requests, wakeups := wanted.Name == c.Names.RequestStream(), wanted.Name == c.Names.WakeupStream()

	compare(&list, "retention", wanted.Retention, found.Retention, true)
	compare(&list, "storage", wanted.Storage, found.Storage, true)
	if requests && slices.Equal(found.Subjects, []string{c.Names.Watch()}) {
		list = append(list, c.withoutTeams("subjects", "nats stream edit "+wanted.Name, " --subjects "))
	} else {
		compare(&list, "subjects", sorted(wanted.Subjects), sorted(found.Subjects), true)
	}
	compare(&list, "discard", wanted.Discard, found.Discard, requests)
	compare(&list, "max_msgs", wanted.MaxMsgs, limit(found.MaxMsgs), !requests)
	compare(&list, "max_bytes", wanted.MaxBytes, limit(found.MaxBytes), !requests)
	// This one drops the oldest message also where a stream discards new ones, and all requests have one subject.
	compare(&list, "max_msgs_per_subject", wanted.MaxMsgsPerSubject, limit(found.MaxMsgsPerSubject), !requests || !found.DiscardNewPerSubject)
	compare(&list, "max_msg_size", wanted.MaxMsgSize, limit(found.MaxMsgSize), !requests)
	compare(&list, "max_age", wanted.MaxAge, found.MaxAge, c.tooShort(wanted, found.MaxAge))
	compare(&list, "allow_direct", wanted.AllowDirect, found.AllowDirect, !requests && !wakeups)
	compare(&list, "allow_msg_schedules", wanted.AllowMsgSchedules, found.AllowMsgSchedules, wakeups)
	compare(&list, "allow_rollup_hdrs", wanted.AllowRollup, found.AllowRollup, wakeups)
	compare(&list, "allow_msg_ttl", wanted.AllowMsgTTL, found.AllowMsgTTL, false)
	compare(&list, "allow_atomic", wanted.AllowAtomicPublish, found.AllowAtomicPublish, false)
	compare(&list, "allow_batched", wanted.AllowBatchPublish, found.AllowBatchPublish, false)
	compare(&list, "deny_delete", wanted.DenyDelete, found.DenyDelete, false)
	compare(&list, "deny_purge", wanted.DenyPurge, found.DenyPurge, wakeups)
	compare(&list, "sealed", wanted.Sealed, found.Sealed, true)
	compare(&list, "no_ack", wanted.NoAck, found.NoAck, true) // nothing would count as stored
	compare(&list, "subject_transform", wanted.SubjectTransform != nil, found.SubjectTransform != nil, true)
	compare(&list, "num_replicas", wanted.Replicas, found.Replicas, false)
	compare(&list, "description", wanted.Description, found.Description, false)
	if wanted.Duplicates != 0 {
		compare(&list, "duplicate_window", wanted.Duplicates, found.Duplicates, false)
	}
	return list
}

// withoutTeams says that the stream or the consumer of requests was made by the release before, for the operator's
// requests alone: those of teams are not stored, or not taken. The command that changes it begins with edit, and has the
// flag once for each subject.
func (c Config) withoutTeams(setting, edit, flag string) Difference {
	wanted := c.Names.Requests()
	for _, subject := range wanted {
		edit += flag + "'" + subject + "'"
	}
	return Difference{Setting: setting, Wanted: sorted(wanted), Found: c.Names.Watch(), Do: edit + " --force"}
}

// tooShort reports whether the stream keeps messages for too short a time; 0 is for ever.
func (c Config) tooShort(wanted jetstream.StreamConfig, keeps time.Duration) bool {
	least := c.TimeoutMax + minRetention
	if wanted.Name == c.Names.AccountStream() {
		least = accountsMaxAge / 2
	}
	return keeps != 0 && (wanted.MaxAge == 0 || keeps < least)
}

// CompareConsumer lists how a consumer differs from what is wanted of it.
func (c Config) CompareConsumer(wanted, found jetstream.ConsumerConfig) []Difference {
	var list []Difference
	filters := found.FilterSubjects
	if found.FilterSubject != "" {
		filters = []string{found.FilterSubject}
	}
	if wanted.Durable != wire.SlackConsumer || found.DeliverPolicy != jetstream.DeliverByStartSequencePolicy { // made anew: see beginWhere
		compare(&list, "deliver_policy", wanted.DeliverPolicy, found.DeliverPolicy, false)
	}
	compare(&list, "headers_only", wanted.HeadersOnly, found.HeadersOnly, true) // every request would be rejected
	compare(&list, "inactive_threshold", wanted.InactiveThreshold, found.InactiveThreshold, false)
	compare(&list, "ack_policy", wanted.AckPolicy, found.AckPolicy, true)
	if wanted.Durable == wire.IntakeConsumer && slices.Equal(filters, []string{c.Names.Watch()}) {
		list = append(list, c.withoutTeams("filter_subjects", "nats consumer edit "+c.Names.RequestStream()+" "+wanted.Durable, " --filter "))
	} else {
		compare(&list, "filter_subjects", sorted(wanted.FilterSubjects), sorted(filters), true)
	}
	if found.MaxDeliver != wanted.MaxDeliver {
		list = append(list, Difference{Setting: "max_deliver", Wanted: wantedDeliveries(wanted), Found: found.MaxDeliver, Fatal: true})
	}
	compare(&list, "ack_wait", wanted.AckWait, found.AckWait, false) // a step under way keeps its delivery
	// What stops delivery: nobody could take a message.
	compare(&list, "priority_policy", priority(wanted.PriorityPolicy), priority(found.PriorityPolicy), true)
	compare(&list, "deliver_subject", wanted.DeliverSubject, found.DeliverSubject, true)
	compare(&list, "replay_policy", wanted.ReplayPolicy.String(), found.ReplayPolicy.String(), false)
	compare(&list, "max_batch", wanted.MaxRequestBatch, found.MaxRequestBatch, false) // the number is taken
	compare(&list, "max_expires", wanted.MaxRequestExpires, found.MaxRequestExpires, false)
	compare(&list, "max_bytes", wanted.MaxRequestMaxBytes, found.MaxRequestMaxBytes, false)
	compare(&list, "max_ack_pending", wanted.MaxAckPending, limit(found.MaxAckPending), false)
	if len(found.BackOff) > 0 {
		list = append(list, Difference{Setting: "backoff", Wanted: "none", Found: found.BackOff, Fatal: true})
	}
	return list
}

// priority names the policy as tools do.
func priority(p jetstream.PriorityPolicy) string {
	name, err := p.MarshalJSON()
	if err != nil {
		return fmt.Sprint(int(p))
	}
	return cmp.Or(strings.Trim(string(name), `"`), "none")
}

// wantedDeliveries says which max_deliver is wanted, and how to repair another one.
func wantedDeliveries(wanted jetstream.ConsumerConfig) string {
	if wanted.DeliverPolicy != jetstream.DeliverAllPolicy {
		return strconv.Itoa(wanted.MaxDeliver)
	}
	return fmt.Sprintf("%d; delete the consumer, or what it gave up never comes again", wanted.MaxDeliver)
}

func compare[T comparable](list *[]Difference, setting string, wanted, found T, fatal bool) {
	if wanted != found {
		*list = append(*list, Difference{Setting: setting, Wanted: wanted, Found: found, Fatal: fatal})
	}
}

// limit returns the one form that "no limit" has here.
func limit[T int | int32 | int64](n T) T {
	if n == 0 {
		return -1
	}
	return n
}

func sorted(subjects []string) string {
	return strings.Join(slices.Sorted(slices.Values(subjects)), " ")
}
