// Package wire is what orderwatch says and hears on NATS, message by message: the subjects and streams,
// the requests of clients, the answers of the service, and the events. It reads and writes bytes, and
// talks to no server.
//
// It promises that a request is refused with the field that is wrong and with what would be right, that
// a request that is delivered twice is read twice the same, and that an event which this package wrote
// is read as what was written.
//
// Read names.go first (what subjects and streams are called), then fields.go (how a JSON request is read: unknown and
// doubled fields, types), request.go (which fields a request to watch an order has, and what each may be: region, Slack
// channel, timeout) and cloudevent.go (the same as a CloudEvent), then event.go (all events, and their ids). The rest
// is one file for each request of the service: answer.go (cancel, and those that name an order alone), list.go (what a
// list may ask for, and how large a page may be), renotify.go (in which channels people may be told again), follow.go (from which
// place on events may be asked for), status.go, why.go.
package wire
