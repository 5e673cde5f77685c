package serve

import (
	"runtime"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// NewRegistry returns a registry with what a worker and a page both tell: of the Go runtime and the process, which version it
// is, and whether it is connected.
func NewRegistry(version string, nc *nats.Conn) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(registry)
	f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "orderwatch_build_info", Help: "1, with the version of orderwatch and of Go.",
	}, []string{"version", "goversion"}).WithLabelValues(version, runtime.Version()).Set(1)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderwatch_nats_connected", Help: "1 while there is a connection to NATS, else 0.",
	}, func() float64 {
		if nc.IsConnected() {
			return 1
		}
		return 0
	})
	return registry
}
