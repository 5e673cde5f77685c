package main

import (
	"cmp"
	"math"
	"strings"
)

const tableIntro = "Each variable begins with " + envPrefix + ". X[_FILE] is a secret: set X, or X_FILE to the path of a file that holds it.\n"

// helpWidth is how many columns the help takes.
const helpWidth = 80

// ConfigTable returns every variable with its meaning and default as aligned text, for the help.
func ConfigTable() string {
	all := variables(new(Config))
	names := make(map[string]int) // the width of each group's names
	for _, v := range all {
		names[v.group] = max(names[v.group], len(v.row()[0]))
	}
	var b strings.Builder
	b.WriteString(strings.Join(paragraph(tableIntro, helpWidth, math.MaxInt), "\n") + "\n")
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
		lines := paragraph(meaning, helpWidth-left, math.MaxInt)
		b.WriteString(pad(row[0], left) + strings.Join(lines, "\n"+strings.Repeat(" ", left)) + "\n")
	}
	return b.String()
}

// ConfigMarkdown returns the same as a Markdown table, for deploy/CONFIGURATION.md.
func ConfigMarkdown() string {
	var b strings.Builder
	b.WriteString(tableIntro)
	b.WriteString("\n| variable | default | meaning |\n|---|---|---|\n")
	for _, v := range variables(new(Config)) {
		b.WriteString("| " + strings.Join(v.row(), " | ") + " |\n")
	}
	return b.String()
}

// noDefault stands for no default.
const noDefault = "–"

// row returns the variable's name, default and meaning as people read them.
func (v variable) row() []string {
	name, meaning := v.name, v.tag.Get("desc")
	if v.secret() {
		name += "[_FILE]"
	}
	return []string{name, cmp.Or(v.tag.Get("default"), v.tag.Get("unset"), noDefault), meaning}
}
