package answer

import (
	"net/http"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

// A Bearing is what the end of a call about one order says of the account.
type Bearing int

// The bearings.
const (
	Answers Bearing = iota // the API answers the account, whatever it says of the order
	Refuses                // the API refuses the account: the error says for what it is to be held
	Fails                  // no answer came from the API, or one that says that it cannot answer
	Neither                // an answer came that says nothing of the account, and shows no code of the API
)

// Bearing returns what a call says that ended with the error; nil: it was answered.
func (e *Error) Bearing() Bearing {
	switch {
	case e == nil:
		return Answers
	case e.Hold != "":
		return Refuses
	case e.Status == 0 && e.Class == watcher.Refused: // nothing was asked
		return Neither
	case e.Status == 0, e.status() >= http.StatusInternalServerError, e.status() == http.StatusRequestTimeout, e.status() == http.StatusProxyAuthRequired:
		return Fails
	case e.Class == watcher.NotFound, e.Class == watcher.Refused, e.status()/100 == 4 && isAPICode(e.Code):
		return Answers
	}
	return Neither
}

// TakesLogin reports whether a call that ended with the error shows that the login is accepted, also where
// the order could not be read: a call whose login is refused does not get so far. nil: it was answered.
func (e *Error) TakesLogin() bool {
	return e.Bearing() == Answers || e.Status == http.StatusOK || e.Hold != watcher.HeldLogin && strings.HasPrefix(e.Code, "ModelArts.")
}
