package faults_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A fieldCase is a case from the field: what ModelArts answers, poll by poll, the last for ever; and what
// people and programs are to be told.
type fieldCase struct {
	name    string
	answers []emulator.Fault
	timeout string // of the request; empty: an hour

	outcome watcher.Outcome // empty: it goes on
	counts  watcher.Counts
	code    string                // of the completion's error
	event   []string              // parts of the completion's JSON, or of what get shows where it goes on
	not     []string              // what none of these says
	slack   []string              // parts of what Slack shows
	told    watcher.AttentionKind // that people hear of while it goes on
}

func shows(items ...string) emulator.Fault {
	return emulator.Fault{Body: fmt.Sprintf(`{"count":%d,"items":[%s]}`, len(items), strings.Join(items, ","))}
}

func body(text string) emulator.Fault { return emulator.Fault{Body: text} }

func item(name, status string, more ...string) string {
	action := "createNode"
	if a, n, ok := strings.Cut(name, " "); ok {
		action, name = a, n
	}
	return fmt.Sprintf(`{"resourceName":%q,"action":%q,"status":%q%s}`, name, action, status, strings.Join(more, ""))
}

var unknownOrder = emulator.Fault{Status: http.StatusNotFound, Code: "ModelArts.50015001", Message: "Order not found."}

const byteOrderMark = "\xef\xbb\xbf"

// fieldCases are those of one order that need no login of their own. The names begin as they are known.
var fieldCases = []fieldCase{
	{name: "C3 an answer that cannot be decoded", answers: []emulator.Fault{shows(item("a", "succeed"), item("b", "processing")), body(`{"count":2,"items":[{"status":`)},
		told: watcher.Blind, event: []string{`"last_error"`, `"processing":1`}, not: []string{"DNS", "firewall", "unreachable"}, slack: []string{"cannot be read", "Other orders are asked as before"}},
	{name: "C4 a failed item that vanishes", answers: []emulator.Fault{
		shows(item("a", "succeed"), item("b", "processing"), item("c", "processing")),
		shows(item("a", "succeed"), item("b", "failed", `,"message":"flavor sold out"`), item("c", "processing")),
		shows(item("a", "succeed"), item("c", "processing")), shows(item("a", "succeed"), item("c", "succeed"))},
		outcome: watcher.PartiallyFailed, counts: watcher.Counts{Total: 3, Succeeded: 2, Failed: 1, Missing: 1},
		event: []string{`"reason":"1 of 3 nodes failed (no longer listed)"`, "missing_since", "flavor sold out"}, slack: []string{"1 of 3 nodes", "flavor sold out"}},
	{name: "C5 a list that shrinks", answers: []emulator.Fault{shows(item("a", "succeed"), item("b", "processing"), item("c", "processing"), item("d", "processing")), shows(item("a", "succeed"))},
		timeout: "15s", outcome: watcher.TimedOut, counts: watcher.Counts{Total: 4, Succeeded: 1, Processing: 3, Missing: 3},
		event: []string{"3 no longer listed: createNode b, last seen processing, missing since 2"}, told: watcher.Vanished, slack: []string{"no longer listed"}},
	{name: "C6 an error with 200", answers: []emulator.Fault{shows(item("a", "processing")), body(`{"error_code":"ModelArts.50005000","error_msg":"Internal server error"}`)},
		timeout: "3s", outcome: watcher.TimedOut, counts: watcher.Counts{Total: 1, Processing: 1}, code: "ModelArts.50005000",
		event: []string{"Internal server error", `"resource_name":"a"`}, not: []string{"no item ever appeared"}},
	{name: "C7 not found with 200", answers: []emulator.Fault{body(`{"error_code":"ModelArts.50015001","error_msg":"Order order.x not found."}`)},
		outcome: watcher.OrderNotFound, code: "ModelArts.50015001", slack: []string{"NOT FOUND", "does not know it"}},
	{name: "C8 no order: a firewall's JSON", answers: []emulator.Fault{body(`{"code":"WAF.403","message":"blocked by policy 7"}`)},
		told: watcher.Blind, event: []string{"WAF.403", "blocked by policy 7"}, slack: []string{"WAF.403"}},
	{name: "C8 no order: an empty object, and it passes", answers: []emulator.Fault{shows(item("a", "processing")), body(`{}`), body(`{}`), shows(item("a", "succeed"))},
		outcome: watcher.Succeeded, counts: watcher.Counts{Total: 1, Succeeded: 1}},
	{name: "C9 a list that becomes empty", answers: []emulator.Fault{shows(item("a", "succeed"), item("b", "succeed")), shows()},
		outcome: watcher.Succeeded, counts: watcher.Counts{Total: 2, Succeeded: 2, Missing: 2}, event: []string{"2 of 2 nodes succeeded (no longer listed; ModelArts lists none since 2"}},
	{name: "C10 had looked ended, then not found", answers: []emulator.Fault{shows(item("a", "succeed")), unknownOrder},
		outcome: watcher.Succeeded, counts: watcher.Counts{Total: 1, Succeeded: 1, Missing: 1}, not: []string{"billing"}, slack: []string{"DONE - 1 node created"}},
	{name: "C11 a pool is deleted, and its order with it", answers: []emulator.Fault{shows(item("deletePool a", "processing")), unknownOrder},
		outcome: watcher.Succeeded, counts: watcher.Counts{Total: 1, Succeeded: 1, Missing: 1}, event: []string{"taken for deleted", `"taken_for":"deleted"`}, not: []string{"billing"}, slack: []string{"taken for deleted"}},
	{name: "C11a seen open, and then not found", answers: []emulator.Fault{shows(item("a", "succeed"), item("b", "processing")), unknownOrder},
		outcome: watcher.OrderNotFound, counts: watcher.Counts{Total: 2, Succeeded: 1, Processing: 1, Missing: 2}, code: "ModelArts.50015001",
		event: []string{"the order was seen until 2", "and is gone since 2"}, not: []string{"billing"}},
	{name: "C14 a message of another type", answers: []emulator.Fault{shows(item("a", "failed", `,"message":{"en":"flavor sold out"}`))},
		outcome: watcher.AllFailed, counts: watcher.Counts{Total: 1, Failed: 1}, event: []string{`{\"en\":\"flavor sold out\"}`}, slack: []string{`{"en":"flavor sold out"}`}},
	{name: "C15 statuses in capitals", answers: []emulator.Fault{shows(item("a", "SUCCEED"), item("b", " Failed "))},
		outcome: watcher.PartiallyFailed, counts: watcher.Counts{Total: 2, Succeeded: 1, Failed: 1}},
	{name: "C16 a status that is not documented", answers: []emulator.Fault{shows(item("a", "canceled", `,"message":"order was unsubscribed"`))},
		told: watcher.UnknownStatus, event: []string{"canceled", "order was unsubscribed"}, slack: []string{"canceled", "order was unsubscribed"}},
	{name: "C16a the same at its deadline", answers: []emulator.Fault{shows(item("a", "canceled", `,"message":"order was unsubscribed"`))},
		timeout: "3s", outcome: watcher.TimedOut, counts: watcher.Counts{Total: 1, Processing: 1}, event: []string{`has the status \"canceled\" (order was unsubscribed)`}, slack: []string{"canceled"}},
	{name: "C18 a byte-order mark", answers: []emulator.Fault{body(byteOrderMark + `{"count":1,"items":[` + item("a", "succeed") + `]}`)},
		outcome: watcher.Succeeded, counts: watcher.Counts{Total: 1, Succeeded: 1}},
	{name: "C18 a byte-order mark before a 404", answers: []emulator.Fault{{Status: http.StatusNotFound, Body: byteOrderMark + `{"error_code":"ModelArts.50015001","error_msg":"Order not found."}`}},
		outcome: watcher.OrderNotFound, code: "ModelArts.50015001"},
	{name: "C19 times in seconds", answers: []emulator.Fault{shows(item("a", "failed", `,"beginTimestamp":1744285793,"updateTimestamp":1744285999`))},
		outcome: watcher.AllFailed, counts: watcher.Counts{Total: 1, Failed: 1}, not: []string{"1970-"}},
}

// TestFieldCases lets serve watch an order of each case, and reads what users see of it: the
// completion event, get, and Slack.
func TestFieldCases(t *testing.T) {
	t.Parallel()
	cloud := emulator.New(emulator.Options{})
	for i, c := range fieldCases {
		for n := range c.answers {
			c.answers[n].FromPoll, c.answers[n].ToPoll = n+1, n+1
		}
		c.answers[len(c.answers)-1].ToPoll = 0
		cloud.Add(rig.Project, orderName(i), emulator.Order{Faults: c.answers})
	}
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	s := startAccount(t, modelArts.URL, cloud, 1, 60, "ORDERWATCH_MODELARTS_NOT_FOUND_GRACE=2s", "ORDERWATCH_MODELARTS_PROJECT_ID="+rig.Project)
	for i, c := range fieldCases {
		timeout := c.timeout
		if timeout == "" {
			timeout = "1h"
		}
		s.ask(i, 1, `,"timeout":"`+timeout+`"`)
	}
	for i, c := range fieldCases {
		t.Run(c.name, func(t *testing.T) { s.checkCase(t, orderName(i), c) })
	}
	if n := s.attention("unreachable"); n != 0 {
		t.Errorf("%d events say that ModelArts cannot be reached", n)
	}
}

// TestFieldLogins lets serve log in with a password: a token that is refused is renewed, whatever the words
// (C12); a login that stays refused is told in its own words (C13), and a watch that ends meanwhile says
// the API's code and for what the account is held (C22).
func TestFieldLogins(t *testing.T) {
	t.Parallel()
	user := emulator.User{Domain: "acme", Name: "watcher", Password: "planted-password"}
	cloud := emulator.New(emulator.Options{Users: []emulator.User{user}})
	refused := emulator.Fault{Status: http.StatusUnauthorized, Shape: emulator.NestedInt, Message: "The request you have made requires authentication.", ToPoll: 1}
	locked := emulator.Fault{Status: http.StatusUnauthorized, Code: "APIG.0301", Message: "AK access failed to reach the limit,forbidden."}
	cloud.Add(rig.Project, orderName(0), emulator.Order{Faults: []emulator.Fault{refused}, Items: []emulator.Item{{ResourceName: "node-0"}}})
	cloud.Add(rig.Project, orderName(1), emulator.Order{Faults: []emulator.Fault{locked}})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	s := startAccount(t, modelArts.URL, cloud, 1, 60, "ORDERWATCH_MODELARTS_TOKEN=", "ORDERWATCH_MODELARTS_IAM_ENDPOINT="+modelArts.URL,
		"ORDERWATCH_MODELARTS_USER="+user.Name, "ORDERWATCH_MODELARTS_PASSWORD="+user.Password, "ORDERWATCH_MODELARTS_DOMAIN="+user.Domain)
	s.ask(0, 1, "")
	s.awaitCompleted(1)
	if c := s.completions()[orderName(0)]; c.Outcome != watcher.Succeeded || cloud.Logins() != 2 {
		t.Errorf("%s after %d logins: %s", c.Outcome, cloud.Logins(), c.Reason)
	}
	s.ask(1, 1, `,"timeout":"8s"`)
	s.awaitCompleted(2)
	c := s.completions()[orderName(1)]
	if e := c.Error; c.Outcome != watcher.TimedOut || e == nil || e.Code != "APIG.0301" || e.Held != watcher.HeldLogin {
		t.Errorf("%s, %+v: %s", c.Outcome, c.Error, c.Reason)
	}
	rig.Eventually(t, rig.Patience, func() error {
		var shown strings.Builder
		for _, m := range s.slack.Messages("C0ONCALL") {
			shown.WriteString(slackemulator.Render(m) + m.Text)
		}
		if !strings.Contains(shown.String(), "refuses orderwatch's login") || !strings.Contains(shown.String(), "password") {
			return fmt.Errorf("nobody was told of the password: %s", shown.String())
		}
		if said := shown.String() + c.Reason; strings.Contains(said, "access key") {
			t.Fatalf("no access key is configured: %s", said)
		}
		return nil
	})
}

func (s *accountScene) checkCase(t *testing.T, order string, c fieldCase) {
	env := []string{"ORDERWATCH_NATS_URL=" + s.nats, "ORDERWATCH_MODELARTS_PROJECT_ID=" + rig.Project}
	var said strings.Builder
	if c.told != "" {
		subject := fmt.Sprintf("orders.attention.%s.%s.%s", c.told, rig.Project, order)
		rig.Eventually(t, rig.Patience, func() error { return s.find(t, subject, &said) })
	}
	if c.outcome != "" {
		subject := fmt.Sprintf("orders.completed.*.%s.%s", rig.Project, order)
		rig.Eventually(t, rig.Patience, func() error { return s.find(t, subject, &said) })
		var event struct{ Data watcher.Completion }
		text := said.String()
		if err := json.Unmarshal([]byte(text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]), &event); err != nil {
			t.Fatal(err)
		}
		code := ""
		if event.Data.Error != nil {
			code = event.Data.Error.Code
		}
		if event.Data.Outcome != c.outcome || event.Data.Counts != c.counts || code != c.code {
			t.Errorf("%s, %+v, code %q: %s\nwant %s, %+v, code %q", event.Data.Outcome, event.Data.Counts, code, event.Data.Reason, c.outcome, c.counts, c.code)
		}
	}
	got := rig.CarryOut(t, env, "get", "-o", "json", order)
	said.WriteString(got.Out)
	if c.outcome == "" && !strings.Contains(got.Out, `"state":"watching"`) {
		t.Errorf("it does not go on: %s", got.Out)
	}
	for _, part := range c.event {
		if !strings.Contains(said.String(), part) {
			t.Errorf("no %q in %s", part, said.String())
		}
	}
	page := rig.CarryOut(t, env, "get", order)
	rig.Eventually(t, rig.Patience, func() error {
		var shown strings.Builder
		for _, m := range s.slack.Messages("C0ONCALL") {
			if text := slackemulator.Render(m) + m.Text; strings.Contains(text, order) {
				shown.WriteString(text)
			}
		}
		if shown.Len() == 0 {
			return fmt.Errorf("nothing in Slack of %s", order)
		}
		for _, part := range c.slack {
			if !strings.Contains(shown.String(), part) {
				return fmt.Errorf("no %q in %s", part, shown.String())
			}
		}
		for _, part := range c.not {
			if strings.Contains(said.String()+page.Out+shown.String(), part) {
				t.Fatalf("%q in %s%s%s", part, said.String(), page.Out, shown.String())
			}
		}
		return nil
	})
}

// find adds the last event on the subject to what was said.
func (s *accountScene) find(t *testing.T, subject string, said *strings.Builder) error {
	events, err := s.js.Stream(t.Context(), "ORDER_EVENTS")
	if err != nil {
		return err
	}
	if _, err := events.GetLastMsgForSubject(t.Context(), subject); err != nil { // each reading leaves a consumer
		return fmt.Errorf("%s: %w", subject, err)
	}
	var last string
	rig.Stored(t, s.js, "ORDER_EVENTS", subject, func(m jetstream.Msg) { last = string(m.Data()) })
	if last == "" {
		return fmt.Errorf("nothing on %s", subject)
	}
	said.WriteString(last + "\n")
	return nil
}
