//go:build !faults

package main

// serveTiming returns the durations of production.
func serveTiming() timing { return defaultTiming() }
