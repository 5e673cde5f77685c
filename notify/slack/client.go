// Package slack makes the calls of Slack that the outbox needs, and says what their errors mean for a message
// ([Error], [Classify]). It takes values and returns values: it holds no state but the login, never tries a call
// again, and waits for nothing. Nothing that it returns holds a token, or a webhook's address.
//
// Read error.go (what kinds of errors there are, and how one is told), codes.go (what each code of Slack's means, and
// what people can do), then client.go (the login, timeouts and bounds), post.go (messages), webhook.go (the same without a login), history.go (what was
// posted), file.go (files in threads) and inspect.go (what a token may do, and where).
package slack

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

// A Config is the way to a workspace.
type Config struct {
	Token   string        // a bot token with the scope chat:write; secret
	APIURL  string        // ends in "/"; default https://slack.com/api/
	Timeout time.Duration // of one call; default 10 s

	// HTTPClient makes the calls. It must have a timeout and follow no redirects, which would
	// carry the token elsewhere. Default: Timeout, no redirects, answers up to 16 MiB.
	HTTPClient *http.Client
}

// A Client calls Slack with a bot token. It is safe for concurrent use. All its errors are *[Error]s.
type Client struct {
	url string
	api *slack.Client
}

// New returns a client. It makes no call.
func New(c Config) (*Client, error) {
	c.APIURL = cmp.Or(c.APIURL, slack.APIURL)
	switch {
	case c.Token == "":
		return nil, errors.New("configure slack: give a token")
	case !isHTTP(c.APIURL) || !strings.HasSuffix(c.APIURL, "/"):
		return nil, errors.New(`configure slack: the API's URL must be an http(s) URL that ends in "/"`)
	}
	return &Client{c.APIURL, slack.New(c.Token, slack.OptionAPIURL(c.APIURL), slack.OptionHTTPClient(heedful{c.client(), c.APIURL}))}, nil
}

// client returns what makes the calls.
func (c Config) client() *http.Client {
	if c.HTTPClient != nil {
		return c.HTTPClient
	}
	return &http.Client{
		Timeout:       cmp.Or(c.Timeout, 10*time.Second),
		Transport:     boundedTransport{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func isHTTP(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// maxAnswer bounds what is read of an answer, in bytes: a page of a history may hold long messages, most
// of whose characters are escaped.
const maxAnswer = 16 << 20

// A boundedTransport cuts answers that are too long.
type boundedTransport struct{ next http.RoundTripper }

// RoundTrip makes the call.
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}
	return answer, err
}

// A heedful client hands on what an answer of the API says, whatever its status is: slack-go does not read the body of
// another one than 200.
type heedful struct {
	*http.Client
	api string // the URL of the API; what is not below it is handed on as it is
}

// Do makes the call.
func (c heedful) Do(r *http.Request) (*http.Response, error) {
	answer, err := c.Client.Do(r)
	if err != nil || answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusTooManyRequests || !strings.HasPrefix(r.URL.String(), c.api) {
		return answer, err
	}
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxSaid)) // of what was cut the status tells
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(said))
	if ok, code, is := inJSON(said); is && (ok || isKnown(code) || code != "" && answer.StatusCode < 500) {
		answer.StatusCode = http.StatusOK
	}
	return answer, nil
}

// classified returns the error as an *[Error], nil for nil.
func classified(err error) error {
	if err == nil {
		return nil
	}
	return Classify(err)
}
