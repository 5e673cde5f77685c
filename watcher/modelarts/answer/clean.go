package answer

import (
	"strings"

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
