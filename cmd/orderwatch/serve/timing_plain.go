//go:build !faults

package serve

// LoadTiming returns the durations of production. A build with the tag faults reads others from the environment.
func LoadTiming() Timing { return DefaultTiming() }
