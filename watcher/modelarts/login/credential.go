// Package login says how one proves to ModelArts who asks: with a token ([Token], [TokenFile]), an access
// key ([AccessKey]), the agency of a machine ([Agency]), or a user's password ([Password]). Each is a
// [Credential], which the client of package modelarts asks to authorise its requests.
//
// It promises that no credential prints a secret, that a proof that ends is renewed before its end, and
// that a wrong login is tried so seldom that the cloud does not lock it. Read credential.go and
// secrets.go; then accesskey.go, which signs, and tokenfile.go; then lease.go (when a login is renewed)
// and call.go, on which agency.go and password.go are built; password.go also says for how long a refused
// user name and password are not tried again.
package login

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A Credential proves to the API who asks. It must be safe for concurrent use. Implementations
// print as "[redacted]" in every format.
type Credential interface {
	// Authorize adds the proof to a request without a body about a project of a region. It runs
	// within the request's context. An error that carries a *[watcher.PollError] keeps its class;
	// any other says that the account cannot log in. No error shows a secret.
	Authorize(r *http.Request, region, projectID string) error
	// Login names who logs in, without a secret: the same for all workers with the same login.
	// It is of lower-case letters and digits.
	Login() string
}

// Renew is told that the API answered the request with 401, whatever its text, and reports whether the
// request should be made anew, with another proof, which the next Authorize adds. It may make calls, within
// the request's context.
func Renew(c Credential, r *http.Request, region, projectID string) bool {
	renewer, ok := c.(interface {
		renew(r *http.Request, region, projectID string) bool
	})
	return ok && renewer.renew(r, region, projectID)
}

// Advice returns what people can do where the API refuses the login, as half a sentence without a secret;
// empty where that is not known.
func Advice(c Credential) string {
	if adviser, ok := c.(interface{ advice() string }); ok {
		return adviser.advice()
	}
	return ""
}

// Locks reports whether the login is an access key, which is locked for a while after more than five wrong
// calls.
func Locks(c Credential) bool {
	switch c.(type) {
	case *AccessKey, *Agency:
		return true
	}
	return false
}

// loginName returns what stands for a login of a kind: 12 hexadecimal digits of a hash, since an
// access key's id is no text for logs either.
func loginName(kind string, public ...string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + strings.Join(public, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// headerSafe returns an error unless the text can be sent as a header.
func headerSafe(name, text string) error {
	if text == "" {
		return fmt.Errorf("%s: must not be empty", name)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("%s: must be printable ASCII without spaces", name)
	}
	return nil
}

// A Token is an IAM token, sent as X-Auth-Token. It is valid for one project and at most 24
// hours, and nothing renews it. Make it with [NewToken]; the zero value authorises nothing.
type Token struct {
	masked
	secret *string
}

// NewToken returns the token, or an error where it could not be sent as a header.
func NewToken(secret string) (Token, error) {
	if err := headerSafe("token", secret); err != nil {
		return Token{}, err
	}
	return Token{secret: &secret}, nil
}

// Authorize sets X-Auth-Token.
func (t Token) Authorize(r *http.Request, _, _ string) error {
	if t.secret == nil {
		return errors.New("there is no token")
	}
	r.Header.Set("X-Auth-Token", *t.secret)
	return nil
}

func (Token) advice() string { return "renew the token in ORDERWATCH_MODELARTS_TOKEN" }

// Login is the same for all tokens: a new one of the same account must not look like another.
func (Token) Login() string { return loginName("token") }
