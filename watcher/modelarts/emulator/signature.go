package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Key is an access key that requests may be signed with.
type Key struct {
	Access, Secret string
	SecurityToken  string    // of a temporary key
	Expires        time.Time // zero: never
}

// How the gateway treats signatures.
const (
	maxSkew     = 15 * time.Minute
	maxFailures = 5               // in a row; one more locks the key
	keyLock     = 5 * time.Minute // how long it is refused then, whatever the signature
)

// A keyRing holds the known keys, and what was signed wrongly with any.
type keyRing struct {
	keys     map[string]Key
	failures map[string]int // in a row
	locked   map[string]time.Time
}

func newKeyRing(keys []Key) keyRing {
	ring := keyRing{make(map[string]Key), make(map[string]int), make(map[string]time.Time)}
	for _, k := range keys {
		ring.keys[k.Access] = k
	}
	return ring
}

var (
	errLocked    = errors.New("AK access failed to reach the limit,forbidden")
	errUnknown   = errors.New("ak not exist")
	errSignature = errors.New("verify aksk signature fail")
	errSkew      = errors.New("signature expired")
)

// check returns what is wrong with the request's signature, and counts it.
func (ring *keyRing) check(r *http.Request, now time.Time) error {
	claim, err := readClaim(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	if now.Before(ring.locked[claim.access]) {
		return errLocked
	}
	err = ring.verify(r, claim, now)
	if err == nil {
		delete(ring.failures, claim.access)
		return nil
	}
	ring.failures[claim.access]++
	if ring.failures[claim.access] > maxFailures {
		delete(ring.failures, claim.access)
		ring.locked[claim.access] = now.Add(keyLock)
		return errLocked
	}
	return err
}

func (ring *keyRing) verify(r *http.Request, c claim, now time.Time) error {
	key, ok := ring.keys[c.access]
	if !ok || !key.Expires.IsZero() && !now.Before(key.Expires) {
		return errUnknown
	}
	date, err := time.Parse("20060102T150405Z", r.Header.Get("X-Sdk-Date"))
	if err != nil {
		return errSignature
	}
	if date.Before(now.Add(-maxSkew)) || date.After(now.Add(maxSkew)) {
		return errSkew
	}
	want := []string{"host", "x-sdk-date"}
	if key.SecurityToken != "" {
		want = append(want, "x-security-token")
	}
	missing := func(name string) bool { return !slices.Contains(c.headers, name) }
	if slices.ContainsFunc(want, missing) || r.Header.Get("X-Security-Token") != key.SecurityToken {
		return errSignature
	}
	mac := hmac.New(sha256.New, []byte(key.Secret))
	fmt.Fprintf(mac, "SDK-HMAC-SHA256\n%s\n%x", r.Header.Get("X-Sdk-Date"), sha256.Sum256([]byte(signedText(r, c.headers))))
	if subtle.ConstantTimeCompare(mac.Sum(nil), c.signature) != 1 {
		return errSignature
	}
	return nil
}

// A claim is what an Authorization header says.
type claim struct {
	access    string
	headers   []string
	signature []byte
}

func readClaim(header string) (claim, error) {
	rest, ok := strings.CutPrefix(header, "SDK-HMAC-SHA256 ")
	if !ok {
		return claim{}, errSignature
	}
	var c claim
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Access":
			c.access = value
		case "SignedHeaders":
			c.headers = strings.Split(value, ";")
		case "Signature":
			c.signature, _ = hex.DecodeString(value) // what is none fits none
		}
	}
	if c.access == "" {
		return claim{}, errSignature
	}
	return c, nil
}

// signedText writes the request as it must have been signed. Bodies are not read: no signed call
// has one.
func signedText(r *http.Request, headers []string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n")
	for segment := range strings.SplitSeq(strings.Trim(r.URL.Path, "/"), "/") {
		b.WriteString("/" + withoutPlus(url.QueryEscape(segment)))
	}
	b.WriteString("/\n")
	query := r.URL.Query()
	for _, values := range query {
		slices.Sort(values)
	}
	b.WriteString(withoutPlus(query.Encode()) + "\n")
	for _, name := range headers {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		b.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	fmt.Fprintf(&b, "\n%s\n%x", strings.Join(headers, ";"), sha256.Sum256(nil))
	return b.String()
}

// withoutPlus returns the escaped text with %20 for a blank.
func withoutPlus(escaped string) string { return strings.ReplaceAll(escaped, "+", "%20") }
