package page_test

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestNATSGone holds that the page goes on while NATS is away, and says of when it is.
func TestNATSGone(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	base := w.page(nil)
	w.watch(never, "request-1")
	path := "/orders/" + never.ProjectID + "/" + never.Name
	get(t, base+"/", nil, never.Name)
	get(t, base+path, nil, never.Name)
	now, order := listen(t, base, "/live?of=%2F", nil), listen(t, base, "/live?of="+url.QueryEscape(path), nil)
	now.until(never.Name)
	order.until("event: sentence")
	w.nats.Shutdown()
	w.nats.WaitForShutdown()
	now.until("not connected")
	order.until("not connected")
	for _, at := range []string{"/", path} {
		a := get(t, base+at, nil, never.Name, "not connected", "as of")
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", at, a.StatusCode)
		}
	}
	another := "/orders/" + never.ProjectID + "/order.another"
	if a := ask(t, http.MethodGet, base+another, nil); a.StatusCode != 503 || !strings.Contains(a.text, "NATS is not connected") {
		t.Errorf("%d\n%s", a.StatusCode, a.text)
	}
}

// TestNoNATSYet holds that a page that has read nothing says so, and shows no numbers, until it has.
func TestNoNATSYet(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	away := freeAddr(t)
	base := w.page(func(c *config.Config) { c.NATS.URL = "nats://" + away })
	for _, path := range []string{"/", "/history", "/health"} {
		if a := ask(t, http.MethodGet, base+path, nil); a.StatusCode != 200 || !strings.Contains(a.text, "not connected") || strings.Contains(a.text, "watching</") || strings.Contains(a.text, "is well.") {
			t.Errorf("%s: %d\n%s", path, a.StatusCode, a.text)
		}
	}
	get(t, base+"/", nil, "nothing read yet", "NATS is not connected", "not known yet")
}

// freeAddr returns an address where nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestActions holds that users do what they may, under their names, and that another site cannot have it done.
func TestActions(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.watch(never, "request-1")
	off := w.page(nil)
	base := w.page(func(c *config.Config) {
		c.Page.Auth, c.Page.UsersFile, c.Page.Actions = config.AuthBasic, usersFile(t, "ada"), true
		c.Links.Public = "https://ow.example/x"
	})
	get(t, base+"/", as("ada"), never.Name)
	path := "/orders/" + never.ProjectID + "/" + never.Name
	if a := ask(t, http.MethodPost, off+path+"/cancel", nil); a.StatusCode != 403 {
		t.Errorf("where actions are off: %d", a.StatusCode)
	}
	for what, change := range map[string]func(*http.Request){
		"cross-site":     func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"same-site":      func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"another origin": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"no origin":      func(r *http.Request) { r.Header.Set("Origin", "null") },
	} {
		a := ask(t, http.MethodPost, base+path+"/cancel", func(r *http.Request) { as("ada")(r); change(r) })
		if a.StatusCode != 403 || !strings.Contains(a.text, "Another site asked") {
			t.Errorf("%s: %d\n%s", what, a.StatusCode, a.text)
		}
	}
	for what, code := range map[string]int{"GET " + path + "/cancel": 404, "POST " + path + "/destroy": 404, "POST /orders/p/order.another/cancel": 404} {
		method, at, _ := strings.Cut(what, " ")
		if a := ask(t, method, base+at, as("ada")); a.StatusCode != code {
			t.Errorf("%s: %d, want %d\n%s", what, a.StatusCode, code, a.text)
		}
	}
	if s, err := w.client.Get(t.Context(), never); err != nil || s.State != watcher.Watching || s.Wish != nil {
		t.Fatalf("something was done: %+v, %v", s, err)
	}
	var done []*http.Cookie
	for _, action := range []string{"poll", "cancel"} {
		a := ask(t, http.MethodPost, base+path+"/"+action, func(r *http.Request) {
			as("ada")(r)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		})
		if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/x"+path {
			t.Fatalf("%s: %d %s\n%s", action, a.StatusCode, a.Header.Get("Location"), a.text)
		}
		done = a.Cookies()
		if len(done) != 1 || done[0].Path != "/x"+path || done[0].MaxAge != 60 || !done[0].HttpOnly || !done[0].Secure || done[0].SameSite != http.SameSiteStrictMode {
			t.Fatalf("%s: %v", action, done)
		}
	}
	shown := get(t, base+path, func(r *http.Request) { as("ada")(r); r.AddCookie(done[0]) }, "being cancelled")
	if !slices.ContainsFunc(shown.Cookies(), func(c *http.Cookie) bool { return c.Name == done[0].Name && c.Path == done[0].Path && c.MaxAge < 0 }) {
		t.Errorf("it is said again: %v", shown.Cookies())
	}
	if a := ask(t, http.MethodGet, base+path+"?done=cancel", as("ada")); strings.Contains(a.text, "being cancelled") {
		t.Errorf("a link has the page say what was not done:\n%s", a.text)
	}
	eventstest.Eventually(t, func() error {
		s, err := w.client.Get(t.Context(), never)
		if err == nil && s.State == watcher.Ended && !strings.Contains(s.Reason, "ada") {
			t.Fatalf("nobody knows who cancelled: %s", s.Reason)
		}
		if err == nil && s.State != watcher.Ended {
			return errNotYet
		}
		return err
	})
	a := ask(t, http.MethodPost, base+path+"/renotify", as("ada"))
	if a.StatusCode != http.StatusSeeOther {
		t.Errorf("renotify: %d\n%s", a.StatusCode, a.text)
	}
	if a := ask(t, http.MethodPost, base+path+"/cancel", as("ada")); a.StatusCode != http.StatusConflict {
		t.Errorf("cancelled twice: %d\n%s", a.StatusCode, a.text)
	}
}

// TestStreamsOfABrowser holds that a browser's streams never take all its connections: the fifth shows what there is, and
// is asked for again.
func TestStreamsOfABrowser(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	base := w.page(nil)
	a := get(t, base+"/", nil, "Nothing is watched")
	cookies := a.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("%v", cookies)
	}
	browser := func(r *http.Request) { r.AddCookie(cookies[0]) }
	for range 4 { // one that keeps no cookies is counted by its address
		listen(t, base, "/live?of=%2F", nil).until("Nothing is watched")
	}
	listen(t, base, "/live?of=%2F", nil).until("retry: 5000")
	var streams []*live
	for range 4 {
		stream := listen(t, base, "/live?of=%2F", browser)
		stream.until("Nothing is watched")
		streams = append(streams, stream)
	}
	fifth := listen(t, base, "/live?of=%2F", browser)
	if read := fifth.until("Nothing is watched"); !strings.Contains(read, "retry: 5000") {
		t.Errorf("it says\n%s", read)
	}
	fifth.end()
	streams[0].cancel()
	eventstest.Eventually(t, func() error {
		again := listen(t, base, "/live?of=%2F", browser)
		if read := again.until("event:"); strings.Contains(read, "retry: 5000") {
			return errNotYet
		}
		return nil
	})
}

// TestMovedAside holds that a record in the place of one that could not be read is not shown as a watch.
func TestMovedAside(t *testing.T) {
	t.Parallel()
	w := alone(t, eventstest.Server(t))
	nc, _ := eventstest.Connect(t, w.nats)
	now := time.Now().UTC()
	aside := watcher.Policy{MaxPayload: 1 << 20}.Replace(watcher.Broken{Order: never, WatchID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", Region: "cn-north-4", Since: now.Add(-time.Hour), Why: "it is no JSON", Highest: 3}, now)
	if _, err := eventstest.Provided(t, nc, eventstest.StoreConfig()).Write(t.Context(), aside, 0); err != nil {
		t.Fatal(err)
	}
	base := w.page(nil)
	a := get(t, base+"/orders/"+never.ProjectID+"/"+never.Name, nil, "could not be read", "it is no JSON", "orderwatch watch "+never.String())
	if a.StatusCode != http.StatusNotFound {
		t.Errorf("%d\n%s", a.StatusCode, a.text)
	}
}
