package rig

import (
	"bufio"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
)

// Project is the project of the orders that tests watch.
const Project = eventstest.Project

// ServeEnv is the environment of a worker with short intervals.
func ServeEnv(natsURL, modelArtsURL, httpAddr string, more ...string) []string {
	return append([]string{
		"ORDERWATCH_NATS_URL=" + natsURL,
		"ORDERWATCH_MODELARTS_REGIONS=cn-north-4",
		"ORDERWATCH_MODELARTS_ENDPOINT=" + modelArtsURL,
		"ORDERWATCH_MODELARTS_TOKEN=planted-token",
		"ORDERWATCH_MODELARTS_TIMEOUT=1s",
		"ORDERWATCH_MODELARTS_RATE=2000",
		"ORDERWATCH_POLL_INITIAL=300ms",
		"ORDERWATCH_POLL_MAX=1s",
		"ORDERWATCH_SETTLE=300ms",
		"ORDERWATCH_HTTP_ADDR=" + httpAddr,
		"ORDERWATCH_LOG_FORMAT=text",
	}, more...)
}

// AwaitReady waits until the worker that listens on addr says that it is ready.
func AwaitReady(t testing.TB, addr string) {
	t.Helper()
	Eventually(t, Patience, func() error {
		answer, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	})
}

// ShortAckWait sets the workers' consumers to 3 s, the least that a MODELARTS_TIMEOUT of 1s allows.
func ShortAckWait(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	for _, c := range [][2]string{{"ORDER_REQUESTS", "intake"}, {"ORDER_WAKEUPS", "poller"}, {"ORDER_EVENTS", "slack"}} {
		consumer, err := js.Consumer(t.Context(), c[0], c[1])
		if err != nil {
			t.Fatal(err)
		}
		config := consumer.CachedInfo().Config
		config.AckWait = 3 * time.Second
		if _, err := js.UpdateConsumer(t.Context(), c[0], config); err != nil {
			t.Fatal(err)
		}
	}
}

// MetricsOf returns the metrics of the worker that listens on addr, by name and labels.
func MetricsOf(t testing.TB, addr string) map[string]float64 {
	t.Helper()
	answer, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	metrics := make(map[string]float64)
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			metrics[name] = number
		}
	}
	return metrics
}
