package main_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

// A glass is what a person sees of a terminal: the rows of its screen, and what was scrolled out of it above. It understands
// what this program tells terminals.
type glass struct {
	columns, rows int
	screen        [][]rune
	row, column   int
	above         []string
	main          [][]rune // while another screen is shown
}

// seen returns what a terminal of this size shows that was told the text.
func seen(text string, columns, rows int) *glass {
	g := &glass{columns: columns, rows: rows}
	g.screen = g.empty()
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' }) + 2
			if end < 2 {
				return g // it is not whole yet
			}
			g.control(text[2:end], text[end])
			text = text[end+1:]
			continue
		case text[0] == '\r':
			g.column = 0
		case text[0] == '\n':
			g.down()
		default:
			r, size := utf8.DecodeRuneInString(text)
			g.put(r)
			text = text[size:]
			continue
		}
		text = text[1:]
	}
	return g
}

func (g *glass) empty() [][]rune {
	all := make([][]rune, g.rows)
	for i := range all {
		all[i] = slices.Repeat([]rune{' '}, g.columns)
	}
	return all
}

func (g *glass) down() {
	if g.row++; g.row < g.rows {
		return
	}
	g.row--
	if g.main == nil {
		g.above = append(g.above, strings.TrimRight(string(g.screen[0]), " "))
	}
	g.screen = append(g.screen[1:], slices.Repeat([]rune{' '}, g.columns))
}

func (g *glass) put(r rune) {
	if g.column+output.Width(string(r)) > g.columns {
		g.column = 0
		g.down()
	}
	g.screen[g.row][g.column] = r
	g.column += output.Width(string(r))
}

func (g *glass) control(arguments string, kind byte) {
	n, _ := strconv.Atoi(arguments)
	clear := func(row, from int) { copy(g.screen[row][from:], slices.Repeat([]rune{' '}, g.columns-from)) }
	switch kind {
	case 'A':
		g.row = max(g.row-max(n, 1), 0)
	case 'H':
		g.row, g.column = 0, 0
	case 'K':
		clear(g.row, min(g.column, g.columns))
	case 'J':
		clear(g.row, min(g.column, g.columns))
		for row := g.row + 1; row < g.rows; row++ {
			clear(row, 0)
		}
	case 'h':
		if arguments == "?1049" {
			g.main, g.screen = g.screen, g.empty()
		}
	case 'l':
		if arguments == "?1049" {
			g.screen, g.main = g.main, nil
		}
	}
}

// lines returns the rows of the screen down to the last that is not empty.
func (g *glass) lines() (lines []string) {
	for _, row := range g.screen {
		lines = append(lines, strings.TrimRight(string(row), " "))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// all returns all that was ever shown and is not overwritten, the newest last.
func (g *glass) all() string { return strings.Join(append(slices.Clone(g.above), g.lines()...), "\n") }

// log shows the screen to a person who reads the test's output.
func (g *glass) log(t *testing.T, what string) {
	t.Helper()
	edge := "+" + strings.Repeat("-", g.columns) + "+"
	text := ""
	for _, row := range g.screen {
		text += "|" + string(row) + "|\n"
	}
	t.Logf("%s: %d rows are above\n%s\n%s%s", what, len(g.above), edge, text, edge)
}

// TestGlass holds that the glass shows what a terminal would.
func TestGlass(t *testing.T) {
	g := seen("one\r\ntwo\r\n\x1b[1A\x1b[31mTWO\x1b[0m\x1b[K\r\nthree\r\nfour\r\n\x1b[2A\x1b[Jfive and six", 10, 3)
	if got, want := g.all(), "one\nTWO\nfive and s\nix"; got != want {
		t.Errorf("%q; want %q", got, want)
	}
}
