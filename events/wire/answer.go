package wire

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

// An Accepted is the service's answer to a request to watch an order. The request is durably stored.
type Accepted struct {
	// WatchID names the watch that the request is in. It is a hint: follow a request by its id. Empty where
	// an earlier watch of the order answered it.
	WatchID string `json:"watch_id"`
	// State is watching where the request started the watch, joined where it joined one, ended where the watch
	// that answers the request has ended already, and checked where the request was to be checked alone.
	State     string `json:"state"`
	RequestID string `json:"request_id"` // the request's own, or made for it
}

// A CancelRequest asks that an order's watch be cancelled.
type CancelRequest struct {
	watcher.Order
	By     string `json:"by"`               // person or program, ≤ 200 characters; shown to people
	Reason string `json:"reason,omitempty"` // ≤ 500 characters; shown to people
}

// maxCancelReason is the longest reason of a cancel, in characters.
const maxCancelReason = 500

// A ServiceError is a request that the service did not carry out.
type ServiceError struct {
	Code   int    `json:"code"`            // 400 wrong, 403 the team may not, 404 no such watch, 409 it has ended, 410 its record cannot be read, 429 the team is beyond its limits, 503 not known or not now: ask again
	Field  string `json:"field,omitempty"` // of the request, with 400 and 403
	Reason string `json:"reason"`          // what is wrong and what would be right
}

func (e *ServiceError) Error() string { return e.Reason }

// OneLine returns the text as a header can hold it.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

var semver = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// Semantic returns the version as the service is to announce it: 0.0.0 where it has no number.
func Semantic(version string) string {
	if v := strings.TrimPrefix(version, "v"); semver.MatchString(v) {
		return v
	}
	return "0.0.0"
}

// DecodeCancel reads a request to cancel a watch. The error is a *[watcher.FieldError].
func (rules Rules) DecodeCancel(body []byte) (CancelRequest, error) {
	c := CancelRequest{Order: watcher.Order{ProjectID: rules.DefaultProject}}
	err := readFields(body, "this request", append(orderFields(&c.Order),
		field{"by", text(200, &c.By)}, field{"reason", text(maxCancelReason, &c.Reason)})...)
	return c, cmp.Or(err, checkOrder(c.Order), refuseIf(c.By == "", "by", "is required: who cancels"))
}

// DecodeOrder reads a request that names an order and nothing else. The error is a *[watcher.FieldError].
func (rules Rules) DecodeOrder(body []byte) (watcher.Order, error) {
	order := watcher.Order{ProjectID: rules.DefaultProject}
	err := readFields(body, "this request", orderFields(&order)...)
	return order, cmp.Or(err, checkOrder(order))
}

func orderFields(to *watcher.Order) []field {
	return []field{{"project_id", text(64, &to.ProjectID)}, {"order_name", text(128, &to.Name)}}
}

// checkOrder refuses an order of which a part is missing or wrong.
func checkOrder(order watcher.Order) error {
	return cmp.Or(
		refuseIf(order.ProjectID == "", "project_id", "is required"),
		refuseIf(order.Name == "", "order_name", "is required"),
		order.Validate(),
	)
}
