package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestBurst lets 60 watches fail at once, each for a cause of its own. Their messages come one a second, and next to no second
// is left unused, however many workers share the channel: whichever of them has a message, none waits for one that
// another worker has.
func TestBurst(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2, 3, 6} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { burst(t, workers) })
		})
	}
}

func burst(t *testing.T, workers int) {
	const (
		watches = 60
		each    = 4 // messages that a worker has in hand at a time
		answer  = 20 * time.Millisecond
		apart   = time.Second + answer + 50*time.Millisecond // two messages, at the least
	)
	s, kept, random := &burstSlack{answer: answer}, &notes{}, rand.New(rand.NewPCG(1, uint64(workers)))
	type worker struct {
		*outbox.Outbox
		slots chan struct{}
	}
	var all []worker
	for range workers {
		o, err := outbox.New(slog.New(slog.DiscardHandler), outbox.Config{
			Slack: s, Channel: "C0ONCALL", Mention: "here", Notes: kept, Workers: func() int { return workers },
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, worker{o, make(chan struct{}, each)})
	}
	var mu sync.Mutex // guards random
	anyWorker := func() worker {
		mu.Lock()
		defer mu.Unlock()
		return all[random.IntN(workers)]
	}
	var events sync.WaitGroup
	for i := range watches {
		c := order(watcher.AllFailed, 0, failure("flavor sold out in "+strings.Repeat("z", i+1), "createNode", 3))
		c.WatchID, c.OrderName, c.CompletedAt = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i), time.Now().Add(time.Duration(i)*time.Millisecond)
		events.Go(func() {
			for {
				w := anyWorker()
				w.slots <- struct{}{}
				err := w.Notify(t.Context(), c)
				<-w.slots
				retry, ok := errors.AsType[*watcher.RetryError](err)
				if !ok {
					return
				}
				time.Sleep(retry.After)
			}
		})
	}
	events.Wait()
	span, longest := s.posted[watches-1].Sub(s.posted[0]), time.Duration(0)
	for i := range watches - 1 {
		longest = max(longest, s.posted[i+1].Sub(s.posted[i]))
	}
	t.Logf("%d failures are told in %s, at most %s apart", watches, span, longest)
	if most := (watches - 1) * apart * 5 / 4; span > most {
		t.Errorf("they are told in %s; want %s at most", span, most)
	}
}

// A burstSlack is a Slack without a network, which takes its time to answer.
type burstSlack struct {
	outbox.Workspace // of which nothing else is called
	answer           time.Duration
	mu               sync.Mutex
	posted           []time.Time
}

func (s *burstSlack) Post(_ context.Context, p slack.Post) (string, error) {
	time.Sleep(s.answer)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posted = append(s.posted, time.Now())
	return fmt.Sprintf("%d.%06d", time.Now().Unix(), len(s.posted)), nil
}
