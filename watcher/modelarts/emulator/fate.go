package emulator

import (
	"fmt"
	"strings"
	"time"
)

// Sample returns the script of a fate: succeed, partial, fail, never, slow, late, empty or missing.
// The package comment says what each does. The clock of all starts at the first poll.
func Sample(fate string) (Order, bool) {
	o := Order{FromFirstPoll: true, Items: pool(5*time.Second, 20*time.Second)}
	switch fate {
	case "succeed":
	case "partial":
		o.Items[1].Status, o.Items[1].Message = "failed", "flavor sold out"
	case "fail":
		for n := range o.Items {
			o.Items[n].Status, o.Items[n].Message = "failed", "quota exceeded"
		}
	case "never":
		o.Items[1].EndAfter = Never
	case "slow": // the times of the published example
		o.Items = pool(435*time.Second, 686*time.Second)
	case "late":
		o.Items = pool(15*time.Second, 30*time.Second)
		o.NotFoundFor = 10 * time.Second
	case "empty":
		o.Items = nil
	case "missing":
		o.Items, o.NotFoundFor = nil, Never
	default:
		return Order{}, false
	}
	return o, true
}

// pool is an order for a new pool of three nodes.
func pool(nodes, end time.Duration) []Item {
	items := []Item{{ResourceName: "pool-1", Action: "createPool", EndAfter: end}}
	for n := range 3 {
		items = append(items, Item{ResourceName: fmt.Sprintf("os-node-created-%d", n+1), AppearAfter: nodes, EndAfter: end})
	}
	return items
}

// fate returns FATE of an order's name order.FATE-anything, "" where it has none.
func fate(name string) string {
	rest, ours := strings.CutPrefix(name, "order.")
	word, _, dashed := strings.Cut(rest, "-")
	if !ours || !dashed {
		return ""
	}
	return word
}
