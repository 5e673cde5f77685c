package teams

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher/rulefile"
)

// Bounds of a file of teams.
const (
	maxTeams    = 1000
	maxWatches  = 1_000_000
	maxRequests = 100_000 // a minute
	maxName     = 200     // characters of its name
	maxShown    = 64      // characters of a team's name
)

var prefix = regexp.MustCompile(`^[A-Za-z0-9-]{0,63}\*$`)

// Parse reads a file of teams, which errors call by this name. The error is [rulefile.File.Err]'s: one line for each thing
// that is wrong, none of which quotes the text.
func Parse(name string, text []byte) (Teams, error) {
	f, t := teamsFile{rulefile.New(name)}, Teams{name, make(map[string]team)}
	f.Read(text, "teams", "a mapping", func(value *yaml.Node) { f.readTeams(value, t.teams) })
	if err := f.Err(); err != nil {
		return Teams{}, err
	}
	return t, nil
}

// A teamsFile is a file of teams while it is read.
type teamsFile struct{ *rulefile.File }

// readTeams reads the teams by their names.
func (f teamsFile) readTeams(n *yaml.Node, to map[string]team) {
	if !f.Is(n, yaml.MappingNode, "teams", "keys and values, such as {gpu: {projects: [my-project]}}") {
		return
	}
	switch count := len(n.Content) / 2; {
	case count == 0:
		f.Fault(n.Line, "teams is empty: name at least one, or unset the variable")
	case count > maxTeams:
		f.Fault(n.Line, "there are more than %d teams", maxTeams)
		return
	}
	number := 0
	f.Pairs(n, "team", func(key, value *yaml.Node) {
		number++
		f.Part = fmt.Sprintf("team %d", number)
		defer func() { f.Part = "" }()
		name, ok := f.Text(key, "its name", func(text string) string {
			if text != "" && wire.CheckTeam(text) == nil {
				return ""
			}
			return "must be 1 to 64 of A-Z a-z 0-9 _ -, as it stands in subjects"
		})
		if one := f.readTeam(key.Line, value); ok {
			to[name] = one
		}
	})
}

// readTeam reads what one team may.
func (f teamsFile) readTeam(line int, n *yaml.Node) team {
	t := team{line: line}
	before := f.Faults()
	f.Fields(n, "it", " of a team",
		rulefile.Key("projects", func(value *yaml.Node) {
			t.projects = f.Texts(value, "projects", "[my-project, my-team-*]", checkProject)
		}),
		rulefile.Key("channels", func(value *yaml.Node) { t.channels = f.Texts(value, "channels", "[C0123456789]", rulefile.Channel) }),
		rulefile.Key("limits", func(value *yaml.Node) { t.limits = f.readLimits(value) }),
	)
	if len(t.projects) == 0 && f.Faults() == before {
		f.Fault(line, "it has no projects: name at least one")
	}
	return t
}

// readLimits reads a team's limits.
func (f teamsFile) readLimits(n *yaml.Node) (l Limits) {
	before := f.Faults()
	f.Fields(n, "limits", " of limits",
		rulefile.Key("open_watches", func(value *yaml.Node) { l.OpenWatches = f.WholeNumber(value, "open_watches", 1, maxWatches) }),
		rulefile.Key("timeout", func(value *yaml.Node) { l.Timeout = f.readTimeout(value) }),
		rulefile.Key("requests_per_minute", func(value *yaml.Node) {
			l.RequestsPerMinute = f.WholeNumber(value, "requests_per_minute", 1, maxRequests)
		}),
	)
	if l == (Limits{}) && f.Faults() == before {
		f.Fault(n.Line, "limits is empty: leave it out")
	}
	return l
}

func (f teamsFile) readTimeout(n *yaml.Node) (timeout time.Duration) {
	f.Text(n, "timeout", func(text string) string {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil || timeout < time.Second {
			timeout = 0
			return "must be a duration of at least 1s, such as 12h"
		}
		return ""
	})
	return timeout
}

func checkProject(text string) string {
	if strings.HasSuffix(text, "*") && prefix.MatchString(text) {
		return ""
	}
	if must := rulefile.Project(text); must != "" {
		return must + ", or the beginning of some and a * at its end"
	}
	return ""
}
