package answer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// An Error is a poll that brought no answer. errors.AsType finds the *[watcher.PollError] in it.
type Error struct {
	Status    int    // of the HTTP answer; 0 where there was none
	RequestID string // the API's X-Request-Id, for its support; empty where it gave none
	watcher.PollError

	Hold  watcher.HoldKind // for what the account is to be held because of it; empty: for nothing
	Locks bool             // more of the same lock the login for a while
	Cut   bool             // there was a connection, and it ended before the answer did

	as int // the status that a 200 was read as, for its error's code; 0: the own one
}

// NewError returns an error of a class, with the hold that goes with it. Where the message holds a text of
// others it must have been cleaned.
func NewError(class watcher.Class, message string) *Error {
	m := meaning{class: class, hold: usualHolds[class]}
	return m.error(message)
}

// usualHolds are for what an account is held because of an error of a class; for nothing with other classes.
var usualHolds = map[watcher.Class]watcher.HoldKind{
	watcher.Throttled: watcher.HeldThrottled, watcher.Credentials: watcher.HeldLogin, watcher.Forbidden: watcher.HeldPermission,
}

// NetworkError says that a call brought no answer, or not all of one. doing is what was done, such as
// "ask example.com". The error shows neither a URL nor what is hidden.
func NetworkError(doing string, err error, hidden *foreign.Secrets) *Error {
	cause := err
	if u, ok := errors.AsType[*url.Error](err); ok { // it prints the whole URL
		cause = u.Err
	}
	e := NewError(watcher.MayPass, clean(doing+": "+cause.Error(), maxMessage, hidden))
	for _, cut := range [...]error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		e.Cut = e.Cut || errors.Is(err, cut)
	}
	return e
}

// LoginError says that a request could not be authorised. What is known of the reason is kept: the class,
// the code and the time of a *[watcher.PollError], and the whole of an *[Error].
func LoginError(err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		e := *known
		e.Message, e.Cut = "log in: "+e.Message, false // the connection was not one to the API
		return &e
	}
	message := clean("log in: "+err.Error(), maxMessage, nil)
	if p, ok := errors.AsType[*watcher.PollError](err); ok {
		e := NewError(p.Class, message)
		e.Code, e.Said, e.RetryAfter = p.Code, p.Said, p.RetryAfter
		return e
	}
	return noLogin.error(message)
}

// ProxyError says that a proxy makes no connection, where it answers so; nil with 200.
func ProxyError(status int) error {
	if status == http.StatusOK {
		return nil
	}
	means := proxyFails
	if status == http.StatusProxyAuthRequired {
		means = proxyLogin
	}
	return fmt.Errorf("a proxy answered %d %s%s", status, http.StatusText(status), inBrackets(means.advice))
}

// Error says what happened, with the status, the API's code and the request id where they are known.
func (e *Error) Error() string {
	s := e.PollError.Error()
	switch {
	case e.as != 0:
		s = fmt.Sprintf("HTTP %d, read as %d: %s", e.Status, e.as, s)
	case e.Status != 0:
		s = fmt.Sprintf("HTTP %d: %s", e.Status, s)
	}
	if e.RequestID != "" {
		s += " (request id " + e.RequestID + ")"
	}
	return s
}

// Unwrap returns the *[watcher.PollError].
func (e *Error) Unwrap() error { return &e.PollError }

// Unauthorized reports whether the answer was a 401, or a 200 with an error that means one.
func (e *Error) Unauthorized() bool { return e.status() == http.StatusUnauthorized }

// status returns the status of the answer, or the one that a 200 with an error's code was read as.
func (e *Error) status() int { return cmp.Or(e.as, e.Status) }

// Advise puts what people can do about this login in place of the general advice, where the login is
// refused; nothing where that is empty. A refusal without a code of the API may be a proxy's: then the advice says so.
func (e *Error) Advise(login string) {
	if login == "" || e.Hold != watcher.HeldLogin || e.Advice == "" {
		return
	}
	if !isAPICode(e.Code) {
		login += "; check the endpoint and the proxy, too"
	}
	e.Message = strings.TrimSuffix(e.Message, inBrackets(e.Advice)) + inBrackets(login)
	e.Advice = login
}

func inBrackets(advice string) string { return " (" + advice + ")" }
