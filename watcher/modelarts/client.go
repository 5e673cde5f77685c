// Package modelarts asks ModelArts for the state of orders, and for lists of orders: the adapter between
// [watcher.Orders] and the HTTP API.
//
// It promises that an account, which is one login in one region, is asked no more often than at its rate,
// over all workers; that it is left alone while the API refuses it or does not answer; and that the trouble of
// one order keeps no other waiting. What an answer means is decided by package answer, how one proves who
// asks by package login, where and how one connects by package endpoint, and how long an account is held by
// [watcher.Hold].
//
// Read client.go (a call), then:
//
//	account.go          whether the account may be asked now, and a login that is not proven
//	turns/              which call goes next, so that the rate is kept
//	load.go             how many polls are wanted, and when it is said that the rate is used up
//	answer/statuses.go  which answer is a reason to hold the account, such as a 429
//	holds.go            when an account is held after a call, and when that is over; timing.go: for how long
//	witness.go          whose the trouble is: a witness is an order that was answered before
//	alone.go            a worker that shares its accounts with nobody
//	body.go             how long bodies are read without too much memory, and for how long a call may take
//	known.go            answers that are, byte for byte, the order's last one
//	look.go             a look that changes nothing
//	list.go             the list of a project's orders, which gives hints only
package modelarts

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/endpoint"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

// A Config says whom to ask and how. The zero value of a field is its default.
type Config struct {
	// Endpoint is the API's base URL, http or https; {region} is filled in. A path is kept as a
	// prefix. Europe's ends in .eu, and one region is published under .cn. Default [endpoint.Default].
	Endpoint string
	// Regions may be asked; at least one.
	Regions []string
	// Credential authorises the requests; required.
	Credential login.Credential
	// Timeout bounds a whole call, from the dial to the last byte of the answer; default 15 s.
	Timeout time.Duration
	// Rate is the most calls a second for each account: one login in one region. All workers share it. Default 20.
	Rate float64
	// Accounts is what the workers share; nil: this one shares with nobody.
	Accounts watcher.Accounts
	// Timing holds the durations that nobody configures; its zero value is DefaultTiming.
	Timing Timing
	// Concurrency is how many calls are expected at once: so many connections are kept for reuse; default 64.
	Concurrency int
	// TLS holds the accepted certificate authorities; nil: the system's.
	TLS *tls.Config
	// UserAgent is sent with each call; default "orderwatch".
	UserAgent string
	// Secrets are never shown, whatever the API answers. The credential's need not be named.
	Secrets []string
	// Now is the clock that Wait's callers use; nil: time.Now.
	Now func() time.Time
}

// A Client asks ModelArts. It is safe for concurrent use; make it with [New].
type Client struct {
	config  Config
	http    *http.Client
	regions map[string]*region
	hidden  *login.Hider
	known   *known
	bodies  *bodies
}

// A region is where to ask and whether it may be asked now.
type region struct {
	endpoint endpoint.Endpoint
	account  *account
}

var _ watcher.Orders = (*Client)(nil)

// New returns a client, or an error that names the setting that is wrong.
// A proxy is taken from HTTPS_PROXY and NO_PROXY, as net/http does.
func New(logger *slog.Logger, c Config) (*Client, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	client := &Client{config: c, regions: make(map[string]*region), hidden: new(login.Hider), known: &known{orders: make(map[place]*knownAnswer)}, bodies: newBodies()}
	client.http = endpoint.NewHTTP(c.TLS, func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = c.Concurrency*len(c.Regions), c.Concurrency
	})
	for _, name := range c.Regions {
		e, err := endpoint.New(c.Endpoint, name)
		if err != nil {
			return nil, err
		}
		if e.Exposed() {
			logger.Warn("modelarts endpoint is not encrypted: logins can be read on the way", "region", name, "host", e.Host)
		}
		account := newAccount(logger.With("region", name), c.Credential.Login()+"."+name, name, c)
		account.holds.askAgain = func(ctx context.Context, order watcher.Order) error {
			account.spend(c.Now())
			return client.askAgain(ctx, name, e, order)
		}
		client.regions[name] = &region{e, account}
	}
	return client, nil
}

func (c Config) withDefaults() (Config, error) {
	c.Endpoint = cmp.Or(c.Endpoint, endpoint.Default)
	c.Timeout = cmp.Or(c.Timeout, 15*time.Second)
	c.Rate = cmp.Or(c.Rate, 20)
	c.Concurrency = cmp.Or(c.Concurrency, 64)
	c.UserAgent = cmp.Or(c.UserAgent, "orderwatch")
	c.Timing = cmp.Or(c.Timing, DefaultTiming())
	if c.Accounts == nil {
		c.Accounts = &alone{holds: make(map[string]watcher.Hold), revisions: make(map[string]watcher.Revision)}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case len(c.Regions) == 0:
		return c, errors.New("regions: name at least one")
	case c.Credential == nil:
		return c, errors.New("credential: one way to log in is required")
	case c.Timeout < 0:
		return c, errors.New("timeout: must be over 0")
	case !(c.Rate > 0 && c.Rate <= maxRate):
		return c, fmt.Errorf("rate: must be over 0 and at most %d requests a second", maxRate)
	case c.Concurrency < 0:
		return c, errors.New("concurrency: must be over 0")
	}
	return c, nil
}

// Close closes the connections that are not in use. The client can be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Wait says whether the account that is asked for the order may be asked now; then the caller must
// ask, at once. A caller who comes back when the time is over, with that time as turn.At, goes before callers
// without a turn. For a region that is not configured it says yes; Show says why not.
func (c *Client) Wait(ctx context.Context, region string, order watcher.Order, now time.Time, turn watcher.Turn) watcher.Leave {
	r, ok := c.regions[region]
	if !ok {
		return watcher.Leave{}
	}
	return r.account.wait(ctx, order.ProjectID, now, turn)
}

// Book says when a caller is to come who wants to ask for an order at turn.At: then, or later where the rate is used up. For a
// region that is not configured it is that time.
func (c *Client) Book(region string, _ watcher.Order, now time.Time, turn watcher.Turn) time.Time {
	r, ok := c.regions[region]
	if !ok {
		return turn.At
	}
	return r.account.book(now, turn)
}

// WaitList says whether the account may be asked now for the project's list of orders; then the caller must ask, at once.
// For a region that is not configured it says yes; List says why not.
func (c *Client) WaitList(_ context.Context, region, projectID string, now time.Time) watcher.Leave {
	r, ok := c.regions[region]
	if !ok {
		return watcher.Leave{}
	}
	return r.account.waitList(projectID, now)
}

// Show asks once for the order and does not try again. Its errors are an [*answer.Error], which says
// what they mean for the watch; but where ctx ended first the error wraps its cause.
//
// Before the account is held as unreachable, Show asks for the order that was answered last, too, whose
// answer is thrown away. So it takes at most twice the timeout; while an answer waits for memory, because it is longer than
// 64 kB and others are, too, the time stands still. It asks so whatever the rate, at most
// once for five calls that fail, and once for each that is to show whether a hold is over.
func (c *Client) Show(ctx context.Context, region string, order watcher.Order) (watcher.Answer, error) {
	r, err := c.regionOf(region, order)
	if err != nil {
		return watcher.Answer{}, err
	}
	asked := r.account.holds.begin(ctx, order)
	got, err := c.show(ctx, c.config.Timeout, region, r.endpoint, order)
	if ctx.Err() == nil {
		asked.ended = c.config.Now()
		r.account.heard(ctx, asked, err)
	}
	return got, err
}

// regionOf returns the region that is to be asked for the order, or an error where neither can be.
func (c *Client) regionOf(name string, order watcher.Order) (*region, error) {
	if err := order.Validate(); err != nil {
		return nil, answer.NewError(watcher.Refused, err.Error())
	}
	r, ok := c.regions[name]
	if !ok {
		return nil, answer.NewError(watcher.MayPass, fmt.Sprintf("region %.64q is not configured: add it to the regions", name))
	}
	return r, nil
}

// askAgain asks for the order in less time than Show, which it is a part of: together they take no more
// than twice the configured one.
func (c *Client) askAgain(ctx context.Context, region string, e endpoint.Endpoint, order watcher.Order) error {
	_, err := c.show(ctx, c.config.Timeout-c.config.Timeout/10, region, e, order)
	return err
}

// show asks for the order.
func (c *Client) show(ctx context.Context, timeout time.Duration, region string, e endpoint.Endpoint, order watcher.Order) (got watcher.Answer, err error) {
	u, err := e.Order(order)
	if err != nil {
		return got, answer.NewError(watcher.Refused, err.Error())
	}
	err = c.ask(ctx, timeout, region, e.Host, order.ProjectID, u, func(resp *http.Response, body []byte, now time.Time, hidden *foreign.Secrets) (err error) {
		got, err = c.read(place{region, order}, resp, body, now, hidden)
		return err
	})
	return got, err
}

// read returns the order that the answer holds. Where the order's last answer had the same body, that is known.
func (c *Client) read(at place, resp *http.Response, body []byte, now time.Time, hidden *foreign.Secrets) (watcher.Answer, error) {
	if resp.StatusCode != http.StatusOK {
		_, err := answer.Read(resp, body, now, hidden)
		return watcher.Answer{}, err
	}
	sum := sha256.Sum256(body)
	p := c.known.find(at, sum, now)
	if p == nil {
		var err error
		if p, err = answer.Read(resp, body, now, hidden); err != nil {
			return watcher.Answer{}, err
		}
		c.known.keep(at, sum, p, now)
	}
	return p.Answer(hidden), nil
}

// A reading makes something of an answer, as [answer.Read] does. It keeps nothing of the body.
type reading func(resp *http.Response, body []byte, now time.Time, hidden *foreign.Secrets) error

// ask makes the call; once more, within the same time, where the login was refused and there is another
// proof of it.
func (c *Client) ask(ctx context.Context, timeout time.Duration, region, host, projectID string, u *url.URL, read reading) error {
	t := newCallTime(ctx, timeout)
	defer t.over()
	req, err := c.request(ctx, t, region, projectID, u)
	if err != nil {
		return err
	}
	err = c.send(ctx, t, host, req, read)
	if c.renewed(ctx, t, req, region, projectID, err) {
		if req, err = c.request(ctx, t, region, projectID, u); err != nil {
			return err
		}
		err = c.send(ctx, t, host, req, read)
	}
	if e, ok := errors.AsType[*answer.Error](err); ok {
		e.Advise(login.Advice(c.config.Credential))
	}
	return err
}

// renewed reports whether the API refused the login, and there is another proof for a second try.
func (c *Client) renewed(ctx context.Context, t *callTime, req *http.Request, region, projectID string, err error) bool {
	if e, ok := errors.AsType[*answer.Error](err); !ok || !e.Unauthorized() {
		return false
	}
	within, cancel := t.login(ctx)
	defer cancel()
	return login.Renew(c.config.Credential, req.WithContext(within), region, projectID)
}

func (c *Client) send(ctx context.Context, t *callTime, host string, req *http.Request, read reading) error {
	hidden := c.hidden.Secrets(c.config.Credential, req.Header, c.config.Secrets...)
	resp, err := c.http.Do(req)
	if err != nil {
		return c.networkError(ctx, t, "ask "+host, err, hidden)
	}
	defer resp.Body.Close()
	body, err := c.bodies.read(resp, t)
	defer c.bodies.free(body)
	if err != nil && resp.StatusCode == http.StatusOK { // half an error is better than none
		return c.networkError(ctx, t, "read the answer of "+host, err, hidden)
	}
	return read(resp, body.Bytes(), c.config.Now(), hidden)
}

func (c *Client) request(ctx context.Context, t *callTime, region, projectID string, u *url.URL) (*http.Request, error) {
	within, cancel := t.login(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(within, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, answer.NewError(watcher.Refused, "the order's URL cannot be asked")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.config.UserAgent)
	if err := c.config.Credential.Authorize(req, region, projectID); err != nil {
		return nil, cmp.Or(t.ended(ctx, within, "log in"), error(answer.LoginError(err)))
	}
	return req.WithContext(t.ctx), nil
}

// networkError says that nothing, or not all, was answered.
func (c *Client) networkError(ctx context.Context, t *callTime, doing string, err error, hidden *foreign.Secrets) error {
	return cmp.Or(t.ended(ctx, t.ctx, doing), error(answer.NetworkError(doing, err, hidden)))
}
