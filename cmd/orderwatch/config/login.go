package config

// A way is one of the ways to log in to ModelArts: the variables that it needs, by their full
// names, and one that it may have.
type way struct {
	needs []part
	also  part
}

type part struct {
	name string
	set  bool
}

// begun returns the name of a variable of the way that is set, empty where none is.
func (w way) begun() string {
	for _, part := range append(w.needs, w.also) {
		if part.set {
			return part.name
		}
	}
	return ""
}

// missing returns the names of those that are needed and not set.
func (w way) missing() []string {
	var names []string
	for _, part := range w.needs {
		if !part.set {
			names = append(names, part.name)
		}
	}
	return names
}

// logIn checks that exactly one way to log in is set. Where none is, it takes the first of the HW_
// variables that is complete: of key, token and password.
func (p *Problems) logIn(m *ModelArts, getenv func(string) string) {
	ours := func(name string, set bool) part { return part{Prefix + name, set} }
	ways := []way{
		{needs: []part{ours("MODELARTS_TOKEN", m.Token.IsSet())}},
		{
			needs: []part{ours("MODELARTS_ACCESS_KEY", m.AccessKey.IsSet()), ours("MODELARTS_SECRET_KEY", m.SecretKey.IsSet())},
			also:  ours("MODELARTS_SECURITY_TOKEN", m.SecurityToken.IsSet()),
		},
		{needs: []part{ours("MODELARTS_USER", m.User != ""), ours("MODELARTS_PASSWORD", m.Password.IsSet()), ours("MODELARTS_DOMAIN", m.Domain != "")}},
		{needs: []part{ours("MODELARTS_ECS_AGENCY", m.ECSAgency)}},
	}
	first := -1
	for i, way := range ways {
		switch begun := way.begun(); {
		case begun == "":
		case first >= 0:
			*p = append(*p, Problem{Variable: begun, What: "is set together with " + ways[first].begun() + ": keep one way to log in"})
		default:
			first = i
		}
	}
	if first < 0 {
		p.logInWithHW(m, getenv)
		return
	}
	p.half(ways[first])
}

// half notes what a way lacks that is begun.
func (p *Problems) half(w way) {
	for _, name := range w.missing() {
		*p = append(*p, Problem{Variable: name, What: "is not set, but " + w.begun() + " is: they belong together"})
	}
}

// logInWithHW takes the login from the HW_ variables.
func (p *Problems) logInWithHW(m *ModelArts, getenv func(string) string) {
	hw := func(name string) part { return part{name, getenv(name) != ""} }
	ways := []struct {
		way
		take func()
	}{
		{way{needs: []part{hw("HW_ACCESS_KEY"), hw("HW_SECRET_KEY")}, also: hw("HW_SECURITY_TOKEN")}, func() {
			m.AccessKey, m.SecretKey, m.SecurityToken = NewSecret(getenv("HW_ACCESS_KEY")), NewSecret(getenv("HW_SECRET_KEY")), NewSecret(getenv("HW_SECURITY_TOKEN"))
		}},
		{way{needs: []part{hw("HW_AUTH_TOKEN")}}, func() { m.Token = NewSecret(getenv("HW_AUTH_TOKEN")) }},
		{way{needs: []part{hw("HW_USER_NAME"), hw("HW_USER_PASSWORD"), hw("HW_DOMAIN_NAME")}}, func() {
			m.User, m.Password, m.Domain = getenv("HW_USER_NAME"), NewSecret(getenv("HW_USER_PASSWORD")), getenv("HW_DOMAIN_NAME")
		}},
	}
	for _, w := range ways {
		if len(w.missing()) == 0 {
			w.take()
			return
		}
	}
	for _, w := range ways {
		if w.begun() != "" {
			p.half(w.way)
			return
		}
	}
	p.need(false, "MODELARTS_TOKEN", "set it, or ORDERWATCH_MODELARTS_ACCESS_KEY and _SECRET_KEY, or ORDERWATCH_MODELARTS_USER, _PASSWORD and _DOMAIN, or ORDERWATCH_MODELARTS_ECS_AGENCY=true")
}
