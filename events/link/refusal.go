package link

import (
	"cmp"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"
)

// connectHint returns what may mend a connection that cannot be made; empty where the error says it.
func connectHint(err error) string {
	return cmp.Or(tlsFirstHint(err), Limit(err))
}

// tlsFirstHint says what to do where a connection perhaps failed because the server waits for the TLS handshake before it
// says a word. The server or the client ended the connection then. The hint is empty for other errors.
func tlsFirstHint(err error) string {
	operation, ok := errors.AsType[*net.OpError](err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || ok && operation.Op == "read" && operation.Timeout() {
		return "the server took the connection and said nothing; if its configuration has tls { handshake_first: true }, set ORDERWATCH_NATS_TLS_FIRST=true"
	}
	return ""
}

// Advice says in sentences what may mend a connection that cannot be made, by its cause; empty where the error names none, as
// where nobody listens.
func Advice(err error) string {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isName := errors.AsType[x509.HostnameError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case isInvalid && invalid.Reason == x509.Expired:
		return "The server's certificate is out of its time, or this machine's clock is off: renew the certificate, or mend the clock."
	case isName:
		return "Connect by a name or an address that the server's certificate has, in ORDERWATCH_NATS_URL."
	case isUnknown:
		return "Give the authority that signed the server's certificate: ORDERWATCH_NATS_CA_FILE."
	case isDNS:
		return "Check the name in ORDERWATCH_NATS_URL, and this machine's DNS."
	case tlsFirstHint(err) != "":
		hint := tlsFirstHint(err)
		return strings.ToUpper(hint[:1]) + hint[1:] + ". Otherwise look at the server's log."
	case strings.Contains(err.Error(), "certificate"), strings.Contains(err.Error(), "tls"), errors.Is(err, nats.ErrSecureConnWanted), errors.Is(err, nats.ErrSecureConnRequired):
		return "Check ORDERWATCH_NATS_CA_FILE, _CERT_FILE and _KEY_FILE, and whether the server wants TLS."
	}
	return ""
}

// Denied reports whether an error of the connection says that a permission is missing. It shows
// nowhere else: the publish or the request itself just times out.
func Denied(err error) bool { return errors.Is(err, nats.ErrPermissionViolation) }

// Refused reports whether an error of the connection says that the server does not accept the
// login, or no longer. nats.go tells each refusal so while it goes on reconnecting.
func Refused(err error) bool {
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// violation finds what an error says that was denied.
var violation = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to "([^"]+)"`)

// Violation returns the subject of an error that [Denied] holds for, and whether it was to be subscribed to, not
// published on. ok is false where the error names none.
func Violation(err error) (subject string, subscribing, ok bool) {
	found := violation.FindStringSubmatch(err.Error())
	if found == nil {
		return "", false, false
	}
	return found[2], strings.EqualFold(found[1], "subscription"), true
}

// Limit returns what to do about a limit of the account or the server that the error names; empty where it
// names none.
func Limit(err error) string {
	text := strings.ToLower(err.Error())
	switch {
	case errors.Is(err, nats.ErrMaxSubscriptionsExceeded), strings.Contains(text, "maximum subscriptions exceeded"):
		return "the account's or the user's limit of subscriptions is met; raise it (a worker needs about 40)"
	case errors.Is(err, nats.ErrMaxAccountConnectionsExceeded), strings.Contains(text, "maximum account active connections exceeded"):
		return "the account's limit of connections is met; raise it, or end other clients"
	case errors.Is(err, nats.ErrMaxConnectionsExceeded), strings.Contains(text, "maximum connections exceeded"):
		return "the server's limit of connections is met; raise max_connections"
	case strings.Contains(text, "maximum payload"):
		return "the server's max_payload was lowered"
	}
	return ""
}
