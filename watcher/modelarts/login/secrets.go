package login

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/orderwatch/orderwatch/watcher/foreign"
)

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

// A Hider knows the secrets of the requests that a client makes. It keeps those of the last one: most
// requests have the same. It is safe for concurrent use; the zero value is ready.
type Hider struct{ last atomic.Pointer[knownSecrets] }

type knownSecrets struct {
	texts []string
	hides *foreign.Secrets
}

// secretHeaders are where credentials put what no error may show.
var secretHeaders = [...]string{"X-Auth-Token", "X-Security-Token"}

// Secrets returns what hides the secrets in an authorised request's headers, what else the credential holds,
// and more.
func (h *Hider) Secrets(c Credential, header http.Header, more ...string) *foreign.Secrets {
	var secrets []string
	for _, name := range secretHeaders {
		if v := header.Get(name); v != "" {
			secrets = append(secrets, v)
		}
	}
	if _, signature, ok := strings.Cut(header.Get("Authorization"), "Signature="); ok {
		secrets = append(secrets, signature)
	}
	if secretive, ok := c.(interface{ secrets() []string }); ok {
		secrets = append(secrets, secretive.secrets()...)
	}
	secrets = append(secrets, more...)
	if last := h.last.Load(); last != nil && slices.Equal(last.texts, secrets) {
		return last.hides
	}
	hides := foreign.NewSecrets(redacted, secrets...)
	h.last.Store(&knownSecrets{secrets, hides})
	return hides
}
