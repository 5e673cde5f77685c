package watcher_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// TestNamesAreWhatTheyMayBe holds the names of orders against the expressions that say what they may be.
func TestNamesAreWhatTheyMayBe(t *testing.T) {
	watchertest.Unraced(t)
	project := regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	name := regexp.MustCompile(`^[A-Za-z0-9_=-]+(\.[A-Za-z0-9_=-]+)*$`)
	random := rand.New(rand.NewPCG(1, 1))
	text := func(longest int) string {
		const likely = "azAZ09-_=.."
		var b strings.Builder
		for range random.IntN(longest) {
			if c := byte(random.IntN(256)); random.IntN(20) == 0 {
				b.WriteByte(c)
			} else {
				b.WriteByte(likely[random.IntN(len(likely)-random.IntN(len(likely)))])
			}
		}
		return b.String()
	}
	allowed := 0
	for range 200_000 {
		o := watcher.Order{ProjectID: text(70), Name: text(140)}
		if random.IntN(2) == 0 {
			o = watcher.Order{ProjectID: text(4), Name: text(8)}
		}
		want := project.MatchString(o.ProjectID) && len(o.Name) <= 128 && name.MatchString(o.Name)
		if err := o.Validate(); (err == nil) != want {
			t.Fatalf("%q: %v; want allowed %t", o, err, want)
		}
		if want {
			allowed++
		}
	}
	if allowed < 1000 {
		t.Errorf("%d allowed", allowed)
	}
}
