package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/proxy"
)

// start returns a proxy in front of a server at which somebody answers what is asked on echo.>, and
// a connection through the proxy.
func start(t *testing.T) (*proxy.Proxy, *nats.Conn, *echo) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, MaxPayload: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("nats-server does not answer")
	}
	p, err := proxy.Listen("127.0.0.1:0", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	e := &echo{asked: make(chan string, 100)}
	direct := connect(t, s.ClientURL())
	if _, err := direct.Subscribe("echo.>", e.answer); err != nil {
		t.Fatal(err)
	}
	if err := direct.Flush(); err != nil {
		t.Fatal(err)
	}
	return p, connect(t, p.URL()), e
}

func connect(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.Timeout(2*time.Second), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// An echo answers each request with its own body and headers.
type echo struct{ asked chan string }

func (e *echo) answer(m *nats.Msg) {
	e.asked <- string(m.Data)
	m.RespondMsg(&nats.Msg{Header: m.Header, Data: m.Data}) // the asker sees whether it worked
}

// patience is how long a test waits for what must come.
const patience = 3 * time.Minute

// ask asks and returns the answer, or what went wrong. It waits for a second: enough where no answer is to come. A test that
// wants an answer asks by answered, or eventually.
func ask(nc *nats.Conn, subject, body string) string { return askFor(nc, subject, body, time.Second) }

// answered asks and waits for the answer.
func answered(nc *nats.Conn, subject, body string) string { return askFor(nc, subject, body, patience) }

func askFor(nc *nats.Conn, subject, body string, wait time.Duration) string {
	m, err := nc.Request(subject, []byte(body), wait)
	if err != nil {
		return err.Error()
	}
	return string(m.Data)
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for err := f(); err != nil; err = f() {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	const timeout = "nats: timeout"
	answer := func(request, answer proxy.Message) proxy.Message {
		return proxy.Message{Payload: fmt.Appendf(nil, "for %s, not %q", request.Payload, answer.Payload)}
	}
	for _, test := range []struct {
		name    string
		do      proxy.Action
		gets    string // what the second of three requests is answered
		arrives bool   // at the one who answers
		cuts    bool
	}{
		{"pass", proxy.Pass, "two", true, false},
		{"cut after", proxy.CutAfter, timeout, true, true},
		{"lose", proxy.Lose, timeout, false, false},
		{"lose the answer", proxy.LoseAnswer, timeout, true, false},
		{"answer", proxy.Answer, `for two, not ""`, false, false},
		{"replace", proxy.Replace, `for two, not "two"`, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, nc, e := start(t)
			rule := p.Add(proxy.Rule{Way: proxy.ToServer, Subject: "echo.*.this", Skip: 1, Times: 1, Do: test.do, Answer: answer})
			other := p.Add(proxy.Rule{Way: proxy.ToServer, Subject: "echo.>"})
			if got := answered(nc, "echo.a.this", "one"); got != "one" {
				t.Errorf("the first: %s", got)
			}
			if got := answered(nc, "echo.b.that", "else"); got != "else" {
				t.Errorf("on another subject: %s", got)
			}
			second := answered
			if test.gets == timeout {
				second = ask
			}
			if got := second(nc, "echo.b.this", "two"); got != test.gets {
				t.Errorf("the second: %s; want %s", got, test.gets)
			}
			third := answered
			if test.cuts { // it is lost where the connection is not there yet
				third = ask
			}
			eventually(t, func() error {
				if got := third(nc, "echo.c.this", "three"); got != "three" {
					return errors.New("the third: " + got)
				}
				return nil
			})
			got := []string{<-e.asked, <-e.asked, <-e.asked}
			if want := map[bool]string{true: "one else two", false: "one else three"}[test.arrives]; strings.Join(got, " ") != want {
				t.Errorf("what arrived began %q; want %q", got, want)
			}
			if cuts := p.Accepted() > 1; cuts != test.cuts {
				t.Errorf("%d connections were made; a cut is wanted: %t", p.Accepted(), test.cuts)
			}
			if rule.Seen() < 3 || rule.Acted() != 1 || test.do == proxy.Pass && other.Seen() != 4 {
				t.Errorf("the rule saw %d, acted on %d; the other saw %d", rule.Seen(), rule.Acted(), other.Seen())
			}
		})
	}
}

// A rule can be for what the server sends, and look into it.
func TestRuleToClient(t *testing.T) {
	t.Parallel()
	p, nc, _ := start(t)
	p.Add(proxy.Rule{
		Way: proxy.ToClient, Subject: ">", Times: 1, Do: proxy.Lose,
		Match: func(m proxy.Message) bool { return bytes.Contains(m.Payload, []byte("lose")) },
	})
	for _, body := range []string{"keep this", "lose this"} {
		want, asked := body, answered
		if body == "lose this" {
			want, asked = nats.ErrTimeout.Error(), ask
		}
		if got := asked(nc, "echo.x", body); got != want {
			t.Errorf("%s: %s; want %s", body, got, want)
		}
	}
}

// Large messages and headers arrive as they were sent, also where an answer is replaced.
func TestLarge(t *testing.T) {
	t.Parallel()
	p, nc, _ := start(t)
	p.Add(proxy.Rule{Way: proxy.ToServer, Subject: "echo.replaced", Do: proxy.Replace, Answer: func(_, answer proxy.Message) proxy.Message { return answer }})
	body := bytes.Repeat([]byte("PUB x 1\r\n"), 2<<20/9)
	for _, subject := range []string{"echo.plain", "echo.replaced"} {
		for _, header := range []nats.Header{nil, {"Name": {"value"}}} {
			got, err := nc.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: body}, patience)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Data, body) || got.Header.Get("Name") != header.Get("Name") {
				t.Errorf("%s: %d bytes of %d, header %v", subject, len(got.Data), len(body), got.Header)
			}
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	p, nc, e := start(t)
	took := func(body []byte) time.Duration {
		t.Helper()
		begin := time.Now()
		m, err := nc.Request("echo.x", body, patience)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Data, body) {
			t.Errorf("%d bytes of %d arrived", len(m.Data), len(body))
		}
		<-e.asked
		return time.Since(begin)
	}
	took([]byte("warm"))

	p.SetBoth(proxy.Line{Delay: 100 * time.Millisecond})
	if d := took([]byte("late")); d < 200*time.Millisecond {
		t.Errorf("with a delay of 100 ms each way: %s", d)
	}
	p.SetBoth(proxy.Line{Rate: 64 << 10})
	if d := took(make([]byte, 16<<10)); d < 450*time.Millisecond {
		t.Errorf("32 KiB in all at 64 KiB/s: %s", d)
	}

	p.Set(proxy.ToServer, proxy.Line{Hold: true})
	p.Set(proxy.ToClient, proxy.Line{})
	if got := ask(nc, "echo.x", "held"); got != nats.ErrTimeout.Error() || len(e.asked) > 0 {
		t.Errorf("while all is held: %s, %d arrived", got, len(e.asked))
	}
	p.SetBoth(proxy.Line{})
	if got := <-e.asked; got != "held" {
		t.Errorf("%q arrived after the hold", got)
	}

	for way, arrives := range map[proxy.Way]bool{proxy.ToServer: false, proxy.ToClient: true} {
		p.Set(way, proxy.Line{Swallow: true})
		if got := ask(nc, "echo.x", "swallowed"); got != nats.ErrTimeout.Error() {
			t.Errorf("into a black hole: %s", got)
		}
		p.SetBoth(proxy.Line{})
		if arrives {
			<-e.asked
		}
		took([]byte("after it"))
	}
	if n := p.Accepted(); n != 1 {
		t.Errorf("%d connections; want 1", n)
	}
}

// What a client says before it closes still arrives.
func TestLastWords(t *testing.T) {
	t.Parallel()
	p, nc, e := start(t)
	p.SetBoth(proxy.Line{Delay: 50 * time.Millisecond})
	for range 10 {
		if err := nc.Publish("echo.x", []byte("bye")); err != nil {
			t.Fatal(err)
		}
	}
	nc.Close()
	for range 10 {
		select {
		case <-e.asked:
		case <-time.After(patience):
			t.Fatal("last words were lost")
		}
	}
	eventually(t, func() error {
		if n := p.Open(); n > 0 {
			return fmt.Errorf("%d connections are open", n)
		}
		return nil
	})
}

func TestConnections(t *testing.T) {
	t.Parallel()
	p, nc, _ := start(t)
	for name, end := range map[string]func(){"reset": p.Reset, "cut": p.Cut} {
		if got := answered(nc, "echo.x", "before"); got != "before" {
			t.Fatalf("before the %s: %s", name, got)
		}
		made := p.Accepted()
		p.Refuse(true)
		end()
		eventually(t, func() error {
			if nc.IsConnected() || p.Open() > 0 || p.Accepted() < made+3 {
				return fmt.Errorf("%s: connected: %t, %d open, %d tries", name, nc.IsConnected(), p.Open(), p.Accepted()-made)
			}
			return nil
		})
		p.Refuse(false)
		eventually(t, func() error {
			if !nc.IsConnected() {
				return errors.New("not connected again after a " + name)
			}
			return nil
		})
	}
	p.SetBoth(proxy.Line{Swallow: true})
	made := p.Accepted()
	p.Cut()
	eventually(t, func() error {
		if nc.IsConnected() || p.Accepted() == made {
			return fmt.Errorf("in a black hole: connected: %t, %d tries", nc.IsConnected(), p.Accepted()-made)
		}
		return nil
	})
	p.SetBoth(proxy.Line{})
	eventually(t, func() error {
		if got := ask(nc, "echo.x", "after"); got != "after" {
			return errors.New("after the black hole: " + got)
		}
		return nil
	})
}
