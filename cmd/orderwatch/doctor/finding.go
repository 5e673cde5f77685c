package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

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
}

// A level says how bad a finding is.
type level string

const (
	levelOK      level = "ok"
	levelNote    level = "note"    // good to know
	levelWarning level = "warning" // work is late, or may become so
	levelProblem level = "problem" // work is lost or repeated, is not done at all, or nobody is told
	levelUnseen  level = "unseen"  // it could not be looked at: neither good nor bad
)

// MarshalText returns the level as JSON has it, where what could not be looked at is a note.
func (l level) MarshalText() ([]byte, error) {
	if l == levelUnseen {
		l = levelNote
	}
	return []byte(l), nil
}

// A report collects findings, of each group in the order in which they are shown. It is safe for concurrent use.
type report struct {
	mu  sync.Mutex
	all []finding
}

func (r *report) put(f finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, f)
}

func (r *report) ok(check, about, found string) { r.add(levelOK, check, about, found, "") }

func (r *report) add(level level, check, about, found, do string) {
	r.compare(level, check, about, found, "", do)
}

// compare adds what was found where something else is wanted.
func (r *report) compare(level level, check, about, found, wanted, do string) {
	r.put(finding{check, about, level, found, wanted, do})
}

// unseen adds what could not be looked at.
func (r *report) unseen(check, about, found, do string) { r.add(levelUnseen, check, about, found, do) }

// of returns a copy of the group's findings.
func (r *report) of(group string) (some []finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.all {
		if strings.HasPrefix(f.Check, group+".") {
			some = append(some, f)
		}
	}
	return some
}

func (r *report) count(l level) (n int) {
	for _, f := range r.all {
		if f.Level == l {
			n++
		}
	}
	return n
}

// titles are those of the groups, by how their checks begin.
var titles = map[string]string{
	"configuration": "configuration", "nats": "NATS", "permissions": "permissions", "assets": "streams and consumers", "watches": "watches",
	"workers": "workers", "modelarts": "ModelArts", "clocks": "clocks", "slack": "Slack",
}

// A printer shows findings, group by group.
type printer struct {
	out     io.Writer
	format  output.Format
	paint   output.Paint
	columns int  // how wide texts are
	every   bool // each good finding is shown by itself
	hide    *foreign.Secrets
}

// print shows the findings of some groups, without secrets.
func (p *printer) print(r *report, groups ...string) error {
	for _, group := range groups {
		some := r.of(group)
		for i := range some {
			f := &some[i]
			for _, text := range []*string{&f.About, &f.Found, &f.Wanted, &f.Do} {
				*text = output.Clean(p.hide.Hide(*text))
			}
			if p.format == output.AsText {
				continue
			}
			if err := output.JSON(p.out, f); err != nil {
				return err
			}
		}
		if p.format != output.AsText || len(some) == 0 {
			continue
		}
		if _, err := io.WriteString(p.out, p.text(titles[group], some)); err != nil {
			return err
		}
	}
	return nil
}

// text returns a group as people read it. What is to be done about several alike is said once, below them.
func (p *printer) text(title string, some []finding) string {
	var b strings.Builder
	b.WriteString(p.paint.Bold(title) + "\n")
	labels := 0
	shown := p.folded(some)
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
	return b.String() + "\n"
}

const (
	maxLines = 12 // of one text
	manyGood = 10 // from so many good findings of one check on, text shows them as one line
)

// folded returns the findings as text shows them: many good ones of one check as one, unless each is wanted.
func (p *printer) folded(some []finding) (shown []finding) {
	good := make(map[string]int)
	for _, f := range some {
		if f.Level == levelOK {
			good[f.Check]++
		}
	}
	for _, f := range some {
		n := good[f.Check]
		if p.every || f.Level != levelOK || n < manyGood {
			shown = append(shown, f)
			continue
		}
		if !slices.ContainsFunc(shown, func(s finding) bool { return s.Check == f.Check && s.Level == levelOK }) {
			shown = append(shown, finding{Check: f.Check, Level: levelOK, Found: fmt.Sprintf("%d are as they must be; --all lists them", n)})
		}
	}
	return shown
}

func (f finding) label() string {
	_, name, _ := strings.Cut(f.Check, ".")
	return strings.TrimSpace(strings.ReplaceAll(name, "_", " ") + " " + f.About)
}

// Where texts begin, in columns.
const (
	nameColumn = 4
	moreColumn = 6 // what is to be done, and what does not fit beside a long name
	maxLabel   = 40
)

// write writes a finding: its mark, its name, beside it what was found and is wanted, and below what is to be done.
func (p *printer) write(b *strings.Builder, f finding, labels int) {
	label, column, text := f.label(), nameColumn+labels+2, f.Found
	if f.Wanted != "" {
		text += "; wanted is " + f.Wanted
	}
	b.WriteString("  " + p.mark(f.Level) + " ")
	switch long := nameColumn + output.Width(label) + 2; {
	case long <= column:
		b.WriteString(output.Pad(label, labels) + "  ")
	case long+output.Width(text) > p.columns:
		column = moreColumn
		b.WriteString(label + "\n" + strings.Repeat(" ", column))
	default:
		column = long
		b.WriteString(label + "  ")
	}
	b.WriteString(p.indented(text, column) + "\n")
	if f.Do != "" {
		b.WriteString(strings.Repeat(" ", moreColumn) + "→ " + p.indented(f.Do, moreColumn+2) + "\n")
	}
}

// indented returns a text whose lines, but for the first, begin at the column.
func (p *printer) indented(text string, column int) string {
	return strings.Join(output.Paragraph(output.Times(text, time.Now()), p.columns-column, maxLines), "\n"+strings.Repeat(" ", column))
}

func (p *printer) mark(l level) string {
	switch l {
	case levelUnseen:
		return p.paint.Faint("?")
	case levelOK:
		return p.paint.Green("✓")
	case levelNote:
		return p.paint.Faint("·")
	case levelWarning:
		return p.paint.Yellow("!")
	}
	return p.paint.Red("✗")
}

func (r *report) summary() string {
	unseen, rest := r.count(levelUnseen), "."
	if unseen == 1 {
		rest = ", 1 was not looked at (?)."
	} else if unseen > 1 {
		rest = fmt.Sprintf(", %d were not looked at (?).", unseen)
	}
	return fmt.Sprintf("%s, %s, %s; %d of %d things are as they must be%s",
		words.Count(r.count(levelProblem), "problem"), words.Count(r.count(levelWarning), "warning"), words.Count(r.count(levelNote), "note"),
		r.count(levelOK), len(r.all)-unseen, rest)
}
