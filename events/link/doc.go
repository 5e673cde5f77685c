// Package link connects to NATS and pulls messages from a consumer. It knows nothing of orderwatch's
// subjects and streams.
//
// It promises three things. A connection of [Connect] outlives every outage, and its log says why there is
// none. A call of [Calls] ends when its connection is lost. A [Puller] notices within two heartbeats that its
// pulls are lost, and never takes a message of a stream for a word of the server.
//
// Read connect.go first (how a connection outlives outages), then refusal.go (what an error of the connection means),
// calls.go (how a call waits for a connection, and ends with it), jetstream.go (which domain's JetStream is used, and
// which of its methods are such calls), pull.go (how messages are pulled), and replies.go (to which reply
// subjects a service answers).
package link
