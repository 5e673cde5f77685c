package login

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/endpoint"
)

const defaultMetadataEndpoint = "http://169.254.169.254"

const (
	metadataTokenLife = "21600" // seconds
	keyEarly          = 10 * time.Minute
	noAgencyRest      = time.Minute
)

// An AgencyConfig says where the machine's metadata service is. The zero value of a field is its
// default.
type AgencyConfig struct {
	// Endpoint is the service's base URL; no proxy is ever asked. Default
	// http://169.254.169.254.
	Endpoint string
	// UserAgent is sent with each call; default "orderwatch".
	UserAgent string
	// Now is the clock that dates signatures and tells when a key ends; nil: time.Now.
	Now func() time.Time
}

// An Agency signs each request with the temporary key of the machine that it runs on. The key is
// valid for an hour; it is renewed ten minutes before its end. Make it with [NewAgency].
type Agency struct {
	masked
	config   *AgencyConfig
	endpoint endpoint.Endpoint
	http     *http.Client
	key      *lease[keyPair]
}

// NewAgency returns the login, or an error that names the setting that is wrong.
func NewAgency(logger *slog.Logger, c AgencyConfig) (*Agency, error) {
	c.Endpoint = cmp.Or(c.Endpoint, defaultMetadataEndpoint)
	c.UserAgent = cmp.Or(c.UserAgent, "orderwatch")
	if c.Now == nil {
		c.Now = time.Now
	}
	e, err := endpoint.At(c.Endpoint)
	if err != nil {
		return nil, err
	}
	a := &Agency{config: &c, endpoint: e, http: newLoginHTTP(nil)}
	a.http.Transport.(*http.Transport).Proxy = nil
	a.key = newLease(logger, c.Now, keyEarly, 2, a.take)
	return a, nil
}

// Login is the same on all machines: their agencies are taken for one account.
func (a *Agency) Login() string { return loginName("agency") }

func (a *Agency) secrets() []string {
	key, _, _ := a.key.look()
	return key.secrets()
}

// Authorize signs the request.
func (a *Agency) Authorize(r *http.Request, _, projectID string) error {
	key, err := a.key.get(r.Context())
	if err != nil {
		return err
	}
	return key.sign(r, projectID, a.config.Now())
}

// renew forgets the key, takes the one that the machine has now, and reports whether that is another:
// the same one would only count as one more failure, and enough of them lock it.
func (a *Agency) renew(r *http.Request, _, _ string) bool {
	refused := func(k keyPair) bool {
		return strings.Contains(r.Header.Get("Authorization"), " Access="+k.access+",")
	}
	if key, _, _ := a.key.look(); refused(key) && !a.key.drop(key) {
		return false
	}
	key, err := a.key.get(r.Context())
	return err != nil || !refused(key) // where there is no key, the next try says why
}

func (*Agency) advice() string { return "check this machine's agency, and its clock" }

// take asks for the key that the machine has now.
func (a *Agency) take(ctx context.Context) (keyPair, time.Time, error) {
	none, never := keyPair{}, time.Time{}
	token, err := a.token(ctx)
	if err != nil {
		return none, never, err
	}
	resp, body, err := a.ask(ctx, http.MethodGet, "/openstack/latest/securitykey", "X-Metadata-Token", token)
	if err != nil {
		return none, never, err
	}
	if resp.StatusCode != http.StatusOK {
		return none, never, a.refusal(resp, body)
	}
	var said struct {
		Credential struct {
			Access, Secret, SecurityToken string
			Expires                       moment `json:"expires_at"`
		}
	}
	bad := answer.NewError(watcher.MayPass, a.endpoint.Host+" answered without a key: check the metadata endpoint")
	if json.Unmarshal(body, &said) != nil {
		return none, never, bad
	}
	key, err := newKeyPair(said.Credential.Access, said.Credential.Secret, said.Credential.SecurityToken)
	if err != nil || key.securityToken == "" {
		return none, never, bad
	}
	return key, said.Credential.Expires.Time, nil
}

// token returns the token that the service wants to see, empty where it knows none.
func (a *Agency) token(ctx context.Context) (string, error) {
	resp, body, err := a.ask(ctx, http.MethodPut, "/meta-data/latest/api/token", "X-Metadata-Token-Ttl-Seconds", metadataTokenLife)
	if err != nil {
		return "", err
	}
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable:
		return "", nil
	case http.StatusOK:
		if headerSafe("token", string(body)) == nil {
			return string(body), nil
		}
		return "", answer.NewError(watcher.MayPass, a.endpoint.Host+" answered with no token: check the metadata endpoint")
	}
	return "", a.refusal(resp, nil)
}

// ask makes one call, with a header where it has a value.
func (a *Agency) ask(ctx context.Context, method, path, header, value string) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.endpoint.URL(path), nil)
	if err != nil {
		return nil, nil, answer.NewError(watcher.Credentials, "the metadata endpoint cannot be asked")
	}
	r.Header.Set("User-Agent", a.config.UserAgent)
	if value != "" {
		r.Header.Set(header, value)
	}
	return fetch(a.http, r, "the metadata service "+a.endpoint.Host, nil)
}

func (a *Agency) refusal(resp *http.Response, body []byte) *answer.Error {
	class, rest, advice := watcher.MayPass, time.Duration(0), "check the metadata endpoint"
	if resp.StatusCode == http.StatusNotFound {
		class, rest, advice = watcher.Credentials, noAgencyRest, "does this machine have an agency?"
	}
	return loginRefusal(resp, body, class, advice, rest, a.config.Now(), a.secrets())
}
