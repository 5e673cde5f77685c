package link_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/link"
)

// TestCallsEndWithTheirConnection lets the server go while it owes an answer, and come again. The call ends at once; those
// that begin while it is away wait for it, and the server gets none that was given up.
func TestCallsEndWithTheirConnection(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	port := s.Addr().(*net.TCPAddr).Port
	nc, _ := eventstest.Connect(t, s)
	calls := link.NewCalls(nc)
	asked := make(chan string, 10)
	if _, err := nc.Subscribe("ask", func(m *nats.Msg) { // it answers the last question alone
		if asked <- string(m.Data); string(m.Data) == "waited" {
			m.Respond(m.Data)
		}
	}); err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context, limit time.Duration, question string) error {
		return calls.Make(ctx, limit, func(ctx context.Context) error {
			_, err := nc.RequestWithContext(ctx, "ask", []byte(question))
			return err
		})
	}

	cancelled, cancel := context.WithCancel(t.Context())
	lost, left := make(chan error, 1), make(chan error, 1)
	go func() { lost <- ask(t.Context(), time.Hour, "lost") }()
	go func() { left <- ask(cancelled, time.Hour, "left") }()
	for range 2 {
		<-asked
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("a call whose context ended: %v", err)
	}
	if err := ask(t.Context(), time.Millisecond, "slow"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that got no answer in time: %v", err)
	}
	s.Shutdown()
	s.WaitForShutdown()
	if err := <-lost; !errors.Is(err, link.ErrNotConnected) {
		t.Errorf("a call whose connection was lost: %v", err)
	}

	if err := ask(t.Context(), time.Millisecond, "given up"); !errors.Is(err, link.ErrNotConnected) {
		t.Errorf("a call without a connection: %v", err)
	}
	if err := ask(cancelled, time.Hour, "given up"); !errors.Is(err, context.Canceled) {
		t.Errorf("a call without a connection, whose context had ended: %v", err)
	}
	waited, rested := make(chan error, 1), make(chan bool, 1)
	go func() { waited <- ask(t.Context(), time.Hour, "waited") }()
	go func() { rested <- calls.Rest(t.Context(), time.Hour) }()
	eventstest.Server(t, server.Options{Port: port})
	if err := <-waited; err != nil {
		t.Errorf("a call that waited for the connection: %v", err)
	}
	if !<-rested {
		t.Error("a rest without a connection was interrupted")
	}
	for len(asked) > 0 {
		if question := <-asked; question != "slow" && question != "waited" {
			t.Errorf("the server got the question %q", question)
		}
	}

	nc.Close()
	eventstest.Eventually(t, func() error {
		if err := ask(t.Context(), time.Millisecond, "closed"); !errors.Is(err, nats.ErrConnectionClosed) {
			return fmt.Errorf("a call when the connection was closed: %w", err)
		}
		return nil
	})
}

// TestWaitTakesNothingFromTheCall lets the server come back late: the call that waited for it has its whole limit for the answer.
func TestWaitTakesNothingFromTheCall(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	port := s.Addr().(*net.TCPAddr).Port
	nc, _ := eventstest.Connect(t, s)
	calls := link.NewCalls(nc)
	s.Shutdown()
	s.WaitForShutdown()
	eventstest.Eventually(t, func() error {
		err := calls.Make(t.Context(), 50*time.Millisecond, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, link.ErrNotConnected) {
			return fmt.Errorf("the connection is not seen to be lost: %w", err)
		}
		return nil
	})
	const limit = time.Hour
	var waited, left time.Duration
	done := make(chan error, 1)
	begin := time.Now()
	go func() {
		done <- calls.Make(t.Context(), limit, func(ctx context.Context) error {
			until, ok := ctx.Deadline()
			if !ok {
				return errors.New("the call has no limit")
			}
			left, waited = time.Until(until), time.Since(begin)
			return nil
		})
	}()
	time.Sleep(200 * time.Millisecond) // the wait for the connection is at least so long
	eventstest.Server(t, server.Options{Port: port})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if left <= limit-waited+100*time.Millisecond {
		t.Errorf("after a wait of %s the call has %s of %s", waited, left, limit)
	}
}
