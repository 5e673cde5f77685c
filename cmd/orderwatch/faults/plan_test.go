package faults_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// life is the longest time that an order of [randomOrder] takes, and its watch after it.
const life = 10 * time.Second

// plan spreads the requests, beyond those that are planned already, over the span. Every third order gets three requests
// more: at any time of its life and a little after it, or at a moment of it. Every fifth request is published twice.
func (l *load) plan(requests int, span time.Duration, seed uint64) {
	random := rand.New(rand.NewPCG(seed, seed))
	for i := len(l.orders); len(l.requests) < requests; i++ {
		order := orderName(i)
		l.channels[order] = slackChannel(i % slackChannels)
		first := within(random, max(span-life, time.Second))
		l.addOrder(order, random)
		l.addRequest(plannedRequest{order: order, at: first}, random)
		if i%3 != 0 {
			continue
		}
		for range min(3, requests-len(l.requests)) {
			l.addRequest(joining(order, first, random), random)
		}
	}
}

// slackChannels is how many channels the orders share: each takes one message a second.
const slackChannels = 100

func slackChannel(i int) string { return fmt.Sprintf("C%08d", i) }

func (l *load) addOrder(name string, random *rand.Rand) {
	script := randomOrder(random)
	l.orders[name] = script
	l.cloud.Add(rig.Project, name, script.script)
	p := new(pollTimes)
	for m := range p.reached {
		p.reached[m] = make(chan struct{})
	}
	l.polls[name] = p
}

func (l *load) addRequest(r plannedRequest, random *rand.Rand) {
	r.id = requestID(len(l.requests))
	if random.IntN(5) == 0 {
		r.again = within(random, 3*time.Second)
	}
	l.requests = append(l.requests, r)
	l.published[r.id] = r.order
}

// joining returns a request for an order that is asked for at first.
func joining(order string, first time.Duration, random *rand.Rand) plannedRequest {
	r := plannedRequest{order: order, at: first + life, moment: moment(random.IntN(int(moments)))}
	switch r.moment {
	case anyMoment:
		r.at = first + within(random, life*5/4)
	case thirdPoll, ends:
		r.after = within(random, 30*time.Millisecond)
	case thirdAnswer, lastAnswer:
		r.after = within(random, 3*time.Millisecond)
	case looksEnded:
		r.after = within(random, 700*time.Millisecond)
	}
	return r
}

// randomOrder returns an order of one to eight items and what becomes of it.
func randomOrder(random *rand.Rand) scripted {
	s := scripted{script: emulator.Order{Count: emulator.CountAll, FromFirstPoll: true}}
	for i := range 1 + random.IntN(8) {
		item := emulator.Item{
			ResourceName: fmt.Sprintf("node-%d", i),
			AppearAfter:  within(random, 3*time.Second),
		}
		item.EndAfter = item.AppearAfter + within(random, 5*time.Second)
		s.counts.Total++
		if random.IntN(3) == 0 {
			item.Status, item.Message = "failed", "flavor sold out"
			s.counts.Failed++
		} else {
			item.Status = "succeed"
			s.counts.Succeeded++
		}
		s.script.Items = append(s.script.Items, item)
	}
	switch s.counts.Failed {
	case 0:
		s.outcome = watcher.Succeeded
	case s.counts.Total:
		s.outcome = watcher.AllFailed
	default:
		s.outcome = watcher.PartiallyFailed
	}
	return s
}

// within returns a random duration below the limit.
func within(random *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(limit)))
}
