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
	d := &e.door
	d.mu.Lock()
	defer d.mu.Unlock()
	if o == Refused && d.addr == "" {
		return errors.New("outage: the emulator does not listen itself; serve it with Listen")
	}
	last := e.swapOutage(o)
	move := d.open
	if o == Refused {
		move = d.shut
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
	d := &e.door
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addr != "" {
		return nil, fmt.Errorf("listen on %s: the emulator listens on %s already", addr, d.addr)
	}
	d.addr, d.handler = addr, e
	if err := d.open(); err != nil {
		return nil, err
	}
	return d.bound, nil
}

// Close ends Listen: calls in flight are cut.
func (e *Emulator) Close() error {
	e.door.mu.Lock()
	defer e.door.mu.Unlock()
	return e.door.shut()
}

// A door is where an emulator listens. It can be shut and opened again at the same address.
type door struct {
	mu      sync.Mutex // held while the emulator begins to listen, and while an outage begins or ends
	addr    string     // empty: none
	handler http.Handler
	bound   net.Addr
	server  *http.Server   // nil: shut
	serving sync.WaitGroup // done once the server does not listen any more
}

// open listens, unless it does already or has no address. The lock is held.
func (d *door) open() error {
	if d.addr == "" || d.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", d.addr)
	if err != nil {
		return err
	}
	d.bound, d.addr = l.Addr(), l.Addr().String()
	d.server = &http.Server{Handler: d.handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	server := d.server
	d.serving.Go(func() { server.Serve(l) }) // until shut
	return nil
}

// shut stops listening and cuts every connection. The lock is held.
func (d *door) shut() error {
	if d.server == nil {
		return nil
	}
	err := d.server.Close()
	d.serving.Wait()
	d.server = nil
	return err
}
