package emulator_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// signed is a request that was signed with AKEXAMPLE and SKEXAMPLE on 2026-01-01; the signature is
// that of the cloud's own kit.
func signed() map[string]string {
	return map[string]string{
		"Authorization": "SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=host;x-project-id;x-sdk-date, Signature=183970830fd2b28f91d56b5b4606bbad58b400d700fc5dc94b5c32c1821eed11",
		"X-Project-Id":  "6f5da086876d4cd084d36f8bd3346036",
		"X-Sdk-Date":    "20260101T000000Z",
	}
}

// send makes a call of the emulator with these headers.
func send(e *emulator.Emulator, method, url, body string, headers map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

const signedURL = "https://modelarts.cn-north-4.myhuaweicloud.com/v1/6f5da086876d4cd084d36f8bd3346036/orders/order.pool-5ed5-w4l2n"

func newYear() *clock { return &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func TestSignature(t *testing.T) {
	const wrong, unknown, expired = "verify aksk signature fail", "ak not exist", "signature expired"
	change := func(name, old, new string) func(map[string]string) {
		return func(h map[string]string) { h[name] = strings.Replace(h[name], old, new, 1) }
	}
	for _, tt := range []struct {
		name   string
		after  time.Duration
		url    string
		change func(map[string]string)
		want   string // in the answer; empty: the order
	}{
		{"as it was signed", 0, signedURL, nil, ""},
		{"15 minutes late", 15 * time.Minute, signedURL, nil, ""},
		{"15 minutes early", -15 * time.Minute, signedURL, nil, ""},
		{"later", 15*time.Minute + time.Second, signedURL, nil, expired},
		{"earlier", -15*time.Minute - time.Second, signedURL, nil, expired},
		{"another order", 0, signedURL + "x", nil, wrong},
		{"another host", 0, strings.Replace(signedURL, "north", "south", 1), nil, wrong},
		{"a query", 0, signedURL + "?a=b", nil, wrong},
		{"another date", 0, signedURL, change("X-Sdk-Date", "0000Z", "0001Z"), wrong},
		{"no date", 0, signedURL, change("X-Sdk-Date", "20260101T000000Z", ""), wrong},
		{"another project", 0, signedURL, change("X-Project-Id", "6", "7"), wrong},
		{"a date that is not signed", 0, signedURL, change("Authorization", ";x-sdk-date", ""), wrong},
		{"headers in another order", 0, signedURL, change("Authorization", "host;x-project-id", "x-project-id;host"), wrong},
		{"another signature", 0, signedURL, change("Authorization", "1839", "1830"), wrong},
		{"no signature", 0, signedURL, change("Authorization", ", Signature=", ", Other="), wrong},
		{"another way to sign", 0, signedURL, change("Authorization", "SDK-HMAC", "AWS4-HMAC"), wrong},
		{"another key", 0, signedURL, change("Authorization", "AKEXAMPLE", "AKOTHER"), unknown},
		{"a key that has ended", 0, signedURL, change("Authorization", "AKEXAMPLE", "AKENDED"), unknown},
		{"a security token", 0, signedURL, func(h map[string]string) { h["X-Security-Token"] = "x" }, wrong},
	} {
		k := newYear()
		k.advance(tt.after)
		e := emulator.New(emulator.Options{Now: k.Now, Keys: []emulator.Key{
			{Access: "AKEXAMPLE", Secret: "SKEXAMPLE"}, {Access: "AKENDED", Secret: "SKEXAMPLE", Expires: newYear().Now()},
		}})
		e.Add("6f5da086876d4cd084d36f8bd3346036", "order.pool-5ed5-w4l2n", emulator.Order{})
		headers := signed()
		if tt.change != nil {
			tt.change(headers)
		}
		w := send(e, "GET", tt.url, "", headers)
		if want := `{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information: ` + tt.want + `"}`; tt.want != "" && (w.Code != 401 || w.Body.String() != want) ||
			tt.want == "" && w.Code != 200 {
			t.Errorf("%s: got %d %s", tt.name, w.Code, w.Body)
		}
	}
}

// More than five wrong signatures in a row lock the key for five minutes.
func TestKeyLock(t *testing.T) {
	k := newYear()
	e := emulator.New(emulator.Options{Now: k.Now, Keys: []emulator.Key{{Access: "AKEXAMPLE", Secret: "SKEXAMPLE"}}, AutoOrders: true})
	ask := func(good bool) string {
		headers := signed()
		url := signedURL
		if !good {
			url += "x"
		}
		w := send(e, "GET", url, "", headers)
		if _, text, ok := strings.Cut(w.Body.String(), "information: "); ok {
			return strings.TrimSuffix(text, `"}`)
		}
		return fmt.Sprint(w.Code)
	}
	const wrong, locked = "verify aksk signature fail", "AK access failed to reach the limit,forbidden"
	for n, step := range []struct {
		after time.Duration
		good  bool
		want  string
	}{
		{0, false, wrong}, {0, false, wrong}, {0, false, wrong}, {0, false, wrong}, {0, false, wrong},
		{0, true, "404"}, // it is known, the order is not
		{0, false, wrong}, {0, false, wrong}, {0, false, wrong}, {0, false, wrong}, {0, false, wrong},
		{0, false, locked}, {0, true, locked},
		{5*time.Minute - time.Second, true, locked},
		{time.Second, true, "404"},
	} {
		k.advance(step.after)
		if got := ask(step.good); got != step.want {
			t.Errorf("step %d: got %s, want %s", n, got, step.want)
		}
	}
}

// login asks IAM for a token.
func login(e *emulator.Emulator, name, password, domain, project string) *httptest.ResponseRecorder {
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"name":%q}}}},"scope":{"project":{"id":%q}}}}`, name, password, domain, project)
	return send(e, "POST", "/v3/auth/tokens?nocatalog=true", body, nil)
}

func TestIAM(t *testing.T) {
	k := newYear()
	e := emulator.New(emulator.Options{Now: k.Now, AutoOrders: true, TokenLife: time.Hour, Users: []emulator.User{
		{Name: "u", Password: "good", Domain: "d"}, {Name: "v", Password: "good", Domain: "d", Projects: []string{"p"}},
	}})
	for _, tt := range []struct {
		w      *httptest.ResponseRecorder
		status int
		want   string
	}{
		{login(e, "u", "bad", "d", "p"), 401, `{"error":{"code":401,"message":"The username or password is wrong.","title":"Unauthorized"}}`},
		{login(e, "u", "good", "other", "p"), 401, "wrong"},
		{login(e, "other", "good", "d", "p"), 401, "wrong"},
		{login(e, "v", "good", "d", "q"), 404, "Could not find project: q"},
		{login(e, "u", "good", "d", ""), 400, `"code":400`},
		{send(e, "POST", "/v3/auth/tokens", "{", nil), 400, `"code":400`},
		{send(e, "POST", "/v3/auth/tokens", "{}", nil), 400, `"code":400`},
		{send(e, "POST", "/v3/auth/tokens", strings.Repeat(" ", 100_000)+"{}", nil), 400, `"code":400`},
	} {
		if tt.w.Code != tt.status || !strings.Contains(tt.w.Body.String(), tt.want) || tt.w.Header().Get("X-Subject-Token") != "" {
			t.Errorf("got %d %s, want %d %s", tt.w.Code, tt.w.Body, tt.status, tt.want)
		}
	}
	w := login(e, "v", "good", "d", "p")
	token := w.Header().Get("X-Subject-Token")
	if w.Code != 201 || token == "" || !strings.Contains(w.Body.String(), `"expires_at":"2026-01-01T01:00:00.000000Z"`) || strings.Contains(w.Body.String(), token) {
		t.Fatalf("got %d %s, token %q", w.Code, w.Body, token)
	}
	asks := func(project string, want int) {
		t.Helper()
		if w := get(e, token, project, "order.empty-1"); w.Code != want {
			t.Errorf("got %d %s, want %d", w.Code, w.Body, want)
		}
	}
	asks("p", 200)
	asks("q", 403)
	k.advance(time.Hour - time.Second)
	asks("p", 200)
	k.advance(time.Second)
	asks("p", 401)

	token = login(e, "u", "good", "d", "p").Header().Get("X-Subject-Token")
	asks("p", 200)
	e.RevokeTokens()
	asks("p", 401)
	e.SetPassword("d", "u", "new")
	if w := login(e, "u", "good", "d", "p"); w.Code != 401 {
		t.Errorf("the old password: %d", w.Code)
	}
	if w := login(e, "u", "new", "d", "p"); w.Code != 201 {
		t.Errorf("the new password: %d", w.Code)
	}
	if got := len(e.HandedOut()); got != 3 {
		t.Errorf("%d tokens, want 3", got)
	}
	e.SetLoginFaults(emulator.Fault{ToPoll: 1, Status: 503, Shape: emulator.HTML})
	for _, want := range []int{503, 201} {
		if w := login(e, "u", "new", "d", "p"); w.Code != want {
			t.Errorf("got %d, want %d", w.Code, want)
		}
	}
	if got := e.Logins(); got != 14 {
		t.Errorf("%d logins, want 14", got)
	}
}

// More than five wrong passwords in a row lock the user for 15 minutes.
func TestUserLock(t *testing.T) {
	k := newYear()
	e := emulator.New(emulator.Options{Now: k.Now, Users: []emulator.User{{Name: "u", Password: "good", Domain: "d"}, {Name: "v", Password: "good", Domain: "d"}}})
	for range 5 {
		login(e, "u", "bad", "d", "p")
	}
	if w := login(e, "u", "good", "d", "p"); w.Code != 201 { // and counting begins anew
		t.Errorf("after five wrong ones: %d %s", w.Code, w.Body)
	}
	for range 6 {
		if w := login(e, "u", "bad", "d", "p"); w.Code != 401 || strings.Contains(w.Body.String(), "locked") {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
	for _, step := range []struct {
		after time.Duration
		name  string
		want  int
	}{{0, "u", 401}, {0, "v", 201}, {15*time.Minute - time.Second, "u", 401}, {time.Second, "u", 201}} {
		k.advance(step.after)
		if w := login(e, step.name, "good", "d", "p"); w.Code != step.want || w.Code == 401 && !strings.Contains(w.Body.String(), "The account is locked.") {
			t.Errorf("%v: got %d %s", step, w.Code, w.Body)
		}
	}
}

func TestMetadata(t *testing.T) {
	const tokens, key = "/meta-data/latest/api/token", "/openstack/latest/securitykey"
	life := map[string]string{"X-Metadata-Token-Ttl-Seconds": "21600"}
	for _, tt := range []struct {
		agency          emulator.Agency
		token, key, all int // status of asking for a token, for the key without one, and with it
	}{
		{emulator.NoAgency, 404, 404, 404},
		{emulator.WithToken, 200, 401, 200},
		{emulator.NoTokens, 405, 200, 200},
		{emulator.TokensGone, 503, 200, 200},
	} {
		k := newYear()
		e := emulator.New(emulator.Options{Agency: tt.agency, Now: k.Now, AutoOrders: true})
		token := send(e, "PUT", tokens, "", life)
		with := map[string]string{"X-Metadata-Token": token.Body.String()}
		got := []int{token.Code, send(e, "GET", key, "", nil).Code, send(e, "GET", key, "", with).Code}
		if want := []int{tt.token, tt.key, tt.all}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %v, want %v", tt.agency, got, want)
		}
		if tt.agency != emulator.WithToken {
			continue
		}
		if w := send(e, "PUT", tokens, "", nil); w.Code != 400 {
			t.Errorf("a token without a life: %d", w.Code)
		}
		first := securityKey(t, e, with)
		if first["expires_at"] != "2026-01-01T01:00:00.000000Z" {
			t.Errorf("got %v", first)
		}
		k.advance(50*time.Minute - time.Second)
		if !maps.Equal(securityKey(t, e, with), first) {
			t.Error("replaced too early")
		}
		k.advance(time.Second)
		if second := securityKey(t, e, with); second["access"] == first["access"] || second["expires_at"] != "2026-01-01T01:50:00.000000Z" {
			t.Errorf("not replaced: %v", second)
		}
		if got := len(e.HandedOut()); got != 7 { // a token and two keys of three parts
			t.Errorf("%d secrets handed out, want 7", got)
		}
		k.advance(6 * time.Hour)
		if w := send(e, "GET", key, "", with); w.Code != 401 {
			t.Errorf("an old token: %d", w.Code)
		}
	}
}

func securityKey(t *testing.T, e *emulator.Emulator, headers map[string]string) map[string]string {
	t.Helper()
	var answer struct{ Credential map[string]string }
	if err := json.Unmarshal(send(e, "GET", "/openstack/latest/securitykey", "", headers).Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Credential
}

// Where logins are known, others are not: no token that was not handed out, no signature.
func TestOtherLogins(t *testing.T) {
	for name, o := range map[string]emulator.Options{
		"users":  {Users: []emulator.User{{Name: "u", Password: "p", Domain: "d"}}},
		"keys":   {Keys: []emulator.Key{{Access: "AK", Secret: "SK"}}},
		"agency": {Agency: emulator.NoTokens},
		"tokens": {Tokens: []string{"good"}},
	} {
		o.AutoOrders = true
		e := emulator.New(o)
		if w := get(e, "any", "p", "order.empty-1"); w.Code != 401 || !strings.Contains(w.Body.String(), "APIGW.0307") {
			t.Errorf("%s: any token: %d %s", name, w.Code, w.Body)
		}
		if w := send(e, "GET", signedURL, "", signed()); w.Code != 401 || !strings.Contains(w.Body.String(), "ak not exist") {
			t.Errorf("%s: any signature: %d %s", name, w.Code, w.Body)
		}
	}
	if w := send(emulator.New(emulator.Options{AutoOrders: true}), "GET", signedURL, "", signed()); w.Code != 401 || !strings.Contains(w.Body.String(), "x-auth-token not found") {
		t.Errorf("a signature where any token is taken: %d %s", w.Code, w.Body)
	}
}
