package watcher_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// maxRecord is what contract.md allows the record of a watch that goes on.
const maxRecord = 900 << 10

func TestRecordComesBack(t *testing.T) {
	p := policy()
	first := request("build-1")
	first.Request.Labels = map[string]string{"env": "prod"}
	w := joined(t, p, admit(t, p, first), request("build-2"))
	a := answer(4, succeed, failed, "pausing")
	a.Items[1].Message = "flavor sold out"
	watching, _ := p.Fold(w, a, nil, begin.Add(time.Second))
	unreachable, _ := p.Fold(watching, watcher.Answer{}, notFound, begin.Add(2*time.Second))
	ending, _ := p.Fold(watching, watcher.Answer{}, refused, begin.Add(3*time.Second))
	ending.After = 17
	ended := ending
	ended.State = watcher.Ended
	for name, w := range map[string]watcher.Watch{"new": w, "watching": watching, "unreachable": unreachable, "ending": ending, "ended": ended} {
		if back := stored(t, w, p.MaxPayload); !reflect.DeepEqual(back, w) {
			t.Errorf("%s:\n%+v\nbecame\n%+v", name, w, back)
		}
	}
}

func TestRecordKeepsUnknownFields(t *testing.T) {
	p := policy()
	encoded, err := watcher.EncodeWatch(admit(t, p, request("build-1")), p.MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	later := strings.Replace(string(encoded), "{", `{"colour":{"of":["the",1e3]},"shade":null,`, 1)
	w, err := watcher.DecodeWatch([]byte(later))
	if err != nil {
		t.Fatal(err)
	}
	keeps := func(step string, w watcher.Watch) {
		t.Helper()
		encoded, err := watcher.EncodeWatch(w, p.MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(encoded, &fields); err != nil {
			t.Fatal(err)
		}
		if string(fields["colour"]) != `{"of":["the",1e3]}` || string(fields["shade"]) != "null" {
			t.Errorf("%s: %s", step, encoded)
		}
	}
	keeps("read", w)
	keeps("joined", joined(t, p, w, request("build-2")))
	w = wake(t, p, w, shows(1, succeed))
	keeps("polled", w)
	w = wake(t, p, w, shows(1, succeed))
	keeps("ending", w)
	w.State = watcher.Ended
	ask := request("build-3")
	_, w, _ = p.Admit(&w, ask, begin)
	keeps("started anew", w)
}

func TestDecodeWatchErrors(t *testing.T) {
	p := policy()
	encoded, err := watcher.EncodeWatch(admit(t, p, request("build-1")), p.MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) string {
		t.Helper()
		edited := strings.Replace(string(encoded), old, new, 1)
		if edited == string(encoded) {
			t.Fatalf("no %s in %s", old, encoded)
		}
		return edited
	}
	for name, tt := range map[string]struct {
		record string
		newer  bool
	}{
		"a newer schema":                   {edit(`"schema":1`, `"schema":3`), true},
		"a newer schema with other types":  {edit(`"schema":1`, `"schema":3,"requests":"none"`), true},
		"a newer schema with other fields": {`{"schema":3,"id":7}`, true},
		"nothing":                          {``, false},
		"null":                             {`null`, false},
		"no JSON":                          {`{"schema":1`, false},
		"a wrong type":                     {edit(`"wakeup":1`, `"wakeup":"1"`), false},
		"an unknown state":                 {edit(`"state":"watching"`, `"state":"paused"`), false},
		"ending without a completion":      {edit(`"state":"watching"`, `"state":"ending"`), false},
		"ended without a completion":       {edit(`"state":"watching"`, `"state":"ended"`), false},
		"no watch":                         {edit(`"watch_id":"w_1"`, `"watch_id":""`), false},
		"no order":                         {edit(pool.Name, "..") + " ", false},
	} {
		_, err := watcher.DecodeWatch([]byte(tt.record))
		if err == nil || errors.Is(err, watcher.ErrNewerSchema) != tt.newer {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A crowd is an order of n items with messages; texts are drawn from it for each item.
func crowd(n int, status watcher.Status, name, message string) watcher.Answer {
	a := watcher.Answer{Count: n, Items: make([]watcher.Item, n)}
	for i := range a.Items {
		a.Items[i] = watcher.Item{
			ResourceName: fmt.Sprintf("node-%05d%s", i, name), Action: "createNode", Status: status,
			BeganAt: begin, UpdatedAt: begin, Message: fmt.Sprintf("%05d%s", i, message),
		}
	}
	return a
}

// hostile is text that grows to six times its length in JSON.
func hostile(n int) string { return "\xff" + strings.Repeat("\x01<", n/2)[:n-1] }

// full is a watch with as many requests, and remembered ones, as fit.
func full(t testing.TB, p watcher.Policy) watcher.Watch {
	t.Helper()
	small := func(id string) watcher.Ask { return request(id + strings.Repeat("\x01", 120)) }
	ended := cancelled(t, p, filled(p, admit(t, p, small("0-first")), "0-", small), watcher.Ended)
	first := largest("1-first")
	first.WatchID = "w_2"
	_, w, _ := p.Admit(&ended, first, begin)
	w = filled(p, w, "1-", largest)
	return filled(p, w, "2-", small) // what the large ones leave
}

// filled is the watch with as many requests of a kind as it takes.
func filled(p watcher.Policy, w watcher.Watch, prefix string, ask func(id string) watcher.Ask) watcher.Watch {
	for n := 0; ; n++ {
		admission, next, _ := p.Admit(&w, ask(fmt.Sprint(prefix, n)), begin)
		if admission != watcher.Join {
			return w
		}
		w = next
	}
}

func TestRecordFits(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	tests := []struct {
		name       string
		maxPayload int
		full       bool
		answer     watcher.Answer
	}{
		{"5,000 long messages", 1 << 20, false, crowd(5000, failed, "", strings.Repeat("flavor sold out ", 125))},
		{"20,000 items", 1 << 20, false, crowd(20000, succeed, "", "")},
		{"12,000 that go on", 1 << 20, false, crowd(12000, processing, "", "")},
		{"20,000 of unknown status", 1 << 20, false, crowd(20000, watcher.Status(hostile(64)), "", "")},
		{"hostile", 1 << 20, false, crowd(5000, failed, hostile(300), hostile(1000))},
		{"a small server", watcher.MinPayload, false, crowd(5000, failed, "", strings.Repeat("flavor sold out ", 125))},
		{"a small server, hostile, full", watcher.MinPayload, true, crowd(6000, failed, hostile(100), hostile(300))},
		{"a large server", 8 << 20, false, crowd(6000, failed, hostile(100), hostile(300))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := policy()
			p.MaxPayload = tt.maxPayload
			w := admit(t, p, request("build-1"))
			if tt.full {
				w = full(t, p)
			}
			tt.answer.Count++ // goes on
			w, _ = p.Fold(w, tt.answer, nil, begin)
			w.LastError = &watcher.ErrorDetail{Code: hostile(64), Message: hostile(500)}
			encoded, err := watcher.EncodeWatch(w, p.MaxPayload)
			if err != nil {
				t.Fatal(err)
			}
			if limit := min(maxRecord, p.MaxPayload/8*7); len(encoded) > limit && !tt.full || len(encoded) > p.MaxPayload-500 {
				t.Errorf("%d bytes, limit %d of %d", len(encoded), limit, p.MaxPayload)
			}
			back, err := watcher.DecodeWatch(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if back.Counts != w.Counts || len(back.Requests) != len(w.Requests) {
				t.Errorf("counts %+v, %d requests", back.Counts, len(back.Requests))
			}
			if len(w.Items) != len(tt.answer.Items) || w.Items[0].Message == "" {
				t.Error("the record given was changed")
			}
			t.Logf("%d items: %d bytes", len(back.Items), len(encoded))
		})
	}
}

// What the record gives up of the items costs neither the changes nor the outcome.
func TestRecordStillShowsChanges(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	tests := []struct {
		name    string
		items   int
		changes []watcher.Change // after the first item failed and the last one vanished
	}{
		{"messages left out", 5000, []watcher.Change{{ResourceName: "node-00000", Action: "createNode", From: processing, To: failed}}},
		{"digests of all", 20000, []watcher.Change{{ResourceName: "node-00000", Action: "createNode", From: processing, To: failed}}},
		{"only counts", 40000, []watcher.Change{{ResourceName: "node-00000", Action: "createNode", From: processing, To: failed}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := policy()
			a := crowd(tt.items, succeed, "", strings.Repeat("x", 190))
			a.Items[0].Status = processing
			w := wake(t, p, admit(t, p, request("build-1")), wakeup{answer: a})
			same, changes := p.Fold(w, a, nil, w.NextPollAt)
			if len(changes) != 0 || same.Step != 1 {
				t.Fatalf("%d changes of an order that stands still, step %d", len(changes), same.Step)
			}
			a.Items[0].Status, a.Items[0].Message = failed, ""
			a.Items, a.Count = a.Items[:len(a.Items)-1], a.Count-1
			w, changes = p.Fold(stored(t, same, p.MaxPayload), a, nil, w.NextPollAt)
			if !reflect.DeepEqual(changes, tt.changes) || w.Step != 0 {
				t.Fatalf("changes %+v, step %d", changes, w.Step)
			}
			w = wake(t, p, stored(t, w, p.MaxPayload), wakeup{answer: a})
			if w.State != watcher.Ending || w.Completion.Outcome != watcher.PartiallyFailed {
				t.Errorf("state %s", w.State)
			}
		})
	}
}

// Items without a name are the same items after the record has shrunk, however far.
func TestShrunkRecordKeepsCountOfNamelessItems(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	for _, items := range []int{3000, 3500, 6000, 20000} {
		p := policy()
		p.MaxPayload = watcher.MinPayload
		a := crowd(items, succeed, "", "")
		for i := range a.Items {
			a.Items[i].ResourceName = ""
			if i%2 == 0 {
				a.Items[i].Status = processing
			}
		}
		w := wake(t, p, admit(t, p, request("build-1")), wakeup{answer: a})
		for i := range a.Items {
			a.Items[i].Status = succeed
		}
		w = wake(t, p, w, wakeup{answer: a})
		w = wake(t, p, w, wakeup{answer: a})
		if w.State != watcher.Ending || w.Completion.Counts != (watcher.Counts{Total: items, Succeeded: items}) {
			t.Errorf("%d items: state %s, counts %+v", items, w.State, w.Counts)
		}
	}
}

// An end without an answer tells what the record still knows, and counts the rest.
func TestRecordTellsWhatItLeftOut(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	for _, items := range []int{100, 5000, 20000, 40000} {
		p := policy()
		a := crowd(items, succeed, "", strings.Repeat("x", 190))
		a.Items[1].Status, a.Items[2].Status = failed, processing
		w := wake(t, p, admit(t, p, request("build-1")), wakeup{answer: a})
		c := wake(t, p, w, wakeup{wish: true}).Completion
		if len(c.Items)+c.ItemsOmitted != items {
			t.Errorf("%d items and %d omitted of %d", len(c.Items), c.ItemsOmitted, items)
		}
		if c.Counts != (watcher.Counts{Total: items, Succeeded: items - 2, Failed: 1, Processing: 1}) {
			t.Errorf("%d items: counts %+v", items, c.Counts)
		}
		if len(c.Failures) != 1 || c.Failures[0].Count != 1 {
			t.Errorf("%d items: failures %+v", items, c.Failures)
		}
	}
}

func FuzzDecodeWatch(f *testing.F) {
	p := policy()
	w := wake(f, p, admit(f, p, request("build-1")), shows(2, succeed, failed))
	for _, w := range []watcher.Watch{admit(f, p, request("build-1")), w, wake(f, p, w, wakeup{wish: true})} {
		encoded, err := watcher.EncodeWatch(w, p.MaxPayload)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
		f.Add([]byte(strings.Replace(string(encoded), "{", `{"colour":["red"],`, 1)))
		f.Add([]byte(strings.Replace(string(encoded), `"schema":1`, `"schema":2`, 1)))
	}
	f.Add([]byte(`{"schema":1,"state":"watching","watch_id":"w","project_id":"p","order_name":"o","wakeup":1,"requests":[{}],"items":[{"s":"succeed","b":9223372036854775807,"u":-9223372036854775808}]}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		w, err := watcher.DecodeWatch(record)
		if err != nil {
			return
		}
		back := stored(t, w, 8<<20)
		if !reflect.DeepEqual(stored(t, back, 8<<20), back) {
			t.Fatalf("%+v is not read back", back)
		}
		if w.State != watcher.Watching {
			return
		}
		p.Before(w, watcher.Leave{After: time.Minute, Why: "held"}, w.Deadline)
		next, changes := p.Fold(w, answer(2, succeed, failed), nil, w.Deadline)
		p.Progress(next, changes, nil)
		if next.State != watcher.Ending || next.Completion.Outcome == watcher.Succeeded {
			t.Fatalf("%s at the deadline", next.State)
		}
	})
}

// TestRecordUnderALowerLimit cuts what was written when the server took larger messages: each request is still named
// in the record, and in the completion.
func TestRecordUnderALowerLimit(t *testing.T) {
	watchertest.Unraced(t)
	p := policy()
	p.MaxPayload = 8 << 20
	ask := request("build-0")
	ask.Request.RequestedBy, ask.Request.Link = strings.Repeat("b", 200), "https://ci.example/"+strings.Repeat("l", 1900)
	ask.Request.Labels = map[string]string{"team": strings.Repeat("t", 250)}
	w := admit(t, p, ask)
	const requests = 1000
	for i := 1; i < requests; i++ {
		r := ask.Request
		r.ID = fmt.Sprintf("%s-%04d", strings.Repeat("i", 110), i)
		w.Requests = append(w.Requests, r)
	}
	for range 2000 {
		w.Earlier = append(w.Earlier, strings.Repeat("e", 128))
	}
	for _, limit := range []int{1 << 20, 512 << 10, watcher.MinPayload} {
		p.MaxPayload = limit
		if back := stored(t, w, limit); len(back.Requests) != requests {
			t.Errorf("%d: the record names %d requests; want %d", limit, len(back.Requests), requests)
		}
		encoded, err := watcher.EncodeWatch(w, limit)
		if most := limit / 8 * 7; err != nil || len(encoded) > most {
			t.Errorf("%d: the record has %d bytes; want %d at most (%v)", limit, len(encoded), most, err)
		}
		end, _ := p.Fold(stored(t, w, limit), answer(1, watcher.Succeed), nil, w.Deadline)
		encoded, err = watcher.EncodeWatch(end, limit)
		if err != nil || end.State != watcher.Ending || len(encoded) > limit-4<<10 || len(end.Completion.Requests) != requests {
			t.Errorf("%d: the %s record has %d bytes (%v)", limit, end.State, len(encoded), err)
		}
		p.MaxPayload = 8 << 20 // the completion was fixed before
		before, _ := p.Fold(w, answer(1, watcher.Succeed), nil, w.Deadline)
		encoded, err = watcher.EncodeWatch(before, limit)
		event := length(t, before.Completion.Within(limit))
		if err != nil || len(encoded) > limit-4<<10 || event > limit-8<<10 || len(before.Completion.Requests) != requests {
			t.Errorf("%d: the record has %d bytes, its event %d (%v)", limit, len(encoded), event, err)
		}
	}
}

// TestWhatWasAdmittedFitsTheLeastLimit fills a watch with the largest requests, under a large limit of the server,
// and lowers that as far as it may be lowered: the watch is still polled, its completion is published, and names
// every request. That was not so where the ids alone were too large.
func TestWhatWasAdmittedFitsTheLeastLimit(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t) // megabytes of JSON
	kinds := []struct {
		name string
		ask  func(id string) watcher.Ask
		most bool // as many as a watch takes
	}{
		{"short ids", request, true},
		{"long ids", func(id string) watcher.Ask { return request(id + strings.Repeat("i", 120)) }, false},
		{"ids that grow in JSON", func(id string) watcher.Ask { return request(id + strings.Repeat("<", 120)) }, false},
		{"ids that grow, and channels", func(id string) watcher.Ask {
			ask := request(id + strings.Repeat("&", 120))
			ask.Request.SlackChannel = strings.Repeat(">", 64)
			return ask
		}, false},
		{"all as large as it may be", func(id string) watcher.Ask {
			ask := largest(id + strings.Repeat("<", 120))
			ask.Request.Trace = watcher.Trace{Parent: strings.Repeat("p", 55), State: strings.Repeat("s", 512)}
			return ask
		}, false},
	}
	for _, kind := range kinds {
		for _, before := range []int{watcher.MinPayload, 1 << 20, 8 << 20} {
			t.Run(fmt.Sprint(kind.name, " ", before), func(t *testing.T) {
				p := policy()
				p.MaxPayload = before
				w := filled(p, admit(t, p, kind.ask("first-")), "more-", kind.ask)
				named := len(w.Requests)
				if kind.most && named != 1000 && before > watcher.MinPayload {
					t.Errorf("the watch takes %d requests; want 1000", named)
				}
				fixed, _ := p.Fold(w, crowd(3000, failed, hostile(100), hostile(300)), nil, w.Deadline)

				p.MaxPayload = watcher.MinPayload
				w, _ = p.Fold(w, crowd(3000, processing, hostile(100), hostile(300)), nil, begin)
				w.LastError = &watcher.ErrorDetail{Code: hostile(64), Message: hostile(500)}
				encoded, err := watcher.EncodeWatch(w, p.MaxPayload)
				if most := watcher.MinPayload/8*7 - 8<<10; err != nil || len(encoded) > most {
					t.Errorf("the record has %d bytes; want %d at the most (%v)", len(encoded), most, err)
				}
				ended, _ := p.Fold(stored(t, w, p.MaxPayload), watcher.Answer{}, errors.New("no answer"), w.Deadline)
				for _, w := range []watcher.Watch{ended, fixed} {
					event := w.Completion.Within(p.MaxPayload)
					encoded, err := watcher.EncodeWatch(w, p.MaxPayload)
					if err != nil || len(encoded) > p.MaxPayload-4<<10 || length(t, event) > p.MaxPayload-8<<10 || len(event.Requests) != named {
						t.Errorf("%s: the record has %d bytes; the event has %d and names %d of %d requests (%v)", w.Completion.Outcome, len(encoded), length(t, event), len(event.Requests), named, err)
					}
				}
			})
		}
	}
}
