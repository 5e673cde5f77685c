package emulator

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Fault is what one call meets. The zero value lets it through, so that a script can fail the second of two.
type Fault struct {
	Delay  time.Duration // before anything else; ends early when the caller gives up
	Linger time.Duration // before the answer, after all else; ends early when the caller gives up
	Accept bool          // the message is kept where nothing is wrong with it, whatever the answer says
	Drop   bool          // the connection is closed without an answer
	Status int           // of the answer; 0 is 200 where a Body is given
	Header http.Header   // of the answer
	Body   string        // the answer; with Status 0 and no Body the server answers as usual
}

// The faults that Slack's callers meet most.
var (
	Pass          = Fault{}
	Unavailable   = Fault{Status: http.StatusServiceUnavailable, Body: "<html>Slack is down</html>"}
	AcceptAndDrop = Fault{Accept: true, Drop: true}
	AcceptAnd500  = Fault{Accept: true, Status: http.StatusInternalServerError, Body: "<html>oops</html>"}
	AcceptAndCut  = Fault{Accept: true, Body: `{"ok":true,"channel":"C`}
	AcceptAndHang = Fault{Accept: true, Linger: time.Hour, Drop: true} // no caller waits for so long
	EmptyObject   = Fault{Body: "{}"}
	HTMLPage      = Fault{Body: "<html>please log in</html>"}
)

// Refuse is Slack's answer with status 200 and this error code.
func Refuse(code string) Fault {
	body, _ := json.Marshal(map[string]any{"ok": false, "error": code})
	return Fault{Body: string(body)}
}

// TooMany is a 429 with this Retry-After, or without the header where it is empty.
func TooMany(retryAfter string) Fault {
	f := Fault{Status: http.StatusTooManyRequests, Body: `{"ok":false,"error":"ratelimited"}`}
	if retryAfter != "" {
		f.Header = http.Header{"Retry-After": {retryAfter}}
	}
	return f
}

// Script appends faults, one for each of the next calls of chat.postMessage, chat.update, a webhook,
// or one of the three steps of an upload. Of an upload only the last step keeps anything that can be seen.
func (s *Server) Script(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, faults...)
}

// nextFault returns what a call meets. One that a script can name, a post, an update or a step of an upload, is
// counted, and takes its fault off the script.
func (s *Server) nextFault(method string, scripted bool) (f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if scripted {
		s.calls.Add(1)
	}
	switch {
	case scripted && len(s.script) > 0:
		f, s.script = s.script[0], s.script[1:]
	case s.options.Fault != nil:
		f = s.options.Fault(method)
	}
	if f.Delay > 0 || f.Linger > 0 || f.answers() {
		s.faults.Add(1)
	}
	return f
}

// meets answers a call that meets the fault, and reports whether it did, or the caller gave up: a fault may begin a
// penalty of the channel. keep is what a fault does that accepts the call all the same.
func (s *Server) meets(f Fault, w http.ResponseWriter, r *http.Request, channelID string, keep func()) bool {
	if !wait(r, f.Delay) {
		return true
	}
	if !f.answers() {
		return false
	}
	s.limit(channelID, false) // a call that was made too soon is counted all the same
	if f.Accept && keep != nil {
		keep()
	}
	if seconds, _ := strconv.Atoi(f.Header.Get("Retry-After")); f.Status == http.StatusTooManyRequests && seconds > 0 {
		s.mu.Lock()
		if c := s.channels[channelID]; c != nil {
			c.until = s.options.Now().Add(time.Duration(seconds) * time.Second)
		}
		s.mu.Unlock()
	}
	f.answer(w, r)
	return true
}

// meetsChance is meets for a call that no script can name.
func (s *Server) meetsChance(w http.ResponseWriter, r *http.Request, keep func()) bool {
	f := s.nextFault(method(r), false)
	return s.meets(f, w, r, "", keep) || !wait(r, f.Linger)
}

// method returns the method of the Web API that is called.
func method(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/api/") }

// answers reports whether the fault itself answers, so that the server must not.
func (f Fault) answers() bool { return f.Drop || f.Status != 0 || f.Body != "" }

// answer writes the fault's own answer. A dropped connection is a panic that net/http knows.
func (f Fault) answer(w http.ResponseWriter, r *http.Request) {
	if !wait(r, f.Linger) || f.Drop {
		panic(http.ErrAbortHandler)
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	if f.Status != 0 {
		w.WriteHeader(f.Status)
	}
	w.Write([]byte(f.Body))
}
