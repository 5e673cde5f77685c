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

// A callLog keeps the last calls, oldest first.
type callLog struct {
	limit int
	calls []Call
	total int // calls so far
}

func (l *callLog) add(c Call) {
	l.total++
	l.calls = append(l.calls, c)
	l.calls = l.calls[max(0, len(l.calls)-l.limit):]
}
