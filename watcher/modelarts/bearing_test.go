package modelarts_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

// badly adds an order that meets the fault at each poll, and returns its name.
func (f *fleet) badly(name string, fault emulator.Fault) string {
	f.cloud.Add(project, name, emulator.Order{Faults: []emulator.Fault{fault}})
	return name
}

// fail asks for the order, which must fail, and returns the error.
func (f *fleet) fail(c *modelarts.Client, name string) *answer.Error {
	f.t.Helper()
	_, err := c.Show(f.t.Context(), region, order(name))
	e, ok := errors.AsType[*answer.Error](err)
	if !ok {
		f.t.Fatalf("%s: %v", name, err)
	}
	return e
}

// calls returns how often the order was asked for.
func (f *fleet) asked(name string) (n int) {
	for _, c := range f.cloud.Calls() {
		if c.Order == name {
			n++
		}
	}
	return n
}

// troubles are what may be wrong with one order alone.
var troubles = map[string]emulator.Fault{
	"400 with another code (C1)": {Status: 400, Code: "ModelArts.50014001", Message: "no"},
	"400 as HTML":                {Status: 400, Shape: emulator.HTML},
	"404 with another code":      {Status: 404, Code: "APIG.0101", Message: "The API does not exist"},
	"404 as HTML":                {Status: 404, Shape: emulator.HTML},
	"410":                        {Status: 410, Shape: emulator.Empty},
	"410 with a code":            {Status: 410, Code: "ModelArts.5001", Message: "gone"},
	"408":                        {Status: 408, Shape: emulator.Empty},
	"409 with a code":            {Status: 409, Code: "ModelArts.5002", Message: "conflict"},
	"500 (C2)":                   {Status: 500, Code: "ModelArts.50005000", Message: "Internal error."},
	"500 as HTML":                {Status: 500, Shape: emulator.HTML},
	"502 of a proxy":             {Status: 502, Shape: emulator.HTML},
	"503 of a proxy":             {Status: 503, Shape: emulator.Empty},
	"504 of a proxy":             {Status: 504, Shape: emulator.HTML},
	"407 of a proxy":             {Status: 407, Shape: emulator.HTML},
	"cut":                        {Cut: true},
	"cut in the middle":          {Cut: true, CutAfter: 9},
	"undecodable (C3)":           {Body: `{"count":1,"items":[{"status":`},
	"an empty object":            {Body: `{}`},
	"an error with 200":          {Body: `{"error_code":"ModelArts.50005000","error_msg":"Internal server error"}`},
	"a firewall's JSON":          {Body: `{"code":"WAF.403","message":"blocked"}`},
	"a web page":                 {Body: `<html>login</html>`},
	"too large":                  {Body: `{"count":0}`, Pad: 9 << 20},
	"a redirect":                 {Status: 302, Header: map[string]string{"Location": "https://elsewhere.example/"}},
}

// Whatever is wrong with two orders, the account is not held while another is answered; that one is asked
// at most once more for five calls that fail.
func TestOneOrdersTrouble(t *testing.T) {
	for name, fault := range troubles {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 1)
			a, b := f.badly("order.a", fault), f.badly("order.b", fault)
			before := f.asked("order.x")
			for i := range 30 {
				f.clock.now = f.clock.now.Add(time.Second)
				if leave := f.wait(f.clients[0]); leave.Held != "" {
					t.Fatalf("after %d calls: %+v", i, leave)
				}
				e := f.fail(f.clients[0], []string{a, b}[i%2])
				if e.Held != "" || strings.Contains(e.Message, "DNS") || strings.Contains(e.Message, "firewall") {
					t.Fatalf("call %d: held %q: %v", i, e.Held, e)
				}
			}
			if n := f.asked("order.x") - before; n > 6 {
				t.Errorf("the good order was asked %d times more", n)
			}
		})
	}
}

// The words of what a proxy answers name the proxy.
func TestAProxyIsNamed(t *testing.T) {
	for _, status := range []int{407, 502, 503, 504} {
		for _, shape := range []emulator.Shape{emulator.HTML, emulator.Empty} {
			f := newFleet(t, 1)
			e := f.fail(f.clients[0], f.badly("order.a", emulator.Fault{Status: status, Shape: shape}))
			if !strings.Contains(e.Message, fmt.Sprint("a proxy answered ", status)) {
				t.Errorf("%d %s: %v", status, shape, e)
			}
		}
	}
	f := newFleet(t, 1)
	e := f.fail(f.clients[0], f.badly("order.a", emulator.Fault{Status: 503, Code: "APIG.0605", Message: "Backend unavailable."}))
	if strings.Contains(e.Message, "proxy") || !strings.Contains(e.Message, "about this order") {
		t.Errorf("ModelArts' own 503: %v", e)
	}
}

// Where no order is answered any more, the account is held once, after five calls and a look at the order
// that was answered last.
func TestNoOrderIsAnswered(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"503 of a proxy": {Status: 503, Shape: emulator.HTML}, "500": {Status: 500, Code: "ModelArts.50005000"}, "cut": {Cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 2)
			f.cloud.SetFaults(fault)
			before := f.asked("order.x")
			for i := range 5 {
				f.clock.now = f.clock.now.Add(time.Second)
				e := f.fail(f.clients[0], fmt.Sprint("order.", i))
				if want := i == 4; (e.Held == watcher.HeldUnreachable) != want {
					t.Errorf("call %d: held %q", i+1, e.Held)
				}
			}
			if n := f.asked("order.x") - before; n != 1 {
				t.Errorf("the order that was answered last was asked %d times", n)
			}
			for i, c := range f.clients {
				if leave := f.wait(c); leave.Held != watcher.HeldUnreachable {
					t.Errorf("worker %d: %+v", i, leave)
				}
			}
		})
	}
}

// A worker of which no order was ever answered, as after a restart, holds the account only where a good
// order has had the time to be asked; but at once where there is no connection at all.
func TestNoOrderWasEverAnswered(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  emulator.Fault
		orders int
		apart  time.Duration // of calls
		calls  int           // until it is held; 0: not within 20
	}{
		{"500 at once", emulator.Fault{Status: 500, Code: "ModelArts.50005000"}, 5, 10 * time.Millisecond, 0},
		{"502 of a proxy at once", emulator.Fault{Status: 502, Shape: emulator.HTML}, 5, 10 * time.Millisecond, 0},
		{"500 for ten seconds", emulator.Fault{Status: 500, Code: "ModelArts.50005000"}, 2, time.Second, 11},
		{"500 of one order for ten seconds", emulator.Fault{Status: 500, Code: "ModelArts.50005000"}, 1, time.Second, 11},
		{"two calls that are far apart", emulator.Fault{Status: 500, Code: "ModelArts.50005000"}, 2, time.Minute, 5},
		{"400 for long", emulator.Fault{Status: 400, Code: "ModelArts.50014001"}, 5, time.Minute, 0},
		{"undecodable for long", emulator.Fault{Body: "{"}, 5, time.Minute, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fleet{t: t, clock: newClock(), cloud: one(), bucket: newBucket(1)}
			c := config(t, serve(t, f.cloud))
			c.Now, c.Accounts = f.clock.Now, f.bucket
			client := newClient(t, c)
			f.cloud.SetFaults(tt.fault)
			held := 0
			for i := 1; i <= 20 && held == 0; i++ {
				if e := f.fail(client, fmt.Sprint("order.", i%tt.orders)); e.Held != "" {
					held = i
				}
				f.clock.now = f.clock.now.Add(tt.apart)
			}
			if held != tt.calls {
				t.Errorf("held after %d calls; want %d", held, tt.calls)
			}
		})
	}
	t.Run("no connection", func(t *testing.T) {
		server := serve(t, one())
		c := config(t, server)
		server.Close()
		f := &fleet{t: t}
		client := newClient(t, c)
		for i := 1; i <= 5; i++ {
			if e := f.fail(client, "order.x"); (e.Held == watcher.HeldUnreachable) != (i == 5) {
				t.Errorf("call %d: held %q", i, e.Held)
			}
		}
	})
}

// A login of which nothing is known is tried by few calls at once where it is a key: more than five wrong
// ones would lock it. A token is not locked: orders that are never answered keep no others waiting.
func TestTrialsOfALogin(t *testing.T) {
	for _, tt := range []struct {
		key         bool
		workers     int
		least, most int // calls under way at once
	}{{true, 1, 5, 5}, {true, 2, 2, 2}, {true, 3, 1, 1}, {true, 9, 1, 1}, {false, 1, 10, 20}} {
		clock := newClock()
		c := config(t, serve(t, one()))
		c.Now, c.Accounts = clock.Now, newBucket(tt.workers)
		if tt.key {
			key, err := login.NewAccessKey("AKPLANTED00000000001", "planted-secret", "", clock.Now)
			if err != nil {
				t.Fatal(err)
			}
			c.Credential = key
		}
		client := newClient(t, c)
		calls := 0 // none of them ends
		for range 200 {
			if client.Wait(t.Context(), region, order("order.x"), clock.now, watcher.Turn{At: clock.now}).After == 0 {
				calls++
			}
			clock.now = clock.now.Add(100 * time.Millisecond)
		}
		if calls < tt.least || calls > tt.most {
			t.Errorf("key %t, %d workers: %d calls at once in 20 s; want %d to %d", tt.key, tt.workers, calls, tt.least, tt.most)
		}
	}
}
