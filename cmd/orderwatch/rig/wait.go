package rig

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
)

// Patience is [eventstest.Patience].
const Patience = eventstest.Patience

// Eventually waits until f returns nil. It asks less often the longer it waits: each time costs what it
// waits for, too.
func Eventually(t testing.TB, limit time.Duration, f func() error) {
	t.Helper()
	eventstest.Within(t, limit, f)
}
