package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A selector is what a query takes of a metric.
type selector struct {
	metric string
	labels map[string]string // with the text that each is compared with
}

// A query is what is known of a PromQL expression: which metrics it takes, and which labels it keeps, leaves out or compares.
type query struct {
	selectors []selector
	labels    []string
}

var (
	promToken = regexp.MustCompile(`^(?:(?P<space>\s+)|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>[0-9][0-9a-zA-Z.]*|\.[0-9]+)|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},\[\]@]))`)
	// promWords are no metrics; the first of them are followed by labels.
	promWords = []string{"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "inf", "nan", "atan2", "start", "end"}
)

// tokens returns the expression's tokens without space, each with its kind.
func tokens(expr string) (all [][2]string, err error) {
	for expr != "" {
		match := promToken.FindStringSubmatch(expr)
		if match == nil {
			return nil, fmt.Errorf("no token begins at %q", expr)
		}
		for i, kind := range promToken.SubexpNames() {
			if kind != "" && kind != "space" && match[i] != "" {
				all = append(all, [2]string{kind, match[i]})
			}
		}
		expr = expr[len(match[0]):]
	}
	return all, nil
}

// parseQuery takes the metrics and labels out of an expression. It takes it that the expression is well-formed: promtool looks.
func parseQuery(expr string) (q query, err error) {
	all, err := tokens(expr)
	if err != nil {
		return q, err
	}
	at := func(i int) string {
		if i < len(all) {
			return all[i][1]
		}
		return ""
	}
	for i := 0; i < len(all); i++ {
		name := all[i][1]
		switch {
		case name == "[": // a range
			for at(i) != "]" {
				if i++; i >= len(all) {
					return q, fmt.Errorf("%s: a range does not end", expr)
				}
			}
		case name == "{":
			return q, fmt.Errorf("%s: braces without a metric before them", expr)
		case all[i][0] != "name":
		case slices.Contains(promWords[:6], strings.ToLower(name)):
			if at(i+1) != "(" { // group_left alone
				continue
			}
			for i += 2; at(i) != ")"; i++ {
				if i >= len(all) {
					return q, fmt.Errorf("%s: the labels after %s do not end", expr, name)
				}
				if all[i][0] == "name" {
					q.labels = append(q.labels, at(i))
				}
			}
		case slices.Contains(promWords, strings.ToLower(name)):
		case at(i+1) == "(" || slices.Contains(promWords[:2], at(i+1)): // a function or an aggregation
		default:
			s := selector{name, make(map[string]string)}
			if at(i+1) == "{" {
				for i += 2; at(i) != "}"; i++ {
					if i+2 >= len(all) || all[i][0] != "name" || all[i+2][0] != "text" {
						return q, fmt.Errorf("%s: no label is compared with a text at %q", expr, at(i))
					}
					s.labels[at(i)] = strings.Trim(at(i+2), `"'`)
					if i += 2; at(i+1) == "," {
						i++
					}
				}
			}
			q.selectors = append(q.selectors, s)
		}
	}
	return q, nil
}

func TestParseQuery(t *testing.T) {
	tests := map[string]struct{ metrics, labels string }{
		`up`:                                    {"up{}", ""},
		`sum by (a, b) (rate(m{c="1"}[5m]))`:    {"m{c}", "a b"},
		`sum(m) by (a)`:                         {"m{}", "a"},
		`a:b:c > 14.4 * 0.01 * x{y=~"1|2[.]0"}`: {"a:b:c{} x{y}", ""},
		`a and on (x) b unless on (y) group_left (z) c == 0`: {"a{} b{} c{}", "x y z"},
		`time() - max_over_time(m{a="b",c!="d",}[1d]) > 6e2`: {"m{a c}", ""},
		`m{a="by (x)"} offset 1h`:                            {"m{a}", ""},
		`count without (a) (m) < scalar(w)`:                  {"m{} w{}", "a"},
	}
	for expr, want := range tests {
		q, err := parseQuery(expr)
		var metrics []string
		for _, s := range q.selectors {
			metrics = append(metrics, s.metric+"{"+strings.Join(slices.Sorted(maps.Keys(s.labels)), " ")+"}")
		}
		if got := strings.Join(metrics, " "); err != nil || got != want.metrics || strings.Join(q.labels, " ") != want.labels {
			t.Errorf("%s: %s, labels %q, %v", expr, got, q.labels, err)
		}
	}
	for _, expr := range []string{`m{a}`, `m[5m`, `{a="b"}`, `sum by (a`, `m ~ 1`, `m{a="b"`} {
		if _, err := parseQuery(expr); err == nil {
			t.Errorf("%s is taken", expr)
		}
	}
}
