package sweeper

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/orderwatch/orderwatch/events/store"
)

// metrics are what a sweeper counts. Places are at most as many as leases.
type metrics struct {
	sweeps *prometheus.CounterVec // by region and result
	rows   *prometheus.GaugeVec   // by region and project
}

func newMetrics(registry prometheus.Registerer, a *store.Accounts, regions []string) metrics {
	registry.MustRegister(offPlaces{a})
	f := promauto.With(registry)
	m := metrics{
		sweeps: f.NewCounterVec(prometheus.CounterOpts{
			Name: "orderwatch_sweeps_total", Help: "Sweeps of this worker, which list all running orders of a project, by region and result: complete, incomplete.",
		}, []string{"region", "result"}),
		rows: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orderwatch_sweep_rows", Help: "How many rows the last complete sweep of a project had, of those that this worker sweeps.",
		}, []string{"region", "project"}),
	}
	for _, region := range regions {
		for _, result := range []string{"complete", "incomplete"} {
			m.sweeps.WithLabelValues(region, result)
		}
	}
	return m
}

// offPlaces tells of which projects the list is of no use.
type offPlaces struct{ accounts *store.Accounts }

var offDesc = prometheus.NewDesc("orderwatch_sweep_off", "1 for a project whose orders are not listed, since the list is of no use: they are polled as without it. Absent where it is of use.",
	[]string{"region", "project"}, nil)

// Describe tells of the metric.
func (offPlaces) Describe(descs chan<- *prometheus.Desc) { descs <- offDesc }

// Collect tells its values.
func (c offPlaces) Collect(values chan<- prometheus.Metric) {
	now := c.accounts.Now()
	for _, l := range c.accounts.Leases() {
		if l.Valid && l.Off(now) {
			values <- prometheus.MustNewConstMetric(offDesc, prometheus.GaugeValue, 1, l.Place.Region, l.Place.ProjectID)
		}
	}
}
