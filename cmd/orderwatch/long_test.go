//go:build long

package main_test

import (
	"testing"
	"time"
)

func TestKillAndSleepLong(t *testing.T) {
	t.Parallel()
	killAndSleep(t, workerFaults{requests: 2000, span: 90 * time.Second, kills: 80, sleeps: 12, ackWait: 3 * time.Second})
}

// TestKillAndSleepAckWait lets the worker sleep for longer than the AckWait that the product has.
func TestKillAndSleepAckWait(t *testing.T) {
	t.Parallel()
	killAndSleep(t, workerFaults{requests: 2000, span: 100 * time.Second, kills: 80, sleeps: 1, ackWait: time.Minute})
}

func TestKillServerLong(t *testing.T) {
	t.Parallel()
	killServer(t, 2000, 90*time.Second, 15)
}

func TestKillCluster(t *testing.T) {
	t.Parallel()
	killCluster(t, clusterFaults{requests: 200, span: 20 * time.Second, kills: 2, leaderEvery: 2})
}

func TestKillClusterLong(t *testing.T) {
	t.Parallel()
	killCluster(t, clusterFaults{requests: 2000, span: 100 * time.Second, kills: 12, leaderEvery: 3})
}

// TestKillClusterSoak takes about 25 minutes.
func TestKillClusterSoak(t *testing.T) {
	t.Parallel()
	killCluster(t, clusterFaults{requests: 40_000, span: 20 * time.Minute, kills: 200, leaderEvery: 10, workerKills: 2})
}
