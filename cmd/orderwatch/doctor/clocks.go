package doctor

import (
	"context"
	"time"
)

// How far clocks may be apart.
const (
	smallSkew = 2 * time.Second
	maxSkew   = 15 * time.Minute // ModelArts refuses signatures from then on
)

// clock compares the server's clock with this machine's.
func (x *exam) clock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, glanceTime)
	defer cancel()
	ahead, took, err := x.Clock(ctx)
	if err != nil {
		x.missed("clocks.nats", "NATS's clock was not looked at: "+err.Error(), "It shows when the streams are there.")
		return
	}
	x.ahead, x.clocked = ahead, true
	found := "this machine is " + behind(ahead) + " NATS"
	switch off := ahead.Abs() - took/2; {
	case off >= smallSkew:
		x.add(levelWarning, "clocks.nats", "", found, "Let both keep time by NTP. Polls are made by NATS's clock; logs and certificates go by this machine's.")
	case off > time.Millisecond:
		x.ok("clocks.nats", "", found)
	default:
		x.ok("clocks.nats", "", "this machine and NATS agree within "+max(took, time.Millisecond).Round(time.Millisecond).String())
	}
}

// behind says how far something is behind what is ahead of it.
func behind(ahead time.Duration) string {
	if ahead < 0 {
		return (-ahead).Round(time.Millisecond).String() + " ahead of"
	}
	return ahead.Round(time.Millisecond).String() + " behind"
}

// cloudClock compares ModelArts's clock, which it tells in whole seconds, with NATS's, or, where that is
// not known, with this machine's.
func (x *exam) cloudClock(c regionCall) {
	if c.look.Date.IsZero() {
		return
	}
	whose := "NATS's clock, by which workers go,"
	if !x.clocked {
		whose = "this machine's clock"
	}
	off := c.look.Date.Add(time.Second / 2).Sub(c.look.Middle.Add(x.ahead)).Round(time.Second)
	m := x.Config.ModelArts
	found := whose + " is " + behind(off) + " ModelArts's"
	const do = "Let the servers and this machine keep time by NTP."
	switch size := off.Abs() - c.look.Took/2; {
	case size >= maxSkew && (m.AccessKey.IsSet() || m.ECSAgency): // they sign
		x.add(levelProblem, "clocks.modelarts", c.About, found+": it refuses signatures from 15 minutes on", do)
	case size >= smallSkew:
		x.add(levelWarning, "clocks.modelarts", c.About, found, do)
	default:
		x.ok("clocks.modelarts", c.About, whose+" agrees with ModelArts's within 2 s")
	}
}
