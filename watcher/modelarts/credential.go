package modelarts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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

// A renewer is a credential that can get another proof.
type renewer interface {
	// renew is told that the API answered the request with 401, whatever its text, and reports whether
	// the request should be made anew, with another proof.
	renew(r *http.Request, region, projectID string) bool
}

// An adviser is a credential that knows what people can do where the API refuses it.
type adviser interface {
	advice() string // half a sentence, without a secret
}

// A secretive credential holds secrets beside those in the request's headers.
type secretive interface {
	secrets() []string
}

// secretHeaders are where credentials put what no error may show.
var secretHeaders = [...]string{"X-Auth-Token", "X-Security-Token"}

// secretsOf returns the secrets in an authorised request's headers, and what else the credential
// holds.
func secretsOf(h http.Header, c Credential) []string {
	var secrets []string
	for _, name := range secretHeaders {
		if v := h.Get(name); v != "" {
			secrets = append(secrets, v)
		}
	}
	if _, signature, ok := strings.Cut(h.Get("Authorization"), "Signature="); ok {
		secrets = append(secrets, signature)
	}
	if s, ok := c.(secretive); ok {
		secrets = append(secrets, s.secrets()...)
	}
	return secrets
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

const redacted = "[redacted]"

// masked makes what embeds it print as "[redacted]". The secrets beside it must lie behind
// pointers, so that fmt cannot reach them inside other structs either.
type masked struct{}

// String returns "[redacted]".
func (masked) String() string { return redacted }

// Format prints "[redacted]", whatever the verb.
func (masked) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText returns "[redacted]": so do JSON and slog.
func (masked) MarshalText() ([]byte, error) { return []byte(redacted), nil }

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
