//go:build long

package faults_test

import (
	"testing"
	"time"
)

// TestQuotaLong holds that new requests are started at once while 10,000 watches wait. It takes
// two minutes.
func TestQuotaLong(t *testing.T) {
	for _, q := range quotas {
		t.Run(q.name, func(t *testing.T) { newRequestsWhileWaiting(t, q, 10_000, time.Second) })
	}
}
