package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A verdict is what a history shows. It holds the invariants if there are no violations.
type verdict struct {
	violations  []string
	completions int
	joined      int // requests beyond the first of their completion
	later       int // completions beyond the first of their order
	polls       int
	missing     int // accepted requests that no completion names
	doubled     int // requests that a completion names again
	repeated    int // polls whose answer no completion counts
	told        int // messages in Slack that tell of one watch
	listed      int // rows in groups' threads
	patrolled   int // wake-ups that only the patrol published
	dead        int // wake-ups of steps that are done, which the patrol removed
}

func (v *verdict) violate(format string, args ...any) {
	v.violations = append(v.violations, fmt.Sprintf(format, args...))
}

// An envelope is a completion or progress event.
type envelope struct {
	ID      string             `json:"id"`
	Type    string             `json:"type"`
	Source  string             `json:"source"`
	Subject string             `json:"subject"`
	Data    watcher.Completion `json:"data"`
}

// check looks for anything in the history that breaks the promise: each accepted request is named
// in exactly one completion, which says what the cloud said; and nothing else came out.
func check(h history) verdict {
	var v verdict
	completions := h.completions(&v)
	h.checkUnique(&v, completions)
	h.checkReliable(&v, completions)
	calls := make(map[string][]emulator.Call)
	for _, c := range h.calls {
		if c.Order != "" { // no list
			v.polls++
			calls[c.Order] = append(calls[c.Order], c)
		}
	}
	for _, c := range completions {
		h.checkTruthful(&v, c, calls[c.Data.OrderName])
	}
	h.checkRecords(&v, completions)
	h.checkTold(&v, completions)
	h.checkBounded(&v, completions)
	h.checkSecret(&v)
	h.checkPatrol(&v)
	h.checkEmpty(&v)
	return v
}

// checkEmpty holds that no request waits, and that no wake-up is left: no watch is open any more.
func (h history) checkEmpty(v *verdict) {
	for _, stream := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS"} {
		left, known := h.left[stream]
		if !known {
			v.violate("nobody looked what stream %s holds", stream)
		}
		for _, m := range left {
			v.violate("stream %s holds %s", stream, m)
		}
	}
}

// A publishedCompletion is a completion and when it was stored.
type publishedCompletion struct {
	envelope
	at time.Time
}

// completions returns the completions, oldest first. All other events must be progress of one of
// their watches.
func (h history) completions(v *verdict) []publishedCompletion {
	var completions []publishedCompletion
	progress, watches := make(map[string]string), make(map[string]bool)
	for _, m := range h.events {
		var e envelope
		if err := json.Unmarshal(m.body, &e); err != nil {
			v.violate("event on %s: %v", m.subject, err)
			continue
		}
		key := e.Data.ProjectID + "." + e.Data.OrderName
		switch {
		case m.subject == fmt.Sprintf("orders.completed.%s.%s", e.Data.Outcome, key) && e.Type == "io.orderwatch.order.completed.v1" && e.ID == e.Data.WatchID:
			completions = append(completions, publishedCompletion{e, m.at})
			watches[e.Data.WatchID] = true
		case m.subject == "orders.progress."+key && e.Type == "io.orderwatch.order.progressed.v1" && strings.HasPrefix(e.ID, e.Data.WatchID+"."):
			if _, twice := progress[e.ID]; twice {
				v.violate("progress %s was published twice", e.ID)
			}
			progress[e.ID] = e.Data.WatchID
		default:
			v.violate("unexpected event on %s: %.300s", m.subject, m.body)
		}
		if m.header.Get("Nats-Msg-Id") != "" {
			v.violate("event on %s has a Nats-Msg-Id", m.subject)
		}
	}
	for id, watch := range progress {
		if !watches[watch] {
			v.violate("progress %s is of a watch without completion", id)
		}
	}
	v.completions = len(completions)
	return completions
}

// checkUnique holds that a watch has one completion, and a request is named in one.
func (h history) checkUnique(v *verdict, completions []publishedCompletion) {
	watches, requests, orders := make(map[string]bool), make(map[string]string), make(map[string]bool)
	for _, c := range completions {
		if watches[c.ID] {
			v.violate("watch %s has two completions", c.ID)
		}
		watches[c.ID] = true
		if orders[c.Data.OrderName] {
			v.later++
		}
		orders[c.Data.OrderName] = true
		v.joined += max(0, len(c.Data.Requests)-1)
		for _, r := range c.Data.Requests {
			if earlier, twice := requests[r.ID]; twice {
				v.doubled++
				v.violate("request %s is named twice: in watches %s and %s", r.ID, earlier, c.ID)
			}
			requests[r.ID] = c.ID
			if order, ok := h.published[r.ID]; !ok || order != c.Data.OrderName {
				v.violate("request %s is named for order %s; it was published for %q", r.ID, c.Data.OrderName, order)
			}
		}
	}
}

// checkReliable holds that every accepted request is named.
func (h history) checkReliable(v *verdict, completions []publishedCompletion) {
	named := make(map[string]bool)
	for _, c := range completions {
		for _, r := range c.Data.Requests {
			named[r.ID] = true
		}
	}
	for id := range h.accepted {
		if !named[id] {
			v.missing++
			v.violate("request %s for %s was accepted and is in no completion", id, h.published[id])
		}
	}
}

// checkTruthful holds that a completion says what the script says, and that the cloud had said
// that all items had ended after the watch began and before the completion was stored. All clocks
// are this machine's.
func (h history) checkTruthful(v *verdict, c publishedCompletion, calls []emulator.Call) {
	want, ok := h.orders[c.Data.OrderName]
	if !ok {
		v.violate("watch %s is of an unknown order %s", c.ID, c.Data.OrderName)
		return
	}
	if c.Data.Outcome != want.outcome || c.Data.Counts != want.counts {
		v.violate("watch %s of %s: %s, %+v; the script has %s, %+v", c.ID, c.Data.OrderName, c.Data.Outcome, c.Data.Counts, want.outcome, want.counts)
	}
	same := func(got watcher.Item, item emulator.Item) bool {
		return got.ResourceName == item.ResourceName && string(got.Status) == item.Status && got.Message == item.Message
	}
	if !slices.EqualFunc(c.Data.Items, want.script.Items, same) {
		v.violate("watch %s of %s: items %+v; the script has %+v", c.ID, c.Data.OrderName, c.Data.Items, want.script.Items)
	}
	if len(calls) == 0 {
		v.violate("watch %s of %s ended without a poll", c.ID, c.Data.OrderName)
		return
	}
	first := slices.MinFunc(calls, func(a, b emulator.Call) int { return a.Time.Compare(b.Time) })
	ended := first.Time.Add(want.end())
	said := func(call emulator.Call) bool {
		return call.Status == 200 && !call.Time.Before(ended) && call.Time.Before(c.at) && call.Time.After(c.Data.AcceptedAt)
	}
	if !slices.ContainsFunc(calls, said) {
		v.violate("watch %s of %s, accepted at %s, completed at %s before the cloud said that all had ended", c.ID, c.Data.OrderName, c.Data.AcceptedAt, c.at)
	}
	if c.Data.Polls > len(calls)+h.timedOut(c.Data.OrderName) {
		v.violate("watch %s of %s says that it polled %d times; the cloud saw %d", c.ID, c.Data.OrderName, c.Data.Polls, len(calls))
	}
}

// timedOut returns how many polls of the order had no answer in time, as workers say. On a busy machine such a poll may not have
// come to the cloud.
func (h history) timedOut(order string) (polls int) {
	for _, output := range h.outputs {
		for line := range strings.Lines(output) {
			if strings.Contains(line, "no whole answer within") && strings.Contains(line, "order="+order+" ") {
				polls++
			}
		}
	}
	return polls
}

// checkRecords holds that each order has a record, ended with the order's last completion.
func (h history) checkRecords(v *verdict, completions []publishedCompletion) {
	last := make(map[string]string)
	for _, c := range completions {
		last[c.Data.OrderName] = c.ID
	}
	records := make(map[string]bool)
	for _, m := range h.records {
		w, err := watcher.DecodeWatch(m.body)
		if errors.Is(err, watcher.ErrNewerSchema) { // where two versions met
			err = json.Unmarshal(m.body, &w)
		}
		if err != nil {
			v.violate("record %s: %v", m.subject, err)
			continue
		}
		if w.State != watcher.Ended || w.ID != last[w.Name] {
			v.violate("record of %s is of watch %s, %s; the last completion is of %q", w.Name, w.ID, w.State, last[w.Name])
		}
		records[w.Name] = true
	}
	for id := range h.accepted {
		if order := h.published[id]; !records[order] {
			v.violate("order %s of request %s has no record", order, id)
		}
	}
}

// checkTold holds that people were told of each watch, once: by a message of its own, in a row of a group's thread, or in a
// digest, which tells of no failure. A watch that a group lists may have a message of its own from before, which was edited.
func (h history) checkTold(v *verdict, completions []publishedCompletion) {
	type sums struct{ watches, without, failures, edited int }
	orders, watches := make(map[string]sums), make(map[string]bool)
	for _, c := range completions {
		own, n := h.told.own[c.ID], orders[c.Data.OrderName]
		n.watches++
		n.edited += h.told.edited[c.ID]
		switch fails := c.Data.Outcome != watcher.Succeeded && c.Data.Outcome != watcher.Cancelled; {
		case own > 1:
			v.violate("watch %s of order %s has %d messages in Slack", c.ID, c.Data.OrderName, own)
		case own == 0 && fails:
			n.failures++
			fallthrough
		case own == 0:
			n.without++
		}
		orders[c.Data.OrderName], watches[c.ID] = n, true
		v.told += own
	}
	together := 0
	for order, n := range orders {
		rows := h.told.rows[order]
		v.listed += rows
		together += max(0, n.without-rows)
		if rows < n.failures {
			v.violate("order %s has %d completions, and nobody was told of %d that failed", order, n.watches, n.failures-rows)
		}
		if rows > n.without+n.edited {
			v.violate("order %s has %d completions, is listed %d times, and has %d messages in Slack, too", order, n.watches, rows, n.watches-n.without)
		}
	}
	if together != h.told.together {
		v.violate("%d completions have no message in Slack and no row, and digests tell of %d", together, h.told.together)
	}
	for id := range h.told.own {
		if !watches[id] {
			v.violate("Slack was told of watch %s, which has no completion", id)
		}
	}
	for order := range h.told.rows {
		if orders[order].watches == 0 {
			v.violate("Slack was told of order %s, which has no completion", order)
		}
	}
	for _, text := range h.told.others {
		v.violate("a message in Slack tells of no watch: %q", text)
	}
}

// concurrency is how many polls one worker has under way at most.
const concurrency = 64

// checkBounded holds that no polls are made but those that count and those that a fault threw
// away, and that workers need no more than a part of what a container has: what a connection for
// each poll at once takes, which are kept for a while, and little else.
func (h history) checkBounded(v *verdict, completions []publishedCompletion) {
	v.repeated = v.polls
	for _, c := range completions {
		v.repeated -= c.Data.Polls
	}
	most := concurrency * max(1, len(h.usages)) * h.faults
	if v.polls < len(h.calls) { // orders are listed: a hint may come while its order is polled
		most += len(h.orders)
	}
	if v.repeated > most {
		v.violate("%d polls were thrown away by %d faults", v.repeated, h.faults)
	}
	for i, u := range h.usages {
		if u.goroutines > 3*concurrency+50 || u.descriptors > concurrency+50 || u.memory > 100 {
			v.violate("worker %d has %.0f goroutines, %.0f descriptors and %.0f MiB when all is done", i, u.goroutines, u.descriptors, u.memory)
		}
	}
}

// checkSecret holds that nothing shows what is secret.
func (h history) checkSecret(v *verdict) {
	shown := slices.Clone(h.outputs)
	for _, messages := range [][]storedMessage{h.events, h.records} {
		for _, m := range messages {
			shown = append(shown, string(m.body))
		}
	}
	for _, text := range shown {
		for _, secret := range h.secrets {
			if at := strings.Index(text, secret); at >= 0 {
				v.violate("a secret came out: …%.300s…", text[max(0, at-200):])
			}
		}
	}
}

// checkPatrol holds that the patrol, which would hide a lost wake-up, woke no watch but those whose wake-ups
// were lost on purpose: whoever finds its step done makes sure of the next one. It wakes a watch, too, when it
// removes a dead wake-up of it.
func (h history) checkPatrol(v *verdict) {
	for _, text := range h.outputs {
		v.patrolled += strings.Count(text, "wake-up was overdue")
		v.dead += strings.Count(text, "dead wake-up removed")
	}
	if v.patrolled > h.ghosts || v.patrolled+v.dead < h.ghosts {
		v.violate("%d wake-ups were lost, and published again by the patrol, and %d were dead; %d were lost on purpose", v.patrolled, v.dead, h.ghosts)
	}
}
