package watcher

import "time"

// A Verdict says what is to be done with a delivery.
type Verdict struct {
	Action Action
	After  time.Duration // with PutBack: no sooner than this; 0 leaves it to the caller's backoff
	Err    error         // with PutBack: why, nil where nothing went wrong; with Refuse: a *[FieldError]
}

// An Action is one thing to do with a delivery.
type Action int

// The actions.
const (
	PutBack Action = iota // deliver it again: nothing is lost
	Ack                   // it is done: what follows from it was positively read or stored
	Refuse                // it is no request: say so in an event, then terminate it
)

func putBack(after time.Duration, err error) Verdict {
	return Verdict{Action: PutBack, After: after, Err: err}
}

// Delays of deliveries that are put back although nothing went wrong.
const (
	endingDelay  = time.Second      // a request for a watch that is ending
	fullDelay    = 15 * time.Second // a request for a watch that takes no more
	behindDelay  = time.Second      // a server that answered is behind
	missingDelay = 5 * time.Second  // the record of a wake-up is not there
	newerDelay   = 5 * time.Second  // a later version of this program must take it
)

// writeTries is how often a decision is made anew on a record that changed meanwhile, before the
// delivery is put back.
const writeTries = 5
