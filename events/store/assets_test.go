package store_test

import (
	"testing"

	"github.com/orderwatch/orderwatch/events/store"
)

func TestAtLeast(t *testing.T) {
	for _, test := range []struct {
		version string
		want    bool
	}{
		{"2.12.0", true}, {"2.12.0-RC.3", true}, {"2.15.2", true}, {"2.100.0", true}, {"3.0.0", true}, {"3", true},
		{"2.11.99", false}, {"2.9.25", false}, {"1.13.0", false}, {"2", false}, {"", false}, {"dev", false},
	} {
		if got := store.AtLeast(test.version, "2.12"); got != test.want {
			t.Errorf("%q is at least 2.12: %t; want %t", test.version, got, test.want)
		}
	}
}
