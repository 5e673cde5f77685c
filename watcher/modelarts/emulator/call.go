package emulator

import "time"

// A Call is one call of ShowOrder.
type Call struct {
	Time    time.Time
	Project string
	Order   string
	Poll    int // which call of the order, from 1
	Status  int // what was answered; 0 where the answer was cut or never came
}

// A callLog keeps the last calls in a ring.
type callLog struct {
	limit int
	calls []Call
	next  int // where the next call goes, once the ring is full
}

func (l *callLog) add(c Call) {
	if len(l.calls) < l.limit {
		l.calls = append(l.calls, c)
		return
	}
	l.calls[l.next] = c
	l.next = (l.next + 1) % l.limit
}

// list returns the calls, oldest first.
func (l *callLog) list() []Call {
	return append(append([]Call(nil), l.calls[l.next:]...), l.calls[:l.next]...)
}
