package page_test

import (
	"net/http"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/eventstest"
)

// TestProbes holds that probes want no login and are told nothing but whether the page works, and that what the page counts is
// on an address of its own.
func TestProbes(t *testing.T) {
	t.Parallel()
	server := eventstest.Server(t)
	w := alone(t, server)
	hash, err := bcrypt.GenerateFromPassword([]byte("planted"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users, metrics := cmdtest.File(t, "ada:"+string(hash)+"\n"), freeAddr(t)
	base := w.page(func(c *config.Config) {
		c.Page.Auth, c.Page.UsersFile, c.Page.MetricsAddr = config.AuthBasic, users, metrics
	})
	for path, code := range map[string]int{"/": 401, "/metrics": 401, "/livez/": 401, "/livez": 200} {
		if a := ask(t, http.MethodGet, base+path, nil); a.StatusCode != code {
			t.Errorf("%s: code %d; want %d:\n%s", path, a.StatusCode, code, a.text)
		}
	}
	stranger := func(r *http.Request) { r.Host = "10.1.2.3:8090" } // as Kubernetes asks
	if a := get(t, base+"/readyz", stranger, "the records are being read"); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without streams the page is ready: %d", a.StatusCode)
	}
	beginOn(t, server, nil) // a worker makes them
	get(t, base+"/readyz", stranger, "ok\n")
	login := func(r *http.Request) { r.SetBasicAuth("ada", "planted") }
	get(t, base+"/", login, "Nothing is watched at the moment")
	stream := listen(t, base, "/live?of=/", login)
	stream.until("event: ")
	get(t, "http://"+metrics+"/metrics", nil, "orderwatch_page_streams 1\n", `orderwatch_page_requests_total{code="401"} 3`+"\n",
		`orderwatch_page_requests_total{code="200"} `, `orderwatch_page_requests_total{code="503"} 0`+"\n", "orderwatch_nats_connected 1\n", `orderwatch_build_info{goversion="go1.`, "go_goroutines ")
	stream.cancel()
	get(t, "http://"+metrics+"/metrics", nil, "orderwatch_page_streams 0\n")
	server.Shutdown()
	server.WaitForShutdown()
	get(t, base+"/readyz", nil, "ok\n") // it shows what it read
	get(t, base+"/livez", nil, "ok\n")
	get(t, "http://"+metrics+"/metrics", nil, "orderwatch_nats_connected 0\n")
}
