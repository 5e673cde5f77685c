package wire

import (
	"bytes"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A Status is how an installation is, as one worker sees it. What the worker could not look at is missing,
// and NotLookedAt says why.
type Status struct {
	Workers     *WorkerCount  `json:"workers,omitempty"`
	Held        []HeldAccount `json:"held_accounts"`               // that ModelArts is not asked for; as far as this worker knows
	Unlisted    []Unlisted    `json:"unlisted_projects,omitempty"` // whose orders are not listed; as far as this worker knows
	Rates       []Rate        `json:"rates,omitempty"`             // how many polls are wanted and allowed, by region
	Watches     *WatchCount   `json:"watches,omitempty"`
	People      *Untold       `json:"people,omitempty"`
	NotLookedAt []string      `json:"not_looked_at,omitempty"` // what, and why; for people
}

// A WorkerCount is how many workers there are.
type WorkerCount struct {
	Present  int            `json:"present"`            // with the one that answers
	Versions map[string]int `json:"versions,omitempty"` // how many have each; those of a release that does not tell are missing
}

// A HeldAccount is an account, or one project of it, that ModelArts may not be asked for now.
type HeldAccount struct {
	Account   string           `json:"account"` // a hash of the login, with the region
	Kind      watcher.HoldKind `json:"kind"`
	Region    string           `json:"region"`
	ProjectID string           `json:"project_id,omitempty"` // empty: all projects of the account
	Why       string           `json:"why"`                  // for people; the cloud's text is in it
	Code      string           `json:"code,omitempty"`       // the API's
	Since     time.Time        `json:"since"`
	Until     time.Time        `json:"until"` // no call before
}

// An Unlisted is a project whose orders are not listed, since the list is of no use. They are polled as without it, and
// nothing else is wrong with them.
type Unlisted struct {
	Region    string    `json:"region"`
	ProjectID string    `json:"project_id"`
	Why       string    `json:"why"`   // for people; the cloud's text is in it
	Until     time.Time `json:"until"` // it is not tried again before
}

// A Rate is how many polls of an account are wanted and allowed in a region, over all workers. What is wanted is estimated by
// what the worker that answers sees.
type Rate struct {
	Region      string    `json:"region"`
	Wanted      float64   `json:"wanted_per_second"`
	Allowed     float64   `json:"allowed_per_second"`
	UsedUpSince time.Time `json:"used_up_since,omitzero"` // since when polls are late for it; zero while they are not
	Late        string    `json:"late,omitempty"`         // by how much, as a duration; empty while they are not
}

// A WatchCount is how many open watches there are, and how many of them are not as they must be.
type WatchCount struct {
	Watching   int  `json:"watching"`
	Ending     int  `json:"ending"`
	Overdue    int  `json:"overdue"`    // of those that are watched: not polled for more than the interval and a minute
	Stuck      int  `json:"stuck"`      // of those that are ending: for over a minute
	Unreadable int  `json:"unreadable"` // records that cannot be read, or were deleted while their watch went on, until the order is watched again
	Newer      int  `json:"newer"`      // records that a later version of this program wrote, which that reads
	All        bool `json:"all"`        // always true: otherwise there is no count
}

// An Untold is what people have not been told.
type Untold struct {
	Waiting     int       `json:"waiting"`            // events that people are still to be told of; a few are usual
	Since       time.Time `json:"since,omitzero"`     // when the oldest of them was stored
	Undelivered int       `json:"undelivered"`        // messages that Slack finally refused, of those that are kept
	Troubles    []string  `json:"troubles,omitempty"` // what keeps Slack from taking messages of the worker that answers
}

// CheckStatus refuses a request that asks for anything.
func CheckStatus(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return readFields(body, "a status request")
}
