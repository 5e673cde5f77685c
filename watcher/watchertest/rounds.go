package watchertest

import "testing"

// Rounds returns how many of n rounds a test makes: all, but a fiftieth of them under the race detector. It is for tests
// that let one thing happen after the other in an order that is drawn: the race detector finds nothing there, and each
// round costs seventeen times as much. .ci/run runs these tests without the race detector, too.
func Rounds(n int) int {
	if Raced {
		return n / 50
	}
	return n
}

// Unraced skips a test under the race detector. It is for tests that take long and do one thing after the other, in one
// goroutine. .ci/run runs the packages that have such tests without the race detector, too.
func Unraced(t testing.TB) {
	t.Helper()
	if Raced {
		t.Skip("one thing happens after the other: .ci/run runs this without the race detector")
	}
}
