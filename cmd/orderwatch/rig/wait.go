package rig

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must come, where it does not matter how soon: longer
// than the slowest machine under load takes.
const Patience = 3 * time.Minute

// Eventually waits until f returns nil.
func Eventually(t testing.TB, limit time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
