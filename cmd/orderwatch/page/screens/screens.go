package screens

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io"
	"net/url"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A Tab is one of the screens that the page's head names.
type Tab string

// The tabs; an order's screen is of none.
const (
	TabNow     Tab = "Now"
	TabHistory Tab = "History"
	TabHealth  Tab = "Health"
)

// Common is what every screen has: each view embeds it.
type Common struct {
	Base      string    // path before all others, such as /x/y, without a slash at the end; empty: none
	Title     string    // of the window
	Tab       Tab       // which is active; empty: none
	User      string    // who is signed in; empty: nobody
	Team      string    // whose orders are seen; empty: all
	AsOf      time.Time // what is shown was so then
	Connected bool      // whether NATS is: otherwise what is shown may be old, and the screen says so
	Notice    string    // what became of what the viewer just did; empty: nothing
	Acts      *Acts     // what the viewer may do; nil: nothing
	Live      string    // path of the stream with the screen's fragments, below Base; empty: the screen does not change by itself
}

// Acts are what a viewer may do about an order: cancel and poll an open watch, tell again how one ended.
type Acts struct {
	Order watcher.Order
	Open  bool
}

// ActLink returns where the form of an action leads.
func (c Common) ActLink(action string) string { return c.OrderLink(c.Acts.Order) + "/" + action }

// A Link is a tab as the head shows it.
type Link struct {
	Name   string
	Href   string
	Active bool
}

// Tabs returns the head's links.
func (c Common) Tabs() (links []Link) {
	for _, t := range []struct {
		tab  Tab
		path string
	}{{TabNow, "/"}, {TabHistory, "/history"}, {TabHealth, "/health"}} {
		links = append(links, Link{string(t.tab), c.Link(t.path), t.tab == c.Tab})
	}
	return links
}

func (c Common) acts() bool { return c.Acts != nil }

// Link returns the URL of a path of the page's.
func (c Common) Link(path string) string { return c.Base + path }

// OrderLink returns the URL of an order's screen.
func (c Common) OrderLink(o watcher.Order) string {
	return c.Link("/orders/" + url.PathEscape(o.ProjectID) + "/" + url.PathEscape(o.Name))
}

// Static returns the URL of a file that browsers load.
func (c Common) Static(name string) string { return c.Link("/static/" + stamps[name] + "/" + name) }

// A Fragment is a part of a screen, which a stream replaces: the element that has its name as id and as sse-swap.
type Fragment struct {
	Name string
	HTML []byte
}

//go:embed *.html
var sources embed.FS

// calls are what templates may call beside the methods of views.
var calls = template.FuncMap{
	"line": foreign.Line, // of a text of others, on one line
	"text": foreign.Text, // of a text of others
	"time": clockTime,
	"date": dateTime,
	"bar":  newBar,

	"brief":  func(d time.Duration) string { return words.Brief(steady(d)) },
	"number": words.Number,
	"class":  lineClass, // of a line of a story
	"took":   words.Brief,
	"row":    func(v NowView, r Row, mixed bool) rowView { return rowView{v.Common, r, mixed} },
}

// A rowView is a row with what it is shown in.
type rowView struct {
	View  Common
	Row   Row
	Mixed bool // other rows of the table are open, or have ended
}

// ID returns the id of the row's element, by which it is known again when the rows are replaced.
func (r rowView) ID() string {
	sum := sha256.Sum256([]byte(r.Row.Order.String()))
	return "o-" + hex.EncodeToString(sum[:6])
}

// steady returns the duration as coarse as it may be shown: so a screen does not change each second.
func steady(d time.Duration) time.Duration {
	switch {
	case d < time.Minute:
		return d.Truncate(5 * time.Second)
	case d < 10*time.Minute:
		return d.Truncate(10 * time.Second)
	}
	return d.Truncate(time.Minute)
}

// screen reads a screen's template: it defines "main", and its fragments by their names.
func screen(file string) *template.Template {
	return template.Must(template.New("layout.html").Funcs(calls).ParseFS(sources, "layout.html", "parts.html", file))
}

// write writes a whole screen. Nothing is written where the view cannot be shown.
func write(w io.Writer, t *template.Template, view any) error {
	var page bytes.Buffer
	if err := t.Execute(&page, view); err != nil {
		return err
	}
	_, err := page.WriteTo(w)
	return err
}

// fragments returns the named parts of a screen, and the line that says of when they are.
func fragments(t *template.Template, view any, names ...string) (all []Fragment, err error) {
	names = append(names, "as-of")
	if a, ok := view.(interface{ acts() bool }); ok && a.acts() {
		names = append(names, "actions")
	}
	for _, name := range names {
		var part bytes.Buffer
		if err := t.ExecuteTemplate(&part, name, view); err != nil {
			return nil, err
		}
		all = append(all, Fragment{name, part.Bytes()})
	}
	return all, nil
}

// A Moment is a time as screens show it.
type Moment struct {
	Machine string // RFC 3339, in UTC
	Text    string
}

// clockTime returns the time of the day; empty for none.
func clockTime(t time.Time) Moment { return moment(t, "15:04:05") }

// dateTime returns the day with the time.
func dateTime(t time.Time) Moment { return moment(t, "2 Jan 15:04:05") }

// Clock returns the time in hours and minutes, with its day where that is not the screen's.
func (c Common) Clock(t time.Time) Moment { return c.onDay(t, "15:04") }

// Second is Clock with seconds.
func (c Common) Second(t time.Time) Moment { return c.onDay(t, "15:04:05") }

func (c Common) onDay(t time.Time, layout string) Moment {
	if y, m, d := t.Local().Date(); !c.AsOf.IsZero() {
		if year, month, day := c.AsOf.Local().Date(); y != year || m != month || d != day {
			layout = "2 Jan " + layout
		}
	}
	return moment(t, layout)
}

// Zone returns the name of the zone in which times are shown.
func (c Common) Zone() string {
	name, _ := c.AsOf.Local().Zone()
	return name
}

func moment(t time.Time, layout string) Moment {
	if t.IsZero() {
		return Moment{}
	}
	return Moment{t.UTC().Format(time.RFC3339), t.Local().Format(layout)}
}

// A Bar shows how many of an order's items are in which state, in hundredths of its length.
type Bar struct {
	Words string // the same in words
	Parts []BarPart
}

// A BarPart is one colour of it.
type BarPart struct {
	Class string // ok, bad or open
	X, W  float64
}
