package emulator

import (
	"encoding/json"
	"net/http"
	"time"
)

// A Fault is what one post, update or step of an upload meets. The zero value lets it through, so that a script can fail the
// second of two.
type Fault struct {
	Delay  time.Duration // before anything else; ends early when the caller gives up
	Accept bool          // the message is kept, whatever the answer says
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

// nextFault counts the call and takes its fault off the script.
func (s *Server) nextFault() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if len(s.script) == 0 {
		return Pass
	}
	f := s.script[0]
	s.script = s.script[1:]
	return f
}

// answers reports whether the fault itself answers, so that the server must not.
func (f Fault) answers() bool { return f.Drop || f.Status != 0 || f.Body != "" }

// answer writes the fault's own answer. A dropped connection is a panic that net/http knows.
func (f Fault) answer(w http.ResponseWriter) {
	if f.Drop {
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
