package events

import (
	"strings"

	"github.com/orderwatch/orderwatch/events/link"
)

// needs are the subjects that a worker must be allowed to publish on.
type needs []string

// others reports whether the violation is about what somebody else chose: the reply subject of a request to the
// service, on which the worker was to answer. The worker then lacks nothing that it needs.
func (n needs) others(violated error) bool {
	published, subscribing, ok := link.Violation(violated)
	if !ok || subscribing {
		return false
	}
	for _, subject := range n {
		if covers(subject, published) {
			return false
		}
	}
	return true
}

// covers reports whether a subject, which may have wildcards, covers one without.
func covers(pattern, subject string) bool {
	tokens := strings.Split(subject, ".")
	for i, p := range strings.Split(pattern, ".") {
		switch {
		case p == ">":
			return i < len(tokens)
		case i >= len(tokens) || p != "*" && p != tokens[i]:
			return false
		case i == strings.Count(pattern, "."):
			return len(tokens) == i+1
		}
	}
	return false
}
