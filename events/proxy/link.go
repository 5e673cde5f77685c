package proxy

import (
	"bufio"
	"io"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A link is one client's connection and the one to the server that belongs to it.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	queues [2]chan parcel // what goes to the server, and to the client
	done   chan struct{}  // closed when the link has ended
	end    func()         // closes done, and so the link

	mu      sync.Mutex
	server  *net.TCPConn      // nil before it is there
	subs    map[string]string // subject by sid
	answers map[string]answered
}

// An answered is what becomes of the answer to a request.
type answered struct {
	rule    Rule
	request Message
}

// A parcel is a piece of the protocol on its way.
type parcel struct {
	text []byte
	due  time.Time
	cut  bool // the link ends when text has been written
}

// queued is how many pieces may be on their way in one direction, before its sender is blocked.
const queued = 4096

func newLink(p *Proxy, client *net.TCPConn) *link {
	l := &link{
		proxy: p, client: client, done: make(chan struct{}),
		subs: make(map[string]string), answers: make(map[string]answered),
	}
	l.end = sync.OnceFunc(func() { close(l.done) })
	for w := range l.queues {
		l.queues[w] = make(chan parcel, queued)
	}
	return l
}

// serve carries messages until either side closes.
func (l *link) serve() {
	defer l.client.Close()
	dialed, err := net.DialTimeout("tcp", l.proxy.server, 5*time.Second)
	if err != nil {
		l.reset()
		return
	}
	server := dialed.(*net.TCPConn)
	defer server.Close()
	l.mu.Lock()
	l.server = server
	l.mu.Unlock()

	var carrying sync.WaitGroup
	defer carrying.Wait()
	carrying.Go(func() { l.read(ToServer, l.client) })
	carrying.Go(func() { l.read(ToClient, server) })
	carrying.Go(func() { l.write(ToServer, server) })
	carrying.Go(func() { l.write(ToClient, l.client) })
	<-l.done
	l.client.Close()
	// A reset instead of an orderly end could take from the server what it has not read yet.
	server.CloseWrite()
	server.SetDeadline(time.Now().Add(time.Second))
}

// reset ends the link so that both sides get a TCP reset.
func (l *link) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range []*net.TCPConn{l.client, l.server} {
		if c != nil {
			c.SetLinger(0)
			c.Close()
		}
	}
	l.end()
}

// read takes what one side says until it closes. The other side learns of that as of what was said
// before.
func (l *link) read(w Way, from *net.TCPConn) {
	for r := bufio.NewReaderSize(from, 64<<10); ; {
		f, err := readFrame(r)
		if err != nil {
			l.send(w, parcel{cut: true})
			return
		}
		select {
		case <-l.done:
			io.Copy(io.Discard, r) // until the deadline
			return
		default:
		}
		l.take(w, f)
	}
}

// take does with a piece what the rules say.
func (l *link) take(w Way, f frame) {
	l.note(w, f)
	if !f.isMessage() {
		l.send(w, parcel{text: f.text})
		return
	}
	if w == ToClient {
		if f.text = l.answer(f); f.text == nil {
			return
		}
	}
	switch r := l.proxy.ruleFor(w, f.message); r.Do {
	case Pass:
		l.send(w, parcel{text: f.text})
	case Lose:
	case Answer:
		if sid, ok := l.subscription(f.message.Reply); ok {
			m := r.Answer(f.message, Message{})
			m.Subject = f.message.Reply
			l.send(ToClient, parcel{text: delivery(sid, m)})
		}
	case CutAfter, LoseAnswer, Replace:
		l.mu.Lock()
		l.answers[f.message.Reply] = answered{r, f.message}
		l.mu.Unlock()
		l.send(w, parcel{text: f.text, cut: r.Do == CutAfter})
	}
}

// note keeps the client's subscriptions.
func (l *link) note(w Way, f frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case w != ToServer:
	case f.verb == "SUB" && len(f.words) > 1:
		l.subs[f.words[len(f.words)-1]] = f.words[0]
	case f.verb == "UNSUB" && len(f.words) == 1: // otherwise it ends only after so many messages
		delete(l.subs, f.words[0])
	}
}

// subscription returns the sid of one that gets messages on the subject.
func (l *link) subscription(subject string) (sid string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for sid, pattern := range l.subs {
		if server.SubjectMatchesFilter(subject, pattern) {
			return sid, true
		}
	}
	return "", false
}

// answer returns what the client gets in place of a message, nil for nothing. Only an answer on
// which a rule waits is changed.
func (l *link) answer(f frame) []byte {
	l.mu.Lock()
	a, ok := l.answers[f.message.Subject]
	delete(l.answers, f.message.Subject)
	l.mu.Unlock()
	switch {
	case !ok:
		return f.text
	case a.rule.Do != Replace:
		return nil
	}
	m := a.rule.Answer(a.request, f.message)
	m.Subject = f.message.Subject
	return delivery(f.words[1], m)
}

// send puts a piece on its way.
func (l *link) send(w Way, p parcel) {
	line, _ := l.proxy.line(w)
	if line.Swallow && !p.cut {
		return
	}
	p.due = time.Now().Add(line.Delay)
	select {
	case l.queues[w] <- p:
	case <-l.done:
	}
}

// write hands on what one side is sent. Whether that side has gone is for its reader to say.
func (l *link) write(w Way, to *net.TCPConn) {
	for {
		select {
		case <-l.done:
			return
		case p := <-l.queues[w]:
			l.pass(w)
			l.sleep(time.Until(p.due))
			l.pace(w, to, p.text)
			if p.cut {
				l.end()
			}
		}
	}
}

// pass waits until the line carries something, or the link has ended.
func (l *link) pass(w Way) {
	for {
		line, changed := l.proxy.line(w)
		if !line.Hold && !line.Swallow {
			return
		}
		select {
		case <-changed:
		case <-l.done:
			return
		}
	}
}

// pace writes no faster than the line allows.
func (l *link) pace(w Way, to *net.TCPConn, text []byte) {
	for len(text) > 0 {
		n := len(text)
		if line, _ := l.proxy.line(w); line.Rate > 0 {
			n = min(n, max(1, line.Rate/20))
			l.sleep(time.Duration(n) * time.Second / time.Duration(line.Rate))
		}
		if _, err := to.Write(text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// sleep waits, unless the link has ended.
func (l *link) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.done:
	}
}
