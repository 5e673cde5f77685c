package serve

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
)

// TestHeartbeatCall calls URLs that answer in many ways. No error shows the URL, its host, or what was answered.
func TestHeartbeatCall(t *testing.T) {
	t.Parallel()
	const timeout = 5 * time.Second
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	gone := make(chan struct{})
	mux := http.NewServeMux()
	redirect := func(path, to string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	}
	mux.HandleFunc("GET /planted", func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "orderwatch/1.2.3" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /planted/404", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "planted", http.StatusNotFound) })
	mux.HandleFunc("GET /planted/late", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-gone:
		}
	})
	redirect("/planted/near", "/planted?planted=1")
	redirect("/planted/round", "/planted/round")
	redirect("/planted/far", other.URL+"/planted")
	redirect("/planted/odd", "https://[planted")
	here, secure := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	t.Cleanup(here.Close)
	t.Cleanup(secure.Close)
	t.Cleanup(func() { close(gone) })
	closed := httptest.NewServer(mux)
	closed.Close()
	for _, test := range []struct{ url, want string }{
		{here.URL + "/planted", ""},
		{here.URL + "/planted/near", ""},
		{here.URL + "/planted/404", "ORDERWATCH_HEARTBEAT_URL answered status 404"},
		{here.URL + "/planted/far", "ORDERWATCH_HEARTBEAT_URL: it redirects to another host"},
		{here.URL + "/planted/round", "ORDERWATCH_HEARTBEAT_URL: it redirects to another host, scheme or port, or too often"},
		{here.URL + "/planted/odd", "ORDERWATCH_HEARTBEAT_URL: the connection failed"},
		{here.URL + "/planted/late", "ORDERWATCH_HEARTBEAT_URL: no answer within 5s"},
		{secure.URL + "/planted", "ORDERWATCH_HEARTBEAT_URL: its certificate is not trusted"},
		{closed.URL + "/planted", "ORDERWATCH_HEARTBEAT_URL: connection refused"},
		{"https://no-such-host.invalid/planted", "ORDERWATCH_HEARTBEAT_URL: "},
	} {
		c := config.Config{Version: "1.2.3"}
		c.HTTP.HeartbeatURL = config.NewSecret(test.url)
		err := heartbeat(c, timeout)(t.Context())
		switch {
		case test.want == "":
			if err != nil {
				t.Errorf("%s: %v", test.url, err)
			}
		case err == nil || !strings.HasPrefix(err.Error(), test.want):
			t.Errorf("%s: %v; want %s", test.url, err, test.want)
		case strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "invalid"):
			t.Errorf("shows the URL: %v", err)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect to another host was followed")
	}
	if heartbeat(config.Config{}, timeout) != nil {
		t.Error("without a URL there is a heartbeat")
	}
}

// TestHeartbeatURL holds which URLs may be called.
func TestHeartbeatURL(t *testing.T) {
	for _, url := range []string{"https://hc.example/x", "https://hc.example:8443/x?status=up&msg=OK", "http://localhost:8000/x", "http://127.0.0.2/x", "http://[::1]:80/x"} {
		cmdtest.Setenv(t, cmdtest.With(cmdtest.Least(), "HEARTBEAT_URL", url))
		if _, err := config.LoadServe(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
