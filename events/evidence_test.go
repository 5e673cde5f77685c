package events_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderwatch/orderwatch/events/proxy"
	"github.com/orderwatch/orderwatch/watcher"
)

// startProxy starts a proxy in front of the server.
func startProxy(t *testing.T, s *server.Server) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Listen("127.0.0.1:0", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// A moment is a publish of the worker for one order.
type moment struct {
	subject    string
	match      func(proxy.Message) bool
	expects    bool // a sequence
	bestEffort bool // it may not come at all
}

var moments = map[string]moment{
	"start":              {"$KV.ORDER_WATCHES.{order}", record(func(w watcher.Watch) bool { return w.State == watcher.Watching && w.Polls == 0 }), true, false},
	"join":               {"$KV.ORDER_WATCHES.{order}", record(func(w watcher.Watch) bool { return len(w.Requests) > 1 }), true, false},
	"poll":               {"$KV.ORDER_WATCHES.{order}", record(func(w watcher.Watch) bool { return len(w.Requests) == 1 && w.Polls > 0 }), true, false},
	"ending":             {"$KV.ORDER_WATCHES.{order}", record(func(w watcher.Watch) bool { return w.State == watcher.Ending }), true, false},
	"ended":              {"$KV.ORDER_WATCHES.{order}", record(func(w watcher.Watch) bool { return w.State == watcher.Ended }), true, false},
	"completion":         {"orders.completed.*.{order}", nil, true, false},
	"wake-up due":        {"orders.due.{order}", nil, false, false},
	"wake-up scheduled":  {"orders.waiting.{order}", nil, false, false},
	"progress published": {"orders.progress.{order}", nil, false, true},
	"rejected":           {"orders.rejected", nil, false, false},
}

// record returns a match for writes of such a record. Those that have ended name no requests.
func record(is func(watcher.Watch) bool) func(proxy.Message) bool {
	return func(m proxy.Message) bool {
		w, err := watcher.DecodeWatch(m.Payload)
		return err == nil && is(w)
	}
}

// at is a rule for the publish at a moment.
func at(name string, times int, do proxy.Action) proxy.Rule {
	return proxy.Rule{Way: proxy.ToServer, Subject: moments[name].subject, Match: moments[name].match, Times: times, Do: do}
}

// An answering makes an answer.
type answering = func(request, answer proxy.Message) proxy.Message

// refusal makes a PubAck that refuses.
func refusal(code int) answering {
	return func(_, _ proxy.Message) proxy.Message {
		return proxy.Message{Payload: fmt.Appendf(nil, `{"error":{"code":400,"err_code":%d,"description":"wrong last sequence: 1"},"stream":"ANY","seq":0}`, code)}
	}
}

// TestPublishIsNoProof lets each publish of a worker fail in each way that says nothing of whether
// it was stored, when it was and when it was not.
func TestPublishIsNoProof(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		do      proxy.Action
		answer  answering
		times   int
		expects bool // only where a sequence is expected
	}{
		{"10071 from a leader that is behind", proxy.Answer, refusal(10071), 4, true},
		{"10071 for what was stored", proxy.Replace, refusal(10071), 4, true},
		{"10164, not stored", proxy.Answer, refusal(10164), 2, true},
		{"10164, stored", proxy.Replace, refusal(10164), 2, true},
		{"10158, not stored", proxy.Answer, refusal(10158), 2, true},
		{"10158, stored", proxy.Replace, refusal(10158), 2, true},
		{"timeout, not stored", proxy.Lose, nil, 2, false},
		{"timeout, stored", proxy.LoseAnswer, nil, 2, false},
		{"cut, stored", proxy.CutAfter, nil, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := startEvidence(t)
			cuts := test.do == proxy.CutAfter // for all orders at once
			for name, m := range moments {
				if test.expects && !m.expects || cuts && m.bestEffort {
					continue
				}
				rule := at(name, test.times, test.do)
				rule.Answer = test.answer
				e.add(name, []proxy.Rule{rule}, nil)
			}
			e.run(t)
		})
	}
}

// Reads of the worker.

func follower(times int, says answering) proxy.Rule {
	return proxy.Rule{Way: proxy.ToServer, Subject: "$JS.API.DIRECT.GET.KV_ORDER_WATCHES.$KV.ORDER_WATCHES.{order}", Times: times, Do: proxy.Replace, Answer: says}
}

func leader(times int, says answering) proxy.Rule {
	return proxy.Rule{Way: proxy.ToServer, Subject: "$JS.API.STREAM.MSG.GET.KV_ORDER_WATCHES", Times: times, Do: proxy.Replace, Answer: says}
}

// lastOne is for the leader's word about the order's last completion.
func lastOne(times int, says answering) proxy.Rule {
	return proxy.Rule{Way: proxy.ToServer, Subject: "$JS.API.STREAM.MSG.GET.ORDER_EVENTS", Times: times, Do: proxy.Replace, Answer: says}
}

// later is the rule without its first so many times.
func later(skip int, r proxy.Rule) proxy.Rule {
	r.Skip = skip
	return r
}

// TestReadIsNoProof lets servers answer reads with what was there before, or with nothing.
func TestReadIsNoProof(t *testing.T) {
	t.Parallel()
	e := startEvidence(t)
	type rules = []proxy.Rule
	for name, says := range map[string]func() answering{
		"no record":         func() answering { return absentDirect },
		"the record before": func() answering { return new(history).before },
		"the first record":  func() answering { return new(history).first },
	} {
		e.add("a follower says: "+name, rules{follower(0, says())}, nil)
		// The wake-up comes again when its watch is ending or has ended.
		for _, moment := range []string{"ending", "completion", "ended"} {
			e.add(fmt.Sprintf("a follower says: %s; the answer to %s was lost", name, moment), rules{follower(0, says()), at(moment, 1, proxy.LoseAnswer)}, nil)
			e.add(fmt.Sprintf("a follower says: %s; %s was lost", name, moment), rules{follower(0, says()), at(moment, 1, proxy.Lose)}, nil)
		}
	}
	for _, times := range []int{1, 3} {
		more := fmt.Sprintf(" (%d times)", times)
		var ended history
		e.add("no record when it is joined"+more, rules{leader(times, absent)}, nil) // the first read: an order that nobody has heard of is not looked for
		e.add("no record when it is asked for again"+more, nil, rules{leader(times, absent)})
		e.add("a record that goes on when it has ended"+more, rules{leader(1, ended.keep)}, rules{leader(times, ended.before)})

		e.add("no last completion when the second watch ends"+more, nil, rules{lastOne(times, absent)})
		e.add("no last completion when it was published"+more, rules{at("completion", 1, proxy.LoseAnswer), later(1, lastOne(times, absent))}, nil)
		e.add("the last completion before the one that was published"+more, nil, rules{at("completion", 1, proxy.LoseAnswer), lastOne(times+1, new(history).first)})
	}
	e.add("no record when the first wake-up comes", rules{follower(1, absentDirect), later(1, leader(1, absent))}, nil)
	var before history
	e.add("the record of the watch before when the first wake-up comes", nil, rules{follower(2, absentDirect), leader(1, before.keep), leader(2, before.first)})
	e.run(t)
}

// absentDirect is the answer of a direct get that finds nothing.
func absentDirect(proxy.Message, proxy.Message) proxy.Message {
	return proxy.Message{Header: []byte("NATS/1.0 404 Message Not Found\r\n\r\n")}
}

// absent is the leader's answer where it finds nothing.
func absent(proxy.Message, proxy.Message) proxy.Message {
	return proxy.Message{Payload: []byte(`{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","error":{"code":404,"err_code":10037,"description":"no message found"}}`)}
}

// A history keeps the different answers to a read, oldest first.
type history struct {
	mu      sync.Mutex
	answers []proxy.Message
}

// keep returns the true answer.
func (h *history) keep(_, answer proxy.Message) proxy.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.answers); n == 0 || !bytes.Equal(h.answers[n-1].Payload, answer.Payload) {
		h.answers = append(h.answers, answer)
	}
	return answer
}

// before returns the last answer that was another one, the true one where there is none.
func (h *history) before(request, answer proxy.Message) proxy.Message {
	h.keep(request, answer)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answers[max(0, len(h.answers)-2)]
}

// first returns the first answer.
func (h *history) first(request, answer proxy.Message) proxy.Message {
	h.keep(request, answer)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answers[0]
}
