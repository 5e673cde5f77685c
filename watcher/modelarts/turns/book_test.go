package turns_test

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/turns"
)

// A booking far ahead does not let the others wait longer than the bound.
func TestFarBooking(t *testing.T) {
	for _, far := range []time.Duration{0, 10 * time.Minute, time.Hour} {
		begin := time.Unix(1e9, 0)
		tt := turns.New(20, 1, 5*time.Second)
		if far > 0 {
			tt.Book(begin, begin.Add(far), watcher.Routine)
		}
		now := begin
		for i := 0; i < 20*300; i++ { // a minute of urgent calls alone
			now = begin.Add(time.Duration(i) * 50 * time.Millisecond)
			tt.Ask(now, watcher.Turn{Urgency: watcher.MayHaveEnded, At: now, Wanted: now})
		}
		var last time.Duration
		for range 300 {
			last = max(last, tt.Book(now, now.Add(10*time.Second), watcher.Routine).Sub(now))
		}
		if last > 150*time.Second {
			t.Errorf("with a booking in %v the last of 300 others waits %v", far, last)
		}
	}
}

// Bookings of urgent calls that share their time press no others long before.
func TestBookedAheadPressesNobody(t *testing.T) {
	for _, n := range []int{0, 40} {
		begin := time.Unix(1e9, 0)
		tt := turns.New(20, 1, 5*time.Second)
		for range n {
			tt.Book(begin, begin.Add(10*time.Minute), watcher.MayHaveEnded)
		}
		served, vain := 0, 0
		type c struct{ at, wanted time.Time }
		queue := map[int64][]c{}
		// 12 routine calls a second, each has booked, come by 250 ms ticks
		k := 0
		for tick := int64(0); tick < 4*300; tick++ {
			now := begin.Add(time.Duration(tick) * 250 * time.Millisecond)
			for range 3 {
				at := now
				queue[tick] = append(queue[tick], c{at, at})
				k++
			}
			for _, q := range queue[tick] {
				after, takes := tt.Ask(now, watcher.Turn{Urgency: watcher.Routine, At: q.at, Wanted: q.wanted})
				if takes {
					served++
					continue
				}
				vain++
				next := now.Add(after)
				nt := int64(next.Sub(begin)/(250*time.Millisecond)) + 1
				queue[nt] = append(queue[nt], c{next, q.wanted})
			}
			delete(queue, tick)
		}
		waiting := 0
		for _, q := range queue {
			waiting += len(q)
		}
		if served < k-60 || vain > k/20 {
			t.Errorf("with %d urgent bookings in 10 min: of %d routine polls in 5 min (12/s of 20/s) %d were made, %d asks in vain, %d wait", n, k, served, vain, waiting)
		}
	}
}

// Routine bookings press no spare callers while the rate suffices for all.
func TestRoutineBookingsPressNobody(t *testing.T) {
	for _, book := range []bool{false, true} {
		begin := time.Unix(1e9, 0)
		tt := turns.New(20, 1, 5*time.Second)
		type c struct {
			u          watcher.Urgency
			at, wanted time.Time
		}
		queue := map[int64][]c{}
		rnd := uint64(1)
		r := func(n int) int { rnd = rnd*6364136223846793005 + 1442695040888963407; return int(rnd>>33) % n }
		tickOf := func(at time.Time) int64 { return int64(at.Sub(begin)/(250*time.Millisecond)) + 1 }
		// 600 routine watches, 300 spare ones, an interval of 90 s to 150 s each: 7.5 a second of 20
		for i := range 900 {
			u := watcher.Routine
			if i%3 == 0 {
				u = watcher.Spare
			}
			at := begin.Add(time.Duration(r(120000)) * time.Millisecond)
			queue[tickOf(at)] = append(queue[tickOf(at)], c{u, at, at})
		}
		vain, made := map[watcher.Urgency]int{}, map[watcher.Urgency]int{}
		late := map[watcher.Urgency]time.Duration{}
		for tick := int64(0); tick < 4*1200; tick++ {
			now := begin.Add(time.Duration(tick) * 250 * time.Millisecond)
			for _, q := range queue[tick] {
				after, takes := tt.Ask(now, watcher.Turn{Urgency: q.u, At: q.at, Wanted: q.wanted})
				if !takes {
					vain[q.u]++
					next := now.Add(after)
					queue[tickOf(next)] = append(queue[tickOf(next)], c{q.u, next, q.wanted})
					continue
				}
				made[q.u]++
				late[q.u] += now.Sub(q.wanted)
				want := now.Add(90*time.Second + time.Duration(r(60000))*time.Millisecond)
				at := want
				if book {
					at = tt.Book(now, want, q.u)
				}
				queue[tickOf(at)] = append(queue[tickOf(at)], c{q.u, at, want})
			}
			delete(queue, tick)
		}
		for _, u := range []watcher.Urgency{watcher.Spare, watcher.Routine} {
			if average := late[u] / time.Duration(max(1, made[u])); vain[u] > made[u]/20 || average > 2*time.Second {
				t.Errorf("book %t urgency %d: made %d, in vain %d, late by %v on average", book, u, made[u], vain[u], average)
			}
		}
	}
}
