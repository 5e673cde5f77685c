package modelarts

import (
	"net/http"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A bearing is what the end of a call about one order says of the account.
type bearing int

const (
	answers bearing = iota // the API answers the account, whatever it says of the order
	refuses                // the API refuses the account: the error says for what it is to be held
	fails                  // no answer came from the API, or one that says that it cannot answer
	neither                // an answer came that says nothing of the account, and shows no code of the API
)

// bearingOf returns what a call says that ended with the error; nil: it was answered.
func bearingOf(e *APIError) bearing {
	switch {
	case e == nil:
		return answers
	case e.hold != "":
		return refuses
	case e.Status == 0 && e.Class == watcher.Refused: // nothing was asked
		return neither
	case e.Status == 0, e.status() >= http.StatusInternalServerError, e.status() == http.StatusRequestTimeout, e.status() == http.StatusProxyAuthRequired:
		return fails
	case e.Class == watcher.NotFound, e.Class == watcher.Refused, e.status()/100 == 4 && isAPICode(e.Code):
		return answers
	}
	return neither
}

// takesLogin reports whether a call that ended with the error shows that the login is accepted, also where
// the order could not be read: refused ones do not get so far.
func takesLogin(e *APIError) bool {
	return bearingOf(e) == answers || e.Status == http.StatusOK || e.hold != watcher.HeldLogin && strings.HasPrefix(e.Code, "ModelArts.")
}

// A call asks for an order.
type call struct {
	order        watcher.Order
	began, ended time.Time
	asked        *inquiry // what a witness showed that was asked before; nil: none was
}
