package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A finding is one thing that doctor looked at. Its JSON is stable; its texts are for people.
type finding struct {
	Check  string `json:"check"`           // what was looked at: the group, a dot, and the check's name
	About  string `json:"about,omitempty"` // which one: a stream, a subject, a region, a channel, …
	Level  level  `json:"level"`
	Found  string `json:"found"`
	Wanted string `json:"wanted,omitempty"`
	Do     string `json:"do,omitempty"` // what to do about it

	// unlooked says that it could not be looked at. Its level is that of a note: it is neither good nor bad.
	unlooked bool
}

// A level says how bad a finding is.
type level string

const (
	levelOK      level = "ok"
	levelNote    level = "note"    // good to know
	levelWarning level = "warning" // work is late, or may become so
	levelProblem level = "problem" // work is lost or repeated, is not done at all, or nobody is told
)

// findings are those of one group, in the order in which they are shown.
type findings []finding

func (f *findings) ok(check, about, found string) {
	*f = append(*f, finding{Check: check, About: about, Level: levelOK, Found: found})
}

func (f *findings) add(level level, check, about, found, do string) {
	*f = append(*f, finding{Check: check, About: about, Level: level, Found: found, Do: do})
}

// unseen adds what could not be looked at.
func (f *findings) unseen(check, about, found, do string) {
	*f = append(*f, finding{Check: check, About: about, Level: levelNote, Found: found, Do: do, unlooked: true})
}

// unlooked returns how many things were not looked at.
func (f findings) unlooked() int {
	n := 0
	for _, one := range f {
		if one.unlooked {
			n++
		}
	}
	return n
}

// count returns how many findings have the level, of what was looked at.
func (f findings) count(l level) int {
	n := 0
	for _, one := range f {
		if one.Level == l && !one.unlooked {
			n++
		}
	}
	return n
}

// A findingPrinter shows findings, group by group.
type findingPrinter struct {
	out     io.Writer
	format  output.Format
	paint   output.Paint
	columns int // how wide texts are
	every   bool
	hide    *foreign.Secrets

	all findings
}

func newFindingPrinter(out io.Writer, format output.Format, every bool, secrets []string) *findingPrinter {
	p := &findingPrinter{out: out, format: format, paint: output.PaintFor(out), every: every}
	p.columns = output.TextColumns(out)
	p.hide = foreign.NewSecrets(config.Redacted, secrets...)
	return p
}

// print shows the findings of one group.
func (p *findingPrinter) print(group string, fs findings) error {
	for i := range fs {
		f := &fs[i]
		for _, text := range []*string{&f.About, &f.Found, &f.Wanted, &f.Do} {
			*text = output.Clean(p.hide.Hide(*text))
		}
	}
	p.all = append(p.all, fs...)
	if p.format == output.AsText {
		return p.printText(group, fs)
	}
	for _, f := range fs {
		if err := output.JSON(p.out, f); err != nil {
			return err
		}
	}
	return nil
}

// printText shows them to people. What is to be done about several alike is said once, below them.
func (p *findingPrinter) printText(group string, fs findings) error {
	if len(fs) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString(p.paint.Bold(group) + "\n")
	labels := 0
	shown := p.folded(fs)
	for _, f := range shown {
		if w := output.Width(f.label()); w <= maxLabel {
			labels = max(labels, w)
		}
	}
	for i, f := range shown {
		if i+1 < len(shown) && shown[i+1].Check == f.Check && shown[i+1].Do == f.Do {
			f.Do = "" // it follows
		}
		p.write(&b, f, labels)
	}
	b.WriteString("\n")
	_, err := io.WriteString(p.out, b.String())
	return err
}

// maxLines is how many lines one text takes.
const maxLines = 12

// manyGood is from how many good findings of one check text shows them as one line.
const manyGood = 10

// folded returns the findings as text shows them: many good ones of one check as one, unless every single
// one is wanted.
func (p *findingPrinter) folded(fs findings) findings {
	if p.every {
		return fs
	}
	good := make(map[string]int)
	for _, f := range fs {
		if f.Level == levelOK {
			good[f.Check]++
		}
	}
	var shown findings
	for _, f := range fs {
		n := good[f.Check]
		if f.Level != levelOK || n < manyGood {
			shown = append(shown, f)
			continue
		}
		if !slices.ContainsFunc(shown, func(s finding) bool { return s.Check == f.Check && s.Level == levelOK }) {
			shown = append(shown, finding{Check: f.Check, Level: levelOK, Found: fmt.Sprintf("%d are as they must be; --all lists them", n)})
		}
	}
	return shown
}

// label names a finding within its group.
func (f finding) label() string {
	_, name, _ := strings.Cut(f.Check, ".")
	return strings.TrimSpace(strings.ReplaceAll(name, "_", " ") + " " + f.About)
}

// Where texts begin, in columns.
const (
	markColumn = 2
	nameColumn = 4
	moreColumn = 6 // what is to be done, and what does not fit beside a long name
	maxLabel   = 40
)

// write writes a finding: its mark, its name, beside it what was found and is wanted, and below what is to be done.
func (p *findingPrinter) write(b *strings.Builder, f finding, labels int) {
	label, column, text := f.label(), nameColumn+labels+2, f.Found
	if f.Wanted != "" {
		text += "; wanted is " + f.Wanted
	}
	b.WriteString(strings.Repeat(" ", markColumn) + p.mark(f) + " ")
	switch long := nameColumn + output.Width(label) + 2; {
	case output.Width(label) > labels && long+output.Width(text) > p.columns:
		column = moreColumn
		b.WriteString(label + "\n" + strings.Repeat(" ", column))
	case output.Width(label) > labels:
		column = long
		b.WriteString(label + "  ")
	default:
		b.WriteString(output.Pad(label, labels) + "  ")
	}
	b.WriteString(p.indented(text, column) + "\n")
	if f.Do != "" {
		b.WriteString(strings.Repeat(" ", moreColumn) + "→ " + p.indented(f.Do, moreColumn+2) + "\n")
	}
}

// indented returns a text whose lines, but for the first, begin at the column.
func (p *findingPrinter) indented(text string, column int) string {
	return strings.Join(output.Paragraph(text, p.columns-column, maxLines), "\n"+strings.Repeat(" ", column))
}

// mark returns the sign of a finding: of its level, or that it was not looked at.
func (p *findingPrinter) mark(f finding) string {
	switch {
	case f.unlooked:
		return p.paint.Faint("?")
	case f.Level == levelOK:
		return p.paint.Green("✓")
	case f.Level == levelNote:
		return p.paint.Faint("·")
	case f.Level == levelWarning:
		return p.paint.Yellow("!")
	}
	return p.paint.Red("✗")
}

// summary says in one line what was found in all groups.
func (p *findingPrinter) summary() string {
	counts := []string{
		words.Count(p.all.count(levelProblem), "problem"), words.Count(p.all.count(levelWarning), "warning"), words.Count(p.all.count(levelNote), "note"),
	}
	unlooked := p.all.unlooked()
	text := fmt.Sprintf("%s; %d of %d things are as they must be", strings.Join(counts, ", "), p.all.count(levelOK), len(p.all)-unlooked)
	switch unlooked {
	case 0:
		return text + "."
	case 1:
		return text + ", 1 was not looked at (?)."
	}
	return text + fmt.Sprintf(", %d were not looked at (?).", unlooked)
}
