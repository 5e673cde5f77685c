package eventstest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Agreed are the streams and consumers as the contract's table says, for any prefixes. What it
// leaves to the program is what the program chose.
type Agreed struct {
	Requests, Wakeups, Records, Accounts, Notes, Events jetstream.StreamConfig
	Intake, Poller, Slack                               jetstream.ConsumerConfig
}

// Contract returns them for an installation with these prefixes, and [StoreConfig].
func Contract(subjects, streams string) *Agreed {
	stream := jetstream.StreamConfig{
		Storage: jetstream.FileStorage, Replicas: 1, AllowDirect: true,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1,
		Duplicates: 2 * time.Minute, // the server's default
	}
	consumer := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxDeliver: -1, MaxAckPending: -1,
		MaxWaiting: 512, // the server's default
	}
	a := &Agreed{stream, stream, stream, stream, stream, stream, consumer, consumer, consumer}
	a.Poller.AckWait = 3 * time.Second // twice StoreConfig's PollTimeout and a second

	a.Requests.Name, a.Requests.Subjects = streams+"_REQUESTS", []string{subjects + ".watch", subjects + ".watch.*"}
	a.Requests.Description = "Requests to watch ModelArts orders"
	a.Requests.Retention, a.Requests.Discard = jetstream.WorkQueuePolicy, jetstream.DiscardNew
	a.Requests.MaxMsgSize, a.Requests.Duplicates = 81920, 100*time.Millisecond

	a.Wakeups.Name, a.Wakeups.Subjects = streams+"_WAKEUPS", []string{subjects + ".waiting.>", subjects + ".due.>"}
	a.Wakeups.Description = "Wake-ups of orderwatch: scheduled and due"
	a.Wakeups.Retention, a.Wakeups.AllowMsgSchedules, a.Wakeups.AllowRollup = jetstream.WorkQueuePolicy, true, true

	a.Records.Name, a.Records.Subjects = "KV_"+streams+"_WATCHES", []string{"$KV." + streams + "_WATCHES.>"}
	a.Records.Description = "One record for each watch of orderwatch"
	a.Records.MaxMsgsPerSubject, a.Records.MaxAge = 1, 90*24*time.Hour
	a.Records.Discard, a.Records.AllowRollup, a.Records.DenyDelete = jetstream.DiscardNew, true, true // as every bucket

	a.Accounts, a.Notes = a.Records, a.Records
	a.Accounts.Name, a.Accounts.Subjects = "KV_"+streams+"_ACCOUNTS", []string{"$KV." + streams + "_ACCOUNTS.>"}
	a.Accounts.Description, a.Accounts.MaxAge = "What the workers of orderwatch tell each other", time.Hour
	a.Notes.Name, a.Notes.Subjects = "KV_"+streams+"_SLACK", []string{"$KV." + streams + "_SLACK.>"}
	a.Notes.Description = "What orderwatch posted where"

	a.Events.Name, a.Events.Description = streams+"_EVENTS", "What became of watches"
	for _, kind := range []string{".completed.>", ".progress.>", ".rejected", ".attention.>", ".undelivered.>"} {
		a.Events.Subjects = append(a.Events.Subjects, subjects+kind)
	}
	a.Events.MaxAge, a.Events.DenyDelete, a.Events.DenyPurge = 90*24*time.Hour, true, true

	a.Intake.Durable, a.Intake.FilterSubjects = "intake", a.Requests.Subjects
	a.Poller.Durable, a.Poller.FilterSubject = "poller", subjects+".due.>"
	a.Slack.Durable, a.Slack.DeliverPolicy = "slack", jetstream.DeliverNewPolicy
	a.Slack.FilterSubjects = []string{subjects + ".completed.>", subjects + ".progress.>", subjects + ".attention.>"}
	return a
}

// Streams returns the streams, those of the buckets among them.
func (a *Agreed) Streams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{a.Requests, a.Records, a.Accounts, a.Notes, a.Events, a.Wakeups}
}

// Consumers returns the consumers by their streams.
func (a *Agreed) Consumers() map[string]jetstream.ConsumerConfig {
	return map[string]jetstream.ConsumerConfig{a.Requests.Name: a.Intake, a.Wakeups.Name: a.Poller, a.Events.Name: a.Slack}
}

// Create creates them.
func (a *Agreed) Create(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	for _, stream := range a.Streams() {
		s, err := js.CreateStream(t.Context(), stream)
		if err != nil {
			t.Fatalf("create %s: %v", stream.Name, err)
		}
		if consumer, ok := a.Consumers()[stream.Name]; ok {
			if _, err := s.CreateConsumer(t.Context(), consumer); err != nil {
				t.Fatalf("create %s: %v", consumer.Durable, err)
			}
		}
	}
}

// Check checks that the server has them like this, setting by setting.
func (a *Agreed) Check(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	for _, want := range a.Streams() {
		s, err := js.Stream(t.Context(), want.Name)
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		checkFields(t, "stream "+want.Name, s.CachedInfo().Config, want, "Metadata")
		consumer, ok := a.Consumers()[want.Name]
		if !ok {
			continue
		}
		c, err := s.Consumer(t.Context(), consumer.Durable)
		if err != nil {
			t.Fatalf("%s: %v", consumer.Durable, err)
		}
		got := c.CachedInfo().Config
		if len(got.FilterSubjects) == 1 { // the other way to say the same
			got.FilterSubject, got.FilterSubjects = got.FilterSubjects[0], nil
		}
		checkFields(t, "consumer "+consumer.Durable, got, consumer, "Name", "Metadata")
	}
}

// MadeAnew returns them as they are to be where a worker made the consumer for Slack anew. It may begin where people were told up
// to, and not with what comes.
func (a *Agreed) MadeAnew(t testing.TB, js jetstream.JetStream) *Agreed {
	t.Helper()
	c, err := js.Consumer(t.Context(), a.Events.Name, a.Slack.Durable)
	if err != nil {
		t.Fatal(err)
	}
	if made := c.CachedInfo().Config; made.DeliverPolicy == jetstream.DeliverByStartSequencePolicy {
		a.Slack.DeliverPolicy, a.Slack.OptStartSeq = made.DeliverPolicy, made.OptStartSeq
	}
	return a
}

// checkFields compares structs field by field, but for some.
func checkFields(t testing.TB, what string, got, want any, but ...string) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		if strings.Contains(strings.Join(but, " "), name) {
			continue
		}
		if got, want := g.Field(i).Interface(), w.Field(i).Interface(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s is %v; the contract says %v", what, name, got, want)
		}
	}
}

// Update gives the streams and consumers that are there these settings.
func (a *Agreed) Update(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	for _, stream := range a.Streams() {
		s, err := js.UpdateStream(t.Context(), stream)
		if err != nil {
			t.Fatalf("update %s: %v", stream.Name, err)
		}
		if consumer, ok := a.Consumers()[stream.Name]; ok {
			if _, err := s.UpdateConsumer(t.Context(), consumer); err != nil {
				t.Fatalf("update %s: %v", consumer.Durable, err)
			}
		}
	}
}
