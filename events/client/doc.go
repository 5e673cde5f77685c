// Package client is what a Go program needs to use orderwatch: it publishes requests to watch orders, asks the
// service how watches are, and follows events.
//
// It promises that [Client.Publish] tries again until the request is stored for certain, that [Client.Follow] hands
// out each event once, in order and over any outage, and that what NATS denies is an error at once, a
// [DeniedError], and not a timeout.
//
// Read client.go first (requests, when they are tried again, and that no worker answers: [ErrNoWorker]), then event.go
// (what an event holds) and follow.go (how events are followed). Requests and answers are in package wire.
package client
