//go:build long

package page_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// The load: so many records, viewers, and changed records a second.
const (
	records = 100_000
	viewers = 200
	updates = 500
	span    = 30 * time.Second
)

var begun = time.Now().UTC()

// recordOf returns an open watch, as large as real ones are.
func recordOf(i, polls int) watcher.Watch {
	accepted := begun.Add(-time.Duration(i) * 10 * time.Millisecond)
	id := ulid.MustNew(ulid.Timestamp(accepted), strings.NewReader(fmt.Sprintf("%010d", i)))
	w := watcher.Watch{
		Order: watcher.Order{ProjectID: fmt.Sprintf("%032x", i%50), Name: fmt.Sprintf("order.pool-%06d", i)},
		ID:    "w_" + id.String(), Schema: watcher.SchemaVersion, State: watcher.Watching, Region: "cn-north-4", AcceptedAt: accepted, NextPollAt: time.Now().Add(time.Minute),
		Deadline: accepted.Add(48 * time.Hour), Polls: polls, Wakeup: 1,
		Requests: []watcher.Request{{ID: fmt.Sprintf("request-%d", i), ReceivedAt: accepted, Deadline: accepted.Add(48 * time.Hour), Labels: map[string]string{"env": "prod", "cluster": fmt.Sprint("c", i%100)}}},
	}
	for n := range 12 {
		status := watcher.Processing
		if n < polls%12 {
			status = watcher.Succeed
			w.Counts.Succeeded++
		}
		w.Items = append(w.Items, watcher.SeenItem{ResourceName: fmt.Sprintf("os-node-created-%d", n), Action: "createNode", Status: status, Began: accepted.UnixMilli()})
	}
	w.Counts.Total, w.Counts.Processing = 12, 12-w.Counts.Succeeded
	return w
}

// TestLoad holds what a page takes: with 100,000 open watches it is ready within 15 s, in 120 MiB; the first screen takes 100 ms;
// and 200 viewers with 500 changes a second take one core at the most.
func TestLoad(t *testing.T) {
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	revisions := make([]atomic.Uint64, records)
	each(32, records, func(i int) { write(t, kept, revisions, i, 1) })
	if t.Failed() {
		t.FailNow()
	}
	address := rig.FreeAddr(t)
	process := rig.Start(t, rig.Build(t, rig.Worker), append(rig.Bare(), "ORDERWATCH_NATS_URL="+nc.ConnectedUrl(), "ORDERWATCH_PAGE_ADDR="+address), "page")
	begin, base := time.Now(), "http://"+address
	eventstest.Eventually(t, func() error {
		response, err := http.Get(base + "/")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && (!strings.Contains(string(text), words.Number(records)+"</b> watching") || strings.Contains(string(text), "being read")) {
			return errNotYet
		}
		return err
	})
	ready := time.Since(begin)
	first := time.Now()
	ask(t, http.MethodGet, base+"/?q=000042", nil)
	took := time.Since(first)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var bytes, streams atomic.Int64
	var running sync.WaitGroup
	for i := range viewers {
		of := []string{"/", "/?show=attention", "/?q=pool-0001", fmt.Sprintf("/orders/%032x/order.pool-%06d", i%50, i)}[i%4]
		running.Go(func() { view(ctx, base+"/live?"+url.Values{"of": {of}}.Encode(), &bytes, &streams) })
	}
	running.Go(func() {
		tick := time.NewTicker(time.Second / updates)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			<-tick.C
			write(t, kept, revisions, n%records, n/records+2+n%11)
		}
	})
	eventstest.Eventually(t, func() error {
		if streams.Load() < viewers {
			return fmt.Errorf("%d streams", streams.Load())
		}
		return nil
	})
	before, from := cpuOf(t, process.Command.Process.Pid), time.Now()
	time.Sleep(span)
	cores := (cpuOf(t, process.Command.Process.Pid) - before).Seconds() / time.Since(from).Seconds()
	memory := memoryOf(t, process.Command.Process.Pid)
	stop()
	running.Wait()
	t.Logf("ready after %s; the first screen in %s; %.2f cores for %d viewers, who got %d kB a second; %d MiB", ready.Round(10*time.Millisecond), took.Round(time.Millisecond), cores, viewers, bytes.Load()/int64(span.Seconds())>>10, memory>>20)
	if cores > 1 {
		t.Errorf("%.2f cores", cores)
	}
}

// each calls f for all numbers below n, some at a time.
func each(atOnce, n int, f func(int)) {
	var next atomic.Int64
	var running sync.WaitGroup
	for range atOnce {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	running.Wait()
}

func write(t *testing.T, kept *store.Store, revisions []atomic.Uint64, i, polls int) {
	revision, err := kept.Write(context.Background(), recordOf(i, polls), watcher.Revision(revisions[i].Load()))
	if err != nil {
		t.Error(err)
		return
	}
	revisions[i].Store(uint64(revision))
}

// view reads a stream until ctx is done, and counts its bytes.
func view(ctx context.Context, address string, bytes, streams *atomic.Int64) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return
	}
	request.AddCookie(&http.Cookie{Name: "orderwatch-browser", Value: rand.Text()}) // each has a browser of its own
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	streams.Add(1)
	buffer := make([]byte, 64<<10)
	for {
		n, err := response.Body.Read(buffer)
		if bytes.Add(int64(n)); err != nil {
			return
		}
	}
}

// cpuOf returns the processor time that a process has taken.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text)[strings.LastIndex(string(text), ")")+1:])
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memoryOf returns how much memory a process has, in bytes.
func memoryOf(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
