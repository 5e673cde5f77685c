package page_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/crypto/bcrypt"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
)

var never = watcher.Order{ProjectID: eventstest.Project, Name: "order.never-1"}

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// TestScreens holds that a watch is shown as it comes and ends, by reload and by stream, with the headers of every answer.
func TestScreens(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	base := w.page(nil)
	get(t, base+"/", nil, "Nothing is watched at the moment")
	stream := listen(t, base, "/live?of=%2F", nil)
	stream.until("Nothing is watched")
	w.watch(never, "request-1")
	stream.until(never.Name)
	now := get(t, base+"/", nil, never.Name, `sse-connect="/live?of=%2F"`, "1</b> watching")
	order := get(t, base+"/orders/"+never.ProjectID+"/"+never.Name, nil, never.Name)
	for _, a := range []answer{now, order, ask(t, http.MethodGet, base+"/nowhere", nil), ask(t, http.MethodGet, base+"/history", nil), ask(t, http.MethodGet, base+"/health", nil)} {
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		for _, inline := range []string{" style=", "<style", "<script>", " onclick=", "javascript:", " hx-on"} {
			if strings.Contains(a.text, inline) {
				t.Errorf("%q in\n%s", inline, a.text)
			}
		}
	}
	get(t, base+"/?q=REQUEST-1", nil, never.Name)
	if a := ask(t, http.MethodGet, base+"/?q=another", nil); strings.Contains(a.text, never.Name) || !strings.Contains(a.text, "No watch matches") {
		t.Errorf("not filtered:\n%s", a.text)
	}
	snapshot, err := w.client.Get(t.Context(), never)
	if err != nil {
		t.Fatal(err)
	}
	if a := ask(t, http.MethodGet, base+"/watches/"+snapshot.WatchID, nil); a.StatusCode != http.StatusFound || a.Header.Get("Location") != "/orders/"+never.ProjectID+"/"+never.Name {
		t.Errorf("the watch leads to %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	for path, code := range map[string]int{
		"/watches/w_00000000000000000000000000": 404, "/orders/" + never.ProjectID + "/order.another": 404, "/orders/a%2Fb/c": 404,
		"/?show=nonsense": 404, "/?after=nonsense": 404, "/static/nonsense/page.js": 404, "/favicon.ico": 404, "/live?of=%2Fnonsense": 204,
	} {
		if a := ask(t, http.MethodGet, base+path, nil); a.StatusCode != code {
			t.Errorf("%s: %d, want %d", path, a.StatusCode, code)
		}
	}
}

// TestGone holds that the stream of an order whose record is gone says so once, and ends.
func TestGone(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.watch(never, "request-1")
	base, path := w.page(nil), "/live?of="+url.QueryEscape("/orders/"+never.ProjectID+"/"+never.Name)
	stream := listen(t, base, path, nil)
	stream.until("event: sentence")
	nc, err := nats.Connect(w.nats.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	records, err := js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	if err := records.Delete(t.Context(), never.Key()); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*live{stream, listen(t, base, path, nil)} {
		l.until("This order is not watched")
		l.until("event: gone")
		l.end()
	}
}

// TestBasePath holds that the page works below a path, whether its proxy takes that away or not.
func TestBasePath(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.watch(never, "request-1")
	base := w.page(func(c *config.Config) { c.Links.Public = "http://localhost:8090/x/y/" })
	root := strings.TrimSuffix(base, "/x/y")
	if root == base {
		t.Fatalf("the page says that it is %s", base)
	}
	for _, from := range []string{base, root} {
		a := get(t, from+"/", nil, `href="/x/y/orders/`+never.ProjectID+"/"+never.Name+`"`, `sse-connect="/x/y/live?of=%2F"`)
		for _, attribute := range []string{`href="/`, `src="/`, `action="/`, `sse-connect="/`} {
			for part := range strings.SplitSeq(a.text, attribute) {
				if part != a.text && !strings.HasPrefix(part, "x/y/") && !strings.HasPrefix(part, "<!doctype") && strings.Contains(a.text, attribute+part) {
					t.Errorf("%s%.40s leads elsewhere", attribute, part)
				}
			}
		}
		style := a.text[strings.Index(a.text, "/x/y/static/"):]
		style = style[:strings.Index(style, `"`)]
		if file := ask(t, http.MethodGet, root+style, nil); file.StatusCode != 200 || !strings.Contains(file.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d", style, file.StatusCode)
		}
	}
	if a := ask(t, http.MethodGet, root+"/x/y", nil); a.StatusCode != http.StatusMovedPermanently || a.Header.Get("Location") != "/x/y/" {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	order := "/orders/" + never.ProjectID + "/" + never.Name
	for _, from := range []string{base, root} {
		for _, path := range []string{"/" + order, "//", "/orders/./" + never.ProjectID + "/" + never.Name, "/history/../" + order, "/static"} {
			if a := ask(t, http.MethodGet, from+path, nil); a.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %d %s", from+path, a.StatusCode, a.Header.Get("Location"))
			}
		}
	}
	stream := listen(t, base, "/live?of="+url.QueryEscape("/orders/"+never.ProjectID+"/"+never.Name), nil)
	stream.until("event: sentence")
}

// usersFile returns a file of users, each with the name as password.
func usersFile(t *testing.T, users ...string) string {
	text := "# users\n"
	for _, user := range users {
		name, team, _ := strings.Cut(user, ":")
		hash, err := bcrypt.GenerateFromPassword([]byte("planted-"+name), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		text += name + ":" + string(hash)
		if team != "" {
			text += ":" + team
		}
		text += "\n"
	}
	return cmdtest.File(t, text)
}

// as logs in.
func as(name string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, "planted-"+name) }
}

const teamsFile = "teams: {gpu: {projects: [gpu-project]}, train: {projects: [train-project]}}"

// body returns what is below the head, which tells the time.
func body(a answer) string { return a.text[strings.Index(a.text, "<main"):] }

// TestTeams holds that users log in, and see the orders of their team.
func TestTeams(t *testing.T) {
	t.Parallel()
	shared, err := teams.Parse("teams.yaml", []byte(teamsFile))
	if err != nil {
		t.Fatal(err)
	}
	w := begin(t, func(c *config.Config) { c.Watch.Teams = shared })
	gpu, train := watcher.Order{ProjectID: "gpu-project", Name: "order.never-1"}, watcher.Order{ProjectID: "train-project", Name: "order.never-2"}
	w.watch(gpu, "request-1")
	w.watch(train, "request-2")
	base := w.page(func(c *config.Config) {
		c.Page.Auth, c.Page.UsersFile = config.AuthBasic, usersFile(t, "ada:gpu", "eve:train", "op")
	})
	a := get(t, base+"/", as("op"), gpu.Name, train.Name, ">op<")
	if a.StatusCode != 200 {
		t.Errorf("the operator: %d", a.StatusCode)
	}
	for user, orders := range map[string][2]watcher.Order{"ada": {gpu, train}, "eve": {train, gpu}} {
		own, other := orders[0], orders[1]
		a := get(t, base+"/", as(user), own.Name, user+" · team")
		if strings.Contains(a.text, other.Name) || strings.Contains(a.text, other.ProjectID) {
			t.Errorf("%s sees another team's order:\n%s", user, a.text)
		}
		path := "/orders/" + other.ProjectID + "/" + other.Name
		theirs, none := ask(t, http.MethodGet, base+path, as(user)), ask(t, http.MethodGet, base+path+"0", as(user))
		if theirs.StatusCode != 404 || strings.ReplaceAll(body(theirs), other.Name, "") != strings.ReplaceAll(body(none), other.Name+"0", "") {
			t.Errorf("%s can tell that there is another team's order: %d\n%s", user, theirs.StatusCode, theirs.text)
		}
		if a := ask(t, http.MethodGet, base+"/live?of="+url.QueryEscape(path), as(user)); strings.Contains(a.text, other.Name) && strings.Contains(a.text, "event:") {
			t.Errorf("%s hears of another team's order:\n%s", user, a.text)
		}
		snapshot, err := w.client.Get(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		if a := ask(t, http.MethodGet, base+"/watches/"+snapshot.WatchID, as(user)); a.StatusCode != 404 {
			t.Errorf("%s is led to another team's order: %d", user, a.StatusCode)
		}
		listen(t, base, "/live?of=%2F", as(user)).until(own.Name)
	}
	for what, change := range map[string]func(*http.Request){
		"nobody": nil, "an unknown user": as("mallory"), "a wrong password": func(r *http.Request) { r.SetBasicAuth("ada", "planted-eve") },
		"no password": func(r *http.Request) { r.SetBasicAuth("ada", "") },
	} {
		for _, path := range []string{"/", "/health", "/live?of=%2F", "/orders/gpu-project/order.never-1", "/nowhere"} {
			if a := ask(t, http.MethodGet, base+path, change); a.StatusCode != 401 || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") || strings.Contains(a.text, "never") {
				t.Errorf("%s: %s: %d %s\n%s", what, path, a.StatusCode, a.Header.Get("WWW-Authenticate"), a.text)
			}
		}
	}
}

// TestProxy holds that a header names the user only where a trusted proxy set it.
func TestProxy(t *testing.T) {
	t.Parallel()
	shared, err := teams.Parse("teams.yaml", []byte(teamsFile))
	if err != nil {
		t.Fatal(err)
	}
	w := begin(t, func(c *config.Config) { c.Watch.Teams = shared })
	gpu, train := watcher.Order{ProjectID: "gpu-project", Name: "order.never-1"}, watcher.Order{ProjectID: "train-project", Name: "order.never-2"}
	w.watch(gpu, "request-1")
	w.watch(train, "request-2")
	behind := func(proxies string) string {
		cmdless := config.Page{Auth: config.AuthProxy, UserHeader: "X-User", TeamHeader: "X-Team", Addr: "127.0.0.1:0"}
		cmdless.Proxies = prefixes(t, proxies)
		return w.page(func(c *config.Config) { c.Page = cmdless })
	}
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Add(pairs[i], pairs[i+1])
			}
		}
	}
	trusted, another := behind("127.0.0.1/32"), behind("10.0.0.0/8")
	if a := get(t, trusted+"/", header("X-User", "ada", "X-Team", "gpu"), gpu.Name, "ada · team gpu"); strings.Contains(a.text, train.Name) {
		t.Errorf("sees another team's order:\n%s", a.text)
	}
	get(t, trusted+"/", header("X-User", "op", "X-Team", "*"), gpu.Name, train.Name)
	for what, change := range map[string]func(*http.Request){
		"no header": nil, "no team": header("X-User", "ada"), "no user": header("X-Team", "gpu"), "an empty team": header("X-User", "ada", "X-Team", ""),
		"two users": header("X-User", "ada", "X-User", "eve", "X-Team", "gpu"), "two teams": header("X-User", "ada", "X-Team", "train", "X-Team", "gpu"),
		"a wild team": header("X-User", "ada", "X-Team", "gpu.>"), "a user of blanks": header("X-User", " ", "X-Team", "gpu"),
	} {
		if a := ask(t, http.MethodGet, trusted+"/", change); a.StatusCode != 403 || strings.Contains(a.text, "never") {
			t.Errorf("%s: %d\n%s", what, a.StatusCode, a.text)
		}
	}
	forged := header("X-User", "ada", "X-Team", "*", "X-Forwarded-For", "10.0.0.7", "X-Real-IP", "10.0.0.7", "Forwarded", "for=10.0.0.7")
	if a := ask(t, http.MethodGet, another+"/", forged); a.StatusCode != 403 || strings.Contains(a.text, "never") {
		t.Errorf("a header is believed that no proxy sent: %d\n%s", a.StatusCode, a.text)
	}
}

// TestHost holds that a page without a login of its own is not reached under a stranger's name, which a browser may be led by.
func TestHost(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	local := w.page(func(c *config.Config) { c.Links.Public = "http://localhost:8090" })
	found := w.page(func(c *config.Config) { // on all addresses, as in a container
		c.Links.Public, c.Page.Addr, c.Page.Auth = "https://OW.example", ":8090", config.AuthNone
	})
	proxied := w.page(func(c *config.Config) {
		c.Links.Public = "https://ow.example"
		c.Page = config.Page{Auth: config.AuthProxy, UserHeader: "X-User", Addr: c.Page.Addr, Proxies: prefixes(t, "127.0.0.0/8")}
	})
	nowhere := w.page(func(c *config.Config) { c.Page.Addr, c.Page.Auth = ":8090", config.AuthNone })
	for _, tt := range []struct {
		base, host string
		code       int
	}{
		{local, "", 200}, {local, "localhost", 200}, {local, "localhost:8090", 200}, {local, "127.0.0.1:1", 200}, {local, "[::1]:8090", 200},
		{local, "evil.example", 421}, {local, "127.0.0.1.evil.example:8090", 421}, {local, "10.0.0.7", 421}, {local, "ow.example", 421},
		{found, "ow.example", 200}, {found, "ow.example:443", 200}, {found, "127.0.0.1:8090", 200}, {found, "evil.example:8090", 421}, {found, "10.0.0.7", 421},
		{proxied, "ow.example", 200}, {proxied, "127.0.0.1:8090", 200}, {proxied, "evil.example", 421}, {proxied, "ow.example.evil.example", 421},
		{nowhere, "ow.example", 200},
	} {
		a := ask(t, http.MethodGet, tt.base+"/", func(r *http.Request) {
			r.Host = tt.host
			r.Header.Set("X-User", "ada")
		})
		if a.StatusCode != tt.code {
			t.Errorf("%s as %s: %d, want %d", tt.base, tt.host, a.StatusCode, tt.code)
		}
	}
}
