//go:build page

package browser_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// startBrowser starts Chromium, and ends it with the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(rig.Patience), chromedp.Flag("force-device-scale-factor", "1"), chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 { // Chromium's sandbox does not work for root
		options = append(options, chromedp.NoSandbox)
	}
	allocated, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Logf("the browser ended with %v", err)
		}
		cancel()
		end()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// A tab is one of the browser's. What goes wrong in it fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	allowed []string // parts of what the console may say
	wrong   []string
	headers network.Headers
}

// watchful runs before each document's own scripts: it keeps what the content security policy stops.
const watchful = `window.stopped = []; document.addEventListener("securitypolicyviolation", e => window.stopped.push(e.violatedDirective + " " + e.blockedURI + " " + e.sample));`

// window opens a tab with cookies and connections of its own. in is the browser, or a window's tab for one beside it.
func window(t *testing.T, in context.Context) *tab {
	t.Helper()
	return openTab(t, in, chromedp.WithNewBrowserContext())
}

// beside opens another tab in the same window.
func (b *tab) beside() *tab { return openTab(b.t, b.ctx) }

func openTab(t *testing.T, in context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t, headers: make(network.Headers)}
	var cancel context.CancelFunc
	b.ctx, cancel = chromedp.NewContext(in, append(options, chromedp.WithListener(b.hear))...)
	t.Cleanup(func() {
		b.check()
		cancel()
	})
	b.do(chromedp.EmulateViewport(1280, 800))
	b.call(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchful})
		return err
	})
	return b
}

// hear keeps what the console and the page say that must not be.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.wrong = append(b.wrong, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.wrong = append(b.wrong, fmt.Sprintf("console.%s is called", e.Type))
	case *page.EventJavascriptDialogOpening:
		b.wrong = append(b.wrong, "a dialog opens: "+e.Message)
	}
}

// allow lets the console say what has one of these texts.
func (b *tab) allow(texts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, texts...)
}

// check fails the test with what went wrong in the tab.
func (b *tab) check() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, wrong := range b.wrong {
		if !containsAny(wrong, b.allowed) {
			b.t.Errorf("in the browser: %s", wrong)
		}
	}
	b.wrong = nil
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// limited returns the tab's context for one step.
func (b *tab) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, rig.Patience)
}

// do carries steps out. The first step of a tab opens it, so that its context must not end before the tab.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx := b.ctx
	if chromedp.FromContext(ctx).Target != nil {
		var cancel context.CancelFunc
		ctx, cancel = b.limited()
		defer cancel()
	}
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("in the browser: %v\n%s", err, b.source())
	}
}

func (b *tab) call(f func(context.Context) error) {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	if err := f(ctx); err != nil {
		b.t.Fatalf("in the browser: %v", err)
	}
}

// source returns what the tab shows, as far as it can be had.
func (b *tab) source() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	html, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.documentElement.outerHTML`))
	if err != nil {
		return err.Error()
	}
	return rig.Tail(html, 6000)
}

// eval returns what the expression is in the tab.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// goes leads the tab to an address. It must be answered with the status.
func (b *tab) goes(address string, status int64) {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	answer, err := chromedp.Run(ctx, chromedp.NavigateResponse(address))
	if err != nil {
		b.t.Fatalf("%s: %v", address, err)
	}
	if answer.Status != status {
		b.t.Fatalf("%s is answered %d; want %d\n%s", address, answer.Status, status, b.source())
	}
	b.held()
}

// held fails the test with what the policy has stopped in the tab's document.
func (b *tab) held() {
	b.t.Helper()
	for _, stopped := range eval[[]string](b, `window.stopped || []`) {
		b.t.Errorf("the content security policy stopped %s", stopped)
	}
}

// clicks clicks what the selector finds, and waits for the page that it leads to.
func (b *tab) clicks(selector string) *network.Response {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
	if err != nil {
		b.t.Fatalf("click %s: %v\n%s", selector, err, b.source())
	}
	b.held()
	return answer
}

// text returns the text that the tab shows, also what is folded.
func (b *tab) text() string {
	b.t.Helper()
	return eval[string](b, `document.body.textContent.replace(/\s+/g, " ")`)
}

// connected waits until the tab no longer says that it is not connected. A stream that begins has sent all by then.
func (b *tab) connected() {
	b.t.Helper()
	rig.Eventually(b.t, rig.Patience, func() error {
		if strings.Contains(b.text(), "not connected") {
			return errors.New("it still says that it is not connected")
		}
		return nil
	})
}

// shows waits until the tab shows the texts, without a reload.
func (b *tab) shows(texts ...string) {
	b.t.Helper()
	rig.Eventually(b.t, rig.Patience, func() error {
		shown := b.text()
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				return fmt.Errorf("no %q in %s", text, rig.Tail(shown, 3000))
			}
		}
		return nil
	})
}

// reloaded reloads the tab until it shows the texts.
func (b *tab) reloaded(texts ...string) {
	b.t.Helper()
	rig.Eventually(b.t, rig.Patience, func() error {
		b.do(chromedp.Reload())
		shown := b.text()
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				return fmt.Errorf("no %q in %s", text, rig.Tail(shown, 3000))
			}
		}
		return nil
	})
}

// header has the tab send a header with each request.
func (b *tab) header(name, value string) {
	b.t.Helper()
	b.headers[name] = value
	b.call(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: maps.Clone(b.headers)})
		return err
	})
}

// signIn has the tab log in as the user.
func (b *tab) signIn(user, password string) {
	b.t.Helper()
	b.header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// withoutScripts turns JavaScript off in the tab.
func (b *tab) withoutScripts() {
	b.t.Helper()
	b.call(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

// scheme has the tab prefer a colour scheme, light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	b.call(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return err
	})
}

// front has the tab come before the others of its window.
func (b *tab) front() {
	b.t.Helper()
	b.call(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, page.BringToFront, cdp.Empty{})
		return err
	})
}

// size gives the tab another size, in CSS pixels.
func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
}
