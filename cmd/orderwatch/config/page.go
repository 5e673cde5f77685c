package config

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A Page says where the page listens, who may see it, and whether they may act. Who logs in how is decided in package page.
type Page struct {
	Addr           string   `env:"PAGE_ADDR" default:"127.0.0.1:8090" desc:"host:port of orderwatch page; beyond loopback PAGE_AUTH must say who may see it"`
	Auth           string   `env:"PAGE_AUTH" unset:"none, on loopback alone" desc:"who may see the page: none (all who reach it, also beyond loopback where it is set), basic (users of PAGE_USERS_FILE), or proxy (whom PAGE_USER_HEADER names)"`
	UsersFile      string   `env:"PAGE_USERS_FILE" desc:"path of a file with a line for each user, NAME:HASH or NAME:HASH:TEAM; HASH is bcrypt's, as htpasswd -nB writes it; a user with a team, which needs TEAMS_FILE, sees what the team sees, others see all; read at the start"`
	UserHeader     string   `env:"PAGE_USER_HEADER" desc:"header in which a proxy names the user, such as X-Forwarded-User; believed from PAGE_TRUSTED_PROXIES alone"`
	TeamHeader     string   `env:"PAGE_TEAM_HEADER" desc:"header in which that proxy names the user's team, * for one who sees all; it needs TEAMS_FILE; unset: all users see all"`
	TrustedProxies []string `env:"PAGE_TRUSTED_PROXIES" desc:"addresses or networks of the proxies, comma-separated, such as 10.0.0.0/8"`
	Actions        bool     `env:"PAGE_ACTIONS" desc:"true: users may also cancel, poll and tell again from the page; beyond loopback PAGE_AUTH must be basic or proxy; with proxy PUBLIC_URL must be set"`
	ActionsUser    string   `env:"PAGE_ACTIONS_NATS_USER" desc:"NATS user for that alone, together with PAGE_ACTIONS_NATS_PASSWORD: the page's own login may only read"`
	ActionsSecret  Secret   `env:"PAGE_ACTIONS_NATS_PASSWORD" desc:"password of PAGE_ACTIONS_NATS_USER"`
	ActionsCreds   string   `env:"PAGE_ACTIONS_NATS_CREDS_FILE" desc:"path of a credentials file in place of that user and password"`

	MetricsAddr string `env:"PAGE_METRICS_ADDR" unset:"off" desc:"host:port of the page's /metrics, which want no login"`

	Proxies []netip.Prefix // TrustedProxies, read
}

// How users of the page are known: the values of PAGE_AUTH.
const (
	AuthNone  = "none"
	AuthBasic = "basic"
	AuthProxy = "proxy"
)

// Loopback reports whether nobody but this machine reaches the page.
func (p Page) Loopback() bool { return isLoopbackAddr(p.Addr) }

// LoadPage is [Load] for the command that serves the page.
func LoadPage() (Config, error) {
	c, p := load()
	p.need(c.NATS.URL != "", "NATS_URL", "set it: the page reads what workers keep there")
	p.checkPage(&c)
	return c, p.err()
}

var (
	headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	notTrusted = []string{"Host", "Cookie", "Authorization", "Origin"} // the browser sets these
)

func (p *Problems) checkPage(c *Config) {
	g := &c.Page
	p.must(isAddr(g.Addr), "PAGE_ADDR", "must be host:port")
	p.must(g.Auth != "" || !isAddr(g.Addr) || g.Loopback(), "PAGE_AUTH", "is not set, but ORDERWATCH_PAGE_ADDR is beyond this machine: set basic or proxy, or none if all who reach it may see all orders")
	p.must(slices.Contains([]string{"", AuthNone, AuthBasic, AuthProxy}, g.Auth), "PAGE_AUTH", "must be none, basic or proxy")
	p.must((g.Auth == AuthBasic) == (g.UsersFile != ""), "PAGE_USERS_FILE", "must be set with ORDERWATCH_PAGE_AUTH=basic, and only then")
	p.must(g.MetricsAddr == "" || isAddr(g.MetricsAddr), "PAGE_METRICS_ADDR", "must be host:port")
	proxied := g.Auth == AuthProxy
	p.must(proxied == (g.UserHeader != ""), "PAGE_USER_HEADER", "must be set with ORDERWATCH_PAGE_AUTH=proxy, and only then")
	p.must(proxied == (len(g.TrustedProxies) > 0), "PAGE_TRUSTED_PROXIES", "must be set with ORDERWATCH_PAGE_AUTH=proxy, and only then")
	p.must(proxied || g.TeamHeader == "", "PAGE_TEAM_HEADER", "needs ORDERWATCH_PAGE_AUTH=proxy")
	p.must(g.TeamHeader == "" || c.Watch.TeamsFile != "", "PAGE_TEAM_HEADER", "needs ORDERWATCH_TEAMS_FILE, the workers' file: without it the page does not know which orders are a team's")
	p.must(!proxied || g.TeamHeader != "" || c.Watch.TeamsFile == "", "PAGE_TEAM_HEADER", "must be set, since ORDERWATCH_TEAMS_FILE keeps teams apart: without it all users of the page see all orders")
	for name, header := range map[string]string{"PAGE_USER_HEADER": g.UserHeader, "PAGE_TEAM_HEADER": g.TeamHeader} {
		p.must(header == "" || headerName.MatchString(header) && !slices.Contains(notTrusted, http.CanonicalHeaderKey(header)), name, "must be the name of a header that the proxy sets, such as X-Forwarded-User")
	}
	for _, text := range g.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if addr, e := netip.ParseAddr(text); e == nil {
			network, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		if err != nil {
			p.add("PAGE_TRUSTED_PROXIES", "must be addresses or networks, comma-separated, such as 10.0.0.7,10.1.0.0/16")
			break
		}
		g.Proxies = append(g.Proxies, network.Masked())
	}
	p.checkActions(c)
}

func (p *Problems) checkActions(c *Config) {
	g := c.Page
	p.must((g.ActionsUser != "") == g.ActionsSecret.IsSet(), "PAGE_ACTIONS_NATS_USER", "must be set together with ORDERWATCH_PAGE_ACTIONS_NATS_PASSWORD, or neither")
	p.must(g.ActionsUser == "" || g.ActionsCreds == "", "PAGE_ACTIONS_NATS_USER", "is set together with ORDERWATCH_PAGE_ACTIONS_NATS_CREDS_FILE: keep one")
	p.checkFile("PAGE_ACTIONS_NATS_CREDS_FILE", g.ActionsCreds)
	if !g.Actions {
		return
	}
	p.must(g.Loopback() || g.Auth == AuthBasic || g.Auth == AuthProxy, "PAGE_ACTIONS", "lets everybody who reaches the page cancel: set ORDERWATCH_PAGE_AUTH to basic or proxy, or listen on loopback")
	p.must(g.Auth != AuthProxy || c.PageHost() != "", "PUBLIC_URL", "must be where the page is found, and no template, with ORDERWATCH_PAGE_ACTIONS and ORDERWATCH_PAGE_AUTH=proxy: a site of another name could act in a viewer's browser otherwise")
	own := g.ActionsUser != "" || g.ActionsCreds != ""
	p.must(own || c.loginVariable() == "", "PAGE_ACTIONS_NATS_USER", "is not set: the page's own login ("+Prefix+c.loginVariable()+") may only read, so actions need one of their own")
	p.must(!own || g.ActionsUser != c.NATS.User || c.NATS.User == "", "PAGE_ACTIONS_NATS_USER", "must not be ORDERWATCH_NATS_USER, which is to read alone")
}

// loginVariable returns the variable, without [Prefix], that says how to log in to NATS; empty where none does.
func (c *Config) loginVariable() string {
	for _, name := range []string{"NATS_CREDS_FILE", "NATS_NKEY_FILE", "NATS_USER", "NATS_TOKEN"} {
		if c.isSet(name) {
			return name
		}
	}
	return ""
}

// ActionsLogin returns the configuration with the login of the page's actions in place of the page's own.
func (c Config) ActionsLogin() Config {
	if g := c.Page; g.ActionsUser != "" || g.ActionsCreds != "" {
		c.NATS.User, c.NATS.Password, c.NATS.CredsFile = g.ActionsUser, g.ActionsSecret, g.ActionsCreds
		c.NATS.NKeyFile, c.NATS.Token = "", Secret{}
	}
	return c
}

// PageBase returns the path under which people find the page, as PUBLIC_URL says, such as /x/y; empty where it is the root, or
// where PUBLIC_URL is a template, which leads to another page.
func (c Config) PageBase() string { return strings.TrimRight(c.publicURL().Path, "/") }

// PageHost returns the host, with its port if it names one, under which people find the page; empty where nobody says.
func (c Config) PageHost() string { return c.publicURL().Host }

// PageOrigin returns the scheme and the host under which people find the page; empty where nobody says.
func (c Config) PageOrigin() string {
	if u := c.publicURL(); u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	return ""
}

func (c Config) publicURL() url.URL {
	u, err := url.Parse(c.Links.Public)
	if err != nil || strings.Contains(c.Links.Public, "{") {
		return url.URL{}
	}
	return *u
}
