package watcher

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/words"
)

// maxSeenMessage is how many bytes of an item's message a record keeps.
const maxSeenMessage = 200

// A SeenItem is what a record keeps of an item: enough to see it change and to report it when
// the order cannot be asked any more. In a record that would be too large, Digest stands for
// name and action; in one that would still be, items that share action and status are counted.
type SeenItem struct {
	ResourceName string `json:"n,omitempty"`
	Action       string `json:"a,omitempty"`
	Status       Status `json:"s"`
	Began        int64  `json:"b,omitempty"` // ms since 1970; 0 unknown
	Updated      int64  `json:"u,omitempty"` // ms since 1970; 0 unknown
	Message      string `json:"m,omitempty"`
	Digest       string `json:"d,omitempty"`
	Replaces     string `json:"r,omitempty"` // the name of the item whose place it has taken
	N            int    `json:"x,omitempty"` // how many items it stands for, where only their action and status are kept; else 0
	Behind       bool   `json:"l,omitempty"` // the latest answer showed the item whose place it has taken: it was behind

	Kept bool `json:"-"` // the answer at hand shows it as it was earlier: this is how it was seen last
}

// Bounds of an item's texts, in bytes; longer ones are cut. No published limit is known; the
// documented names have under 50 bytes.
const (
	maxName = 256
	maxWord = 64 // of an action, a status, an error code
)

// bounded returns the items with their names and words cut to their bounds, as a record gives
// them back: text that is no UTF-8 and times that JSON cannot hold would not come back the same. Times
// that are hours in the future cannot be true, and are not known.
func bounded(items []Item, now time.Time) []Item {
	items, latest := slices.Clone(items), now.Add(clocksApart)
	for i := range items {
		it := &items[i]
		it.ResourceName = cut(valid(it.ResourceName), maxName)
		it.Action = cut(valid(it.Action), maxWord)
		it.Status = Status(cut(valid(string(it.Status)), maxWord))
		for _, t := range []*time.Time{&it.BeganAt, &it.UpdatedAt} {
			if *t = fromMillis(millis(*t)); t.After(latest) {
				*t = time.Time{}
			}
		}
	}
	return items
}

func see(items []Item) []SeenItem {
	if len(items) == 0 {
		return nil
	}
	seen := make([]SeenItem, len(items))
	for i, it := range items {
		seen[i] = SeenItem{
			ResourceName: it.ResourceName, Action: it.Action, Status: it.Status,
			Began: millis(it.BeganAt), Updated: millis(it.UpdatedAt),
			Message: cut(it.Message, maxSeenMessage),
		}
	}
	return seen
}

// recall returns the seen items as the API showed them, and those of which only a digest is left, or how
// many there were.
func recall(seen []SeenItem) (items []Item, nameless []SeenItem) {
	for _, s := range seen {
		if s.nameless() {
			nameless = append(nameless, s)
			continue
		}
		items = append(items, s.item())
	}
	return items, nameless
}

// nameless reports whether it is no more than a digest, or how many items there were.
func (s SeenItem) nameless() bool { return s.Digest != "" || s.N > 0 }

func (s SeenItem) item() Item {
	return Item{
		ResourceName: s.ResourceName, Action: s.Action, Status: s.Status,
		BeganAt: fromMillis(s.Began), UpdatedAt: fromMillis(s.Updated), Message: s.Message, Replaces: s.Replaces,
	}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis returns the time; the zero time, unknown, where JSON could not hold it.
func fromMillis(ms int64) time.Time {
	if t := time.UnixMilli(ms).UTC(); ms != 0 && t.Year() >= 0 && t.Year() <= 9999 {
		return t
	}
	return time.Time{}
}

// identity tells an item of an order from the others. Two items may share it.
func identity(name, action string) string { return action + "\x00" + name }

func digest(name, action string) string {
	sum := sha256.Sum256([]byte(identity(name, action)))
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// digested returns the item with a digest in place of its texts.
func (s SeenItem) digested() SeenItem {
	if s.Digest != "" {
		return s
	}
	d := SeenItem{Status: s.Status, N: s.N}
	if s.ResourceName == "" || !s.Status.Ended() && words.Action(s.Action).Kind != words.Unknown { // for when it vanishes
		d.Action = s.Action
	}
	if s.ResourceName != "" {
		d.Digest = digest(s.ResourceName, s.Action)
	}
	return d
}

// count returns how many items it stands for.
func (s SeenItem) count() int { return max(s.N, 1) }
