// Package faults holds the tests of the whole system: real processes, real servers, and the stand-ins for ModelArts and
// Slack over HTTP, while workers and servers are killed, stopped and cut off. It has no code of its own.
//
// deploy/FAULTS.md says which fault each test makes and what must hold then; deploy/PROMISES.md which test holds which
// promise. Read history_test.go first (what producer, ModelArts, events and Slack saw of a run), then checker_test.go
// (what must be true of a history), then any test. What starts and watches the processes is package rig. Tests that take
// minutes have the build tag long. Some build the program with the tag faults: it can be stopped at a certain step.
package faults
