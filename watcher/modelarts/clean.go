package modelarts

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/orderwatch/orderwatch/watcher/foreign"
)

const (
	maxMessage = 300 // bytes of a message
	maxCode    = 128 // bytes of an error's code or a request id
	maxScanned = 4 << 10
)

// clean makes the cloud's text fit to be shown: one line of valid UTF-8 without anything that cannot be
// seen, without the secrets and parts of them, at most limit bytes.
func clean(s string, limit int, hidden *foreign.Secrets) string {
	s = strings.Join(strings.Fields(foreign.Line(foreign.Cut(s, maxScanned))), " ")
	s = hidden.Hide(s)
	if len(s) > limit {
		s = foreign.Cut(s, limit-len("…")) + "…"
	}
	return s
}

// A hider has the secrets that were hidden last: most polls have those of the one before. It is safe for
// concurrent use.
type hider struct{ last atomic.Pointer[knownSecrets] }

type knownSecrets struct {
	texts []string
	hides *foreign.Secrets
}

// of returns what hides these secrets.
func (h *hider) of(secrets []string) *foreign.Secrets {
	if last := h.last.Load(); last != nil && slices.Equal(last.texts, secrets) {
		return last.hides
	}
	hides := foreign.NewSecrets(redacted, secrets...)
	h.last.Store(&knownSecrets{slices.Clone(secrets), hides})
	return hides
}
