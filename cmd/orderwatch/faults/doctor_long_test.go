//go:build long

package faults_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/clinic"
)

// TestDoctorCluster looks at three servers, at two of them, and at one: which stores nothing.
func TestDoctorCluster(t *testing.T) {
	c := startCluster(t)
	healthy := clinic.New(t)
	env := healthy.Env(c.url, "ORDERWATCH_STREAM_REPLICAS=3")
	clinic.Provision(t, env)
	c.awaitHealthy(t)
	before := contentsOf(t, c.js)
	look := func(name string, code int, wanted ...clinic.Finding) {
		t.Helper()
		got, out := clinic.Doctor(t, env, "-o", "json")
		all := clinic.Findings(t, out)
		t.Logf("%s:\n%s", name, clinic.Bad(all))
		if got != code {
			t.Errorf("%s: exit code %d; want %d\n%s", name, got, code, clinic.Bad(all))
		}
		for _, want := range wanted {
			if !clinic.Has(all, want) {
				t.Errorf("%s: no finding %+v in\n%s", name, want, out)
			}
		}
	}
	look("three servers", 0, clinic.Finding{Check: "assets.stream", Level: "ok", About: "ORDER_WAKEUPS"}, clinic.Finding{Check: "permissions.allow_responses", Level: "ok"})
	if after := contentsOf(t, c.js); !reflect.DeepEqual(after, before) {
		t.Errorf("streams became\n%v, were\n%v", after, before)
	}
	c.servers[0].Kill()
	for _, stream := range clusterStreams {
		c.leader(t, stream)
	}
	look("two servers", 0, clinic.Finding{Check: "assets.replicas", Level: "warning", About: "ORDER_", Found: "n1"})
	c.servers[1].Kill()
	look("one server", 1, clinic.Finding{Check: "nats.connection", Level: "ok"}, clinic.Finding{Check: "assets.state", Level: "problem"})
}

// contentsOf returns what the streams hold and their consumers delivered.
func contentsOf(t *testing.T, js jetstream.JetStream) map[string]string {
	t.Helper()
	all := make(map[string]string)
	streams := js.ListStreams(t.Context())
	for s := range streams.Info() {
		all[s.Config.Name] = fmt.Sprint(s.State.Msgs, s.State.LastSeq, s.State.NumDeleted)
		stream, err := js.Stream(t.Context(), s.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		consumers := stream.ListConsumers(t.Context())
		for c := range consumers.Info() {
			encoded, err := json.Marshal([]any{c.Config, c.Delivered.Consumer, c.AckFloor.Consumer, c.NumAckPending, c.NumPending})
			if err != nil {
				t.Fatal(err)
			}
			all[s.Config.Name+" "+c.Name] = string(encoded)
		}
		if consumers.Err() != nil {
			t.Fatal(consumers.Err())
		}
	}
	if streams.Err() != nil {
		t.Fatal(streams.Err())
	}
	return all
}
