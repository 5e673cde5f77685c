package faults_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestTwoVersions rolls a fleet of workers from this version to one with a newer schema under
// load, by SIGKILL, and for some time back again. This one puts back what the newer one started.
func TestTwoVersions(t *testing.T) {
	t.Parallel()
	patience := [2]string{"newerDelay   = 5 * time.Second", "newerDelay   = time.Second"} // the test need not be as patient as people
	older := buildChanged(t, map[string][2]string{"watcher/intake.go": patience})
	newer := buildChanged(t, map[string][2]string{
		"watcher/watch.go":  {"const SchemaVersion = 2", "const SchemaVersion = 3"},
		"watcher/record.go": {"const plainSchema = 1", "const plainSchema = 3"},
	})
	l := newLoad(120, 16*time.Second, 5)
	n := rig.StartNATS(t, "")
	f := startFleet(t, n.URL, l, 2)
	rig.ShortAckWait(t, n.JS)
	roll := func(worker int, program string) {
		f.program = program
		f.restart(t, worker)
	}
	roll(0, older)
	roll(1, older)
	f.run(t, n.JS, l, func(random *rand.Rand) {
		for _, step := range []struct {
			worker  int
			program string
		}{{0, newer}, {1, newer}, {1, older}, {1, newer}} {
			wait(random, 3000, 4000)
			l.aim(random)
			roll(step.worker, step.program)
		}
	})
	started := make(map[int]int)
	for _, m := range wholeStream(t, n.JS, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>") {
		var record struct{ Schema int }
		if err := json.Unmarshal(m.body, &record); err != nil {
			t.Fatal(err)
		}
		started[record.Schema]++
	}
	putBack := 0
	for _, output := range f.outputs() {
		putBack += strings.Count(output, "record has a newer schema")
	}
	t.Logf("records by schema: %v; the older version put back %d deliveries", started, putBack)
	if started[1] == 0 || started[3] == 0 || putBack == 0 {
		t.Error("the versions did not meet")
	}
}

// buildChanged builds the worker with changes to its sources: by path, what is replaced by what.
func buildChanged(t *testing.T, changes map[string][2]string) string {
	t.Helper()
	dir := t.TempDir()
	replace := make(map[string]string)
	for path, change := range changes {
		source, err := filepath.Abs("../../../" + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte(change[0])); n != 1 {
			t.Fatalf("%s has %d times %q; want 1", path, n, change[0])
		}
		replace[source] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[source], bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "orderwatch")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-overlay", list, "-o", program, rig.Worker).CombinedOutput(); err != nil {
		t.Fatalf("build a changed worker: %v\n%s", err, out)
	}
	return program
}

// TestNewerRecord lets a worker meet a record of a newer schema, and one with a field that it does
// not know. It puts back whatever concerns the first, and never writes it; it keeps the field of the
// second, also in the order's next watch; and other orders go on.
func TestNewerRecord(t *testing.T) {
	t.Parallel()
	cloud := emulator.New(emulator.Options{})
	for _, order := range []string{"order.newer", "order.colour"} {
		cloud.Add(rig.Project, order, running())
	}
	cloud.Add(rig.Project, "order.other", ended)
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	n := rig.StartNATS(t, "")
	w := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(n.URL, modelArts.URL, "127.0.0.1:0"), "serve")
	rig.AwaitReady(t, healthAddr(t, w))
	ask := func(id, order string) {
		rig.Publish(t, n.JS, fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q}`, rig.Project, order, id))
	}
	bucket, err := n.JS.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}

	ask("newer-1", "order.newer")
	ask("colour-1", "order.colour")
	revision, left := changeRecord(t, bucket, "order.newer", "schema", watcher.SchemaVersion+1)
	changeRecord(t, bucket, "order.colour", "colour", "blue")
	ask("newer-2", "order.newer")
	ask("other-1", "order.other")
	cloud.Add(rig.Project, "order.colour", ended)
	if c := rig.AwaitCompletions(t, n.JS, 2); len(c) != 2 || c[0].OrderName == "order.newer" || c[1].OrderName == "order.newer" {
		t.Errorf("completions %+v", c)
	}
	for _, consumer := range []string{"intake", "poller"} {
		rig.Eventually(t, rig.Patience, func() error {
			for line := range strings.Lines(w.Text()) {
				if strings.Contains(line, "delivery put back") && strings.Contains(line, "consumer="+consumer) && strings.Contains(line, watcher.ErrNewerSchema.Error()) {
					return nil
				}
			}
			return errors.New("the log of " + consumer + " does not tell of a newer schema")
		})
	}
	ask("colour-2", "order.colour")
	if c := rig.AwaitCompletions(t, n.JS, 3)[2]; len(c.Requests) != 1 || c.Requests[0].ID != "colour-2" {
		t.Errorf("the third completion is of %+v", c.Requests)
	}

	if record := rig.ReadRecord(t, bucket, "order.newer"); record.Revision() != revision || !bytes.Equal(record.Value(), left) {
		t.Errorf("the record of the newer schema was written: %s", record.Value())
	}
	if record := rig.ReadRecord(t, bucket, "order.colour"); !bytes.Contains(record.Value(), []byte(`"colour":"blue"`)) {
		t.Errorf("an unknown field was lost: %s", record.Value())
	}
	for stream, want := range map[string]uint64{"ORDER_REQUESTS": 1, "ORDER_WAKEUPS": 1} {
		rig.Eventually(t, rig.Patience, func() error {
			s, err := n.JS.Stream(t.Context(), stream)
			if err != nil {
				return err
			}
			if got := s.CachedInfo().State.Msgs; got != want {
				return fmt.Errorf("%s holds %d messages; want the %d that a newer version must take", stream, got, want)
			}
			return nil
		})
	}
}

// changeRecord sets a field of an order's record, between two writes of the worker's. It returns
// what it wrote and the revision.
func changeRecord(t *testing.T, bucket jetstream.KeyValue, order, field string, value any) (revision uint64, encoded []byte) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		record := rig.ReadRecord(t, bucket, order)
		var fields map[string]any
		if err := json.Unmarshal(record.Value(), &fields); err != nil {
			return err
		}
		fields[field] = value
		var err error
		if encoded, err = json.Marshal(fields); err != nil {
			return err
		}
		revision, err = bucket.Update(t.Context(), record.Key(), encoded, record.Revision())
		return err
	})
	return revision, encoded
}

// buildWithoutHeader builds, once for all tests, a worker that writes and checks records as the release before
// does.
func buildWithoutHeader(t *testing.T) string {
	t.Helper()
	withoutHeader.Do(func() {
		built := buildChanged(t, map[string][2]string{
			"events/store/records.go": {"m.Header.Set(RecordHeader, strconv.Itoa(w.Written()))", "_ = strconv.Itoa"},
			"watcher/record.go":       {"case w.Schema < 1:", "case w.Schema < 0:"},
			"watcher/intake.go":       {"w.Wakeup = highest + 1", "_ = highest"},
		})
		kept := filepath.Join(filepath.Dir(rig.Build(t, rig.Worker)), "without-header") // the test's own folder ends with it
		if err := os.Rename(built, kept); err != nil {
			t.Fatal(err)
		}
		withoutHeader.path = kept
	})
	if withoutHeader.path == "" {
		t.Fatal("another test could not build the worker without the header")
	}
	return withoutHeader.path
}

var withoutHeader struct {
	sync.Once
	path string
}

// TestReleaseBeforeTheHeader lets a worker that sets no header on records, and checks less of them, as the release before does,
// work beside one of this release, and go on alone. With the tag long, TestReleaseBeforeBesideThisOne does so with that
// release itself.
func TestReleaseBeforeTheHeader(t *testing.T) {
	t.Parallel()
	besideReleaseBefore(t, buildWithoutHeader(t), 130, 14*time.Second)
}

// besideReleaseBefore publishes so many requests over the span, which a worker of the release before and one of this release
// take together; rolls the latter back; and publishes as many again, which the release before takes alone. One of its workers
// stays through all. Workers of both are killed at any moment. Each request is in exactly one completion, and nobody takes the
// other's records for broken.
func besideReleaseBefore(t *testing.T, before string, each int, span time.Duration) {
	l := newLoad(each, span, 5)
	l.plan(2*each, span, 6)
	n := rig.StartNATS(t, "")
	f := startFleetOf(t, before, n.URL, l, 2) // it makes the streams
	rig.ShortAckWait(t, n.JS)
	kill := func(workers ...int) func(*rand.Rand) {
		return func(random *rand.Rand) {
			for _, worker := range workers {
				wait(random, 3000, 4000)
				l.aim(random)
				f.program = f.workers[worker].Command.Path
				f.restart(t, worker)
			}
		}
	}
	this := rig.Build(t, rig.Worker)
	f.replace(t, 1, this)
	f.suffering(t, n.JS, l, l.requests[:each], kill(0, 1, 0))
	f.awaitReady(t)
	rig.AwaitDrained(t, n.JS)
	took := f.begun()
	t.Logf("of the requests beside each other, the release before took those that began %d watches, this one those of %d", took[before], took[this])
	if took[before] == 0 || took[this] == 0 {
		t.Error("the releases did not share the requests")
	}
	f.replace(t, 1, before)
	f.finish(t, n.JS, l, f.suffering(t, n.JS, l, l.requests[each:], kill(1, 0, 1)))
	if now := f.begun(); now[this] != took[this] || now[before] == took[before] {
		t.Errorf("after the roll back watches were begun by %v, and before it by %v", now, took)
	}
	for _, output := range f.outputs() {
		if strings.Contains(output, "broken record") {
			t.Error("a record of the other release was taken for broken")
		}
	}
}

// begun returns how many watches the workers of each program began, as their logs say.
func (f *fleet) begun() map[string]int {
	begun := make(map[string]int)
	for _, p := range slices.Concat(f.killed, f.workers) {
		begun[p.Command.Path] += strings.Count(p.Text(), "watch started")
	}
	return begun
}
