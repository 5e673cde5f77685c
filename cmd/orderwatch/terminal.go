package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// columns returns the width of the terminal that is written to, 80 elsewhere.
func columns(w io.Writer) int {
	if columns, _ := terminalSize(w); columns > 0 {
		return columns
	}
	return 80
}

// terminalSize returns the size of the terminal that is written to; zeros elsewhere.
func terminalSize(w io.Writer) (columns, lines int) {
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
