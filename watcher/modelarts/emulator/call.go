package emulator

import "time"

// A Kind is what a call asks for.
type Kind string

// The kinds of calls.
const (
	ShowOrder  Kind = "order" // one order
	ListOrders Kind = "list"  // the orders of a project
)

// A Call is one call of ShowOrder or ListOrders.
type Call struct {
	Time    time.Time `json:"time"`
	Kind    Kind      `json:"kind"`
	Region  string    `json:"region,omitzero"` // where the path begins with it
	Project string    `json:"project"`
	Order   string    `json:"order,omitzero"` // empty: a list
	Poll    int       `json:"poll"`           // which call of the order, or for the project's list, from 1
	Status  int       `json:"status"`         // what was answered; 0 where the answer was cut or never came
}

// A callLog keeps the last calls, oldest first.
type callLog struct {
	limit int
	calls []Call
	total map[Kind]int // calls so far
}

func (l *callLog) add(c Call) {
	l.total[c.Kind]++
	l.calls = append(l.calls, c)
	l.calls = l.calls[max(0, len(l.calls)-l.limit):]
}
