package faults_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestCrashWhereOthersGoOn kills the only worker at each step of a watch that ends for one request, whose deadline has
// passed, and goes on for the others. Which of the records it is at which it dies is a little left to chance.
func TestCrashWhereOthersGoOn(t *testing.T) {
	t.Parallel()
	n := rig.StartNATS(t, "")
	program := rig.Build(t, rig.Worker, "faults")
	for i, point := range []string{
		"ending.stored", "completion.stored",
		"watching.stored:3", "watching.stored:4", "watching.stored:5", "wakeup.stored:2", "wakeup.stored:3", "wakeup.stored:4",
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			c := crash{point: point}
			s := newScene(t, n, program, fmt.Sprintf("part-%d", i), c)
			s.terms, s.timing = map[string]string{"a": `,"timeout":"1s"`}, `{"AckWait": "3s"}`
			victim, _ := s.strike(t, c, "kill")
			<-victim.Done
			s.publish(t, "c")
			s.start(t)
			rig.Eventually(t, rig.Patience, func() error {
				if _, ok := s.completions(t)["a"]; !ok {
					return errors.New("a is not answered")
				}
				return s.named(t, "b", "c")
			})
			s.cloud.Add(rig.Project, crashOrder, ended)
			s.awaitFinished(t)
			got := s.completions(t)
			for id, want := range map[string]string{"a": "timed_out", "b": "partially_failed", "c": "partially_failed"} {
				if strings.Join(got[id], " ") != want {
					t.Errorf("%s is answered with %q; want %s once", id, got[id], want)
				}
			}
		})
	}
}

// completions returns the outcomes of the completions that name a request, by its id.
func (s *scene) completions(t *testing.T) map[string][]string {
	t.Helper()
	outcomes := make(map[string][]string)
	for _, m := range wholeStream(t, s.nats.JS, s.stream("EVENTS"), s.prefix+".completed.>") {
		c, err := wire.Decode[watcher.Completion](m.body)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range c.Requests {
			outcomes[r.ID] = append(outcomes[r.ID], string(c.Outcome))
		}
	}
	return outcomes
}
