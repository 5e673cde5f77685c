package schema_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/events/schema"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestAsyncAPI holds that the document has every message with examples that its schemas let pass,
// and that its schemas are read alike by those who know draft-07 and those who know 2020-12.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	d := document(t, schema.AsyncAPI)
	components := d["components"].(object)
	for name, s := range components["schemas"].(object) {
		eachSchema(name, s.(object), checkPortable(t))
		eachSchema(name, s.(object), checkDescribed(t, d))
	}
	compiled, err := schematest.Messages()
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range components["messages"].(object) {
		m := m.(object)
		for _, part := range []string{"payload", "headers"} {
			if s, ok := m[part].(object); ok {
				eachSchema(name, s, checkPortable(t))
			}
		}
		examples, _ := m["examples"].([]any)
		for _, example := range examples {
			if err := compiled[name].Payload.Validate(example.(object)["payload"]); err != nil {
				t.Errorf("payload of an example of %s: %v", name, err)
			}
			if headers, ok := example.(object)["headers"]; ok {
				if err := compiled[name].Headers.Validate(headers); err != nil {
					t.Errorf("headers of an example of %s: %v", name, err)
				}
			}
		}
	}
	for _, name := range messages() {
		if name == "watch-request" {
			name = "request"
		}
		if !referred(components["messages"], "#/components/schemas/"+name) {
			t.Errorf("no message has the schema %s", name)
		}
	}
}

// referred reports whether a reference in v leads there.
func referred(v any, to string) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(v any) bool { return referred(v, to) })
	case object:
		if v["$ref"] == to {
			return true
		}
		for _, v := range v {
			if referred(v, to) {
				return true
			}
		}
	}
	return false
}

// TestAsyncAPIChannels holds the channels against the contract's subjects.
func TestAsyncAPIChannels(t *testing.T) {
	t.Parallel()
	d := document(t, schema.AsyncAPI)
	addresses := map[string]string{
		"requests": "orders.watch", "completed": "orders.completed.{outcome}.{project_id}.{order_name}",
		"progressed": "orders.progress.{project_id}.{order_name}", "rejected": "orders.rejected",
		"attention": "orders.attention.{kind}.{project_id}", "orderAttention": "orders.attention.{kind}.{project_id}.{order_name}", "requestAttention": "orders.attention.rejected.{sender_hash}", "again": "orders.attention.renotify.{project_id}.{order_name}",
		"undelivered": "orders.undelivered.slack", "renotify": "orderwatch.renotify", "status": "orderwatch.status", "history": "orderwatch.history", "events": "orderwatch.events",
		"watch": "orderwatch.watch", "get": "orderwatch.get", "why": "orderwatch.why", "list": "orderwatch.list", "cancel": "orderwatch.cancel", "poll": "orderwatch.poll",
		"replies": "", // known when it is asked
	}
	channels := d["channels"].(object)
	if len(channels) != len(addresses) {
		t.Errorf("%d channels; want %d", len(channels), len(addresses))
	}
	for name, want := range addresses {
		c, _ := channels[name].(object)
		if got, _ := c["address"].(string); got != want {
			t.Errorf("channel %s has the address %q; want %q", name, got, want)
		}
	}
	for name, o := range d["operations"].(object) {
		o := o.(object)
		address, _ := channels[strings.TrimPrefix(o["channel"].(object)["$ref"].(string), "#/channels/")].(object)["address"].(string)
		var bindings, reply any
		if strings.HasPrefix(address, "orderwatch.") {
			bindings = object{"nats": object{"queue": "q", "bindingVersion": "0.1.0"}}
			answers := "#/channels/replies"
			reply = object{
				"channel":  object{"$ref": answers},
				"messages": []any{object{"$ref": answers + "/messages/" + name + "Response"}, object{"$ref": answers + "/messages/serviceError"}},
			}
		}
		if !reflect.DeepEqual(o["bindings"], bindings) || !reflect.DeepEqual(o["reply"], reply) {
			t.Errorf("operation %s on %s has bindings %v, reply %v; want %v, %v", name, address, o["bindings"], o["reply"], bindings, reply)
		}
	}
	var outcomes []any
	for _, outcome := range watcher.Outcomes {
		outcomes = append(outcomes, string(outcome))
	}
	listed := channels["completed"].(object)["parameters"].(object)["outcome"].(object)["enum"].([]any)
	if !slices.Equal(listed, outcomes) {
		t.Errorf("the outcomes in the subject are %v; want %v", listed, outcomes)
	}
}
