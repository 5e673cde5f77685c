package main

import "testing"

// TestListScreenful holds what a refresh in place sends to the terminal: it never clears more than
// it draws over, and never more lines than there are.
func TestListScreenful(t *testing.T) {
	for _, tt := range []struct {
		text  string
		lines int
		want  string
	}{
		{"a\nb\n", 5, "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J"},
		{"a\nb\n", 2, "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J"},
		{"a\nb\nc\nd\n", 3, "\x1b[Ha\x1b[K\r\nb\x1b[K\r\nand 2 lines that this screen has no room for; less\x1b[K\x1b[J"},
	} {
		if got := screenful(tt.text, tt.lines, "; less"); got != tt.want {
			t.Errorf("screenful(%q, %d) = %q; want %q", tt.text, tt.lines, got, tt.want)
		}
	}
}
