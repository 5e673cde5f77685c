package login

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/endpoint"
)

const defaultIAMEndpoint = "https://iam.{region}.myhuaweicloud.com"

// How IAM is spared. It locks an account for 15 minutes after repeated failures.
const (
	wrongLoginRest = 5 * time.Minute
	lockedRest     = 15 * time.Minute
	maxProjects    = 1000 // whose tokens are kept
)

// A PasswordConfig says who logs in where. The zero value of a field is its default.
type PasswordConfig struct {
	// User, Password and Domain, which is the account's name, are required.
	User, Password, Domain string
	// Endpoint is IAM's base URL; {region} is filled in. Default
	// https://iam.{region}.myhuaweicloud.com.
	Endpoint string
	// Regions are those that the client asks; at least one.
	Regions []string
	// TLS holds the accepted certificate authorities; nil: the system's.
	TLS *tls.Config
	// UserAgent is sent with each login; default "orderwatch".
	UserAgent string
	// Now is the clock that tells when a token ends; nil: time.Now.
	Now func() time.Time
}

// A Password logs in to IAM as a user, for a token of each project. A token is used until a tenth
// of its life is left, at most an hour, and is then renewed. Make it with [NewPassword].
type Password struct {
	masked
	logger    *slog.Logger
	config    *PasswordConfig
	http      *http.Client
	endpoints map[string]endpoint.Endpoint // by region

	proven atomic.Bool   // the password is right
	first  chan struct{} // holds one who tries a password that is not proven

	mu        sync.Mutex
	tokens    map[tokenScope]*lease[string]
	held      error // all projects are refused
	heldUntil time.Time
}

// A tokenScope is what a token is for.
type tokenScope struct{ region, project string }

// NewPassword returns the login, or an error that names the setting that is wrong.
func NewPassword(logger *slog.Logger, c PasswordConfig) (*Password, error) {
	c.Endpoint = cmp.Or(c.Endpoint, defaultIAMEndpoint)
	c.UserAgent = cmp.Or(c.UserAgent, "orderwatch")
	if c.Now == nil {
		c.Now = time.Now
	}
	switch "" {
	case c.User:
		return nil, errors.New("user: must not be empty")
	case c.Password:
		return nil, errors.New("password: must not be empty")
	case c.Domain:
		return nil, errors.New("domain: must not be empty")
	}
	p := &Password{
		logger: logger, config: &c, http: newLoginHTTP(c.TLS),
		endpoints: make(map[string]endpoint.Endpoint), first: make(chan struct{}, 1), tokens: make(map[tokenScope]*lease[string]),
	}
	for _, region := range c.Regions {
		e, err := endpoint.New(c.Endpoint, region)
		if err != nil {
			return nil, fmt.Errorf("IAM %w", err)
		}
		if e.Exposed() {
			logger.Warn("iam endpoint is not encrypted: the password can be read on the way", "region", region, "host", e.Host)
		}
		p.endpoints[region] = e
	}
	return p, nil
}

// Login names the user.
func (p *Password) Login() string { return loginName("password", p.config.Domain, p.config.User) }

func (p *Password) secrets() []string { return []string{p.config.Password} }

// Authorize sets X-Auth-Token to a token of the project. Where there is none it logs in.
func (p *Password) Authorize(r *http.Request, region, projectID string) error {
	token, err := p.lease(tokenScope{region, projectID}).get(r.Context())
	if err != nil {
		return err
	}
	r.Header.Set("X-Auth-Token", token)
	return nil
}

// renew forgets the project's token, which the API refuses.
func (p *Password) renew(r *http.Request, region, projectID string) bool {
	return p.lease(tokenScope{region, projectID}).drop(r.Header.Get("X-Auth-Token"))
}

func (*Password) advice() string { return "check the user, the password and the domain" }

func (p *Password) lease(s tokenScope) *lease[string] {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.tokens[s]
	if !ok {
		if len(p.tokens) >= maxProjects {
			maps.DeleteFunc(p.tokens, func(_ tokenScope, l *lease[string]) bool { return l.idle() })
		}
		l = newLease(p.logger.With("project", s.project), p.config.Now, time.Hour, 10, func(ctx context.Context) (string, time.Time, error) {
			return p.logIn(ctx, s)
		})
		p.tokens[s] = l
	}
	return l
}

// logIn asks IAM for a token, unless it has just refused the user. Until the password has proved
// right once, one call is made at a time: many wrong ones at once would lock the account.
func (p *Password) logIn(ctx context.Context, s tokenScope) (string, time.Time, error) {
	if !p.proven.Load() {
		select {
		case p.first <- struct{}{}:
			defer func() { <-p.first }()
		case <-ctx.Done():
			return "", time.Time{}, ctx.Err()
		}
	}
	if err := p.refused(); err != nil {
		return "", time.Time{}, err
	}
	token, ends, err := p.ask(ctx, s)
	if err == nil {
		p.proven.Store(true)
		return token, ends, nil
	}
	if e, ok := errors.AsType[*answer.Error](err); ok && e.Class == watcher.Credentials {
		p.hold(e)
	}
	return "", time.Time{}, err
}

// refused returns why no login may be tried now.
func (p *Password) refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.config.Now(); now.Before(p.heldUntil) {
		return withRetryAfter(p.held, p.heldUntil.Sub(now))
	}
	return nil
}

// hold lets all projects wait.
func (p *Password) hold(e *answer.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proven.Store(false)
	p.held, p.heldUntil = e, p.config.Now().Add(e.RetryAfter)
}

// ask logs in once.
func (p *Password) ask(ctx context.Context, s tokenScope) (string, time.Time, error) {
	e, ok := p.endpoints[s.region]
	if !ok {
		return "", time.Time{}, answer.NewError(watcher.MayPass, fmt.Sprintf("region %.64q is not configured: add it to the regions", s.region))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL("/v3/auth/tokens?nocatalog=true"), bytes.NewReader(p.body(s)))
	if err != nil {
		return "", time.Time{}, answer.NewError(watcher.Credentials, "the login's URL cannot be asked")
	}
	r.Header.Set("Content-Type", "application/json;charset=utf8")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", p.config.UserAgent)
	resp, body, err := fetch(p.http, r, "IAM "+e.Host, p.secrets())
	if err != nil {
		return "", time.Time{}, err
	}
	if resp.StatusCode != http.StatusCreated {
		return "", time.Time{}, p.refusal(resp, body)
	}
	token := resp.Header.Get("X-Subject-Token")
	if headerSafe("token", token) != nil {
		return "", time.Time{}, answer.NewError(watcher.MayPass, "IAM "+e.Host+" answered without a token: check the IAM endpoint")
	}
	var said struct {
		Token struct {
			Expires moment `json:"expires_at"`
		} `json:"token"`
	}
	_ = json.Unmarshal(body, &said) // a token whose end is not known is a token, too
	return token, said.Token.Expires.Time, nil
}

func (p *Password) body(s tokenScope) []byte {
	type object = map[string]any
	user := object{"name": p.config.User, "password": p.config.Password, "domain": object{"name": p.config.Domain}}
	b, err := json.Marshal(object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": user}},
		"scope":    object{"project": object{"id": s.project}},
	}})
	if err != nil {
		panic("modelarts: " + err.Error()) // only texts are ever rendered
	}
	return b
}

// refusal says what IAM's answer means. A 401 is about the user, unless it speaks of the project
// alone; what else IAM refuses in its own words is about the project.
func (p *Password) refusal(resp *http.Response, body []byte) *answer.Error {
	_, text := answer.Words(body)
	text = strings.ToLower(text)
	class, rest, advice := watcher.MayPass, time.Duration(0), "check the IAM endpoint"
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized && strings.Contains(text, "lock"):
		class, rest, advice = watcher.Credentials, lockedRest, "the user is locked for a while: check user, password and domain"
	case status == http.StatusUnauthorized && strings.Contains(text, "project") && !strings.Contains(text, "password"):
		class, advice = watcher.Forbidden, "check the project and the user's permissions"
	case status == http.StatusUnauthorized:
		class, rest, advice = watcher.Credentials, wrongLoginRest, "check user, password and domain"
	case text != "" && (status == http.StatusBadRequest || status == http.StatusForbidden || status == http.StatusNotFound):
		class, advice = watcher.Forbidden, "check the project and the user's permissions"
	case status == http.StatusTooManyRequests, status/100 == 5:
		advice = "it may pass"
	}
	e := loginRefusal(resp, body, class, advice, rest, p.config.Now(), p.secrets())
	e.Locks = class == watcher.Credentials
	return e
}
