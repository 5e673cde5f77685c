//go:build page

package browser_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// hostile are texts that others may send, and that must be shown as what they are.
var hostile = []string{
	`<img src=x onerror="window.evil=1">`,
	`<script>window.evil=1</script>`,
	`"><svg onload=window.evil=1>`,
	`' onmouseover='window.evil=1' autofocus onfocus='window.evil=1`,
	`</title></textarea></style></script><img src=x onerror=window.evil=1>`,
	`<a href="javascript:window.evil=1" hx-get="/evil" hx-trigger="load" hx-on:load="window.evil=1">click</a>`,
	`<form action="//evil.example"><meta http-equiv=refresh content="0;url=//evil.example"><base href="//evil.example">`,
	"first\n\nevent: rows\ndata: <b id=forged>forged</b>\n\n",
	"{{.Title}} ${window.evil=1} [[window.evil=1]]",
	"\u202egnp.exe\u202c \u2066isolated\u2069 \u200bzero\u200dwidth\ufeff",
	"\x1b[31mred\x1b[0m \x07bell \x00nul",
	"库存不足：可用区没有资源 資源が不足しています 재고 부족",
	"e" + strings.Repeat("\u0301", 80) + " zalgo",
	strings.Repeat("W", 900),
}

// assault has an order watched for each of the texts in each place where others may put one, while screens are looked at.
func assault(s *scene) (names []string) {
	for i, text := range hostile {
		name := fmt.Sprintf("order.hostile-%02d", i)
		cut := foreign.Line(text) // a worker refuses a request with any other
		if len(cut) > 190 {
			cut = strings.ToValidUTF8(cut[:190], "")
		}
		request := map[string]any{
			"requested_by": cut, "request_id": fmt.Sprintf("id-%d", i), "link": "https://ci.example/" + fmt.Sprint(i) + `?'onmouseover=window.evil=1//%22%3Cscript%3Ewindow.evil=1`,
			"labels": map[string]string{"env": cut},
		}
		bad := []emulator.Item{{ResourceName: text, Action: text, Status: "failed", Message: text}, {ResourceName: "n-" + text, Action: "createNode", EndAfter: emulator.Never}}
		s.asks(name, script(bad), request)
		ended := name + "-ended"
		s.asks(ended, script(bad[:1]), request)
		refused := name + "-refused"
		s.asks(refused, &emulator.Order{Faults: []emulator.Fault{{Status: 400, Code: "ModelArts.50004000", Message: text}}}, request)
		unread := name + "-unread"
		s.asks(unread, &emulator.Order{Faults: []emulator.Fault{{Status: 500, Code: text, Message: text}}}, request)
		names = append(names, name, ended, refused, unread)
	}
	return names
}

// TestHostile sends hostile texts through every screen, also while the screen is looked at: none does anything but to be read.
func TestHostile(t *testing.T) {
	t.Parallel()
	s := play(t, "")
	browser := startBrowser(t)
	live := map[string]*tab{"now": window(t, browser), "history": window(t, browser), "health": window(t, browser)}
	live["now"].goes(s.base+"/", 200)
	live["history"].goes(s.base+"/history", 200)
	live["health"].goes(s.base+"/health", 200)
	names := assault(s)
	for name, b := range live {
		b.front()
		switch name {
		case "now":
			b.shows("order.hostile-13-unread", "28 watching")
		case "history":
			b.shows("order.hostile-", "<img src=x onerror=")
		}
		b.inert(name)
	}
	b := live["now"]
	for _, name := range names {
		b.goes(s.order(name), 200)
		b.shows(name)
		unfold(b)
		b.inert(name)
	}
	for _, address := range []string{"/?show=ended", "/?q=hostile", "/history", "/health"} {
		b.goes(s.base+address, 200)
		unfold(b)
		b.inert(address)
	}
	b.allow("404 (Not Found)")
	for _, text := range hostile {
		b.goes(s.base+"/?q="+escapeQuery(text)+"&label="+escapeQuery(text), 200)
		b.inert("a filter")
		b.goes(s.base+"/orders/"+rig.Project+"/"+escapePath(text), 404)
		b.inert("a lost order")
		b.goes(s.base+"/watches/"+escapePath(text), 404)
		b.inert("a lost watch")
	}
}

// inert fails the test where a text of others has become anything but text.
func (b *tab) inert(where string) {
	b.t.Helper()
	b.held()
	if done := eval[string](b, `(() => {
		const wrong = [];
		if (window.evil) wrong.push("a script of others ran");
		if (document.querySelector("#forged")) wrong.push("an event of others was taken for the stream's");
		for (const e of document.querySelectorAll("*")) {
			if (["IMG", "IFRAME", "OBJECT", "EMBED", "BASE", "STYLE"].includes(e.tagName.toUpperCase())) wrong.push(e.outerHTML.slice(0, 200));
			if (e.tagName === "SCRIPT" && !new URL(e.src, location).pathname.includes("/static/")) wrong.push(e.outerHTML.slice(0, 200));
			for (const a of e.attributes) {
				if (/^(on|hx-on|style$)/.test(a.name)) wrong.push(a.name + " of " + e.outerHTML.slice(0, 200));
				if (["href", "src", "action", "formaction"].includes(a.name) && !["http:", "https:"].includes(new URL(a.value, location).protocol)) wrong.push(a.name + " " + a.value);
			}
			if (e.tagName === "A" && new URL(e.href, location).origin !== location.origin && !/noopener/.test(e.rel)) wrong.push("no rel: " + e.outerHTML.slice(0, 200));
		}
		if (/[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u200b\ufeff]/.test(document.body.textContent)) wrong.push("an invisible character is shown: " + JSON.stringify(document.body.textContent.match(/.{0,40}[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u200b\ufeff].{0,40}/)[0]));
		if (document.documentElement.scrollWidth > innerWidth) wrong.push("it is wider than its window");
		return wrong.join("\n");
	})()`); done != "" {
		b.t.Errorf("%s: %s", where, rig.Tail(done, 2000))
	}
}

func escapeQuery(text string) string { return url.QueryEscape(text) }

// escapePath returns the text as one segment of a path. Segments of dots alone, and empty ones, no browser sends.
func escapePath(text string) string { return url.PathEscape("x" + text) }
