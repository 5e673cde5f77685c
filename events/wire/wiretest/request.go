// Package wiretest has messages on orders.watch, good and bad, for the tests that decode them and for those that
// send them to a worker. Only tests import it.
//
// good.go has the good ones, bad.go the bad ones; this file writes single ones.
package wiretest

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// Ask returns a request for the order with the fields added.
func Ask(name, fields string) string {
	return `{"project_id":"` + eventstest.Project + `","order_name":"` + name + `",` + fields + `}`
}

// Named returns a request that is right but for the order's name, given as JSON.
func Named(name string) string {
	return `{"project_id":"` + eventstest.Project + `","order_name":` + name + `}`
}

// Padded returns the body with spaces after it, so that it has this many bytes.
func Padded(body string, size int) string { return body + strings.Repeat(" ", size-len(body)) }

// Header returns headers with this one.
func Header(key, value string) nats.Header { return nats.Header{key: {value}} }

// CheckShown checks that people can be shown the text.
func CheckShown(t testing.TB, s string) {
	t.Helper()
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if s == "" || len(s) >= 1<<10 || !utf8.ValidString(s) || strings.ContainsFunc(s, odd) {
		t.Errorf("not fit to be shown: %d bytes, %q", len(s), s)
	}
}

// of returns an order of the project of tests.
func of(name string) watcher.Order { return watcher.Order{ProjectID: eventstest.Project, Name: name} }
