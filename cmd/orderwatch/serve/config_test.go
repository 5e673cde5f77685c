package serve

import (
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
)

// TestLateByUsualIsHandedOn holds that the worker's policy has the switch as it is set.
func TestLateByUsualIsHandedOn(t *testing.T) {
	for _, on := range []bool{true, false} {
		c := config.Default()
		if !c.Watch.LateByUsual {
			t.Error("by default no order is late by what is usual")
		}
		c.ModelArts.Regions, c.Watch.LateByUsual = []string{"cn-north-4"}, on
		if got := workerConfig(c, DefaultTiming()).Policy.LateByUsual; got != on {
			t.Errorf("set to %t the policy has %t", on, got)
		}
	}
}
