package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// source says who asks. With the event's id it names the request: "/example/pools build-771" stands
// in the completion event.
const source = "/example/pools"

const (
	askTime   = 30 * time.Second // until a request must be stored
	tryTime   = 5 * time.Second  // of one try
	tryPause  = time.Second
	flushTime = 5 * time.Second
)

// ask stores a request durably.
func ask(ctx context.Context, js jetstream.JetStream, mode, id, order string) error {
	message, err := request(mode, id, order)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for {
		ack, err := publish(ctx, js, message)
		if err == nil {
			log.Printf("the request %s is stored as number %d of %s", id, ack.Sequence, ack.Stream)
			return nil
		}
		// It may be stored all the same. The next try says the same, so both are one request.
		log.Printf("not known to be stored: %v", err)
		select {
		case <-time.After(tryPause):
		case <-ctx.Done():
			return fmt.Errorf("ask for %s: %w", order, err)
		}
	}
}

func publish(ctx context.Context, js jetstream.JetStream, m *nats.Msg) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	return js.PublishMsg(ctx, m)
}

// request returns the request to watch PROJECT/ORDER as a message.
func request(mode, id, order string) (*nats.Msg, error) {
	project, name, ok := strings.Cut(order, "/")
	if !ok {
		return nil, fmt.Errorf("%q names no order: write PROJECT/ORDER", order)
	}
	e := event.New()
	e.SetID(id)
	e.SetSource(source)
	e.SetType("io.orderwatch.order.watch.v1")
	err := e.SetData(event.ApplicationJSON, map[string]any{
		"project_id": project, "order_name": name, "requested_by": "pools", "labels": map[string]string{"env": "prod"},
	})
	if err != nil {
		return nil, err
	}
	if err := e.Validate(); err != nil {
		return nil, err
	}
	m := nats.NewMsg("orders.watch")
	switch mode {
	case "structured": // the body is the whole event
		m.Header.Set("Content-Type", event.ApplicationCloudEventsJSON)
		m.Data, err = json.Marshal(e)
		return m, err
	case "binary": // the body is the data; headers say the rest
		for name, value := range map[string]string{"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type()} {
			m.Header.Set("ce-"+name, percentEncode(value))
		}
		m.Header.Set("Content-Type", e.DataContentType())
		m.Data = e.Data()
		return m, nil
	}
	return nil, fmt.Errorf("mode %q: must be structured or binary", mode)
}

// percentEncode returns the value as CloudEvents want it in a header.
func percentEncode(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
