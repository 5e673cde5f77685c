package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/teams"
)

// writeTime is how long an answer may take; a stream has as long for each write.
const writeTime = 30 * time.Second

// A server answers requests.
type server struct {
	log      *slog.Logger
	base     string // path before all others, such as /x/y
	public   string // origin under which people find the page, such as https://ow.example; empty: not known
	from     *source
	teams    teams.Teams
	entrance *entrance
	acting   *client.Client // for what users do; nil: they may do nothing
	streams  *streams

	version atomic.Uint64 // of parts
	mu      sync.Mutex
	feeds   map[string]*feed // by team and path
}

func newServer(log *slog.Logger, c config.Config, from *source, users *users, acting *client.Client) *server {
	return &server{
		log: log, base: c.PageBase(), public: c.PageOrigin(), from: from, teams: c.Watch.Teams, acting: acting, streams: newStreams(),
		entrance: &entrance{config: c.Page, host: c.PageHost(), users: users, now: time.Now}, feeds: make(map[string]*feed),
	}
}

// contentPolicy lets a browser load and run what the page itself serves, and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// handler answers all requests.
func (s *server) handler() http.Handler {
	origins := http.NewCrossOriginProtection()
	if s.public != "" {
		_ = origins.AddTrustedOrigin(s.public) // the configuration was checked
	}
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.message(w, viewer{}, http.StatusForbidden, "Another site asked for this", "Nothing was done. If it was you, open the page itself, and do it there.")
	}))
	mux := http.NewServeMux()
	mux.Handle("GET /static/", screens.Static())
	mux.Handle("GET /{$}", s.admitted(s.show))
	mux.Handle("GET /orders/{project}/{order}", s.admitted(s.show))
	mux.Handle("GET /history", s.admitted(s.show))
	mux.Handle("GET /health", s.admitted(s.show))
	mux.Handle("GET /watches/{id}", s.admitted(s.watch))
	mux.Handle("GET /live", s.admitted(s.live))
	mux.Handle("POST /orders/{project}/{order}/{action}", origins.Handler(s.admitted(s.act)))
	nowhere := s.admitted(func(w http.ResponseWriter, r *http.Request, v viewer) {
		s.message(w, v, http.StatusNotFound, "There is no such page", "The address may be misspelt.")
	})
	mux.Handle("/static", nowhere)
	mux.Handle("/", nowhere)
	return s.guarded(s.below(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isClean(r.URL.EscapedPath()) {
			nowhere.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})))
}

// isClean reports whether no part of the path is empty, or made of dots. The mux would redirect other paths, and /static, to a
// path without the base path.
func isClean(path string) bool {
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	return path == "/" || !slices.ContainsFunc(parts, func(part string) bool { return part == "" || part == "." || part == ".." })
}

// below takes the base path away, if a proxy left it there.
func (s *server) below(next http.Handler) http.Handler {
	if s.base == "" {
		return next
	}
	stripped := http.StripPrefix(s.base, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == s.base:
			http.Redirect(w, r, s.base+"/", http.StatusMovedPermanently)
		case strings.HasPrefix(r.URL.Path, s.base+"/"):
			stripped.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// guarded sets the headers of every answer, and answers where a handler panics. What panicked is logged without its values.
func (s *server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		defer func() {
			why := recover()
			if why == nil {
				return
			}
			if why == http.ErrAbortHandler {
				panic(why)
			}
			s.log.Error("a request panicked", "kind", fmt.Sprintf("%T", why), "stack", string(debug.Stack()))
			http.Error(w, "This page could not be shown. The log of orderwatch page says why.", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// admitted lets those in who may see the page.
func (s *server) admitted(next func(http.ResponseWriter, *http.Request, viewer)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, refused := s.entrance.admit(r)
		if refused == nil {
			next(w, r, v)
			return
		}
		switch refused.code {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Basic realm="orderwatch", charset="UTF-8"`)
		case http.StatusTooManyRequests:
			w.Header().Set("Retry-After", "5")
		}
		s.message(w, viewer{}, refused.code, "You are not let in", refused.reason)
	})
}

// secure reports whether people find the page by HTTPS: then its cookies are sent by HTTPS alone.
func (s *server) secure() bool { return strings.HasPrefix(s.public, "https:") }

// common returns what every screen of the viewer's has.
func (s *server) common(v viewer) screens.Common {
	status := s.from.board.Status()
	return screens.Common{Base: s.base, User: v.user, Team: v.team, AsOf: status.AsOf, Connected: status.Connected}
}

// show answers with a screen.
func (s *server) show(w http.ResponseWriter, r *http.Request, v viewer) {
	f, err := s.feed(v, r.URL)
	if err != nil {
		s.fail(w, v, err)
		return
	}
	content, common, err := f.read(r.Context())
	if err != nil {
		s.fail(w, v, err)
		return
	}
	s.streams.know(w, r, s.base, s.secure())
	common.User, common.Notice = v.user, s.notice(w, r)
	var page bytes.Buffer
	if err := content.page(&page, common); err != nil {
		s.fail(w, v, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = page.WriteTo(w) // where it fails the viewer is gone
}

// watch leads from a watch to its order.
func (s *server) watch(w http.ResponseWriter, r *http.Request, v viewer) {
	id := r.PathValue("id")
	order, ok := s.from.board.FindWatch(id, s.teams.View(v.team))
	switch {
	case ok:
		http.Redirect(w, r, s.common(v).OrderLink(order), http.StatusFound)
	case !s.from.board.Status().Ready:
		s.message(w, v, http.StatusServiceUnavailable, "The records are being read", "Try again in a moment.")
	default:
		s.message(w, v, http.StatusNotFound, "This watch is not known here", id, "Its order may be watched anew since, or it ended more than a day ago: then the page of its order still shows it.")
	}
}

// fail answers why there is no screen.
func (s *server) fail(w http.ResponseWriter, v viewer, err error) {
	if m, ok := errors.AsType[*missing](err); ok {
		s.message(w, v, http.StatusNotFound, m.title, m.lines...)
		return
	}
	if errors.Is(err, link.ErrNotConnected) {
		w.Header().Set("Retry-After", "5")
		s.message(w, v, http.StatusServiceUnavailable, "NATS is not connected", "What was not read before cannot be shown now. The page connects again by itself: reload in a moment.")
		return
	}
	s.log.Warn("a screen could not be shown", "err", err)
	s.message(w, v, http.StatusServiceUnavailable, "This could not be read", "Reload in a moment. The log of orderwatch page says why.")
}

// message answers with a title and lines in place of a screen.
func (s *server) message(w http.ResponseWriter, v viewer, code int, title string, lines ...string) {
	view := screens.MessageView{Common: s.common(v), Lines: lines}
	view.Title = title
	var page bytes.Buffer
	if err := screens.Message(&page, view); err != nil {
		http.Error(w, title, code)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = page.WriteTo(w) // where it fails the viewer is gone
}

// Bounds of the feeds: how many are kept, and how long one that nobody looks at.
const (
	mostFeeds = 300
	feedKept  = time.Minute
)

// feed returns the feed of the screen at the URL, as the viewer's team sees it.
func (s *server) feed(v viewer, u *url.URL) (*feed, error) {
	made, path, err := s.screenAt(v, u)
	if err != nil {
		return nil, err
	}
	key, now := v.team+"\x00"+path, time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feeds[key]
	if f == nil {
		for old := range s.feeds {
			if len(s.feeds) < mostFeeds {
				break
			}
			delete(s.feeds, old)
		}
		f = &feed{screen: made, team: v.team, path: path, server: s}
		s.feeds[key] = f
	}
	f.lastUsed = now
	return f, nil
}

// dropFeeds drops the feeds that nobody looks at, until ctx is done.
func (s *server) dropFeeds(ctx context.Context) {
	for link.Sleep(ctx, feedKept/4) {
		s.dropUnused(time.Now())
	}
}

func (s *server) dropUnused(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, f := range s.feeds {
		if now.Sub(f.lastUsed) > feedKept {
			delete(s.feeds, key)
		}
	}
}
