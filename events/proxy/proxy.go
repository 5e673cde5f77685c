// Package proxy is a stand-in for a bad network: a TCP proxy in front of a nats-server, for tests.
// It is no production proxy: it keeps whole messages in memory, and knows neither TLS nor
// WebSocket.
//
//	p, err := proxy.Listen("127.0.0.1:0", server)
//	nc, err := nats.Connect(p.URL())
//	p.Set(proxy.ToServer, proxy.Line{Delay: 300 * time.Millisecond})
//	p.Add(proxy.Rule{Way: proxy.ToServer, Subject: "orders.completed.>", Skip: 2, Times: 1, Do: proxy.LoseAnswer})
//
// What flows one way is a [Line]: it may be late, slow, stand still, or lose everything, also on connections that are
// open. A [Rule] is for single messages: it cuts the connection there, loses the message or its answer, or makes up the
// answer. Of a cluster, a client learns the addresses of all servers and goes past the proxy, unless the servers do not
// advertise them or the client ignores them.
//
// Read proxy.go first (lines and connections), then rule.go (which message a rule acts on), message.go (how messages are
// read), and link.go (what becomes of them).
package proxy

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// A Way is a direction.
type Way int

// The directions.
const (
	ToServer Way = iota
	ToClient
)

// A Line is what one direction of all connections is like. The zero value is a good one.
type Line struct {
	Delay   time.Duration // of everything, in order
	Rate    int           // bytes a second; 0: no limit
	Hold    bool          // nothing arrives until this ends, and then all: a partition as TCP mends it
	Swallow bool          // what is sent now never arrives: a black hole
}

// A Proxy stands between clients and one server. It is safe for concurrent use; make it with
// [Listen].
type Proxy struct {
	listener net.Listener
	server   string
	serving  sync.WaitGroup

	mu       sync.Mutex
	lines    [2]Line
	changed  chan struct{} // closed at each change of lines
	refuse   bool
	closed   bool
	accepted int
	links    map[*link]bool
	rules    []*Active
}

// Listen starts a proxy at addr (port 0 chooses one) in front of the server at the address given,
// which need not be there yet.
func Listen(addr, server string) (*Proxy, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy: %w", err)
	}
	p := &Proxy{listener: listener, server: server, changed: make(chan struct{}), links: make(map[*link]bool)}
	p.serving.Go(p.accept)
	return p, nil
}

// URL is where clients connect to.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close() // it ends accept
	p.Reset()
	p.serving.Wait()
}

// Set makes the line of one direction as given.
func (p *Proxy) Set(w Way, l Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines[w] = l
	close(p.changed)
	p.changed = make(chan struct{})
}

// SetBoth does so for both directions.
func (p *Proxy) SetBoth(l Line) {
	p.Set(ToServer, l)
	p.Set(ToClient, l)
}

// Refuse says whether new connections are reset at once. Open ones stay.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Reset ends the open connections with a TCP reset.
func (p *Proxy) Reset() {
	for _, l := range p.open() {
		l.reset()
	}
}

// Cut closes the open connections; what the server was sent it still gets.
func (p *Proxy) Cut() {
	for _, l := range p.open() {
		l.end()
	}
}

// Accepted returns how many connections clients have made, the refused ones among them.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Open returns how many connections are open.
func (p *Proxy) Open() int { return len(p.open()) }

func (p *Proxy) open() (links []*link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

// line returns what a direction is like now, and what is closed when that changes.
func (p *Proxy) line(w Way) (Line, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[w], p.changed
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		l := newLink(p, client.(*net.TCPConn))
		p.mu.Lock()
		p.accepted++
		refuse := p.refuse || p.closed
		if !refuse {
			p.links[l] = true
		}
		p.mu.Unlock()
		if refuse {
			l.reset()
			continue
		}
		p.serving.Go(func() {
			l.serve()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.links, l)
		})
	}
}
