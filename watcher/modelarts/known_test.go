package modelarts_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/rig"
)

// An api answers about each order what it is told to.
type api struct {
	mu      sync.Mutex
	bodies  map[string]string
	status  int
	headers map[string]string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, value := range a.headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.status)
	fmt.Fprint(w, a.bodies[path.Base(r.URL.Path)])
}

func (a *api) says(order, body string) { a.change(func() { a.bodies[order] = body }) }

func (a *api) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func startAPI(t *testing.T, change ...func(*modelarts.Config)) (*api, *modelarts.Client) {
	a := &api{bodies: make(map[string]string), status: http.StatusOK}
	c := config(t, rig.Serve(t, a))
	for _, f := range change {
		f(&c)
	}
	return a, newClient(t, c)
}

func show(t *testing.T, c *modelarts.Client, region, name string) watcher.Answer {
	t.Helper()
	got, err := c.Show(t.Context(), region, order(name))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

const oneItem = `{"count":1,"items":[{"resourceName":"a","action":"createNode","status":"processing","beginTimestamp":1744286228000}]}`

// What the order's last answer was is taken for the same order, region, status and body alone, whatever the headers and
// the time.
func TestKnownAnswers(t *testing.T) {
	now := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	api, client := startAPI(t, func(c *modelarts.Config) {
		c.Regions = []string{region, "cn-east-3"}
		c.Now = func() time.Time { return now }
	})
	api.says("x", oneItem)
	api.says("y", oneItem)
	known := func(region, name string) *answer.Packed { return modelarts.Known(client, region, order(name)) }
	first := show(t, client, region, "x")
	read := known(region, "x")
	now = now.Add(24 * time.Hour)
	api.change(func() {
		api.headers = map[string]string{"Date": "Mon, 01 Jan 2001 00:00:00 GMT", "Retry-After": "60", "X-Request-Id": "another"}
	})
	if again := show(t, client, region, "x"); read == nil || known(region, "x") != read || !reflect.DeepEqual(again, first) {
		t.Errorf("got %+v, then %+v", first, again)
	}
	show(t, client, region, "y")
	show(t, client, "cn-east-3", "x")
	if y, east := known(region, "y"), known("cn-east-3", "x"); y == nil || y == read || east == nil || east == read {
		t.Error("the answer about another order, or in another region, is taken for the same")
	}

	api.says("x", strings.Replace(oneItem, "processing", "succeed", 1))
	if changed := show(t, client, region, "x"); changed.Items[0].Status != watcher.Succeed || known(region, "x") == read {
		t.Errorf("of a changed order got %+v", changed)
	}
	api.says("x", oneItem)
	if back := show(t, client, region, "x"); back.Items[0].Status != watcher.Processing || known(region, "x") == read {
		t.Errorf("of an order that changed back got %+v", back)
	}
	for _, status := range []int{201, 404, 500} {
		api.change(func() { api.status = status })
		if got, err := client.Show(t.Context(), region, order("x")); err == nil || got.Items != nil {
			t.Errorf("with status %d and the same body: got %+v", status, got)
		}
	}
	api.change(func() { api.status = http.StatusOK })
	api.says("x", `{"error_code":"ModelArts.50015001","count":1}`)
	for range 2 {
		if _, err := client.Show(t.Context(), region, order("x")); err == nil {
			t.Error("an error counts as an order")
		}
	}
}

// Items are the caller's own: what it does with them changes no other answer.
func TestKnownAnswersDoNotChange(t *testing.T) {
	api, client := startAPI(t)
	api.says("x", oneItem)
	want := show(t, client, region, "x")
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 20 {
				got, err := client.Show(t.Context(), region, order("x"))
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("got %+v, %v", got, err)
					return
				}
				got.Items[0] = watcher.Item{Status: watcher.Failed}
			}
		})
	}
	callers.Wait()
}

// rotating is a login whose token is renewed.
type rotating struct{ token string }

func (r *rotating) Authorize(req *http.Request, _, _ string) error {
	req.Header.Set("X-Auth-Token", r.token)
	return nil
}

func (*rotating) Login() string { return "rotating" }

// A secret is hidden in what is known, too, also one that was none when the answer came first.
func TestKnownAnswersHideSecrets(t *testing.T) {
	login := &rotating{secret}
	api, client := startAPI(t, func(c *modelarts.Config) { c.Credential = login })
	const next = "MIIGanother+token/planted-here=="
	for _, field := range []string{"resourceName", "action", "status", "message"} {
		login.token = secret
		api.says("x", fmt.Sprintf(`{"count":1,"items":[{%q:"a %s b"}]}`, field, next))
		if got := show(t, client, region, "x"); !strings.Contains(fmt.Sprint(got), next) {
			t.Errorf("%s: the text is not shown before it is a secret: %+v", field, got)
		}
		login.token = next
		for range 2 {
			if got := show(t, client, region, "x"); strings.Contains(fmt.Sprint(got), next) {
				t.Errorf("%s: shows the token: %+v", field, got)
			}
		}
		login.token = secret
		if got := show(t, client, region, "x"); !strings.Contains(fmt.Sprint(got), next) {
			t.Errorf("%s: hidden for good: %+v", field, got)
		}
	}
}

// What is known takes no more memory than it may.
func TestKnownAnswersAreBounded(t *testing.T) {
	const orders, each = 40, 2 << 20
	api, client := startAPI(t)
	message := strings.Repeat("m", each)
	read := make(map[string]*answer.Packed)
	for i := range orders {
		name := fmt.Sprint("order-", i)
		api.says(name, fmt.Sprintf(`{"count":1,"items":[{"status":"processing","message":%q}]}`, message))
		show(t, client, region, name)
		read[name] = modelarts.Known(client, region, order(name))
	}
	known := 0
	for i := orders - 1; i >= 0; i-- {
		name := fmt.Sprint("order-", i)
		if show(t, client, region, name); modelarts.Known(client, region, order(name)) == read[name] {
			known++
		}
	}
	if most := (32 << 20) / each; known == 0 || known > most {
		t.Errorf("%d of %d answers are known, want 1 to %d", known, orders, most)
	}
}

// Bodies of every length are read to their ends, with a length that is told and without.
func TestBodiesOfEveryLength(t *testing.T) {
	client := newClient(t, config(t, rig.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		told := false
		fmt.Sscanf(path.Base(r.URL.Path), "%d-%t", &n, &told)
		body := bytes.Repeat([]byte(" "), n)
		copy(body, `{"count":7`)
		body[n-1] = '}'
		if told {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		} else {
			w.(http.Flusher).Flush()
		}
		w.Write(body)
	}))))
	for _, n := range []int{11, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 8 << 20} {
		for _, told := range []bool{true, false} {
			if got := show(t, client, region, fmt.Sprintf("%d-%t", n, told)); got.Count != 7 {
				t.Errorf("%d bytes, length told: %t: got %+v", n, told, got)
			}
		}
	}
	if _, err := client.Show(t.Context(), region, order(fmt.Sprintf("%d-true", 8<<20+1))); err == nil || !strings.Contains(err.Error(), "more than 8 MiB") {
		t.Errorf("over 8 MiB: got %v", err)
	}
}
