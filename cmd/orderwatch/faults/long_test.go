//go:build long

package faults_test

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

func TestKillAndSleepLong(t *testing.T) {
	t.Parallel()
	killAndSleep(t, workerFaults{requests: 2000, span: 90 * time.Second, kills: 80, sleeps: 12, ackWait: 3 * time.Second})
}

func TestKillTeamLong(t *testing.T) {
	t.Parallel()
	killAndSleep(t, workerFaults{requests: 2000, span: 90 * time.Second, kills: 80, sleeps: 12, ackWait: 3 * time.Second, accounts: true})
}

// TestKillAndSleepAckWait lets the worker sleep for longer than the AckWait that the product has.
func TestKillAndSleepAckWait(t *testing.T) {
	t.Parallel()
	killAndSleep(t, workerFaults{requests: 2000, span: 100 * time.Second, kills: 80, sleeps: 1, ackWait: time.Minute})
}

func TestKillServerLong(t *testing.T) {
	t.Parallel()
	killServer(t, serverDeaths{requests: 2000, span: 90 * time.Second, kills: 15, seed: 3})
}

// serverKills is how many kills TestKillServerGhosts makes.
var serverKills = flag.Int("server-kills", 200, "kills of nats-servers in TestKillServerGhosts")

// TestKillServerGhosts kills servers 200 times, each of them 25 times, with a watch on each that only the patrol
// can wake. Four at a time take about five minutes.
func TestKillServerGhosts(t *testing.T) {
	const each = 25
	for i := range (*serverKills + each - 1) / each {
		t.Run(fmt.Sprint("server ", i+1), func(t *testing.T) {
			t.Parallel()
			kills := min(each, *serverKills-i*each)
			killServer(t, serverDeaths{requests: 50 * kills, span: time.Duration(kills) * 4 * time.Second, kills: kills, ghosts: expected + ghosts(i%2), seed: uint64(100 + i)})
		})
	}
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
