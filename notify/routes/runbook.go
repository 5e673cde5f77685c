package routes

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher/rulefile"
	"go.yaml.in/yaml/v3"
)

// A Runbook is a page that says what to do about a cause.
type Runbook struct {
	// Cause is a part of a failure's text, in letters of either case; * in it stands for any text.
	Cause string `json:"cause"`
	URL   string `json:"url"` // see [IsLink]; at most 500 characters: no message shows a longer one
}

// Bounds of a list of runbooks, and of one, in characters.
const (
	maxRunbooks = 100
	maxCause    = 200
	maxURL      = 500
)

// IsLink reports whether the text is an address that people are led to: of https, or of http where it is
// this machine's own, and without a login.
func IsLink(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Hostname() == "" || strings.ContainsAny(u.Host, "&'") {
		return false
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, rulefile.Unseen) || strings.ContainsFunc(text, unicode.IsSpace) || strings.ContainsAny(text, "<>|\"`\\^{}") {
		return false
	}
	here := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && here
}

// readRunbooks reads the list of runbooks, of which the first that matches a cause is its runbook.
func (f routesFile) readRunbooks(n *yaml.Node) (all []Runbook) {
	for i, entry := range f.List(n, "runbook", "[{cause: sold out, url: https://wiki.example/sold-out}]", maxRunbooks) {
		which := fmt.Sprintf("entry %d of runbook", i+1)
		before := f.Faults()
		var r Runbook
		f.Fields(entry, which, " in runbook",
			rulefile.Key("cause", func(value *yaml.Node) { r.Cause, _ = f.Text(value, "cause", checkCause) }),
			rulefile.Key("url", func(value *yaml.Node) { r.URL, _ = f.Text(value, "url", checkURL) }),
		)
		if f.Faults() > before {
			continue
		}
		if r.Cause == "" || r.URL == "" {
			f.Fault(entry.Line, "%s must have both cause and url", which)
			continue
		}
		if slices.ContainsFunc(all, func(earlier Runbook) bool { return earlier.covers(r) }) {
			f.Fault(entry.Line, "%s is never reached: the cause of one before it matches all that it matches", which)
		}
		all = append(all, r)
	}
	return all
}

// covers reports whether the runbook is for all causes that the other is for.
func (r Runbook) covers(other Runbook) bool {
	rest := strings.ToLower(other.Cause)
	for part := range strings.SplitSeq(strings.ToLower(r.Cause), "*") {
		var found bool
		if _, rest, found = strings.Cut(rest, part); !found {
			return false
		}
	}
	return true
}

func checkCause(text string) string {
	if n := utf8.RuneCountInString(text); n < 1 || n > maxCause || strings.ContainsFunc(text, rulefile.Unseen) {
		return fmt.Sprintf("must be 1 to %d characters that can be seen", maxCause)
	}
	return ""
}

func checkURL(text string) string {
	if utf8.RuneCountInString(text) > maxURL || !IsLink(text) {
		return fmt.Sprintf("must be an https URL without login, blanks and braces, at most %d characters; http only on localhost", maxURL)
	}
	return ""
}
