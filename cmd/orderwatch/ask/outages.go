package ask

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

// Outages tell once that something is away, and once that it is back. They are safe for concurrent
// use.
type Outages struct {
	conn *nats.Conn
	tell func(text string)

	mu   sync.Mutex
	away map[string]bool // by what is away
}

// NewOutages returns outages that watch the connection, and hand what is to be told to tell.
func NewOutages(conn *nats.Conn, tell func(text string)) *Outages {
	o := &Outages{conn: conn, tell: tell, away: make(map[string]bool)}
	conn.SetDisconnectErrHandler(func(_ *nats.Conn, err error) {
		if err != nil {
			o.begin("nats", "the connection to NATS is lost; it goes on when NATS is back")
		}
	})
	conn.SetReconnectHandler(func(*nats.Conn) { o.end("nats", "connected to NATS again") })
	return o
}

// Events takes why the events cannot be followed at the moment, nil where they can be again.
func (o *Outages) Events(err error) {
	switch {
	case err == nil:
		o.end("events", "the events can be followed again")
	case o.conn.IsConnected():
		o.begin("events", "the events cannot be followed at the moment; it goes on when they can: "+output.Clean(err.Error()))
	}
}

// begin tells that something is away, where that is news.
func (o *Outages) begin(what, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.away[what] {
		o.away[what] = true
		o.tell(text)
	}
}

// end tells that it is back.
func (o *Outages) end(what, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away[what] {
		delete(o.away, what)
		o.tell(text)
	}
}
