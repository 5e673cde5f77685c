package events

import (
	"errors"
	"strings"

	"github.com/nats-io/nats.go"
)

// needs are the subjects that a worker must be allowed to publish on.
type needs []string

// needed returns those of a worker on the connection.
func needed(config Config, nc *nats.Conn) (list needs) {
	for _, p := range (&Inspector{config: config, nc: nc}).permissions() {
		if p.Verb == Publishes && p.Need != NeedDoctor {
			list = append(list, p.Subject)
		}
	}
	return list
}

// others reports whether the violation is about what somebody else chose: the reply subject of a request to the
// service, on which the worker was to answer. The worker then lacks nothing that it needs.
func (n needs) others(violated error) bool {
	found := violation.FindStringSubmatch(violated.Error())
	if found == nil || !strings.EqualFold(found[1], "publish") {
		return false
	}
	for _, subject := range n {
		if covers(subject, found[2]) {
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

// limitMet returns what to do about a limit of the account or the server that the error names; empty where it
// names none.
func limitMet(err error) string {
	text := strings.ToLower(err.Error())
	switch {
	case errors.Is(err, nats.ErrMaxSubscriptionsExceeded), strings.Contains(text, "maximum subscriptions exceeded"):
		return "the account's or the user's limit of subscriptions is met; raise it (a worker needs about 30)"
	case errors.Is(err, nats.ErrMaxAccountConnectionsExceeded), strings.Contains(text, "maximum account active connections exceeded"):
		return "the account's limit of connections is met; raise it, or end other clients"
	case errors.Is(err, nats.ErrMaxConnectionsExceeded), strings.Contains(text, "maximum connections exceeded"):
		return "the server's limit of connections is met; raise max_connections"
	case strings.Contains(text, "maximum payload"):
		return "the server's max_payload was lowered"
	}
	return ""
}
