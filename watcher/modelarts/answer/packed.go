package answer

import (
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// A Packed is the order that an answer holds, in a third of the memory that its items take. It does not change, and is
// safe for concurrent use.
type Packed struct {
	count int
	texts string   // names and messages of all items, one behind the other
	words []string // actions and statuses, each once
	items []packedItem
}

type packedItem struct {
	name, message  uint32 // where they end in texts; each begins where the text before it ends
	action, status uint16 // in words
	began, updated int64  // ms since 1970; 0: no time
}

// Size returns how much memory it takes, in bytes, about.
func (p *Packed) Size() int {
	const header, item, word = 256, 32, 32
	return header + len(p.texts) + cap(p.items)*item + len(p.words)*word
}

// Answer returns the order with secrets hidden in its texts; with nil nothing is hidden. Its items are the caller's own.
func (p *Packed) Answer(hidden *foreign.Secrets) (a watcher.Answer) {
	shown := func(text string) string { return text }
	if !p.clean(hidden) {
		shown = hidden.Hide
	}
	a.Count = p.count
	if len(p.items) > 0 {
		a.Items = make([]watcher.Item, len(p.items))
	}
	begin := uint32(0)
	for i, it := range p.items {
		a.Items[i] = watcher.Item{
			ResourceName: shown(p.texts[begin:it.name]),
			Action:       shown(p.words[it.action]),
			Status:       watcher.Status(shown(p.words[it.status])),
			BeganAt:      moment(it.began),
			UpdatedAt:    moment(it.updated),
			Message:      shown(p.texts[it.name:it.message]),
		}
		begin = it.message
	}
	return a
}

// clean reports whether there is nothing to hide. What is in no run of texts is in none of them.
func (p *Packed) clean(hidden *foreign.Secrets) bool {
	for _, word := range p.words {
		if hidden.Hide(word) != word {
			return false
		}
	}
	return hidden.Hide(p.texts) == p.texts
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// A packer packs items.
type packer struct {
	texts []byte
	words []string
	known map[string]uint16 // where a word is in words
}

// word returns where the word is in words. There are at most two for each item.
func (p *packer) word(text []byte) uint16 {
	at, ok := p.known[string(text)]
	if !ok {
		at = uint16(len(p.words))
		p.words = append(p.words, string(text))
		p.known[p.words[at]] = at
	}
	return at
}

// text adds a text and returns where it ends.
func (p *packer) text(s []byte) uint32 {
	p.texts = append(p.texts, s...)
	return uint32(len(p.texts))
}
