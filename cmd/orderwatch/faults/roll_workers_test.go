package faults_test

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestRollThreeWorkers rolls three workers, as an upgrade does, under some hundred open watches. How late polls were and how
// long workers took to end it only prints: TestRollThreeWorkersLong, with 2,000 watches, has the bounds of an idle machine.
func TestRollThreeWorkers(t *testing.T) {
	t.Parallel()
	rollThreeWorkers(t, 300, 2*time.Second)
}

// rollThreeWorkers ends three workers by SIGTERM, one after the other, each followed by another one, under so many watches,
// whose intervals are the mean, and of which some end meanwhile. Then all end: each request is in exactly one completion.
// It returns how long the workers took to end, and how late the worst poll of each watch was. A poll is late behind the time
// that the latest wake-up before it names. Polls of all workers count, also those of a wake-up that was delivered again.
func rollThreeWorkers(t *testing.T, watches int, mean time.Duration) (exits, late []time.Duration) {
	w := newWitness()
	l := newOpenLoad(watches, w.polled)
	for order := range l.orders { // many failures alike would take minutes to be told, as Slack allows few edits
		l.orders[order] = scripted{script: succeeded, outcome: watcher.Succeeded, counts: watcher.Counts{Total: 2, Succeeded: 2}}
	}
	n := rig.StartNATS(t, "")
	f := startFleetOf(t, rig.Build(t, rig.Worker), n.URL, l, 3, steady(mean)...)
	w.listen(t, n.JS)
	l.publishAll(t, n.JS)
	w.awaitPolls(t, watches, time.Now().Add(mean), rig.Patience) // the first polls came in a bunch

	begun := time.Now()
	before := durations(w.worst(begun.Add(-mean)))
	ends := make(map[string]time.Time) // of orders that end during the roll
	for i := range f.workers {
		for range watches / 20 {
			order := orderName(len(ends))
			l.cloud.Add(rig.Project, order, l.orders[order].script)
			ends[order] = time.Now()
		}
		exits = append(exits, f.replace(t, i, f.program))
		w.awaitPolls(t, watches-len(ends), time.Now(), rig.Patience)
	}
	rolled := time.Now()
	late = durations(w.worst(begun))
	f.recorded = func(h history) {
		var seen []time.Duration
		for _, m := range h.completed() {
			if order, ok := wire.OrderOf(m.subject, "orders.completed.succeeded."); ok && !ends[order.Name].IsZero() {
				seen = append(seen, m.at.Sub(ends[order.Name]))
			}
		}
		t.Logf("%d orders ended during the roll; their completions came after %s", len(seen), spread(seen))
	}
	l.endAll()
	f.finish(t, n.JS, l, time.Now())
	t.Logf("3 workers rolled in %s under %d watches, mean interval %s: they ended after %s; polls were late by %s before, and by %s in the roll",
		rolled.Sub(begun).Round(time.Second), watches, mean, exits, spread(before), spread(late))
	return exits, late
}

// succeeded is what [running] becomes where all goes well.
var succeeded = emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{
	{ResourceName: "node-1", Status: "succeed"},
	{ResourceName: "node-2", Status: "succeed"},
}}
