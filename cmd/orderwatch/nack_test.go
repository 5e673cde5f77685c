package main_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
)

// A nackResource is one of nack's resources, with those fields of its three kinds that are used here. Where a field is left out, nack
// takes what its CRD has as the default: no limit, and memory for the storage of a stream.
type nackResource struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Name, Description, Retention, Discard, Storage string        // of a stream
		Subjects                                       []string      //
		MaxMsgSize                                     int32         `yaml:"maxMsgSize"`
		MaxAge                                         time.Duration `yaml:"maxAge"`
		DuplicateWindow                                time.Duration `yaml:"duplicateWindow"`
		AllowDirect                                    bool          `yaml:"allowDirect"`
		AllowRollup                                    bool          `yaml:"allowRollup"`
		AllowMsgSchedules                              bool          `yaml:"allowMsgSchedules"`
		DenyDelete                                     bool          `yaml:"denyDelete"`
		DenyPurge                                      bool          `yaml:"denyPurge"`

		StreamName     string        `yaml:"streamName"` // of a consumer
		DurableName    string        `yaml:"durableName"`
		FilterSubjects []string      `yaml:"filterSubjects"`
		DeliverPolicy  string        `yaml:"deliverPolicy"`
		AckPolicy      string        `yaml:"ackPolicy"`
		AckWait        time.Duration `yaml:"ackWait"`
		MaxDeliver     int           `yaml:"maxDeliver"`
		MaxAckPending  int           `yaml:"maxAckPending"`

		Bucket  string // of a bucket
		History uint8
		TTL     time.Duration

		Replicas      int  // of streams and buckets
		PreventDelete bool `yaml:"preventDelete"`
	}
}

// TestNack creates what deploy/nack/orderwatch.yaml says on one server, as nack does, and lets orderwatch provision create all on
// another: they are the same, setting by setting. What nack itself makes of the file was not tried.
func TestNack(t *testing.T) {
	t.Parallel()
	provisioned, declared := eventstest.Server(t), eventstest.Server(t)
	if got := rig.CarryOut(t, append(rig.Bare(), "ORDERWATCH_NATS_URL="+provisioned.ClientURL()), "provision"); got.Code != 0 {
		t.Fatalf("exit code %d: %s%s", got.Code, got.Out, got.Err)
	}
	_, js := eventstest.Connect(t, declared)
	names := make(map[string]bool)
	for _, r := range nackResources(t) {
		if names[r.Kind+r.Metadata.Name] || !r.Spec.PreventDelete || r.APIVersion != "jetstream.nats.io/v1beta2" {
			t.Errorf("%s %s: it stands there twice, does not prevent that its stream is deleted, or is of %s", r.Kind, r.Metadata.Name, r.APIVersion)
		}
		names[r.Kind+r.Metadata.Name] = true
		if r.Kind != "Consumer" && r.Spec.Replicas != 3 {
			t.Errorf("%s has %d replicas", r.Metadata.Name, r.Spec.Replicas)
		}
		if err := r.create(t, js); err != nil {
			t.Fatalf("create %s %s: %v", r.Kind, r.Metadata.Name, err)
		}
	}
	want, got := assets(t, provisioned), assets(t, declared)
	if len(want) != 7+4 {
		t.Fatalf("provision created %d things", len(want))
	}
	for name, settings := range want {
		if !reflect.DeepEqual(got[name], settings) {
			t.Errorf("%s is declared as\n%+v\nand provision creates\n%+v", name, got[name], settings)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is declared, and provision creates none", name)
	}
}

func nackResources(t *testing.T) (all []nackResource) {
	t.Helper()
	file, err := os.ReadFile("../../deploy/nack/orderwatch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	for {
		var r nackResource
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
}

// create does what nack's controllers do (internal/controller), with one replica.
func (r nackResource) create(t *testing.T, js jetstream.JetStream) error {
	spec := r.Spec
	quoted := func(to interface{ UnmarshalJSON([]byte) error }, text string) {
		t.Helper()
		if text == "" {
			return
		}
		if err := to.UnmarshalJSON([]byte(`"` + text + `"`)); err != nil {
			t.Fatalf("%s: %v", r.Metadata.Name, err)
		}
	}
	switch r.Kind {
	case "Stream":
		config := jetstream.StreamConfig{
			Name: spec.Name, Description: spec.Description, Subjects: spec.Subjects, MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1,
			MaxMsgSize: spec.MaxMsgSize, MaxAge: spec.MaxAge, Duplicates: spec.DuplicateWindow, Replicas: 1, Storage: jetstream.MemoryStorage,
			AllowDirect: spec.AllowDirect, AllowRollup: spec.AllowRollup, AllowMsgSchedules: spec.AllowMsgSchedules,
			DenyDelete: spec.DenyDelete, DenyPurge: spec.DenyPurge,
		}
		quoted(&config.Retention, spec.Retention)
		quoted(&config.Discard, spec.Discard)
		quoted(&config.Storage, spec.Storage)
		_, err := js.CreateStream(t.Context(), config)
		return err
	case "Consumer":
		config := jetstream.ConsumerConfig{
			Durable: spec.DurableName, FilterSubjects: spec.FilterSubjects, AckPolicy: jetstream.AckNonePolicy, AckWait: spec.AckWait,
			MaxDeliver: spec.MaxDeliver, MaxAckPending: spec.MaxAckPending,
		}
		quoted(&config.DeliverPolicy, spec.DeliverPolicy)
		quoted(&config.AckPolicy, spec.AckPolicy)
		_, err := js.CreateConsumer(t.Context(), spec.StreamName, config)
		return err
	case "KeyValue":
		config := jetstream.KeyValueConfig{Bucket: spec.Bucket, Description: spec.Description, History: spec.History, TTL: spec.TTL, Replicas: 1}
		quoted(&config.Storage, spec.Storage)
		_, err := js.CreateKeyValue(t.Context(), config)
		return err
	}
	return errors.New("nack has no such kind")
}

// assets returns the settings of all streams and consumers of a server, without what the server notes of itself.
func assets(t *testing.T, s *server.Server) map[string]any {
	t.Helper()
	_, js := eventstest.Connect(t, s)
	all := make(map[string]any)
	streams := js.ListStreams(t.Context())
	for info := range streams.Info() {
		config := info.Config
		config.Metadata = nil
		all[config.Name] = config
		stream, err := js.Stream(t.Context(), config.Name)
		if err != nil {
			t.Fatal(err)
		}
		consumers := stream.ListConsumers(t.Context())
		for info := range consumers.Info() {
			config := info.Config
			config.Metadata = nil
			if len(config.FilterSubjects) == 1 { // the other way to say the same
				config.FilterSubject, config.FilterSubjects = config.FilterSubjects[0], nil
			}
			all[strings.Join([]string{info.Stream, info.Name}, " ")] = config
		}
		if err := consumers.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
