// Package rig is what tests of the program stand on. It builds programs and starts them as processes,
// waits for what must come, and reads what they left in the streams. Only tests import it.
//
// What it starts ends with the test. A function that takes a test fails the test where it cannot do
// what it says. Where it does not matter how soon something comes, it waits for [Patience].
//
// Read build.go (programs), process.go (a process), wait.go, nats.go (a nats-server) and worker.go
// (a worker's environment) first. stream.go reads the streams; command.go runs a command to its end.
package rig
