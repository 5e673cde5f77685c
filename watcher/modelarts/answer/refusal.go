package answer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// refusal returns what an answer means that is no order. A 200 is read as the status that its error's
// code stands for; why is what is wrong with it, where it does not say so itself.
func refusal(resp *http.Response, body []byte, why error, now time.Time, hidden *foreign.Secrets) *Error {
	said := readErrorBody(body)
	code, text := clean(said.anyCode(), maxCode, hidden), clean(said.anyMessage(), maxMessage, hidden)
	verbatim, status := text, resp.StatusCode
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
	case why != nil && code == "" && (text == "" || !said.spoils() && !errors.Is(why, errNeither)):
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
	if strings.HasPrefix(code, "ModelArts.") || strings.HasPrefix(plainCode(code), "APIG.") {
		e.Said = verbatim
	}
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

func badAnswer(resp *http.Response, message string, hidden *foreign.Secrets) *Error {
	e := noAnswer.error(clean(message, maxMessage, hidden))
	e.Status, e.RequestID = resp.StatusCode, requestID(resp, hidden)
	return e
}

func requestID(resp *http.Response, hidden *foreign.Secrets) string {
	return clean(resp.Header.Get("X-Request-Id"), maxCode, hidden)
}

// LoginRefusal is the error of an answer of a service that logs in, such as IAM, which is not the one that
// was hoped for. class and advice are what the caller read out of it.
func LoginRefusal(resp *http.Response, body []byte, class watcher.Class, advice string, now time.Time, hidden *foreign.Secrets) *Error {
	code, text := Words(body)
	text = clean(text, maxMessage/2, hidden)
	if text == "" {
		text = sentence(resp, body)
	}
	e := NewError(class, fmt.Sprintf("%s answered %d: %s (%s)", resp.Request.URL.Host, resp.StatusCode, text, advice))
	if code != strconv.Itoa(resp.StatusCode) { // IAM's is nothing else
		e.Code = clean(code, maxCode, hidden)
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	return e
}
