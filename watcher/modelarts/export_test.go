package modelarts

import (
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
)

// Known returns the order's last answer as it is kept; nil where it is not. It is another one where the answer was read anew.
func Known(c *Client, region string, order watcher.Order) *answer.Packed {
	c.known.mu.Lock()
	defer c.known.mu.Unlock()
	if a := c.known.orders[place{region, order}]; a != nil {
		return a.packed
	}
	return nil
}
