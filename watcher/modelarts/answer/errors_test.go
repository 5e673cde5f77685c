package answer_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A verdict is what an answer means.
type verdict struct {
	class  watcher.Class
	hold   watcher.HoldKind
	locks  bool
	advice string // a part of it
}

func (v verdict) of(e *answer.Error) bool {
	return e.Class == v.class && e.Hold == v.hold && e.Locks == v.locks && strings.Contains(e.Message, v.advice)
}

const throttling = "The throttling threshold has been reached: policy user over ratelimit,limit:200,time:1 minute"

// The decision table, row by row: every code with every prefix in every shape of a body.
func TestMeanings(t *testing.T) {
	var (
		unknown    = verdict{class: watcher.MayPass, advice: "ask Huawei Cloud's support what it means"}
		outage     = verdict{class: watcher.MayPass, advice: "look at the proxy and at Huawei Cloud's state"}
		orderFails = verdict{class: watcher.MayPass, advice: "ModelArts could not answer about this order; if this lasts, ask Huawei Cloud's support with the request id"}
		gateway    = verdict{class: watcher.MayPass, advice: "a proxy answered 50"}
		proxy      = verdict{class: watcher.MayPass, advice: "check the proxy's login"}
		wrongHost  = verdict{class: watcher.MayPass, advice: "check the endpoint and the region"}
		notFound   = verdict{class: watcher.NotFound, advice: "check the order's name"}
		bad        = verdict{class: watcher.Refused, advice: "check the order's name and project"}
		badProject = verdict{class: watcher.Refused, advice: "check the project id"}
		noProject  = verdict{class: watcher.Refused, advice: "log in to the order's project"}
		throttled  = verdict{class: watcher.Throttled, hold: "throttled", advice: "lower ORDERWATCH_MODELARTS_RATE"}
		login      = verdict{class: watcher.Credentials, hold: "login", advice: "renew the token in ORDERWATCH_MODELARTS_TOKEN"}
		locking    = verdict{class: watcher.Credentials, hold: "login", locks: true, advice: "renew the token in ORDERWATCH_MODELARTS_TOKEN"}
		forbidden  = verdict{class: watcher.Forbidden, hold: "permission", advice: "the account's permissions"}
		locked403  = verdict{class: watcher.Credentials, hold: "permission", advice: "check the account's permissions"}
		arrears    = verdict{class: watcher.Credentials, hold: "arrears", advice: "check the account's balance"}
	)
	iam := func(what string) string { return "Incorrect IAM authentication information: " + what }
	for _, tt := range []struct {
		status int
		codes  string
		text   string
		want   verdict // of code and text
		byText verdict // of the text alone, and the status
		bare   verdict // of the status alone
	}{
		{404, "ModelArts.50015001", "Order x not found.", notFound, wrongHost, wrongHost},
		{404, "APIG.0101", "The API does not exist or has not been published in the environment", wrongHost, wrongHost, wrongHost},
		{404, "ModelArts.0404", "no such thing", wrongHost, wrongHost, wrongHost},

		{400, "ModelArts.50004000", "Bad request.", bad, unknown, unknown},
		{400, "ModelArts.0210", "Invalid project id.", badProject, unknown, unknown},
		{400, "ModelArts.0204", "The token has no project.", noProject, unknown, unknown},
		{400, "APIG.0106 ModelArts.50015001", "something else", unknown, unknown, unknown},

		{401, "APIG.0307", "The token must be updated.", login, login, login},
		{401, "APIG.0307", "something else", login, login, login},
		{401, "ModelArts.0202 ModelArts.4127", "Token expired.", login, login, login},
		{401, "ModelArts.0203 ModelArts.4201 ModelArts.5002 ModelArts.6620", "Invalid token.", login, login, login},
		{401, "APIG.0301", iam("decrypt token fail"), login, login, login},
		{401, "APIG.0301", iam("token expires"), login, login, login},

		{401, "APIG.0301", iam("verify aksk signature fail"), locking, locking, login},
		{401, "APIG.0301", iam("ak not exist"), locking, locking, login},
		{401, "APIG.0301", iam("signature expired"), locking, locking, login},
		{401, "APIG.0301", iam("AK access failed to reach the limit,forbidden"), locking, locking, login},
		{401, "APIG.0301", iam("x-auth-token not found"), locking, login, login},
		{401, "401 IAM.0001", "The username or password is wrong.", locking, locking, login},
		{401, "APIG.0102 ModelArts.0210", "something else", login, login, login},

		{403, "ModelArts.0210", "The project differs from the token's.", forbidden, locked403, locked403},
		{403, "ModelArts.0108 ModelArts.0112", "No permission.", forbidden, locked403, locked403},
		{403, "APIG.0302 APIG.0306 APIG.0310 APIG.0802", "No permission.", forbidden, locked403, locked403},
		{403, "ModelArts.50015001 APIG.0301", "something else", locked403, locked403, locked403},

		{403, "ModelArts.4116 ModelArts.4118", "The account is in arrears or frozen.", arrears, locked403, locked403},
		{401, "ModelArts.6201 ModelArts.6203", "The account is in arrears or frozen.", arrears, login, login},

		{429, "APIG.0308", throttling, throttled, throttled, throttled},
		{429, "ModelArts.50004290 EPS.0003", "Slow down.", throttled, throttled, throttled},
		{503, "APIG.0308", throttling, throttled, gateway, gateway},

		{408, "APIG.0201", "Request timeout.", orderFails, outage, outage},
		{500, "APIG.0601 APIG.0605 APIG.0606 APIG.0608", "Internal server error.", orderFails, outage, outage},
		{500, "ModelArts.50005000 ModelArts.0010 ModelArts.5039", "Internal error.", orderFails, outage, outage},
		{502, "APIG.0201 A.1", "Bad gateway.", orderFails, gateway, gateway},
		{503, "APIG.0604 A.1", "Service unavailable.", orderFails, gateway, gateway},
		{504, "APIG.0201 A.1", "Backend timeout.", orderFails, gateway, gateway},
		{599, "A.1", "something else", orderFails, unknown, unknown},
		{407, "A.1", "Log in to the proxy.", proxy, proxy, proxy},
	} {
		for _, code := range prefixed(tt.codes) {
			for shape, want := range map[emulator.Shape]verdict{
				emulator.Documented: tt.want, emulator.Nested: tt.want, emulator.Plain: tt.want, emulator.CamelError: tt.want,
				emulator.NestedInt: tt.byText, emulator.HTML: tt.bare, emulator.Empty: tt.bare,
			} {
				err := refused(t, emulator.Fault{Status: tt.status, Shape: shape, Code: code, Message: tt.text})
				if !want.of(err) || err.Status != tt.status {
					t.Errorf("%d %s %q as %q: got %s, held for %q at least %v, %q; want %+v",
						tt.status, code, tt.text, shape, err.Class, err.Hold, err.Locks, err.Message, want)
				}
				if err.RequestID == "" || !strings.Contains(err.Error(), err.RequestID) {
					t.Errorf("%d %s: request id %q in %q", tt.status, code, err.RequestID, err)
				}
			}
		}
	}
	for _, f := range []emulator.Fault{
		{Cut: true}, {Status: 200, Body: "{}", Cut: true, CutAfter: 1}, {Body: `{"count":`}, {Body: "<html>"}, {Status: 200, Shape: emulator.Empty},
	} {
		if err := refused(t, f); !(verdict{class: watcher.MayPass}).of(err) {
			t.Errorf("%+v: got %+v, want one that may pass", f, err)
		}
	}
}

// prefixed returns the codes, those of the gateway with both of its prefixes.
func prefixed(codes string) []string {
	var all []string
	for code := range strings.FieldsSeq(codes) {
		all = append(all, code)
		if number, ok := strings.CutPrefix(code, "APIG."); ok {
			all = append(all, "APIGW."+number)
		}
	}
	return all
}

// The limit that the gateway names says how long the account is to be left alone.
func TestNamedWindow(t *testing.T) {
	for _, tt := range []struct {
		named string
		want  time.Duration
	}{
		{"limit:XX,time:1 minute", time.Minute},
		{"limit:200,time:1 second", time.Second},
		{"limit:200,time:10 seconds", 10 * time.Second},
		{"limit:200,time: 90 seconds", time.Minute},
		{"limit:5000,time:1 hour", time.Minute},
		{"limit:5000,time:1 day", time.Minute},
		{"LIMIT:200,TIME:1 MINUTE", time.Minute},
		{"limit:200,time:0 minute", 0},
		{"limit:200,time:99999 minute", 0},
		{"limit:200", 0},
		{"", 0},
	} {
		text := "The throttling threshold has been reached: policy user over ratelimit," + tt.named
		for _, status := range []int{429, 503} {
			if err := refused(t, emulator.Fault{Status: status, Code: "APIGW.0308", Message: text}); err.RetryAfter != tt.want {
				t.Errorf("%d %q: got %v, want %v", status, tt.named, err.RetryAfter, tt.want)
			}
		}
		if err := refused(t, emulator.Fault{Status: 500, Message: text}); err.RetryAfter != 0 {
			t.Errorf("%q, not throttled: got %v", tt.named, err.RetryAfter)
		}
	}
	header := map[string]string{"Retry-After": "7"} // it goes before the text
	if err := refused(t, emulator.Fault{Status: 429, Message: throttling, Header: header}); err.RetryAfter != 7*time.Second {
		t.Errorf("with Retry-After: 7: got %v", err.RetryAfter)
	}
}

// refused returns the error of one call that is answered with the fault.
func refused(t *testing.T, f emulator.Fault) *answer.Error {
	t.Helper()
	e := emulator.New(emulator.Options{Fault: func(emulator.Call) *emulator.Fault { return &f }})
	client := newClient(t, e, func(c *modelarts.Config) {
		c.Now = func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	})
	_, err := client.Show(t.Context(), region, order("order.x"))
	api, ok := errors.AsType[*answer.Error](err)
	if !ok {
		t.Fatalf("got %v, want an *answer.Error", err)
	}
	if p, ok := errors.AsType[*watcher.PollError](err); !ok || *p != api.PollError {
		t.Fatalf("no PollError in %v", err)
	}
	return api
}

func TestErrorShapes(t *testing.T) {
	for _, tt := range []struct {
		name          string
		fault         emulator.Fault
		code, message string
	}{
		{"documented", emulator.Fault{Code: "A.1", Message: "no"}, "A.1", "no"},
		{"nested", emulator.Fault{Shape: emulator.Nested, Code: "EPS.0003", Message: "no"}, "EPS.0003", "no"},
		{"nested, integer", emulator.Fault{Shape: emulator.NestedInt, Message: "no"}, "500", "no"},
		{"plain", emulator.Fault{Shape: emulator.Plain, Code: "A.1", Message: "no"}, "A.1", "no"},
		{"camel", emulator.Fault{Shape: emulator.CamelError, Code: "A.1", Message: "no"}, "A.1", "no"},
		{"page", emulator.Fault{Shape: emulator.HTML}, "", "500 Internal Server Error, as a web page, perhaps of a proxy"},
		{"nothing", emulator.Fault{Shape: emulator.Empty}, "", "500 Internal Server Error, without a body"},
		{"text", emulator.Fault{Body: "upstream connect error\r\n"}, "", "upstream connect error"},
		{"nested title", emulator.Fault{Body: `{"error":{"code":401,"title":"Unauthorized"}}`}, "401", "Unauthorized"},
		{"nested text", emulator.Fault{Body: `{"error":"broken"}`}, "", "broken"},
		{"integer code", emulator.Fault{Body: `{"error_code":17,"error_msg":null}`}, "17", "500 Internal Server Error, without a message"},
		{"wrong types", emulator.Fault{Body: `{"error_code":{},"error_msg":["a"],"error":[],"code":true}`}, "", `["a"]`},
		{"no types", emulator.Fault{Body: `{"error_code":{},"error_msg":[],"error":false,"code":true}`}, "", "500 Internal Server Error, without a message"},
		{"null", emulator.Fault{Body: `null`}, "", "500 Internal Server Error, without a message"},
		{"a marked text", emulator.Fault{Body: "\ufeffupstream connect error"}, "", "upstream connect error"},
		{"a marked page", emulator.Fault{Body: "\ufeff <html>"}, "", "500 Internal Server Error, as a web page, perhaps of a proxy"},
		{"a mark", emulator.Fault{Body: "\ufeff"}, "", "500 Internal Server Error, without a body"},
		{"other case", emulator.Fault{Body: `{"Error_Code":"A.1","ERROR_MSG":"no"}`}, "A.1", "no"},
		{"a code twice", emulator.Fault{Body: `{"error_code":null,"error_code":"A.1","error_code":"A.2","error_code":""}`}, "A.1", "500 Internal Server Error, without a message"},
		{"a code that says success", emulator.Fault{Body: `{"error_code":"0","code":"A.1","error_msg":"OK","message":"no"}`}, "A.1", "no"},
		{"a message in languages", emulator.Fault{Body: `{"error_code":"A.1","error_msg":{"en": "no"}}`}, "A.1", `{"en":"no"}`},
		{"nested, of unknown fields", emulator.Fault{Body: `{"error":{"reason": "broken"}}`}, "", `{"reason":"broken"}`},
		{"a list", emulator.Fault{Body: `[1]`}, "", "500 Internal Server Error, without a message"},
		{"half an object", emulator.Fault{Body: `{"error_code":"A`}, "", "500 Internal Server Error, without a message"},
		{"controls", emulator.Fault{Message: "a\x00b\x1b[31m\r\nc\u202e\u200bd\u2028e  f"}, "", "a\uFFFDb\uFFFD c\uFFFD\uFFFDd e f"},
		{"not UTF-8", emulator.Fault{Body: "a\xffb"}, "", "a\uFFFDb"},
		{"long", emulator.Fault{Code: strings.Repeat("C", 1000), Message: strings.Repeat("é", 1000)}, strings.Repeat("C", 125) + "…", strings.Repeat("é", 148) + "…"},
		{"too long to read", emulator.Fault{Message: strings.Repeat("x", 100<<10)}, "", "500 Internal Server Error, without a message"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.fault.Status = http.StatusInternalServerError
			err := refused(t, tt.fault)
			message, advice, _ := strings.Cut(err.Message, " (")
			if err.Code != tt.code || message != tt.message || !strings.Contains(advice, "if this lasts, ") {
				t.Errorf("got %q, %q, want %q, %q and advice", err.Code, err.Message, tt.code, tt.message)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   time.Duration
	}{
		{"7", 7 * time.Second},
		{"0", 0},
		{"900", 15 * time.Minute},
		{"901", 15 * time.Minute},
		{"99999999999999999999999999", 15 * time.Minute},
		{"-1", 0},
		{"1.5", 2 * time.Second},
		{"25.5", 26 * time.Second}, // C17
		{"+25", 25 * time.Second},
		{"25s", 25 * time.Second},
		{"25 s", 25 * time.Second},
		{"25S", 25 * time.Second},
		{"25.", 25 * time.Second},
		{".5", time.Second},
		{"25.000", 25 * time.Second},
		{"25 seconds", 25 * time.Second},
		{"1 second", time.Second},
		{"1m30s", 90 * time.Second},
		{"1m 30s", 90 * time.Second},
		{"2 min", 2 * time.Minute},
		{"1h", 15 * time.Minute},
		{"1500ms", 2 * time.Second},
		{"899.5", 15 * time.Minute},
		{" 25 ", 25 * time.Second},
		{"99999999999999999999999999.5", 15 * time.Minute},
		{"99999999999999999999999999h", 15 * time.Minute},
		{"-25.5", 0},
		{"-25s", 0},
		{"+-25", 0},
		{"NaN", 0},
		{"Inf", 0},
		{"+Inf", 0},
		{"1e3", 0},
		{"0x19", 0},
		{"1_000", 0},
		{"25,5", 0},
		{"2 5", 0},
		{"1.2.3", 0},
		{".", 0},
		{"s", 0},
		{"25 days", 0},
		{"25ns", 0},
		{"soon", 0},
		{"Thu, 01 Jan 2026 00:01:30 GMT", 90 * time.Second},
		{"Wed, 31 Dec 2025 00:00:00 GMT", 0},
		{"Fri, 01 Jan 2027 00:00:00 GMT", 15 * time.Minute},
	} {
		for _, status := range []int{429, 503} {
			err := refused(t, emulator.Fault{Status: status, Header: map[string]string{"Retry-After": tt.header}})
			if err.RetryAfter != tt.want {
				t.Errorf("%d %q: got %v, want %v", status, tt.header, err.RetryAfter, tt.want)
			}
		}
	}
}

// An error in a 200 (C6, C7, C8) is read by the same table.
func TestErrorsWith200(t *testing.T) {
	var (
		noAnswer  = verdict{class: watcher.MayPass, advice: "this order cannot be read"}
		unknown   = verdict{class: watcher.MayPass, advice: "ask Huawei Cloud's support what it means"}
		outage    = verdict{class: watcher.MayPass, advice: "ModelArts could not answer about this order"}
		several   = verdict{class: watcher.MayPass, advice: "came with HTTP 200 and means other things with 400 and with 403"}
		notFound  = verdict{class: watcher.NotFound, advice: "check the order's name"}
		bad       = verdict{class: watcher.Refused, advice: "check the order's name and project"}
		throttled = verdict{class: watcher.Throttled, hold: "throttled", advice: "lower ORDERWATCH_MODELARTS_RATE"}
		dead      = verdict{class: watcher.Credentials, hold: "login", advice: "renew the token"}
		key       = verdict{class: watcher.Credentials, hold: "login", locks: true, advice: "renew the token"}
		noLogin   = verdict{class: watcher.Credentials, hold: "login", advice: "renew the token"}
		away      = verdict{class: watcher.MayPass, advice: "look at the proxy and at Huawei Cloud's state"}
		forbidden = verdict{class: watcher.Forbidden, hold: "permission", advice: "the account's permissions"}
		arrears   = verdict{class: watcher.Credentials, hold: "arrears", advice: "check the account's balance"}
		wrongHost = verdict{class: watcher.MayPass, advice: "check the endpoint and the region"}
	)
	for _, tt := range []struct {
		name, body    string
		want          verdict
		code, message string // message: a part of it
	}{
		{"C6", `{"error_code":"ModelArts.50005000","error_msg":"Internal server error"}`, outage, "ModelArts.50005000", "Internal server error"},
		{"C7", `{"error_code":"ModelArts.50015001","error_msg":"Order x not found."}`, notFound, "ModelArts.50015001", "Order x not found."},
		{"C8", `{"code":"WAF.403","message":"blocked"}`, unknown, "WAF.403", "blocked"},
		{"C8, an empty object", `{}`, noAnswer, "", "it is no order: it has neither count nor items"},
		{"another wrapper", `{"data":{"count":1,"items":[{"status":"succeed"}]}}`, noAnswer, "", "it is no order: it has neither count nor items"},
		{"a wrapper that says success", `{"code":200,"message":"success","result":{"count":0}}`, noAnswer, "", "it is no order: it has neither count nor items"},
		{"a message alone", `{"message":"blocked"}`, noAnswer, "", "blocked"},
		{"a page", "<html>login</html>", noAnswer, "", "as a web page, perhaps of a proxy"},
		{"nothing", " \n", noAnswer, "", "without a body"},
		{"a text", "upstream connect error", noAnswer, "", "it is no JSON object: upstream connect error"},
		{"a list", `[{"status":"succeed"}]`, noAnswer, "", "it is no JSON object"},
		{"null", `null`, noAnswer, "", "it is no JSON object"},
		{"UTF-16", "\xff\xfe{\x00}\x00", noAnswer, "", "it came as UTF-16"},
		{"gzip", "\x1f\x8b\x08\x00\x00", noAnswer, "", "or is no text"},
		{"marked", "\ufeff" + `{"error_code":"ModelArts.50015001","error_msg":"gone"}`, notFound, "ModelArts.50015001", "gone"},
		{"an order with an error", `{"error_code":"ModelArts.50015001","error_msg":"gone","count":1,"items":[{"status":"succeed"}]}`, notFound, "ModelArts.50015001", "gone"},
		{"an order with an error behind it", `{"count":1,"items":[{"status":"succeed"}],"error_code":"ModelArts.50015001"}`, notFound, "ModelArts.50015001", "200 OK, without a message"},
		{"an order with an error of another case", `{"count":0,"Error_Code":"ModelArts.50015001"}`, notFound, "ModelArts.50015001", ""},
		{"an order with an error twice", `{"count":0,"error_code":"ModelArts.50015001","error_code":null}`, notFound, "ModelArts.50015001", ""},
		{"an order with a message of an error", `{"count":0,"items":[],"error_msg":"broken"}`, noAnswer, "", "broken"},
		{"an order with a message in languages", `{"count":0,"items":[],"error_msg":{"en":"broken"}}`, noAnswer, "", `{"en":"broken"}`},
		{"an order with a text as error", `{"count":0,"items":[],"error":"broken"}`, noAnswer, "", "broken"},
		{"an order with a title as error", `{"count":0,"items":[],"error":{"title":"Broken"}}`, noAnswer, "", "Broken"},
		{"an order with an error that is true", `{"count":0,"items":[],"error":true}`, noAnswer, "", "it is an error, no order"},
		{"an order with a code", `{"count":0,"items":[],"code":"WAF.403"}`, unknown, "WAF.403", ""},
		{"camel", `{"errorCode":"ModelArts.4116","errorMessage":"arrears"}`, arrears, "ModelArts.4116", "arrears"},
		{"nested", `{"error":{"code":"ModelArts.6201","message":"frozen"}}`, arrears, "ModelArts.6201", "frozen"},
		{"plain", `{"code":"APIGW.0307","message":"The token must be updated."}`, dead, "APIGW.0307", ""},
		{"throttled", `{"error_code":"APIG.0308","error_msg":"slow down"}`, throttled, "APIG.0308", "slow down"},
		{"bad request", `{"error_code":"ModelArts.50004000","error_msg":"Bad request."}`, bad, "ModelArts.50004000", ""},
		{"permission", `{"error_code":"APIG.0302","error_msg":"no"}`, forbidden, "APIG.0302", ""},
		{"by code and text", `{"error_code":"APIG.0301","error_msg":"Incorrect IAM authentication information: verify aksk signature fail"}`, key, "APIG.0301", ""},
		{"by code and another text", `{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information: decrypt token fail"}`, dead, "APIGW.0301", ""},
		{"another host", `{"error_code":"APIG.0101","error_msg":"The API does not exist"}`, wrongHost, "APIG.0101", ""},
		{"a code of several meanings", `{"error_code":"ModelArts.0210","error_msg":"Invalid project id."}`, several, "ModelArts.0210", "Invalid project id."},
		{"an unknown code", `{"error_code":"ModelArts.9999","error_msg":"?"}`, unknown, "ModelArts.9999", "?"},
		{"IAM's status", `{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}`, noLogin, "401", "requires authentication"},
		{"IAM's throttling", `{"error":{"code":429,"message":"slow down"}}`, throttled, "429", "slow down"},
		{"IAM's outage", `{"error":{"code":503}}`, away, "503", ""},
		{"no status of IAM's", `{"error":{"code":600,"message":"no"}}`, unknown, "600", "no"},
		{"a number that is no status of IAM's", `{"code":401,"message":"no"}`, unknown, "401", "no"},
		{"a bad count beside a message", `{"count":"many","message":"2 resources"}`, noAnswer, "", "its count, many, is no number of items"},
		{"a status that is no text", `{"count":2,"items":[{"status":"succeed"},{"status":{"code":1}}]}`, noAnswer, "", `its item 2: its status, {"code":1}, is no text`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := refused(t, emulator.Fault{Status: http.StatusOK, Body: tt.body})
			if !tt.want.of(err) {
				t.Errorf("got %s, held for %q at least %v: %s; want %+v", err.Class, err.Hold, err.Locks, err.Message, tt.want)
			}
			if err.Status != http.StatusOK || err.Code != tt.code || !strings.Contains(err.Message, tt.message) {
				t.Errorf("got %d, %q, %q; want 200, %q and %q", err.Status, err.Code, err.Message, tt.code, tt.message)
			}
		})
	}
}

// The time that a throttling in a 200 names counts as that in a 429.
func TestThrottlingWith200(t *testing.T) {
	f := emulator.Fault{Status: http.StatusOK, Code: "APIG.0308", Message: throttling}
	if err := refused(t, f); err.RetryAfter != time.Minute || !strings.HasPrefix(err.Error(), "HTTP 200: APIG.0308: ") {
		t.Errorf("got %v, to be tried again after %v; want a minute", err, err.RetryAfter)
	}
	f.Header = map[string]string{"Retry-After": "25.5"}
	if err := refused(t, f); err.RetryAfter != 26*time.Second {
		t.Errorf("with Retry-After: 25.5: got %v", err.RetryAfter)
	}
	f = emulator.Fault{Status: http.StatusOK, Code: "ModelArts.50015001", Message: "gone"}
	if err := refused(t, f); !strings.HasPrefix(err.Error(), "HTTP 200, read as 404: ModelArts.50015001: gone") {
		t.Errorf("got %q", err)
	}
}

// A byte-order mark does not hide an error's code (C18).
func TestMarkedErrors(t *testing.T) {
	err := refused(t, emulator.Fault{Status: 404, Body: "\ufeff" + `{"error_code":"ModelArts.50015001","error_msg":"Order x not found."}`})
	if err.Class != watcher.NotFound || err.Code != "ModelArts.50015001" {
		t.Errorf("got %v", err)
	}
}

// Whatever a server echoes, no error shows the token or much of it.
func TestErrorsHideTheToken(t *testing.T) {
	half := secret[:len(secret)/2]
	for _, f := range []emulator.Fault{
		{Status: 401, Code: "APIG.0307", Message: "token " + secret + " is old"},
		{Status: 401, Code: secret, Message: half + "... is old"},
		{Status: 500, Message: strings.Repeat("x ", 140) + secret},
		{Status: 500, Message: secret[:10] + "\n" + secret[10:]},
		{Status: 500, Shape: emulator.Nested, Code: secret, Message: secret + secret},
		{Status: 500, Body: "bad header X-Auth-Token: " + secret},
		{Status: 500, Header: map[string]string{"X-Request-Id": secret}},
		{Status: 302, Header: map[string]string{"Location": "https://" + strings.NewReplacer("+", "", "/", "", "=", "").Replace(secret) + "/"}},
		{Body: `{"count":"` + secret + `"}`},
		{Body: secret},
		{Body: `{"code":"` + secret + `","message":"` + secret + `"}`},
		{Body: `{"count":0,"items":["` + secret + `"]}`},
		{Body: `{"count":0,"items":[{"status":["` + secret + `"]}]}`},
		{Body: `{"count":0,"error":{"of":"` + strings.ReplaceAll(secret, "/", `\/`) + `"}}`},
	} {
		err := refused(t, f)
		for _, s := range []string{err.Error(), err.Message, err.Code, err.RequestID} {
			if strings.Contains(s, secret[:12]) || strings.Contains(strings.ReplaceAll(s, " ", ""), secret) || !utf8.ValidString(s) {
				t.Errorf("%+v: %q shows the token", f, s)
			}
		}
	}
}

// A server that echoes the token in an answer does not get it into a record either.
func TestAnswersHideTheToken(t *testing.T) {
	e := emulator.New(emulator.Options{})
	e.Add(project, "order.x", emulator.Order{Items: []emulator.Item{{ResourceName: "n", Status: "failed", Message: "bad token " + secret}}})
	client := newClient(t, e)
	a, err := client.Show(t.Context(), region, order("order.x"))
	if err != nil || a.Items[0].Message != "bad token [redacted]" {
		t.Errorf("got %+v, %v", a, err)
	}
	escaped := strings.NewReplacer("/", `\/`, "+", `\u002B`).Replace(secret)
	e.Add(project, "order.y", emulator.Order{Faults: []emulator.Fault{{Body: `{"count":1,"items":[{"status":"failed","message":{"bad": "` + escaped + `"}}]}`}}})
	a, err = client.Show(t.Context(), region, order("order.y"))
	if err != nil || a.Items[0].Message != `{"bad":"[redacted]"}` {
		t.Errorf("got %+v, %v", a, err)
	}
}

// Any error of any server becomes one short line without the token.
func FuzzErrors(f *testing.F) {
	for _, body := range []string{
		`{"error_code":"ModelArts.50015001","error_msg":"Order x not found."}`,
		`{"error":{"code":401,"message":"The username or password is wrong.","title":"Unauthorized"}}`,
		`{"errorCode":"A","errorMessage":"` + secret + `"}`, "<html>", "", "plain\x00text", `{"error":"` + secret[3:20] + `"}`,
	} {
		f.Add(uint16(404), "APIG.0301", body)
		f.Add(uint16(429), "120", body)
		f.Add(uint16(300), "25.5", body) // with 200
	}
	var status int
	var header, body string
	client := newClient(f, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", header)
		w.Header().Set("X-Request-Id", header)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	f.Fuzz(func(t *testing.T, code uint16, h, b string) {
		status, header, body = 300+int(code)%301, h, b
		if status == 600 {
			status = http.StatusOK
		}
		_, err := client.Show(t.Context(), region, order("order.x"))
		if status == http.StatusOK && err == nil {
			return // an order
		}
		e, ok := errors.AsType[*answer.Error](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		s := e.Error()
		if e.Message == "" || e.Class == "" || len(s) > 800 || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			t.Fatalf("bad error %q", s)
		}
		if e.RetryAfter < 0 || e.RetryAfter > 15*time.Minute {
			t.Fatalf("retry after %v", e.RetryAfter)
		}
		for i := range len(secret) - 12 {
			if strings.Contains(s, secret[i:i+12]) {
				t.Fatalf("%q shows the token", s)
			}
		}
	})
}
