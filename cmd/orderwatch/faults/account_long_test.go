//go:build long

package faults_test

import (
	"testing"
	"time"
)

func TestSharedRateLong(t *testing.T) {
	t.Parallel()
	sharedRate(t, 3000, 3*time.Minute)
}

func TestThrottledLong(t *testing.T) {
	t.Parallel()
	throttled(t, 1)
}

func TestUnreachableLong(t *testing.T) {
	t.Parallel()
	unreachable(t, 1)
}

func TestWrongKeyLong(t *testing.T) {
	t.Parallel()
	wrongKey(t, 1)
}
