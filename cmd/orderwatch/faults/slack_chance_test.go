package faults_test

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
)

// A slackChance lets Slack's calls meet faults that a seed draws, until it is calm.
type slackChance struct {
	random *rand.Rand
	share  float64 // of the calls that go wrong
	calm   atomic.Bool
	odd    int // how many calls may not meet oddCode
}

// oddCode is one that nobody knows. A message that meets it twice goes elsewhere, so oddAfter calls lie between two that do.
const (
	oddCode  = "brand_new_error"
	oddAfter = 50
)

// postMishaps are what a post, an update or a step of an upload may meet: all that Slack's callers must
// take for perhaps posted, and all that is not accepted and may be tried again soon. What wants to be left
// alone for half a minute and more, and what ends with a message that is given up, is the model's.
var postMishaps = []slackemulator.Fault{
	slackemulator.AcceptAndDrop, slackemulator.AcceptAnd500, slackemulator.AcceptAndCut, slackemulator.AcceptAndHang,
	{Accept: true, Body: "{}"}, {Accept: true, Body: `{"ok":false}`}, {Accept: true, Body: "<html>one moment</html>"},
	{Accept: true, Body: `{"ok":false,"error":"internal_error"}`}, {Accept: true, Body: `{"ok":false,"error":"fatal_error"}`},
	{Accept: true, Delay: 400 * time.Millisecond, Drop: true}, {Linger: 2 * time.Second}, // taken, and answered too late
	{Drop: true}, {Delay: 2 * time.Second}, slackemulator.Unavailable, slackemulator.EmptyObject, slackemulator.HTMLPage,
	slackemulator.Refuse("service_unavailable"), slackemulator.Refuse("internal_error"), slackemulator.Refuse("request_timeout"),
	slackemulator.TooMany("1"), slackemulator.TooMany("2"),
	slackemulator.Refuse("token_revoked"), slackemulator.Refuse(oddCode),
}

// readMishaps are what every other call may meet.
var readMishaps = []slackemulator.Fault{
	{Drop: true}, {Delay: 2 * time.Second}, slackemulator.Unavailable, slackemulator.EmptyObject, {Body: `{"ok":false}`}, slackemulator.HTMLPage,
	{Body: `{"ok":true,"messages":[{"type":"mes`}, slackemulator.Refuse("internal_error"), slackemulator.TooMany("1"),
}

// fault is what a call meets.
func (c *slackChance) fault(method string) slackemulator.Fault {
	c.odd = max(0, c.odd-1)
	if c.calm.Load() || c.random.Float64() >= c.share {
		return slackemulator.Pass
	}
	mishaps := readMishaps
	switch method {
	case "chat.postMessage", "chat.update", "files.getUploadURLExternal", "files.completeUploadExternal", "upload":
		mishaps = postMishaps
	}
	fault := mishaps[c.random.IntN(len(mishaps))]
	if strings.Contains(fault.Body, oddCode) {
		if c.odd > 0 {
			return slackemulator.Unavailable
		}
		c.odd = oddAfter
	}
	return fault
}
