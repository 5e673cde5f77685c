package emulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Fault is what goes wrong, and when. Several things can go wrong at once. In JSON, durations are
// texts such as "5s".
type Fault struct {
	// Region and Project are those whose orders it is meant for; empty: any. The region of a call is
	// known where its path begins with it.
	Region  string `json:"region,omitzero"`
	Project string `json:"project,omitzero"`
	// Kind is the kind of calls that it is meant for; empty: any. Calls are counted by kind.
	Kind Kind `json:"kind,omitzero"`
	// FromPoll and ToPoll are the first and the last poll it is meant for, counted from 1.
	// 0: from the first, to the last.
	FromPoll int `json:"from_poll,omitzero"`
	ToPoll   int `json:"to_poll,omitzero"`
	// After and Until are the span of time it is meant for, [After, Until), on the order's clock,
	// or since SetFaults. An Until of 0 is for ever.
	After time.Duration `json:"after,omitzero"`
	Until time.Duration `json:"until,omitzero"`

	// Status is answered instead of the order, with Code and Message in the given Shape; or with
	// Body, where that is set. A Body without a Status comes with 200.
	Status  int    `json:"status,omitzero"`
	Code    string `json:"code,omitzero"`
	Message string `json:"message,omitzero"`
	Shape   Shape  `json:"shape,omitzero"`
	Body    string `json:"body,omitzero"`
	// Header is added to the answer: Retry-After, Location, ….
	Header map[string]string `json:"header,omitempty"`
	// Rows is what is wrong with what a list shows. It needs the kind of lists.
	Rows RowFault `json:"rows,omitzero"`

	Delay    time.Duration `json:"delay,omitzero"`     // before the status line
	Drip     time.Duration `json:"drip,omitzero"`      // before each 16 bytes of the body
	Pad      int64         `json:"pad,omitzero"`       // bytes of white space in front of the body
	Cut      bool          `json:"cut,omitzero"`       // the connection is closed after CutAfter bytes of the body;
	CutAfter int           `json:"cut_after,omitzero"` // 0: without an answer
	Hang     bool          `json:"hang,omitzero"`      // nothing is answered until the client gives up
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

var shapes = []Shape{Documented, Nested, NestedInt, Plain, CamelError, HTML, Empty}

// pick returns the first fault that is meant for the call, which is the given poll at the given
// time; nil where none is.
func pick(faults []Fault, c Call, poll int, elapsed time.Duration) *Fault {
	for n := range faults {
		f := &faults[n]
		if (f.Region == "" || f.Region == c.Region) && (f.Project == "" || f.Project == c.Project) && (f.Kind == "" || f.Kind == c.Kind) &&
			poll >= f.FromPoll && (f.ToPoll == 0 || poll <= f.ToPoll) &&
			elapsed >= f.After && (f.Until == 0 || elapsed < f.Until) {
			return f
		}
	}
	return nil
}

// A faultSet is what goes wrong with calls, which are counted by kind and timed since it was set.
type faultSet struct {
	faults []Fault
	since  time.Time
	calls  map[Kind]int
}

func newFaultSet(faults []Fault, now time.Time) faultSet {
	return faultSet{slices.Clone(faults), now, make(map[Kind]int)}
}

// next counts a call, and returns the first fault that is meant for it; nil where none is.
func (s *faultSet) next(c Call, now time.Time) *Fault {
	if len(s.faults) == 0 {
		return nil
	}
	s.calls[c.Kind]++
	return pick(s.faults, c, s.calls[c.Kind], now.Sub(s.since))
}

func (f *Fault) check() error {
	switch {
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status: %d is none of 200 to 599", f.Status)
	case !slices.Contains(shapes, f.Shape):
		return fmt.Errorf("shape: %q is none of %q", f.Shape, shapes)
	case f.Status == 0 && (f.Code != "" || f.Message != "" || f.Shape != ""):
		return errors.New("status: is missing; code, message and shape are those of an error")
	case f.Body != "" && (f.Code != "" || f.Message != "" || f.Shape != ""):
		return errors.New("body: takes the place of code, message and shape")
	case f.Kind != "" && f.Kind != ShowOrder && f.Kind != ListOrders:
		return fmt.Errorf("kind: %q is none of %q and %q", f.Kind, ShowOrder, ListOrders)
	case f.Rows != (RowFault{}) && f.Kind != ListOrders:
		return fmt.Errorf("rows: needs the kind %q", ListOrders)
	case f.FromPoll < 0, f.ToPoll < 0, f.ToPoll != 0 && f.ToPoll < f.FromPoll:
		return errors.New("to_poll: must be 0 or not before from_poll, and both not under 0")
	case f.Until != 0 && f.Until <= f.After:
		return errors.New("until: must be 0 or later than after")
	case f.Pad < 0:
		return errors.New("pad: must not be under 0")
	case f.CutAfter < 0, f.CutAfter > 0 && !f.Cut:
		return errors.New("cut_after: must not be under 0, and needs cut")
	}
	for name, value := range f.Header {
		if !headerName.MatchString(name) || strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("header: %q cannot be sent", name)
		}
	}
	return nil
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// An answer is what goes over the wire.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// replaces reports whether there is a fault, with an answer of its own.
func (f *Fault) replaces() bool { return f != nil && (f.Status != 0 || f.Body != "") }

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

// deliver sends the answer as the fault wants it; nil: as it is. Where the connection is to be cut it panics
// with http.ErrAbortHandler, which is how net/http is told to do so.
func deliver(w http.ResponseWriter, r *http.Request, a answer, f *Fault) {
	f = cmp.Or(f, &Fault{})
	waited := sleep(r.Context(), f.Delay)
	if f.Hang {
		<-r.Context().Done()
	}
	if !waited || f.Hang || f.Cut && f.CutAfter <= 0 {
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
	if _, err := io.CopyN(w, blanks{}, f.Pad); err != nil {
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

// blanks are white space without an end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// drip writes the body, in pieces where there is a pause between them.
func drip(w http.ResponseWriter, r *http.Request, body []byte, pause time.Duration) {
	if pause <= 0 {
		w.Write(body) // an error is the client's going away
		return
	}
	for piece := range slices.Chunk(body, 16) {
		if !sleep(r.Context(), pause) {
			return
		}
		w.Write(piece)
		http.NewResponseController(w).Flush()
	}
}

// sleep waits, and reports whether the client is still there.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
