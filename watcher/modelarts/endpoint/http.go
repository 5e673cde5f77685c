package endpoint

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
)

const (
	maxHeader   = 64 << 10 // of all headers of an answer, in bytes
	dialTimeout = 5 * time.Second
)

// NewHTTP returns a client that follows no redirect; how long a call takes is bounded by its context. It
// speaks HTTP/1.1 only, one connection for each call in flight, so a connection that went dead harms no more
// than one call. A proxy is taken from HTTPS_PROXY and NO_PROXY. trusted holds the accepted certificate
// authorities; nil: the system's. change, which is required, makes the connections fit for their use, before
// the first one.
func NewHTTP(trusted *tls.Config, change func(*http.Transport)) *http.Client {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxHeader,
		IdleConnTimeout:        90 * time.Second,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		return answer.ProxyError(resp.StatusCode)
	}
	if trusted != nil {
		t.TLSClientConfig = trusted.Clone()
	}
	change(t)
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
