package config

import (
	"cmp"
	"math"
	"strings"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

const tableIntro = "Each variable begins with " + Prefix + ". X[_FILE] is a secret: set X, or X_FILE to the path of a file that holds it.\n"

const tableWidth = 80 // columns

// Table returns every variable with its meaning and default as aligned text, for the help.
func Table() string {
	const gap = 2 // columns between a name and its meaning
	all := variables(new(Config))
	names := make(map[string]int) // the width of each group's names
	for _, v := range all {
		names[v.group] = max(names[v.group], len(v.row()[0]))
	}
	var b strings.Builder
	b.WriteString(strings.Join(output.Paragraph(tableIntro, tableWidth, math.MaxInt), "\n") + "\n")
	group := ""
	for _, v := range all {
		if v.group != group {
			group = v.group
			b.WriteString("\n")
		}
		row := v.row()
		meaning := row[2]
		if row[1] != noDefault {
			meaning += " (default " + row[1] + ")"
		}
		left := names[group] + gap
		lines := output.Paragraph(meaning, tableWidth-left, math.MaxInt)
		b.WriteString(output.Pad(row[0], left) + strings.Join(lines, "\n"+strings.Repeat(" ", left)) + "\n")
	}
	return b.String()
}

const noDefault = "–"

// row returns the variable's name, default and meaning as people read them.
func (v variable) row() []string {
	name, meaning := v.name, v.tag.Get("desc")
	if v.secret() {
		name += "[_FILE]"
	}
	return []string{name, cmp.Or(v.tag.Get("default"), v.tag.Get("unset"), noDefault), meaning}
}
