package modelarts

import (
	"cmp"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// Timing holds the durations that the contract does not name.
type Timing struct {
	// How long holds take at first and at most, where the API does not ask for more. They grow with each
	// call that finds that the hold stands, also where the API says how long it wants to be left alone.
	Throttled   watcher.Backoff
	Login       watcher.Backoff
	Permission  watcher.Backoff
	Arrears     watcher.Backoff
	Unreachable watcher.Backoff

	KeyHold time.Duration // a hold for a wrong or locked login takes so long at least: more than five failures lock a key for 5 min

	ProbeGrace time.Duration // how much longer than two calls may take the worker is waited for that finds out whether a hold stands
	ProbePause time.Duration // how long others wait while a call shows whether a hold is over
	LoginPause time.Duration // how long the others wait while one call shows whether a login is good
	SlotGrace  time.Duration // how late who was handed a slot may come
	Recently   time.Duration // an account that was answered so lately is not held because another order is forbidden

	// FirstAnswer is how long calls must have failed, although there was a connection, before an account
	// is held as unreachable of which no order was ever answered: a good one may not have been asked yet.
	FirstAnswer time.Duration
}

// DefaultTiming returns the durations of production.
func DefaultTiming() Timing {
	growing := func(initial, most time.Duration) watcher.Backoff {
		return watcher.Backoff{Initial: initial, Multiplier: 2, Max: most, Jitter: 0.1}
	}
	return Timing{
		Throttled:   growing(15*time.Second, 2*time.Minute),
		Login:       growing(time.Minute, 5*time.Minute),
		Permission:  growing(time.Minute, 10*time.Minute),
		Arrears:     growing(time.Minute, 10*time.Minute),
		Unreachable: growing(5*time.Second, 30*time.Second),
		KeyHold:     5 * time.Minute,
		ProbePause:  2 * time.Second,
		ProbeGrace:  5 * time.Second,
		LoginPause:  500 * time.Millisecond,
		SlotGrace:   10 * time.Second,
		Recently:    time.Minute,
		FirstAnswer: 10 * time.Second,
	}
}

func (t Timing) hold(kind watcher.HoldKind) watcher.Backoff {
	return cmp.Or(map[watcher.HoldKind]watcher.Backoff{
		watcher.HeldThrottled:  t.Throttled,
		watcher.HeldLogin:      t.Login,
		watcher.HeldPermission: t.Permission,
		watcher.HeldArrears:    t.Arrears,
	}[kind], t.Unreachable)
}
