//go:build page

package browser_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// maxPicture is how large a picture of the README may be, in bytes.
const maxPicture = 150_000

// TestPictures makes pictures of all screens: in both colour schemes, as wide as a phone, a laptop and a wide screen, with nothing,
// one, a dozen, hundreds and thousands of things to show, and without NATS. PICTURES names the folder that gets them; without it
// the test is skipped. With README=true it gets the few that the README shows, and no others.
func TestPictures(t *testing.T) {
	folder := os.Getenv("PICTURES")
	if folder == "" {
		t.Skip("PICTURES names no folder")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	b := window(t, startBrowser(t))
	b.allow("404 (Not Found)", "503 (Service Unavailable)", "net::ERR_") // it outlives the pages that it looks at
	if os.Getenv("README") == "true" {
		readmePictures(t, b, folder)
		return
	}
	for _, rows := range []int{0, 1, 12, 300} {
		s := play(t, "")
		for i := range rows {
			s.asks(fmt.Sprintf("order.pool-%04d", i), script(items(3, "done", 0, ""), items(1+i%4, "open", emulator.Never, "")), map[string]any{"requested_by": "gpu-pools"})
		}
		s.settles(s.base+"/", fmt.Sprintf("<b>%d</b> watching", rows))
		b.pictures(folder, fmt.Sprintf("now-%d", rows), s.base+"/", 200)
		if rows == 12 {
			s.nats.Kill()
			s.settles(s.base+"/", "not connected")
			b.pictures(folder, "now-without-nats", s.base+"/", 200)
		}
	}
	s := play(t, "", "ORDERWATCH_PAGE_ACTIONS=true")
	populate(s)
	for _, n := range []int{0, 1, 12, 300, 5000} {
		name := fmt.Sprintf("order.items-%d", n)
		s.asks(name, script(items(n-n/2-n/20, "done", 0, ""), items(n/2, "open", emulator.Never, ""), items(n/20, "bad", 0, "flavor sold out")), nil)
		s.settles(s.order(name), name)
	}
	for name, address := range screensOf(s) {
		b.pictures(folder, strings.TrimPrefix(strings.ReplaceAll(name, " ", "-"), "order."), address, 200)
	}
	for _, n := range []int{0, 1, 12, 300, 5000} {
		b.pictures(folder, fmt.Sprintf("items-%d", n), s.order(fmt.Sprintf("order.items-%d", n)), 200)
	}
	b.pictures(folder, "lost", s.base+"/nowhere", 404)
}

// pictures takes a picture of a screen in each scheme and width.
func (b *tab) pictures(folder, name, address string, status int64) {
	b.t.Helper()
	if len(name) > 40 {
		name = name[:40]
	}
	for _, scheme := range schemes {
		b.scheme(scheme)
		for _, width := range widths {
			b.size(width, 800)
			b.goes(address, status)
			b.picture(filepath.Join(folder, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), 6000)
		}
	}
}

// picture writes a picture of the whole screen, as far down as the height.
func (b *tab) picture(path string, height float64) (size int) {
	b.t.Helper()
	box := eval[struct{ W, H float64 }](b, `({W: innerWidth, H: document.documentElement.scrollHeight})`)
	b.call(func(ctx context.Context) error {
		beyond := true
		taken, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: &beyond, Clip: &page.Viewport{Width: box.W, Height: min(box.H, height), Scale: 1},
		})
		if err != nil {
			return err
		}
		size = len(taken.Data)
		return os.WriteFile(path, taken.Data, 0o644)
	})
	return size
}

// readmePictures takes those of the README: what is watched, and an order where something failed, in both schemes.
func readmePictures(t *testing.T, b *tab, folder string) {
	s := play(t, "")
	for i, name := range []string{"order.pool-5ed5-w4l2n", "order.gpu-60-x7k2p", "order.train-a-q9d4m"} {
		s.asks(name, script(items(3+i, "os-node-created", 0, ""), items(2*i+1, "os-node-begun", emulator.Never, "")), map[string]any{"requested_by": "gpu-pools"})
	}
	pool := script(items(4, "os-node-created", 0, ""), items(1, "os-node-failed", 7*time.Second, "flavor modelarts.bm.npu.arm.8snt9b3 sold out in cn-north-4a"))
	for i := range pool.Items[:4] {
		pool.Items[i].EndAfter = time.Duration(5+3*i) * time.Second
	}
	s.asks("order.infer-b-t2c8v", pool, map[string]any{
		"requested_by": "inference", "link": "https://ci.example/772", "request_id": "build-772", "labels": map[string]string{"env": "prod"}})
	s.settles(s.base+"/", "<b>3</b> watching", "Ended in the last hour: 1")
	s.settles(s.order("order.infer-b-t2c8v"), "told on Slack")
	for _, p := range []struct{ name, scheme, address string }{
		{"now.png", "light", s.base + "/"},
		{"order.png", "light", s.order("order.infer-b-t2c8v")},
		{"order-dark.png", "dark", s.order("order.infer-b-t2c8v")},
	} {
		b.scheme(p.scheme)
		b.size(1280, 800)
		b.goes(p.address, 200)
		if p.name == "now.png" {
			unfold(b)
		}
		if size := b.picture(filepath.Join(folder, p.name), 800); size > maxPicture {
			t.Errorf("%s has %d bytes; want %d at most", p.name, size, maxPicture)
		}
	}
}
