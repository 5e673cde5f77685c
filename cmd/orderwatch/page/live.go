package page

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
)

// Durations of a stream.
const (
	sendEvery   = time.Second      // between two looks at what changed
	quiet       = 15 * time.Second // without an event, before one says so: proxies keep the stream, and the page knows that it lives
	streamTime  = 10 * time.Minute // after which it ends, and the browser opens a new one
	sendTime    = 10 * time.Second // of one write: then the viewer is taken for gone
	askAgain    = "2000"           // milliseconds after which a browser opens a stream anew
	askAgainFew = "5000"           // where it may have no stream that stays open
)

// livePath returns the path of the stream with the fragments of a screen.
func livePath(path string) string { return "/live?" + url.Values{"of": {path}}.Encode() }

// live streams the fragments of a screen: all of them, and from then on those that changed.
func (s *server) live(w http.ResponseWriter, r *http.Request, v viewer) {
	of, err := url.Parse(r.URL.Query().Get("of"))
	var f *feed
	if err == nil {
		f, err = s.feed(v, of)
	}
	if err != nil || r.Method != http.MethodGet {
		w.WriteHeader(http.StatusNoContent) // a browser asks no more
		return
	}
	stays, end := s.streams.begin(r, v)
	defer end()
	ctx, cancel := context.WithTimeout(r.Context(), streamTime-time.Duration(rand.Int64N(int64(time.Minute)))) // not all at once
	defer cancel()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	send := func(text []byte) bool {
		if out.SetWriteDeadline(time.Now().Add(sendTime)) != nil {
			return false
		}
		_, err := w.Write(text)
		return err == nil && out.Flush() == nil
	}
	defer func() { _ = out.SetWriteDeadline(time.Now().Add(sendTime)) }() // for the last chunk, long after the last write
	again := askAgain
	if !stays {
		again = askAgainFew
	}
	if send([]byte("retry: " + again + "\n\n")) {
		s.stream(ctx, f, stays, send)
	}
}

// stream sends the feed's fragments until ctx is done, the viewer is gone, or there is nothing to show any more; only once where
// the stream may not stay open.
func (s *server) stream(ctx context.Context, f *feed, stays bool, send func([]byte) bool) {
	sent := make(map[string]uint64) // by fragment, the version
	ticks := time.NewTicker(sendEvery)
	defer ticks.Stop()
	for last := time.Now(); ; {
		s.keep(f)
		var text bytes.Buffer
		parts, err := f.events(ctx)
		if gone, is := errors.AsType[*missing](err); is {
			send(lastEvents(gone.title))
			return
		}
		for _, p := range parts { // none where it cannot be read: what the viewer has stays
			if sent[p.name] != p.version {
				sent[p.name] = p.version
				text.Write(p.event)
			}
		}
		if text.Len() == 0 && time.Since(last) >= quiet {
			text.WriteString("event: same\ndata: all is as it was\n\n")
		}
		if text.Len() > 0 {
			if !send(text.Bytes()) {
				return
			}
			last = time.Now()
		}
		if !stays {
			return
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// keep notes that the feed is looked at.
func (s *server) keep(f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.lastUsed = time.Now()
	s.feeds[f.team+"\x00"+f.path] = f
}

// lastEvents returns what a stream ends with whose screen is not there any more: it says so, and is not opened again.
func lastEvents(title string) (text []byte) {
	for _, f := range screens.Gone(title) {
		text = append(text, eventOf(f)...)
	}
	return text
}

// eventOf returns the fragment as a stream sends it.
func eventOf(f screens.Fragment) []byte {
	var b bytes.Buffer
	b.WriteString("event: " + f.Name + "\n")
	for line := range bytes.SplitSeq(bytes.ReplaceAll(f.HTML, []byte("\r"), nil), []byte("\n")) {
		b.WriteString("data: ")
		b.Write(line)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// Bounds of streams that stay open. A browser has six connections for a server over HTTP/1.1: where streams took them all, its
// next request would wait for good.
const (
	mostStreams   = 1000
	mostOfBrowser = 4
)

// Streams counts the streams that stay open. One beyond the bounds is sent what is shown, and ends: the browser opens it again
// some seconds later. It is safe for concurrent use.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by browser; of one that has no cookie, by user or address
}

func newStreams() *streams { return &streams{of: make(map[string]int)} }

// browserCookie is the cookie by which a browser's streams are counted. It says nothing of who uses it.
const browserCookie = "orderwatch-browser"

// know lets the browser's streams be counted together.
func (s *streams) know(w http.ResponseWriter, r *http.Request, base string, secure bool) {
	if _, err := r.Cookie(browserCookie); err != nil {
		http.SetCookie(w, &http.Cookie{Name: browserCookie, Value: cryptorand.Text(), Path: base + "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode})
	}
}

// begin counts a stream, and reports whether it may stay open. The caller calls end when it has ended.
func (s *streams) begin(r *http.Request, v viewer) (stays bool, end func()) {
	browser := browserOf(r, v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= mostStreams || s.of[browser] >= mostOfBrowser {
		return false, func() {}
	}
	s.all++
	s.of[browser]++
	return true, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[browser]--; s.of[browser] == 0 {
			delete(s.of, browser)
		}
	}
}

// open returns how many streams stay open now.
func (s *streams) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// browserOf returns by what the browser's streams are counted.
func browserOf(r *http.Request, v viewer) string {
	if cookie, err := r.Cookie(browserCookie); err == nil && cookie.Value != "" && len(cookie.Value) <= 64 {
		return "browser " + cookie.Value
	}
	if v.user != "" {
		return "user " + v.user
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return "address " + host
}
