// Package watchertest builds completions and events for the tests of packages that read them. Each of its
// functions returns a new value, the same each time. Read completion.go, then attention.go, which builds on it.
// rounds.go says how often a test draws what happens.
package watchertest

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// When a watch was accepted, and its items began and ended.
var (
	Accepted = time.Date(2025, 4, 10, 11, 49, 50, 0, time.UTC)
	Began    = Accepted.Add(3 * time.Second)
	Ended    = Began.Add(686 * time.Second)
)

// Texts that hostile values hold.
const (
	Bidi      = "\u202Eevil\u202C"      // turns the direction of what follows
	OthersKey = "HPUAEXAMPLEACCESSKEY"  // somebody else's, in a cloud message: shown
	Secret    = "planted-secret-6b1f2c" // configured: never shown
)

// Completion returns a completion of an order with so many succeeded items and these failures.
func Completion(outcome watcher.Outcome, succeeded int, failures ...watcher.Failure) watcher.Completion {
	c := watcher.Completion{Outcome: outcome, CompletedAt: Ended.Add(5 * time.Second)}
	c.WatchID, c.Region = "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", "cn-north-4"
	c.ProjectID, c.OrderName = "6f5da086876d4cd084d36f8bd3346036", "order.pool-5ed5-w4l2n"
	c.AcceptedAt, c.Polls = Accepted, 19
	c.Requests = []watcher.Request{{
		ID: "build-771", RequestedBy: "gpu-pools", Link: "https://ci.example/job/771?a=1&b=2", ReceivedAt: Accepted, Deadline: Accepted.Add(2 * time.Hour),
		Labels: map[string]string{"env": "prod", "team": "training"},
	}}
	for i := range succeeded {
		c.Items = append(c.Items, Item(fmt.Sprintf("os-node-created-%05d", i), watcher.Succeed, i, ""))
	}
	for _, f := range failures {
		c.Counts.Failed += f.Count
		c.Failures = append(c.Failures, f)
		for i, name := range f.ResourceNames {
			c.Items = append(c.Items, Item(name, watcher.Failed, i, f.Message))
		}
	}
	c.Counts.Succeeded = succeeded
	c.Counts.Total = succeeded + c.Counts.Failed
	return c
}

// Item returns an item that began and ended near the order's times, at i's own seconds.
func Item(name string, status watcher.Status, i int, message string) watcher.Item {
	return watcher.Item{
		ResourceName: name, Action: "createNode", Status: status, Message: message,
		BeganAt: Began.Add(time.Duration(i%7) * time.Second), UpdatedAt: Ended.Add(-time.Duration(i%11) * time.Second),
	}
}

// Failure returns a failure of so many items.
func Failure(message, action string, count int) watcher.Failure {
	f := watcher.Failure{Message: message, Action: action, Count: count}
	for i := range count {
		f.ResourceNames = append(f.ResourceNames, fmt.Sprintf("os-node-created-f%04d", i))
	}
	return f
}

// Distinct returns n failures whose long messages all differ.
func Distinct(n int) []watcher.Failure {
	var all []watcher.Failure
	for i := range n {
		f := Failure(fmt.Sprintf("create server %08x-9bb1-4d2a-8a3f-%012x in az%d failed at 2025-04-10T11:%02d:%02dZ after %d retries: %sno valid host was found, there are not enough hosts available",
			i*7919, i*104729, i%3, i/60%60, i%60, i%9, strings.Repeat("scheduler reported a fault; ", 30)), "createNode", 1)
		f.ResourceNames[0] = fmt.Sprintf("os-node-created-x%04d", i)
		all = append(all, f)
	}
	return all
}

// Many returns n failures of n different kinds.
func Many(n int) []watcher.Failure {
	var all []watcher.Failure
	for i := range n {
		f := Failure("cause "+strings.Repeat(string(rune('a'+i%26)), i/26+2)+" stopped the node", "createNode", 3)
		for j := range f.ResourceNames {
			f.ResourceNames[j] = fmt.Sprintf("os-node-created-%03d-%d", i, j)
		}
		all = append(all, f)
	}
	return all
}

// ManyFailures is the failure of so many items for so many causes that no thread names them all.
func ManyFailures(items, causes int) watcher.Completion {
	var failures []watcher.Failure
	for i := range causes {
		f := watcher.Failure{Message: fmt.Sprintf("cause %s stopped the node", strings.Repeat(string(rune('a'+i%26)), i/26+2)), Action: "createNode"}
		for j := i; j < items; j += causes {
			f.ResourceNames = append(f.ResourceNames, fmt.Sprintf("os-node-created-%05d", j))
		}
		f.Count = len(f.ResourceNames)
		failures = append(failures, f)
	}
	return Completion(watcher.AllFailed, 0, failures...)
}

// Hostile returns a completion whose every text tries to do harm.
func Hostile() watcher.Completion {
	c := Completion(watcher.AllFailed, 0,
		Failure("<!channel> ```rm -rf``` "+Bidi+" \x1b[31mred\x1b[0m <https://evil.example|click> & \x00nul, key "+OthersKey+" and "+Secret, "create<Node>", 2),
		Failure(strings.Repeat("A very long cause. ", 5000)+"the cause is at the end "+Secret+" \xff\xfe", "createNode`", 1),
		Failure("line one\r\nline two\nline three", "createPool", 1))
	c.Requests[0] = watcher.Request{
		ID: "`id` <!here>", RequestedBy: "<@U0VICTIM> *bold* \n> quote", Link: "https://ci.example/<!channel>|x?a=1&b=2",
		Labels: map[string]string{"<!everyone>": "a & b", "note": Bidi},
	}
	c.Requests = append(c.Requests,
		watcher.Request{ID: "js", RequestedBy: "b", Link: "javascript:alert(1)"},
		watcher.Request{ID: "long", RequestedBy: Secret, Link: "https://ci.example/" + strings.Repeat("&", 1900)})
	return c
}
