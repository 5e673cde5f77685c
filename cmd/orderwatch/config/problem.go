package config

import "strings"

// A Problem is what is wrong with one variable of the environment. It shows no value.
type Problem struct {
	Variable string // its full name
	What     string // what is wrong, and what would be right; one line
	Missing  bool   // the variable is required, and is not there
	Unknown  bool   // nothing reads the variable: its name is misspelt
}

func (p Problem) Error() string { return p.Variable + ": " + p.What }

// Problems are everything that is wrong with the environment.
type Problems []Problem

// Error has a line for each problem.
func (p Problems) Error() string {
	var lines []string
	for _, one := range p {
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// err returns the problems as an error; nil where there is none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// add notes that the variable, named without [Prefix], is wrong.
func (p *Problems) add(name, what string) {
	*p = append(*p, Problem{Variable: Prefix + name, What: what})
}

// must notes what is wrong with the variable unless ok.
func (p *Problems) must(ok bool, name, what string) {
	if !ok {
		p.add(name, what)
	}
}

// need notes that the variable is required and not set, unless ok, and what to do.
func (p *Problems) need(ok bool, name, do string) {
	if !ok {
		*p = append(*p, Problem{Variable: Prefix + name, What: "is not set: " + do, Missing: true})
	}
}
