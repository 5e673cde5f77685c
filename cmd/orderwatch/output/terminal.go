package output

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Columns returns the width of the terminal that is written to, 80 elsewhere.
func Columns(w io.Writer) int {
	if columns, _ := Size(w); columns > 0 {
		return columns
	}
	return 80
}

// TextColumns returns the width at which texts for the writer are broken: that of its terminal, but 60 to 120
// columns.
func TextColumns(w io.Writer) int { return min(max(Columns(w), 60), 120) }

// Size returns the size of the terminal that is written to; zeros elsewhere.
func Size(w io.Writer) (columns, lines int) {
	file, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	columns, lines, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0, 0
	}
	return columns, lines
}

// IsTerminal reports whether a terminal is written to.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
