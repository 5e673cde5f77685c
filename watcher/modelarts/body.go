package modelarts

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
)

// Bodies of up to 64 kB, some 400 items, are read freely. Of longer ones 8 are held at once, until they are decoded, and
// of these one may be longer than 1 MiB, some 7,000 items. So the bodies of a worker take 16 MiB at most, and 64 kB for
// each call.
const (
	freeBody   = 64 << 10
	largeBody  = 1 << 20
	largeCalls = 8
)

// bodies bounds the memory that the bodies of all calls take. It is safe for concurrent use.
type bodies struct {
	large, huge places
	buffers     sync.Pool // of *bytes.Buffer
}

// places are taken by sending, and given back by receiving.
type places chan struct{}

func newBodies() *bodies {
	return &bodies{large: make(places, largeCalls), huge: make(places, 1), buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }}}
}

// A body is what was read of an answer's body.
type body struct {
	*bytes.Buffer
	held []places // in the order in which every call takes them, so that no two wait for each other
}

// read reads a body, which is to be freed, whatever the error. Where there is no place for it, it waits until there is,
// while the time of the call stands still.
func (all *bodies) read(resp *http.Response, t *callTime) (b *body, err error) {
	b = &body{Buffer: all.buffers.Get().(*bytes.Buffer)}
	limit := answer.Limit(resp.StatusCode)
	for _, part := range [...]struct {
		upTo int64
		in   places
	}{{freeBody, nil}, {largeBody, all.large}, {limit, all.huge}} {
		if part.in != nil {
			if err := t.wait(part.in); err != nil {
				return b, err
			}
			b.held = append(b.held, part.in)
			b.Grow(int(max(0, min(resp.ContentLength, part.upTo)-int64(b.Len()))) + bytes.MinRead)
		}
		upTo := min(part.upTo, limit)
		_, err := b.ReadFrom(io.LimitReader(resp.Body, upTo-int64(b.Len())))
		if err != nil || int64(b.Len()) < upTo || upTo == limit {
			return b, err
		}
	}
	return b, nil
}

// free gives back the body's place. Its bytes are not valid any more.
func (all *bodies) free(b *body) {
	for _, p := range b.held {
		<-p
	}
	if b.Cap() <= 4*freeBody {
		b.Reset()
		all.buffers.Put(b.Buffer)
	}
}

// A callTime is the time that a call may take. It is one call's, and not safe for concurrent use.
type callTime struct {
	timeout time.Duration
	ctx     context.Context // ends with the time, or before, with the caller's
	end     context.CancelFunc
	until   time.Time
	timer   *time.Timer
}

func newCallTime(ctx context.Context, timeout time.Duration) *callTime {
	ctx, cancel := context.WithCancel(ctx)
	return &callTime{timeout, ctx, cancel, time.Now().Add(timeout), time.AfterFunc(timeout, cancel)}
}

// login returns the context that a login of the call has: it tells a deadline, and with which of both it ended.
func (t *callTime) login(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, t.until)
}

func (t *callTime) over() {
	t.timer.Stop()
	t.end()
}

// wait takes a place; the time stands still meanwhile.
func (t *callTime) wait(in places) error {
	select {
	case in <- struct{}{}:
		return nil
	default:
	}
	began := time.Now()
	if !t.timer.Stop() {
		<-t.ctx.Done()
		return t.ctx.Err()
	}
	select {
	case in <- struct{}{}:
	case <-t.ctx.Done(): // with the caller's
		return t.ctx.Err()
	}
	t.until = t.until.Add(time.Since(began))
	t.timer.Reset(time.Until(t.until))
	return nil
}

// ended says that the caller has ended the call, or that the time of what was done within it is over; nil where neither
// is so.
func (t *callTime) ended(caller, within context.Context, doing string) error {
	switch {
	case caller.Err() != nil:
		return fmt.Errorf("%s: %w", doing, context.Cause(caller))
	case within.Err() != nil:
		return answer.NewError(watcher.MayPass, fmt.Sprintf("%s: no whole answer within %v", doing, t.timeout))
	}
	return nil
}
