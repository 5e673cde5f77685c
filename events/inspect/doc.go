// Package inspect looks at what an installation has in NATS: the server, the streams and consumers, the workers,
// the watches, and what a login may do. The doctor shows it, and a worker that is asked for the status.
//
// It promises that nothing is stored, created or altered by looking, that each look ends with its context, and that
// what the user may not look at is an [ErrDenied] and not a timeout.
//
// Read inspect.go first (the server, the workers, the watches), then assets.go (streams and consumers), permissions.go
// (what a worker needs, and whether it has that) and login.go (what a user may do who is no worker).
package inspect
