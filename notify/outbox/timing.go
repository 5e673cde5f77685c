package outbox

import "time"

// Timing holds durations that nobody configures.
type Timing struct {
	Post   time.Duration // between two posts in a channel: Slack's documented pace, over which bursts may pass, and be hidden
	Edit   time.Duration // between two edits of all workers, and between two looks into histories: Slack allows 50 a minute of each
	Follow time.Duration // between two edits of all workers that tell of watches that go on: it leaves room for those that tell of an end

	Call time.Duration // bounds one call of Slack
	Pass time.Duration // no call of one Notify begins after this
	Wait time.Duration // a longer wait is not slept, but left to the caller

	BackoffInitial time.Duration // after an error that may pass; doubled each time
	BackoffMax     time.Duration
	Slow           time.Duration // between tries in a channel that refuses the bot
	TokenPause     time.Duration // between tries while Slack refuses the token
	Probe          time.Duration // between two looks whether Slack takes the token

	// How long a message is tried that Slack refuses, from when what it tells of happened.
	ChannelPatience time.Duration // the bot may yet be invited
	UnknownPatience time.Duration // for a code that is not known here

	// How long a worker may take for a call that it has announced in the notes: the call begins only
	// within Fresh of that, and others take the worker for dead after Stale, which is longer than Fresh
	// and Call together.
	Fresh time.Duration
	Stale time.Duration

	LookAgain time.Duration // after the first look for a message that was not found: what Slack accepted may show up late
	Blind     time.Duration // a history that the bot may not read is not tried again

	Quiet  time.Duration // a watch has gone on for so long before people are told while it does
	Change time.Duration // between two changes of a message that goes on changing
	Digest time.Duration // a new digest begins after this
}

// DefaultTiming returns the durations of production.
func DefaultTiming() Timing {
	return Timing{
		Post: time.Second, Edit: 1200 * time.Millisecond, Follow: 2 * time.Second,
		Call: 10 * time.Second, Pass: 10 * time.Second, Wait: 2 * time.Second,
		BackoffInitial: 2 * time.Second, BackoffMax: time.Minute,
		Slow: 5 * time.Minute, TokenPause: time.Minute, Probe: 10 * time.Minute,
		ChannelPatience: time.Hour, UnknownPatience: 24 * time.Hour,
		Fresh: 5 * time.Second, Stale: 30 * time.Second,
		LookAgain: 30 * time.Second, Blind: time.Hour,
		Quiet: time.Minute, Change: 10 * time.Second, Digest: 10 * time.Minute,
	}
}

// backoff returns how long to wait after so many errors and one more.
func (t Timing) backoff(errors int) time.Duration {
	return min(t.BackoffInitial<<min(errors, 10), t.BackoffMax)
}

const (
	clocksApart = 50 * time.Millisecond // how far workers' ideas of the time may be apart
	clockWrong  = 5 * time.Second       // how far they are apart where one is taken to be wrong
	keepAgain   = 10 * time.Second      // between tries to keep what Slack finally refused
)
