package login

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/endpoint"
)

const maxLoginBody = 64 << 10 // of an answer of a service that logs in, in bytes

// newLoginHTTP returns a client for the rare calls of a login: it keeps no connection.
func newLoginHTTP(trusted *tls.Config) *http.Client {
	return endpoint.NewHTTP(trusted, func(t *http.Transport) { t.DisableKeepAlives = true })
}

// A moment is a time, zero where it is written in an unknown way.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(b []byte) error {
	if m.Time.UnmarshalJSON(b) != nil {
		m.Time = time.Time{}
	}
	return nil
}

// loginRefusal is an answer other than the one that was hoped for of a service that logs in. The
// service is left alone for at least the rest.
func loginRefusal(resp *http.Response, body []byte, class watcher.Class, advice string, rest time.Duration, now time.Time, secrets []string) *answer.Error {
	e := answer.LoginRefusal(resp, body, class, advice, now, foreign.NewSecrets(redacted, secrets...))
	e.RetryAfter = max(rest, e.RetryAfter)
	return e
}

// fetch makes one call of a login and returns its answer and the beginning of its body,
// without a byte-order mark.
func fetch(h *http.Client, r *http.Request, whom string, secrets []string) (*http.Response, []byte, error) {
	resp, err := h.Do(r)
	if err != nil {
		return nil, nil, loginNetworkError(r.Context(), "ask "+whom, err, secrets)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxLoginBody))
	if err != nil && resp.StatusCode/100 == 2 {
		return nil, nil, loginNetworkError(r.Context(), "read the answer of "+whom, err, secrets)
	}
	return resp, answer.Unmarked(body), nil
}

// loginNetworkError says that a service that logs in did not answer.
func loginNetworkError(ctx context.Context, doing string, err error, secrets []string) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("no whole answer in time")
		}
	}
	return answer.NetworkError(doing, err, foreign.NewSecrets(redacted, secrets...))
}
