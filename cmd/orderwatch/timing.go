//go:build !faults

package main

import "github.com/orderwatch/orderwatch/events"

// timing returns the durations that the contract does not name.
func timing() events.Timing { return events.DefaultTiming() }
