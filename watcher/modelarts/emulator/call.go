package emulator

import "time"

// A Call is one call of ShowOrder.
type Call struct {
	Time    time.Time `json:"time"`
	Region  string    `json:"region,omitzero"` // where the path begins with it
	Project string    `json:"project"`
	Order   string    `json:"order"`
	Poll    int       `json:"poll"`   // which call of the order, from 1
	Status  int       `json:"status"` // what was answered; 0 where the answer was cut or never came
}

// A callLog keeps the last calls in a ring.
type callLog struct {
	limit int
	calls []Call
	next  int // where the next call goes, once the ring is full
	total int // calls so far
}

func (l *callLog) add(c Call) {
	l.total++
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
