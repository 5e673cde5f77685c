package modelarts

import (
	"math"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

const (
	lateBy    = 10 * time.Second // of a poll, from which on the rate is the reason that counts
	usedUpFor = time.Minute      // polls are late until that is said
	freeFor   = 2 * time.Minute  // no poll is late until it is said that this is over
	loadOver  = time.Minute      // over which wanted polls are counted
)

// A load says how many polls are wanted of an account, and since when they are late since it may not be asked more often. It
// is not safe for concurrent use.
type load struct {
	wanted float64 // a second, as they were at that time
	at     time.Time

	short   spell // polls are booked late: the rate is less than is wanted
	overdue spell // polls are late, also those that were not made when they were due, as after an outage
	late    time.Duration
}

// A spell is a time in which polls are late again and again.
type spell struct {
	since, latest time.Time // when the first was late, and the last one
	lasts         bool
}

// booked notes a poll that was wanted then, and has a slot. So many polls are made as there are slots; where all watches had
// the intervals that they want, there were more by as much as these are shorter.
func (l *load) booked(now, wanted, slot time.Time, u watcher.Urgency) {
	interval := max(wanted.Sub(now), time.Second) // a poll for a deadline may be wanted at once
	l.add(now, slot.Sub(now).Seconds()/interval.Seconds())
	if late := slot.Sub(wanted); l.putOff(now, late, u) {
		l.short.late(now)
	}
}

// add counts so many polls that are wanted now: also each that was not booked.
func (l *load) add(now time.Time, polls float64) {
	l.wanted, l.at = l.perSecond(now)+polls/loadOver.Seconds(), now
}

// putOff notes that a poll is late by so much, and reports whether that counts: those of orders that the list shows may be.
func (l *load) putOff(now time.Time, late time.Duration, u watcher.Urgency) bool {
	if u == watcher.Spare || late < lateBy {
		return false
	}
	l.overdue.late(now)
	l.late = late
	return true
}

// late notes that a poll is late.
func (s *spell) late(now time.Time) {
	if now.Sub(s.latest) > usedUpFor/2 && !s.lasts {
		s.since = now
	}
	s.latest = now
}

// perSecond returns how many polls a second are wanted now.
func (l *load) perSecond(now time.Time) float64 {
	return l.wanted * math.Exp(-max(0, now.Sub(l.at)).Seconds()/loadOver.Seconds())
}

// turns reports whether the spell has begun just now, or ended.
func (s *spell) turns(now time.Time) (begins, ends bool) {
	switch {
	case !s.lasts && !s.since.IsZero() && s.latest.Sub(s.since) >= usedUpFor && now.Sub(s.latest) < usedUpFor:
		s.lasts = true
		return true, false
	case s.lasts && now.Sub(s.latest) > freeFor:
		s.lasts, s.since = false, time.Time{}
		return false, true
	}
	return false, false
}

// note tells of the load where it has changed. The caller holds mu.
func (a *account) note(now time.Time) {
	catchesUp, _ := a.load.overdue.turns(now)
	begins, ends := a.load.short.turns(now)
	switch {
	case catchesUp && now.Sub(a.load.short.latest) > usedUpFor:
		a.logger.Info("polls are late that were not made when they were due, as after an outage; they are made as fast as ORDERWATCH_MODELARTS_RATE allows, which is enough for those that follow",
			"allowed", round(a.turns.Polls()), "late", a.load.late.Round(time.Second))
	case begins:
		a.logger.Warn("polls are late: more are wanted than ORDERWATCH_MODELARTS_RATE allows; raise it, if ModelArts allows the account more, or raise ORDERWATCH_POLL_MAX",
			"wanted", round(a.load.perSecond(now)*float64(a.turns.Workers())), "allowed", round(a.turns.Polls()), "late", a.load.late.Round(time.Second))
	case ends:
		a.logger.Info("polls are no longer late: ORDERWATCH_MODELARTS_RATE allows as many as are wanted")
	}
}

func round(perSecond float64) float64 { return math.Round(perSecond*10) / 10 }

// Loads returns how many polls are wanted and allowed in each region.
func (c *Client) Loads() (loads []watcher.Load) {
	now := c.config.Now()
	for _, name := range c.config.Regions {
		loads = append(loads, c.regions[name].account.loadNow(name, now))
	}
	return loads
}

func (a *account) loadNow(region string, now time.Time) watcher.Load {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.share(now)
	a.note(now)
	l := watcher.Load{Region: region, Wanted: a.load.perSecond(now), Allowed: a.turns.Polls() / float64(a.turns.Workers()), Workers: a.turns.Workers()}
	if a.load.short.lasts {
		l.UsedUpSince, l.Late = a.load.short.since, a.load.late
	}
	return l
}
