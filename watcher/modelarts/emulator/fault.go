package emulator

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Fault is what goes wrong, and when. Several things can go wrong at once.
type Fault struct {
	// FromPoll and ToPoll are the first and the last poll it is meant for, counted from 1.
	// 0: from the first, to the last.
	FromPoll, ToPoll int
	// After and Until are the span of time it is meant for, [After, Until), on the order's clock,
	// or since SetFaults. An Until of 0 is for ever.
	After, Until time.Duration

	// Status is answered instead of the order, with Code and Message in the given Shape; or with
	// Body, where that is set. A Body without a Status comes with 200.
	Status  int
	Code    string
	Message string
	Shape   Shape
	Body    string
	// Header is added to the answer: Retry-After, Location, ….
	Header map[string]string

	Delay    time.Duration // before the status line
	Drip     time.Duration // before each 16 bytes of the body
	Pad      int64         // bytes of white space in front of the body
	Cut      bool          // the connection is closed after CutAfter bytes of the body;
	CutAfter int           // 0: without an answer
	Hang     bool          // nothing is answered until the client gives up
}

// A Shape is how the body of an error is written.
type Shape string

// The shapes of errors that were seen behind Huawei Cloud's endpoints.
const (
	Documented Shape = ""           // {"error_code", "error_msg"}
	Nested     Shape = "nested"     // {"error": {"code": "EPS.0003", "message"}}
	NestedInt  Shape = "nested-int" // {"error": {"code": 401, "message", "title"}}: IAM; the code is the status
	Plain      Shape = "plain"      // {"code", "message"}
	CamelError Shape = "camel"      // {"errorCode", "errorMessage"}
	HTML       Shape = "html"       // a proxy's page
	Empty      Shape = "empty"      // no body
)

// pick returns the first fault that is meant for the poll, nil where none is.
func pick(faults []Fault, poll int, elapsed time.Duration) *Fault {
	for n := range faults {
		f := &faults[n]
		if poll >= f.FromPoll && (f.ToPoll == 0 || poll <= f.ToPoll) &&
			elapsed >= f.After && (f.Until == 0 || elapsed < f.Until) {
			return f
		}
	}
	return nil
}

// An answer is what goes over the wire.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// replaces reports whether the fault has an answer of its own.
func (f *Fault) replaces() bool { return f.Status != 0 || f.Body != "" }

func (f *Fault) answer() answer {
	if f.Body != "" {
		kind := "application/json"
		if strings.HasPrefix(f.Body, "<") {
			kind = "text/html"
		}
		return answer{max(f.Status, http.StatusOK), kind, []byte(f.Body)}
	}
	switch f.Shape {
	case Nested:
		return jsonAnswer(f.Status, map[string]any{"error": map[string]any{"code": f.Code, "message": f.Message}})
	case NestedInt:
		return jsonAnswer(f.Status, map[string]any{"error": map[string]any{"code": f.Status, "message": f.Message, "title": http.StatusText(f.Status)}})
	case Plain:
		return jsonAnswer(f.Status, map[string]any{"code": f.Code, "message": f.Message})
	case CamelError:
		return jsonAnswer(f.Status, map[string]any{"errorCode": f.Code, "errorMessage": f.Message})
	case HTML:
		title := fmt.Sprintf("%d %s", f.Status, http.StatusText(f.Status))
		page := "<html>\r\n<head><title>" + title + "</title></head>\r\n<body><center><h1>" + title + "</h1></center><hr>proxy</body>\r\n</html>\r\n"
		return answer{f.Status, "text/html", []byte(page)}
	case Empty:
		return answer{status: f.Status}
	default:
		return documentedError(f.Status, f.Code, f.Message)
	}
}

func documentedError(status int, code, message string) answer {
	return jsonAnswer(status, map[string]any{"error_code": code, "error_msg": message})
}

// deliver sends the answer as the fault wants it. Where the connection is to be cut it panics
// with http.ErrAbortHandler, which is how net/http is told to do so.
func deliver(w http.ResponseWriter, r *http.Request, a answer, f Fault) {
	if !sleep(r.Context(), f.Delay) {
		panic(http.ErrAbortHandler)
	}
	if f.Hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if f.Cut && f.CutAfter <= 0 {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
	}
	h.Set("Content-Length", strconv.FormatInt(f.Pad+int64(len(a.body)), 10))
	for name, value := range f.Header {
		h.Set(name, value)
	}
	w.WriteHeader(a.status)
	if !pad(w, f.Pad) {
		return
	}
	body := a.body
	if f.Cut {
		body = body[:min(f.CutAfter, len(body))]
	}
	drip(w, r, body, f.Drip)
	if f.Cut {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// pad writes n bytes of white space, and reports whether they went out.
func pad(w http.ResponseWriter, n int64) bool {
	if n <= 0 {
		return true
	}
	spaces := []byte(strings.Repeat(" ", int(min(n, 32<<10))))
	for n > 0 {
		k := min(n, int64(len(spaces)))
		if _, err := w.Write(spaces[:k]); err != nil {
			return false
		}
		n -= k
	}
	return true
}

// drip writes the body, in pieces where there is a pause between them.
func drip(w http.ResponseWriter, r *http.Request, body []byte, pause time.Duration) {
	const piece = 16
	if pause <= 0 {
		w.Write(body) // an error is the client's going away
		return
	}
	for len(body) > 0 {
		if !sleep(r.Context(), pause) {
			return
		}
		k := min(piece, len(body))
		w.Write(body[:k])
		http.NewResponseController(w).Flush()
		body = body[k:]
	}
}

// sleep waits, and reports whether the client is still there.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
