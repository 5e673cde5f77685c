package demo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestMetrics holds that /metrics of a worker and a page say what happened: by the stand-ins, the streams and the script, not by
// what the program itself says. It keeps the names and labels of all metrics in deploy/helm/monitoring/metrics.txt.
func TestMetrics(t *testing.T) {
	beats := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer beats.Close()
	s, err := newStage(slog.New(slog.DiscardHandler), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.settings.Version = "1.2.3"
	s.settings.HTTP.Addr, s.settings.HTTP.HeartbeatURL = rig.FreeAddr(t), config.NewSecret(beats.URL)
	s.settings.Page.Addr, s.settings.Page.MetricsAddr = "127.0.0.1:0", rig.FreeAddr(t)
	s.timing.PatrolEvery, s.timing.CheckEvery = time.Second, time.Second
	r := &run{T: t, stage: s, began: time.Now(), names: make(map[string]string)}
	scraping, stop := context.WithCancel(t.Context())
	var scraped sync.WaitGroup
	defer scraped.Wait()
	defer stop()
	scraped.Go(func() {
		for scraping.Err() == nil { // some metrics are there for seconds only
			_, _ = r.scrape(s.settings.HTTP.Addr) // the worker may not listen yet
			time.Sleep(100 * time.Millisecond)
		}
	})
	err = s.play(t.Context(), slog.New(slog.DiscardHandler), true, func(ctx context.Context) {
		r.connect()
		r.eventually(r.counters)
		r.detection()
		r.service()
		r.eventually(r.gauges)
		r.afterwards()
	})
	if err != nil {
		t.Error(err)
	}
	stop()
	scraped.Wait()
	cmdtest.Golden(t, "../../../deploy/helm/monitoring/metrics.txt", r.golden())
}

// A run is a demo whose metrics are read.
type run struct {
	*testing.T
	*stage
	began  time.Time
	js     jetstream.JetStream
	client *client.Client

	mu    sync.Mutex
	names map[string]string // type and labels, by the name of a metric
}

func (r *run) connect() {
	nc, err := nats.Connect(r.settings.NATS.URL)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(nc.Close)
	if r.js, err = jetstream.New(nc); err != nil {
		r.Fatal(err)
	}
	if r.client, err = client.New(nc, serve.Names(r.settings)); err != nil {
		r.Fatal(err)
	}
}

func (r *run) eventually(f func() error) {
	r.Helper()
	rig.Eventually(r.T, rig.Patience, f)
}

// values are what a scrape returned, by name and labels.
type values map[string]float64

// sum returns the sum of a metric's values that have all these labels, such as region="cn-north-4", and how many there are.
func (v values) sum(name string, labels ...string) (sum float64, n int) {
	for series, value := range v {
		if of, has, _ := strings.Cut(series, "{"); of == name && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(has, l) }) {
			sum += value
			n++
		}
	}
	return sum, n
}

// is returns an error unless the values that have these labels are there, and make up what is wanted.
func (v values) is(want float64, name string, labels ...string) error {
	if got, n := v.sum(name, labels...); n == 0 || math.Abs(got-want) > 1e-6 {
		return fmt.Errorf("%s%v is %v, in %d series; want %v", name, labels, got, n, want)
	}
	return nil
}

var (
	typed   = regexp.MustCompile(`^# TYPE (\S+) (\S+)$`)
	labeled = regexp.MustCompile(`[{,]([a-z_]+)="`)
)

// scrape reads what is told at the address, and notes the names and labels that it finds.
func (r *run) scrape(addr string) (values, error) {
	answer, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if problems, err := promlint.New(bytes.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
		r.Errorf("%v, %v", problems, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found, name, kind := make(values), "", ""
	for line := range strings.Lines(string(text)) {
		if m := typed.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			name, kind = m[1], m[2]
			continue
		}
		value := strings.TrimSpace(line[strings.LastIndex(line, " ")+1:])
		number, err := strconv.ParseFloat(value, 64)
		if err != nil || strings.HasPrefix(line, "#") {
			continue
		}
		series := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), value))
		found[series] = number
		var labels []string
		for _, m := range labeled.FindAllStringSubmatch(series, -1) {
			if m[1] != "le" && m[1] != "quantile" {
				labels = append(labels, m[1])
			}
		}
		r.names[name] = strings.TrimSpace(kind + " " + strings.Join(labels, ","))
	}
	return found, nil
}

// golden returns the names, types and labels of what was found: all of orderwatch's own, and of every process's those that rules or
// the dashboard take. Others are not told by every system.
func (r *run) golden() string {
	taken := []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"}
	var lines []string
	for name, rest := range r.names {
		if strings.HasPrefix(name, "orderwatch_") || slices.Contains(taken, name) {
			lines = append(lines, name+" "+rest+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// ended returns the completions that were published.
func (r *run) ended() (all []watcher.Completion) {
	r.board.mu.Lock()
	defer r.board.mu.Unlock()
	return slices.Concat(slices.Collect(maps.Values(r.board.ended))...)
}

// counters holds that what the worker counted is what the stand-ins and the streams saw.
func (r *run) counters() error {
	v, err := r.scrape(r.settings.HTTP.Addr)
	if err != nil {
		return err
	}
	var wrong []error
	is := func(want int, name string, labels ...string) {
		wrong = append(wrong, v.is(float64(want), name, labels...))
	}
	outcomes := make(map[watcher.Outcome]int)
	for _, c := range r.ended() {
		outcomes[c.Outcome]++
	}
	for _, outcome := range watcher.Outcomes {
		is(outcomes[outcome], "orderwatch_completions_total", label("outcome", outcome))
	}
	results := make(map[int]int) // polls by HTTP status
	for region, cloud := range r.clouds {
		kinds := make(map[emulator.Kind]int)
		for _, c := range cloud.Calls() {
			kinds[c.Kind]++
			if c.Kind == emulator.ShowOrder {
				results[c.Status]++
			}
		}
		is(kinds[emulator.ShowOrder], "orderwatch_calls_total", label("region", region), label("kind", "poll"))
		is(kinds[emulator.ListOrders], "orderwatch_calls_total", label("region", region), label("kind", "list"))
	}
	for result, status := range map[string]int{"answered": 200, "throttled": 429, "not_found": 404, "may_pass": 0, "forbidden": 403, "credentials": 401, "refused": 400} {
		is(results[status], "orderwatch_poll_seconds_count", label("result", result))
	}
	is(0, "orderwatch_slack_possible_duplicates_total")
	is(0, "orderwatch_slack_undelivered_total")
	is(23, "orderwatch_deliveries_total", label("consumer", "intake"), label("action", "ack"))
	is(1, "orderwatch_deliveries_total", label("consumer", "intake"), label("action", "refuse"))
	return errors.Join(append(wrong, r.deliveries(v), r.attentions(v))...)
}

func label[T ~string](name string, value T) string { return fmt.Sprintf("%s=%q", name, string(value)) }

// deliveries holds that the worker, which is the only one, counted all that the server delivered.
func (r *run) deliveries(v values) error {
	names := serve.Names(r.settings)
	var wrong []error
	for consumer, stream := range map[string]string{
		wire.IntakeConsumer: names.RequestStream(), wire.PollerConsumer: names.WakeupStream(), wire.SlackConsumer: names.EventStream(), wire.HistoryConsumer: names.EventStream(),
	} {
		c, err := r.js.Consumer(r.Context(), stream, consumer)
		if err != nil {
			return err
		}
		wrong = append(wrong, v.is(float64(c.CachedInfo().Delivered.Consumer), "orderwatch_deliveries_total", label("consumer", consumer)))
	}
	return errors.Join(wrong...)
}

// attentions holds that the worker counted the events that tell people of watches that go on.
func (r *run) attentions(v values) error {
	stream, err := r.js.Stream(r.Context(), serve.Names(r.settings).EventStream())
	if err != nil {
		return err
	}
	kinds := make(map[watcher.AttentionKind]int)
	for sequence := uint64(1); sequence <= stream.CachedInfo().State.LastSeq; sequence++ {
		m, err := stream.GetMsg(r.Context(), sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		var event struct {
			Type string
			Data watcher.OrderAttention
		}
		if err := json.Unmarshal(m.Data, &event); err != nil {
			return err
		}
		if event.Type == "io.orderwatch.order.attention.v1" && event.Data.Until.IsZero() {
			kinds[event.Data.Kind]++
		}
	}
	var wrong []error
	for _, kind := range []watcher.AttentionKind{watcher.Blind, watcher.Stalled, watcher.Late, watcher.DeadlineNear, watcher.Vanished, watcher.UnknownStatus} {
		wrong = append(wrong, v.is(float64(kinds[kind]), "orderwatch_order_attentions_total", label("kind", kind)))
	}
	return errors.Join(wrong...)
}

// detection holds that the histograms of lags are those of the completions, and that these are, within one interval of polls,
// how long after the scripted end of the order its watch ended.
func (r *run) detection() {
	v, err := r.scrape(r.settings.HTTP.Addr)
	if err != nil {
		r.Fatal(err)
	}
	type place struct{ region, found string }
	count, lag, settled := make(map[place]int), make(map[place]time.Duration), make(map[place]time.Duration)
	for _, c := range r.ended() {
		detected, err := time.ParseDuration(c.DetectedAfter)
		if err != nil {
			continue
		}
		p := place{c.Region, "polled"}
		if c.DetectedBy == watcher.ByList {
			p.found = "swept"
		}
		waited, err := time.ParseDuration(c.SettledAfter)
		if err != nil {
			r.Errorf("%s: %v", c.OrderName, err)
		}
		count[p]++
		lag[p] += detected
		settled[p] += waited
		end := r.scriptedEnd(c)
		if real := c.CompletedAt.Sub(end); (real - detected).Abs() > r.settings.Poll.Initial {
			r.Errorf("%s ended %s after its scripted end; its detection lag is %s", c.OrderName, real, detected)
		}
	}
	for region := range r.clouds {
		for _, found := range []string{"polled", "swept"} {
			p := place{region, found}
			for _, err := range []error{
				v.is(float64(count[p]), "orderwatch_detection_lag_seconds_count", label("region", region), label("found", found)),
				v.is(float64(count[p]), "orderwatch_settle_wait_seconds_count", label("region", region), label("found", found)),
				v.is(lag[p].Seconds(), "orderwatch_detection_lag_seconds_sum", label("region", region), label("found", found)),
				v.is(settled[p].Seconds(), "orderwatch_settle_wait_seconds_sum", label("region", region), label("found", found)),
			} {
				if err != nil {
					r.Error(err)
				}
			}
		}
	}
	if n := slices.Collect(maps.Values(count)); len(n) < 2 {
		r.Errorf("ends were seen so: %v", count)
	}
}

// scriptedEnd returns when the last item of the order ended, by its script, which began at the order's first poll.
func (r *run) scriptedEnd(c watcher.Completion) (end time.Time) {
	for _, call := range r.clouds[c.Region].Calls() {
		if call.Order == c.OrderName && (end.IsZero() || call.Time.Before(end)) {
			end = call.Time
		}
	}
	for _, f := range r.fates {
		if f.order == c.OrderName {
			last := slices.MaxFunc(f.script.Items, func(a, b emulator.Item) int { return cmp.Compare(a.EndAfter, b.EndAfter) })
			return end.Add(last.EndAfter)
		}
	}
	r.Fatalf("no script of %s", c.OrderName)
	return end
}

// service asks the service, and holds that each answer is counted.
func (r *run) service() {
	for range 3 {
		if _, err := r.client.Get(r.Context(), watcher.Order{ProjectID: project, Name: "order.quota-m3n8v"}); err != nil {
			r.Error(err)
		}
	}
	if _, err := r.client.Get(r.Context(), watcher.Order{ProjectID: project, Name: "order.unknown"}); err == nil {
		r.Error("an order is known that nobody asked for")
	}
	r.eventually(func() error {
		v, err := r.scrape(r.settings.HTTP.Addr)
		const name = "orderwatch_service_answers_total"
		return errors.Join(err, v.is(3, name, `request="get"`, `code="200"`), v.is(1, name, `request="get"`, `code="404"`), v.is(0, name, `code="503"`))
	})
}

// gauges holds that gauges say that all has ended, and that all is well.
func (r *run) gauges() error {
	if _, err := r.client.Status(r.Context()); err != nil { // it reads what the patrol reads a minute later
		return err
	}
	v, err := r.scrape(r.settings.HTTP.Addr)
	if err != nil {
		return err
	}
	var wrong []error
	for name, want := range map[string]float64{
		"orderwatch_build_info": 1, "orderwatch_nats_connected": 1, "orderwatch_workers": 1, "orderwatch_watches": 0, "orderwatch_overdue_watches": 0,
		"orderwatch_broken_records": 0, "orderwatch_stores_lost_total": 0,
		"orderwatch_nats_permission_violations_total": 0, "orderwatch_service_foreign_replies_total": 0,
	} {
		wrong = append(wrong, v.is(want, name))
	}
	slack, err := r.js.Consumer(r.Context(), serve.Names(r.settings).EventStream(), wire.SlackConsumer)
	if err != nil {
		return err
	}
	info := slack.CachedInfo() // some messages wait for a minute, lest they change at once
	wrong = append(wrong, v.is(float64(info.NumPending)+float64(info.NumAckPending), "orderwatch_untold_events"))
	wrong = append(wrong, v.is(1, "orderwatch_build_info", label("version", "1.2.3")), v.is(0, "orderwatch_patrol_repairs_total", label("kind", "overdue_wakeup")))
	for _, name := range []string{"orderwatch_account_held_seconds", "orderwatch_slack_refused_seconds", "orderwatch_slack_errors_total", "orderwatch_sweep_rows", "orderwatch_sweep_off"} {
		if _, n := v.sum(name); n > 0 {
			wrong = append(wrong, fmt.Errorf("%s is still there", name))
		}
	}
	for _, loop := range []string{"intake", "poller", "slack", "history", "patrol", "check"} {
		if at, n := v.sum("orderwatch_loop_timestamp_seconds", label("loop", loop)); n != 1 || at < float64(r.began.Unix()) {
			wrong = append(wrong, fmt.Errorf("the loop %s turned last at %f", loop, at))
		}
	}
	if at := v["orderwatch_heartbeat_timestamp_seconds"]; at < float64(r.began.Unix())-1 {
		wrong = append(wrong, fmt.Errorf("the last heartbeat was at %f", at))
	}
	p, err := r.scrape(r.settings.Page.MetricsAddr)
	return errors.Join(append(wrong, err, p.is(0, "orderwatch_page_streams"), p.is(1, "orderwatch_nats_connected"), p.is(1, "orderwatch_build_info"))...)
}

// afterwards has orders watched that never end, with a list and a Slack that refuse all, and in the end an account that is throttled, and holds that the metrics say so.
func (r *run) afterwards() {
	r.clouds[region].SetFaults(emulator.Fault{Kind: emulator.ListOrders, Status: http.StatusForbidden, Code: "ModelArts.50005", Message: "not permitted to list"})
	r.slack.RevokeToken(slackToken)
	for _, name := range []string{"order.never-1", "order.never-2"} {
		if _, err := r.client.Publish(r.Context(), wire.WatchRequest{Order: watcher.Order{ProjectID: project, Name: name}, RequestID: name, RequestedBy: "tests"}); err != nil {
			r.Fatal(err)
		}
	}
	r.eventually(func() error {
		_, asked := r.client.Status(r.Context())
		v, err := r.scrape(r.settings.HTTP.Addr)
		return errors.Join(asked, err, v.is(2, "orderwatch_watches", label("state", watcher.Watching)), v.is(0, "orderwatch_watches", label("state", watcher.Ending)),
			v.is(1, "orderwatch_sweep_off", label("region", region), label("project", project)))
	})
	if _, err := r.client.Cancel(r.Context(), wire.CancelRequest{Order: watcher.Order{ProjectID: project, Name: "order.never-1"}, By: "tests"}); err != nil {
		r.Fatal(err)
	}
	r.eventually(func() error {
		v, err := r.scrape(r.settings.HTTP.Addr)
		refused, n := v.sum("orderwatch_slack_refused_seconds", label("class", "token"), label("channel", ""))
		if n != 1 || refused <= 0 {
			err = errors.Join(err, fmt.Errorf("Slack has refused messages for %f s, in %d series", refused, n))
		}
		if refusals, _ := v.sum("orderwatch_slack_errors_total", label("class", "token")); refusals < 1 {
			err = errors.Join(err, errors.New("no error of Slack is counted"))
		}
		return errors.Join(err, v.is(1, "orderwatch_completions_total", label("outcome", watcher.Cancelled)))
	})
	r.clouds[region].SetFaults(emulator.Fault{Status: http.StatusTooManyRequests, Code: "APIG.0308", Message: "over ratelimit"})
	r.eventually(func() error {
		v, err := r.scrape(r.settings.HTTP.Addr)
		if _, n := v.sum("orderwatch_account_held_seconds", label("region", region), label("kind", "throttled")); n != 1 {
			err = errors.Join(err, fmt.Errorf("%d accounts are held", n))
		}
		return err
	})
}
