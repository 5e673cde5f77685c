package watcher_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestPeopleAreTold holds when people are told of a watch that goes on, and how often.
func TestPeopleAreTold(t *testing.T) {
	unusable := &watcher.PollError{Class: watcher.MayPass, Code: "ModelArts.50005000", Message: "Internal error."}
	unreachable := &watcher.PollError{Class: watcher.MayPass, Message: "connection refused", Held: watcher.HeldUnreachable}
	running := lists(2, "a createNode succeed", "b createNode processing").answer
	without := lists(1, "a createNode succeed").answer
	deletion := lists(2, "a deleteNode succeed", "b deleteNode processing").answer
	deleted := lists(1, "a deleteNode succeed").answer
	canceled := lists(1, "b createNode canceled").answer
	canceled.Items[0].Message = "order was unsubscribed"

	type told struct {
		kind   watcher.AttentionKind
		since  time.Duration // after begin
		reason string        // a part of it
	}
	always := func(a watcher.Answer, err error) func(time.Duration) (watcher.Answer, error) {
		return func(time.Duration) (watcher.Answer, error) { return a, err }
	}
	first := func(a watcher.Answer, then func(time.Duration) (watcher.Answer, error)) func(time.Duration) (watcher.Answer, error) {
		return func(since time.Duration) (watcher.Answer, error) {
			if since == 0 {
				return a, nil
			}
			return then(since)
		}
	}
	for _, tt := range []struct {
		name  string
		order func(since time.Duration) (watcher.Answer, error)
		until time.Duration // of the watch
		want  []told
	}{
		{"an order that cannot be read", first(running, always(watcher.Answer{}, unusable)), 30 * time.Minute, []told{
			{watcher.Blind, 5 * time.Second, "this order has not been readable since 2025-04-10T11:49:55Z (ModelArts.50005000: Internal error.); when it was last seen, 1 of 2 nodes ended, 1 still processing"}}},
		{"it is told at five minutes", first(running, always(watcher.Answer{}, unusable)), 5*time.Minute + 6*time.Second, []told{{watcher.Blind, 5 * time.Second, ""}}},
		{"and not before", first(running, always(watcher.Answer{}, unusable)), 5 * time.Minute, nil},
		{"an order that never could be read", always(watcher.Answer{}, unusable), 30 * time.Minute, []told{{watcher.Blind, 0, "this order has not been readable since"}}},
		{"twice, with an answer between", func(since time.Duration) (watcher.Answer, error) {
			if since > 10*time.Minute && since < 12*time.Minute {
				return running, nil
			}
			return watcher.Answer{}, unusable
		}, 30 * time.Minute, []told{{watcher.Blind, 0, ""}, {watcher.Blind, 12 * time.Minute, "1 of 2 nodes ended"}}},
		{"errors and answers by turns", func(since time.Duration) (watcher.Answer, error) {
			if since/time.Minute%4 == 0 {
				return running, nil
			}
			return watcher.Answer{}, unusable
		}, 30 * time.Minute, nil},
		{"no order can be read", always(watcher.Answer{}, unreachable), 30 * time.Minute, nil},
		{"throttled", always(watcher.Answer{}, &watcher.PollError{Class: watcher.Throttled, Held: watcher.HeldThrottled}), 30 * time.Minute, nil},
		{"not known", first(running, always(watcher.Answer{}, notFound)), 30 * time.Minute, nil},

		{"an item vanishes", first(running, always(without, nil)), 30 * time.Minute, []told{
			{watcher.Vanished, 5 * time.Second, "createNode b, last seen processing, missing since 2025-04-10T11:49:55Z; the watch goes on until 2025-04-10T12:19:50Z"}}},
		{"an item is deleted", first(deletion, always(deleted, nil)), 30 * time.Minute, nil},
		{"the list becomes empty", first(running, always(watcher.Answer{}, nil)), 30 * time.Minute, []told{{watcher.Vanished, 5 * time.Second, "createNode b"}}},
		{"an item vanishes for four minutes", func(since time.Duration) (watcher.Answer, error) {
			if since > time.Minute && since < 5*time.Minute {
				return without, nil
			}
			return running, nil
		}, 30 * time.Minute, nil},

		{"a status that nobody knows", always(canceled, nil), 30 * time.Minute, []told{
			{watcher.UnknownStatus, 0, `createNode b has the status "canceled" (order was unsubscribed); ModelArts documents processing, succeed and failed, so it counts as not ended`}}},
		{"it is told at ten minutes", always(canceled, nil), 10*time.Minute + time.Second, []told{{watcher.UnknownStatus, 0, ""}}},
		{"and not before", always(canceled, nil), 10 * time.Minute, nil},
		{"errors do not end it", func(since time.Duration) (watcher.Answer, error) {
			if since/time.Minute%4 == 3 {
				return watcher.Answer{}, unusable
			}
			return canceled, nil
		}, 30 * time.Minute, []told{{watcher.UnknownStatus, 0, ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newWorld(t)
			m.order, m.policy.Timeout = tt.order, tt.until
			m.publish("build-1", 0)
			m.run()
			var got []told
			for i, a := range m.attended {
				reason := ""
				if i < len(tt.want) && strings.Contains(a.Reason, tt.want[i].reason) {
					reason = tt.want[i].reason
				} else {
					reason = a.Reason
				}
				got = append(got, told{a.Kind, a.Since.Sub(begin), reason})
				if a.Order() != pool || a.WatchID == "" || len(a.Requests) != 1 || (a.Error != nil) != (a.Kind == watcher.Blind) {
					t.Errorf("attention %+v", a)
				}
			}
			roughly := func(a, b told) bool { // polls are a minute apart at the most
				return a.kind == b.kind && a.reason == b.reason && (a.since-b.since).Abs() <= time.Minute
			}
			if !slices.EqualFunc(got, tt.want, roughly) {
				t.Errorf("told %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// What people are to be told is published again until it is known to be published, with the same Since.
func TestPeopleAreToldAgainAfterAFault(t *testing.T) {
	for name, f := range map[string]fault{"dies before": crashBefore, "dies after": crashAfter, "answer lost": answerLost, "not made": notMade} {
		m := newWorld(t)
		m.order = func(since time.Duration) (watcher.Answer, error) { return watcher.Answer{}, errDown }
		m.policy.Timeout = 30 * time.Minute
		m.fault = at("attend", 1, f)
		m.publish("build-1", 0)
		m.run()
		want := 1
		if f == crashAfter || f == answerLost {
			want = 2
		}
		if len(m.attended) != want || !m.attended[want-1].Since.Equal(m.attended[0].Since) {
			t.Errorf("%s: told %d times", name, len(m.attended))
		}
	}
}
