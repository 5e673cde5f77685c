package main

import (
	"cmp"
	"strings"
	"text/tabwriter"
)

const tableIntro = "Each variable begins with " + envPrefix + ". X[_FILE] is a secret: set X, or X_FILE to the path of a file that holds it.\n"

// ConfigTable returns every variable with its default and meaning as aligned text, for the help.
func ConfigTable() string {
	var b strings.Builder
	b.WriteString(tableIntro)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	group := ""
	for _, v := range variables(new(Config)) {
		if v.group != group {
			group = v.group
			w.Write([]byte("\n"))
		}
		w.Write([]byte(strings.Join(v.row(), "\t") + "\n"))
	}
	w.Flush()
	return b.String()
}

// ConfigMarkdown returns the same as a Markdown table, for the README.
func ConfigMarkdown() string {
	var b strings.Builder
	b.WriteString(tableIntro)
	b.WriteString("\n| variable | default | meaning |\n|---|---|---|\n")
	for _, v := range variables(new(Config)) {
		b.WriteString("| " + strings.Join(v.row(), " | ") + " |\n")
	}
	return b.String()
}

// row returns the variable's name, default and meaning as people read them.
func (v variable) row() []string {
	name, meaning := v.name, v.tag.Get("desc")
	if v.secret() {
		name += "[_FILE]"
	}
	if v.tag.Get("later") != "" {
		meaning += " (not in this version)"
	}
	return []string{name, cmp.Or(v.tag.Get("default"), v.tag.Get("unset"), "–"), meaning}
}
