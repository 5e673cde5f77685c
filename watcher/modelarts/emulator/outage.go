package emulator

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// An Outage is how the whole emulator is gone: the orders, the logins and everything else.
type Outage string

// The ways to be gone.
const (
	NoOutage    Outage = ""
	Refused     Outage = "refused"     // nobody listens; only where the emulator listens itself, see Listen
	BlackHole   Outage = "black-hole"  // connections are accepted, nothing is ever answered
	Unavailable Outage = "unavailable" // 503 with a proxy's page
)

// fault is what an outage does to a call.
func (o Outage) fault() *Fault {
	switch o {
	case Refused: // those that came before the door was shut
		return &Fault{Cut: true}
	case BlackHole:
		return &Fault{Hang: true}
	case Unavailable:
		return &Fault{Status: http.StatusServiceUnavailable, Shape: HTML}
	}
	return nil
}

// SetOutage begins an outage in place of the last one, or ends it. Calls that hang go on hanging
// until their clients give up. An error says what is wrong; nothing has changed then.
func (e *Emulator) SetOutage(o Outage) error {
	if !slices.Contains([]Outage{NoOutage, Refused, BlackHole, Unavailable}, o) {
		return fmt.Errorf("outage: %q is none of %q, %q and %q", o, Refused, BlackHole, Unavailable)
	}
	e.door.turn.Lock()
	defer e.door.turn.Unlock()
	last := e.swapOutage(o)
	move := e.door.open
	if o == Refused {
		move = e.door.shut
	}
	if err := move(); err != nil {
		e.swapOutage(last)
		return err
	}
	return nil
}

func (e *Emulator) swapOutage(o Outage) (last Outage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last, e.outage = e.outage, o
	return last
}

// Listen serves the emulator on addr until Close. Port 0 takes a free one, and keeps it over
// outages. It may be called once.
func (e *Emulator) Listen(addr string) (net.Addr, error) {
	if err := e.door.place(addr, e); err != nil {
		return nil, err
	}
	if err := e.door.open(); err != nil {
		return nil, err
	}
	return e.door.at(), nil
}

// Close ends Listen: calls in flight are cut.
func (e *Emulator) Close() error {
	if err := e.door.shut(); err != nil && !errors.Is(err, errNoDoor) {
		return err
	}
	return nil
}

// A door is where an emulator listens. It can be shut and opened again at the same address.
type door struct {
	turn sync.Mutex // whose turn it is to begin or end an outage

	mu      sync.Mutex
	addr    string // empty: none
	handler http.Handler
	bound   net.Addr
	server  *http.Server // nil: shut
	served  chan struct{}
}

var errNoDoor = errors.New("outage: the emulator does not listen itself; serve it with Listen")

// place says where to listen and who answers there.
func (d *door) place(addr string, h http.Handler) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addr != "" {
		return fmt.Errorf("listen on %s: the emulator listens on %s already", addr, d.addr)
	}
	d.addr, d.handler = addr, h
	return nil
}

// open listens, unless it does already or has no address.
func (d *door) open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addr == "" || d.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", d.addr)
	if err != nil {
		return err
	}
	d.bound, d.addr = l.Addr(), l.Addr().String()
	d.server = &http.Server{Handler: d.handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	d.served = make(chan struct{})
	go func(s *http.Server, served chan struct{}) {
		defer close(served)
		s.Serve(l) // until shut
	}(d.server, d.served)
	return nil
}

// shut stops listening and cuts every connection.
func (d *door) shut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addr == "" {
		return errNoDoor
	}
	if d.server == nil {
		return nil
	}
	err := d.server.Close()
	<-d.served
	d.server = nil
	return err
}

// at returns the address, nil where there is none.
func (d *door) at() net.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bound
}
