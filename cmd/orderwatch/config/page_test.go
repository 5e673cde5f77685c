package config

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
)

// TestPageRefused holds what orderwatch page does not begin with: above all to show orders to strangers.
func TestPageRefused(t *testing.T) {
	users, shared := cmdtest.File(t, ""), cmdtest.File(t, "teams: {gpu: {projects: [p-*], channels: [C0GPU]}}")
	open := []string{"PAGE_ADDR", "0.0.0.0:8090"}
	proxy := []string{"PAGE_AUTH", "proxy", "PAGE_USER_HEADER", "X-User", "PAGE_TRUSTED_PROXIES", "10.0.0.7"}
	tests := []struct {
		vars []string
		want string // how a line of the error begins, without [Prefix]; empty: it begins
	}{
		{nil, ""},
		{[]string{"PAGE_ADDR", "[::1]:8090"}, ""},
		{open, "PAGE_AUTH: is not set, but ORDERWATCH_PAGE_ADDR is beyond this machine"},
		{[]string{"PAGE_ADDR", ":8090"}, "PAGE_AUTH: is not set"},
		{[]string{"PAGE_ADDR", "host.example:8090"}, "PAGE_AUTH: is not set"},
		{append(open, "PAGE_AUTH", "none"), ""},
		{append(open, "PAGE_AUTH", "basic"), "PAGE_USERS_FILE: must be set"},
		{append(open, "PAGE_AUTH", "basic", "PAGE_USERS_FILE", users), ""},
		{[]string{"PAGE_USERS_FILE", users}, "PAGE_USERS_FILE: must be set with"},
		{append(open, "PAGE_AUTH", "proxy"), "PAGE_USER_HEADER: must be set"},
		{append(open, "PAGE_AUTH", "proxy", "PAGE_USER_HEADER", "X-User"), "PAGE_TRUSTED_PROXIES: must be set"},
		{append(open, proxy...), ""},
		{append(proxy, "PAGE_TRUSTED_PROXIES", "planted"), "PAGE_TRUSTED_PROXIES: must be addresses"},
		{append(proxy, "PAGE_USER_HEADER", "authorization"), "PAGE_USER_HEADER: must be the name"},
		{append(proxy, "PAGE_TEAM_HEADER", "a b"), "PAGE_TEAM_HEADER: must be the name"},
		{append(proxy, "TEAMS_FILE", shared), "PAGE_TEAM_HEADER: must be set"},
		{[]string{"PAGE_TEAM_HEADER", "X-Team"}, "PAGE_TEAM_HEADER: needs ORDERWATCH_PAGE_AUTH"},
		{append(proxy, "PAGE_TEAM_HEADER", "X-Team"), "PAGE_TEAM_HEADER: needs ORDERWATCH_TEAMS_FILE"},
		{append(proxy, "PAGE_TEAM_HEADER", "X-Team", "TEAMS_FILE", shared), ""},
		{[]string{"PAGE_AUTH", "planted"}, "PAGE_AUTH: must be none, basic or proxy"},
		{[]string{"PAGE_ADDR", "planted"}, "PAGE_ADDR: must be host:port"},
		{[]string{"PAGE_METRICS_ADDR", "planted"}, "PAGE_METRICS_ADDR: must be host:port"},
		{[]string{"PAGE_METRICS_ADDR", ":9090"}, ""},
		{[]string{"PAGE_ACTIONS", "true"}, ""},
		{append(proxy, "PAGE_ACTIONS", "true"), "PUBLIC_URL: must be where the page is found"},
		{append(proxy, "PAGE_ACTIONS", "true", "PUBLIC_URL", "https://ow.example/{order}"), "PUBLIC_URL: must be where the page is found"},
		{append(proxy, "PAGE_ACTIONS", "true", "PUBLIC_URL", "https://ow.example"), ""},
		{append(open, "PAGE_AUTH", "none", "PAGE_ACTIONS", "true"), "PAGE_ACTIONS: lets everybody"},
		{[]string{"PAGE_ACTIONS", "true", "NATS_USER", "page", "NATS_PASSWORD", "planted"}, "PAGE_ACTIONS_NATS_USER: is not set: the page's own login (ORDERWATCH_NATS_USER)"},
		{[]string{"PAGE_ACTIONS", "true", "NATS_USER", "page", "NATS_PASSWORD", "planted", "PAGE_ACTIONS_NATS_USER", "page", "PAGE_ACTIONS_NATS_PASSWORD", "planted"}, "PAGE_ACTIONS_NATS_USER: must not be"},
		{[]string{"PAGE_ACTIONS", "true", "NATS_USER", "page", "NATS_PASSWORD", "planted", "PAGE_ACTIONS_NATS_USER", "page-actions", "PAGE_ACTIONS_NATS_PASSWORD", "planted"}, ""},
		{[]string{"PAGE_ACTIONS_NATS_USER", "page-actions"}, "PAGE_ACTIONS_NATS_USER: must be set together"},
		{[]string{"NATS_URL", ""}, "NATS_URL: is not set"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.vars, " "), func(t *testing.T) {
			cmdtest.Setenv(t, cmdtest.With(cmdtest.Least(), test.vars...))
			switch _, err := LoadPage(); {
			case test.want != "":
				wantLine(t, err, Prefix+test.want)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

func TestPageProxies(t *testing.T) {
	cmdtest.Setenv(t, cmdtest.With(cmdtest.Least(), "PAGE_AUTH", "proxy", "PAGE_USER_HEADER", "X-User", "PAGE_TRUSTED_PROXIES", "10.1.2.3/8, ::1,::ffff:10.0.0.7"))
	c, err := LoadPage()
	if want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.0.0.7/32")}; err != nil || !slices.Equal(c.Page.Proxies, want) {
		t.Errorf("%v, %v; want %v", c.Page.Proxies, err, want)
	}
}

func TestPageBase(t *testing.T) {
	for public, want := range map[string][2]string{
		"":                             {"", ""},
		"https://ow.example":           {"", "ow.example"},
		"https://ow.example/":          {"", "ow.example"},
		"https://ow.example:8443/x/y/": {"/x/y", "ow.example:8443"},
		"https://ow.example/x/orders/{project}/{order}": {"", ""},
	} {
		c := Config{Links: Links{Public: public}}
		if base, host := c.PageBase(), c.PageHost(); base != want[0] || host != want[1] {
			t.Errorf("%s: %q, %q", public, base, host)
		}
	}
}
