package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// runbook returns the address of an alert's entry.
func runbook(alert string) string { return docs + "RUNBOOK.md#" + strings.ToLower(alert) }

// in is what all queries are narrowed to.
const in = `namespace=~"$namespace"`

// share is which part of the ends workers saw within a time, le of the histogram. Its le is 15 or, from Prometheus 3 on, 15.0.
func share(le, by, window string) string {
	of := func(suffix, le string) string {
		return over("sum", by, "increase(orderwatch_detection_lag_seconds_"+suffix+"{"+in+le+"}["+window+"])")
	}
	return of("bucket", `,le=~"`+le+`|`+le+`[.]0"`) + " / (" + of("count", "") + " > 0)"
}

// quantile is below which value a part of what the histogram counted lies.
func quantile(part, metric, by string) string {
	return "histogram_quantile(" + part + ", sum by (le" + by + ") (rate(" + metric + "_bucket{" + in + "}[$__rate_interval])))"
}

// over aggregates over all but the labels.
func over(aggregate, labels, expr string) string {
	if labels != "" {
		aggregate += " by (" + labels + ")"
	}
	return aggregate + " (" + expr + ")"
}

// rate is how many a second a counter counts, over all workers.
func rate(metric, by string) string {
	return over("sum", by, "rate("+metric+"{"+in+"}[$__rate_interval])")
}

// hourly is how many a counter counted in the hour before.
func hourly(metric, by string) string {
	return over("sum", by, "increase("+metric+"{"+in+"}[1h])")
}

// most is the greatest value of a gauge that several workers tell, or one of them.
func most(metric, by string) string { return over("max", by, metric+"{"+in+"}") }

var rows = []row{
	{"The objective: the end is seen of 95 % within 15 s, of 99 % within 2 minutes", []panel{
		{title: "Seen within 15 s", says: "Of the orders that ended in the time shown. The objective is 95 %.", unit: units.PercentUnit, width: 4, single: true, floor: .95, alert: "OrderwatchEndsSeenAfter15s",
			queries: []query{{"", share("15", "", "$__range")}}},
		{title: "Seen within 2 minutes", says: "Of the orders that ended in the time shown. The objective is 99 %.", unit: units.PercentUnit, width: 4, single: true, floor: .99, alert: "OrderwatchEndsSeenAfter2m",
			queries: []query{{"", share("120", "", "$__range")}}},
		{title: "Seen in time, of the hour before", says: "By region. Of few orders each counts much.", unit: units.PercentUnit, width: 8, alert: "OrderwatchEndsSeenAfter2m",
			queries: []query{{"{{region}} within 15 s", share("15", "region", "1h")}, {"{{region}} within 2 minutes", share("120", "region", "1h")}}},
		{title: "How long after the end a watch ends", says: "With what ORDERWATCH_SETTLE adds on purpose. Found: swept, by the list of orders; polled, without it.", unit: units.Seconds, width: 8, alert: "OrderwatchEndsSeenAfter15s",
			queries: []query{
				{"half, {{found}}", quantile("0.5", "orderwatch_detection_lag_seconds", ", found")},
				{"95 %, {{found}}", quantile("0.95", "orderwatch_detection_lag_seconds", ", found")},
				{"95 %, of it settling", quantile("0.95", "orderwatch_settle_wait_seconds", "")},
			}},
	}},
	{"Watches", []panel{
		{title: "Open watches", says: "Over all workers, as the worker that patrols counts them. No line: nobody patrols.", unit: units.Short, width: 8, stacked: true, alert: "OrderwatchNobodyPatrols",
			queries: []query{{"{{state}}", most("orderwatch_watches", "state")}}},
		{title: "Overdue watches and broken records", says: "Overdue: due for more than a minute, without a hold. Both are to be 0.", unit: units.Short, width: 8, alert: "OrderwatchWatchesOverdue",
			queries: []query{{"overdue", most("orderwatch_overdue_watches", "")}, {"broken records", most("orderwatch_broken_records", "")}}},
		{title: "Ended, an hour", says: "By outcome.", unit: units.Short, width: 8, stacked: true,
			queries: []query{{"{{outcome}}", hourly("orderwatch_completions_total", "outcome")}}},
		{title: "People were told of a watch that goes on, an hour", says: "Blind: this order alone cannot be read.", unit: units.Short, width: 12, stacked: true, alert: "OrderwatchOrdersBlind",
			queries: []query{{"{{kind}}", hourly("orderwatch_order_attentions_total", "kind")}}},
		{title: "Repairs of the patrol, an hour", says: "dead_wakeup is usual. overdue_wakeup: a wake-up was gone, and was published again.", unit: units.Short, width: 12, stacked: true, alert: "OrderwatchWakeupsLost",
			queries: []query{{"{{kind}}", hourly("orderwatch_patrol_repairs_total", "kind")}}},
	}},
	{"Polls and rate", []panel{
		{title: "Polls wanted and allowed", says: "Where more are wanted than allowed, polls are late.", unit: units.RequestsPerSecond, width: 8, alert: "OrderwatchRateUsedUp",
			queries: []query{
				{"{{region}} wanted", "sum by (region) (orderwatch_wanted_polls_per_second{" + in + "})"},
				{"{{region}} allowed", "sum by (region) (orderwatch_allowed_polls_per_second{" + in + "})"},
			}},
		{title: "Polls", says: "By what came of them.", unit: units.RequestsPerSecond, width: 8, stacked: true, alert: "OrderwatchNothingPolled",
			queries: []query{{"{{result}}", rate("orderwatch_poll_seconds_count", "result")}}},
		{title: "How late polls begin", says: "Against the time at which they were wanted: the first sign of too few workers, of a slow NATS, or of a rate that is used up.", unit: units.Seconds, width: 8, alert: "OrderwatchWatchesOverdue",
			queries: []query{{"half", quantile("0.5", "orderwatch_wakeup_lag_seconds", "")}, {"99 %", quantile("0.99", "orderwatch_wakeup_lag_seconds", "")}}},
	}},
	{"ModelArts", []panel{
		{title: "Held accounts and projects", says: "For how long ModelArts has not been asked, and why. No line: nothing is held.", unit: units.Seconds, width: 8, alert: "OrderwatchAccountHeld",
			queries: []query{{"{{region}} {{project}} {{kind}}", most("orderwatch_account_held_seconds", "region, project, kind")}}},
		{title: "How long ModelArts takes", says: "Of polls that were answered.", unit: units.Seconds, width: 8,
			queries: []query{
				{"half", `histogram_quantile(0.5, sum by (le) (rate(orderwatch_poll_seconds_bucket{` + in + `,result="answered"}[$__rate_interval])))`},
				{"99 %", `histogram_quantile(0.99, sum by (le) (rate(orderwatch_poll_seconds_bucket{` + in + `,result="answered"}[$__rate_interval])))`},
			}},
		{title: "Calls", says: "Poll: one order. List: the running orders of a project.", unit: units.RequestsPerSecond, width: 8, stacked: true, alert: "OrderwatchThrottled",
			queries: []query{{"{{region}} {{kind}}", rate("orderwatch_calls_total", "region, kind")}}},
		{title: "Lists of running orders", says: "How often they were read, wholly or not; and how many polls contradicted them.", unit: units.CountsPerSecond, width: 8,
			queries: []query{{"{{region}} {{result}}", rate("orderwatch_sweeps_total", "region, result")}, {"{{region}} contradicted", rate("orderwatch_list_disagreements_total", "region")}}},
		{title: "Orders in the lists", says: "Rows of the last complete list of each project.", unit: units.Short, width: 8,
			queries: []query{{"{{region}} {{project}}", most("orderwatch_sweep_rows", "region, project")}}},
		{title: "Projects whose list is of no use", says: "Their orders are polled as without it: ends are seen some seconds to a minute later. No line: none.", unit: units.Short, width: 8, alert: "OrderwatchEndsSeenAfter15s",
			queries: []query{{"{{region}} {{project}}", most("orderwatch_sweep_off", "region, project")}}},
	}},
	{"NATS", []panel{
		{title: "Connected", says: "1 where a worker or a page is connected.", unit: units.Short, width: 8, alert: "OrderwatchNATSUnreachable",
			queries: []query{{"{{instance}}", most("orderwatch_nats_connected", "instance")}}},
		{title: "Since loops turned", says: "Of the worker whose loop turned last. A line that climbs: the loop stands still in all workers.", unit: units.Seconds, width: 8, alert: "OrderwatchLoopStuck",
			queries: []query{{"{{loop}}", "time() - (" + most("orderwatch_loop_timestamp_seconds", "loop") + " > 0)"}}},
		{title: "Deliveries", says: "put_back is to be rare, except of slack, which lets messages wait.", unit: units.CountsPerSecond, width: 8, stacked: true,
			queries: []query{{"{{consumer}} {{action}}", rate("orderwatch_deliveries_total", "consumer, action")}}},
		{title: "Answers of the service", says: "503: NATS did not answer the worker.", unit: units.RequestsPerSecond, width: 8, stacked: true,
			queries: []query{{"{{request}} {{code}}", rate("orderwatch_service_answers_total", "request, code")}}},
		{title: "To be 0, an hour", says: "What NATS did not permit, replies that lead elsewhere, stores that were lost.", unit: units.Short, width: 8, alert: "OrderwatchPermissionViolations",
			queries: []query{
				{"permission violations", hourly("orderwatch_nats_permission_violations_total", "")},
				{"foreign replies", hourly("orderwatch_service_foreign_replies_total", "")},
				{"stores lost", hourly("orderwatch_stores_lost_total", "")},
			}},
		{title: "Clock of NATS against that of workers", says: "Harmless: that of NATS counts.", unit: units.Seconds, width: 8,
			queries: []query{{"{{instance}}", "max by (instance) (abs(orderwatch_clock_offset_seconds{" + in + "}))"}}},
	}},
	{"Slack", []panel{
		{title: "Age of the oldest event that people do not know of", says: "Over all workers. A minute or two are usual where progress is shown.", unit: units.Seconds, width: 8, alert: "OrderwatchPeopleToldLate",
			queries: []query{{"oldest", most("orderwatch_untold_oldest_seconds", "")}}},
		{title: "Events that people do not know of", says: "Over all workers.", unit: units.Short, width: 8, alert: "OrderwatchPeopleToldLate",
			queries: []query{{"events", most("orderwatch_untold_events", "")}}},
		{title: "Refused by Slack", says: "For how long. Without a channel: all messages. No line: Slack takes them.", unit: units.Seconds, width: 8, alert: "OrderwatchSlackRefusesAll",
			queries: []query{{"{{channel}} {{code}}", most("orderwatch_slack_refused_seconds", "channel, code")}}},
		{title: "Errors of Slack, an hour", says: "By class and code.", unit: units.Short, width: 8, stacked: true,
			queries: []query{{"{{class}} {{code}}", hourly("orderwatch_slack_errors_total", "class, code")}}},
		{title: "Given up, or perhaps posted twice, an hour", says: "What was given up, orderwatch renotify posts again.", unit: units.Short, width: 8, alert: "OrderwatchMessageUndelivered",
			queries: []query{{"given up", hourly("orderwatch_slack_undelivered_total", "")}, {"perhaps twice", hourly("orderwatch_slack_possible_duplicates_total", "")}}},
		{title: "Since the last heartbeat", says: "No line: none was accepted, as without ORDERWATCH_HEARTBEAT_URL.", unit: units.Seconds, width: 8, alert: "OrderwatchNoHeartbeat",
			queries: []query{{"heartbeat", "time() - (" + most("orderwatch_heartbeat_timestamp_seconds", "") + " > 0)"}}},
	}},
	{"Workers and pages", []panel{
		{title: "Workers", says: "As workers count each other, and as Prometheus reads them: the same where all is well.", unit: units.Short, width: 8, alert: "OrderwatchTooFewWorkers",
			queries: []query{{"at work", most("orderwatch_workers", "")}, {"read by Prometheus", "count(orderwatch_workers{" + in + "})"}}},
		{title: "Versions", says: "Of workers and pages.", unit: units.Short, width: 8, stacked: true, alert: "OrderwatchVersionsDiffer",
			queries: []query{{"{{version}}, {{goversion}}", "count by (version, goversion) (orderwatch_build_info{" + in + "})"}}},
		{title: "CPU", says: "Cores, by worker or page.", unit: units.Short, width: 8,
			queries: []query{{"{{instance}}", "rate(process_cpu_seconds_total{" + in + "}[$__rate_interval]) and on (job, instance) orderwatch_build_info"}}},
		{title: "Memory", says: "Resident, by worker or page. A worker keeps below four fifths of its container's limit.", unit: units.BytesIEC, width: 8,
			queries: []query{{"{{instance}}", "process_resident_memory_bytes{" + in + "} and on (job, instance) orderwatch_build_info"}}},
		{title: "Viewers of the page", says: "Open streams: tabs of browsers. Only with ORDERWATCH_PAGE_METRICS_ADDR.", unit: units.Short, width: 8,
			queries: []query{{"{{instance}}", "sum by (instance) (orderwatch_page_streams{" + in + "})"}}},
		{title: "Requests of the page", says: "By status. Only with ORDERWATCH_PAGE_METRICS_ADDR.", unit: units.RequestsPerSecond, width: 8, stacked: true,
			queries: []query{{"{{code}}", rate("orderwatch_page_requests_total", "code")}}},
	}},
}
