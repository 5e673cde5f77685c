//go:build long

package faults_test

import (
	"testing"
	"time"
)

// TestHeartbeatStopsLong holds with the durations of production that heartbeats stop within two minutes of each reason:
// of Slack's refusal for 15 minutes, too. It takes 25 minutes.
func TestHeartbeatStopsLong(t *testing.T) {
	t.Parallel()
	heartbeatStops(t, heartbeatTest{
		plain: true, quiet: 3 * time.Minute, untold: 15 * time.Minute, within: 2 * time.Minute,
		env: []string{"ORDERWATCH_POLL_INITIAL=1m", "ORDERWATCH_POLL_MAX=1m", "ORDERWATCH_MODELARTS_TIMEOUT=15s"},
	})
}
