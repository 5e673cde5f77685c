package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// A jetNaive is the worker that one would write first: a goroutine for each order, which holds the order's request with
// heartbeats while it polls, stores the order's end, and acknowledges. It keeps no record, so that a worker that dies
// begins anew with what it held; it shares no rate, asks no more often after a change, has no deadline, and answers
// nobody who asks.
type jetNaive struct {
	js    jetstream.JetStream
	cloud *http.Client
	url   string // of the cloud
}

const (
	naiveURL      = "JETNAIVE_NATS_URL"
	naiveCloudURL = "JETNAIVE_CLOUD_URL"

	naiveRequests, naiveEnds = "NAIVE_REQUESTS", "NAIVE_ENDS" // streams
	naiveConsumer            = "worker"
	naiveAckWait             = 30 * time.Second
)

// startJetNaive makes the streams and starts the worker, as a process, which is this program.
func startJetNaive(t testing.TB, r *benchRig) peerSubjects {
	t.Helper()
	subjects := peerSubjects{"naive.watch", naiveEnds, "naive.completed."}
	for _, s := range []jetstream.StreamConfig{
		{Name: naiveRequests, Subjects: []string{subjects.requests}, Retention: jetstream.WorkQueuePolicy},
		{Name: naiveEnds, Subjects: []string{subjects.completed + ">"}},
	} {
		if _, err := r.nats.JS.CreateStream(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.nats.JS.CreateConsumer(t.Context(), naiveRequests, jetstream.ConsumerConfig{
		Durable: naiveConsumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: naiveAckWait, MaxAckPending: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.workerProfiles = "" // it shows none
	r.worker = rig.Start(t, path, []string{naiveURL + "=" + r.nats.URL, naiveCloudURL + "=" + r.cloudURL})
	rig.Eventually(t, rig.Patience, func() error {
		if !strings.Contains(r.worker.Text(), "ready") {
			return errors.New("jetnaive is not ready")
		}
		return nil
	})
	return subjects
}

// serveJetNaive is the process. It works until it is killed.
func serveJetNaive(natsURL, cloudURL string) error {
	ctx := context.Background()
	nc, err := nats.Connect(natsURL, nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumer, err := js.Consumer(ctx, naiveRequests, naiveConsumer)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64 // as many as orderwatch has; of itself net/http keeps two
	n := &jetNaive{js, &http.Client{Transport: transport, Timeout: 15 * time.Second}, cloudURL}
	consumed, err := consumer.Consume(func(m jetstream.Msg) { go n.watch(ctx, m) })
	if err != nil {
		return err
	}
	log.Print("ready")
	<-consumed.Closed()
	return errors.New("consumer closed")
}

// watch polls the order of a request until it has ended.
func (n *jetNaive) watch(ctx context.Context, m jetstream.Msg) {
	var request struct {
		ProjectID string `json:"project_id"`
		OrderName string `json:"order_name"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(m.Data(), &request); err != nil {
		log.Print(errors.Join(err, m.Term()))
		return
	}
	heartbeat := time.NewTicker(naiveAckWait / 3)
	defer heartbeat.Stop()
	poll := time.NewTimer(0)
	defer poll.Stop()
	interval := peerInitial
	for polls := 1; ; {
		select {
		case <-heartbeat.C:
			if err := m.InProgress(); err != nil {
				log.Printf("hold %s: %v", request.OrderName, err)
			}
			continue
		case <-poll.C:
		}
		items, ended, err := n.poll(ctx, request.ProjectID, request.OrderName)
		if err != nil {
			log.Printf("poll %s: %v", request.OrderName, err)
		}
		if ended {
			err := n.complete(ctx, m, request.OrderName, naiveEnd{request.RequestID, polls, items})
			if err != nil {
				log.Printf("complete %s: %v", request.OrderName, err)
			}
			return // a request that is not acknowledged comes again
		}
		polls++
		poll.Reset(time.Duration(float64(interval) * (1 + peerJitter*(2*rand.Float64()-1))))
		interval = min(time.Duration(float64(interval)*peerMultiplier), peerMax)
	}
}

// A naiveItem is an item of an order, as the cloud writes it.
type naiveItem struct {
	Action   string `json:"action"`
	Resource string `json:"resourcename"`
	Status   string `json:"status"`
	Began    int64  `json:"begintimestamp"`
	Updated  int64  `json:"updatetimestamp"`
	Message  string `json:"message,omitempty"`
}

// A naiveEnd is what is stored when an order has ended.
type naiveEnd struct {
	RequestID string      `json:"request_id"`
	Polls     int         `json:"polls"`
	Items     []naiveItem `json:"items"`
}

// poll asks the cloud for the order, and reports whether all its items have ended.
func (n *jetNaive) poll(ctx context.Context, project, order string) (items []naiveItem, ended bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/v1/"+project+"/orders/"+order, nil)
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("X-Auth-Token", "planted-token")
	reply, err := n.cloud.Do(request)
	if err != nil {
		return nil, false, err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return nil, false, errors.New(reply.Status)
	}
	var answer struct {
		Count int         `json:"count"`
		Items []naiveItem `json:"items"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&answer); err != nil {
		return nil, false, err
	}
	ended = len(answer.Items) == answer.Count
	for _, i := range answer.Items {
		ended = ended && i.Status != "processing"
	}
	return answer.Items, ended, nil
}

// complete stores the order's end and acknowledges its request.
func (n *jetNaive) complete(ctx context.Context, m jetstream.Msg, order string, end naiveEnd) error {
	event, err := json.Marshal(end)
	if err != nil {
		return err
	}
	if _, err := n.js.Publish(ctx, "naive.completed."+order, event, jetstream.WithMsgID(end.RequestID)); err != nil {
		return fmt.Errorf("publish its end: %w", err)
	}
	return m.Ack()
}
