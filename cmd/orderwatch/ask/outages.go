package ask

import (
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

// outages tell once that something is away, and once that it is back.
type outages struct {
	conn *nats.Conn
	do   func(func()) // runs one function at a time: what NATS and the client call goes through it
	tell func(text string)
	away map[string]bool // by what is away
}

// newOutages returns outages that watch the connection, and hand what is to be told to tell. It calls tell, and
// callers call begin and end, in functions that do runs.
func newOutages(conn *nats.Conn, do func(func()), tell func(text string)) *outages {
	o := &outages{conn: conn, do: do, tell: tell, away: make(map[string]bool)}
	conn.SetDisconnectErrHandler(func(_ *nats.Conn, err error) {
		if err != nil {
			do(func() { o.begin("nats", "the connection to NATS is lost; it goes on when NATS is back") })
		}
	})
	conn.SetReconnectHandler(func(*nats.Conn) { do(func() { o.end("nats", "connected to NATS again") }) })
	return o
}

// events takes why the events cannot be followed at the moment, nil where they can be again.
func (o *outages) events(err error) {
	switch {
	case err == nil:
		o.do(func() { o.end("events", "the events can be followed again") })
	case o.conn.IsConnected():
		o.do(func() {
			o.begin("events", "the events cannot be followed at the moment; it goes on when they can: "+output.Clean(err.Error()))
		})
	}
}

// begin tells that something is away, where that is news.
func (o *outages) begin(what, text string) {
	if !o.away[what] {
		o.away[what] = true
		o.tell(text)
	}
}

// end tells that it is back.
func (o *outages) end(what, text string) {
	if o.away[what] {
		delete(o.away, what)
		o.tell(text)
	}
}
