package config

import (
	"slices"
	"strings"
)

// maxSlips is how far a name may be off and still be worth suggesting.
const maxSlips = 4

// misspelt notes every variable of the environment that is meant for this program and that it
// does not read, with the nearest that it does. Also a slip in the prefix itself is found, where
// it is one letter.
func (p *Problems) misspelt(environ []string) {
	known := names(new(Config))
	for i, name := range known {
		known[i] = Prefix + name
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" || slices.Contains(known, name) || injected(name) {
			continue
		}
		ours := strings.HasPrefix(name, Prefix)
		switch meant, distance := nearest(name, known); {
		case ours && distance <= maxSlips, distance <= 1:
			*p = append(*p, unknown(name, "did you mean "+meant+"?"))
		case ours:
			*p = append(*p, unknown(name, "unset it; serve --help lists all (set enableServiceLinks: false if Kubernetes made it)"))
		}
	}
}

// unknown returns the problem that nothing reads the variable.
func unknown(name, advice string) Problem {
	return Problem{Variable: name, What: "no such variable: " + advice, Unknown: true}
}

// injected reports whether Kubernetes sets the variable by itself, in every pod beside a Service
// called orderwatch (unless enableServiceLinks is false).
func injected(name string) bool {
	name, _ = strings.CutPrefix(name, Prefix)
	return name == "SERVICE_HOST" || name == "SERVICE_PORT" || strings.HasPrefix(name, "SERVICE_PORT_") ||
		name == "PORT" || strings.HasPrefix(name, "PORT_")
}

// nearest returns the name that takes the fewest slips to become the misspelt one, capitals
// aside, and how many; a forgotten _FILE counts as one. Where none is within maxSlips it returns
// more than that.
func nearest(misspelt string, names []string) (string, int) {
	misspelt = strings.ToUpper(misspelt)
	best, fewest := "", maxSlips+1
	for _, name := range names {
		if name == misspelt+"_FILE" {
			return name, 1
		}
		apart := len(name) - len(misspelt)
		if max(apart, -apart) >= fewest {
			continue // they differ by at least that many letters
		}
		if n := slips(misspelt, name, fewest); n < fewest {
			best, fewest = name, n
		}
	}
	return best, fewest
}

// slips counts the letters left out, put in, mistaken, or swapped with the next between a and b
// (the optimal string alignment distance). Where there are enough it may return fewer than there are.
func slips(a, b string, enough int) int {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	// The last three rows of the usual matrix: a[:i] against every b[:j].
	var before []int
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			mistaken := above[j]
			if a[i] != b[j] {
				mistaken++
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, mistaken)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		if slices.Min(row) >= enough && slices.Min(above) >= enough { // what follows builds on these two rows
			return enough
		}
		before, above = above, row
	}
	return above[len(b)]
}
