// Package eventstest is what tests of events, and of the packages below it, stand on: a nats-server in this
// process, a store on it, the streams and consumers as the contract describes them, and waiting for what must
// come. Only tests import it.
//
// What it starts ends with the test. A function that takes a test fails the test where it cannot do what it
// says. Programs and workers as processes are package rig's, a worker in this process is that of the tests of
// package events.
//
// This file has how long to wait, and how many tests run at once. server.go starts a server, store.go opens a
// store, contract.go has the streams and consumers, read.go reads what the streams hold.
package eventstest

import (
	"flag"
	"runtime"
	"strconv"
	"testing"
	"time"
)

const (
	// Project is the project of the orders that tests watch.
	Project = "6f5da086876d4cd084d36f8bd3346036"

	// Patience is how long a test waits for what must come, where it does not matter how soon: longer
	// than the slowest machine under load takes.
	Patience = 3 * time.Minute
)

// Main runs the tests of a package and returns the code to exit with: it is what TestMain calls. So many
// tests run at the same time, where nobody says otherwise (-parallel) and the machine has fewer processors,
// because most of them wait for timers and processes.
func Main(m *testing.M, atOnce int) int {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < atOnce && flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		flag.Set("test.parallel", strconv.Itoa(atOnce)) // it is a number
	}
	return m.Run()
}

// Eventually waits until f returns nil, for [Patience].
func Eventually(t testing.TB, f func() error) {
	t.Helper()
	Within(t, Patience, f)
}

// Within waits until f returns nil, and returns how long that took.
func Within(t testing.TB, most time.Duration, f func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	for pause := 10 * time.Millisecond; ; pause = min(pause*3/2, 100*time.Millisecond) {
		err := f()
		if err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > most {
			t.Fatalf("not within %s: %v", most, err)
		}
		time.Sleep(pause)
	}
}
