package store

import "time"

// What the tests of this package reach besides its public names.

var (
	NotThere  = notThere
	Published = published
)

// A Reading is what one answer says of the server's clock.
type Reading = reading

// NewReading returns a reading.
func NewReading(offset, doubt time.Duration, at time.Time) Reading { return reading{offset, doubt, at} }

// Counts reports whether the reading takes the place of one before it.
func (r reading) Counts(before *Reading) bool { return r.counts(before) }

// Keys returns of how many keys something is known, whether or not a hold stands there.
func (a *Accounts) Keys() int { return len(a.holds) }
