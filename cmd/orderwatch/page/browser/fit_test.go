//go:build page

package browser_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// widths are those of a phone, a laptop and a wide screen, in CSS pixels.
var widths = []int64{375, 1280, 2560}

var schemes = []string{"light", "dark"}

// longName is an order's name of 128 characters that has no place to break a line.
var longName = "order." + strings.Repeat("W", 122)

// populate has all sorts of orders watched: none of it changes any more once it has settled.
func populate(s *scene) {
	never := emulator.Never
	s.asks("order.running", script(items(7, "done", 0, ""), items(4, "open", never, ""), items(1, "bad", 0, "flavor modelarts.bm.npu sold out in cn-north-4a")), map[string]any{
		"requested_by": "gpu-pools", "link": "https://ci.example/771", "labels": map[string]string{"env": "prod", "team": "training"}, "request_id": "build-771"})
	s.asks("order.empty", &emulator.Order{Count: emulator.CountAll}, map[string]any{"requested_by": "ann"})
	s.asks("order.well", script(items(3, "node", 0, "")), nil)
	s.asks("order.fails", script(items(3, "node", 0, ""), items(1, "bad", 0, "flavor modelarts.bm.npu sold out in cn-north-4a")), map[string]any{
		"requested_by": "gpu-pools", "link": "https://ci.example/772", "request_id": "build-772"})
	s.asks(longName, script(items(12, strings.Repeat("n", 120), never, "")), map[string]any{"requested_by": strings.Repeat("r", 200), "labels": map[string]string{strings.Repeat("k", 60): strings.Repeat("v", 200)}})
	s.asks("order.cjk", script(items(2, "节点", never, ""), items(2, "ノード", 0, "库存不足：可用区没有资源。"+strings.Repeat("資源が不足しています", 30))), map[string]any{"requested_by": "王小明"})
	s.asks("order.large", script(items(4900, "done", 0, ""), items(60, "open", never, ""), items(40, "bad", 0, "quota exceeded")), nil)
	s.asks("order.missing", nil, nil)
	s.asks("order.refused", &emulator.Order{Faults: []emulator.Fault{{Status: 400, Code: "ModelArts.50004000", Message: "Bad request: " + strings.Repeat("the flavor does not exist. ", 20)}}}, nil)
	s.asks("order.unread", &emulator.Order{Faults: []emulator.Fault{{Status: 500, Code: "ModelArts.50005000", Message: "internal error"}}}, nil)
	s.settles(s.base+"/", "order.running", longName, "order.cjk", "4,940 of 5,000", "Ended in the last hour: 4")
}

// screensOf are the screens of what populate has watched, by what they are called in messages.
func screensOf(s *scene) map[string]string {
	all := map[string]string{"now": s.base + "/", "ended": s.base + "/?show=ended", "no match": s.base + "/?q=no-such-order", "history": s.base + "/history", "health": s.base + "/health"}
	for _, name := range []string{"order.running", "order.empty", "order.well", "order.fails", longName, "order.cjk", "order.large", "order.missing", "order.refused", "order.unread"} {
		all[name] = s.order(name)
	}
	return all
}

// TestFits holds that every screen is accessible by axe's rules in both colour schemes, and nothing on it wider than the window,
// from a phone's to a wide screen's.
func TestFits(t *testing.T) {
	t.Parallel()
	s := play(t, "", "ORDERWATCH_PAGE_ACTIONS=true")
	populate(s)
	empty := play(t, "")
	b := window(t, startBrowser(t)) // after both pages, so that it closes before they end
	b.allow("404 (Not Found)")
	all := screensOf(s)
	all["nothing watched"] = empty.base + "/"
	all["no history"] = empty.base + "/history"
	all["lost"] = s.base + "/nowhere"
	for name, address := range all {
		status := int64(200)
		if name == "lost" {
			status = 404
		}
		for _, width := range widths {
			b.size(width, 800)
			b.goes(address, status)
			b.narrow(name, width)
			unfold(b)
			b.narrow(name+", unfolded", width)
		}
		for _, scheme := range schemes {
			b.scheme(scheme)
			for _, width := range widths[:2] {
				b.size(width, 800)
				b.goes(address, status)
				unfold(b)
				b.accessible(fmt.Sprintf("%s, %s, %d pixels", name, scheme, width))
			}
		}
	}
}

// unfold opens all that the screen hides.
func unfold(b *tab) {
	b.t.Helper()
	eval[int](b, `(() => { const all = document.querySelectorAll("details"); all.forEach(d => d.open = true); return all.length })()`)
}

// narrow fails the test where the screen is wider than its window.
func (b *tab) narrow(name string, width int64) {
	b.t.Helper()
	if wide := eval[int64](b, `document.documentElement.scrollWidth`); wide > width {
		widest := eval[string](b, `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll")).slice(0, 5).map(e => e.outerHTML.slice(0, 200)).join("\n")`)
		b.t.Errorf("%s is %d pixels wide in a window of %d:\n%s", name, wide, width, widest)
	}
}

// axe is the source of axe-core, from the path that AXE names.
var axe = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile(os.Getenv("AXE"))
	if err != nil {
		return "", fmt.Errorf("AXE must name axe-core's axe.min.js, as .ci/run page fetches it: %w", err)
	}
	return string(text), nil
})

// accessible fails the test with what axe finds.
func (b *tab) accessible(name string) {
	b.t.Helper()
	source, err := axe()
	if err != nil {
		b.t.Fatal(err)
	}
	eval[chromedp.Void](b, source)
	found := eval[json.RawMessage](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " + n.failureSummary)})))`)
	if text := string(found); text != "[]" {
		b.t.Errorf("%s: axe finds %s", name, rig.Tail(text, 3000))
	}
}

// inView returns the text that a viewer sees in the window without a scroll or a click.
func (b *tab) inView() string {
	b.t.Helper()
	return eval[string](b, `(() => {
		const seen = [];
		const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		for (let n; n = walk.nextNode();) {
			if (!n.parentElement.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
			const range = document.createRange();
			range.selectNodeContents(n);
			if ([...range.getClientRects()].some(r => r.width > 1 && r.height > 1 && r.top >= 0 && r.bottom <= innerHeight && r.left >= 0 && r.right <= innerWidth)) seen.push(n.data);
		}
		return seen.join(" ").replace(/\s+/g, " ");
	})()`)
}

// TestFiveQuestions holds that an order's page, reached by a link, answers in its first view of 1280 by 800 pixels: when is it ready,
// what failed and why, was anybody told and when, is anything stuck, is this cause new.
func TestFiveQuestions(t *testing.T) {
	t.Parallel()
	s := play(t, "")
	populate(s)
	b := window(t, startBrowser(t))
	for name, answers := range map[string][][]string{
		"order.fails":   {{"ended"}, {"1 of 4", "flavor modelarts.bm.npu sold out in cn-north-4a"}, {"told", channel}, {"stuck"}, {"new", "first seen", "seen before"}},
		"order.running": {{"ready"}, {"1 failed", "flavor modelarts.bm.npu sold out in cn-north-4a"}, {"told"}, {"stuck"}, {"new", "first seen", "seen before"}},
	} {
		for _, scripts := range []bool{true, false} {
			if !scripts {
				b.withoutScripts()
			}
			b.goes(s.order(name), 200)
			rig.Eventually(t, 2*time.Minute, func() error {
				if !scripts {
					b.do(chromedp.Reload())
				}
				shown := strings.ToLower(b.inView())
				for _, oneOf := range answers {
					if !containsAny(shown, lower(oneOf)) {
						return fmt.Errorf("%s, scripts %t: none of %q in the first view: %s", name, scripts, oneOf, shown)
					}
				}
				return nil
			})
		}
	}
}

func lower(texts []string) (all []string) {
	for _, text := range texts {
		all = append(all, strings.ToLower(text))
	}
	return all
}
