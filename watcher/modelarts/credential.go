package modelarts

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A Credential proves to the API who asks. It must be safe for concurrent use. Implementations
// print as "[redacted]" in every format.
type Credential interface {
	// Authorize adds the proof to a request about the project. It runs within the request's
	// context. An error that carries a *[watcher.PollError] keeps its class; any other says
	// that the account cannot log in. No error shows a secret.
	Authorize(r *http.Request, projectID string) error
}

// secretHeaders are where credentials put what no error may show.
var secretHeaders = [...]string{"X-Auth-Token", "Authorization", "X-Security-Token"}

// secretsOf returns the secrets in an authorised request's headers.
func secretsOf(h http.Header) []string {
	var secrets []string
	for _, name := range secretHeaders {
		if v := h.Get(name); v != "" {
			secrets = append(secrets, v)
		}
	}
	return secrets
}

// A Token is an IAM token, sent as X-Auth-Token. It is valid for one project and at most 24
// hours, and nothing renews it. Make it with [NewToken]; the zero value authorises nothing.
type Token struct {
	secret *string // behind a pointer, so that fmt cannot reach it inside other structs either
}

// NewToken returns the token, or an error where it could not be sent as a header.
func NewToken(secret string) (Token, error) {
	if secret == "" {
		return Token{}, errors.New("token: must not be empty")
	}
	if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return Token{}, errors.New("token: must be printable ASCII without spaces")
	}
	return Token{&secret}, nil
}

// Authorize sets X-Auth-Token.
func (t Token) Authorize(r *http.Request, _ string) error {
	if t.secret == nil {
		return errors.New("there is no token")
	}
	r.Header.Set("X-Auth-Token", *t.secret)
	return nil
}

const redacted = "[redacted]"

// String returns "[redacted]".
func (t Token) String() string { return redacted }

// Format prints "[redacted]", whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText returns "[redacted]": so do JSON and slog.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }
