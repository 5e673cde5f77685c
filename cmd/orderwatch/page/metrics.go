package page

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/link"
)

// measured answers probes, which want no login and are told nothing else, and lets the server answer all other requests, which
// it counts.
func (s *server) measured(registry prometheus.Registerer) http.Handler {
	f := promauto.With(registry)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderwatch_page_streams", Help: "Streams of what changes that are open: one for each tab of a browser that shows a screen.",
	}, func() float64 { return float64(s.streams.open()) })
	requests := f.NewCounterVec(prometheus.CounterOpts{
		Name: "orderwatch_page_requests_total", Help: "Requests that the page answered, without probes, by HTTP status; a stream counts when it has ended.",
	}, []string{"code"})
	for _, code := range []string{"200", "401", "403", "404", "429", "500", "503"} { // so that a scraper sees the first of them
		requests.WithLabelValues(code)
	}
	counted := promhttp.InstrumentHandlerCounter(requests, s.handler())
	alive, ready := serve.Probe(s.from.alive), serve.Probe(s.from.ready)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez":
			alive(w, r)
		case "/readyz":
			ready(w, r)
		default:
			counted(w, r)
		}
	})
}

// alive returns nil unless the page is to be started again.
func (s *source) alive() error {
	if s.store.JS.Conn().IsClosed() {
		return errors.New("the connection to NATS was closed for good")
	}
	return nil
}

// ready returns nil if the page has something to show, and otherwise why not. While NATS is away it goes on, and says of when it is.
func (s *source) ready() error {
	switch {
	case s.board.Status().Ready:
		return nil
	case !s.store.JS.Conn().IsConnected():
		return link.ErrNotConnected
	}
	return errors.New("the records are being read")
}
