//go:build race

package watchertest

// Raced is whether the tests run under the race detector.
const Raced = true
