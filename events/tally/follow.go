package tally

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/link"
)

// overlap is how far back events are read again after each outage: a server that crashed may have lost what it had not
// written to its disk, which is two minutes of its own clock at the most, and given the places of those events to others.
const overlap = 10 * time.Minute

// againAfter is when events are followed again that could not be.
const againAfter = 2 * time.Second

// completions are the subjects of the events that are read.
const completions = "completed.>"

// errReconnected ends the following: what was stored before is read again.
var errReconnected = errors.New("the connection was lost; reading the last events again")

// Follow reads the events that are kept and were stored in the last 90 days, then follows them, until ctx is done. It needs
// what [client.Client.Follow] needs, on the connection of the client.
func (t *Tally) Follow(ctx context.Context, nc *nats.Conn, c *client.Client) {
	status := nc.StatusChanged(nats.RECONNECTING)
	defer nc.RemoveStatusListener(status)
	for ctx.Err() == nil {
		following, stop := context.WithCancelCause(ctx)
		go func() {
			select {
			case <-status:
				stop(errReconnected)
			case <-following.Done():
			}
		}()
		err := t.follow(following, c)
		stop(nil)
		t.set(func() { t.away = err })
		link.Sleep(ctx, againAfter)
	}
}

// follow reads what was stored, if that was not read, and then what comes.
func (t *Tally) follow(ctx context.Context, c *client.Client) error {
	if read, _ := t.State(); !read {
		if err := c.Follow(ctx, t.filter(c, true), nil, nil, t.take); err != nil {
			return err
		}
		t.set(func() { t.read = true })
	}
	away := func(err error) { t.set(func() { t.away = err }) }
	return c.Follow(ctx, t.filter(c, false), func() { away(nil) }, away, t.take)
}

// filter returns which events are read: from a little before the newest one that was counted on.
func (t *Tally) filter(c *client.Client, stop bool) client.Filter {
	t.mu.RLock()
	defer t.mu.RUnlock()
	f := client.Filter{Subjects: []string{c.Subject(completions)}, Since: t.last.Add(-overlap), Stop: stop}
	if t.last.IsZero() {
		f.Since = time.Now().AddDate(0, 0, -keptDays)
	}
	return f
}

// take counts an event. One that cannot be read counts as none: only orderwatch may publish here.
func (t *Tally) take(e client.Event) error {
	if c, ok := e.Completion(); ok {
		t.Apply(c, e.StoredAt)
	}
	return nil
}

func (t *Tally) set(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}
