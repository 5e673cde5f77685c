//go:build page

package browser_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestVisit looks for orders as people do, with the page below a path as behind a proxy: by the filters, from page to page, from a row
// to its order and back, and by links from elsewhere.
func TestVisit(t *testing.T) {
	t.Parallel()
	s := play(t, "/x/y")
	for i := range 130 {
		s.asks(fmt.Sprintf("order.many-%03d", i), script(items(1, "open", emulator.Never, "")), map[string]any{"labels": map[string]string{"half": fmt.Sprint(i % 2)}})
	}
	s.asks("order.fails", script(items(1, "node", 0, "flavor sold out")), nil)
	s.settles(s.base+"/", "<b>130</b> watching", "Next page", "Ended in the last hour: 1")
	b := window(t, startBrowser(t))
	for _, visit := range []func(*testing.T, *scene, *tab){visitPages, visitFilters, visitAndBack, visitLinks} {
		visit(t, s, b)
	}
}

// rows returns the orders that the tab's list shows.
func rows(b *tab) []string {
	b.t.Helper()
	return eval[[]string](b, `[...document.querySelectorAll("#rows tbody th a")].map(a => a.textContent)`)
}

func visitPages(t *testing.T, s *scene, b *tab) {
	b.goes(s.base+"/", 200)
	seen := make(map[string]bool)
	for _, name := range rows(b) {
		seen[name] = true
	}
	first := len(seen)
	b.clicks(`a[rel="next"]`)
	for _, name := range rows(b) {
		if seen[name] {
			t.Errorf("%s is on two pages", name)
		}
		seen[name] = true
	}
	if first != 100 || len(seen) != 130 {
		t.Errorf("the first page has %d orders, and both %d", first, len(seen))
	}
	if !strings.HasPrefix(eval[string](b, `location.pathname`), "/x/y/") {
		t.Error("the next page is not below the base path")
	}
	b.do(chromedp.NavigateBack())
	if got := rows(b); len(got) != first || !strings.Contains(b.text(), "Next page") {
		t.Errorf("back shows %d orders", len(got))
	}
}

func visitFilters(t *testing.T, s *scene, b *tab) {
	b.goes(s.base+"/", 200)
	b.do(chromedp.SendKeys(chromedp.CSS("input[name=q]"), "many-01"))
	b.clicks(".filters button")
	if got := rows(b); len(got) != 10 || !strings.Contains(got[0], "order.many-01") {
		t.Errorf("by a part of the name: %q", got)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("input[name=label]"), "half=1"))
	b.clicks(".filters button")
	if got := rows(b); len(got) != 5 {
		t.Errorf("by name and label: %q", got)
	}
	if got := eval[string](b, `document.querySelector("input[name=q]").value`); got != "many-01" {
		t.Errorf("the filter forgets what was typed: %q", got)
	}
	query, err := url.Parse(eval[string](b, `location.href`))
	if err != nil || query.Query().Get("q") != "many-01" || query.Query().Get("label") != "half=1" {
		t.Errorf("the address does not have the filter: %v", query)
	}
	b.do(chromedp.NavigateBack())
	if got := rows(b); len(got) != 10 {
		t.Errorf("back shows %d orders", len(got))
	}
	s.asks("order.many-01-more", script(items(1, "open", emulator.Never, "")), nil)
	s.asks("order.else", script(items(1, "open", emulator.Never, "")), nil)
	b.shows("order.many-01-more", "132 watching")
	if got := rows(b); len(got) != 11 {
		t.Errorf("an update shows what is filtered out: %q", got)
	}
	b.goes(s.base+"/?show=failed", 200)
	if got := rows(b); len(got) != 1 || got[0] != "order.fails" {
		t.Errorf("those that failed: %q", got)
	}
	b.goes(s.base+"/?q=no-such-order", 200)
	b.shows("No watch matches.")
}

func visitAndBack(t *testing.T, s *scene, b *tab) {
	b.goes(s.base+"/?q=many-077", 200)
	answer := b.clicks("#rows tbody th a")
	if answer.Status != 200 || !strings.HasSuffix(eval[string](b, `location.pathname`), "/x/y/orders/"+rig.Project+"/order.many-077") || !strings.Contains(b.text(), "order.many-077") {
		t.Errorf("the row leads to %s, answered %d", answer.URL, answer.Status)
	}
	b.do(chromedp.NavigateBack())
	if got := rows(b); len(got) != 1 || got[0] != "order.many-077" {
		t.Errorf("back shows %q", got)
	}
	for _, name := range []string{"History", "Health", "Now"} {
		b.do(chromedp.Click(chromedp.CSS(`header nav a[href$="`+map[string]string{"History": "/history", "Health": "/health", "Now": "/y/"}[name]+`"]`), chromedp.NodeVisible))
		rig.Eventually(t, rig.Patience, func() error {
			if shown := eval[string](b, `document.readyState === "complete" ? (document.querySelector("header nav a[aria-current]") || {}).textContent : ""`); shown != name {
				return fmt.Errorf("%q is shown", shown)
			}
			return nil
		})
		b.held()
	}
}

func visitLinks(t *testing.T, s *scene, b *tab) {
	got := rig.CarryOut(t, []string{"ORDERWATCH_NATS_URL=" + s.nats.URL}, "get", "--open", rig.Project+"/order.fails")
	link := strings.TrimSpace(got.Out)
	if link != s.order("order.fails") {
		t.Fatalf("get --open prints %q %s", link, got.Err)
	}
	b.goes(link, 200)
	b.shows("order.fails", "flavor sold out")
	var watch struct {
		WatchID string `json:"watch_id"`
	}
	decode(t, rig.CarryOut(t, []string{"ORDERWATCH_NATS_URL=" + s.nats.URL}, "get", "-o", "json", rig.Project+"/order.fails").Out, &watch)
	b.goes(s.base+"/watches/"+watch.WatchID, 200)
	b.shows("order.fails", "flavor sold out")
	if at := eval[string](b, `location.href`); at != s.order("order.fails") {
		t.Errorf("a watch leads to %s", at)
	}
	b.allow("404 (Not Found)")
	for _, lost := range []string{s.order("order.never-asked-for"), s.base + "/nowhere", s.base + "/watches/w_0", s.base + "/orders/p/..%2f..", s.base + "/?show=nonsense"} {
		b.goes(lost, 404)
	}
}
