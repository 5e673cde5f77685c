package answer

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// An errorBody is every shape of error that was seen behind Huawei Cloud's endpoints, in one. Of a key
// that stands twice the first that says something counts.
type errorBody struct {
	code, message           string // error_code, error_msg: ModelArts and its gateway
	camelCode, camelMessage string // errorCode, errorMessage
	nested                  struct {
		code, message, title string // error: IAM, EPS; a plain text is a message
		flag                 bool   // "error": true
	}
	plainCode, plainMessage string // code, message: some gateways
	body                    string // the whole, where it is no JSON
}

// Words returns the code and the message of an error's body, as far as it has them, as they came. A body
// that is neither JSON nor HTML is the message.
func Words(body []byte) (code, message string) {
	e := readErrorBody(body)
	return e.anyCode(), e.anyMessage()
}

func readErrorBody(body []byte) errorBody {
	body = bytes.TrimSpace(Unmarked(body))
	top, err := objectIn(body)
	switch {
	case err == nil:
		return errorOf(top)
	case len(body) == 0, bytes.ContainsAny(body[:1], `<{["`), string(body) == "null":
		return errorBody{}
	}
	return errorBody{body: string(body)}
}

func errorOf(top value) (e errorBody) {
	for key, v := range top.members() {
		e.take(key, v)
	}
	return e
}

// take keeps what a member of the body says of an error.
func (e *errorBody) take(key []byte, v value) {
	if spelling(key, "error") > 0 {
		e.setNested(v)
		return
	}
	texts{
		{"error_code", &e.code}, {"error_msg", &e.message}, {"errorCode", &e.camelCode}, {"errorMessage", &e.camelMessage},
		{"code", &e.plainCode}, {"message", &e.plainMessage},
	}.take(key, v)
}

func (e *errorBody) setNested(v value) {
	known := false
	if v.isObject() {
		said := texts{{"code", &e.nested.code}, {"message", &e.nested.message}, {"title", &e.nested.title}}
		for key, v := range v.members() {
			known = said.take(key, v) || known
		}
	}
	e.nested.flag = e.nested.flag || string(v) == "true"
	if !known {
		set(&e.nested.message, v)
	}
}

// texts are where the texts under some names go.
type texts []struct {
	name string
	said *string
}

// take reports whether the key is one of the names, and then keeps the text.
func (t texts) take(key []byte, v value) bool {
	for _, text := range t {
		if spelling(key, text.name) > 0 {
			set(text.said, v)
			return true
		}
	}
	return false
}

// set keeps what an error's code or message says where nothing was said yet.
func set(said *string, v value) {
	if *said == "" {
		*said = says(v)
	}
}

// says returns the text of an error's code or message, empty where it says nothing or success.
func says(v value) string {
	if v.isNull() || v.isBool() || v.isEmpty() {
		return ""
	}
	text := strings.TrimFunc(v.text(), blank)
	if text == "" || success(text) {
		return ""
	}
	return text
}

// success reports whether a code or a message says that nothing is wrong: OK, success, 0, 200 and the like.
func success(text string) bool {
	switch strings.ToLower(text) {
	case "ok", "success", "succeed", "succeeded", "successful":
		return true
	}
	n, err := strconv.ParseFloat(text, 64)
	return err == nil && (n == 0 || n >= 200 && n < 300)
}

func (e *errorBody) anyCode() string {
	return cmp.Or(e.code, e.camelCode, e.nested.code, e.plainCode)
}

func (e *errorBody) anyMessage() string {
	return cmp.Or(e.errorMessage(), e.plainMessage, e.body)
}

// errorMessage returns the message that is an error's by its name.
func (e *errorBody) errorMessage() string {
	return cmp.Or(e.message, e.camelMessage, e.nested.message, e.nested.title)
}

// spoils reports whether a body with count or items is an error all the same. A message alone may
// stand beside them.
func (e *errorBody) spoils() bool {
	return e.nested.flag || e.anyCode() != "" || e.errorMessage() != ""
}

// status returns the status that IAM says in the place of a code, 0 where there is none.
func (e *errorBody) status() int {
	status, err := strconv.Atoi(e.nested.code)
	if err != nil || status < 400 || status > 599 || e.anyCode() != e.nested.code {
		return 0
	}
	return status
}

// What an answer is that brings nothing.
const (
	withoutBody = "without a body"
	asPage      = "as a web page, perhaps of a proxy"
)

func sentence(resp *http.Response, body []byte) string {
	what := "without a message"
	switch body = bytes.TrimSpace(Unmarked(body)); {
	case len(body) == 0:
		what = withoutBody
	case body[0] == '<':
		what = asPage
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))) + ", " + what
}
