package screens

import (
	"io"

	"github.com/orderwatch/orderwatch/watcher"
)

// An OrderView is one order.
type OrderView struct {
	Common
	Snapshot watcher.Snapshot
}

var order = screen("order.html")

// Order writes the screen of an order.
func Order(w io.Writer, v OrderView) error { return write(w, order, v) }

// OrderBody returns its fragments.
func OrderBody(v OrderView) ([]Fragment, error) { return fragments(order, v, "order") }
