package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// checkEmbedded checks who may reach the server inside the process, and who may do what there.
func (p *Problems) checkEmbedded(c *Config) {
	n := c.NATS
	if n.EmbeddedDir == "" {
		return
	}
	const workerLogin = "ORDERWATCH_NATS_USER and ORDERWATCH_NATS_PASSWORD, or ORDERWATCH_NATS_TOKEN"
	const requesterLogin = "ORDERWATCH_EMBEDDED_NATS_REQUESTER_USER and ORDERWATCH_EMBEDDED_NATS_REQUESTER_PASSWORD, or ORDERWATCH_EMBEDDED_NATS_REQUESTER_TOKEN"
	for _, name := range []string{"NATS_CREDS_FILE", "NATS_NKEY_FILE"} {
		p.must(!c.isSet(name), name, "is of no use to the server inside the process (ORDERWATCH_EMBEDDED_NATS_DIR): set "+workerLogin)
	}
	closed := n.User != "" || n.Token.IsSet()
	p.must(closed || !isAddr(n.EmbeddedAddr) || isLoopbackAddr(n.EmbeddedAddr), "EMBEDDED_NATS_ADDR",
		"everybody who reaches it could do everything: set "+workerLogin+", and for those who ask "+requesterLogin+"; or listen on 127.0.0.1, [::1] or localhost")
	p.checkRequesters(c, closed, workerLogin)
}

func (p *Problems) checkRequesters(c *Config, closed bool, workerLogin string) {
	n, r := c.NATS, c.Requesters
	const user, token = "EMBEDDED_NATS_REQUESTER_USER", "EMBEDDED_NATS_REQUESTER_TOKEN"
	p.must((r.User != "") == r.Password.IsSet(), user, "must be set together with ORDERWATCH_EMBEDDED_NATS_REQUESTER_PASSWORD, or neither")
	p.must(r.User == "" || !r.Token.IsSet(), user, "is set together with ORDERWATCH_EMBEDDED_NATS_REQUESTER_TOKEN: keep one")
	for _, name := range []string{user, token} {
		p.must(closed || !c.isSet(name), name, "is set, but the worker's own login is not: set "+workerLogin)
	}
	p.must(r.User == "" || r.User != n.User, user, "must not be ORDERWATCH_NATS_USER, who may do everything")
	p.must(!r.Token.IsSet() || r.Token.Reveal() != n.Token.Reveal(), token, "must not be that of ORDERWATCH_NATS_TOKEN, which may do everything")
	p.must(!strings.HasPrefix(r.User+".", c.Assets.ServicePrefix+"."), user, "must not begin with ORDERWATCH_SERVICE_PREFIX: the worker's own replies come below _INBOX_ and that prefix")
}

// checkOpen refuses what shows profiles, tokens or orders to strangers, unless that is wanted.
func (p *Problems) checkOpen(c Config) {
	if c.HTTP.Insecure {
		return
	}
	const unless = ", unless ORDERWATCH_ALLOW_INSECURE=true"
	addr := c.HTTP.PprofAddr
	p.must(addr == "" || !isAddr(addr) || isLoopbackAddr(addr), "PPROF_ADDR", "shows the process's memory to everybody who reaches it: it must be on 127.0.0.1, [::1] or localhost"+unless)
	for _, one := range []struct{ name, url string }{
		{"MODELARTS_ENDPOINT", c.ModelArts.Endpoint}, {"MODELARTS_IAM_ENDPOINT", c.ModelArts.IAMEndpoint},
		{"SLACK_WEBHOOK_URL", c.Slack.WebhookURL.Reveal()}, {"SLACK_API_URL", c.Slack.APIURL},
	} {
		p.must(!isPlain(one.url), one.name, "is plain http, which anybody on the way can read and answer: it must be https, or http to 127.0.0.1, [::1] or localhost"+unless)
	}
}

// isPlain reports whether a base URL is one of plain http to another machine.
func isPlain(text string) bool {
	u, err := url.Parse(strings.Replace(text, "{region}", "region", 1))
	return err == nil && u.Scheme == "http" && !isLoopback(u.Hostname())
}

// isLoopbackAddr reports whether nobody but this machine reaches a host:port.
func isLoopbackAddr(text string) bool {
	host, _, err := net.SplitHostPort(text)
	return err == nil && isLoopback(host)
}

// isLoopback reports whether the host is this machine's own for sure. Of other names nobody can know what they are
// resolved to later.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}
