package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
)

// A way is one of the ways to log in to ModelArts: the variables that it needs, by their full names, and one that it
// may have.
type way struct {
	needs []string
	also  string
}

// ourWays are those by our own variables: one of them is to be set.
var ourWays = []way{
	{needs: []string{Prefix + "MODELARTS_TOKEN"}},
	{needs: []string{Prefix + "MODELARTS_ACCESS_KEY", Prefix + "MODELARTS_SECRET_KEY"}, also: Prefix + "MODELARTS_SECURITY_TOKEN"},
	{needs: []string{Prefix + "MODELARTS_USER", Prefix + "MODELARTS_PASSWORD", Prefix + "MODELARTS_DOMAIN"}},
	{needs: []string{Prefix + "MODELARTS_ECS_AGENCY"}},
}

// hwWays are those by the HW_ variables, in the order in which they are tried. The tag unset of a field names its own.
var hwWays = []way{
	{needs: []string{"HW_ACCESS_KEY", "HW_SECRET_KEY"}, also: "HW_SECURITY_TOKEN"},
	{needs: []string{"HW_AUTH_TOKEN"}},
	{needs: []string{"HW_USER_NAME", "HW_USER_PASSWORD", "HW_DOMAIN_NAME"}},
}

// begun returns the name of a variable of the way that is set, empty where none is.
func (w way) begun(set func(name string) bool) string {
	for _, name := range append(slices.Clip(w.needs), w.also) {
		if set(name) {
			return name
		}
	}
	return ""
}

// half notes what the way lacks that is begun.
func (p *Problems) half(w way, set func(name string) bool) {
	for _, name := range w.needs {
		if !set(name) {
			*p = append(*p, Problem{Variable: name, What: "is not set, but " + w.begun(set) + " is: they belong together"})
		}
	}
}

// logIn checks that exactly one way to log in is set. Where none is, it takes the first HW_ way that is complete.
func (p *Problems) logIn(c *Config) {
	ours := func(name string) bool { return c.isSet(strings.TrimPrefix(name, Prefix)) }
	hw := func(name string) bool { return os.Getenv(name) != "" }
	isWhole := func(w way) bool { return !slices.ContainsFunc(w.needs, func(name string) bool { return !hw(name) }) }
	begun := slices.DeleteFunc(slices.Clone(ourWays), func(w way) bool { return w.begun(ours) == "" })
	begunHW := slices.DeleteFunc(slices.Clone(hwWays), func(w way) bool { return w.begun(hw) == "" })
	whole := slices.IndexFunc(begunHW, isWhole)
	switch {
	case len(begun) > 0:
		for _, w := range begun[1:] {
			*p = append(*p, Problem{Variable: w.begun(ours), What: "is set together with " + begun[0].begun(ours) + ": keep one way to log in"})
		}
		p.half(begun[0], ours)
	case whole >= 0:
		begunHW[whole].fill(c)
	case len(begunHW) > 0:
		p.half(begunHW[0], hw)
	default:
		p.need(false, "MODELARTS_TOKEN", "set it, or ORDERWATCH_MODELARTS_ACCESS_KEY and _SECRET_KEY, or ORDERWATCH_MODELARTS_USER, _PASSWORD and _DOMAIN, or ORDERWATCH_MODELARTS_ECS_AGENCY=true")
	}
}

// fill sets the fields that the way's HW_ variables fill.
func (w way) fill(c *Config) {
	for _, v := range variables(c) {
		name := v.tag.Get("unset")
		switch {
		case name == "" || name != w.also && !slices.Contains(w.needs, name):
		case v.secret():
			v.value.Set(reflect.ValueOf(NewSecret(os.Getenv(name))))
		default:
			v.value.SetString(os.Getenv(name))
		}
	}
}
