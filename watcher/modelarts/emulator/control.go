package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
)

// maxControlBody bounds what the control port reads.
const maxControlBody = 1 << 20

// Control returns what switches the emulator while it runs. A caller who reaches it may do everything:
// listen on 127.0.0.1, apart from the API's own port.
//
//	GET    /                         what is set
//	PUT    /faults                   a list of [Fault]: replaces those of all orders and lists; see SetFaults
//	DELETE /faults                   no more faults
//	PUT    /login-faults             a list of [Fault], of IAM and the metadata service; see SetLoginFaults
//	DELETE /login-faults             no more of them
//	DELETE /tokens                   all tokens that IAM handed out are dead; see RevokeTokens
//	PUT    /orders/{project}/{order} an [Order]: scripts it anew; see Add
//	PUT    /quota                    a [Quota]; see SetQuota
//	DELETE /quota                    no quota
//	PUT    /outage                   {"kind": "refused" | "black-hole" | "unavailable"}; see SetOutage
//	DELETE /outage                   reachable again
//	GET    /calls                    the last calls, oldest first; ?since=2026-01-02T15:04:05Z: those at or after it
//
// Bodies and answers are JSON. What is misspelt or of a wrong kind is answered 400 with
// {"error": what is wrong}, and changes nothing. With the control port on 9091:
//
//	curl -X PUT 127.0.0.1:9091/faults -d '[{"until":"30s","status":429,"code":"APIGW.0308","header":{"Retry-After":"30"}}]'
//	curl -X PUT 127.0.0.1:9091/faults -d '[{"project":"p","status":403,"code":"ModelArts.4116","message":"in arrears"}]'
//	curl -X PUT 127.0.0.1:9091/faults -d '[{"delay":"5s"}]'
//	curl -X PUT 127.0.0.1:9091/faults -d '[{"kind":"list","rows":{"early":"30s","shuffled":true}}]'
//	curl -X PUT 127.0.0.1:9091/faults -d '[{"kind":"list","body":"{\"count\":0,\"items\":[]}"}]'
//	curl -X DELETE 127.0.0.1:9091/faults
//	curl -X PUT 127.0.0.1:9091/login-faults -d '[{"to_poll":2,"status":503}]'
//	curl -X PUT 127.0.0.1:9091/orders/p/order.x -d '{"items":[{"resource_name":"n","end_after":"10s","status":"failed","message":"sold out"}],"list":{"end_after":"5s"}}'
//	curl -X PUT 127.0.0.1:9091/quota -d '{"calls":20,"per":"1s","retry_after":true,"count_refused":true}'
//	curl -X PUT 127.0.0.1:9091/outage -d '{"kind":"refused"}'
//	curl -X DELETE 127.0.0.1:9091/outage
//	curl 127.0.0.1:9091/calls
func Control(e *Emulator) http.Handler {
	c := control{e}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.show)
	mux.HandleFunc("PUT /faults", c.change(reading(func(_ *http.Request, faults list[Fault]) error { e.SetFaults(faults...); return nil })))
	mux.HandleFunc("DELETE /faults", c.change(func(*http.Request, []byte) error { e.SetFaults(); return nil }))
	mux.HandleFunc("PUT /login-faults", c.change(reading(func(_ *http.Request, faults list[Fault]) error { e.SetLoginFaults(faults...); return nil })))
	mux.HandleFunc("DELETE /login-faults", c.change(func(*http.Request, []byte) error { e.SetLoginFaults(); return nil }))
	mux.HandleFunc("DELETE /tokens", c.change(func(*http.Request, []byte) error { e.RevokeTokens(); return nil }))
	mux.HandleFunc("PUT /orders/{project}/{order}", c.change(reading(func(r *http.Request, o Order) error {
		e.Add(r.PathValue("project"), r.PathValue("order"), o)
		return nil
	})))
	mux.HandleFunc("PUT /quota", c.change(reading(func(_ *http.Request, q Quota) error { return e.SetQuota(q) })))
	mux.HandleFunc("DELETE /quota", c.change(func(*http.Request, []byte) error { return e.SetQuota(Quota{}) }))
	mux.HandleFunc("PUT /outage", c.change(reading(c.putOutage)))
	mux.HandleFunc("DELETE /outage", c.change(func(*http.Request, []byte) error { return e.SetOutage(NoOutage) }))
	mux.HandleFunc("GET /calls", c.list)
	mux.HandleFunc("/", c.nothing)
	return mux
}

type control struct{ *Emulator }

// A state is what is set.
type state struct {
	Faults      []Fault `json:"faults"`
	LoginFaults []Fault `json:"login_faults"`
	Quota       *Quota  `json:"quota"`  // null: none
	Outage      Outage  `json:"outage"` // empty: reachable
	Calls       int     `json:"calls"`  // for one order, so far
	Lists       int     `json:"lists"`  // for the orders of a project, so far
	Logins      int     `json:"logins"` // at IAM, so far
}

func (c control) show(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	s := state{
		Faults: append([]Fault{}, c.faults.faults...), LoginFaults: append([]Fault{}, c.iam.faults.faults...),
		Outage: c.outage, Calls: c.calls.total[ShowOrder], Lists: c.calls.total[ListOrders], Logins: c.iam.calls,
	}
	if c.quota.Calls > 0 {
		s.Quota = &c.quota.Quota
	}
	c.mu.Unlock()
	tell(w, http.StatusOK, s)
}

// change returns a handler that reads the body, changes something and shows what is set.
func (c control) change(apply func(*http.Request, []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
		if err != nil {
			complain(w, http.StatusRequestEntityTooLarge, errors.New("the body is larger than 1 MiB, or was cut"))
			return
		}
		if err := apply(r, bytes.TrimSpace(body)); err != nil {
			complain(w, http.StatusBadRequest, err)
			return
		}
		c.show(w, r)
	}
}

// reading returns what reads a value from the body and applies it.
func reading[T any](apply func(*http.Request, T) error) func(*http.Request, []byte) error {
	return func(r *http.Request, body []byte) error {
		var value T
		if err := decode(body, &value); err != nil {
			return err
		}
		return apply(r, value)
	}
}

func (c control) putOutage(_ *http.Request, o struct {
	Kind Outage `json:"kind"`
}) error {
	if o.Kind == NoOutage {
		return errors.New("kind: is missing; DELETE ends an outage")
	}
	return c.SetOutage(o.Kind)
}

func (c control) list(w http.ResponseWriter, r *http.Request) {
	calls := append([]Call{}, c.Calls()...)
	if text := r.URL.Query().Get("since"); text != "" {
		since, err := time.Parse(time.RFC3339, text)
		if err != nil {
			complain(w, http.StatusBadRequest, errors.New("since: must be a time such as 2026-01-02T15:04:05Z"))
			return
		}
		calls = slices.DeleteFunc(calls, func(c Call) bool { return c.Time.Before(since) })
	}
	tell(w, http.StatusOK, calls)
}

func (c control) nothing(w http.ResponseWriter, r *http.Request) {
	complain(w, http.StatusNotFound, errors.New(r.Method+" "+r.URL.Path+
		": there are GET /, PUT and DELETE of /faults, /login-faults, /quota and /outage, DELETE /tokens, PUT /orders/{project}/{order}, and GET /calls"))
}

func complain(w http.ResponseWriter, status int, err error) {
	tell(w, status, map[string]string{"error": err.Error()})
}

func tell(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.Encode(body) // an error is the client's going away
}
