//go:build long

package faults_test

import (
	"testing"
	"time"
)

// TestRestartLong kills the only worker under 10,000 watches. It takes three minutes.
func TestRestartLong(t *testing.T) {
	restartUnderLoad(t, restart{watches: 10_000, mean: 20 * time.Second, ackWait: time.Minute})
}

// TestServerKilledUnderPollsLong kills the nats-server under 2,000 watches and has the bound of an idle machine.
func TestServerKilledUnderPollsLong(t *testing.T) {
	killServerUnderPolls(t, 2000, 4*time.Second, time.Second)
}
