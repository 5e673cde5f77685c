// Package rulefile reads the short YAML files in which an operator writes rules. It promises that a file is read strictly
// (unknown and doubled keys, tags, anchors, aliases and a second document are refused), that everything that is wrong is
// said at once, each with its line, and that nothing of the text is quoted: it may be that of another file, with secrets.
//
// Read file.go first (what is no YAML, and in which line), then node.go (which keys a mapping may have, and which kinds of
// YAML may stand where). The words that several files share, projects and channels, are checked in words.go.
package rulefile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
	"go.yaml.in/yaml/v3"
)

// MaxBytes is the most that a file of rules holds.
const MaxBytes = 256 << 10

const (
	maxListed = 100 // entries of one list
	maxFaults = 50  // that one error tells
	maxName   = 200 // characters of a file's name
	maxWords  = 120 // characters of what the parser says
)

// A File is a file of rules while it is read.
type File struct {
	Part string // which of its parts is being read, for errors; empty outside

	name   string
	lines  int // that it has
	faults []fault
}

// A fault is something wrong in a line.
type fault struct {
	line int // counted from 1
	what string
}

// New returns a file, which errors call by this name.
func New(name string) *File { return &File{name: name} }

// Fault notes that something is wrong in the line.
func (f *File) Fault(line int, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if f.Part != "" {
		what = f.Part + ": " + what
	}
	f.faults = append(f.faults, fault{min(max(line, 1), max(f.lines, 1)), what})
}

// Faults returns how many things were found wrong so far.
func (f *File) Faults() int { return len(f.faults) }

// Err returns what is wrong, in the order of the file: one line for each thing, all of them at once, but where it is no
// YAML at all. [errors.Join] made it. It is fit for a terminal.
func (f *File) Err() error {
	slices.SortStableFunc(f.faults, func(a, b fault) int { return cmp.Compare(a.line, b.line) })
	if more := len(f.faults) - maxFaults; more > 0 {
		f.faults = f.faults[:maxFaults+1]
		f.faults[maxFaults].what = fmt.Sprintf("and %s from here on", words.Count(more, "more error"))
	}
	var all []error
	for _, fault := range f.faults {
		all = append(all, fmt.Errorf("%s:%d: %s", foreign.Short(f.name, maxName), fault.line, fault.what))
	}
	return errors.Join(all...)
}

// Read hands the value of the file's one key to read. holds says what kind of thing that is, such as "a list".
func (f *File) Read(text []byte, key, holds string, read func(value *yaml.Node)) {
	top := f.top(text)
	if len(f.faults) > 0 {
		return
	}
	if top == nil {
		f.Fault(1, "the file is empty: write %s, and %s of them", key, holds)
		return
	}
	found := false
	f.Fields(top, "the file", "", Keyed{key, func(value *yaml.Node) { found = true; read(value) }})
	if !found && len(f.faults) == 0 {
		f.Fault(top.Line, "there are no %s: write %s, and %s of them", key, key, holds)
	}
}

// top returns what the file's one document holds, nil where it is empty or something is wrong.
func (f *File) top(text []byte) *yaml.Node {
	if len(text) > MaxBytes {
		f.Fault(1, "the file has more than %s bytes", words.Number(MaxBytes))
		return nil
	}
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	f.lines = len(linesOf(text))
	if f.checkCharacters(text); len(f.faults) > 0 {
		return nil
	}
	return f.parse(text)
}

// linesOf returns the lines, each with its end.
func linesOf(text []byte) [][]byte { return slices.Collect(bytes.Lines(text)) }

// checkCharacters looks for what is no text, cannot be seen, or would be a line's end for the parser alone.
func (f *File) checkCharacters(text []byte) {
	for i, line := range linesOf(text) {
		n := i + 1
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		hidden := bytes.IndexFunc(line, func(r rune) bool { return r != '\t' && Unseen(r) })
		switch indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; {
		case !utf8.Valid(line):
			f.Fault(n, "this is no UTF-8 text: save the file as UTF-8")
		case hidden >= 0:
			r, _ := utf8.DecodeRune(line[hidden:])
			f.Fault(n, "here is a character that cannot be seen, %U: take it out", r)
		case bytes.ContainsRune(indent, '\t'):
			f.Fault(n, "a tab indents the line: YAML wants blanks")
		}
	}
}

// Unseen reports whether people cannot see the character, or the parser takes it for none.
func Unseen(r rune) bool { return !foreign.Visible(r) || r == '\uFFFE' || r == '\uFFFF' }

// parse returns what the file's one document holds, nil where it is empty.
func (f *File) parse(text []byte) *yaml.Node {
	first, second, err := documents(bytes.NewReader(text))
	switch {
	case err != nil:
		f.notYAML(text)
	case second != nil:
		f.Fault(second.Line, "a second document begins here (---): the file holds one")
	case first != nil:
		return first.Content[0]
	}
	return nil
}

// documents returns the first two documents, nil where there are not so many.
func documents(r io.Reader) (first, second *yaml.Node, err error) {
	decoder := yaml.NewDecoder(r)
	var found [2]*yaml.Node
	for i := range found {
		var n yaml.Node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		found[i] = &n
	}
	return found[0], found[1], nil
}

// parserWords finds what the parser says, and the line that it names, if any.
var parserWords = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)`)

// anchorName finds what the parser quotes of the file, which may be another, with secrets.
var anchorName = regexp.MustCompile(` '-*\w[\w-]*'`)

// mostRead is how many bytes are read again, in all, to find the line of a fault.
const mostRead = 8 << 20

// notYAML says why a text is no YAML. The parser names the line in which a list begins that goes wrong
// much later. How far it has read says more: the fault is there, or it begins in the line without which,
// and without all after it, nothing is wrong.
func (f *File) notYAML(text []byte) {
	lines := linesOf(text)
	reader := &lineReader{lines: lines}
	_, _, err := documents(reader)
	said := parserWords.FindStringSubmatch(err.Error())
	at, what := reader.read, foreign.Short(anchorName.ReplaceAllString(said[2], ""), maxWords)
	switch {
	case strings.HasSuffix(what, "expected key"), strings.HasSuffix(what, "'-' indicator"):
		what += ": is the line indented as its neighbours are?"
	case strings.HasSuffix(what, "cannot start any token"):
		what += ": put the text in quotes"
	}
	for left := mostRead; at > 1; at-- {
		before := bytes.Join(lines[:at-1], nil)
		if _, _, err := documents(bytes.NewReader(before)); err == nil {
			break
		}
		if left -= len(before); left < 0 {
			at, _ = strconv.Atoi(said[1]) // 0 where it names none
			break
		}
	}
	if at > 0 && bytes.Contains(lines[min(at, len(lines))-1], []byte("#")) {
		what += "; # begins a comment: put a text that has it in quotes"
	}
	f.Fault(at, "not YAML: %s", what)
}

// A lineReader hands out one line at a time, so that it knows how far its reader got.
type lineReader struct {
	lines [][]byte
	read  int // lines, the last perhaps in part
	rest  []byte
}

// Read hands out the next line, or the next part of a long one.
func (r *lineReader) Read(p []byte) (n int, err error) {
	if len(r.rest) == 0 {
		if r.read == len(r.lines) {
			return 0, io.EOF
		}
		r.rest = r.lines[r.read]
		r.read++
	}
	n = copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
