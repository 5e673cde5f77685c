package login

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An AccessKey signs each request with an access key: SDK-HMAC-SHA256. Make it with [NewAccessKey].
type AccessKey struct {
	masked
	key *keyPair
	now func() time.Time
}

// NewAccessKey returns the key of an id (AK) and a secret (SK), and of a security token where it is
// a temporary one; or an error where they could not be sent. Signatures are dated by now, and the API
// refuses one that is more than 15 minutes off; nil: time.Now.
func NewAccessKey(access, secret, securityToken string, now func() time.Time) (*AccessKey, error) {
	key, err := newKeyPair(access, secret, securityToken)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &AccessKey{key: &key, now: now}, nil
}

// Authorize signs the request.
func (k *AccessKey) Authorize(r *http.Request, _, projectID string) error {
	return k.key.sign(r, projectID, k.now())
}

// Login names the key's id.
func (k *AccessKey) Login() string { return loginName("ak", k.key.access) }

func (*AccessKey) advice() string {
	return "check the access key, its secret and this machine's clock; after more than five wrong calls a key is locked for 5 minutes"
}

func (k *AccessKey) secrets() []string { return k.key.secrets() }

// A keyPair is an access key; its security token is empty where it is permanent.
type keyPair struct{ access, secret, securityToken string }

func newKeyPair(access, secret, securityToken string) (keyPair, error) {
	err := cmp.Or(headerSafe("access key", access), headerSafe("secret key", secret))
	if err == nil && securityToken != "" {
		err = headerSafe("security token", securityToken)
	}
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{access, secret, securityToken}, nil
}

func (k keyPair) secrets() []string { return []string{k.access, k.secret, k.securityToken} }

const (
	algorithm  = "SDK-HMAC-SHA256"
	dateLayout = "20060102T150405Z"
)

// signedHeaders are signed where they are set, and the host always. They are in the order that the
// signature wants.
var signedHeaders = [...]string{"content-type", "host", "x-project-id", "x-sdk-date", "x-security-token"}

// sign dates the request, which has no body, and adds the signature.
func (k keyPair) sign(r *http.Request, projectID string, now time.Time) error {
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	path, err := canonicalPath(r.URL)
	if err != nil {
		return err
	}
	date := now.UTC().Format(dateLayout)
	r.Header.Set("X-Sdk-Date", date)
	if projectID != "" {
		r.Header.Set("X-Project-Id", projectID)
	}
	if k.securityToken != "" {
		r.Header.Set("X-Security-Token", k.securityToken)
	}
	names, headers := canonicalHeaders(r)
	canonical := strings.Join([]string{r.Method, path, query, headers, names, digest("")}, "\n")
	mac := hmac.New(sha256.New, []byte(k.secret))
	mac.Write([]byte(algorithm + "\n" + date + "\n" + digest(canonical)))
	r.Header.Set("Authorization", algorithm+" Access="+k.access+", SignedHeaders="+names+", Signature="+hex.EncodeToString(mac.Sum(nil)))
	return nil
}

func digest(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// canonicalHeaders returns the names of the signed headers, and a line for each.
func canonicalHeaders(r *http.Request) (names, lines string) {
	var signed []string
	for _, name := range signedHeaders {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.URL.Host
		}
		if value != "" {
			signed = append(signed, name)
			lines += name + ":" + strings.TrimSpace(value) + "\n"
		}
	}
	return strings.Join(signed, ";"), lines
}

// canonicalPath returns the path, escaped anew, with a slash at its end.
func canonicalPath(u *url.URL) (string, error) {
	segments := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return "", err
		}
		segments[i] = withoutPlus(url.QueryEscape(plain))
	}
	return strings.TrimSuffix("/"+strings.Join(segments, "/"), "/") + "/", nil
}

// canonicalQuery returns the query, escaped anew and sorted.
func canonicalQuery(raw string) (string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", err
	}
	for _, all := range values {
		slices.Sort(all)
	}
	return withoutPlus(values.Encode()), nil
}

// withoutPlus returns the escaped text with %20 for a blank.
func withoutPlus(escaped string) string { return strings.ReplaceAll(escaped, "+", "%20") }
