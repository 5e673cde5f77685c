package store

import (
	"testing"
	"time"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for filter, subjects := range map[string]map[string]bool{
		"orders.completed.*.p.>": {"orders.completed.failed.p.order.a": true, "orders.completed.failed.q.order.a": false, "orders.completed.failed.p": false, "orders.progress.p.order": false},
		"orders.progress.p.o.a":  {"orders.progress.p.o.a": true, "orders.progress.p.o": false, "orders.progress.p.o.a.b": false},
		">":                      {"a": true, "a.b": true},
		"a.*":                    {"a.b": true, "a": false, "a.b.c": false},
	} {
		for subject, want := range subjects {
			if got := matches(filter, subject); got != want {
				t.Errorf("%s matches %s: %t", filter, subject, got)
			}
		}
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	want := place{time.Unix(1744285811, 5), 4711}
	if got, err := readCursor(want.cursor()); err != nil || !got.made.Equal(want.made) || got.after != want.after {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", ".", "1", "1.", "a.1", "1.-1", "1.1.1", "18446744073709551616.1"} {
		if _, err := readCursor(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
