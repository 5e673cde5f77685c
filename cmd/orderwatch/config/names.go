package config

import (
	"regexp"
	"slices"
	"strings"
)

const maxSlips = 4 // a name that is further off is not suggested

// misspelt notes every variable that is meant for this program and that it does not read, with the nearest that it
// does. A slip in the prefix itself is found where it is one letter.
func (p *Problems) misspelt(environ []string) {
	known := names(new(Config))
	for i, name := range known {
		known[i] = Prefix + name
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" || slices.Contains(known, name) || injected.MatchString(name) {
			continue
		}
		ours := strings.HasPrefix(name, Prefix)
		switch meant, distance := nearest(name, known); {
		case ours && distance <= maxSlips, distance <= 1:
			p.unknown(name, "did you mean "+meant+"?")
		case ours:
			p.unknown(name, "unset it; serve --help lists all (set enableServiceLinks: false if Kubernetes made it)")
		}
	}
}

func (p *Problems) unknown(name, advice string) {
	*p = append(*p, Problem{Variable: name, What: "no such variable: " + advice, Unknown: true})
}

// injected are the variables that Kubernetes sets by itself, in every pod beside a Service called orderwatch
// (unless enableServiceLinks is false).
var injected = regexp.MustCompile(`(?s)^(ORDERWATCH_)?(SERVICE_HOST|(SERVICE_)?PORT(_.*)?)$`)

// nearest returns the name that takes the fewest slips to become the misspelt one, capitals aside, and how many: more
// than maxSlips where none is near. A forgotten _FILE counts as one.
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
	for a != "" && b != "" && a[0] == b[0] { // mostly the prefix, which costs time
		a, b = a[1:], b[1:]
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for i := range len(a) + 1 { // the row of a[:i], and the two before it
		row, above, before := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		for j := range row {
			switch {
			case i == 0 || j == 0:
				row[j] = i + j
				continue
			case a[i-1] == b[j-1]:
				row[j] = above[j-1]
				continue
			}
			row[j] = 1 + min(above[j], row[j-1], above[j-1])
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		if i > 0 && slices.Min(row) >= enough && slices.Min(above) >= enough { // the next rows build on these two
			return enough
		}
	}
	return rows[len(a)%3][len(b)]
}
