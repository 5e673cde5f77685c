//go:build page

package browser_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestLive holds that what happens appears by itself, on the screen of all watches and on an order's, and by reload where
// JavaScript is off.
func TestLive(t *testing.T) {
	t.Parallel()
	s := play(t, "")
	browser := startBrowser(t)
	now, still := window(t, browser), window(t, browser)
	still.withoutScripts()
	now.goes(s.base+"/", 200)
	still.goes(s.base+"/", 200)
	now.shows("Nothing is watched at the moment.")

	s.asks("order.lives", script(items(2, "done", 0, ""), items(1, "open", emulator.Never, "")), map[string]any{"requested_by": "gpu-pools"})
	now.shows("1 watching", "order.lives", "2 of 3 items ended")
	if strings.Contains(still.text(), "order.lives") {
		t.Error("without scripts it appears by itself: this test tests nothing")
	}
	still.reloaded("1 watching", "order.lives", "2 of 3 items ended")

	order := now.beside()
	order.goes(s.order("order.lives"), 200)
	order.shows("2 of 3")
	marked := eval[bool](order, `window.unreloaded = true`)
	s.cloud.Add(rig.Project, "order.lives", *script(items(2, "done", 0, ""), items(1, "open", 0, "flavor sold out")))
	order.shows("flavor sold out", "1 of 3 nodes failed")
	if !marked || !eval[bool](order, `window.unreloaded === true`) {
		t.Error("the order's screen was loaded anew")
	}
	still.goes(s.order("order.lives"), 200)
	still.reloaded("flavor sold out", "1 of 3 nodes failed")
	now.shows("0 watching", "Ended in the last hour: 1")
}

// TestOpenedStaysOpen holds that what the viewer opened or typed outlives an update.
func TestOpenedStaysOpen(t *testing.T) {
	t.Parallel()
	s := play(t, "")
	b := window(t, startBrowser(t))
	b.goes(s.base+"/", 200)
	b.do(chromedp.Click(chromedp.CSS("main details summary"), chromedp.NodeVisible), chromedp.SendKeys(chromedp.CSS("input[name=q]"), "half-typ"))
	s.asks("order.comes", script(items(1, "open", emulator.Never, "")), nil)
	b.shows("order.comes")
	if !eval[bool](b, `document.querySelector("main details").open && document.querySelector("input[name=q]").value === "half-typ"`) {
		t.Error("an update closed what was open, or took what was typed")
	}
}

// TestOpenedStaysOpenInAFragment holds the same of what is in a fragment, which a stream sends whole when it begins.
func TestOpenedStaysOpenInAFragment(t *testing.T) {
	t.Parallel()
	s := playForAnn(t)
	s.asks("order.goes-on", script(items(1, "open", emulator.Never, "")), nil)
	b := window(t, startBrowser(t))
	b.allow("net::ERR_")
	b.signIn(ann, annsPassword)
	b.goes(s.order("order.goes-on"), 200)
	b.shows("0 of 1")
	eval[bool](b, `(() => { const d = document.querySelector("#actions details"); d.open = true; d.querySelector("input[name=reason]").value = "half-typed"; return true })()`)
	s.page.Kill()
	b.shows("not connected")
	s.open()
	b.connected()
	s.asks("order.goes-on", nil, map[string]any{"request_id": "another"})
	b.shows("another")
	if !eval[bool](b, `document.querySelector("#actions details").open && document.querySelector("#actions input[name=reason]").value === "half-typed"`) {
		t.Error("an update closed what was open, or took what was typed")
	}
}

// TestManyTabs holds that eight tabs of one browser load at once and go on showing what happens, though a browser has six
// connections for one server. A headless browser takes every tab for one that is looked at, so that each wants its stream.
func TestManyTabs(t *testing.T) {
	t.Parallel()
	s := play(t, "")
	first := window(t, startBrowser(t))
	tabs := []*tab{first}
	for range 7 {
		tabs = append(tabs, first.beside())
	}
	for i, b := range tabs {
		began := time.Now()
		b.goes(s.base+"/", 200)
		b.shows("Nothing is watched at the moment.")
		t.Logf("tab %d is there after %v", i+1, time.Since(began).Round(time.Millisecond))
	}
	s.asks("order.seen-in-all", script(items(1, "open", emulator.Never, "")), nil)
	for _, b := range tabs {
		b.front()
		b.shows("order.seen-in-all")
	}
}

// TestServerGone holds that nothing old is shown as new: the page says since when what it shows is so, and that NATS is not
// connected; and that it goes on by itself.
func TestServerGone(t *testing.T) {
	t.Parallel()
	s := play(t, "")
	s.asks("order.stays", script(items(1, "done", 0, ""), items(1, "open", emulator.Never, "")), nil)
	browser := startBrowser(t)
	b, late := window(t, browser), window(t, browser)
	for _, b := range []*tab{b, late} {
		b.allow("503 (Service Unavailable)")
	}
	b.goes(s.base+"/", 200)
	b.shows("order.stays", "as of ")
	if strings.Contains(b.text(), "not connected") {
		t.Error("it says that it is not connected, but it is")
	}
	s.nats.Kill()
	b.shows("not connected", "order.stays")
	asOf := eval[string](b, `document.querySelector("#as-of time").getAttribute("datetime")`)
	at, err := time.Parse(time.RFC3339, asOf)
	if err != nil {
		t.Fatal(err)
	}
	late.goes(s.base+"/", 200)
	late.shows("not connected", "order.stays")
	rig.Eventually(t, rig.Patience, func() error { // a minute's clock must have gone on
		if gone := time.Since(at); gone < 5*time.Second {
			return fmt.Errorf("%v since it was so", gone)
		}
		return nil
	})
	late.do(chromedp.Reload())
	for _, b := range []*tab{b, late} {
		if now := eval[string](b, `document.querySelector("#as-of time").getAttribute("datetime")`); now != asOf {
			t.Errorf("without NATS it is as of %s; it was of %s", now, asOf)
		}
	}
	s.nats.Again(t)
	s.asks("order.comes-after", script(items(1, "open", emulator.Never, "")), nil)
	b.shows("order.comes-after")
	b.connected()
}

// TestPageGone holds that the page says so itself when its process has ended, or its order's record is gone, and that it goes
// on by itself when the process is there again.
func TestPageGone(t *testing.T) {
	t.Parallel()
	s := play(t, "")
	s.asks("order.stays", script(items(1, "done", 0, ""), items(1, "open", emulator.Never, "")), nil)
	b := window(t, startBrowser(t))
	b.allow("net::ERR_")
	b.goes(s.base+"/", 200)
	b.shows("order.stays", "as of ")
	order := b.beside()
	order.allow("net::ERR_")
	order.goes(s.order("order.stays"), 200)
	order.shows("1 of 2")
	for _, b := range []*tab{b, order} {
		if strings.Contains(b.text(), "not connected") {
			t.Error("it says that it is not connected, but it is")
		}
	}
	s.page.Kill()
	for _, b := range []*tab{b, order} {
		b.shows("not connected", "order.stays")
	}
	s.open()
	for _, b := range []*tab{b, order} {
		b.connected()
		b.held()
	}
	s.asks("order.comes-after", script(items(1, "open", emulator.Never, "")), nil)
	b.shows("order.comes-after")
	records, err := s.nats.JS.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	if err := records.Delete(t.Context(), rig.Project+".order.stays"); err != nil {
		t.Fatal(err)
	}
	order.shows("This order is not watched, reload to look again")
}

// TestPageSilent holds that the page says so itself when nothing comes any more on a connection that nobody closed, as where a
// machine or a network is gone, and that it goes on by itself.
func TestPageSilent(t *testing.T) {
	t.Parallel()
	s := play(t, "")
	s.asks("order.stays", script(items(1, "open", emulator.Never, "")), nil)
	b := window(t, startBrowser(t))
	b.allow("net::ERR_")
	b.goes(s.base+"/", 200)
	b.shows("order.stays", "as of ")
	page := s.page.Command.Process
	if err := page.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = page.Signal(syscall.SIGCONT) })
	b.shows("not connected", "order.stays")
	if err := page.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	b.connected()
	s.asks("order.comes-after", script(items(1, "open", emulator.Never, "")), nil)
	b.shows("order.comes-after")
}
