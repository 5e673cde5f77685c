package watchertest

// Rounds returns how many of n rounds a test makes: all, but a tenth of them under the race detector. It is for tests
// that let one thing happen after the other in an order that is drawn: the race detector finds nothing there, and each
// round costs seventeen times as much. .ci/run runs these tests without the race detector, too.
func Rounds(n int) int {
	if Raced {
		return n / 10
	}
	return n
}
