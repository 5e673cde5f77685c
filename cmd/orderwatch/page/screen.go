package page

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/page/screens"
	"github.com/orderwatch/orderwatch/watcher"
)

// A screen is what one team is shown under one URL.
type screen struct {
	title string
	tab   screens.Tab
	// mark returns a text that differs where the screen is to be read anew; nil: only time says that.
	mark func() string
	// every is how long what was read is shown at the most, although nothing changed: times pass.
	every time.Duration
	load  func(context.Context) (content, error)
}

// A content is what was read of a screen.
type content interface {
	// page writes the whole screen, body returns its fragments.
	page(io.Writer, screens.Common) error
	body(screens.Common) ([]screens.Fragment, error)
}

// shown is a content of two functions.
type shown[V any] struct {
	view   V
	common func(*V) *screens.Common
	write  func(io.Writer, V) error
	parts  func(V) ([]screens.Fragment, error)
	acts   *screens.Acts // what may be done; nil: nothing
}

func (s shown[V]) page(w io.Writer, c screens.Common) error {
	c.Acts = s.acts
	*s.common(&s.view) = c
	return s.write(w, s.view)
}

func (s shown[V]) body(c screens.Common) ([]screens.Fragment, error) {
	c.Acts = s.acts
	*s.common(&s.view) = c
	return s.parts(s.view)
}

// A feed reads a screen for all who see the same: once a second at the most. It is safe for concurrent use.
type feed struct {
	screen
	team   string
	path   string // of the screen, with its query
	server *server

	mu       sync.Mutex
	looked   time.Time // when it was looked at whether something changed
	loaded   time.Time // when it was read
	asOf     time.Time // of when what was read is
	markWas  string
	content  content
	err      error
	parts    []part // rendered; the same as long as nothing changed
	partsOf  string
	lastUsed time.Time // of the server's feeds; their lock holds it
}

// A part is a fragment as streams send it.
type part struct {
	name    string
	version uint64 // differs where the fragment does
	event   []byte
}

// read returns what is shown, of when it is, and whether it is up to date. The error is why nothing can be shown.
func (f *feed) read(ctx context.Context) (content, screens.Common, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh(ctx)
	if f.content == nil {
		return nil, f.common(), f.err
	}
	return f.content, f.common(), nil
}

// common returns what the screen has around it, but for the user. The caller holds mu.
func (f *feed) common() screens.Common {
	c := f.server.common(viewer{team: f.team})
	c.Title, c.Tab, c.Live = f.title, f.tab, livePath(f.path)
	c.AsOf, c.Connected = f.asOf, f.err == nil && f.server.from.board.Status().Connected
	return c
}

const (
	lookEvery = time.Second
	loadTime  = 8 * time.Second
)

// refresh reads the screen anew, if it is time. Where that fails, what was read before stays, unless it is known that it is
// not there any more. The caller holds mu.
func (f *feed) refresh(ctx context.Context) {
	now := time.Now()
	if !f.looked.IsZero() && now.Sub(f.looked) < lookEvery {
		return
	}
	mark := ""
	if f.mark != nil {
		mark = f.mark()
	}
	f.looked = now
	if f.content != nil && f.err == nil && mark == f.markWas && now.Sub(f.loaded) < f.every {
		return
	}
	at := f.server.from.store.Clock.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime) // others wait for it, too
	defer cancel()
	loaded, err := f.load(ctx)
	if isMissing(err) {
		f.content = nil
	}
	if f.err = err; err != nil {
		return
	}
	f.content, f.loaded, f.markWas, f.asOf = loaded, now, mark, at
	if status := f.server.from.board.Status(); !status.Connected {
		f.asOf = status.AsOf
	}
}

// events returns the screen's fragments as streams send them.
func (f *feed) events(ctx context.Context) ([]part, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh(ctx)
	if f.content == nil {
		return nil, f.err
	}
	common := f.common()
	of := f.loaded.String() + f.asOf.String() + strconv.FormatBool(common.Connected)
	if of == f.partsOf {
		return f.parts, nil
	}
	fragments, err := f.content.body(common)
	if err != nil {
		return nil, err
	}
	next := make([]part, 0, len(fragments))
	for i, fragment := range fragments {
		event := eventOf(fragment)
		if i < len(f.parts) && string(f.parts[i].event) == string(event) {
			next = append(next, f.parts[i])
			continue
		}
		next = append(next, part{fragment.Name, f.server.version.Add(1), event})
	}
	f.parts, f.partsOf = next, of
	return next, nil
}

// A missing says that what a screen shows is not there, for this viewer.
type missing struct {
	title string
	lines []string
}

func (m *missing) Error() string { return m.title }

func isMissing(err error) bool {
	_, is := errors.AsType[*missing](err)
	return is
}

// missingOrder says so of an order.
func missingOrder(o watcher.Order) error {
	return &missing{"This order is not watched", []string{o.String(), "Nobody asked to watch it, or its record is no longer kept.", "To have it watched: orderwatch watch " + o.String()}}
}
