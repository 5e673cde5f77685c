package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// A Puller takes messages from a durable consumer, as the iterator of nats.go's package jetstream does. But that takes
// any message without a body for the server's word if it has a Status header, so that any requester could bring intake
// to a halt. Here the server's word is what has no subject to acknowledge on. It is not safe for concurrent use.
type Puller struct {
	nc       *nats.Conn
	subject  string     // where pulls are sent
	wanted   func() int // how many messages may be on their way, as it is now
	most     int        // as many as the consumer allows in one pull
	expiry   time.Duration
	silence  time.Duration // without a message or a heartbeat: the pulls are lost
	sub      *nats.Subscription
	arrived  chan *nats.Msg
	statuses chan nats.Status // is told of reconnects, after which the pulls are lost
	closed   chan struct{}    // closed when nothing arrives any more
	close    func()
	asked    int // how many messages the pulls under way may still bring
	// Accepted is called when the server shows that it takes the pulls, and Limited when it says that a consumer
	// takes smaller ones. They may be set before the first call of Next.
	Accepted func()
	Limited  func(batch int)
}

var (
	// ErrSilent means that the server has not been heard of for two heartbeats. The next call pulls anew.
	ErrSilent = errors.New("no heartbeat")

	// ErrNotConnected says that there is no connection to a server at the moment, or that the one was lost over which an
	// answer was to come.
	ErrNotConnected = errors.New("not connected to NATS")
)

// NewPuller returns a puller of the consumer whose pulls go to the subject. batch is asked for each message how many may
// be on their way. A pull lasts for expiry, and the server is to give a heartbeat within it.
func NewPuller(nc *nats.Conn, subject string, batch func() int, expiry, heartbeat time.Duration) (*Puller, error) {
	p := &Puller{
		nc: nc, subject: subject, wanted: batch, most: math.MaxInt, expiry: expiry, silence: 2 * heartbeat,
		arrived: make(chan *nats.Msg), statuses: nc.StatusChanged(nats.CONNECTED), closed: make(chan struct{}),
		Accepted: func() {}, Limited: func(int) {},
	}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	var err error
	p.sub, err = nc.Subscribe(nc.NewInbox(), func(m *nats.Msg) {
		select {
		case p.arrived <- m:
		case <-p.closed:
		}
	})
	if err != nil {
		nc.RemoveStatusListener(p.statuses)
		return nil, fmt.Errorf("subscribe for pulls: %w", err)
	}
	p.sub.SetClosedHandler(func(string) { p.close() })
	return p, p.sub.SetPendingLimits(-1, -1) // what is wanted bounds them
}

// Next returns the next message. The errors are ErrSilent, ctx's, errEnded after Drain, and what
// the server says that ends the pulls.
func (p *Puller) Next(ctx context.Context) (*nats.Msg, error) {
	silence := time.NewTimer(p.silence)
	defer silence.Stop()
	for {
		if err := p.pull(); err != nil {
			return nil, err
		}
		select {
		case m := <-p.arrived:
			if strings.HasPrefix(m.Reply, "$JS.ACK.") { // a message of the stream; all else is the server's word
				p.asked = max(0, p.asked-1)
				return m, nil
			}
			if err := p.hear(m); err != nil {
				return nil, err
			}
			silence.Reset(p.silence)
		case <-p.statuses:
			p.asked = 0
		case <-silence.C:
			p.asked = 0
			return nil, ErrSilent
		case <-p.closed:
			return nil, errEnded
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

var errEnded = errors.New("no longer subscribed")

// pull asks for more messages where no more than half of those that are wanted are on their way: a pull costs the server as much as
// a message.
func (p *Puller) pull() error {
	batch := min(p.wanted(), p.most)
	if p.asked > batch/2 || p.sub.IsDraining() {
		return nil
	}
	request, err := json.Marshal(map[string]any{
		"batch": batch - p.asked, "expires": p.expiry, "idle_heartbeat": p.silence / 2,
	})
	if err != nil {
		return err
	}
	p.asked = batch
	if err := p.nc.PublishRequest(p.subject, p.sub.Subject, request); err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	return nil
}

// hear takes the server's word about a pull.
func (p *Puller) hear(m *nats.Msg) error {
	switch status := m.Header.Get("Status"); status {
	case "100": // heartbeat
		p.Accepted()
		return nil
	case "404", "408": // the pull has ended, with so many messages missing
		missing, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		if err != nil {
			missing = p.asked
		}
		p.asked = max(0, p.asked-missing)
		p.Accepted()
		return nil
	default: // no such consumer, its leader changed, the server shuts down, …
		p.asked = 0
		why := m.Header.Get("Description")
		if p.adapt(why) {
			return nil
		}
		return fmt.Errorf("pull: %s %s", status, why)
	}
}

// What the server says where a pull is larger, or lasts longer, than the server or the consumer allows.
var (
	batchLimit   = regexp.MustCompile(`(?i)^Exceeded MaxRequestBatch of (\d+)`)
	expiresLimit = regexp.MustCompile(`(?i)^Exceeded MaxRequestExpires of ([0-9.a-zµ]+)`)
)

// adapt takes the number that the server names, and reports whether there is one that helps.
func (p *Puller) adapt(why string) bool {
	if found := batchLimit.FindStringSubmatch(why); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil && n > 0 && n < p.most {
			p.most = n
			p.Limited(n)
			return true
		}
	}
	if found := expiresLimit.FindStringSubmatch(why); found != nil {
		if d, err := time.ParseDuration(found[1]); err == nil && d > 0 && d < p.expiry {
			p.expiry, p.silence = d, min(p.silence, d)
			return true
		}
	}
	return false
}

// Drain ends the subscription; what is on its way still arrives.
func (p *Puller) Drain() { p.sub.Drain() } // where it fails nothing arrives any more

// Stop ends the subscription at once.
func (p *Puller) Stop() {
	p.sub.Unsubscribe() // where it fails it has ended already
	p.nc.RemoveStatusListener(p.statuses)
	p.close()
}
