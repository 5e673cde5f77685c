package events

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/watcher"
)

// How many requests, and how many wake-ups, may lie in open pulls of one worker, where as many slots are free: what it
// has taken, and what it has asked for, is never more than it has slots. They are few, since a worker that
// sleeps takes them with it until AckWait is over. Where an account's rate is used up, more wake-ups may: each watch
// then waits in its worker's queue, so the server is to deal a bunch of wake-ups out evenly. Of a bunch that is larger
// than the open pulls, the worker that asks again first would get more.
const (
	fewPulled  = 8
	manyPulled = 64
)

// rateRemembered is for how long an account's rate counts as used up after a watch was put off for it.
const rateRemembered = 10 * time.Second

// openPulls decides how many messages lie in open pulls. It is safe for concurrent use.
type openPulls struct {
	usedUp atomic.Pointer[time.Time] // when a watch last waited or was put off for an account's rate
}

// few is for requests, where so many slots are free.
func (p *openPulls) few(free int) int { return min(fewPulled, free) }

// wanted is for wake-ups.
func (p *openPulls) wanted(free int) int {
	if at := p.usedUp.Load(); at != nil && time.Since(*at) < rateRemembered {
		return min(manyPulled, free)
	}
	return p.few(free)
}

// ratedOrders waits for a call that may be made soon, and notes when a watch waits or is put off for an account's rate.
type ratedOrders struct {
	watcher.Orders
	pulls *openPulls
}

func (o ratedOrders) Wait(ctx context.Context, region string, order watcher.Order, now time.Time, turn watcher.Turn) watcher.Leave {
	leave := o.Orders.Wait(ctx, region, order, now, turn)
	waits := leave.Soon > 0
	if waits && link.Sleep(ctx, leave.Soon) {
		turn.Taken = true
		leave = o.Orders.Wait(ctx, region, order, now.Add(leave.Soon), turn)
	}
	if waits || leave.After > 0 && leave.Held == "" {
		at := time.Now()
		o.pulls.usedUp.Store(&at)
	}
	return leave
}
