package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go/jetstream"
)

// An ended is what this program wants to know of a watch that ended. The event says more.
type ended struct {
	EventID   string `json:"event_id"`
	ProjectID string `json:"project_id"`
	OrderName string `json:"order_name"`
	Outcome   string `json:"outcome"`
	Reason    string `json:"reason"`
	Requests  []struct {
		RequestID string `json:"request_id"`
	} `json:"requests"`
}

// retryPause is how long an event waits that could not be handled, and this program before it tries to
// consume again.
const retryPause = 5 * time.Second

// consume hands each completion event to handle until ctx is done, through any outage. An event comes
// at least once: again where it was not acknowledged, also to another process with the same durable
// name. So what handle does must be the same when it is done twice.
func consume(ctx context.Context, js jetstream.JetStream, durable string, handle func(ended) error) error {
	for {
		err := consumeOnce(ctx, js, durable, handle)
		if ctx.Err() != nil {
			return nil
		}
		log.Printf("consumer %s: %v; trying again", durable, err)
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// consumeOnce consumes until something ends that: NATS is away, or the consumer was deleted.
func consumeOnce(ctx context.Context, js jetstream.JetStream, durable string, handle func(ended) error) error {
	consumer, err := bind(ctx, js, durable)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(20), jetstream.PullExpiry(10*time.Second))
	if err != nil {
		return err
	}
	defer messages.Stop()
	log.Printf("consuming as %s", durable)
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := settle(m, handle); err != nil {
			log.Print(err)
		}
	}
}

// bind returns the durable consumer, which it makes where there is none. In production whoever sets
// up NATS makes it, and this program may only use it.
func bind(ctx context.Context, js jetstream.JetStream, durable string) (jetstream.Consumer, error) {
	const stream = "ORDER_EVENTS"
	consumer, err := js.Consumer(ctx, stream, durable)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return consumer, err
	}
	return js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable:       durable,
		FilterSubject: "orders.completed.>", // of one project: orders.completed.*.my-project.>
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       time.Minute, // longer than handling takes
		MaxDeliver:    -1,          // any other number loses events silently
	})
}

// settle handles one message and acknowledges it: an event that may be handled later comes again, and
// what is no completion does not.
func settle(m jetstream.Msg, handle func(ended) error) error {
	e, err := decode(m.Data())
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", m.Subject(), err), m.TermWithReason("not a completion event"))
	}
	if err := handle(e); err != nil {
		return errors.Join(fmt.Errorf("handle %s: %w", e.EventID, err), m.NakWithDelay(retryPause))
	}
	return m.Ack()
}

func decode(body []byte) (e ended, err error) {
	var envelope event.Event
	if err := json.Unmarshal(body, &envelope); err != nil {
		return e, err
	}
	if envelope.Type() != "io.orderwatch.order.completed.v1" {
		return e, fmt.Errorf("type %q", envelope.Type())
	}
	err = envelope.DataAs(&e)
	e.EventID = envelope.ID()
	return e, err
}

// keep writes a file named by the event's id, in one step. The file is the effect and also the note
// that it was had: whoever comes second finds it. In a database, write both in one transaction.
func keep(folder string, e ended) error {
	path := filepath.Join(folder, url.PathEscape(e.EventID)+".json")
	if _, err := os.Stat(path); err == nil {
		log.Printf("%s again; it is done", e.EventID)
		return nil
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := writeWhole(path, body); err != nil {
		return err
	}
	log.Printf("%s: %s/%s %s: %q", e.EventID, e.ProjectID, e.OrderName, e.Outcome, e.Reason)
	return nil
}

// writeWhole writes the file so that it is never seen in part, also after a power failure.
func writeWhole(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
