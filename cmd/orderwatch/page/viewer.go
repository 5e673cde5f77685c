package page

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// A viewer is who looks at the page.
type viewer struct {
	user string // empty: nobody logs in
	team string // whose orders are seen; empty: all
}

// by is what workers are told of who did something.
func (v viewer) by() string {
	if v.user == "" {
		return "the page, without a login"
	}
	return v.user
}

// A refusal says why somebody is not let in.
type refusal struct {
	code   int
	reason string
}

// An entrance decides who is let in.
type entrance struct {
	config config.Page
	host   string // under which people find the page; empty: not known
	users  *users
	now    func() time.Time
}

// admit returns who sends the request, or why that is refused.
func (e *entrance) admit(r *http.Request) (viewer, *refusal) {
	if e.foreignHost(r.Host) {
		return viewer{}, &refusal{http.StatusMisdirectedRequest, "This page has another name: open it by the address that ORDERWATCH_PUBLIC_URL says, or on the page's own machine by 127.0.0.1. For its operator: a proxy is to pass the Host header on as the browser sends it."}
	}
	switch e.config.Auth {
	case config.AuthBasic:
		name, password, ok := r.BasicAuth()
		if !ok {
			return viewer{}, &refusal{http.StatusUnauthorized, "Log in with your name and password."}
		}
		u, err := e.users.find(r.Context(), name, password, e.now())
		switch {
		case errors.Is(err, errBusy):
			return viewer{}, &refusal{http.StatusTooManyRequests, "Too many log in at the moment. Reload in some seconds."}
		case err != nil:
			return viewer{}, &refusal{http.StatusUnauthorized, "The name or the password is wrong."}
		}
		return viewer{name, u.team}, nil
	case config.AuthProxy:
		return e.proxied(r)
	}
	return viewer{}, nil
}

// everything is the team that a proxy names for a user who sees all.
const everything = "*"

// proxied returns whom a proxy names, if it is one that is trusted.
func (e *entrance) proxied(r *http.Request) (viewer, *refusal) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	trusted := err == nil && slices.ContainsFunc(e.config.Proxies, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap()) })
	names := r.Header.Values(e.config.UserHeader)
	switch {
	case !trusted:
		return viewer{}, &refusal{http.StatusForbidden, "This page is reached through its proxy alone. For its operator: the address that asked is none of ORDERWATCH_PAGE_TRUSTED_PROXIES."}
	case len(names) != 1 || !isName(names[0]):
		return viewer{}, &refusal{http.StatusForbidden, "The proxy does not say who you are. For its operator: it is to set the header of ORDERWATCH_PAGE_USER_HEADER once."}
	case e.config.TeamHeader == "":
		return viewer{user: names[0]}, nil
	}
	teams := r.Header.Values(e.config.TeamHeader)
	switch {
	case len(teams) != 1 || teams[0] != everything && !teamName.MatchString(teams[0]):
		return viewer{}, &refusal{http.StatusForbidden, "The proxy does not say of which team you are. For its operator: it is to set the header of ORDERWATCH_PAGE_TEAM_HEADER once."}
	case teams[0] == everything:
		return viewer{user: names[0]}, nil
	}
	return viewer{names[0], teams[0]}, nil
}

// isName reports whether the text is fit to name a user or a team.
func isName(text string) bool {
	return text != "" && utf8.RuneCountInString(text) <= maxName && foreign.Line(text) == text && strings.TrimSpace(text) == text
}

// teamName matches names of teams: each is a token of NATS subjects.
var teamName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// foreignHost reports whether the host of a request is known to be no name of this page. A stranger's site that leads its own
// name to this page, in a browser that reaches it, could read the page otherwise, and set headers as a proxy does. A login
// that the browser sends needs no such look: the browser does not send it to another name.
func (e *entrance) foreignHost(host string) bool {
	switch {
	case e.config.Auth == config.AuthBasic:
		return false
	case e.host == "" && (e.config.Auth == config.AuthProxy || !e.config.Loopback()):
		return false // under which names people find it is not known
	}
	name, own := hostName(host), hostName(e.host)
	addr, err := netip.ParseAddr(name)
	return !strings.EqualFold(name, "localhost") && (err != nil || !addr.Unmap().IsLoopback()) && (own == "" || !strings.EqualFold(name, own))
}

// hostName returns the host without its port.
func hostName(host string) string { return (&url.URL{Host: host}).Hostname() }
