// Package history knows how long orders usually take, by region and actions, from those that ended: it says when an
// order is likely to be ready, always as a range, and when one is late. It is pure: who stores a [Sketch], and where,
// is decided elsewhere.
//
// Read order.go first (beside which orders one is measured, and since when), then sketch.go (what is remembered of how
// long they took, and what follows from it).
package history

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// MostKeys is how many sketches are kept at the most: see [Key.Most].
const MostKeys = 500

// A Phase is how far an order has come, as far as that says how long it still takes.
type Phase string

// The phases, each with a clock of its own. The empty one is the whole order, from its first item on.
const (
	Asked Phase = "asked" // ModelArts shows no item yet: since the first request
	First Phase = "first" // no item has ended, and none followed the first ones: since work on the first one began
	Later Phase = "later" // since the first item ended, or the first one followed
)

// A Key names the orders that one is measured beside. Its zero value names none.
type Key struct {
	Region  string   `json:"region"`
	Actions []string `json:"actions,omitempty"` // sorted, each once; none with Asked, and where the region's orders are meant
	Phase   Phase    `json:"phase,omitempty"`
}

// String returns the key as text of A-Z a-z 0-9 . _ = -: REGION, REGION.ACTIONS or REGION.ACTIONS.PHASE. Actions are
// joined by =, none are -. A part that has other signs, or that is long, is a hash.
func (k Key) String() string {
	text := token(k.Region)
	if len(k.Actions) > 0 || k.Phase != "" {
		actions := make([]string, len(k.Actions))
		for i, action := range k.Actions {
			actions[i] = token(action)
		}
		joined := strings.Join(actions, "=")
		if len(joined) > mostToken {
			joined = hash(joined)
		}
		text += "." + or(joined, "-")
	}
	if k.Phase != "" {
		text += "." + string(k.Phase)
	}
	return text
}

// OfKind reports whether the key is that of whole orders with the same actions: by these an order is late.
func (k Key) OfKind() bool { return len(k.Actions) > 0 && k.Phase == "" }

// Most returns how many keys there may be at the most where this one is added. Finer ones leave room for coarser ones:
// beyond it a coarser key alone takes what is observed.
func (k Key) Most() int {
	switch {
	case k.Phase != "":
		return MostKeys * 8 / 10
	case len(k.Actions) > 0:
		return MostKeys * 9 / 10
	}
	return MostKeys
}

// mostToken is how long a part of a key may be, in bytes.
const mostToken = 100

// token returns the text as a part of a key.
func token(text string) string {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}
	if text == "" || text == "-" || len(text) > mostToken || strings.ContainsFunc(text, odd) {
		return hash(text)
	}
	return text
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "x_" + hex.EncodeToString(sum[:8])
}

func or(text, empty string) string {
	if text == "" {
		return empty
	}
	return text
}

// A Usual is how long orders take. Its zero value says nothing.
type Usual struct {
	P10     Span `json:"p10"` // one of ten took no longer
	P50     Span `json:"p50"` // half of them took no longer
	P90     Span `json:"p90"` // nine of ten took no longer
	Samples int  `json:"samples"`
}

// A Span is a duration that is written as Go writes it: 14m30s.
type Span time.Duration

// MarshalText never fails.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText takes what Go takes for a duration.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// actionsOf returns the actions, sorted and each once, without those that are not known.
func actionsOf(items []Item) (actions []string) {
	for _, it := range items {
		if it.Action != "" {
			actions = append(actions, it.Action)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}
