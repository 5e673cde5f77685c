package modelarts

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// An APIError is a poll that brought no answer. errors.AsType finds the *[watcher.PollError] in it.
type APIError struct {
	Status    int    // of the HTTP answer; 0 where there was none
	RequestID string // the API's X-Request-Id, for its support; empty where it gave none
	watcher.PollError

	as    int // the status that a 200 was read as, for its error's code; 0: the own one
	hold  watcher.HoldKind
	locks bool // more of the same lock the login: the hold is a long one at least
	cut   bool // there was a connection, and it ended before the answer did
}

func (e *APIError) Error() string {
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

// status returns the status of the answer, or the one that a 200 with an error's code was read as.
func (e *APIError) status() int { return cmp.Or(e.as, e.Status) }

// Unwrap returns the *[watcher.PollError].
func (e *APIError) Unwrap() error { return &e.PollError }

// advise puts another advice at the end of the message.
func (e *APIError) advise(advice string) {
	if e.Advice == "" {
		return
	}
	e.Message = strings.TrimSuffix(e.Message, inBrackets(e.Advice)) + inBrackets(advice)
	e.Advice = advice
}

func inBrackets(advice string) string { return " (" + advice + ")" }

// A meaning says what an error leads to.
type meaning struct {
	class  watcher.Class
	hold   watcher.HoldKind
	locks  bool   // more of the same lock the login for a while
	advice string // added to the message: what people can do
}

var (
	tooOften     = meaning{class: watcher.Throttled, hold: watcher.HeldThrottled, advice: "if this lasts, lower ORDERWATCH_MODELARTS_RATE or have the quota raised"}
	unknownOrder = meaning{class: watcher.NotFound, advice: "check the order's name, project and region; the name is not the billing order id"}
	wrongHost    = meaning{class: watcher.MayPass, advice: "this is no answer about the order: check the endpoint and the region"}

	badRequest = meaning{class: watcher.Refused, advice: "check the order's name and project"}
	badProject = meaning{class: watcher.Refused, advice: "check the project id"}
	noProject  = meaning{class: watcher.Refused, advice: "the token is of no project: log in to the order's project"}

	deadToken     = meaning{class: watcher.Credentials, hold: watcher.HeldLogin, advice: "renew the account's login"}
	wrongKey      = meaning{class: watcher.Credentials, hold: watcher.HeldLogin, locks: true, advice: "check the access key and this machine's clock"}
	lockedKey     = meaning{class: watcher.Credentials, hold: watcher.HeldLogin, locks: true, advice: "the access key is locked for a while: check it, its secret and this machine's clock"}
	wrongPassword = meaning{class: watcher.Credentials, hold: watcher.HeldLogin, locks: true, advice: "check the user, the password and the domain"}
	wrongLogin    = meaning{class: watcher.Credentials, hold: watcher.HeldLogin, locks: true, advice: "check the account's login"}
	noLogin       = meaning{class: watcher.Credentials, hold: watcher.HeldLogin, advice: "check the account's login, the endpoint and the proxy"}

	forbidden    = meaning{class: watcher.Forbidden, hold: watcher.HeldPermission, advice: "check the order's project and the account's permissions"}
	forbiddenAll = meaning{class: watcher.Credentials, hold: watcher.HeldPermission, advice: "check the account's permissions, the endpoint and the proxy"}
	arrears      = meaning{class: watcher.Credentials, hold: watcher.HeldArrears, advice: "check the account's balance and state"}

	noAnswer   = meaning{class: watcher.MayPass, advice: "this order cannot be read; if this lasts, ask Huawei Cloud's support with the request id"}
	orderFails = meaning{class: watcher.MayPass, advice: "ModelArts could not answer about this order; if this lasts, ask Huawei Cloud's support with the request id"}
	proxyFails = meaning{class: watcher.MayPass, advice: "if this lasts, check the proxy and the endpoint"}
	proxyLogin = meaning{class: watcher.MayPass, advice: "check the proxy's login"}
	outage     = meaning{class: watcher.MayPass, advice: "if this lasts, look at the proxy and at Huawei Cloud's state, or ask its support"}
	unknown    = meaning{class: watcher.MayPass, advice: "if this lasts, ask Huawei Cloud's support what it means"}
	ambiguous  = meaning{class: watcher.MayPass, advice: "the code came with HTTP 200 and means other things with 400 and with 403: if this lasts, check the order's project"}
)

// A row says which answers have a meaning: those that fit in all that it names.
type row struct {
	status int   // 0: any
	codes  oneOf // one is the code; APIG stands for APIGW too; none: any
	texts  oneOf // one is a part of the message, in lower case; none: any
	means  meaning
}

type oneOf []string

// meanings is read from the top; the first row that fits counts. The codes and texts are
// published ones, but none was seen at this call, which documents but 400 and 404.
var meanings = [...]row{
	{status: 429, means: tooOften},
	{codes: oneOf{"APIG.0308"}, means: tooOften},

	{status: 404, codes: oneOf{"ModelArts.50015001"}, means: unknownOrder},
	{status: 404, codes: oneOf{"APIG.0101"}, means: wrongHost},
	{status: 404, means: wrongHost}, // a proxy's page, …

	{status: 400, codes: oneOf{"ModelArts.50004000"}, means: badRequest},
	{status: 400, codes: oneOf{"ModelArts.0210"}, means: badProject},
	{status: 400, codes: oneOf{"ModelArts.0204"}, means: noProject},

	{status: 401, codes: oneOf{"ModelArts.6201", "ModelArts.6203"}, means: arrears},
	{status: 401, codes: oneOf{"APIG.0307", "ModelArts.0202", "ModelArts.4127", // expired
		"ModelArts.0203", "ModelArts.4201", "ModelArts.5002", "ModelArts.6620"}, means: deadToken},
	{status: 401, texts: oneOf{"decrypt token fail", "token expires", "token must be updated"}, means: deadToken},
	{status: 401, texts: oneOf{"failed to reach the limit"}, means: lockedKey},
	{status: 401, texts: oneOf{"aksk", "ak not exist", "signature expired"}, means: wrongKey},
	{status: 401, texts: oneOf{"password"}, means: wrongPassword}, // IAM
	{status: 401, codes: oneOf{"APIG.0301"}, means: wrongLogin},
	{status: 401, means: noLogin},

	{status: 403, codes: oneOf{"ModelArts.4116", "ModelArts.4118"}, means: arrears},
	{status: 403, codes: oneOf{"ModelArts.0210", // the project differs from the token's
		"ModelArts.0108", "ModelArts.0112", "APIG.0302", "APIG.0306", "APIG.0310", "APIG.0802"}, means: forbidden},
	{status: 403, means: forbiddenAll},

	{status: 407, means: proxyLogin},
	{status: 408, means: outage},
	{status: 500, codes: oneOf{"APIG.0601", "APIG.0605", "APIG.0606", "APIG.0608",
		"ModelArts.50005000", "ModelArts.0010", "ModelArts.5039"}, means: outage},
	{status: 500, means: outage},
	{status: 502, means: outage},
	{status: 503, means: outage},
	{status: 504, means: outage},

	{status: 200, codes: oneOf{""}, means: noAnswer}, // a page, another object, …
	{status: 200, codes: oneOf{"ModelArts.0210"}, means: ambiguous},
	{means: unknown},
}

// meaningOf classifies by status, code and text together: ModelArts.0210 alone means three things.
func meaningOf(status int, code, text string) meaning {
	code = plainCode(code)
	text = strings.ToLower(text)
	for _, r := range meanings {
		if r.fits(status, code, text) {
			return r.means
		}
	}
	return unknown
}

// plainCode returns the code with the one of the gateway's two prefixes that the table has.
func plainCode(code string) string { return strings.Replace(code, "APIGW.", "APIG.", 1) }

// statusOfCode returns the status that a 200 with the error's code is read as: the one of all rows that
// name the code. It is 200 where no row does, or rows of several statuses do.
func statusOfCode(code string) int {
	status, code := http.StatusOK, plainCode(code)
	for _, r := range meanings {
		switch {
		case r.status == 0, !slices.Contains(r.codes, code):
		case status == http.StatusOK:
			status = r.status
		case status != r.status:
			return http.StatusOK
		}
	}
	return status
}

func (r *row) fits(status int, code, text string) bool {
	isPart := func(part string) bool { return strings.Contains(text, part) }
	return (r.status == 0 || r.status == status) &&
		(len(r.codes) == 0 || slices.Contains(r.codes, code)) &&
		(len(r.texts) == 0 || slices.ContainsFunc(r.texts, isPart))
}

// refusal returns what an answer means that is no order. A 200 is read as the status that its error's
// code stands for; why is what is wrong with it, where it does not say so itself.
func refusal(resp *http.Response, body []byte, why error, now time.Time, hidden *foreign.Secrets) *APIError {
	said := readErrorBody(body)
	code, text := clean(said.anyCode(), maxCode, hidden), clean(said.anyMessage(), maxMessage, hidden)
	status := resp.StatusCode
	if status == http.StatusOK {
		status = cmp.Or(said.status(), statusOfCode(code))
	}
	m := meaningOf(status, code, text)
	wait := retryAfter(resp.Header.Get("Retry-After"), now)
	if wait == 0 && m.class == watcher.Throttled {
		wait = namedWindow(text)
	}
	switch {
	case resp.StatusCode/100 == 3:
		text, m.advice = redirect(resp, hidden), ""
	case why != nil && code == "" && (text == "" || !said.spoils() && !errors.Is(why, errNoOrder)):
		text = clean(fmt.Sprintf("read the answer of %s: %v", resp.Request.URL.Host, why), maxMessage, hidden)
	case text == "":
		text = sentence(resp, body)
	}
	if status == resp.StatusCode || isAPICode(code) {
		m, text = blamed(status, code, text, m)
	}
	e := m.error(text)
	e.Status, e.RequestID = resp.StatusCode, requestID(resp, hidden)
	e.Code, e.RetryAfter = code, wait
	if status != resp.StatusCode {
		e.as = status
	}
	return e
}

// blamed says whose an error is that may pass: the order's, where ModelArts itself answers so, or a
// proxy's.
func blamed(status int, code, text string, m meaning) (meaning, string) {
	switch ofAPI := isAPICode(code); {
	case m.class != watcher.MayPass:
	case ofAPI && (status >= http.StatusInternalServerError || status == http.StatusRequestTimeout):
		m = orderFails
	case status == http.StatusProxyAuthRequired, !ofAPI && proxyStatus(status):
		if status != http.StatusProxyAuthRequired {
			m = proxyFails
		}
		if named := strconv.Itoa(status); !strings.HasPrefix(text, named) {
			text = named + ": " + text
		}
		text = "a proxy answered " + strings.TrimSuffix(text, ", perhaps of a proxy")
	}
	return m, text
}

// proxyStatus reports whether an answer with the status that shows no code of the API is a proxy's own.
func proxyStatus(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// isAPICode reports whether the code of an error's body is one of the API's, such as
// ModelArts.50005000. Others repeat the status there.
func isAPICode(code string) bool { return strings.Trim(code, "0123456789") != "" }

// redirect names only the host of where the answer points to.
func redirect(resp *http.Response, hidden *foreign.Secrets) string {
	to := "elsewhere"
	if u, err := url.Parse(resp.Header.Get("Location")); err == nil && u.Hostname() != "" {
		to = clean("to "+u.Hostname(), maxCode, hidden)
	}
	return "the answer points " + to + ", and redirects are not followed: check the endpoint and the proxy"
}

// badAnswer is a 200 that was not read.
func badAnswer(resp *http.Response, message string, hidden *foreign.Secrets) *APIError {
	e := noAnswer.error(clean(message, maxMessage, hidden))
	e.Status, e.RequestID = resp.StatusCode, requestID(resp, hidden)
	return e
}

// loginError is a request that could not be authorised. What is known of the reason is kept.
func loginError(err error) *APIError {
	if known, ok := errors.AsType[*APIError](err); ok {
		e := *known
		e.Message = "log in: " + e.Message
		return &e
	}
	message := clean("log in: "+err.Error(), maxMessage, nil)
	if p, ok := errors.AsType[*watcher.PollError](err); ok {
		e := newError(p.Class, message)
		e.Code, e.RetryAfter = p.Code, p.RetryAfter
		return e
	}
	return noLogin.error(message)
}

// newError returns an error of a class, with the hold that goes with it.
func newError(class watcher.Class, message string) *APIError {
	m := meaning{class: class}
	switch class {
	case watcher.Throttled:
		m.hold = watcher.HeldThrottled
	case watcher.Credentials:
		m.hold = watcher.HeldLogin
	case watcher.Forbidden:
		m.hold = watcher.HeldPermission
	}
	return m.error(message)
}

// error returns an error of this meaning; the advice follows the message.
func (m *meaning) error(message string) *APIError {
	if m.advice != "" {
		message += inBrackets(m.advice)
	}
	return &APIError{
		PollError: watcher.PollError{Class: m.class, Message: message, Advice: m.advice},
		hold:      m.hold, locks: m.locks,
	}
}

func requestID(resp *http.Response, hidden *foreign.Secrets) string {
	return clean(resp.Header.Get("X-Request-Id"), maxCode, hidden)
}
