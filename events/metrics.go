package events

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/sweeper"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/sweep"
)

// metrics are what a worker counts.
type metrics struct {
	deliveries  *prometheus.CounterVec   // by consumer and what was done
	lag         prometheus.Histogram     // of wake-ups behind their due time
	polls       *prometheus.HistogramVec // how long they took, by what came of them
	calls       *prometheus.CounterVec   // of ModelArts, by region and kind
	completions *prometheus.CounterVec   // by outcome
	detection   *prometheus.HistogramVec // how long after the order's end watches ended, by region and how that was found
	settling    *prometheus.HistogramVec // how much of it was after the first look that saw the end, by the same
	disagreed   *prometheus.CounterVec   // polls that contradict the list of orders, by region
	conditions  *prometheus.CounterVec   // by kind
	answers     *prometheus.CounterVec   // of the service, by request and code
	denials     prometheus.Counter
	foreign     prometheus.Counter // requests whose reply subject is no inbox
	broken      prometheus.Gauge   // records that cannot be read
	lost        prometheus.Counter
	untold      prometheus.Gauge       // events that people have not been told of
	untoldAge   prometheus.Gauge       // of the oldest of them
	heartbeat   prometheus.Gauge       // when the last one was accepted
	repairs     *prometheus.CounterVec // of the patrol, by kind
	turns       *prometheus.GaugeVec   // when loops last made one
}

// newMetrics registers them. Those are there from the start whose labels are known then, with the regions that may be asked: a
// scraper that saw no 0 does not see the first increase.
func newMetrics(registry prometheus.Registerer, s *store.Store, regions []string) *metrics {
	registry.MustRegister(heldAccounts{s.Accounts()})
	f := promauto.With(registry)
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		deliveries: counters("orderwatch_deliveries_total", "Deliveries by consumer (intake, poller, slack, history) and what was done with them (ack, put_back, refuse).", "consumer", "action"),
		lag: f.NewHistogram(prometheus.HistogramOpts{
			Name: "orderwatch_wakeup_lag_seconds", Help: "How late wake-ups were taken, on their first delivery, against the time at which the poll was wanted: also what the rate puts off.",
			Buckets: []float64{.05, .1, .15, .2, .25, .3, .4, .5, .75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300},
		}),
		polls: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "orderwatch_poll_seconds", Help: "How long polls took, by result: answered, or the class of the error.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30},
		}, []string{"result"}),
		calls:       counters("orderwatch_calls_total", "Calls of ModelArts about orders that this worker made, by region and kind: poll (one order), list (many).", "region", "kind"),
		completions: counters("orderwatch_completions_total", "Watches that this worker ended, by outcome.", "outcome"),
		detection: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "orderwatch_detection_lag_seconds", Help: "How long after ModelArts' last change of an item watches ended, with the settling, by region and how the end was found (swept, polled).",
			Buckets: lagBuckets,
		}, []string{"region", "found"}),
		settling: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "orderwatch_settle_wait_seconds", Help: "How long after the first look that saw the order's end watches ended, by region and how the end was found (swept, polled).",
			Buckets: lagBuckets,
		}, []string{"region", "found"}),
		disagreed:  counters("orderwatch_list_disagreements_total", "Polls of orders that had ended by the list of orders, and have not ended by their items, by region.", "region"),
		conditions: counters("orderwatch_order_attentions_total", "How often this worker told people of a watch that goes on, by kind: blind, stalled, late, deadline, vanished, unknown_status.", "kind"),
		answers:    counters("orderwatch_service_answers_total", "Answers of the NATS service by request (watch, get, list, why, cancel, poll, renotify, status, events, history) and code: 200, or that of the error.", "request", "code"),
		denials:    counter("orderwatch_nats_permission_violations_total", "What NATS did not permit this worker."),
		foreign:    counter("orderwatch_service_foreign_replies_total", "Requests of the NATS service that were not carried out since their reply subject is no inbox."),
		broken:     gauge("orderwatch_broken_records", "Broken records: of watches whose record cannot be read or was deleted, until the order is watched again; on the worker that patrols, 0 on the others."),
		lost:       counter("orderwatch_stores_lost_total", "How often this worker found that the server's store was emptied or made anew: what was watched before is forgotten."),
		untold:     gauge("orderwatch_untold_events", "Events that people have not been told of, over all workers, as of some seconds ago."),
		heartbeat:  gauge("orderwatch_heartbeat_timestamp_seconds", "When a heartbeat of this worker was last accepted, in Unix time; 0: never. The worker that patrols makes them."),
		untoldAge:  gauge("orderwatch_untold_oldest_seconds", "How old the oldest event is that people have not been told of, over all workers; 0 where there is none."),
		repairs:    counters("orderwatch_patrol_repairs_total", "What this worker repaired as it patrolled, by kind: overdue_wakeup (published again), dead_wakeup (left of a watch that moved on; removed), broken_record (moved aside).", "kind"),
		turns: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orderwatch_loop_timestamp_seconds", Help: "When a loop of this worker (intake, poller, slack, history, patrol, check) last turned, in Unix time; 0: not yet. One that waits for messages turns with each sign of the server.",
		}, []string{"loop"}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderwatch_clock_offset_seconds", Help: "How far the NATS server's clock is ahead of the worker's.",
	}, func() float64 { return s.Clock.Offset().Seconds() })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderwatch_workers", Help: "How many workers share the rate of accounts, with this one.",
	}, func() float64 { return float64(s.Accounts().Workers()) })
	m.begin(regions)
	return m
}

// begin lets what is counted begin at 0.
func (m *metrics) begin(regions []string) {
	for _, outcome := range watcher.Outcomes {
		m.completions.WithLabelValues(string(outcome))
	}
	for _, kind := range []watcher.AttentionKind{watcher.Blind, watcher.Stalled, watcher.Late, watcher.DeadlineNear, watcher.Vanished, watcher.UnknownStatus} {
		m.conditions.WithLabelValues(string(kind))
	}
	for _, class := range []watcher.Class{answered, watcher.MayPass, watcher.Throttled, watcher.NotFound, watcher.Refused, watcher.Forbidden, watcher.Credentials} {
		m.polls.WithLabelValues(string(class))
	}
	for _, consumer := range []string{wire.IntakeConsumer, wire.PollerConsumer, wire.SlackConsumer, wire.HistoryConsumer} {
		for _, action := range actions {
			m.deliveries.WithLabelValues(consumer, action)
		}
	}
	for _, kind := range []string{overdueWakeup, deadWakeup, brokenRecord} {
		m.repairs.WithLabelValues(kind)
	}
	for _, region := range regions {
		m.disagreed.WithLabelValues(region)
		for _, kind := range []string{"poll", "list"} {
			m.calls.WithLabelValues(region, kind)
		}
		for _, found := range []string{"polled", "swept"} {
			m.detection.WithLabelValues(region, found)
			m.settling.WithLabelValues(region, found)
		}
	}
}

// What a patrol repairs: the kinds of orderwatch_patrol_repairs_total.
const (
	overdueWakeup = "overdue_wakeup"
	deadWakeup    = "dead_wakeup"
	brokenRecord  = "broken_record"
)

// actions are what is done with deliveries.
var actions = [...]string{watcher.PutBack: "put_back", watcher.Ack: "ack", watcher.Refuse: "refuse"}

// answered is the result of a poll without an error.
const answered = "answered"

// lagBuckets are those of what comes between an order's end and the completion, in seconds.
var lagBuckets = []float64{.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 45, 60, 90, 120, 300, 600}

// ended counts a completion, and how soon it came after the order's end.
func (m *metrics) ended(c watcher.Completion) {
	m.completions.WithLabelValues(string(c.Outcome)).Inc()
	found := "polled"
	if c.DetectedBy == watcher.ByList {
		found = "swept"
	}
	for histogram, text := range map[*prometheus.HistogramVec]string{m.detection: c.DetectedAfter, m.settling: c.SettledAfter} {
		if took, err := time.ParseDuration(text); err == nil { // it is empty where it is not known
			histogram.WithLabelValues(c.Region, found).Observe(took.Seconds())
		}
	}
}

// measuredEvents counts the completions and the attentions that are published through Events.
type measuredEvents struct {
	watcher.Events
	metrics *metrics
}

func (e measuredEvents) Complete(ctx context.Context, c watcher.Completion, after uint64) error {
	err := e.Events.Complete(ctx, c, after)
	if err == nil {
		e.metrics.ended(c)
	}
	return err
}

func (e measuredEvents) Attend(ctx context.Context, a watcher.OrderAttention) error {
	err := e.Events.Attend(ctx, a)
	if err == nil && a.Until.IsZero() {
		e.metrics.conditions.WithLabelValues(string(a.Kind)).Inc()
	}
	return err
}

// measuredOrders counts and times the polls of Orders.
type measuredOrders struct {
	watcher.Orders
	metrics *metrics
}

func (o measuredOrders) Show(ctx context.Context, region string, order watcher.Order) (watcher.Answer, error) {
	store.Passed("poll", "asking", nil)
	o.metrics.calls.WithLabelValues(region, "poll").Inc()
	begin := time.Now()
	answer, err := o.Orders.Show(ctx, region, order)
	store.Passed("poll", "answered", nil)
	result := answered
	if err != nil {
		result = string(watcher.MayPass)
	}
	if known, ok := errors.AsType[*watcher.PollError](err); ok {
		result = string(known.Class)
	}
	o.metrics.polls.WithLabelValues(result).Observe(time.Since(begin).Seconds())
	return answer, err
}

// measuredLists counts the calls of a list.
type measuredLists struct {
	sweeper.Cloud
	calls *prometheus.CounterVec
}

func (l measuredLists) List(ctx context.Context, region, projectID string, q sweep.Query) (sweep.Page, error) {
	l.calls.WithLabelValues(region, "list").Inc()
	return l.Cloud.List(ctx, region, projectID, q)
}

// heldAccounts tells which accounts are held.
type heldAccounts struct{ accounts *store.Accounts }

var heldDesc = prometheus.NewDesc("orderwatch_account_held_seconds", "For how long an account, or a project of it, has not been asked, by why (throttled, login, permission, arrears, unreachable).",
	[]string{"account", "region", "project", "kind"}, nil)

// Describe tells of the metric.
func (heldAccounts) Describe(descs chan<- *prometheus.Desc) { descs <- heldDesc }

// Collect tells its values.
func (c heldAccounts) Collect(values chan<- prometheus.Metric) {
	now := c.accounts.Now()
	for key, h := range c.accounts.Standing() {
		if h.Stands() {
			values <- prometheus.MustNewConstMetric(heldDesc, prometheus.GaugeValue, now.Sub(h.Since).Seconds(), key, h.Region, h.ProjectID, string(h.Kind))
		}
	}
}

// loads tells how many polls are wanted.
type loads func() []watcher.Load

var (
	wantedDesc  = prometheus.NewDesc("orderwatch_wanted_polls_per_second", "How many polls a second watches of this worker want, by region; more than orderwatch_allowed_polls_per_second are late.", []string{"region"}, nil)
	allowedDesc = prometheus.NewDesc("orderwatch_allowed_polls_per_second", "How many polls a second this worker may make, by region: its share of the rate.", []string{"region"}, nil)
)

// Describe tells of the metrics.
func (loads) Describe(descs chan<- *prometheus.Desc) { descs <- wantedDesc; descs <- allowedDesc }

// Collect tells their values.
func (l loads) Collect(values chan<- prometheus.Metric) {
	for _, load := range l() {
		values <- prometheus.MustNewConstMetric(wantedDesc, prometheus.GaugeValue, load.Wanted, load.Region)
		values <- prometheus.MustNewConstMetric(allowedDesc, prometheus.GaugeValue, load.Allowed, load.Region)
	}
}

// patrolled tells what the patrol's last round found, and nothing where there was none: another worker tells it then, or
// nobody knows.
type patrolled struct{ last *atomic.Pointer[patrolRound] }

var (
	watchesDesc = prometheus.NewDesc("orderwatch_watches", "Open watches over all workers by state (watching, ending), as of a minute ago; on the worker that patrols, absent on the others.", []string{"state"}, nil)
	overdueDesc = prometheus.NewDesc("orderwatch_overdue_watches", "Open watches over all workers that were to be polled more than a minute ago; on the worker that patrols, absent on the others.", nil, nil)
)

// Describe tells of the metrics.
func (patrolled) Describe(descs chan<- *prometheus.Desc) { descs <- watchesDesc; descs <- overdueDesc }

// Collect tells their values.
func (p patrolled) Collect(values chan<- prometheus.Metric) {
	round := p.last.Load()
	if round == nil {
		return
	}
	for _, state := range []watcher.State{watcher.Watching, watcher.Ending} {
		values <- prometheus.MustNewConstMetric(watchesDesc, prometheus.GaugeValue, float64(round.open[state]), string(state))
	}
	values <- prometheus.MustNewConstMetric(overdueDesc, prometheus.GaugeValue, float64(round.overdue))
}
