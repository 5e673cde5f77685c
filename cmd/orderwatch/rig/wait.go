package rig

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must come, where it does not matter how soon: longer
// than the slowest machine under load takes.
const Patience = 3 * time.Minute

// Eventually waits until f returns nil. It asks less often the longer it waits: each time costs what it
// waits for, too.
func Eventually(t testing.TB, limit time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
		time.Sleep(pause)
	}
}
