package main_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

func TestLook(t *testing.T) {
	env := []string{"TERM=xterm", "ORDERWATCH_NATS_URL=" + os.Getenv("LOOK_URL")}
	for _, size := range [][2]int{{80, 24}, {90, 12}, {120, 40}} {
		for _, args := range strings.Split(os.Getenv("LOOK"), ";") {
			p := onTerminal(t, rig.Build(t, rig.Worker), env, size[0], size[1], strings.Fields(args)...)
			select {
			case <-p.Done:
			case <-time.After(5 * time.Second):
			}
			seen(p.Text(), size[0], size[1]).log(t, args)
			p.Kill()
		}
	}
}
