package watcher

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"
)

// maxSeenMessage is how many bytes of an item's message a record keeps.
const maxSeenMessage = 200

// A SeenItem is what a record keeps of an item: enough to see it change and to report it when
// the order cannot be asked any more. In a record that would be too large, Digest stands for
// name and action.
type SeenItem struct {
	ResourceName string `json:"n,omitempty"`
	Action       string `json:"a,omitempty"`
	Status       Status `json:"s"`
	Began        int64  `json:"b,omitempty"` // ms since 1970; 0 unknown
	Updated      int64  `json:"u,omitempty"` // ms since 1970; 0 unknown
	Message      string `json:"m,omitempty"`
	Digest       string `json:"d,omitempty"`
}

// Bounds of an item's texts, in bytes; longer ones are cut. No published limit is known; the
// documented names have under 50 bytes.
const (
	maxName = 256
	maxWord = 64 // of an action, a status, an error code
)

// bounded returns the items with their names and words cut to their bounds, as a record gives
// them back: text that is no UTF-8 and times that JSON cannot hold would not come back the same.
func bounded(items []Item) []Item {
	items = slices.Clone(items)
	for i := range items {
		it := &items[i]
		it.ResourceName = cut(valid(it.ResourceName), maxName)
		it.Action = cut(valid(it.Action), maxWord)
		it.Status = Status(cut(valid(string(it.Status)), maxWord))
		it.BeganAt, it.UpdatedAt = fromMillis(millis(it.BeganAt)), fromMillis(millis(it.UpdatedAt))
	}
	return items
}

func see(items []Item) []SeenItem {
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

// recall returns the seen items as the API showed them; those of which only a digest is left are
// counted in omitted.
func recall(seen []SeenItem) (items []Item, omitted int) {
	for _, s := range seen {
		if s.Digest != "" {
			omitted++
			continue
		}
		items = append(items, Item{
			ResourceName: s.ResourceName, Action: s.Action, Status: s.Status,
			BeganAt: fromMillis(s.Began), UpdatedAt: fromMillis(s.Updated), Message: s.Message,
		})
	}
	return items, omitted
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
	return SeenItem{Status: s.Status, Digest: digest(s.ResourceName, s.Action)}
}

// compare returns the items whose status changed or that appeared, and whether a seen item has
// vanished.
func compare(seen []SeenItem, items []Item) (changes []Change, vanished bool) {
	before := make(map[string][]Status, len(seen)) // by identity or digest; items that share it in their order
	digests := false
	for _, s := range seen {
		key := s.Digest
		if key == "" {
			key = identity(s.ResourceName, s.Action)
		} else {
			digests = true
		}
		before[key] = append(before[key], s.Status)
	}
	left := len(seen)
	for _, it := range items {
		key := identity(it.ResourceName, it.Action)
		if len(before[key]) == 0 && digests {
			key = digest(it.ResourceName, it.Action)
		}
		var from Status
		if known := before[key]; len(known) > 0 {
			from, before[key] = known[0], known[1:]
			left--
			if from == it.Status {
				continue
			}
		}
		changes = append(changes, Change{it.ResourceName, it.Action, from, it.Status, cut(it.Message, maxSeenMessage)})
	}
	return changes, left > 0
}

func sum(a Answer) Counts {
	c := Counts{Total: max(a.Count, len(a.Items))}
	for _, it := range a.Items {
		switch it.Status {
		case Succeed:
			c.Succeeded++
		case Failed:
			c.Failed++
		default:
			c.Processing++
		}
	}
	return c
}

// seen returns the number of items that were seen.
func (c Counts) seen() int { return c.Succeeded + c.Failed + c.Processing }

// ended reports whether there are items, all that are expected, and every one has ended.
func (c Counts) ended(expected int) bool {
	return c.Total > 0 && c.Total >= expected && c.Succeeded+c.Failed == c.Total
}
