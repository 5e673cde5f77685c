package watcher_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// wilderness is a cloud whose answers shrink, grow, repeat, contradict and vanish, until the calm;
// afterwards it goes on with what it has become.
func (m *model) wilderness() func(time.Duration) (watcher.Answer, error) {
	var items []watcher.Item
	var earlier []watcher.Answer
	dated, names := m.random.IntN(3) > 0, 0
	add := func() {
		names++
		items = append(items, watcher.Item{
			ResourceName: fmt.Sprint("node-", names), Action: pick(m, "createNode", "createNode", "deleteNode"),
			Status: pick(m, processing, processing, succeed),
		})
	}
	for range 1 + m.random.IntN(3) {
		add()
	}
	chance := func(percent int) bool { return m.random.IntN(100) < percent }
	return func(time.Duration) (watcher.Answer, error) {
		for i := range items {
			it := &items[i]
			if it.Status == processing && chance(25) || it.Status == failed && chance(10) {
				it.Status, it.UpdatedAt = pick(m, succeed, succeed, failed, processing), time.Time{}
			}
			if dated && it.UpdatedAt.IsZero() {
				it.UpdatedAt = m.now.Truncate(time.Millisecond)
			}
		}
		stormy := m.now.Before(m.calm)
		switch {
		case !stormy:
		case chance(4):
			add()
		case chance(8) && len(items) > 0:
			i := m.random.IntN(len(items))
			items = slices.Delete(items, i, i+1)
		case chance(6) && len(items) > 0:
			names++
			items[m.random.IntN(len(items))].ResourceName = fmt.Sprint("node-", names)
		case chance(6):
			return watcher.Answer{}, notFound
		case chance(6):
			return watcher.Answer{}, errDown
		case chance(6):
			return watcher.Answer{Count: pick(m, 0, 0, 3)}, nil
		case chance(10) && len(earlier) > 0:
			return earlier[m.random.IntN(len(earlier))], nil
		}
		a := watcher.Answer{Count: len(items), Items: slices.Clone(items)}
		if stormy && chance(15) {
			a.Items = slices.DeleteFunc(a.Items, func(watcher.Item) bool { return chance(30) })
			a.Count = pick(m, a.Count, len(a.Items), len(items)+1)
		}
		earlier = append(earlier, a)
		return a, nil
	}
}

// Show asks the cloud, and notes what the worker that asks got to know.
func (m *model) Show(ctx context.Context, region string, order watcher.Order) (watcher.Answer, error) {
	a, err := m.world.Show(ctx, region, order)
	m.at.given = given{m.now, a, err}
	return a, err
}

// A judge holds what becomes of one watch against the answers that were folded into it.
type judge struct {
	watch string
	*oracle
	asked  given
	over   bool          // the grace of a 404 is over
	hint   *watcher.Hint // that came while the account might not be asked, or whose poll failed
	used   *watcher.Hint // that brought the latest poll on
	failed int           // polls in a row
}

// judgeAt looks at one version of the record and the one before it. The worker that wrote it is at hand.
func (m *model) judgeAt(before, w watcher.Watch) {
	switch {
	case followed(before, w):
		m.judge.watch = w.ID
	case m.judge == nil || m.judge.watch != w.ID:
		m.judge = &judge{watch: w.ID, oracle: &oracle{settle: m.policy.Settle, grace: m.policy.NotFoundGrace, accepted: begin}}
		before = watcher.Watch{}
	}
	j, now := m.judge, w.LastPollAt
	j.expected = m.leastExpected(named(&w))
	if !j.looksEnded() {
		j.ended = time.Time{}
	}
	j.takeHint(before, m.at.wakeup)
	if m.polled(before, w) {
		j.asked, j.over = m.at.given, false
		j.used, j.hint = j.hint, nil
		if j.failed++; j.asked.err == nil {
			j.failed = 0
		} else if j.asked.err != notFound && j.failed <= 3 {
			j.hint = j.used
		}
		switch j.asked.err {
		case nil:
			j.answer(j.asked.Answer, now)
			j.hear(j.used, now)
		case notFound:
			looked := j.ended
			if j.over = j.notFound(now); !j.ended.Equal(looked) {
				j.byList = false
			}
		}
	}
	if w.State == watcher.Ending && before.State != watcher.Ending {
		if wrong := m.wrongEnd(w); wrong != "" {
			m.blame("%s: %s (%s): %s", w.ID, w.Completion.Outcome, w.Completion.Reason, wrong)
		}
	}
	if w.State == watcher.Watching && j.asked.err == nil && m.polled(before, w) {
		for _, r := range w.Requests {
			if j.settledFor(m.expects[identity(r)], now) {
				m.blame("%s goes on for %s, and its order has ended: %+v", w.ID, identity(r), w.Counts)
			}
		}
	}
}

// wrongEnd says what is not true of the completion.
func (m *model) wrongEnd(w watcher.Watch) string {
	c, j := w.Completion, m.judge
	ended := func(r watcher.Request) bool { return j.looksEndedFor(m.expects[identity(r)]) }
	met := func(r watcher.Request) bool {
		return ended(r) && (j.over || j.settledFor(m.expects[identity(r)], w.LastPollAt) || !c.CompletedAt.Before(m.deadline(r).Truncate(time.Millisecond)))
	}
	own := false
	switch c.Outcome {
	case watcher.Cancelled:
	case watcher.TimedOut:
		if slices.ContainsFunc(c.Requests, ended) {
			return "the order had ended"
		}
	case watcher.OrderNotFound:
		if !j.over || j.looksEnded() || len(w.Requests) > 0 {
			return fmt.Sprintf("not known since %s, had ended %t", j.unknown, j.looksEnded())
		}
	default:
		own = true
		if i := slices.IndexFunc(c.Requests, func(r watcher.Request) bool { return !met(r) }); i >= 0 {
			return "it had not ended, or settled, for " + identity(c.Requests[i])
		}
	}
	if own && c.Outcome != j.outcome() {
		return fmt.Sprintf("it is %s", j.outcome())
	}
	if wrong := j.misdetected(c, own); wrong != "" {
		return wrong
	}
	all := j.all()
	if len(c.Items) != len(all) || c.Counts.Total != j.total || c.Counts.Missing != len(j.missing) {
		return fmt.Sprintf("%d items were seen, %d are missing", len(all), len(j.missing))
	}
	for i, s := range all {
		if it := c.Items[i]; it.ResourceName != s.name || it.Status != s.status || it.TakenFor == "deleted" != s.deleted {
			return fmt.Sprintf("item %+v was seen as %+v", it, *s)
		}
	}
	return ""
}

// forgetting is a poller whose records are changed before they are written.
func forgetting(change func(*watcher.Watch)) func(*model) {
	return func(m *model) {
		m.parts.poller = writing(m.parts.poller, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			if w.State == watcher.Watching {
				w.Items, w.Missing = slices.Clone(w.Items), slices.Clone(w.Missing)
				change(&w)
			}
			return m.Write(ctx, w, expected)
		})
	}
}

// forgettingMissing drops missing items of a kind.
func forgettingMissing(drop func(watcher.MissingItem) bool) func(*model) {
	return forgetting(func(w *watcher.Watch) { w.Missing = slices.DeleteFunc(w.Missing, drop) })
}

// eachMissing changes the missing items.
func eachMissing(change func(*watcher.MissingItem)) func(*model) {
	return forgetting(func(w *watcher.Watch) {
		for i := range w.Missing {
			change(&w.Missing[i])
		}
	})
}

const longAgo = 1000 * time.Hour

// seeing are the guards of what a watch has seen.
var seeing = []guard{
	{"a failed item that is no longer listed stays failed", forgettingMissing(func(it watcher.MissingItem) bool { return it.Status == failed })},
	{"an item that succeeded and is no longer listed stays", forgettingMissing(func(it watcher.MissingItem) bool { return it.Status == succeed })},
	{"an item that had not ended and is no longer listed keeps its order open", forgettingMissing(func(it watcher.MissingItem) bool { return !it.Status.Ended() })},
	{"an item takes another's place only while count does not grow", forgetting(func(w *watcher.Watch) {
		for i := range w.Missing {
			w.Missing[i].Count = 1000
		}
		if len(w.Items) > 0 {
			w.Listed += 1000
		}
	})},
	{"an item that an answer shows as it was before is as it was seen last", forgetting(func(w *watcher.Watch) {
		for i := range w.Items {
			w.Items[i].Updated = 0
		}
	})},
	{"a deleted item is missing for five minutes", eachMissing(func(it *watcher.MissingItem) { it.Since -= longAgo.Milliseconds() })},
	{"a deleted item is missing in five answers", eachMissing(func(it *watcher.MissingItem) { it.Answers = 1000 })},
	{"only a deletion is taken for deleted", eachMissing(func(it *watcher.MissingItem) { it.Action = "deleteNode" })},
	{"an order that is gone may come back for a while", forgetting(func(w *watcher.Watch) {
		if !w.Gone.IsZero() {
			w.Gone = w.Gone.Add(-longAgo)
		}
	})},
	{"an order that looks ended is looked at again", forgetting(func(w *watcher.Watch) {
		if !w.LooksEndedSince.IsZero() {
			w.LooksEndedSince = w.LooksEndedSince.Add(-longAgo)
		}
	})},
	{"what was never listed has not ended when the list is empty", forgetting(func(w *watcher.Watch) { w.Listed = min(w.Listed, 1) })},
	{"an error is no answer", func(m *model) { m.parts.orders = otherOrders{m} }},
}

// otherOrders take an error for an empty answer.
type otherOrders struct{ *model }

func (o otherOrders) Show(ctx context.Context, region string, order watcher.Order) (watcher.Answer, error) {
	a, err := o.model.Show(ctx, region, order)
	if err != nil && err != notFound {
		return watcher.Answer{}, nil
	}
	return a, err
}
