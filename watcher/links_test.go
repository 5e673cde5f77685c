package watcher_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestOrderURL holds that a server which is below the base reads both names from the address as they were, whatever is in them,
// and that no name leads elsewhere.
func TestOrderURL(t *testing.T) {
	var project, order, host string
	mux := http.NewServeMux()
	mux.HandleFunc("/x/y/orders/{project}/{order}", func(_ http.ResponseWriter, r *http.Request) {
		project, order, host = r.PathValue("project"), r.PathValue("order"), r.Host
	})
	for _, name := range []string{
		"order.pool-5ed5-w4l2n", "a=b_c-d.e", strings.Repeat("n", 128), "a/b", "../../health", "//evil.example", "a?b=c", "a#b", "a%2Fb", "%2e%2e", "a b+c",
		`<img src=x onerror=alert(1)>`, `"><script>alert(1)</script>`, "javascript:alert(1)", "@evil.example", "a\\b", "\x00\n\r", "\u202eevil", "库存不足", "\xff\xfe", "{order}", "a;b", "...", " .. ",
	} {
		o := watcher.Order{ProjectID: name, Name: name}
		address := o.URL("https://orderwatch.example/x/y/")
		if bare := strings.TrimPrefix(address, "https://orderwatch.example/x/y/orders/"); strings.Count(bare, "/") != 1 || strings.ContainsFunc(bare, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>"\?#`, r) }) {
			t.Errorf("%q: %s", name, address)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		project, order, host = "", "", ""
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, u.String(), nil))
		if project != name || order != name || host != "orderwatch.example" {
			t.Errorf("%s of %q is read as %q and %q, of host %s", address, name, project, order, host)
		}
	}
	o := watcher.Order{ProjectID: "p", Name: "order.a"}
	for base, want := range map[string]string{
		"": "", "/": "/orders/p/order.a", "/x/y": "/x/y/orders/p/order.a", "http://localhost:8090": "http://localhost:8090/orders/p/order.a",
	} {
		if got := o.URL(base); got != want {
			t.Errorf("below %q: %q; want %q", base, got, want)
		}
	}
	for _, no := range []watcher.Order{{ProjectID: "p"}, {Name: "a"}, {ProjectID: "p", Name: ".."}, {ProjectID: ".", Name: "a"}} {
		if got := no.URL("https://orderwatch.example"); got != "" {
			t.Errorf("%q: %s", no, got)
		}
	}
}

// TestPageURL holds what an address of the configuration is made into.
func TestPageURL(t *testing.T) {
	r := watcher.Report{WatchID: "w_0", Region: "cn-north-4", ProjectID: "p", OrderName: "a/b&c +{watch}"}
	for public, want := range map[string]string{
		"":                    "",
		"https://a.example/x": "https://a.example/x/orders/p/a%2Fb&c%20+%7Bwatch%7D",
		"https://a.example/{order}?w={watch}&r={region}": "https://a.example/a%2Fb%26c%20%2B%7Bwatch%7D?w=w_0&r=cn-north-4",
		"https://a.example/" + strings.Repeat("x", 500):  "",
		strings.Repeat("{watch}", 200):                   "",
	} {
		if got := r.PageURL(public); got != want || r.LinksAt(public).Order != want {
			t.Errorf("%.50q: %q; want %q", public, got, want)
		}
	}
	o := watcher.Order{ProjectID: strings.Repeat("p", 64), Name: strings.Repeat("=", 128)}
	long := watcher.Report{ProjectID: o.ProjectID, OrderName: o.Name}
	if long.PageURL("https://"+strings.Repeat("h", 242)) == "" {
		t.Error("the longest names have no page below the longest base that is allowed")
	}
}
