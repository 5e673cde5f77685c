package modelarts

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// An APIError is a poll that brought no answer. errors.AsType finds the *[watcher.PollError] in it.
type APIError struct {
	Status    int    // of the HTTP answer; 0 where there was none
	RequestID string // the API's X-Request-Id, for its support; empty where it gave none
	watcher.PollError
}

func (e *APIError) Error() string {
	s := e.PollError.Error()
	if e.Status != 0 {
		s = fmt.Sprintf("HTTP %d: %s", e.Status, s)
	}
	if e.RequestID != "" {
		s += " (request id " + e.RequestID + ")"
	}
	return s
}

// Unwrap returns the *[watcher.PollError].
func (e *APIError) Unwrap() error { return &e.PollError }

// A meaning is one row of the table that says what an error of the API means.
type meaning struct {
	status int    // 0: any
	code   string // APIG stands for APIGW too; empty: any
	text   string // a part of the message, in lower case; empty: any
	class  watcher.Class
	advice string        // added to the message, for people
	atRest time.Duration // the least RetryAfter
}

// What is said about the advice of several rows.
const (
	newLogin    = "renew the account's login"
	checkKey    = "check the access key and this machine's clock"
	permissions = "check the account's permissions and project"
	arrears     = "check the account's balance and state"
	wrongHost   = "this is no answer about the order: check the endpoint and the region"
)

// meanings is read from the top; the first row that fits counts. What fits none may pass. The
// codes are published ones, but none was seen at this call, which documents but 400 and 404.
var meanings = [...]meaning{
	{status: 429, class: watcher.Throttled},
	{code: "APIG.0308", class: watcher.Throttled},

	{status: 404, code: "ModelArts.50015001", class: watcher.NotFound},
	{status: 404, class: watcher.MayPass, advice: wrongHost}, // APIG.0101, a proxy's page, …

	{status: 400, code: "ModelArts.50004000", class: watcher.Refused},
	{status: 400, code: "ModelArts.0210", class: watcher.Refused, advice: "bad project id"},
	{status: 400, code: "ModelArts.0204", class: watcher.Refused, advice: "the token is of no project"},

	{status: 401, code: "ModelArts.6201", class: watcher.Credentials, advice: arrears},
	{status: 401, code: "ModelArts.6203", class: watcher.Credentials, advice: arrears},
	{status: 401, code: "APIG.0301", text: "failed to reach the limit", class: watcher.Credentials, // more than five failures lock the key for 5 min
		advice: "the access key is locked for a while: " + checkKey, atRest: 5 * time.Minute},
	{status: 401, code: "APIG.0301", text: "aksk", class: watcher.Credentials, advice: checkKey},
	{status: 401, code: "APIG.0301", text: "ak not exist", class: watcher.Credentials, advice: checkKey},
	{status: 401, code: "APIG.0301", text: "signature expired", class: watcher.Credentials, advice: checkKey},
	{status: 401, class: watcher.Credentials, advice: newLogin}, // APIG.0307, ModelArts.0202, …

	{status: 403, code: "ModelArts.4116", class: watcher.Credentials, advice: arrears},
	{status: 403, code: "ModelArts.4118", class: watcher.Credentials, advice: arrears},
	{status: 403, class: watcher.Credentials, advice: permissions}, // ModelArts.0210, .0108, APIG.0302, …

	{status: 407, class: watcher.MayPass, advice: "check the proxy's login"},
}

// meaningOf classifies by status, code and text together: ModelArts.0210 alone means three things.
func meaningOf(status int, code, text string) meaning {
	code = strings.Replace(code, "APIGW.", "APIG.", 1)
	text = strings.ToLower(text)
	for _, m := range meanings {
		if (m.status == 0 || m.status == status) && (m.code == "" || m.code == code) && strings.Contains(text, m.text) {
			return m
		}
	}
	return meaning{class: watcher.MayPass}
}

// refusal returns what an answer other than 200 means.
func refusal(resp *http.Response, body []byte, now time.Time, secrets []string) *APIError {
	code, text := readError(body)
	code, text = clean(code, maxCode, secrets), clean(text, maxMessage, secrets)
	m := meaningOf(resp.StatusCode, code, text)
	if text == "" {
		text = sentence(resp, body)
	}
	if resp.StatusCode/100 == 3 {
		text = redirect(resp, secrets)
	}
	if m.advice != "" {
		text += " (" + m.advice + ")"
	}
	wait := retryAfter(resp.Header.Get("Retry-After"), now)
	if wait == 0 && m.class == watcher.Throttled {
		wait = namedWindow(text)
	}
	return &APIError{
		Status:    resp.StatusCode,
		RequestID: requestID(resp, secrets),
		PollError: watcher.PollError{Class: m.class, Code: code, Message: text, RetryAfter: max(wait, m.atRest)},
	}
}

// redirect names only the host of where the answer points to.
func redirect(resp *http.Response, secrets []string) string {
	to := "elsewhere"
	if u, err := url.Parse(resp.Header.Get("Location")); err == nil && u.Hostname() != "" {
		to = clean("to "+u.Hostname(), maxCode, secrets)
	}
	return "the answer points " + to + ", and redirects are not followed: check the endpoint and the proxy"
}

// badAnswer is a 200 that cannot be used.
func badAnswer(resp *http.Response, message string, secrets []string) *APIError {
	e := newError(watcher.MayPass, clean(message, maxMessage, secrets))
	e.Status, e.RequestID = resp.StatusCode, requestID(resp, secrets)
	return e
}

// loginError is a request that could not be authorised.
func loginError(err error) *APIError {
	e := newError(watcher.Credentials, clean("log in: "+err.Error(), maxMessage, nil))
	if p, ok := errors.AsType[*watcher.PollError](err); ok {
		e.Class, e.Code, e.RetryAfter = p.Class, p.Code, p.RetryAfter
	}
	return e
}

func newError(class watcher.Class, message string) *APIError {
	return &APIError{PollError: watcher.PollError{Class: class, Message: message}}
}

func requestID(resp *http.Response, secrets []string) string {
	return clean(resp.Header.Get("X-Request-Id"), maxCode, secrets)
}
