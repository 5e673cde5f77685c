package rulefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher/words"
	"go.yaml.in/yaml/v3"
)

// A Keyed value is one that a mapping may have: its key, and what reads it.
type Keyed struct {
	key  string
	read func(value *yaml.Node)
}

// Key returns what reads the value of a key.
func Key(key string, read func(value *yaml.Node)) Keyed { return Keyed{key, read} }

// Fields reads a mapping. what names it to people; where says which one of its kind is meant.
func (f *File) Fields(n *yaml.Node, what, where string, known ...Keyed) {
	if !f.Is(n, yaml.MappingNode, what, "keys and values") {
		return
	}
	var keys []string
	for _, k := range known {
		keys = append(keys, k.key)
	}
	f.Pairs(n, "key", func(key, value *yaml.Node) {
		i := slices.Index(keys, key.Value)
		if i < 0 {
			are := "are"
			if len(keys) == 1 {
				are = "is only"
			}
			f.Fault(key.Line, "unknown key%s; there %s %s", where, are, strings.Join(keys, ", "))
			return
		}
		known[i].read(value)
	})
}

// Pairs reads what a mapping holds, but for keys that are none or come again.
func (f *File) Pairs(n *yaml.Node, what string, read func(key, value *yaml.Node)) {
	first := make(map[string]int) // the line of each key
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch before, again := first[key.Value]; {
		case key.Tag == "!!merge":
			f.Fault(key.Line, "a merge key (<<) has no place here: write out what it stands for")
		case !f.plain(key):
		case key.Kind != yaml.ScalarNode:
			f.Fault(key.Line, "a %s must be one word, not %s", what, kindOf(key))
		case again:
			f.Fault(key.Line, "this %s comes again; it is in line %d, too", what, before)
		default:
			first[key.Value] = key.Line
			read(key, value)
		}
	}
}

// Is reports whether the node is of this kind, called so.
func (f *File) Is(n *yaml.Node, kind yaml.Kind, what, wanted string) bool {
	switch {
	case !f.plain(n):
	case n.Tag == "!!null":
		f.Fault(n.Line, "%s has no value: give it %s", what, wanted)
	case n.Kind != kind:
		f.Fault(n.Line, "%s must be %s, not %s", what, wanted, kindOf(n))
	default:
		return true
	}
	return false
}

// plain reports whether the node is written without what a short file does not need.
func (f *File) plain(n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		f.Fault(n.Line, "an alias (*) has no place here: write out what it stands for")
	case n.Anchor != "":
		f.Fault(n.Line, "an anchor (&) has no place here: take it out")
	case n.Style&yaml.TaggedStyle != 0:
		f.Fault(n.Line, "a tag (!) has no place here: take it out, and put texts in quotes")
	default:
		return true
	}
	return false
}

// kindOf says what a node is, without what it holds: the file may be another, with secrets.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys and values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false, which is no text"
	case "!!timestamp":
		return "a date"
	}
	return "a text"
}

// List returns what a list holds: at least one thing.
func (f *File) List(n *yaml.Node, what, wanted string, most int) []*yaml.Node {
	if !f.Is(n, yaml.SequenceNode, what, "a list, such as "+wanted) {
		return nil
	}
	switch {
	case len(n.Content) == 0:
		f.Fault(n.Line, "%s is an empty list: name at least one, or leave it out", what)
	case len(n.Content) > most:
		f.Fault(n.Line, "%s has %s entries, more than %s", what, words.Number(len(n.Content)), words.Number(most))
		return nil
	}
	return n.Content
}

// Texts returns a list of texts, each of which passes the check, and stands in it once.
func (f *File) Texts(n *yaml.Node, what, wanted string, check func(string) string) (texts []string) {
	for i, entry := range f.List(n, what, wanted, maxListed) {
		which := fmt.Sprintf("entry %d of %s", i+1, what)
		text, ok := f.Text(entry, which, check)
		switch {
		case ok && slices.Contains(texts, text):
			f.Fault(entry.Line, "%s is there already", which)
		case ok:
			texts = append(texts, text)
		}
	}
	return texts
}

// Text returns a text that passes the check, which says what it must be where it is not.
func (f *File) Text(n *yaml.Node, what string, check func(string) string) (text string, ok bool) {
	if !f.plain(n) {
		return "", false
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		f.Fault(n.Line, "%s must be a text, not %s", what, kindOf(n))
	case n.Tag == "!!null":
		f.Fault(n.Line, "%s has no value: give it one", what)
	case n.Tag != "!!str":
		f.Fault(n.Line, "%s is %s: put it in quotes to make it a text", what, strings.TrimSuffix(kindOf(n), ", which is no text"))
	default:
		if must := check(n.Value); must != "" {
			f.Fault(n.Line, "%s %s", what, must)
			return "", false
		}
		return n.Value, true
	}
	return "", false
}

// Truth returns true or false.
func (f *File) Truth(n *yaml.Node, what string) *bool {
	if !f.Is(n, yaml.ScalarNode, what, "true or false") {
		return nil
	}
	var value bool
	if n.Tag != "!!bool" || n.Decode(&value) != nil {
		f.Fault(n.Line, "%s must be true or false, not %s", what, kindOf(n))
		return nil
	}
	return &value
}

// WholeNumber returns a number within bounds, and otherwise 0.
func (f *File) WholeNumber(n *yaml.Node, what string, least, most int) int {
	wanted := fmt.Sprintf("a whole number from %d to %d", least, most)
	if !f.Is(n, yaml.ScalarNode, what, wanted) {
		return 0
	}
	var value int
	if n.Tag != "!!int" || n.Decode(&value) != nil || value < least || value > most {
		f.Fault(n.Line, "%s must be %s", what, wanted)
		return 0
	}
	return value
}
