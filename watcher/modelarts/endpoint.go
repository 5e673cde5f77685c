package modelarts

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

var regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// An endpoint is where one region is asked.
type endpoint struct {
	origin string // scheme and host
	host   string
	path   string // in front of /v1, without a slash at its end
}

// newEndpoint fills the region into the template. Its errors show no part of the template that
// could be a password.
func newEndpoint(template, region string) (endpoint, error) {
	if len(region) > 64 || !regionName.MatchString(region) {
		return endpoint{}, fmt.Errorf("regions: %.64q is no region's name, such as cn-north-4", region)
	}
	return newBaseURL(strings.ReplaceAll(template, "{region}", region))
}

// newBaseURL returns the endpoint at the URL.
func newBaseURL(text string) (endpoint, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return endpoint{}, errors.New("endpoint: is no URL, such as " + DefaultEndpoint)
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return endpoint{}, errors.New("endpoint: must begin with https:// or http:// and a host")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return endpoint{}, errors.New("endpoint: must have no user, query or fragment")
	case path.Clean(prefix(u)+"/x") != prefix(u)+"/x", strings.ContainsAny(u.Host+u.Path, "{}"):
		return endpoint{}, errors.New("endpoint: only {region} is filled in, and the path must be plain")
	}
	if _, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err != nil {
		return endpoint{}, errors.New("HTTPS_PROXY: is no URL of a proxy") // err shows its password
	}
	return endpoint{u.Scheme + "://" + u.Host, u.Host, prefix(u)}, nil
}

func prefix(u *url.URL) string { return strings.TrimSuffix(u.EscapedPath(), "/") }

// exposed reports whether requests leave this machine unencrypted.
func (e endpoint) exposed() bool {
	if !strings.HasPrefix(e.origin, "http://") {
		return false
	}
	u, err := url.Parse(e.origin)
	if err != nil {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// order returns the URL of an order that was validated. It is compared with what it was built
// from, so that no name can ever lead to another host or path.
func (e endpoint) order(o watcher.Order) (*url.URL, error) {
	want := e.path + "/v1/" + url.PathEscape(o.ProjectID) + "/orders/" + url.PathEscape(o.Name)
	u, err := url.Parse(e.origin + want)
	if err != nil || u.Scheme+"://"+u.Host != e.origin || u.EscapedPath() != want || path.Clean(want) != want || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the order's name makes no safe URL")
	}
	return u, nil
}
