package modelarts_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// The decision table: what each answer means for the watch.
func TestMeanings(t *testing.T) {
	const throttling = "The throttling threshold has been reached: policy user over ratelimit,limit:200,time:1 minute"
	for _, tt := range []struct {
		status     int
		code, text string
		class      watcher.Class
		want       string // in the message
		wait       time.Duration
	}{
		{404, "ModelArts.50015001", "Order x not found.", watcher.NotFound, "Order x not found.", 0},
		{404, "APIGW.0101", "The API does not exist", watcher.MayPass, "check the endpoint and the region", 0},
		{404, "APIG.0101", "The API does not exist", watcher.MayPass, "check the endpoint and the region", 0},
		{404, "ModelArts.0404", "no such thing", watcher.MayPass, "check the endpoint", 0},
		{404, "", "", watcher.MayPass, "404 Not Found", 0},

		{400, "ModelArts.50004000", "Bad request.", watcher.Refused, "Bad request.", 0},
		{400, "ModelArts.0210", "bad project", watcher.Refused, "bad project id", 0},
		{400, "ModelArts.0204", "no project", watcher.Refused, "of no project", 0},
		{400, "APIG.0106", "orchestration", watcher.MayPass, "orchestration", 0},
		{400, "ModelArts.50015001", "not this status", watcher.MayPass, "not this status", 0},

		{401, "APIGW.0307", "The token must be updated.", watcher.Credentials, "renew", 0},
		{401, "APIG.0307", "The token must be updated.", watcher.Credentials, "renew", 0},
		{401, "ModelArts.0202", "expired", watcher.Credentials, "renew", 0},
		{401, "ModelArts.4127", "expired", watcher.Credentials, "renew", 0},
		{401, "ModelArts.0203", "invalid", watcher.Credentials, "renew", 0},
		{401, "ModelArts.4201", "invalid", watcher.Credentials, "renew", 0},
		{401, "ModelArts.5002", "invalid", watcher.Credentials, "renew", 0},
		{401, "ModelArts.6620", "invalid", watcher.Credentials, "renew", 0},
		{401, "APIG.0301", "Incorrect IAM authentication information: decrypt token fail", watcher.Credentials, "renew", 0},
		{401, "APIG.0301", "Incorrect IAM authentication information: token expires", watcher.Credentials, "renew", 0},
		{401, "APIG.0301", "Incorrect IAM authentication information: verify aksk signature fail", watcher.Credentials, "access key", 0},
		{401, "APIGW.0301", "Incorrect IAM authentication information: ak not exist", watcher.Credentials, "access key", 0},
		{401, "APIG.0301", "Incorrect IAM authentication information: signature expired", watcher.Credentials, "clock", 0},
		{401, "APIG.0301", "AK access failed to reach the limit,forbidden", watcher.Credentials, "locked", 5 * time.Minute},
		{401, "ModelArts.6201", "arrears", watcher.Credentials, "balance", 0},
		{401, "ModelArts.6203", "frozen", watcher.Credentials, "balance", 0},
		{401, "", "", watcher.Credentials, "401 Unauthorized", 0},

		{403, "ModelArts.0210", "project differs from the token's", watcher.Credentials, "permissions", 0},
		{403, "ModelArts.0108", "no permission", watcher.Credentials, "permissions", 0},
		{403, "ModelArts.0112", "no permission", watcher.Credentials, "permissions", 0},
		{403, "APIG.0302", "no permission", watcher.Credentials, "permissions", 0},
		{403, "APIGW.0802", "no permission", watcher.Credentials, "permissions", 0},
		{403, "ModelArts.4116", "arrears", watcher.Credentials, "balance", 0},
		{403, "ModelArts.4118", "frozen", watcher.Credentials, "balance", 0},

		{429, "APIGW.0308", throttling, watcher.Throttled, "threshold", time.Minute},
		{429, "APIG.0308", "slow down", watcher.Throttled, "slow down", 0},
		{429, "", "", watcher.Throttled, "429 Too Many Requests", 0},
		{503, "APIG.0308", throttling, watcher.Throttled, "threshold", time.Minute},
		{429, "APIG.0308", strings.Replace(throttling, "1 minute", "10 second", 1), watcher.Throttled, "threshold", 10 * time.Second},
		{429, "APIG.0308", strings.Replace(throttling, "1 minute", "1 day", 1), watcher.Throttled, "threshold", time.Minute},

		{407, "", "", watcher.MayPass, "check the proxy's login", 0},
		{408, "", "", watcher.MayPass, "408 Request Timeout", 0},
		{500, "ModelArts.50005000", "Internal error.", watcher.MayPass, "Internal error.", 0},
		{500, "APIG.0601", "Internal server error.", watcher.MayPass, "Internal", 0},
		{502, "", "", watcher.MayPass, "502 Bad Gateway", 0},
		{503, "", "", watcher.MayPass, "503 Service Unavailable", 0},
		{504, "", "", watcher.MayPass, "504 Gateway Timeout", 0},
		{599, "", "", watcher.MayPass, "599", 0},
	} {
		err := refused(t, emulator.Fault{Status: tt.status, Code: tt.code, Message: tt.text})
		if err.Status != tt.status || err.Code != tt.code || err.Class != tt.class || err.RetryAfter != tt.wait || !strings.Contains(err.Message, tt.want) {
			t.Errorf("%d %s %q: got %+v, want %s, %v, %q", tt.status, tt.code, tt.text, err, tt.class, tt.wait, tt.want)
		}
		if err.RequestID == "" || !strings.Contains(err.Error(), err.RequestID) {
			t.Errorf("%d %s: request id %q in %q", tt.status, tt.code, err.RequestID, err)
		}
	}
}

// refused returns the error of one call that is answered with the fault.
func refused(t *testing.T, f emulator.Fault) *modelarts.APIError {
	t.Helper()
	e := emulator.New(emulator.Options{Fault: func(emulator.Call) *emulator.Fault { return &f }})
	c := config(t, serve(t, e))
	c.Now = func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	_, err := newClient(t, c).Show(t.Context(), region, order("order.x"))
	api, ok := errors.AsType[*modelarts.APIError](err)
	if !ok {
		t.Fatalf("got %v, want an APIError", err)
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
		{"wrong types", emulator.Fault{Body: `{"error_code":{},"error_msg":["a"],"error":[],"code":true}`}, "", "500 Internal Server Error, without a message"},
		{"a list", emulator.Fault{Body: `[1]`}, "", "500 Internal Server Error, without a message"},
		{"half an object", emulator.Fault{Body: `{"error_code":"A`}, "", "500 Internal Server Error, without a message"},
		{"controls", emulator.Fault{Message: "a\x00b\x1b[31m\r\nc\u202e\u200bd\u2028e  f"}, "", "a b [31m cd e f"},
		{"not UTF-8", emulator.Fault{Body: "a\xffb"}, "", "a\uFFFDb"},
		{"long", emulator.Fault{Code: strings.Repeat("C", 1000), Message: strings.Repeat("é", 1000)}, strings.Repeat("C", 125) + "…", strings.Repeat("é", 148) + "…"},
		{"too long to read", emulator.Fault{Message: strings.Repeat("x", 100<<10)}, "", "500 Internal Server Error, without a message"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.fault.Status = http.StatusInternalServerError
			err := refused(t, tt.fault)
			if err.Code != tt.code || err.Message != tt.message {
				t.Errorf("got %q, %q, want %q, %q", err.Code, err.Message, tt.code, tt.message)
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
		{"1.5", 0},
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
	a, err := newClient(t, config(t, serve(t, e))).Show(t.Context(), region, order("order.x"))
	if err != nil || a.Items[0].Message != "bad token [redacted]" {
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
	}
	var status int
	var header, body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", header)
		w.Header().Set("X-Request-Id", header)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	f.Cleanup(server.Close)
	token, err := modelarts.NewToken(secret)
	if err != nil {
		f.Fatal(err)
	}
	client, err := modelarts.New(quiet, modelarts.Config{Endpoint: server.URL, Regions: []string{region}, Credential: token})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code uint16, h, b string) {
		status, header, body = 300+int(code)%300, h, b
		_, err := client.Show(t.Context(), region, order("order.x"))
		e, ok := errors.AsType[*modelarts.APIError](err)
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
