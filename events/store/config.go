package store

import (
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Config says how an installation is laid out in NATS. Every field is required unless it says otherwise.
type Config struct {
	Names       wire.Names
	Replicas    int           // of the streams that are created; 1, 3 or 5
	MaxAge      time.Duration // of events and records; ≥ TimeoutMax + 7 days
	Provision   bool          // create streams and consumers that are missing
	PublicURL   string        // where orders have their pages, for the links of events and answers: see [watcher.Report.PageURL]
	Version     string        // of the program, as it is told to the other workers
	PollTimeout time.Duration // of one poll; the poller's AckWait is twice that and a second where it is made new
	TimeoutMax  time.Duration // the longest timeout that a request may have
	Recall      int           // how many bytes of memory the records that a worker keeps may take; 0: 32 MiB, negative: none
	Timing      Timing
}

// Timing holds the durations that the contract does not name.
type Timing struct {
	AckWait time.Duration // of the consumers intake and slack that are created
	Step    time.Duration // for so long a step under way keeps its delivery from coming again

	PullExpiry    time.Duration // of one pull for messages
	PullHeartbeat time.Duration // of the server within a pull; two missed ones are an outage
	Request       time.Duration // of one call of the JetStream API, or one publish
	List          time.Duration // of one answer for which records are read: a list, the status, an event of long ago
	Rebind        watcher.Backoff
	PutBack       watcher.Backoff // by the number of deliveries; under 10 s with its jitter, so that work goes on that soon after a repair

	CheckEvery time.Duration // between two looks at the server's clock, the streams and the consumers

	PatrolEvery time.Duration // between two rounds
	PatrolSlack time.Duration // a wake-up is overdue when it is this late

	Beat   time.Duration // between two heartbeats
	Untold time.Duration // people have not been told of an event for so long, before there are none

	Rejected time.Duration // one event tells people of a sender's rejections for so long

	Broken time.Duration // a record is broken for so long, and for two AckWaits, before it is moved aside

	WorkerSign    time.Duration // between two signs of a worker to the others
	WorkerGone    time.Duration // without a sign of a worker, before its share is the others'
	AccountsEvery time.Duration // between two looks at what the workers share
	Unreachable   time.Duration // an account is held for so long, or watches are overdue, before people are told

	Drain  time.Duration // polls in flight get this long when the worker stops
	Denied time.Duration // how long a permissions violation, or a message that was not stored, keeps the worker from being ready
}

// DefaultTiming returns the durations of production.
func DefaultTiming() Timing {
	return Timing{
		AckWait:       60 * time.Second,
		Step:          60 * time.Second,
		PullExpiry:    5 * time.Second,
		PullHeartbeat: time.Second,
		Request:       5 * time.Second,
		List:          8 * time.Second, // before those who ask give up
		Rebind:        watcher.Backoff{Initial: 100 * time.Millisecond, Multiplier: 2, Max: 5 * time.Second, Jitter: 0.2},
		PutBack:       watcher.Backoff{Initial: 100 * time.Millisecond, Multiplier: 2, Max: 8 * time.Second, Jitter: 0.2},
		CheckEvery:    5 * time.Second,
		PatrolEvery:   15 * time.Second,
		PatrolSlack:   time.Minute,
		Beat:          time.Minute,
		Untold:        15 * time.Minute,
		Rejected:      time.Hour,
		Broken:        2 * time.Minute,
		WorkerSign:    2 * time.Second,
		WorkerGone:    6 * time.Second,
		AccountsEvery: time.Second,
		Unreachable:   2 * time.Minute,
		Drain:         5 * time.Second,
		Denied:        20 * time.Second,
	}
}
