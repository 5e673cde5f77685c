// Package faults_test tests the whole system: real workers and real nats-servers, which are killed,
// stopped, starved and cut off while requests come. deploy/FAULTS.md says what is tested, and by
// which test; deploy/PROMISES.md names the tests of what consumers are promised.
//
// Read history_test.go and checker_test.go first: what a run leaves behind, and how it is judged. Then
// load_test.go and plan_test.go (the requests), kill_test.go (the fleet of workers), crash_test.go (a
// crash at each point), and slack_world_test.go (what people are told). Of the benchmarks read bench_peers_test.go first.
// Beside earlier releases: roll_test.go and versions_test.go, and what is built from the history, releases_long_test.go.
package faults_test

import (
	"log"
	"os"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(naiveURL); url != "" { // it was started as another worker
		log.Fatal(serveJetNaive(url, os.Getenv(naiveCloudURL)))
	}
	rig.Main(m, 6)
}
