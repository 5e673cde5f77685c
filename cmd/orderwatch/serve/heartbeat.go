package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
)

// heartbeatTimeout bounds one call.
const heartbeatTimeout = 10 * time.Second

// heartbeat returns what calls the configured URL once; nil where there is none. The URL is a secret: who knows it can
// keep the alarm from coming. Its errors show nothing of the URL, nor of what was answered but the status.
func heartbeat(config config.Config, timeout time.Duration) func(context.Context) error {
	secret := config.HTTP.HeartbeatURL
	if !secret.IsSet() {
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // a minute is longer than most keep a connection
	client := &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: sameHost}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, secret.Reveal(), nil)
		if err != nil {
			return errors.New("ORDERWATCH_HEARTBEAT_URL is no URL")
		}
		request.Header.Set("User-Agent", "orderwatch/"+config.Version)
		response, err := client.Do(request)
		if err != nil {
			return heartbeatError(err, timeout)
		}
		response.Body.Close()
		if response.StatusCode/100 != 2 {
			return fmt.Errorf("ORDERWATCH_HEARTBEAT_URL answered status %d", response.StatusCode)
		}
		return nil
	}
}

var errElsewhere = errors.New("it redirects to another host, scheme or port, or too often, which is not followed")

// sameHost lets a few redirects be followed that stay where they are.
func sameHost(next *http.Request, before []*http.Request) error {
	if first := before[0].URL; len(before) > 3 || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return errElsewhere
	}
	return nil
}

// heartbeatError says what went wrong. The errors of net/http show the URL, and those below them the host.
func heartbeatError(err error, timeout time.Duration) error {
	why := "the connection failed"
	_, isName := errors.AsType[*net.DNSError](err)
	timed, isTimed := errors.AsType[net.Error](err)
	code, isCode := errors.AsType[syscall.Errno](err)
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, errElsewhere):
		why = errElsewhere.Error()
	case isTimed && timed.Timeout():
		why = fmt.Sprintf("no answer within %s", timeout)
	case isName:
		why = "its host's name is not resolved"
	case isCertificate:
		why = "its certificate is not trusted"
	case isCode:
		why = code.Error()
	}
	return errors.New("ORDERWATCH_HEARTBEAT_URL: " + why)
}
