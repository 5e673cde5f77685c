package modelarts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A slowBody is long, and ends late.
type slowBody struct {
	rest  *bytes.Reader
	free  int64 // so many bytes are not counted
	took  time.Duration
	under *atomic.Int64 // how many bodies are read beyond them
	most  *atomic.Int64
	begun bool
}

func (s *slowBody) Read(p []byte) (int, error) {
	if !s.begun && s.rest.Size()-int64(s.rest.Len()) >= s.free {
		s.begun = true
		n := s.under.Add(1)
		for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
		}
		time.Sleep(s.took)
	}
	return s.rest.Read(p)
}

// Of long bodies only so many are read at once. The others wait, and that takes no time of their calls.
func TestLongBodies(t *testing.T) {
	for _, tt := range []struct {
		size int
		free int64
		most int64
	}{{largeBody / 2, freeBody, largeCalls}, {3 * largeBody, largeBody, 1}} {
		synctest.Test(t, func(t *testing.T) {
			const calls, timeout, took = 40, 15 * time.Second, 10 * time.Second
			r := newBodies()
			text := bytes.Repeat([]byte("x"), tt.size)
			var under, most atomic.Int64
			var all sync.WaitGroup
			for range calls {
				all.Go(func() {
					c := newCallTime(t.Context(), timeout)
					defer c.over()
					b, err := r.read(&http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(&slowBody{bytes.NewReader(text), tt.free, took, &under, &most, false})}, c)
					if err != nil || b.Len() != tt.size {
						t.Errorf("%d of %d bytes, %v", b.Len(), tt.size, err)
					}
					under.Add(-1)
					r.free(b)
					if c.ctx.Err() != nil {
						t.Error("the call's time is over")
					}
				})
			}
			all.Wait()
			if most.Load() != tt.most {
				t.Errorf("bodies of %d bytes: %d at once, want %d", tt.size, most.Load(), tt.most)
			}
		})
	}
}

// The time of a call goes on where it stood still, and the caller can end the wait.
func TestCallTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := make(places, 1)
		full <- struct{}{}
		c := newCallTime(t.Context(), 10*time.Second)
		defer c.over()
		time.Sleep(6 * time.Second)
		time.AfterFunc(time.Minute, func() { <-full })
		if err := c.wait(full); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-c.ctx.Done()
		if left := time.Since(began); left != 4*time.Second {
			t.Errorf("%v were left, want 4s", left)
		}
		if err := c.wait(full); err == nil {
			t.Error("waits though its time is over")
		}

		why := errors.New("the worker stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := newCallTime(ctx, 10*time.Second)
		defer stopped.over()
		time.AfterFunc(time.Minute, func() { cancel(why) })
		if err := stopped.wait(full); err == nil || context.Cause(stopped.ctx) != why {
			t.Errorf("got %v, cause %v", err, context.Cause(stopped.ctx))
		}
	})
}
