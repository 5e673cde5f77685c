package answer

import (
	"net/http"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

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

// error returns an error of this meaning; the advice follows the message.
func (m *meaning) error(message string) *Error {
	if m.advice != "" {
		message += inBrackets(m.advice)
	}
	return &Error{
		PollError: watcher.PollError{Class: m.class, Message: message, Advice: m.advice},
		Hold:      m.hold, Locks: m.locks,
	}
}
