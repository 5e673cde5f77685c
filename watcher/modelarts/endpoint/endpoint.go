// Package endpoint says where a service of the cloud is asked ([Endpoint]), and through what kind of
// connection ([NewHTTP]): the API, IAM, and a machine's metadata service.
//
// It promises that nothing in an order's name or a region leads to another host or path, and that no error
// shows a password of a URL. Read endpoint.go, then http.go.
package endpoint

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

// Default is the template of the API's endpoints.
const Default = "https://modelarts.{region}.myhuaweicloud.com"

var regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// An Endpoint is where a service is asked. Make it with [New] or [At].
type Endpoint struct {
	Host   string // with the port, where one is given
	origin string // scheme and host
	path   string // in front of each call's, without a slash at its end

	exposed bool
}

// New returns the endpoint of a region: it fills the region into the template, for {region}. Its errors show
// no part of the template that could be a password.
func New(template, region string) (Endpoint, error) {
	if len(region) > 64 || !regionName.MatchString(region) {
		return Endpoint{}, fmt.Errorf("regions: %.64q is no region's name, such as cn-north-4", region)
	}
	return At(strings.ReplaceAll(template, "{region}", region))
}

// At returns the endpoint at a base URL, http or https. A path is kept as a prefix.
func At(text string) (Endpoint, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return Endpoint{}, errors.New("endpoint: is no URL, such as " + Default)
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return Endpoint{}, errors.New("endpoint: must begin with https:// or http:// and a host")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return Endpoint{}, errors.New("endpoint: must have no user, query or fragment")
	case path.Clean(prefix(u)+"/x") != prefix(u)+"/x", strings.ContainsAny(u.Host+u.Path, "{}"):
		return Endpoint{}, errors.New("endpoint: only {region} is filled in, and the path must be plain")
	}
	if _, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err != nil {
		return Endpoint{}, errors.New("HTTPS_PROXY: is no URL of a proxy") // err shows its password
	}
	here := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	return Endpoint{Host: u.Host, origin: u.Scheme + "://" + u.Host, path: prefix(u), exposed: u.Scheme == "http" && !here}, nil
}

func prefix(u *url.URL) string { return strings.TrimSuffix(u.EscapedPath(), "/") }

// Exposed reports whether requests leave this machine unencrypted.
func (e Endpoint) Exposed() bool { return e.exposed }

// URL returns the URL of a path, which begins with a slash.
func (e Endpoint) URL(path string) string { return e.origin + e.path + path }

// Order returns the URL of an order that was validated. It is compared with what it was built
// from, so that no name can ever lead to another host or path.
func (e Endpoint) Order(o watcher.Order) (*url.URL, error) {
	return e.exactly("/v1/" + url.PathEscape(o.ProjectID) + "/orders/" + url.PathEscape(o.Name))
}

// Orders returns the URL of the list of a project's orders, whose id was validated; see Order.
func (e Endpoint) Orders(projectID string) (*url.URL, error) {
	return e.exactly("/v1/" + url.PathEscape(projectID) + "/orders")
}

func (e Endpoint) exactly(behind string) (*url.URL, error) {
	want := e.path + behind
	u, err := url.Parse(e.origin + want)
	if err != nil || u.Scheme+"://"+u.Host != e.origin || u.EscapedPath() != want || path.Clean(want) != want || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the order's name makes no safe URL")
	}
	return u, nil
}
