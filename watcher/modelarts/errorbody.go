package modelarts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// errorBody is every shape of error that was seen behind Huawei Cloud's endpoints, in one.
type errorBody struct {
	ErrorCode text `json:"error_code"` // ModelArts and its gateway
	ErrorMsg  text `json:"error_msg"`

	Error nestedError `json:"error"` // IAM, EPS

	Code    text `json:"code"`
	Message text `json:"message"`

	CamelCode    text `json:"errorCode"`
	CamelMessage text `json:"errorMessage"`
}

// A nestedError is {"code","message","title"}; IAM's code is a number. Some send a plain text.
type nestedError struct{ code, message text }

func (e *nestedError) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return e.message.UnmarshalJSON(b)
	}
	var o struct{ Code, Message, Title text }
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	e.code, e.message = o.Code, first(o.Message, o.Title)
	return nil
}

// A text is a string or a number; anything else is empty.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(t))
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
		*t = text(b)
	}
	return nil
}

func first(texts ...text) text {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// readError returns the code and the message of an error's body, as far as it has them.
// A body that is neither JSON nor HTML is the message.
func readError(body []byte) (code, message string) {
	body = bytes.TrimSpace(body)
	var e errorBody
	if err := json.Unmarshal(body, &e); err != nil {
		if len(body) == 0 || bytes.ContainsAny(body[:1], `<{["`) {
			return "", ""
		}
		return "", string(body)
	}
	return string(first(e.ErrorCode, e.CamelCode, e.Error.code, e.Code)),
		string(first(e.ErrorMsg, e.CamelMessage, e.Error.message, e.Message))
}

// sentence says what came where there is no message.
func sentence(resp *http.Response, body []byte) string {
	what := "without a message"
	switch body = bytes.TrimSpace(body); {
	case len(body) == 0:
		what = "without a body"
	case body[0] == '<':
		what = "as a web page, perhaps of a proxy"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))) + ", " + what
}

const maxRetryAfter = 15 * time.Minute

// retryAfter reads the header: whole seconds or a date. What is neither counts as not said.
func retryAfter(header string, now time.Time) time.Duration {
	if header == "" {
		return 0
	}
	if strings.Trim(header, "0123456789") == "" {
		seconds, err := strconv.ParseUint(header, 10, 32)
		if err != nil { // absurdly many
			return maxRetryAfter
		}
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	date, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}

// window is how the gateway names its limit: "… over ratelimit,limit:200,time:1 minute".
var window = regexp.MustCompile(`time: ?(\d{1,4}) ?(second|minute|hour|day)`)

// namedWindow returns the span of time that a limit counts over, at most one minute, 0 where the
// text names none. After a whole window the count is new.
func namedWindow(text string) time.Duration {
	m := window.FindStringSubmatch(strings.ToLower(text))
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n == 0 {
		return 0
	}
	if m[2] == "second" {
		return min(time.Duration(n)*time.Second, time.Minute)
	}
	return time.Minute
}
