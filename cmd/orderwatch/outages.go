package main

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

// An outages tells once that something is away, and once that it is back. It is safe for concurrent
// use.
type outages struct {
	session *session
	tell    func(text string)

	mu   sync.Mutex
	away map[string]bool // by what is away
}

// newOutages returns one that watches the session's connection.
func newOutages(s *session, tell func(text string)) *outages {
	o := &outages{session: s, tell: tell, away: make(map[string]bool)}
	s.nc.SetDisconnectErrHandler(func(_ *nats.Conn, err error) {
		if err != nil {
			o.begin("nats", "the connection to NATS is lost; it goes on when NATS is back")
		}
	})
	s.nc.SetReconnectHandler(func(*nats.Conn) { o.end("nats", "connected to NATS again") })
	return o
}

// events takes why the events cannot be followed at the moment, nil where they can be again.
func (o *outages) events(err error) {
	switch {
	case err == nil:
		o.end("events", "the events can be followed again")
	case o.session.nc.IsConnected():
		o.begin("events", "the events cannot be followed at the moment; it goes on when they can: "+output.Clean(err.Error()))
	}
}

// begin tells that something is away, where that is news.
func (o *outages) begin(what, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.away[what] {
		o.away[what] = true
		o.tell(text)
	}
}

// end tells that it is back.
func (o *outages) end(what, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away[what] {
		delete(o.away, what)
		o.tell(text)
	}
}
