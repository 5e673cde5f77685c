// Package link connects to NATS and pulls messages from a consumer. It knows nothing of orderwatch's
// subjects and streams.
//
// It promises two things. A connection of [Connect] outlives every outage, and its log says why there is
// none. A [Puller] notices within two heartbeats that its pulls are lost, and never takes a message of a
// stream for a word of the server.
//
// Read connect.go first (how a connection outlives outages), then refusal.go (what an error of the connection means),
// jetstream.go (which domain's JetStream is used), pull.go (how messages are pulled), and replies.go (to which reply
// subjects a service answers).
package link
