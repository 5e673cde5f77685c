//go:build page

package browser_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

func decode(t *testing.T, text string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), to); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// TestAct logs in, and polls, cancels and tells again from an order's screen; and holds that neither a stranger nor another site can.
func TestAct(t *testing.T) {
	t.Parallel()
	s := playForAnn(t)
	s.asks("order.goes-on", script(items(1, "open", emulator.Never, "")), nil)
	b := window(t, startBrowser(t))
	for _, password := range []string{"", "wrong"} { // Chromium would ask a person for another
		r, err := http.NewRequest(http.MethodGet, s.order("order.goes-on"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			r.SetBasicAuth(ann, password)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("with the password %q the page answers %s", password, answer.Status)
		}
	}
	b.signIn(ann, annsPassword)
	shown := func() (w watcher.Snapshot) {
		decode(t, rig.CarryOut(t, []string{"ORDERWATCH_NATS_URL=" + s.nats.URL}, "get", "-o", "json", rig.Project+"/order.goes-on").Out, &w)
		return w
	}
	b.goes(s.order("order.goes-on"), 200)
	b.shows("ann", "order.goes-on")

	b.presses("poll")
	b.shows("ModelArts is being asked.")
	elsewhere(t, s, b)
	if w := shown(); w.Wish != nil {
		t.Fatalf("another site has cancelled the watch: %+v", w.Wish)
	}
	b.goes(s.order("order.goes-on"), 200)
	b.presses("cancel")
	b.shows("Cancelled by ann")
	if w := shown(); w.Outcome != watcher.Cancelled || !strings.Contains(w.Reason, "ann") {
		t.Errorf("the watch is %s: %s", w.Outcome, w.Reason)
	}
	b.goes(s.order("order.goes-on"), 200)
	b.presses("renotify")
	b.shows("People are being told again.")
}

// presses sends the form of an action, opening what hides it.
func (b *tab) presses(action string) {
	b.t.Helper()
	button := `form[action$="/` + action + `"] button`
	rig.Eventually(b.t, rig.Patience, func() error {
		_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`(() => { const f = document.querySelector('form[action$="/`+action+`"]'); if (!f) throw new Error("no form to `+action+`"); for (let d = f.closest("details"); d; d = d.parentElement.closest("details")) d.open = true; return true })()`))
		return err
	})
	if answer := b.clicks(button); answer.Status != http.StatusOK {
		b.t.Fatalf("to %s is answered %d\n%s", action, answer.Status, b.source())
	}
}

// elsewhere lets another site send the form to cancel, with the viewer's login.
func elsewhere(t *testing.T, s *scene, b *tab) {
	t.Helper()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(`<title>other</title><form method="post" action="` + s.order("order.goes-on") + `/cancel"><button>win</button></form>`))
	}))
	t.Cleanup(other.Close)
	address, err := url.Parse(other.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.allow("403 (Forbidden)", "404 (Not Found)")
	b.goes("http://localhost:"+address.Port()+"/", 200)
	if answer := b.clicks("button"); answer.Status != http.StatusForbidden {
		t.Errorf("another site's form is answered %d", answer.Status)
	}
}
